//! The mux of the WebDAV port: frames of many connections in one byte stream that is cut anywhere.
//!
//! Nothing is kept of a frame but its header: its bytes are handed on as they come. So a size that lies costs
//! nothing, and a frame that never ends holds nothing but itself.

use crate::base::{ByteReader, ByteWriter};
use crate::wire::port::MuxHeader;
use crate::wire::{Decode, Encode};

/// Bytes of one frame, as its 16-bit size has it.
pub const FRAME_BYTES_MAX: usize = u16::MAX as usize;

/// A part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Bytes of this connection, at least one.
    Bytes(i64, &'a [u8]),
    /// This connection is closed.
    Close(i64),
}

/// Takes frames apart.
#[derive(Clone, Debug, Default)]
pub struct MuxReader {
    header: [u8; MuxHeader::SIZE],
    header_bytes: usize,
    id: i64,
    left_bytes: usize,
}

impl MuxReader {
    /// At the start of a frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next part, taken from the front of `bytes`; none when more bytes are needed.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Part<'a>> {
        if self.left_bytes == 0 {
            let header = self.header(bytes)?;
            if header.size == 0 {
                return Some(Part::Close(header.id));
            }
            self.id = header.id;
            self.left_bytes = usize::from(header.size);
        }
        let (part, rest) = bytes.split_at(self.left_bytes.min(bytes.len()));
        *bytes = rest;
        self.left_bytes -= part.len();
        (!part.is_empty()).then_some(Part::Bytes(self.id, part))
    }

    /// The header, once all of it has come.
    fn header(&mut self, bytes: &mut &[u8]) -> Option<MuxHeader> {
        let place = self.header.get_mut(self.header_bytes..)?;
        let count = place.len().min(bytes.len());
        let (taken, rest) = bytes.split_at(count);
        *bytes = rest;
        place.get_mut(..count)?.copy_from_slice(taken);
        self.header_bytes += count;
        if self.header_bytes < MuxHeader::SIZE {
            return None;
        }
        self.header_bytes = 0;
        MuxHeader::decode(&mut ByteReader::new(&self.header)).ok()
    }
}

/// Appends a frame of at most [`FRAME_BYTES_MAX`] bytes; what is beyond is left out. No bytes: the connection closes.
pub fn write_frame(writer: &mut ByteWriter<'_>, id: i64, bytes: &[u8]) {
    let bytes = bytes.get(..FRAME_BYTES_MAX).unwrap_or(bytes);
    let size = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    MuxHeader { id, size }.encode(writer);
    writer.bytes(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            frames in prop::collection::vec((any::<i64>(), 0usize..400), 0..20),
            cut in 1usize..50,
        ) {
            let mut stream = Vec::new();
            for (id, size) in &frames {
                write_frame(&mut ByteWriter::new(&mut stream), *id, &vec![*id as u8; *size]);
            }
            let (mut mux, mut found) = (MuxReader::new(), Vec::new());
            let mut open = 0;
            for mut piece in stream.chunks(cut) {
                while let Some(part) = mux.next(&mut piece) {
                    match part {
                        Part::Close(id) => found.push((id, 0)),
                        Part::Bytes(id, bytes) => {
                            prop_assert!(bytes.iter().all(|byte| *byte == id as u8));
                            if open == 0 {
                                found.push((id, 0));
                            }
                            let last = found.last_mut().unwrap();
                            prop_assert_eq!(last.0, id);
                            last.1 += bytes.len();
                            open = mux.left_bytes;
                        }
                    }
                }
                prop_assert!(piece.is_empty());
            }
            prop_assert_eq!(found, frames);
        }
    }

    #[test]
    fn a_frame_is_never_longer_than_its_size_can_say() {
        let mut stream = Vec::new();
        write_frame(&mut ByteWriter::new(&mut stream), 1, &[5; 70_000]);
        assert_eq!(stream.len(), MuxHeader::SIZE + FRAME_BYTES_MAX);
    }
}

//! What a client makes of its WebDAV channel: a server of streams that is asked for bytes and gives them.
//!
//! A request is eight bytes: how many bytes are wanted, and of which sequence. Answers are cut into frames and messages
//! of all sizes, as they may be.

use std::collections::BTreeMap;

use caraway_server::base::{ByteReader, ByteWriter};
use caraway_server::channel::webdav_mux::write_frame;
use caraway_server::wire::Decode;
use caraway_server::wire::port::{Init, MuxHeader, ServerMessage, WEBDAV_PORT};

/// Bytes of a request.
pub(crate) const REQUEST_BYTES: usize = 8;

/// A request for so many bytes that closes the stream instead.
pub(crate) const CLOSE: u32 = u32::MAX;

/// Bytes of a client's message; spice-gtk's are at most a frame.
const MESSAGE_BYTES_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(crate) struct FolderModel {
    opened: bool,
    stream: Vec<u8>,
    /// Streams that were begun, with what of a request has come.
    pub(crate) requests: BTreeMap<i64, Vec<u8>>,
}

/// A request for `count` bytes of a sequence.
pub(crate) fn request(count: u32, seed: u32) -> [u8; REQUEST_BYTES] {
    let mut bytes = [0; REQUEST_BYTES];
    bytes[..4].copy_from_slice(&count.to_le_bytes());
    bytes[4..].copy_from_slice(&seed.to_le_bytes());
    bytes
}

/// The bytes of a sequence.
pub(crate) fn sequence(count: u32, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let next = move |_| {
        state = state.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        state.to_le_bytes()[3]
    };
    (0..count).map(next).collect()
}

impl FolderModel {
    /// Takes in a message; gives the bodies of its own answers.
    pub(crate) fn hear(&mut self, number: u16, body: &[u8]) -> Vec<Vec<u8>> {
        match ServerMessage::decode(number, body).expect("a message of a port") {
            ServerMessage::Init(Init { name, opened }) => {
                assert!(!self.opened && self.stream.is_empty(), "INIT comes first");
                assert_eq!((name, opened), (WEBDAV_PORT, 1));
                self.opened = true;
                Vec::new()
            }
            ServerMessage::Data(data) => {
                assert!(self.opened, "INIT comes first");
                self.stream.extend_from_slice(data.0);
                self.frames()
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn frames(&mut self) -> Vec<Vec<u8>> {
        let mut said = Vec::new();
        loop {
            let mut reader = ByteReader::new(&self.stream);
            let Ok(header) = MuxHeader::decode(&mut reader) else {
                break;
            };
            let Ok(bytes) = reader.bytes(header.size.into()) else {
                break;
            };
            let bytes = bytes.to_vec();
            self.stream.drain(..MuxHeader::SIZE + bytes.len());
            if bytes.is_empty() {
                let known = self.requests.remove(&header.id);
                assert!(known.is_some(), "the end of a stream that never began");
            } else {
                self.ask(header.id, &bytes, &mut said);
            }
        }
        let pieces = said.chunks(MESSAGE_BYTES_MAX);
        pieces.map(<[u8]>::to_vec).collect()
    }

    fn ask(&mut self, id: i64, bytes: &[u8], said: &mut Vec<u8>) {
        let kept = self.requests.entry(id).or_default();
        kept.extend_from_slice(bytes);
        while let Some(request) = kept.first_chunk::<REQUEST_BYTES>() {
            let (count, seed) = request.split_at(4);
            let count = u32::from_le_bytes(count.try_into().expect("four"));
            let seed = u32::from_le_bytes(seed.try_into().expect("four"));
            kept.drain(..REQUEST_BYTES);
            if count == CLOSE {
                write_frame(&mut ByteWriter::new(said), id, &[]);
                self.requests.remove(&id);
                return;
            }
            let size = 1 + (seed as usize).wrapping_mul(7919) % usize::from(u16::MAX);
            for frame in sequence(count, seed).chunks(size) {
                write_frame(&mut ByteWriter::new(said), id, frame);
            }
        }
    }
}

//! Headers in front of every message once a channel is linked.
//!
//! | header | bytes | fields |
//! |---|---|---|
//! | mini | 6 | type u16, size u32 |
//! | full | 18 | serial u64, type u16, size u32, sub_list u32 |
//!
//! Mini headers are used when both sides announced `MINI_HEADER`. Serials count messages from 1, written or not.

use super::field::wire_struct;
use super::{Decode, Encode};
use crate::base::{ByteReader, ByteWriter};

wire_struct! {
    /// `SpiceMiniDataHeader`.
    MiniHeader {
        /// Number of the message.
        message_type: u16,
        /// Bytes of the body.
        size: u32,
    }
}

impl MiniHeader {
    /// Bytes on the wire.
    pub const SIZE: usize = 2 + 4;
}

wire_struct! {
    /// `SpiceDataHeader`.
    FullHeader {
        /// Number of the message in its direction, from 1.
        serial: u64,
        /// Number of the message.
        message_type: u16,
        /// Bytes of the body.
        size: u32,
        /// Where in the body a list of further messages lies; 0 is none.
        sub_list: u32,
    }
}

impl FullHeader {
    /// Bytes on the wire.
    pub const SIZE: usize = 8 + 2 + 4 + 4;
}

/// Bytes of the message at the start of `bytes`, its header included; `None` while the header is not whole.
pub fn message_bytes(mini: bool, bytes: &[u8]) -> Option<usize> {
    let mut reader = ByteReader::new(bytes);
    let (header, body) = if mini {
        (MiniHeader::SIZE, MiniHeader::decode(&mut reader).ok()?.size)
    } else {
        (FullHeader::SIZE, FullHeader::decode(&mut reader).ok()?.size)
    };
    header.checked_add(usize::try_from(body).ok()?)
}

/// Appends one message with its header to `out`; the body is written straight behind the header, whose size is
/// filled in afterwards.
pub fn write_message(
    out: &mut Vec<u8>,
    mini: bool,
    serial: u64,
    message_type: u16,
    body: impl FnOnce(&mut ByteWriter<'_>),
) {
    let start = out.len();
    let mut head = ByteWriter::new(out);
    let size_offset = if mini {
        MiniHeader {
            message_type,
            size: 0,
        }
        .encode(&mut head);
        size_of::<u16>()
    } else {
        FullHeader {
            serial,
            message_type,
            size: 0,
            sub_list: 0,
        }
        .encode(&mut head);
        size_of::<u64>().saturating_add(size_of::<u16>())
    };
    let mut writer = ByteWriter::new(out);
    body(&mut writer);
    let size = u32::try_from(writer.written()).unwrap_or(u32::MAX);
    let at = start.saturating_add(size_offset);
    if let Some(place) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = size.to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mini_header() {
        let mut out = vec![7];
        write_message(&mut out, true, 1, 0x0102, |writer| writer.u8(9));
        assert_eq!(out, [7, 2, 1, 1, 0, 0, 0, 9]);
        assert_eq!(
            MiniHeader::decode(&mut ByteReader::new(&out[1..])),
            Ok(MiniHeader {
                message_type: 0x0102,
                size: 1
            })
        );
        super::super::assert_truncations::<MiniHeader>(&out[1..7]);
    }

    #[test]
    fn full_header() {
        let mut out = Vec::new();
        write_message(&mut out, false, 5, 3, |writer| writer.u16(0xffff));
        assert_eq!(
            out,
            [
                5, 0, 0, 0, 0, 0, 0, 0, 3, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
            ]
        );
        assert_eq!(
            FullHeader::decode(&mut ByteReader::new(&out)),
            Ok(FullHeader {
                serial: 5,
                message_type: 3,
                size: 2,
                sub_list: 0
            })
        );
        super::super::assert_truncations::<FullHeader>(&out[..FullHeader::SIZE]);
    }
}

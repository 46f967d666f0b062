//! The SPICE codec: one file per channel, sans-IO.
//!
//! A message is a value that is encoded into and decoded from its body; the header around it is [`header`]'s.
//! Both directions are here for every message that the server speaks: the server encodes what a model client
//! decodes, so the round trip is the test. Layouts and numbers are those of `spice.proto` and `spice/enums.h`
//! (protocol 2.2): packed, little-endian. Pointers are offsets from the first byte of the body, 0 is none.
//!
//! INVARIANT: no bytes make a decoder panic, allocate more than a small multiple of their number, or read past
//! their end. Bytes behind a complete message are ignored: newer peers append fields.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod agent;
pub mod caps;
pub mod client_address;
pub mod common;
pub mod cursor;
pub mod display;
pub mod draw;
pub mod field;
pub mod header;
pub mod inputs;
pub mod link;
pub mod main;
pub mod playback;
pub mod port;
pub mod record;
pub mod sasl;
pub mod stream;

use crate::base::{ByteReader, ByteWriter, Truncated};

/// A value with a place on the wire.
pub trait Encode {
    /// Appends the value. A message's writer must have been made at the first byte of its body, because
    /// pointers inside it count from there.
    fn encode(&self, writer: &mut ByteWriter<'_>);
}

/// A value that can be read back; it may borrow from the bytes.
pub trait Decode<'a>: Sized {
    /// Reads the value and leaves the reader behind it.
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError>;
}

/// A message body with its number.
pub trait Message: Encode {
    /// Number of the message on its channel and in its direction.
    const TYPE: u16;
}

/// Why bytes are not the message that they claim to be. Always the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The body ends inside a field, a list or what a pointer leads to.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// No message of this channel and direction has the number.
    #[error("unknown message type {0}")]
    UnknownType(u16),
    /// A field holds what the protocol does not allow.
    #[error("{field} is {value}")]
    Invalid {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// The protocol allows it, this decoder does not know it.
    #[error("{field} {value} is not supported")]
    Unsupported {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
}

/// Checks one message both ways and at every truncation: `bytes` is the body on the wire.
#[cfg(test)]
pub(crate) fn assert_message<'a, M>(message: &M, message_type: u16, bytes: &'a [u8])
where
    M: Message + Decode<'a> + PartialEq + std::fmt::Debug,
{
    assert_eq!(M::TYPE, message_type, "number of {message:?}");
    // The message lies behind others in the output, its pointers must not notice.
    let mut out = vec![0xee; 3];
    message.encode(&mut ByteWriter::new(&mut out));
    assert_eq!(&out[3..], bytes, "encoding of {message:?}");
    let mut reader = ByteReader::new(bytes);
    assert_eq!(
        M::decode(&mut reader).as_ref(),
        Ok(message),
        "decoding of {message:?}"
    );
}

/// Checks that a message cut short at any length is an error.
#[cfg(test)]
pub(crate) fn assert_truncations<'a, M: Decode<'a> + std::fmt::Debug>(bytes: &'a [u8]) {
    for length in 0..bytes.len() {
        let cut = M::decode(&mut ByteReader::new(&bytes[..length]));
        assert!(
            matches!(cut, Err(WireError::Truncated(_))),
            "cut at {length}: {cut:?}"
        );
    }
}

/// One `(value, number, bytes)` line is a test of encoding, decoding, size and every truncation.
#[cfg(test)]
macro_rules! message_tests {
    ($($test:ident: $type:ty = $number:literal, $value:expr, [$($byte:expr),* $(,)?];)*) => {
        $(
            #[test]
            fn $test() {
                let parts: Vec<Vec<u8>> = vec![$(Vec::from($byte)),*];
                let bytes = parts.concat();
                $crate::wire::assert_message::<$type>(&$value, $number, &bytes);
                $crate::wire::assert_truncations::<$type>(&bytes);
            }
        )*
    };
}
#[cfg(test)]
pub(crate) use message_tests;

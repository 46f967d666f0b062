//! Bytes of a client to messages.
//!
//! The size in a header is checked before a byte of the body is kept, so a client that claims a gigabyte costs
//! nothing. Sub-lists (messages packed behind another one's body, full headers only) are a server's means; a client
//! that sends one is refused.

use crate::base::ByteReader;
use crate::wire::header::{FullHeader, MiniHeader};
use crate::wire::{Decode, WireError};

/// Why the byte stream of a client is no message stream; its fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A message is longer than its channel allows.
    #[error("message {message_type} of {size} bytes where {limit} are allowed")]
    TooLong {
        /// Its number.
        message_type: u16,
        /// Bytes that its header claims.
        size: u32,
        /// Bytes that the channel allows.
        limit: u32,
    },
    /// A sub-list from a client.
    #[error("message {0} carries a list of others")]
    SubList(u16),
}

/// Collects bytes and gives messages.
#[derive(Debug)]
pub struct Inbox {
    mini_header: bool,
    limit_bytes: u32,
    buffer: Vec<u8>,
    read: usize,
}

impl Inbox {
    /// An inbox for messages of at most `limit_bytes` (without header).
    pub const fn new(mini_header: bool, limit_bytes: u32) -> Self {
        Self {
            mini_header,
            limit_bytes,
            buffer: Vec::new(),
            read: 0,
        }
    }

    /// Takes in bytes as they arrive, in pieces of any size. Call [`next_message`](Self::next_message) until it has
    /// nothing before more bytes are given: then at most one message and one piece are kept.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete message: its number and body.
    ///
    /// # Errors
    /// [`FramingError`]; the stream cannot be read any further then.
    pub fn next_message(&mut self) -> Result<Option<(u16, &[u8])>, FramingError> {
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        let mut reader = ByteReader::new(rest);
        // A header that is not complete yet fails to decode.
        let Ok((message_type, size, sub_list)) = self.header(&mut reader) else {
            return Ok(None);
        };
        if self.limit_bytes < size {
            return Err(FramingError::TooLong {
                message_type,
                size,
                limit: self.limit_bytes,
            });
        }
        if sub_list != 0 {
            return Err(FramingError::SubList(message_type));
        }
        let Ok(body) = reader.bytes(size as usize) else {
            return Ok(None);
        };
        self.read += rest.len() - reader.remaining();
        Ok(Some((message_type, body)))
    }

    /// Bytes that are kept, those of messages that were read included.
    pub const fn kept_bytes(&self) -> usize {
        self.buffer.len()
    }

    fn header(&self, reader: &mut ByteReader<'_>) -> Result<(u16, u32, u32), WireError> {
        if self.mini_header {
            let header = MiniHeader::decode(reader)?;
            Ok((header.message_type, header.size, 0))
        } else {
            let header = FullHeader::decode(reader)?;
            Ok((header.message_type, header.size, header.sub_list))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header::write_message;

    fn stream(mini: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (serial, size) in [(1, 0), (2, 5), (3, 64)] {
            write_message(&mut bytes, mini, serial, 100 + size, |writer| {
                writer.bytes(&vec![7; usize::from(size)]);
            });
        }
        bytes
    }

    #[test]
    fn messages_survive_any_cutting() {
        for mini in [true, false] {
            let bytes = stream(mini);
            for piece in 1..bytes.len() {
                let (mut inbox, mut sizes) = (Inbox::new(mini, 64), Vec::new());
                for part in bytes.chunks(piece) {
                    inbox.push(part);
                    while let Some((message_type, body)) = inbox.next_message().unwrap() {
                        assert_eq!(usize::from(message_type), 100 + body.len());
                        sizes.push(body.len());
                    }
                }
                assert_eq!(sizes, [0, 5, 64], "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_claim_is_refused_at_its_header() {
        let mut inbox = Inbox::new(true, 64);
        inbox.push(&[9, 0, 65, 0, 0, 0]);
        assert_eq!(
            inbox.next_message(),
            Err(FramingError::TooLong {
                message_type: 9,
                size: 65,
                limit: 64
            })
        );
        let mut inbox = Inbox::new(false, 64);
        inbox.push(&[0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(inbox.next_message(), Err(FramingError::SubList(9)));
    }
}

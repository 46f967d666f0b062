//! Chunks of a client to whole messages.
//!
//! A stream of headers and bodies: where chunks are cut in it means nothing. Memory grows with what has come, and not
//! with what a header claims beyond [`BODY_BYTES_AHEAD`].

use super::AgentError;
use crate::base::limits::{
    AGENT_MESSAGE_MAX, CLIPBOARD_BYTES_MAX, CLIPBOARD_FIELDS_BYTES, FILE_DATA_BYTES_MAX,
};
use crate::base::{ByteReader, SharedBytes};
use crate::wire::agent::{AgentHeader, AgentType, PROTOCOL};
use crate::wire::{Decode, WireError};

/// Bytes of a body for which there is room from its first: spice-gtk's piece of a file. Growing to that by doubling
/// would leave half of it unused while it waits for the disk.
const BODY_BYTES_AHEAD: usize = 64 * 1024 + 12;

/// Why a message is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// It is longer than its kind may be.
    #[error("{size} bytes where {limit} are allowed")]
    TooLong {
        /// Bytes of its body.
        size: u32,
        /// Bytes that it may have.
        limit: u32,
    },
    /// It did not fit beside what other clients are sending.
    #[error("{size} bytes, which do not fit beside what other clients send")]
    NoRoom {
        /// Bytes of its body.
        size: u32,
    },
    /// It is not what it claims to be.
    #[error(transparent)]
    Malformed(WireError),
}

/// A message's kind, and its body or why it has none.
type Body = (AgentType, Result<SharedBytes, Skip>);

/// A message between its first byte and its last.
#[derive(Debug)]
struct Unfinished {
    message_type: AgentType,
    size: u32,
    /// Bytes that have not come.
    left: usize,
    skip: Option<Skip>,
}

/// Puts messages together.
#[derive(Debug)]
pub(super) struct Assembler {
    /// What there is of a header.
    head: Vec<u8>,
    /// What there is of a body that is kept.
    body: Vec<u8>,
    unfinished: Option<Unfinished>,
    clipboard_limit: u32,
    room: usize,
}

impl Assembler {
    pub(super) fn new(clipboard_limit: u32) -> Self {
        Self {
            head: Vec::new(),
            body: Vec::new(),
            unfinished: None,
            clipboard_limit: clipboard_limit.min(CLIPBOARD_BYTES_MAX),
            room: usize::MAX,
        }
    }

    pub(super) fn set_clipboard_limit(&mut self, bytes: u32) {
        self.clipboard_limit = bytes.min(CLIPBOARD_BYTES_MAX);
    }

    pub(super) const fn set_room(&mut self, bytes: usize) {
        self.room = bytes;
    }

    pub(super) const fn kept_bytes(&self) -> usize {
        self.body.len()
    }

    /// The kind of the message whose end has not come.
    pub(super) fn unfinished(&self) -> Option<AgentType> {
        self.unfinished
            .as_ref()
            .map(|unfinished| unfinished.message_type)
    }

    /// The client begins anew.
    pub(super) fn reset(&mut self) {
        self.head.clear();
        self.body = Vec::new();
        self.unfinished = None;
    }

    /// Takes bytes from the front of `rest` up to the end of a message, which is returned; or all of them.
    ///
    /// # Errors
    /// [`AgentError::Protocol`].
    pub(super) fn push(&mut self, rest: &mut &[u8]) -> Result<Option<Body>, AgentError> {
        if self.unfinished.is_none() {
            self.head
                .extend_from_slice(split_first(rest, AgentHeader::SIZE - self.head.len()));
            let Ok(header) = AgentHeader::decode(&mut ByteReader::new(&self.head)) else {
                return Ok(None);
            };
            self.head.clear();
            self.unfinished = Some(self.begin(&header)?);
        }
        let Some(unfinished) = &mut self.unfinished else {
            return Ok(None);
        };
        let piece = split_first(rest, unfinished.left);
        unfinished.left -= piece.len();
        if unfinished.skip.is_none() && self.room < self.body.len().saturating_add(piece.len()) {
            let size = unfinished.size;
            unfinished.skip = Some(Skip::NoRoom { size });
            self.body = Vec::new();
        }
        if unfinished.skip.is_none() {
            if self.body.is_empty() && unfinished.left != 0 {
                let rest = unfinished.left.saturating_add(piece.len());
                self.body.reserve_exact(rest.min(BODY_BYTES_AHEAD));
            }
            self.body.extend_from_slice(piece);
        }
        if unfinished.left != 0 {
            return Ok(None);
        }
        let body = SharedBytes::from(std::mem::take(&mut self.body));
        Ok(self.unfinished.take().map(|whole| {
            let body = whole.skip.map_or(Ok(body), Err);
            (whole.message_type, body)
        }))
    }

    fn begin(&self, header: &AgentHeader) -> Result<Unfinished, AgentError> {
        if header.protocol != PROTOCOL {
            return Err(AgentError::Protocol(header.protocol));
        }
        let AgentHeader {
            message_type, size, ..
        } = *header;
        let limit = self.limit(message_type);
        Ok(Unfinished {
            message_type,
            size,
            left: size as usize,
            skip: (limit < size).then_some(Skip::TooLong { size, limit }),
        })
    }

    const fn limit(&self, message_type: AgentType) -> u32 {
        match message_type {
            AgentType::CLIPBOARD => self.clipboard_limit.saturating_add(CLIPBOARD_FIELDS_BYTES),
            AgentType::FILE_XFER_DATA => FILE_DATA_BYTES_MAX,
            _ => AGENT_MESSAGE_MAX,
        }
    }
}

/// Takes `count` bytes from the front, or all.
fn split_first<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (first, behind) = rest.split_at(count.min(rest.len()));
    *rest = behind;
    first
}

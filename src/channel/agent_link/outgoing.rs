//! Messages for a client, cut into chunks as late as the socket takes them.
//!
//! The chunks of two messages are never mixed: the client could not tell them apart. What is short goes before what is
//! long and has not begun, except that messages about one selection keep their order.

use std::collections::VecDeque;

use super::flow::Flow;
use crate::base::Micros;
use crate::base::limits::{AGENT_OUTBOX_BYTES, AGENT_WAITING_BYTES_MAX, AGENT_WAITING_MAX};
use crate::channel::outbox::Outbox;
use crate::wire::Message;
use crate::wire::agent::{CHUNK_BYTES_MAX, Encoded, Selection};
use crate::wire::main::ServerAgentData;

#[derive(Debug)]
struct Waiting {
    encoded: Encoded,
    selection: Option<Selection>,
}

impl Waiting {
    fn size(&self) -> usize {
        self.encoded.head.len() + self.encoded.bulk.len()
    }

    fn is_long(&self) -> bool {
        CHUNK_BYTES_MAX < self.size()
    }

    /// The bytes behind the first `sent`, at most a chunk of them.
    fn chunk(&self, sent: usize) -> (&[u8], &[u8]) {
        let Encoded { head, bulk } = &self.encoded;
        let first = head.get(sent..).unwrap_or_default();
        let first = first.get(..CHUNK_BYTES_MAX).unwrap_or(first);
        let second = bulk
            .get(sent.saturating_sub(head.len())..)
            .unwrap_or_default();
        let room = CHUNK_BYTES_MAX - first.len();
        (first, second.get(..room).unwrap_or(second))
    }
}

/// What waits for the client.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The first may have begun.
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Bytes of the first that were sent.
    sent: usize,
    /// Chunks that the client takes.
    tokens: u32,
    flow: Flow,
}

impl Queue {
    pub(super) const fn start(&mut self, tokens: u32) {
        self.tokens = tokens;
    }

    pub(super) const fn add_tokens(&mut self, count: u32) {
        self.tokens = self.tokens.saturating_add(count);
    }

    /// Forgets everything; the client does, too.
    pub(super) fn stop(&mut self) {
        *self = Self {
            flow: std::mem::take(&mut self.flow),
            ..Self::default()
        };
    }

    pub(super) fn is_full(&self) -> bool {
        AGENT_WAITING_MAX <= self.waiting.len() || AGENT_WAITING_BYTES_MAX < self.waiting_bytes
    }

    pub(super) fn push(&mut self, encoded: Encoded, selection: Option<Selection>) {
        let new = Waiting { encoded, selection };
        self.waiting_bytes += new.size();
        let mut place = self.waiting.len();
        if !new.is_long() {
            let begun = usize::from(self.sent != 0);
            let others = self.waiting.iter().enumerate().skip(begun).rev();
            let passed = others
                .take_while(|(_, one)| selection.is_none() || one.selection != selection)
                .filter(|(_, one)| one.is_long());
            place = passed.last().map_or(place, |(at, _)| at);
        }
        self.waiting.insert(place, new);
    }

    pub(super) fn answered(&mut self, id: u32, rtt: Micros) {
        self.flow.answered(id, rtt);
    }

    pub(super) fn transmit(&mut self, now: Micros, outbox: &mut Outbox) -> bool {
        while let Some(first) = self.waiting.front() {
            if self.tokens == 0 || self.flow.window() <= outbox.unacked_messages() {
                return false;
            }
            if AGENT_OUTBOX_BYTES <= outbox.waiting_bytes() {
                return true;
            }
            if first.is_long() && self.flow.wants_ping() {
                self.flow.pinged(outbox.ping(now));
            }
            let (head, bulk) = first.chunk(self.sent);
            outbox.message(ServerAgentData::TYPE, |writer| {
                writer.bytes(head);
                writer.bytes(bulk);
            });
            self.tokens -= 1;
            self.sent += head.len() + bulk.len();
            if first.size() <= self.sent {
                self.waiting_bytes -= first.size();
                self.sent = 0;
                self.waiting.pop_front();
            }
        }
        false
    }
}

//! A client's agent messages on its main channel: chunks to messages, messages to chunks, tokens both ways.
//!
//! - From the client: a chunk costs it a token; tokens are given back in batches, and not while the link is
//!   [held](AgentLink::hold). A message is kept up to the limit of its kind; a longer one is passed over as it comes.
//! - To the client: chunks are *pulled* while little waits in the outbox, so what is long lies in memory once, at
//!   whoever has it. A message of several chunks goes only to clients that put them together; spice-html5 does not.
//!
//! `docs/agent.md` has the order of events.

mod flow;
mod incoming;
#[cfg(test)]
mod line_tests;
mod outgoing;
#[cfg(test)]
mod tests;

pub use incoming::Skip;

use super::outbox::Outbox;
use crate::base::Micros;
use crate::base::limits::{
    AGENT_TOKENS, AGENT_TOKENS_BATCH, AGENT_WAITING_BYTES_MAX, AGENT_WAITING_MAX,
};
use crate::wire::agent::{
    AgentMessage, AgentType, Announce, CHUNK_BYTES_MAX, ClipboardForm, PROTOCOL, Selection, caps,
};
use crate::wire::caps::Caps;
use crate::wire::link::LinkCode;
use crate::wire::main::{
    AgentConnected, AgentConnectedTokens, AgentDisconnected, ServerAgentToken,
};
use incoming::Assembler;
use outgoing::Queue;

/// What this desktop does as an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentServices {
    /// Selections are shared.
    pub clipboard: bool,
    /// Bytes of content that a client may send, within [`crate::base::limits::CLIPBOARD_BYTES_MAX`].
    pub clipboard_bytes_max: u32,
    /// Monitors follow the client's windows.
    pub resize: bool,
    /// Files are taken.
    pub uploads: bool,
    /// The client's volume is taken over.
    pub volume_sync: bool,
}

impl AgentServices {
    /// Whether there is an agent at all.
    pub const fn any(&self) -> bool {
        self.clipboard || self.resize || self.uploads || self.volume_sync
    }

    /// What is announced to clients.
    pub fn caps(&self) -> Caps {
        let mut bits = vec![caps::REPLY];
        if self.clipboard {
            bits.extend([
                caps::CLIPBOARD_BY_DEMAND,
                caps::CLIPBOARD_SELECTION,
                caps::GUEST_LINEEND_LF,
                caps::MAX_CLIPBOARD,
                caps::CLIPBOARD_NO_RELEASE_ON_REGRAB,
                caps::CLIPBOARD_GRAB_SERIAL,
            ]);
        }
        if self.resize {
            bits.extend([
                caps::MONITORS_CONFIG,
                caps::SPARSE_MONITORS_CONFIG,
                caps::MONITORS_CONFIG_POSITION,
            ]);
        }
        if self.volume_sync {
            bits.push(caps::AUDIO_VOLUME_SYNC);
        }
        bits.push(if self.uploads {
            caps::FILE_XFER_DETAILED_ERRORS
        } else {
            caps::FILE_XFER_DISABLED
        });
        Caps::of(&bits)
    }
}

/// What a client says to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// What it can; a client that says so again begins anew.
    Announced(Caps),
    /// A message; never an announcement.
    Message(AgentMessage),
    /// A message that is not taken.
    Skipped {
        /// Its kind.
        message_type: AgentType,
        /// Why.
        skip: Skip,
    },
}

/// Why agent data ends the connection; the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// A chunk longer than chunks are.
    #[error("agent data of {0} bytes where {CHUNK_BYTES_MAX} are allowed")]
    ChunkTooLong(usize),
    /// More chunks than it was allowed.
    #[error("agent data without a token for it")]
    NoToken,
    /// What should be a header is none; nothing behind it can be read.
    #[error("agent message of protocol {0} where {PROTOCOL} is spoken")]
    Protocol(u32),
    /// It has asked for more than it takes.
    #[error("{AGENT_WAITING_MAX} agent messages, or {AGENT_WAITING_BYTES_MAX} bytes of them, wait")]
    NotTaking,
}

/// One client's end of the agent.
#[derive(Debug)]
pub struct AgentLink {
    services: AgentServices,
    /// The client knows AGENT_CONNECTED_TOKENS.
    knows_tokens: bool,
    ours: Caps,
    /// What the client can; nothing before it has announced.
    theirs: Option<Caps>,
    assembler: Assembler,
    /// Chunks that the client may still send.
    granted: u32,
    /// Tokens that the client has used and not got back.
    used: u32,
    held: bool,
    queue: Queue,
    incoming: Vec<Incoming>,
}

impl AgentLink {
    /// The link of a client whose INIT is about to be sent, with [`AGENT_TOKENS`] in it.
    pub fn new(services: AgentServices, knows_tokens: bool) -> Self {
        Self {
            services,
            knows_tokens,
            ours: services.caps(),
            theirs: None,
            assembler: Assembler::new(services.clipboard_bytes_max),
            granted: AGENT_TOKENS,
            used: 0,
            held: false,
            queue: Queue::default(),
            incoming: Vec::new(),
        }
    }

    /// Whether an agent is there.
    pub const fn is_served(&self) -> bool {
        self.services.any()
    }

    /// The desktop does other things from now on. Returns whether the client has to begin anew, and nothing that it has
    /// announced holds any more.
    pub fn serve(&mut self, services: AgentServices, outbox: &mut Outbox) -> bool {
        let (was, is) = (self.services.any(), services.any());
        if services == self.services {
            return false;
        }
        self.services = services;
        self.ours = services.caps();
        self.assembler
            .set_clipboard_limit(services.clipboard_bytes_max);
        if was && is {
            if self.theirs.is_some() {
                self.announce(false);
            }
            return false;
        }
        self.theirs = None;
        self.assembler.reset();
        self.queue.stop();
        if is && self.knows_tokens {
            // The client starts counting at this. What it sent before may still be on its way.
            self.granted = self.granted.min(AGENT_TOKENS) + AGENT_TOKENS;
            self.used = 0;
            outbox.send(&AgentConnectedTokens {
                count: AGENT_TOKENS,
            });
        } else if is {
            outbox.send(&AgentConnected {});
            self.give_tokens_back(1, outbox);
        } else {
            outbox.send(&AgentDisconnected {
                reason: LinkCode::OK,
            });
        }
        !is
    }

    /// AGENT_START: the client begins, and takes that many chunks.
    pub fn start(&mut self, tokens: u32) {
        self.assembler.reset();
        self.queue.start(tokens);
    }

    /// AGENT_TOKEN: the client takes that many chunks more.
    pub const fn add_tokens(&mut self, count: u32) {
        self.queue.add_tokens(count);
    }

    /// Bytes that all unfinished messages of this client may take.
    pub const fn set_room(&mut self, bytes: usize) {
        self.assembler.set_room(bytes);
    }

    /// Bytes of an unfinished message.
    pub const fn kept_bytes(&self) -> usize {
        self.assembler.kept_bytes()
    }

    /// The kind of the message that has begun to arrive.
    pub fn unfinished(&self) -> Option<AgentType> {
        self.assembler.unfinished()
    }

    /// AGENT_DATA: a chunk. What it completes is there to [take](Self::take_incoming).
    ///
    /// # Errors
    /// [`AgentError`] ends the connection.
    pub fn receive(&mut self, chunk: &[u8], outbox: &mut Outbox) -> Result<(), AgentError> {
        if CHUNK_BYTES_MAX < chunk.len() {
            return Err(AgentError::ChunkTooLong(chunk.len()));
        }
        self.granted = self.granted.checked_sub(1).ok_or(AgentError::NoToken)?;
        self.used += 1;
        if self.is_served() {
            let mut rest = chunk;
            while let Some((message_type, body)) = self.assembler.push(&mut rest)? {
                let read = body.and_then(|body| {
                    AgentMessage::decode(message_type, body, self.form()).map_err(Skip::Malformed)
                });
                self.take(message_type, read);
            }
        }
        self.give_tokens_back(AGENT_TOKENS_BATCH, outbox);
        if self.queue.is_full() {
            return Err(AgentError::NotTaking);
        }
        Ok(())
    }

    fn take(&mut self, message_type: AgentType, read: Result<AgentMessage, Skip>) {
        let incoming = match read {
            Ok(AgentMessage::Announce(announce)) => {
                let first = self.theirs.is_none();
                self.theirs = Some(announce.caps.clone());
                if first || announce.request {
                    self.announce(false);
                }
                Incoming::Announced(announce.caps)
            }
            Ok(message) => Incoming::Message(message),
            Err(skip) => Incoming::Skipped { message_type, skip },
        };
        self.incoming.push(incoming);
    }

    /// What the client has said since this was last asked; empties the list.
    pub fn take_incoming(&mut self) -> Vec<Incoming> {
        std::mem::take(&mut self.incoming)
    }

    /// Gives no tokens back while what the client sends cannot be put anywhere.
    pub fn hold(&mut self, held: bool, outbox: &mut Outbox) {
        self.held = held;
        self.give_tokens_back(AGENT_TOKENS_BATCH, outbox);
    }

    /// Queues a message, unless the client could not understand it. Returns whether it is queued.
    pub fn send(&mut self, message: &AgentMessage) -> bool {
        let Some(theirs) = self.theirs.as_ref().filter(|_| self.is_served()) else {
            return false;
        };
        let form = self.form();
        let by_demand = theirs.has(caps::CLIPBOARD_BY_DEMAND);
        let understood = match message.selection() {
            Some(Selection::Clipboard) => by_demand,
            Some(_) => by_demand && form.selection,
            None => true,
        };
        if !understood {
            return false;
        }
        let encoded = message.encode(form);
        let is_long = CHUNK_BYTES_MAX < encoded.head.len().saturating_add(encoded.bulk.len());
        if is_long && !by_demand {
            return false;
        }
        self.queue.push(encoded, message.selection());
        true
    }

    /// Whether more waits for the client than may wait: it is to be closed.
    pub fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// Moves chunks into the outbox while little waits there. Returns whether there are more that could be sent now.
    pub fn transmit(&mut self, now: Micros, outbox: &mut Outbox) -> bool {
        self.queue.transmit(now, outbox)
    }

    /// A ping of the channel came back.
    pub fn answered(&mut self, id: u32, rtt: Micros) {
        self.queue.answered(id, rtt);
    }

    /// What both sides make of clipboard messages.
    fn form(&self) -> ClipboardForm {
        let theirs = self.theirs.as_ref();
        theirs.map_or_else(ClipboardForm::default, |theirs| {
            ClipboardForm::between(&self.ours, theirs)
        })
    }

    fn announce(&mut self, request: bool) {
        let caps = self.ours.clone();
        let message = AgentMessage::Announce(Announce { request, caps });
        self.queue.push(message.encode(self.form()), None);
    }

    fn give_tokens_back(&mut self, at_least: u32, outbox: &mut Outbox) {
        if at_least <= self.used && !self.held {
            let count = std::mem::take(&mut self.used);
            self.granted = self.granted.saturating_add(count);
            outbox.send(&ServerAgentToken { count });
        }
    }
}

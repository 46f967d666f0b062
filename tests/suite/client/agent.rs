//! The agent's side of a model client: announces, keeps to its tokens, puts messages together.
//!
//! spice-html5 takes each AGENT_DATA for a whole message, so one in pieces is a failure there.

use std::collections::VecDeque;

use caraway_server::base::{ByteReader, ByteWriter, SharedBytes};
use caraway_server::wire::agent::{
    AgentHeader, AgentMessage, Announce, CHUNK_BYTES_MAX, ClipboardForm, caps,
};
use caraway_server::wire::caps::Caps;
use caraway_server::wire::main::{AgentStart, ClientAgentData};
use caraway_server::wire::{Decode, Message};

use super::Profile;

/// What clients announce.
fn own_caps(profile: Profile) -> Caps {
    match profile {
        Profile::Gtk => Caps::of(&[0, 1, 2, 4, 5, 6, 12, 14, 16, 17]),
        Profile::Html5 => Caps::of(&[caps::MOUSE_STATE, caps::MONITORS_CONFIG, caps::REPLY]),
        Profile::Old => Caps::of(&[caps::REPLY, caps::CLIPBOARD_BY_DEMAND]),
    }
}

#[derive(Debug)]
pub(crate) struct AgentModel {
    profile: Profile,
    /// The server says that there is an agent.
    pub(crate) is_there: bool,
    /// Chunks that may be sent.
    pub(crate) tokens: u32,
    /// What the agent announced.
    pub(crate) theirs: Option<Caps>,
    /// Chunks for which there was no token.
    waiting: VecDeque<Vec<u8>>,
    /// Messages of the main channel that are to be sent.
    said: Vec<(u16, Vec<u8>)>,
    /// Bytes of a message that has not ended.
    partial: Vec<u8>,
    /// Chunks that came.
    pub(crate) chunks: u64,
    /// Messages that came, but announcements.
    pub(crate) heard: Vec<AgentMessage>,
}

impl AgentModel {
    pub(crate) const fn new(profile: Profile) -> Self {
        Self {
            profile,
            is_there: false,
            tokens: 0,
            theirs: None,
            waiting: VecDeque::new(),
            said: Vec::new(),
            partial: Vec::new(),
            chunks: 0,
            heard: Vec::new(),
        }
    }

    /// INIT, or AGENT_CONNECTED in either form.
    pub(crate) fn connected(&mut self, tokens: Option<u32>) {
        self.is_there = true;
        self.tokens = tokens.unwrap_or(self.tokens);
        self.say_raw(&AgentStart { count: u32::MAX });
        self.say(&AgentMessage::Announce(Announce {
            request: true,
            caps: own_caps(self.profile),
        }));
    }

    /// AGENT_DISCONNECTED.
    pub(crate) fn disconnected(&mut self) {
        self.is_there = false;
        self.theirs = None;
        self.partial.clear();
        self.waiting.clear();
    }

    /// AGENT_TOKEN.
    pub(crate) fn add_tokens(&mut self, count: u32) {
        self.tokens += count;
        self.send_waiting();
    }

    /// How clipboard messages begin.
    pub(crate) fn form(&self) -> ClipboardForm {
        let theirs = self.theirs.clone().unwrap_or_default();
        ClipboardForm::between(&own_caps(self.profile), &theirs)
    }

    pub(crate) fn say(&mut self, message: &AgentMessage) {
        let encoded = message.encode(self.form());
        let bytes = [&encoded.head, &*encoded.bulk].concat();
        let chunks = bytes.chunks(CHUNK_BYTES_MAX).map(<[u8]>::to_vec);
        self.waiting.extend(chunks);
        self.send_waiting();
    }

    /// Bytes of messages for which there was no token.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(Vec::len).sum()
    }

    /// What the client is to send on its main channel; empties the list.
    pub(crate) fn take_said(&mut self) -> Vec<(u16, Vec<u8>)> {
        std::mem::take(&mut self.said)
    }

    /// AGENT_DATA.
    pub(crate) fn hear(&mut self, chunk: &[u8]) {
        assert!(self.is_there, "there is no agent");
        assert!(chunk.len() <= CHUNK_BYTES_MAX, "{} bytes", chunk.len());
        self.chunks += 1;
        self.partial.extend_from_slice(chunk);
        while let Ok(header) = AgentHeader::decode(&mut ByteReader::new(&self.partial)) {
            let whole = AgentHeader::SIZE + header.size as usize;
            if self.partial.len() < whole {
                break;
            }
            let rest = self.partial.split_off(whole);
            let body = SharedBytes::from(self.partial.split_off(AgentHeader::SIZE));
            self.partial = rest;
            let message = AgentMessage::decode(header.message_type, body, self.form());
            match message.expect("a message of the agent") {
                AgentMessage::Announce(announce) => {
                    assert!(!announce.request, "both would ask for ever");
                    self.theirs = Some(announce.caps);
                }
                message => self.heard.push(message),
            }
        }
        let is_html5 = self.profile == Profile::Html5;
        assert!(!is_html5 || self.partial.is_empty(), "in pieces");
    }

    fn say_raw<M: Message>(&mut self, message: &M) {
        let mut body = Vec::new();
        message.encode(&mut ByteWriter::new(&mut body));
        self.said.push((M::TYPE, body));
    }

    fn send_waiting(&mut self) {
        while 0 < self.tokens
            && let Some(chunk) = self.waiting.pop_front()
        {
            self.tokens -= 1;
            self.say_raw(&ClientAgentData(&chunk));
        }
    }
}

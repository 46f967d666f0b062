//! Agent data of any bytes in any cutting, with tokens and services that come and go, and what must hold all the same.
//!
//! A script plays the client, and the parts of the agent that answer it. `tests/fuzz` feeds [`check`] with a fuzzer,
//! the tests here with random scripts and with those that a fuzzer once found.

use super::agent_link::{AgentError, AgentLink, AgentServices, Incoming};
use super::inbox::Inbox;
use super::outbox::Outbox;
use crate::base::limits::{AGENT_OUTBOX_BYTES, AGENT_TOKENS, AGENT_WAITING_MAX};
use crate::base::script::Script;
use crate::base::{ByteReader, Micros, SharedBytes};
use crate::wire::Decode;
use crate::wire::agent::{
    AgentHeader, AgentMessage, AgentType, Announce, CHUNK_BYTES_MAX, ClipboardData, ClipboardForm,
    ClipboardGrab, ClipboardType, Encoded, FileDetail, FileResult, FileStatus, PROTOCOL, Reply,
    ReplyCode, Selection,
};
use crate::wire::caps::Caps;
use crate::wire::main::ServerMessage;

/// Bytes of content that the desktop takes: little, so that scripts get over it.
const CLIPBOARD_BYTES: u32 = 5000;

/// The longest body of any kind but pieces of files, which are longer than scripts.
const BODY_MAX: usize = 1024 * 1024;

const SELECTIONS: [Selection; 3] = [
    Selection::Clipboard,
    Selection::Primary,
    Selection::Secondary,
];

/// Runs the client that `script` plays.
///
/// # Panics
///
/// Where the link breaks its promises; that is what tests and fuzzers look for.
pub fn check(script: &[u8]) {
    let mut play = Play::new(Script::new(script));
    while !play.script.is_empty() && play.step() {
        play.verify();
    }
    check_cutting(script);
}

fn services(bits: u8) -> AgentServices {
    AgentServices {
        clipboard: bits & 1 != 0,
        clipboard_bytes_max: CLIPBOARD_BYTES,
        resize: bits & 2 != 0,
        uploads: bits & 4 != 0,
        volume_sync: bits & 8 != 0,
    }
}

/// A link, its client, and what is known of both.
struct Play<'a> {
    script: Script<'a>,
    link: AgentLink,
    outbox: Outbox,
    inbox: Inbox,
    services: AgentServices,
    /// What the client announced, and puts together since.
    caps: Option<Caps>,
    /// Chunks that the client may send at least; less than none where it has sent on the tokens that it had not read.
    tokens: i64,
    /// Chunks that the link may send.
    given: u64,
    partial: Vec<u8>,
}

impl<'a> Play<'a> {
    fn new(mut script: Script<'a>) -> Self {
        let flags = script.u8();
        let services = services(flags);
        Self {
            script,
            link: AgentLink::new(services, flags & 16 != 0),
            outbox: Outbox::new(true, Micros(0)),
            inbox: Inbox::new(true, 64 * 1024),
            services,
            caps: None,
            tokens: AGENT_TOKENS.into(),
            given: 0,
            partial: Vec::new(),
        }
    }

    /// The next thing that happens; whether the client is connected still.
    fn step(&mut self) -> bool {
        match self.script.u8() % 10 {
            0 => {
                let count = self.script.number();
                self.link.start(count);
                self.given = count.into();
            }
            1 => {
                let count = self.script.number();
                self.link.add_tokens(count);
                self.given = (self.given + u64::from(count)).min(u32::MAX.into());
            }
            2 => {
                let held = self.script.u8() & 1 != 0;
                self.link.hold(held, &mut self.outbox);
            }
            3 => self.change_services(),
            4 | 5 => self.answer(),
            6 => {
                let count = self.script.u16();
                let chunk = self.script.bytes(usize::from(count)).to_vec();
                return self.say(&chunk);
            }
            7 => {
                let bits: Vec<u32> = (0..self.script.u8() % 8).map(|_| self.bit()).collect();
                return self.announce(Caps::of(&bits));
            }
            8 => return self.announce(Caps::of(&[0, 1, 2, 4, 5, 6, 12, 14, 16, 17])),
            _ => {
                let bytes = self.message();
                let size = 1 + usize::from(self.script.u16()) % CHUNK_BYTES_MAX;
                return bytes.chunks(size).all(|chunk| self.say(chunk));
            }
        }
        true
    }

    fn bit(&mut self) -> u32 {
        u32::from(self.script.u8() % 40)
    }

    /// A header that is a real one, and a body of some kind.
    fn message(&mut self) -> Vec<u8> {
        let message_type = self.script.u8() % 18;
        let claimed = self.script.number() % 20_000;
        let given = self.script.bytes(usize::from(self.script.clone().u8()));
        let header = [PROTOCOL, message_type.into(), 0, 0, claimed];
        let mut bytes = header.map(u32::to_le_bytes).concat();
        bytes.extend_from_slice(given);
        // All of it is there at times, else it goes on in what comes next.
        if claimed.is_multiple_of(2) {
            bytes.resize(AgentHeader::SIZE + claimed as usize, 1);
        }
        bytes
    }

    fn announce(&mut self, caps: Caps) -> bool {
        let message = AgentMessage::Announce(Announce {
            request: true,
            caps,
        });
        let Encoded { head, .. } = message.encode(ClipboardForm::default());
        self.say(&head)
    }

    fn say(&mut self, chunk: &[u8]) -> bool {
        let had = self.tokens;
        let result = self.link.receive(chunk, &mut self.outbox);
        match result {
            Ok(()) => self.tokens -= 1,
            Err(AgentError::ChunkTooLong(size)) => assert!(CHUNK_BYTES_MAX < size),
            Err(AgentError::NoToken) => assert!(had <= 0, "it had {had} tokens"),
            Err(AgentError::Protocol(protocol)) => assert_ne!(protocol, PROTOCOL),
            Err(AgentError::NotTaking) => assert!(self.link.is_full()),
        }
        for incoming in self.link.take_incoming() {
            assert!(self.services.any(), "nobody listens");
            match incoming {
                Incoming::Announced(caps) => self.caps = Some(caps),
                Incoming::Message(message) => {
                    assert!(!matches!(message, AgentMessage::Announce(_)));
                    if let AgentMessage::ClipboardData(content) = message {
                        // Without a selection four more bytes are content.
                        assert!(content.data.len() <= CLIPBOARD_BYTES as usize + 4);
                    }
                }
                Incoming::Skipped { skip, .. } => assert!(!skip.to_string().is_empty()),
            }
        }
        result.is_ok()
    }

    fn change_services(&mut self) {
        let services = services(self.script.u8());
        let anew = self.link.serve(services, &mut self.outbox);
        assert_eq!(anew, self.services.any() && !services.any());
        if self.services.any() != services.any() {
            self.caps = None;
            self.given = 0;
            self.partial.clear();
        }
        self.services = services;
    }

    /// A part says something.
    fn answer(&mut self) {
        let selection = self.script.pick(&SELECTIONS);
        let size = usize::from(self.script.u16()) % 9000;
        let message = match self.script.u8() % 4 {
            0 => AgentMessage::Reply(Reply {
                message_type: AgentType::MONITORS_CONFIG,
                code: ReplyCode::SUCCESS,
            }),
            1 => AgentMessage::FileStatus(FileStatus {
                id: 1,
                result: FileResult::ERROR,
                detail: FileDetail::GioError(3),
            }),
            2 => AgentMessage::ClipboardGrab(ClipboardGrab {
                selection,
                serial: 7,
                types: vec![ClipboardType::Png],
            }),
            _ => AgentMessage::ClipboardData(ClipboardData {
                selection,
                kind: ClipboardType::Utf8Text,
                data: vec![7; size].into(),
            }),
        };
        let sent = self.link.send(&message);
        let announced = self.caps.is_some() && self.services.any();
        assert!(announced || !sent, "the client has not announced");
        let is_plain = message.selection().is_none();
        assert!(sent || !announced || !is_plain, "a short answer is dropped");
    }

    /// What holds at any moment: and everything that waits is read.
    fn verify(&mut self) {
        assert!(self.link.kept_bytes() <= BODY_MAX);
        for _ in 0..AGENT_WAITING_MAX * 8 {
            let more = self.link.transmit(Micros(0), &mut self.outbox);
            let waiting = self.outbox.waiting_bytes();
            assert!(
                waiting < AGENT_OUTBOX_BYTES + 4 * CHUNK_BYTES_MAX,
                "{waiting}"
            );
            self.read();
            if !more {
                return;
            }
        }
        unreachable!("more without end");
    }

    fn read(&mut self) {
        let mut bytes = Vec::new();
        self.outbox.take_into(&mut bytes);
        self.inbox.push(&bytes);
        while let Ok(Some((number, body))) = self.inbox.next_message() {
            match ServerMessage::decode(number, body) {
                Ok(ServerMessage::AgentToken(tokens)) => {
                    self.tokens += i64::from(tokens.count);
                }
                Ok(ServerMessage::AgentConnectedTokens(tokens)) => {
                    self.tokens = tokens.count.into()
                }
                Ok(ServerMessage::AgentData(data)) => {
                    assert!(data.0.len() <= CHUNK_BYTES_MAX);
                    assert!(0 < self.given, "the client gave no token");
                    self.given -= 1;
                    self.partial.extend_from_slice(data.0);
                }
                _ => {}
            }
        }
        let _ = self.outbox.handle(Micros(0), 1, &[1, 0, 0, 0]);
        for _ in 0..8 {
            let _ = self.outbox.handle(Micros(0), 2, &[]);
        }
        self.put_together();
    }

    /// Whole messages leave `partial`; a client that does not put them together is sent whole ones.
    fn put_together(&mut self) {
        while let Ok(header) = AgentHeader::decode(&mut ByteReader::new(&self.partial)) {
            assert_eq!(header.protocol, PROTOCOL);
            let whole = AgentHeader::SIZE + header.size as usize;
            if self.partial.len() < whole {
                break;
            }
            self.partial.drain(..whole);
        }
    }
}

/// However the bytes of a script are cut, the same comes of them.
fn check_cutting(script: &[u8]) {
    let Some((cut, bytes)) = script.split_first() else {
        return;
    };
    let read = |size: usize| {
        let mut link = AgentLink::new(services(15), true);
        let mut outbox = Outbox::new(true, Micros(0));
        // The stream ends where a header is none: what comes before it counts.
        let end = bytes
            .chunks(size)
            .try_for_each(|chunk| link.receive(chunk, &mut outbox));
        let incoming = link.take_incoming();
        // Pieces that are told apart only by where the stream broke.
        (incoming, matches!(end, Err(AgentError::Protocol(_))))
    };
    let small = 1 + usize::from(*cut) * 8;
    if bytes.len() / small < AGENT_TOKENS as usize {
        assert_eq!(read(small), read(CHUNK_BYTES_MAX), "cut at {small}");
    }
    // The same bytes as one body, of any kind.
    for number in 0..18 {
        let body = SharedBytes::from(bytes.to_vec());
        let form = ClipboardForm {
            selection: cut & 1 != 0,
            grab_serial: cut & 2 != 0,
        };
        let _ = AgentMessage::decode(AgentType(number), body, form);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::corpus::{plant_seeds, replay_regressions};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn random_scripts_break_no_promise(script in prop::collection::vec(any::<u8>(), 0..400)) {
            check(&script);
        }

        /// A client that announces and starts, with anything after that.
        #[test]
        fn random_clients_break_no_promise(
            steps in prop::collection::vec((0u8..10, prop::collection::vec(any::<u8>(), 0..9)), 0..60),
        ) {
            let mut script = vec![31, 8, 0, 255, 255, 255, 255, 255];
            for (step, bytes) in steps {
                script.push(step);
                script.extend(bytes);
            }
            check(&script);
        }
    }

    #[test]
    fn seeds_break_no_promise() {
        let begun = [31, 8, 0, 255, 255, 255, 0, 0];
        let tails: [&[u8]; 6] = [
            &[],
            &[4, 0, 200, 20, 3, 5, 1, 9, 0, 2],
            &[9, 4, 255, 200, 40, 0, 0, 3, 1, 2, 3, 7, 0],
            &[3, 0, 3, 15, 8, 0, 9, 4, 0, 9, 9],
            &[2, 1, 9, 2, 20, 8, 0, 0, 0, 0, 9, 1, 2, 0, 9, 9, 9],
            &[6, 4, 0, 1, 0, 0, 0, 6, 16, 0, 2, 0, 0, 0],
        ];
        let seeds: Vec<Vec<u8>> = tails
            .iter()
            .map(|tail| [&begun[..], tail].concat())
            .collect();
        plant_seeds("agent", &seeds, check);
    }

    #[test]
    fn scripts_from_the_fuzzer_break_no_promise() {
        assert!(0 < replay_regressions("agent", check));
    }
}

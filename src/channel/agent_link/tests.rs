//! Chunks and tokens, with a client that puts together what it is sent.

use super::*;
use crate::base::limits::{AGENT_MESSAGE_MAX, AGENT_OUTBOX_BYTES, CLIPBOARD_FIELDS_BYTES};
use crate::base::{ByteReader, Micros, SharedBytes};
use crate::channel::Inbox;
use crate::wire::Decode;
use crate::wire::agent::{
    AgentHeader, ClipboardData, ClipboardGrab, ClipboardType, MaxClipboard, MonitorsConfig, Reply,
    ReplyCode,
};
use crate::wire::common::LAST_TYPE;
use crate::wire::main::ServerMessage;
use proptest::prelude::*;

const ALL: AgentServices = AgentServices {
    clipboard: true,
    clipboard_bytes_max: 100_000,
    resize: true,
    uploads: true,
    volume_sync: true,
};

/// Says what spice-gtk does.
fn gtk() -> Caps {
    Caps::of(&[0, 1, 2, 4, 5, 6, 12, 14, 16, 17])
}

/// A link with its client behind it.
struct Pair {
    link: AgentLink,
    outbox: Outbox,
    inbox: Inbox,
    form: ClipboardForm,
    /// Of the client.
    tokens: u32,
    /// Bytes of messages that have not ended.
    partial: Vec<u8>,
    chunks: u32,
    /// What the client was told.
    heard: Vec<AgentMessage>,
    /// Numbers of what else came.
    others: Vec<u16>,
}

impl Pair {
    fn new(services: AgentServices) -> Self {
        Self {
            link: AgentLink::new(services, true),
            outbox: Outbox::new(true, Micros(0)),
            inbox: Inbox::new(true, 64 * 1024),
            form: ClipboardForm::default(),
            tokens: AGENT_TOKENS,
            partial: Vec::new(),
            chunks: 0,
            heard: Vec::new(),
            others: Vec::new(),
        }
    }

    /// One that has begun, like spice-gtk.
    fn begun() -> Self {
        let mut pair = Self::new(ALL);
        pair.announce(gtk());
        pair.form = ClipboardForm::between(&ALL.caps(), &gtk());
        assert_eq!(pair.link.take_incoming(), [Incoming::Announced(gtk())]);
        pair.hear();
        pair.heard.clear();
        pair
    }

    fn announce(&mut self, caps: Caps) {
        self.link.start(u32::MAX);
        let request = true;
        self.say(&AgentMessage::Announce(Announce { request, caps }));
    }

    fn say(&mut self, message: &AgentMessage) {
        self.say_in(message, CHUNK_BYTES_MAX).unwrap();
    }

    fn say_in(&mut self, message: &AgentMessage, chunk: usize) -> Result<(), AgentError> {
        let encoded = message.encode(self.form);
        self.say_bytes(&[&encoded.head, &*encoded.bulk].concat(), chunk)
    }

    fn say_bytes(&mut self, bytes: &[u8], chunk: usize) -> Result<(), AgentError> {
        for chunk in bytes.chunks(chunk) {
            self.tokens -= 1;
            self.link.receive(chunk, &mut self.outbox)?;
            self.hear();
        }
        Ok(())
    }

    /// The messages that the client has said.
    fn said(&mut self) -> Vec<AgentMessage> {
        let incoming = self.link.take_incoming().into_iter();
        incoming
            .map(|one| match one {
                Incoming::Message(message) => message,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// Takes what waits, acknowledging like a client does.
    fn hear(&mut self) {
        loop {
            let more = self.link.transmit(Micros(0), &mut self.outbox);
            assert!(self.outbox.waiting_bytes() < AGENT_OUTBOX_BYTES + 2 * CHUNK_BYTES_MAX);
            let mut bytes = Vec::new();
            self.outbox.take_into(&mut bytes);
            self.inbox.push(&bytes);
            while let Some((number, body)) = self.inbox.next_message().unwrap() {
                let agent = match ServerMessage::decode(number, body) {
                    Ok(ServerMessage::AgentData(data)) => data.0,
                    Ok(ServerMessage::AgentToken(token)) => {
                        self.tokens += token.count;
                        continue;
                    }
                    _ if number <= LAST_TYPE => continue,
                    _ => {
                        self.others.push(number);
                        continue;
                    }
                };
                assert!(agent.len() <= CHUNK_BYTES_MAX);
                self.chunks += 1;
                self.partial.extend_from_slice(agent);
            }
            self.outbox.handle(Micros(0), 1, &[1, 0, 0, 0]).unwrap();
            for _ in 0..16 {
                self.outbox.handle(Micros(0), 2, &[]).unwrap();
            }
            self.put_together();
            if !more {
                return;
            }
        }
    }

    fn put_together(&mut self) {
        while let Ok(header) = AgentHeader::decode(&mut ByteReader::new(&self.partial)) {
            let whole = AgentHeader::SIZE + header.size as usize;
            if self.partial.len() < whole {
                return;
            }
            let rest = self.partial.split_off(whole);
            let body = SharedBytes::from(self.partial.split_off(AgentHeader::SIZE));
            self.partial = rest;
            let message = AgentMessage::decode(header.message_type, body, self.form);
            self.heard.push(message.unwrap());
        }
    }
}

fn content(bytes: usize, selection: Selection) -> AgentMessage {
    let data: Vec<u8> = (0..bytes).map(|at| (at / 7) as u8).collect();
    AgentMessage::ClipboardData(ClipboardData {
        selection,
        kind: ClipboardType::Utf8Text,
        data: data.into(),
    })
}

fn grab(selection: Selection) -> AgentMessage {
    AgentMessage::ClipboardGrab(ClipboardGrab {
        selection,
        serial: 0,
        types: vec![ClipboardType::Utf8Text],
    })
}

fn reply() -> AgentMessage {
    AgentMessage::Reply(Reply {
        message_type: AgentType::MONITORS_CONFIG,
        code: ReplyCode::SUCCESS,
    })
}

#[test]
fn an_announcement_is_answered() {
    let mut pair = Pair::new(ALL);
    assert!(!pair.link.send(&reply()), "nothing before it has announced");
    pair.announce(gtk());
    let answer = AgentMessage::Announce(Announce {
        request: false,
        caps: ALL.caps(),
    });
    assert_eq!(pair.heard, [answer]);
    assert_eq!(pair.chunks, 1);
}

#[test]
fn services_are_announced_as_they_are() {
    let files = AgentServices {
        uploads: true,
        ..AgentServices::default()
    };
    let has = |services: AgentServices, bit| services.caps().has(bit);
    assert!(!AgentServices::default().any() && files.any());
    assert!(!has(files, caps::MONITORS_CONFIG) && !has(files, caps::CLIPBOARD_BY_DEMAND));
    assert!(!has(files, caps::FILE_XFER_DISABLED) && !has(ALL, caps::FILE_XFER_DISABLED));
    assert!(has(AgentServices::default(), caps::FILE_XFER_DISABLED));
    assert!(has(ALL, caps::MONITORS_CONFIG) && has(ALL, caps::CLIPBOARD_GRAB_SERIAL));
}

#[test]
fn content_crosses_both_ways() {
    let mut pair = Pair::begun();
    let content = content(99_999, Selection::Primary);
    pair.say(&content);
    assert_eq!(pair.said(), std::slice::from_ref(&content));
    assert!(pair.link.send(&content));
    pair.hear();
    assert_eq!(pair.heard, [content]);
    assert_eq!(pair.chunks, 1 + 99_999_u32.div_ceil(2048));
}

#[test]
fn who_sends_without_tokens_is_ended() {
    let mut pair = Pair::begun();
    pair.link.hold(true, &mut pair.outbox);
    let message = AgentMessage::MaxClipboard(MaxClipboard { max: 1 });
    while 0 < pair.tokens {
        pair.say(&message);
    }
    pair.tokens = 1;
    let ended = pair.say_in(&message, CHUNK_BYTES_MAX);
    assert_eq!(ended, Err(AgentError::NoToken));
}

#[test]
fn tokens_come_back_in_batches_and_all_of_them() {
    let mut pair = Pair::begun();
    let message = AgentMessage::MonitorsConfig(MonitorsConfig::default());
    for _ in 0..AGENT_TOKENS * 3 {
        pair.say(&message);
        assert!(AGENT_TOKENS - pair.tokens <= AGENT_TOKENS_BATCH);
    }
    pair.link.hold(true, &mut pair.outbox);
    (0..AGENT_TOKENS_BATCH * 2).for_each(|_| pair.say(&message));
    let held = pair.tokens;
    assert!(held <= AGENT_TOKENS - AGENT_TOKENS_BATCH * 2);
    pair.link.hold(false, &mut pair.outbox);
    pair.hear();
    assert_eq!(pair.tokens, AGENT_TOKENS);
}

#[test]
fn what_is_too_long_is_passed_over_and_kept_nowhere() {
    let mut pair = Pair::begun();
    let most = ALL.clipboard_bytes_max as usize;
    pair.say(&content(most + 1, Selection::Clipboard));
    assert_eq!(pair.link.assembler.kept_bytes(), 0);
    let size = ALL.clipboard_bytes_max + 1 + CLIPBOARD_FIELDS_BYTES;
    let skip = Skip::TooLong {
        size,
        limit: size - 1,
    };
    let message_type = AgentType::CLIPBOARD;
    assert_eq!(
        pair.link.take_incoming(),
        [Incoming::Skipped { message_type, skip }]
    );
    pair.say(&grab(Selection::Clipboard));
    assert_eq!(pair.said(), [grab(Selection::Clipboard)]);
}

#[test]
fn what_does_not_fit_beside_others_is_passed_over() {
    let mut pair = Pair::begun();
    pair.link.set_room(10_000);
    let message = content(20_000, Selection::Clipboard);
    let encoded = message.encode(pair.form);
    let bytes = [&encoded.head, &*encoded.bulk].concat();
    for chunk in bytes.chunks(CHUNK_BYTES_MAX) {
        pair.say_bytes(chunk, CHUNK_BYTES_MAX).unwrap();
        assert!(pair.link.kept_bytes() <= 10_000);
    }
    let incoming = pair.link.take_incoming();
    assert!(
        matches!(
            incoming[..],
            [Incoming::Skipped {
                skip: Skip::NoRoom { .. },
                ..
            }]
        ),
        "{incoming:?}"
    );
}

#[test]
fn malformed_messages_are_passed_over_and_lost_streams_end() {
    let mut pair = Pair::begun();
    let header = |protocol: u32, kind: u32, size: u32| {
        [protocol, kind, 0, 0, size].map(u32::to_le_bytes).concat()
    };
    let config = [header(1, 2, 8), vec![9, 0, 0, 0, 0, 0, 0, 0]].concat();
    pair.say_bytes(&config, CHUNK_BYTES_MAX).unwrap();
    pair.say_bytes(&header(1, 77, 0), CHUNK_BYTES_MAX).unwrap();
    let long = [header(1, 2, AGENT_MESSAGE_MAX + 1), vec![0; 8193]].concat();
    pair.say_bytes(&long, CHUNK_BYTES_MAX).unwrap();
    let kinds = pair.link.take_incoming().into_iter().map(|one| match one {
        Incoming::Skipped { message_type, skip } => (message_type.0, skip),
        other => panic!("{other:?}"),
    });
    let kinds: Vec<_> = kinds.collect();
    assert!(matches!(
        kinds[..],
        [
            (2, Skip::Malformed(_)),
            (77, Skip::Malformed(_)),
            (2, Skip::TooLong { .. })
        ]
    ));
    assert_eq!(
        pair.say_bytes(&header(2, 2, 0), CHUNK_BYTES_MAX),
        Err(AgentError::Protocol(2))
    );
    assert_eq!(
        pair.link.receive(&[0; 2049], &mut pair.outbox),
        Err(AgentError::ChunkTooLong(2049))
    );
}

#[test]
fn short_goes_before_long_that_has_not_begun() {
    let mut pair = Pair::begun();
    pair.link.start(2);
    let (clipboard, primary) = (Selection::Clipboard, Selection::Primary);
    let first = content(9000, clipboard);
    assert!(pair.link.send(&first));
    pair.hear();
    assert_eq!(pair.chunks, 3, "two of them, and the announcement");
    let second = content(5000, primary);
    for message in [&second, &grab(primary), &reply(), &grab(clipboard)] {
        assert!(pair.link.send(message));
    }
    pair.link.add_tokens(u32::MAX);
    pair.hear();
    let expected = [first, reply(), grab(clipboard), second, grab(primary)];
    assert_eq!(pair.heard, expected);
}

#[test]
fn nothing_is_said_that_the_client_cannot_read() {
    let mut pair = Pair::new(ALL);
    // spice-html5: no clipboard, and it does not put chunks together.
    pair.announce(Caps::of(&[0, 1, 2]));
    pair.hear();
    assert!(pair.link.send(&reply()));
    assert!(!pair.link.send(&grab(Selection::Clipboard)));
    assert!(!pair.link.send(&content(9, Selection::Clipboard)));
    let long = AgentMessage::FileData(crate::wire::agent::FileData {
        id: 1,
        data: vec![0; 4000].into(),
    });
    assert!(!pair.link.send(&long));
    let mut old = Pair::new(ALL);
    old.announce(Caps::of(&[caps::CLIPBOARD_BY_DEMAND]));
    assert!(old.link.send(&grab(Selection::Clipboard)));
    assert!(!old.link.send(&grab(Selection::Primary)));
}

#[test]
fn who_takes_nothing_fills_no_memory() {
    let mut pair = Pair::begun();
    pair.link.start(0);
    let mut sent = 0;
    while !pair.link.is_full() {
        assert!(pair.link.send(&reply()));
        sent += 1;
    }
    assert_eq!(sent, AGENT_WAITING_MAX);
    let message = AgentMessage::MaxClipboard(MaxClipboard { max: 1 });
    let ended = pair.say_in(&message, CHUNK_BYTES_MAX);
    assert_eq!(ended, Err(AgentError::NotTaking));
}

#[test]
fn services_come_and_go() {
    let none = AgentServices::default();
    let mut pair = Pair::begun();
    pair.say_bytes(&[1, 0, 0, 0], CHUNK_BYTES_MAX).unwrap();
    assert!(pair.link.serve(none, &mut pair.outbox), "it begins anew");
    assert!(!pair.link.send(&reply()));
    // Still on its way when the client is told.
    pair.say(&grab(Selection::Clipboard));
    assert_eq!(pair.link.take_incoming(), []);
    assert!(!pair.link.serve(ALL, &mut pair.outbox));
    pair.hear();
    assert_eq!(pair.others[..], [108, 115]);
    pair.tokens = AGENT_TOKENS;
    pair.announce(gtk());
    pair.say(&grab(Selection::Clipboard));
    let incoming = pair.link.take_incoming();
    let expected = [
        Incoming::Announced(gtk()),
        Incoming::Message(grab(Selection::Clipboard)),
    ];
    assert_eq!(incoming, expected);
    // Less than before, but an agent still: only what it can is told.
    pair.hear();
    pair.heard.clear();
    let less = AgentServices {
        uploads: false,
        ..ALL
    };
    assert!(!pair.link.serve(less, &mut pair.outbox));
    pair.hear();
    let caps = less.caps();
    let told = AgentMessage::Announce(Announce {
        request: false,
        caps,
    });
    assert_eq!(pair.heard, [told]);
}

#[test]
fn clients_without_tokens_in_the_news_keep_theirs() {
    let mut pair = Pair::new(AgentServices::default());
    pair.link.knows_tokens = false;
    pair.say_bytes(&[0; 9], 1).unwrap();
    pair.link.serve(ALL, &mut pair.outbox);
    pair.hear();
    assert_eq!(pair.others[..], [107]);
    assert_eq!(pair.tokens, AGENT_TOKENS, "what it lost is given back");
}

proptest! {
    /// However a client cuts its messages, they come out the same.
    #[test]
    fn any_cutting_gives_the_same(
        sizes in prop::collection::vec(0usize..5000, 1..6), chunk in 1usize..=CHUNK_BYTES_MAX,
    ) {
        let mut pair = Pair::begun();
        let messages: Vec<_> =
            sizes.iter().map(|size| content(*size, Selection::Clipboard)).collect();
        let mut bytes = Vec::new();
        for message in &messages {
            let encoded = message.encode(pair.form);
            bytes.extend_from_slice(&encoded.head);
            bytes.extend_from_slice(&encoded.bulk);
        }
        pair.say_bytes(&bytes, chunk).unwrap();
        prop_assert_eq!(pair.said(), messages);
    }

    /// Whatever waits and however many tokens there are at a time, all of it arrives, and each whole.
    #[test]
    fn any_queue_arrives_whole(
        sizes in prop::collection::vec(0usize..9000, 1..9), tokens in 1u32..7,
    ) {
        let mut pair = Pair::begun();
        pair.link.start(0);
        let mut messages: Vec<_> =
            sizes.iter().map(|size| content(*size, Selection::Primary)).collect();
        for message in &messages {
            prop_assert!(pair.link.send(message));
            pair.hear();
            pair.link.add_tokens(tokens);
        }
        for _ in 0..60 {
            pair.link.add_tokens(tokens);
            pair.hear();
        }
        prop_assert_eq!(&pair.heard, &messages, "in order for one selection");
        messages.clear();
    }
}

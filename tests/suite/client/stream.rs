//! The messages of one channel as a client sees them: framing, acknowledgements, pongs.

use caraway_server::base::{ByteReader, ByteWriter};
use caraway_server::wire::common::{Ack, AckSync, LAST_TYPE, Pong, ServerMessage};
use caraway_server::wire::header::{FullHeader, MiniHeader, write_message};
use caraway_server::wire::{Decode, Encode, Message};

/// The largest message that the server has a reason to send.
const MESSAGE_MAX: u32 = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Stream {
    mini: bool,
    answers: bool,
    buffer: Vec<u8>,
    sent: u64,
    /// Messages that came.
    pub(crate) received: u64,
    /// What an administrator has said.
    pub(crate) notices: Vec<String>,
    pub(crate) pings: u64,
    /// Messages for each ACK, and those until the next one; 0 before SET_ACK.
    window: u32,
    until_ack: u32,
}

impl Stream {
    pub(crate) const fn new(mini: bool, answers: bool) -> Self {
        Self {
            mini,
            answers,
            buffer: Vec::new(),
            sent: 0,
            received: 0,
            notices: Vec::new(),
            pings: 0,
            window: 0,
            until_ack: 0,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    pub(crate) const fn is_mini(&self) -> bool {
        self.mini
    }

    /// The next whole message.
    pub(crate) fn next(&mut self) -> Option<(u16, Vec<u8>)> {
        let mut reader = ByteReader::new(&self.buffer);
        let (number, size) = if self.mini {
            let header = MiniHeader::decode(&mut reader).ok()?;
            (header.message_type, header.size)
        } else {
            let header = FullHeader::decode(&mut reader).ok()?;
            assert_eq!(header.serial, self.received + 1, "serials count messages");
            assert_eq!(header.sub_list, 0, "no sub-lists");
            (header.message_type, header.size)
        };
        assert!(size <= MESSAGE_MAX, "message {number} of {size} bytes");
        let body = reader.bytes(size as usize).ok()?.to_vec();
        let used = self.buffer.len() - reader.remaining();
        self.buffer.drain(..used);
        if self.received == 0 {
            assert_eq!(number, 3, "SET_ACK is the first message");
        }
        self.received += 1;
        Some((number, body))
    }

    /// What spice-gtk says to a message at once.
    pub(crate) fn answers(&mut self, number: u16, body: &[u8]) -> Vec<Vec<u8>> {
        let mut answers = Vec::new();
        if 0 < self.until_ack {
            self.until_ack -= 1;
            if self.until_ack == 0 {
                self.until_ack = self.window;
                answers.push(self.message(&Ack {}));
            }
        }
        if number <= LAST_TYPE {
            let message = ServerMessage::decode(number, body).expect("a common message");
            assert_same(&message, body);
            match message {
                ServerMessage::SetAck(set) => {
                    (self.window, self.until_ack) = (set.window, set.window);
                    let generation = set.generation;
                    answers.push(self.message(&AckSync { generation }));
                }
                ServerMessage::Ping(ping) => {
                    self.pings += 1;
                    let (id, timestamp) = (ping.id, ping.timestamp);
                    answers.push(self.message(&Pong { id, timestamp }));
                }
                ServerMessage::Notify(notify) => {
                    let words = std::str::from_utf8(notify.message).expect("words");
                    self.notices.push(words.to_owned());
                }
                other => unreachable!("the server has no reason to say {other:?}"),
            }
        }
        if !self.answers {
            answers.clear();
        }
        answers
    }

    pub(crate) fn message<M: Message>(&mut self, message: &M) -> Vec<u8> {
        self.raw(M::TYPE, |writer| message.encode(writer))
    }

    pub(crate) fn raw(&mut self, number: u16, body: impl FnOnce(&mut ByteWriter<'_>)) -> Vec<u8> {
        self.sent += 1;
        let mut bytes = Vec::new();
        write_message(&mut bytes, self.mini, self.sent, number, body);
        bytes
    }
}

/// The body has nothing that the message does not say.
pub(crate) fn assert_same(message: &impl Encode, body: &[u8]) {
    let mut again = Vec::new();
    message.encode(&mut ByteWriter::new(&mut again));
    assert_eq!(again, body, "bytes that say nothing");
}

/// A message without anything behind it.
pub(crate) fn exactly<'a, M: Decode<'a> + Encode>(body: &'a [u8]) -> M {
    let message = M::decode(&mut ByteReader::new(body)).expect("a message of its number");
    assert_same(&message, body);
    message
}

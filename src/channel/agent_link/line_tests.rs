//! How fast content gets to a client, and how much of it waits on the line in front of what else uses it.

use super::*;
use crate::base::ByteReader;
use crate::wire::Decode;
use crate::wire::agent::{ClipboardData, ClipboardType};
use crate::wire::common::Ping;
use crate::wire::header::MiniHeader;
use crate::wire::{Encode, Message};
use std::collections::BTreeSet;

/// What comes back from the client, by number of the message and id of a ping.
type Answers = BTreeSet<(Micros, u16, u32)>;

/// A line: bytes a second, and the time there and back.
struct Line {
    rate: u64,
    rtt: Micros,
    free_at: Micros,
    unacked: u32,
}

impl Line {
    /// Sends whole messages; what they bring back comes in time.
    fn carry(&mut self, now: Micros, bytes: &[u8], answers: &mut Answers) {
        let reader = &mut ByteReader::new(bytes);
        while let Ok(header) = MiniHeader::decode(reader) {
            let body = reader.bytes(header.size as usize).unwrap();
            let span = (body.len() as u64 + 6) * 1_000_000 / self.rate;
            self.free_at = self.free_at.max(now) + Micros(span);
            let back = self.free_at + self.rtt;
            self.unacked += 1;
            if self.unacked == 20 {
                self.unacked = 0;
                // One at a time: a set keeps no two of the same.
                answers.insert((back, 2, header.size + answers.len() as u32));
            }
            if header.message_type == Ping::TYPE {
                let ping = Ping::decode(&mut ByteReader::new(body)).unwrap();
                answers.insert((back, 3, ping.id));
            }
        }
    }
}

/// Sends `bytes` of content. The time that it takes, and what waits on the line at most in the later half.
fn paste(rate: u64, rtt: Micros, bytes: usize) -> (Micros, Micros) {
    let services = AgentServices {
        clipboard: true,
        clipboard_bytes_max: 0,
        ..AgentServices::default()
    };
    let mut link = AgentLink::new(services, true);
    let mut outbox = Outbox::new(true, Micros(0));
    outbox.handle(Micros(0), 1, &[1, 0, 0, 0]).unwrap();
    link.start(u32::MAX);
    let caps = services.caps();
    let request = false;
    let hello = AgentMessage::Announce(Announce { request, caps });
    let hello = hello.encode(ClipboardForm::default());
    link.receive(&hello.head, &mut outbox).unwrap();
    assert!(link.send(&AgentMessage::ClipboardData(ClipboardData {
        selection: Selection::Clipboard,
        kind: ClipboardType::Utf8Text,
        data: vec![7; bytes].into(),
    })));
    let mut line = Line {
        rate,
        rtt,
        free_at: Micros(0),
        unacked: 0,
    };
    let (mut answers, mut now, mut queue_max, mut sent) = (Answers::new(), Micros(0), 0, 0);
    loop {
        while link.transmit(now, &mut outbox) || !outbox.is_empty() {
            let mut out = Vec::new();
            outbox.take_into(&mut out);
            sent += out.len();
            line.carry(now, &out, &mut answers);
        }
        if bytes / 2 < sent && sent < bytes {
            queue_max = queue_max.max(line.free_at.since(now).0);
        }
        let Some((at, number, id)) = answers.pop_first() else {
            break;
        };
        now = at;
        let mut body = Vec::new();
        if number == 3 {
            let writer = &mut crate::base::ByteWriter::new(&mut body);
            id.encode(writer);
            0_u64.encode(writer);
        }
        if let crate::channel::Answer::Pong { id, rtt } = outbox.handle(now, number, &body).unwrap()
        {
            link.answered(id, rtt);
        }
    }
    assert!(bytes <= sent, "{sent} of {bytes} bytes");
    (line.free_at, Micros(queue_max))
}

#[test]
fn content_fills_a_line_and_leaves_room_on_it() {
    let ms = Micros::from_millis;
    // 100 Mbit/s over 80 ms: 2.4 s at best, 30 s with the reference server's window.
    let (took, queue) = paste(12_500_000, ms(80), 30_000_000);
    assert!(took < ms(4000), "{took:?}");
    assert!(queue < ms(40), "{queue:?}");
    // The house: 0.8 s at best.
    let (took, queue) = paste(12_500_000, ms(1), 10_000_000);
    assert!(took < ms(1000), "{took:?}");
    assert!(queue < ms(25), "{queue:?}");
    // 10 Mbit/s over 20 ms: the least window is more than the line holds, and no more than that waits.
    let (took, queue) = paste(1_250_000, ms(20), 2_000_000);
    assert!(took < ms(1800), "{took:?}");
    assert!(queue < ms(70), "{queue:?}");
}

//! Turns, holding and who is to blame for it. Every interleaving is `hostile_webdav`'s.

use super::*;
use crate::base::limits::FOLDER_STALL_MAX;
use crate::base::{ByteReader, ByteWriter};
use crate::channel::Inbox;
use crate::wire::Decode;
use crate::wire::port::MuxHeader;

struct Peer {
    folder: WebdavChannel,
    outbox: Outbox,
    now: Micros,
}

impl Peer {
    fn new() -> Self {
        let mut outbox = Outbox::new(true, Micros(0));
        let folder = WebdavChannel::start(&mut outbox);
        outbox.take_into(&mut Vec::new());
        Self {
            folder,
            outbox,
            now: Micros(0),
        }
    }

    fn connect(&mut self) -> StreamId {
        self.folder.connect(self.now).unwrap()
    }

    /// Stream and size of each frame that is sent now.
    fn frames(&mut self) -> Vec<(StreamId, u16)> {
        while self
            .folder
            .transmit(self.now, &mut self.outbox, &mut Vec::new())
        {}
        let (mut bytes, mut inbox) = (Vec::new(), Inbox::new(true, 1 << 20));
        self.outbox.take_into(&mut bytes);
        inbox.push(&bytes);
        let mut frames = Vec::new();
        while let Some((_, body)) = inbox.next_message().unwrap() {
            let header = MuxHeader::decode(&mut ByteReader::new(body)).unwrap();
            frames.push((StreamId(header.id), header.size));
        }
        frames
    }

    fn answer(&mut self, id: StreamId, bytes: &[u8]) -> Vec<StreamId> {
        let (mut frame, mut news) = (Vec::new(), Vec::new());
        write_frame(&mut ByteWriter::new(&mut frame), id.0, bytes);
        let handled = self.folder.handle(self.now, 101, &frame, &mut news);
        assert_eq!(handled, Ok(()));
        news
    }

    fn fill(&mut self, id: StreamId) {
        while !self.folder.is_held() {
            self.answer(id, &[0; FRAME_BYTES_MAX]);
        }
    }

    fn wait(&mut self) {
        self.now = self.now + FOLDER_STALL_MAX;
    }
}

#[test]
fn streams_send_in_turn() {
    let mut peer = Peer::new();
    let ids: Vec<StreamId> = (0..3).map(|_| peer.connect()).collect();
    for _ in 0..2 {
        for id in &ids {
            peer.folder.give(*id, &[1; 1000]);
        }
        let frames: Vec<_> = ids.iter().map(|id| (*id, 1000)).collect();
        assert_eq!(peer.frames(), frames);
    }
    // One that always has something is not served twice before the others.
    peer.folder.give(ids[0], &[1; FRAME_BYTES_MAX]);
    peer.folder.give(ids[0], &[1; 10]);
    peer.folder.give(ids[2], &[1; 5]);
    let frames = peer.frames();
    assert_eq!(frames, [(ids[0], u16::MAX), (ids[2], 5), (ids[0], 10)]);
}

#[test]
fn a_client_that_acknowledges_nothing_is_sent_no_more() {
    let mut peer = Peer::new();
    let id = peer.connect();
    let mut sent = 0;
    for _ in 0..1000 {
        let room = peer.folder.room(id).unwrap();
        peer.folder.give(id, &vec![1; room]);
        sent += peer.frames().len();
    }
    assert!(sent < 50, "{sent} frames");
    assert_eq!(peer.folder.room(id), Some(0), "and its program waits");
}

#[test]
fn news_comes_when_there_is_something_to_do() {
    let mut peer = Peer::new();
    let id = peer.connect();
    assert_eq!(peer.answer(id, b"one"), [id]);
    assert_eq!(peer.answer(id, b"two"), [], "it has not taken the first");
    let taken = peer.folder.take(id, peer.now);
    assert_eq!(taken, Taken::Bytes(b"onetwo".to_vec()));
    assert_eq!(peer.folder.take(id, peer.now), Taken::Nothing);
    assert_eq!(peer.answer(id, b""), [id]);
    assert_eq!(peer.folder.take(id, peer.now), Taken::Ended);
    assert_eq!(peer.folder.room(id), None);
    peer.folder.end(id);
    assert_eq!(peer.frames(), [], "the client knows");
}

#[test]
fn only_who_keeps_others_waiting_is_to_blame() {
    let mut peer = Peer::new();
    let (paused, idle) = (peer.connect(), peer.connect());
    peer.wait();
    peer.fill(paused);
    peer.wait();
    assert!(!peer.folder.blocks_others(paused), "nobody wants anything");
    assert!(!peer.folder.blocks_others(idle));
    // Now somebody asks.
    peer.folder.give(idle, b"GET / HTTP/1.1");
    assert!(peer.folder.blocks_others(paused));
    peer.frames();
    peer.wait();
    assert!(peer.folder.blocks_others(paused), "and still waits");
    assert!(!peer.folder.blocks_others(idle));
    assert!(matches!(
        peer.folder.take(paused, peer.now),
        Taken::Bytes(_)
    ));
    assert!(!peer.folder.is_held() && !peer.folder.blocks_others(paused));
}

#[test]
fn who_is_in_the_middle_of_an_answer_waits_as_well() {
    let mut peer = Peer::new();
    let (paused, other) = (peer.connect(), peer.connect());
    while !peer.folder.is_held() {
        peer.now = peer.now + Micros(100);
        peer.answer(paused, &[0; FRAME_BYTES_MAX]);
        peer.answer(other, &[0; FRAME_BYTES_MAX]);
        peer.folder.take(other, peer.now);
    }
    assert!(peer.folder.blocks_others(paused));
    peer.folder.end(paused);
    assert!(!peer.folder.is_held(), "what waited for it is forgotten");
}

#[test]
fn all_streams_together_hold_the_channel_too() {
    let mut peer = Peer::new();
    let ids: Vec<StreamId> = (0..FOLDER_STREAMS_MAX).map(|_| peer.connect()).collect();
    assert_eq!(peer.folder.connect(peer.now), None);
    for id in ids.iter().cycle() {
        if peer.folder.is_held() {
            break;
        }
        peer.answer(*id, &[0; FRAME_BYTES_MAX]);
    }
    let most = FOLDER_BYTES_MAX + FRAME_BYTES_MAX;
    assert!(peer.folder.waiting_bytes() <= most);
    assert!(peer.folder.waiting_bytes() > FOLDER_STREAM_BYTES_MAX);
}

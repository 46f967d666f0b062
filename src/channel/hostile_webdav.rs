//! A client and programs of any manners around a WebDAV channel, and what must hold all the same.
//!
//! The script plays both: programs connect, send, take and go; the client answers any stream, known or not, in frames
//! cut anywhere, closes what it likes and acknowledges when it likes. A model of each stream keeps what was said, and
//! at the end everything that was not cut off has arrived, to the byte. `tests/fuzz` feeds [`check`] with a fuzzer,
//! the tests here with random scripts and with those that a fuzzer once found.

use std::collections::{BTreeMap, VecDeque};

use super::inbox::Inbox;
use super::outbox::{ACK_WINDOW, Outbox};
use super::webdav::{StreamId, Taken, WebdavChannel};
use super::webdav_mux::{FRAME_BYTES_MAX, write_frame};
use crate::base::limits::{
    FOLDER_BYTES_MAX, FOLDER_STREAM_BYTES_MAX, FOLDER_STREAMS_MAX, WEBDAV_MESSAGE_MAX,
};
use crate::base::script::{Script, pieces};
use crate::base::{ByteReader, ByteWriter, Micros};
use crate::wire::port::{Data, Init, MuxHeader, WEBDAV_PORT};
use crate::wire::{Decode, Encode, Message};

/// Steps of one script; the rest is ignored.
const STEPS_MAX: usize = 400;

/// Frames that the client puts together before it looks whether the server still reads.
const BATCH_FRAMES: usize = 4;

/// Plays the script.
///
/// # Panics
///
/// Where the channel breaks its promises; that is what tests and fuzzers look for.
pub fn check(script: &[u8]) {
    let mut script = Script::new(script);
    let mut stage = Stage::new();
    for _ in 0..STEPS_MAX {
        if script.is_empty() {
            break;
        }
        stage.step(&mut script);
        stage.verify();
    }
    stage.finish();
}

/// A stream as its two ends know it.
#[derive(Debug, Default)]
struct Told {
    given: Vec<u8>,
    heard: Vec<u8>,
    answered: Vec<u8>,
    taken: Vec<u8>,
    closed_by_client: bool,
    /// The program has gone.
    ended: bool,
    /// Close frames that the client got.
    closes: usize,
}

#[derive(Debug)]
struct Stage {
    folder: WebdavChannel,
    outbox: Outbox,
    inbox: Inbox,
    now: Micros,
    streams: BTreeMap<StreamId, Told>,
    /// Frames that the client has not sent yet.
    frames: VecDeque<(i64, Vec<u8>)>,
    unacked: u32,
    fill: u8,
}

impl Stage {
    fn new() -> Self {
        let mut outbox = Outbox::new(true, Micros(0));
        let folder = WebdavChannel::start(&mut outbox);
        // ACK_SYNC of the first generation.
        let synced = outbox.handle(Micros(0), 1, &[1, 0, 0, 0]);
        assert!(synced.is_ok());
        let mut stage = Self {
            folder,
            outbox,
            inbox: Inbox::new(true, WEBDAV_MESSAGE_MAX),
            now: Micros(1),
            streams: BTreeMap::new(),
            frames: VecDeque::new(),
            unacked: 0,
            fill: 0,
        };
        let mut init = Vec::new();
        let expected = Init {
            name: WEBDAV_PORT,
            opened: 1,
        };
        expected.encode(&mut ByteWriter::new(&mut init));
        assert_eq!(stage.sent().last(), Some(&(Init::TYPE, init)));
        stage
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let step = script.u8();
        self.now = self.now + Micros(u64::from(step));
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        let id = (!ids.is_empty()).then(|| script.pick(&ids));
        match (step % 12, id) {
            (0, _) => self.connect(),
            (1 | 2, Some(id)) => self.give(id, script.u16()),
            (3, _) => self.transmit(1 + usize::from(script.u8())),
            (4, Some(id)) => self.answer(id.number(), script.u8().into(), 1),
            (5, Some(id)) => {
                let times = script.u8();
                let times = if times < 250 { 1 } else { 40 };
                self.answer(id.number(), script.u16(), times);
            }
            (6 | 7, _) => self.say(script.u8().into(), script.u8()),
            (8, Some(id)) => self.take(id, usize::from(script.u8())),
            (9, _) => self.acknowledge(),
            (10, Some(id)) if script.u8() < 64 => self.end(id),
            (11, Some(id)) => self.mischief(id, script),
            _ => {}
        }
    }

    /// What a client does out of turn.
    fn mischief(&mut self, id: StreamId, script: &mut Script<'_>) {
        match script.u8() {
            0..40 => self.answer(id.number(), 0, 1),
            // A stream that never was.
            40..120 => self.answer(-i64::from(script.u32()), script.u16(), 1),
            120..160 => {
                let event = self.folder.handle(self.now, 201, &[1], &mut Vec::new());
                assert_eq!(event, Ok(()), "PORT_EVENT means nothing here");
            }
            _ => {
                let number = 102 + script.u16() % 50;
                let refused = self.folder.handle(self.now, number, &[], &mut Vec::new());
                assert!(refused.is_err(), "{number}");
            }
        }
    }

    fn told(&mut self, id: StreamId) -> &mut Told {
        self.streams.entry(id).or_default()
    }

    fn connect(&mut self) {
        let open = self.folder.streams().count();
        match self.folder.connect(self.now) {
            Some(id) => {
                assert!(open < FOLDER_STREAMS_MAX);
                let before = self.streams.insert(id, Told::default());
                assert!(before.is_none(), "{id:?} is used again");
            }
            None => assert_eq!(open, FOLDER_STREAMS_MAX),
        }
    }

    /// Bytes that nobody else says at that place.
    fn bytes(&mut self, count: u16) -> Vec<u8> {
        self.fill = self.fill.wrapping_add(1);
        let fill = self.fill;
        (0..count)
            .map(|at| fill ^ at.to_le_bytes()[0].wrapping_mul(31))
            .collect()
    }

    fn give(&mut self, id: StreamId, count: u16) {
        let bytes = self.bytes(count);
        let room = self.folder.room(id);
        let told = self.streams.get(&id);
        assert_eq!(
            room.is_none(),
            told.is_none_or(|told| told.ended || told.closed_by_client)
        );
        let bytes = bytes.get(..room.unwrap_or(0)).unwrap_or(&bytes);
        self.folder.give(id, bytes);
        self.told(id).given.extend_from_slice(bytes);
    }

    fn answer(&mut self, id: i64, size: u16, times: usize) {
        if self.frames.len() < 200 {
            for _ in 0..times {
                let bytes = self.bytes(size);
                self.frames.push_back((id, bytes));
            }
        }
    }

    /// The client sends frames, as long as the channel is read.
    fn say(&mut self, count: usize, cut: u8) {
        for _ in 0..=count / BATCH_FRAMES {
            if self.folder.is_held() || self.frames.is_empty() {
                return;
            }
            let batch = BATCH_FRAMES.min(self.frames.len());
            let batch: Vec<(i64, Vec<u8>)> = self.frames.drain(..batch).collect();
            let mut stream = Vec::new();
            for (id, bytes) in &batch {
                write_frame(&mut ByteWriter::new(&mut stream), *id, bytes);
            }
            let open: Vec<StreamId> = self.folder.streams().collect();
            let mut news = Vec::new();
            for piece in pieces(&stream, cut) {
                let handled = self.folder.handle(self.now, Data::TYPE, piece, &mut news);
                assert_eq!(handled, Ok(()));
            }
            assert!(news.iter().all(|id| open.contains(id)), "{news:?}");
            for (id, bytes) in batch {
                let told = self.streams.iter_mut().find(|(one, _)| one.number() == id);
                let told = told.map(|(_, told)| told);
                if let Some(told) = told.filter(|told| !told.ended && !told.closed_by_client) {
                    told.closed_by_client = bytes.is_empty();
                    told.answered.extend(bytes);
                }
            }
        }
    }

    fn take(&mut self, id: StreamId, times: usize) {
        for _ in 0..=times {
            match self.folder.take(id, self.now) {
                Taken::Bytes(bytes) => {
                    assert!(!bytes.is_empty() && bytes.len() <= FRAME_BYTES_MAX);
                    let told = self.told(id);
                    assert!(!told.ended, "bytes for a program that has gone");
                    let expected = told.answered.get(told.taken.len()..);
                    assert!(expected.is_some_and(|rest| rest.starts_with(&bytes)));
                    told.taken.extend(bytes);
                }
                Taken::Nothing => return,
                Taken::Ended => {
                    let told = self.told(id);
                    assert!(told.ended || told.closed_by_client);
                    return;
                }
            }
        }
    }

    fn end(&mut self, id: StreamId) {
        self.folder.end(id);
        self.told(id).ended = true;
        assert!(!self.folder.blocks_others(id));
    }

    /// The channel's turn, and the client hears it.
    fn transmit(&mut self, times: usize) {
        let (mut more, mut news) = (true, Vec::new());
        for _ in 0..times {
            more = self.folder.transmit(self.now, &mut self.outbox, &mut news);
            for (number, body) in self.sent() {
                assert_eq!(number, Data::TYPE);
                self.hear(&body);
            }
            if !more {
                break;
            }
        }
        assert!(!more || self.outbox.is_window_open());
    }

    fn hear(&mut self, body: &[u8]) {
        let mut reader = ByteReader::new(body);
        let header = MuxHeader::decode(&mut reader);
        let header = header.unwrap_or(MuxHeader { id: 0, size: 0 });
        assert_eq!(reader.remaining(), usize::from(header.size), "one frame");
        let told = self.streams.iter_mut();
        let mut told = told.filter(|(id, _)| id.number() == header.id);
        let told = told.next().map(|(_, told)| told);
        assert!(told.is_some(), "stream {} was opened", header.id);
        if let Some(told) = told {
            assert_eq!(told.closes, 0, "nothing behind its end");
            assert_eq!(told.ended, header.size == 0, "{header:?}");
            told.closes += usize::from(header.size == 0);
            let (expected, bytes) = (told.given.get(told.heard.len()..), reader.rest());
            assert!(expected.is_some_and(|rest| rest.starts_with(bytes)));
            told.heard.extend_from_slice(bytes);
        }
    }

    fn acknowledge(&mut self) {
        while ACK_WINDOW <= self.unacked {
            self.unacked -= ACK_WINDOW;
            let noted = self.outbox.handle(self.now, 2, &[]);
            assert!(noted.is_ok());
        }
    }

    /// Messages of the channel beside SET_ACK.
    fn sent(&mut self) -> Vec<(u16, Vec<u8>)> {
        let (mut bytes, mut messages) = (Vec::new(), Vec::new());
        self.outbox.take_into(&mut bytes);
        self.inbox.push(&bytes);
        while let Ok(Some((number, body))) = self.inbox.next_message() {
            if 100 < number {
                messages.push((number, body.to_vec()));
                self.unacked += 1;
            }
        }
        messages
    }

    /// What holds at any moment.
    fn verify(&self) {
        let overshoot = BATCH_FRAMES * FRAME_BYTES_MAX;
        assert!(self.folder.waiting_bytes() <= FOLDER_BYTES_MAX + overshoot);
        for told in self.streams.values() {
            let waiting = told.answered.len() - told.taken.len();
            assert!(told.ended || waiting <= FOLDER_STREAM_BYTES_MAX + overshoot);
        }
    }

    /// What everybody has got: it changes until all is done.
    fn progress(&self) -> (usize, usize, usize) {
        let told = self.streams.values();
        let heard = told.clone().map(|told| told.heard.len() + told.closes);
        let taken = told.map(|told| told.taken.len()).sum();
        (heard.sum(), taken, self.frames.len())
    }

    /// Everybody does what is still to be done: nothing may be lost, and nothing may stay.
    fn finish(&mut self) {
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        let mut before = None;
        while before != Some(self.progress()) {
            before = Some(self.progress());
            self.acknowledge();
            self.transmit(usize::MAX);
            self.say(usize::from(u8::MAX), 0);
            ids.iter().for_each(|id| self.take(*id, 1000));
        }
        assert!(self.frames.is_empty() && !self.folder.is_held());
        for told in self.streams.values().filter(|told| !told.ended) {
            assert_eq!(told.answered, told.taken, "all has arrived");
            assert!(told.closed_by_client || told.given == told.heard);
        }
        ids.iter().for_each(|id| self.end(*id));
        for _ in 0..10 {
            self.acknowledge();
            self.transmit(usize::MAX);
        }
        assert_eq!(self.folder.waiting_bytes(), 0);
        assert_eq!(self.folder.streams().count(), 0);
        for (id, told) in &self.streams {
            let is_to_be_told = !told.heard.is_empty() && !told.closed_by_client;
            assert_eq!(told.closes, usize::from(is_to_be_told), "{id:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::corpus::{plant_seeds, replay_regressions};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn random_programs_and_clients_break_no_promise(
            script in prop::collection::vec(any::<u8>(), 0..1200),
        ) {
            check(&script);
        }
    }

    #[test]
    fn seeds_break_no_promise() {
        let seeds: Vec<Vec<u8>> = (0..24u8)
            .map(|turn| {
                let round = [
                    0, 0, 1, 0, 200, 1, 3, 9, 5, turn, 0, 200, 90, 6, 9, turn, 8, 0, 9,
                ];
                let mischief = [9, 11, 0, turn.wrapping_mul(11), 0];
                let round = round.into_iter().chain(mischief);
                round.cycle().take(200).collect()
            })
            .collect();
        plant_seeds("webdav", &seeds, check);
    }

    #[test]
    fn scripts_from_the_fuzzer_break_no_promise() {
        assert!(0 < replay_regressions("webdav", check));
    }
}

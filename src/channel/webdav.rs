//! The WebDAV channel of one client: the folder that it shares, as connections of the desktop's programs.
//!
//! The client is the WebDAV server. A program's connection becomes a numbered stream of the mux: what the program
//! sends is its *request* side, what the client answers its *answer* side. Numbers are the server's own choice and
//! never used again, so what is still on its way from the client for a stream that has ended meets nobody.
//!
//! **To the client** nothing piles up. A stream holds about one frame, taken from the program when there is room;
//! [`transmit`](WebdavChannel::transmit) sends a frame of each stream in turn while the client acknowledges.
//!
//! **From the client** the mux has no flow control: a client sends as fast as its files are read, and answers of all
//! streams come one behind the other. Each stream keeps up to [`FOLDER_STREAM_BYTES_MAX`] for its program, all
//! together [`FOLDER_BYTES_MAX`]. Beyond that the channel is *held*: nothing is read from the client until the
//! program has taken some, so a slow program slows down the client and, once its buffer is full, the others with it.
//! One that takes nothing at all must not do that for ever: [`blocks_others`](WebdavChannel::blocks_others) says
//! when others wait because of a stream, and who serves it ends it after [`FOLDER_STALL_MAX`]. While nobody else
//! wants anything it may hold the channel as long as it likes: a film that is paused goes on an hour later.

use std::collections::{BTreeMap, VecDeque};

use super::outbox::Outbox;
use super::webdav_mux::{FRAME_BYTES_MAX, MuxReader, Part, write_frame};
use crate::base::Micros;
#[cfg(doc)]
use crate::base::limits::FOLDER_STALL_MAX;
use crate::base::limits::{FOLDER_BYTES_MAX, FOLDER_STREAM_BYTES_MAX, FOLDER_STREAMS_MAX};
use crate::wire::port::{ClientMessage, Data, Init, WEBDAV_PORT};
use crate::wire::{Message, WireError};

/// One stream of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(i64);

impl StreamId {
    /// Its number in the mux.
    pub const fn number(self) -> i64 {
        self.0
    }
}

/// What there is for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// These bytes, at most one frame of them and at least one.
    Bytes(Vec<u8>),
    /// Nothing now.
    Nothing,
    /// Nothing any more: the client has closed the stream, or there is none.
    Ended,
}

#[derive(Debug)]
struct Stream {
    request: Vec<u8>,
    answer: VecDeque<Vec<u8>>,
    answer_bytes: usize,
    /// The client has seen a frame of it.
    is_known: bool,
    closed_by_client: bool,
    /// When bytes went through it in either direction, as the client saw it.
    moved_at: Micros,
    /// When its program took bytes last, or had none to take.
    taken_at: Micros,
}

/// The channel's state.
#[derive(Debug)]
pub struct WebdavChannel {
    mux: MuxReader,
    streams: BTreeMap<StreamId, Stream>,
    last_id: i64,
    /// The stream that was served last: the next one behind it comes next.
    turn: StreamId,
    /// Streams that the client knows and is to be told the end of.
    ended: VecDeque<StreamId>,
    answer_bytes: usize,
    from_client_bytes: u64,
    to_client_bytes: u64,
}

impl WebdavChannel {
    /// Sends PORT_INIT, opened: the client serves its folder from then on.
    pub fn start(outbox: &mut Outbox) -> Self {
        outbox.send(&Init {
            name: WEBDAV_PORT,
            opened: 1,
        });
        Self {
            mux: MuxReader::new(),
            streams: BTreeMap::new(),
            last_id: 0,
            turn: StreamId(0),
            ended: VecDeque::new(),
            answer_bytes: 0,
            from_client_bytes: 0,
            to_client_bytes: 0,
        }
    }

    /// Takes in a message of the client. Streams whose programs have something new are appended to `news`.
    ///
    /// # Errors
    /// [`WireError`] ends the connection; the client's fault.
    pub fn handle(
        &mut self,
        now: Micros,
        number: u16,
        body: &[u8],
        news: &mut Vec<StreamId>,
    ) -> Result<(), WireError> {
        let mut bytes = match ClientMessage::decode(number, body)? {
            ClientMessage::Data(Data(bytes)) => bytes,
            // Its own side is open as long as the channel is.
            ClientMessage::Event(_) => return Ok(()),
        };
        while let Some(part) = self.mux.next(&mut bytes) {
            match part {
                Part::Bytes(id, bytes) => self.answer(now, StreamId(id), bytes, news),
                Part::Close(id) => self.closed_by_client(StreamId(id), news),
            }
        }
        Ok(())
    }

    /// Appends a frame of the stream whose turn it is, if the client has acknowledged enough. Whether there is more
    /// right now. Streams whose programs may send more are appended to `news`.
    pub fn transmit(&mut self, now: Micros, outbox: &mut Outbox, news: &mut Vec<StreamId>) -> bool {
        if !outbox.is_window_open() {
            return false;
        }
        if let Some(StreamId(id)) = self.ended.pop_front() {
            outbox.message(Data::TYPE, |writer| write_frame(writer, id, &[]));
        } else if let Some(id) = self.next_turn()
            && let Some(stream) = self.streams.get_mut(&id)
        {
            let rest = stream
                .request
                .split_off(FRAME_BYTES_MAX.min(stream.request.len()));
            let request = std::mem::replace(&mut stream.request, rest);
            outbox.message(Data::TYPE, |writer| write_frame(writer, id.0, &request));
            self.to_client_bytes += request.len() as u64;
            stream.is_known = true;
            stream.moved_at = now;
            self.turn = id;
            news.push(id);
        }
        outbox.is_window_open() && (!self.ended.is_empty() || self.next_turn().is_some())
    }

    /// A program has connected; none if there are [`FOLDER_STREAMS_MAX`] streams already.
    pub fn connect(&mut self, now: Micros) -> Option<StreamId> {
        if FOLDER_STREAMS_MAX <= self.streams.len() {
            return None;
        }
        self.last_id += 1;
        let id = StreamId(self.last_id);
        let stream = Stream {
            request: Vec::new(),
            answer: VecDeque::new(),
            answer_bytes: 0,
            is_known: false,
            closed_by_client: false,
            moved_at: now,
            taken_at: now,
        };
        self.streams.insert(id, stream);
        Some(id)
    }

    /// Bytes that may be given for the client now; none when the stream takes no more for good.
    pub fn room(&self, id: StreamId) -> Option<usize> {
        let stream = self.streams.get(&id)?;
        let room = FRAME_BYTES_MAX.saturating_sub(stream.request.len());
        (!stream.closed_by_client).then_some(room)
    }

    /// Bytes of a program: as many as there was [`room`](Self::room) for, and those of its request that were looked
    /// at before.
    pub fn give(&mut self, id: StreamId, bytes: &[u8]) {
        let stream = self.streams.get_mut(&id);
        if let Some(stream) = stream.filter(|stream| !stream.closed_by_client) {
            stream.request.extend_from_slice(bytes);
        }
    }

    /// Takes what there is for a program.
    pub fn take(&mut self, id: StreamId, now: Micros) -> Taken {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Taken::Ended;
        };
        stream.taken_at = now;
        match stream.answer.pop_front() {
            Some(bytes) => {
                stream.answer_bytes -= bytes.len();
                self.answer_bytes -= bytes.len();
                Taken::Bytes(bytes)
            }
            None if stream.closed_by_client => Taken::Ended,
            None => Taken::Nothing,
        }
    }

    /// A program has gone, or is sent away: what waits for it is forgotten, and the client is told.
    pub fn end(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.remove(&id) {
            self.answer_bytes -= stream.answer_bytes;
            if stream.is_known && !stream.closed_by_client {
                self.ended.push_back(id);
            }
        }
    }

    /// Whether so much waits for programs that nothing is to be read from the client.
    pub fn is_held(&self) -> bool {
        FOLDER_BYTES_MAX <= self.answer_bytes
            || self
                .streams
                .values()
                .any(|stream| FOLDER_STREAM_BYTES_MAX <= stream.answer_bytes)
    }

    /// Whether others wait because this stream's program takes nothing: the channel is held, nobody has more waiting,
    /// and something went through another stream since.
    pub fn blocks_others(&self, id: StreamId) -> bool {
        let Some(stream) = self.streams.get(&id).filter(|_| self.is_held()) else {
            return false;
        };
        let mut others = self.streams.iter().filter(|(other, _)| **other != id);
        let is_fullest = self
            .streams
            .values()
            .all(|other| other.answer_bytes <= stream.answer_bytes);
        is_fullest
            && others
                .any(|(_, other)| stream.taken_at <= other.moved_at || !other.request.is_empty())
    }

    /// The streams that are open.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.streams.keys().copied()
    }

    /// Bytes that wait for programs.
    pub const fn waiting_bytes(&self) -> usize {
        self.answer_bytes
    }

    /// Bytes of files and of what goes with them: from the client, and to it.
    pub const fn moved_bytes(&self) -> (u64, u64) {
        (self.from_client_bytes, self.to_client_bytes)
    }

    fn answer(&mut self, now: Micros, id: StreamId, bytes: &[u8], news: &mut Vec<StreamId>) {
        self.from_client_bytes += bytes.len() as u64;
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.closed_by_client {
            return;
        }
        if stream.answer.is_empty() {
            // Only from now on is there anything that the program leaves lying.
            stream.taken_at = now;
            news.push(id);
        }
        stream.moved_at = now;
        stream.answer_bytes += bytes.len();
        self.answer_bytes += bytes.len();
        // Small pieces are put together: a frame of one byte shall not cost a vector.
        match stream.answer.back_mut() {
            Some(last) if last.len() + bytes.len() <= FRAME_BYTES_MAX => {
                last.extend_from_slice(bytes);
            }
            _ => stream.answer.push_back(bytes.to_vec()),
        }
    }

    fn closed_by_client(&mut self, id: StreamId, news: &mut Vec<StreamId>) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.closed_by_client = true;
            stream.request = Vec::new();
            news.push(id);
        }
    }

    /// The next stream with something for the client, in turn.
    fn next_turn(&self) -> Option<StreamId> {
        let has_request = |(_, stream): &(&StreamId, &Stream)| !stream.request.is_empty();
        let behind = (
            std::ops::Bound::Excluded(self.turn),
            std::ops::Bound::Unbounded,
        );
        let mut behind = self.streams.range(behind);
        let found = behind
            .find(has_request)
            .or_else(|| self.streams.range(..=self.turn).find(has_request));
        found.map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests;

//! The way between server and client: a rate, a delay, and sockets that hold so much and no more.
//!
//! All connections of a client share its line. What the server writes takes its time at the line's rate behind what was
//! written before, then the delay; the other direction has the delay only, because clients say little. A socket
//! takes bytes as long as fewer than `socket_bytes` are written and unread, the two kernels' buffers together, so a
//! client that stops reading stops its server.

use std::collections::VecDeque;

use caraway_server::base::Micros;

/// The pieces in which bytes travel when the line has a rate.
const PIECE_BYTES: usize = 1448;

/// What a line does beside carrying bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weather {
    Steady,
    /// Nothing goes through for `span` at every multiple of `every`, then all that waited at the line's rate: a lost
    /// segment that is sent again, a Wi-Fi that looks around.
    Stalls {
        every: Micros,
        span: Micros,
    },
    /// The rate is this one from a moment on until another.
    Drop {
        from: Micros,
        until: Micros,
        rate: u64,
    },
}

/// What a line is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// Bytes a second; `None` is no time at all.
    pub(crate) rate: Option<u64>,
    /// One way.
    pub(crate) delay: Micros,
    /// Bytes that may be written and unread.
    pub(crate) socket_bytes: usize,
    pub(crate) weather: Weather,
}

impl Line {
    /// A line of `mbit` Mbit/s and a round trip of `rtt_ms`, in any weather.
    pub(crate) const fn of(mbit: u64, rtt_ms: u64, weather: Weather) -> Self {
        Self {
            rate: Some(mbit * 125_000),
            delay: Micros(rtt_ms * 500),
            socket_bytes: 2 * 1024 * 1024,
            weather,
        }
    }

    /// The same host.
    pub(crate) const LOCAL: Self = Self {
        rate: None,
        delay: Micros(20),
        socket_bytes: 200 * 1024,
        weather: Weather::Steady,
    };
    /// 100 Mbit/s in the house.
    pub(crate) const LAN: Self = Self {
        rate: Some(12_500_000),
        delay: Micros(500),
        socket_bytes: 1024 * 1024,
        weather: Weather::Steady,
    };
    /// 10 Mbit/s across a country.
    pub(crate) const FAR: Self = Self {
        rate: Some(1_250_000),
        delay: Micros::from_millis(40),
        socket_bytes: 1024 * 1024,
        weather: Weather::Steady,
    };
    /// 1 Mbit/s, with sockets that would hold a quarter of a minute.
    pub(crate) const SLOW: Self = Self {
        rate: Some(125_000),
        delay: Micros::from_millis(25),
        socket_bytes: 2 * 1024 * 1024,
        weather: Weather::Steady,
    };

    /// When the line has carried `bytes` that it begins with at `start`, without the delay.
    fn carried(&self, start: Micros, bytes: usize) -> Micros {
        let Some(mut rate) = self.rate else {
            return start;
        };
        let mut start = start;
        match self.weather {
            Weather::Steady => {}
            Weather::Stalls { every, span } => {
                let into = start.0 % every.0;
                if into < span.0 {
                    start = start + Micros(span.0 - into);
                }
            }
            Weather::Drop {
                from,
                until,
                rate: dropped,
            } => {
                if from <= start && start < until {
                    rate = dropped;
                }
            }
        }
        start + Micros((bytes as u64 * 1_000_000).div_ceil(rate))
    }
}

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Pipe<T> {
    arriving: VecDeque<(Micros, T)>,
}

impl<T> Pipe<T> {
    pub(crate) const fn new() -> Self {
        Self {
            arriving: VecDeque::new(),
        }
    }

    pub(crate) fn put(&mut self, arrives: Micros, what: T) {
        self.arriving.push_back((arrives, what));
    }

    /// What has arrived by now, oldest first.
    pub(crate) fn take(&mut self, now: Micros) -> Option<T> {
        self.next_at().filter(|at| *at <= now)?;
        self.arriving.pop_front().map(|(_, what)| what)
    }

    pub(crate) fn next_at(&self) -> Option<Micros> {
        self.arriving.front().map(|(at, _)| *at)
    }
}

/// The server's writes to one client, all channels of it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) line: Line,
    free_at: Micros,
}

impl Shared {
    pub(crate) const fn new(line: Line) -> Self {
        Self {
            line,
            free_at: Micros(0),
        }
    }

    /// Sends bytes into a pipe; gives how many the socket takes while `unread` are on their way already.
    pub(crate) fn write(
        &mut self,
        now: Micros,
        bytes: &[u8],
        unread: usize,
        pipe: &mut Pipe<Vec<u8>>,
    ) -> usize {
        let room = self.line.socket_bytes.saturating_sub(unread);
        let taken = &bytes[..room.min(bytes.len())];
        let piece = if self.line.rate.is_some() {
            PIECE_BYTES
        } else {
            taken.len().max(1)
        };
        for part in taken.chunks(piece) {
            self.free_at = self.line.carried(self.free_at.max(now), part.len());
            pipe.put(self.free_at + self.line.delay, part.to_vec());
        }
        taken.len()
    }
}

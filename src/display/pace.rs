//! How much may be on its way to a client: about one round trip of bytes, so that what it shows is new.
//!
//! A full socket buffer is a queue of old pictures. So bytes are sent only as fast as the client *handles* them, which
//! it tells by answering fences: PING messages (SPICE answers each with PONG, in order, after everything before it).
//! From fence to fence the pacer learns the rate at which the client takes bytes and the shortest round trip,
//! and keeps half as much again as their product in flight. While the rate still grows, this doubles from round trip to
//! round trip; at a steady rate the excess is a queue of less than one round trip.
//!
//! The shortest round trip goes out of date. It can only be seen again while nothing queues, so every 5 s of
//! steady sending the pacer lets the line run dry to [`IN_FLIGHT_MIN`] for one fence (BBR's "probe RTT").
//!
//! There is no timer: a fence is wanted after some bytes, and an idle client has none open.

use std::collections::VecDeque;

use crate::base::Micros;

/// Bytes in flight that are always allowed: one image of text and its fence, or ten round trips of typing.
pub const IN_FLIGHT_MIN: u64 = 48 * 1024;

/// Bytes in flight that are never exceeded by more than one image.
pub const IN_FLIGHT_MAX: u64 = 4 * 1024 * 1024;

/// Before anything is known: what a screen of text takes on a LAN, and 0.4 s at 10 Mbit/s.
const IN_FLIGHT_START: u64 = 512 * 1024;

/// Bytes in flight per estimated rate times shortest round trip, in quarters.
const GAIN_QUARTERS: u64 = 6;

/// What a client and its kernel take to look at a message at all: added to the round trip, so that a loopback
/// connection is not starved by its own speed.
const TURN_AROUND: Micros = Micros::from_millis(8);

/// Estimates older than this are forgotten: lines change.
const MEMORY: Micros = Micros::from_secs(5);

/// Fences on their way at the same time.
const FENCES_MAX: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Fence {
    id: u32,
    /// Bytes sent up to and with it.
    sent_bytes: u64,
    sent_at: Micros,
    /// Sent when little was in flight: its answer shows the line's own round trip.
    unqueued: bool,
    /// Bytes that were known to be handled when it was sent, and since when.
    handled_bytes: u64,
    handled_at: Micros,
}

/// The pacer of one display channel.
///
/// Call [`sent`](Self::sent) for all bytes; when [`wants_fence`](Self::wants_fence) says so, send a PING and
/// call [`fence`](Self::fence); on its PONG call [`answered`](Self::answered). Pixels are sent while
/// [`allows`](Self::allows).
#[derive(Debug)]
pub struct Pacer {
    sent_bytes: u64,
    fenced_bytes: u64,
    handled_bytes: u64,
    handled_at: Micros,
    fences: VecDeque<Fence>,
    rtt_min: Option<(Micros, Micros)>,
    rate_max: Option<(u64, Micros)>,
    limit_bytes: u64,
    probing: bool,
}

impl Pacer {
    /// A pacer for a connection of which nothing is known.
    pub const fn new() -> Self {
        Self {
            sent_bytes: 0,
            fenced_bytes: 0,
            handled_bytes: 0,
            handled_at: Micros(0),
            fences: VecDeque::new(),
            rtt_min: None,
            rate_max: None,
            limit_bytes: IN_FLIGHT_START,
            probing: false,
        }
    }

    /// Bytes sent that the client has not been seen to handle.
    pub const fn in_flight_bytes(&self) -> u64 {
        self.sent_bytes - self.handled_bytes
    }

    /// Bytes that may be in flight now.
    pub const fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// The shortest round trip seen lately, in microseconds, client's handling included.
    pub fn rtt_us(&self) -> Option<u64> {
        self.rtt_min.map(|(rtt, _)| rtt.0)
    }

    /// How much longer than an empty line takes `bytes` will take that are sent now, behind what is in flight; nothing
    /// as long as the line is not known.
    pub fn queued(&self, bytes: u64) -> Micros {
        let (Some((rtt, _)), Some((rate, _))) = (self.rtt_min, self.rate_max) else {
            return Micros(0);
        };
        let ahead = (self.in_flight_bytes() + bytes).saturating_mul(1_000_000);
        Micros(ahead / rate.max(1)) - rtt
    }

    /// Whether pixels may be sent.
    pub const fn allows(&self) -> bool {
        self.in_flight_bytes() < self.limit_bytes
    }

    /// Pixels of the next image, so that one image is not many times what may be in flight.
    pub fn image_pixels_max(&self, hard_max: u32) -> u32 {
        let pixels = u32::try_from(self.limit_bytes / 4).unwrap_or(u32::MAX);
        pixels.clamp(8 * 1024, hard_max)
    }

    /// `bytes` were handed to the socket.
    pub fn sent(&mut self, now: Micros, bytes: u64) {
        if self.in_flight_bytes() == 0 {
            // A pause of ours is not the client's slowness.
            self.handled_at = now;
        }
        self.sent_bytes += bytes;
    }

    /// Whether a fence is due: after the very first bytes, then after a quarter of what may be in flight, and
    /// always when nothing else would tell that the client goes on. To be asked after sending and after answers.
    pub fn wants_fence(&self) -> bool {
        let unfenced = self.sent_bytes - self.fenced_bytes;
        let stuck = !self.allows() && self.fences.is_empty();
        let first = self.sent_bytes == unfenced;
        let due = if first || stuck {
            1
        } else {
            self.limit_bytes / 4
        };
        due <= unfenced && self.fences.len() < FENCES_MAX
    }

    /// Whether a fence would tell anything new: video asks for one behind every frame, for it must know what queues.
    pub fn may_fence(&self) -> bool {
        self.fenced_bytes < self.sent_bytes && self.fences.len() < FENCES_MAX
    }

    /// A PING with this id goes out behind everything that was sent.
    pub fn fence(&mut self, now: Micros, id: u32) {
        self.fenced_bytes = self.sent_bytes;
        self.fences.push_back(Fence {
            id,
            sent_bytes: self.sent_bytes,
            sent_at: now,
            unqueued: self.in_flight_bytes() <= IN_FLIGHT_MIN,
            handled_bytes: self.handled_bytes,
            handled_at: self.handled_at,
        });
    }

    /// The client answered a PING. Answers that no fence asked for are ignored.
    pub fn answered(&mut self, now: Micros, id: u32) {
        let Some(index) = self.fences.iter().position(|fence| fence.id == id) else {
            return;
        };
        let Some(fence) = self.fences.drain(..=index).next_back() else {
            return;
        };
        self.handled_bytes = self.handled_bytes.max(fence.sent_bytes);
        self.handled_at = now;
        let rtt = now.since(fence.sent_at);
        let stale = self
            .rtt_min
            .is_some_and(|(_, since)| MEMORY < now.since(since));
        if self.rtt_min.is_none_or(|(known, _)| rtt <= known) || (stale && fence.unqueued) {
            self.rtt_min = Some((rtt, now));
            self.probing = false;
        } else if stale {
            self.probing = true;
        }
        let span_us = now.since(fence.handled_at).0.max(1);
        let rate = (fence.sent_bytes - fence.handled_bytes).saturating_mul(1_000_000) / span_us;
        if self
            .rate_max
            .is_none_or(|(known, since)| known <= rate || MEMORY < now.since(since))
        {
            self.rate_max = Some((rate, now));
        }
        self.limit_bytes = self.estimate();
    }

    fn estimate(&self) -> u64 {
        if self.probing {
            return IN_FLIGHT_MIN;
        }
        let (Some((rtt, _)), Some((rate, _))) = (self.rtt_min, self.rate_max) else {
            return IN_FLIGHT_START;
        };
        let product = rate.saturating_mul(rtt.0 + TURN_AROUND.0) / 1_000_000;
        (product.saturating_mul(GAIN_QUARTERS) / 4).clamp(IN_FLIGHT_MIN, IN_FLIGHT_MAX)
    }
}

impl Default for Pacer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of `rate` bytes a second and a fixed delay; a sender that always has something to send.
    fn run(rate: u64, delay: Micros, seconds: u64) -> (Pacer, u64, u64) {
        let mut pacer = Pacer::new();
        let mut answers: VecDeque<(Micros, u32)> = VecDeque::new();
        let (mut line_free_at, mut next_id, mut delivered, mut in_flight_max) =
            (Micros(0), 0, 0, 0);
        for tick in 0..seconds * 2000 {
            let now = Micros(tick * 500);
            while answers.front().is_some_and(|(at, _)| *at <= now) {
                let (_, id) = answers.pop_front().unwrap();
                pacer.answered(now, id);
            }
            while pacer.allows() {
                let bytes = 20_000;
                pacer.sent(now, bytes);
                line_free_at = line_free_at.max(now) + Micros(bytes * 1_000_000 / rate);
                delivered += bytes;
                if pacer.wants_fence() {
                    next_id += 1;
                    pacer.fence(now, next_id);
                    answers.push_back((line_free_at + delay, next_id));
                }
            }
            if pacer.wants_fence() {
                next_id += 1;
                pacer.fence(now, next_id);
                answers.push_back((line_free_at.max(now) + delay, next_id));
            }
            if Micros::from_secs(seconds / 2) < now {
                in_flight_max = in_flight_max.max(pacer.in_flight_bytes());
            }
        }
        (pacer, delivered, in_flight_max)
    }

    #[test]
    fn fills_the_line_and_queues_little() {
        for (mbit, rtt_ms) in [(100, 5), (20, 40), (2, 80), (1000, 1)] {
            let rate = mbit * 1_000_000 / 8;
            let (pacer, delivered, in_flight) = run(rate, Micros::from_millis(rtt_ms), 8);
            let possible = rate * 8;
            assert!(
                possible * 85 / 100 < delivered,
                "{mbit} Mbit/s: {delivered} of {possible}"
            );
            let product = rate * (rtt_ms + 8) / 1000;
            let bound = (2 * product).max(IN_FLIGHT_MIN) + 40_000;
            assert!(
                in_flight < bound,
                "{mbit} Mbit/s: {in_flight} in flight, {bound}; {pacer:?}"
            );
        }
    }

    #[test]
    fn an_idle_client_is_owed_nothing() {
        let mut pacer = Pacer::new();
        for second in 0..10_000 {
            let now = Micros::from_secs(second);
            assert!(pacer.allows());
            pacer.sent(now, 500);
            if pacer.wants_fence() {
                pacer.fence(now, u32::try_from(second).unwrap());
                pacer.answered(now + Micros(300), u32::try_from(second).unwrap());
            }
        }
    }

    #[test]
    fn a_client_that_answers_nothing_stops_the_pixels() {
        let mut pacer = Pacer::new();
        let mut id = 0;
        while pacer.allows() {
            pacer.sent(Micros(0), 10_000);
            if pacer.wants_fence() {
                id += 1;
                pacer.fence(Micros(0), id);
            }
        }
        pacer.answered(Micros::from_secs(60), 4_000_000);
        assert!(!pacer.allows());
        assert!(pacer.fences.len() <= FENCES_MAX);
    }
}

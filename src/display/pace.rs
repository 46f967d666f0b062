//! How much may be on its way to a client: about one round trip of bytes, so that what it shows is new.
//!
//! A full socket buffer is a queue of old pictures. So bytes are sent only as fast as the client *handles* them, which
//! it tells by answering fences: PING messages (SPICE answers each with PONG, in order, after everything before it).
//! From fence to fence the pacer learns the rate at which the client takes bytes and the shortest round trip, and
//! keeps a quarter more than their product in flight.
//!
//! - **Faster**: while the rate still grows, twice the product may be in flight, so it doubles from round trip to round
//!   trip. Only the best rate of the last second counts, and a sender that had little to say lowers nothing.
//! - **Slower**: an answer that comes much later than the shortest round trip means a queue, here or in a router. While
//!   answers are late only the rate that the latest one showed counts, so a line that became slow is drained at once.
//!   With answers in time the limit doubles up to what it was, so one that merely paused is full again soon.
//! - **Longer**: the shortest round trip goes out of date. It can only be seen again while nothing queues, so every
//!   10 s of steady sending the line runs dry for one fence (BBR's "probe RTT"). If answers stay late with no more than
//!   [`IN_FLIGHT_MIN`] in flight, the way has become longer.
//!
//! There is no timer: a fence is wanted after some bytes, and an idle client has none open.

use std::collections::VecDeque;

use super::line::{Line, Measured, Path};
use crate::base::Micros;

/// Bytes in flight that are always allowed: ten round trips of typing, and 64 ms of a line of 2 Mbit/s.
pub const IN_FLIGHT_MIN: u64 = 16 * 1024;

/// Bytes in flight while the shortest round trip is looked for: some letters, and no time even on a slow line.
const IN_FLIGHT_PROBING: u64 = 2 * 1024;

/// Bytes in flight that are never exceeded by more than one image.
pub const IN_FLIGHT_MAX: u64 = 4 * 1024 * 1024;

/// Before anything is known: what 2 Mbit/s carries in 130 ms. It doubles with each round trip.
pub const IN_FLIGHT_START: u64 = 32 * 1024;

/// The same where the kernel knows a round trip of a LAN, or the client runs here.
pub const IN_FLIGHT_START_NEAR: u64 = 512 * 1024;

/// Longest round trip of a handshake for that.
const NEAR_RTT_MAX: Micros = Micros(2_000);

/// Bytes in flight per estimated rate times shortest round trip, in quarters.
const GAIN_QUARTERS: u64 = 5;

/// The same while the rate grows.
const GROWTH_GAIN_QUARTERS: u64 = 8;

/// Fences without growth after which the rate is taken for the line's.
const GROWTH_FENCES: u32 = 8;

/// What a client and its kernel take to look at a message at all: added to the round trip, so that a loopback
/// connection is not starved by its own speed.
pub const TURN_AROUND: Micros = Micros::from_millis(8);

/// An answer is late after so many shortest round trips, in halves.
const LATE_HALVES: u64 = 5;

/// Late answers in a row, with little in flight, after which the way is taken for longer.
const LATE_UNQUEUED_MAX: u32 = 4;

/// The best rate is remembered for at least this long and at most twice.
const RATE_MEMORY: Micros = Micros::from_millis(500);

/// The shortest round trip is looked for again after this long.
const RTT_MEMORY: Micros = Micros::from_secs(10);

/// Fences on their way at the same time.
const FENCES_MAX: usize = 16;

/// Up to this limit fences are denser, for a quarter of so little would leave the line dry.
const DENSE_FENCES_MAX: u64 = 64 * 1024;

/// One image takes about this long on the line, so that what is urgent is not behind a long one.
const IMAGE_TIME: Micros = Micros::from_millis(25);

/// Pixels of the smallest image worth its messages; at three bytes each 24 ms of 2 Mbit/s.
const IMAGE_PIXELS_MIN: u32 = 2 * 1024;

#[derive(Clone, Copy, Debug)]
struct Fence {
    id: u32,
    /// Bytes sent up to and with it.
    sent_bytes: u64,
    sent_at: Micros,
    /// In flight when it was sent, itself not counted.
    before_bytes: u64,
    /// Sent when nearly all was in flight that might be: the line decided the rate, and not the sender.
    full: bool,
    /// Bytes that were known to be handled when it was sent, and since when.
    handled_bytes: u64,
    handled_at: Micros,
}

/// The best of some rates, the last [`RATE_MEMORY`] to twice that.
#[derive(Clone, Copy, Debug, Default)]
struct BestRate {
    before: u64,
    now: u64,
    since: Micros,
}

impl BestRate {
    /// Takes in a rate of a full line; the oldest are forgotten.
    fn full(&mut self, now: Micros, rate: u64) {
        if RATE_MEMORY < now.since(self.since) {
            (self.before, self.now, self.since) = (self.now, 0, now);
        }
        self.now = self.now.max(rate);
    }

    fn get(&self) -> u64 {
        self.now.max(self.before)
    }
}

/// The pacer of one display channel.
///
/// Call [`sent`](Self::sent) for all bytes; when [`wants_fence`](Self::wants_fence) says so, send a PING and
/// call [`fence`](Self::fence); on its PONG call [`answered`](Self::answered). Pixels are sent while
/// [`allows`](Self::allows).
#[derive(Debug)]
pub struct Pacer {
    path: Path,
    line: Line,
    sent_bytes: u64,
    fenced_bytes: u64,
    handled_bytes: u64,
    handled_at: Micros,
    fences: VecDeque<Fence>,
    rtt_min: Option<(Micros, Micros)>,
    /// Of answers that were late though little was in flight: how many, and the shortest.
    late_unqueued: (u32, Micros),
    /// Of late answers the limit has not recovered from: the last, or the last doubling since.
    late_at: Option<Micros>,
    rate: BestRate,
    /// The line has been full: the rate is its own.
    was_full: bool,
    fences_without_growth: u32,
    limit_bytes: u64,
    probing: bool,
    /// Bytes of sixteen pixels, lately.
    bytes_per_16_pixels: u64,
}

impl Pacer {
    /// A pacer for a connection of which nothing is known but where it comes from.
    pub const fn new(path: Path) -> Self {
        let limit_bytes = match path {
            Path::Unix => IN_FLIGHT_START_NEAR,
            Path::Loopback | Path::Network => IN_FLIGHT_START,
        };
        Self {
            path,
            line: Line::first(path),
            sent_bytes: 0,
            fenced_bytes: 0,
            handled_bytes: 0,
            handled_at: Micros(0),
            fences: VecDeque::new(),
            rtt_min: None,
            late_unqueued: (0, Micros(0)),
            late_at: None,
            rate: BestRate {
                before: 0,
                now: 0,
                since: Micros(0),
            },
            was_full: false,
            fences_without_growth: 0,
            limit_bytes,
            probing: false,
            bytes_per_16_pixels: 16,
        }
    }

    /// What the kernel knows of the connection's shortest round trip (TCP_INFO), before any fence was answered. A
    /// tunnel's end on this machine tells nothing about the rest of the way, so a loopback connection starts carefully.
    pub fn kernel_rtt(&mut self, rtt: Micros) {
        if self.rtt_min.is_none() && self.path == Path::Network && rtt <= NEAR_RTT_MAX {
            self.limit_bytes = IN_FLIGHT_START_NEAR;
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
        let (Some((rtt, _)), Some(rate)) = (self.rtt_min, self.rate_bytes_per_s()) else {
            return Micros(0);
        };
        let ahead = (self.in_flight_bytes() + bytes).saturating_mul(1_000_000);
        Micros(ahead / rate.max(1)) - rtt
    }

    /// Bytes a second that the client takes, once the line has been full; before that nobody knows.
    pub fn rate_bytes_per_s(&self) -> Option<u64> {
        self.was_full.then(|| self.rate.get())
    }

    /// The kind of line, which changes only with clear measurements.
    pub const fn line(&self) -> Line {
        self.line
    }

    /// Whether pixels may be sent.
    pub const fn allows(&self) -> bool {
        self.in_flight_bytes() < self.limit_bytes
    }

    /// Pixels of the next image, so that one image is not many times what may be in flight and not long on the line.
    pub fn image_pixels_max(&self, hard_max: u32) -> u32 {
        let room = self.limit_bytes.saturating_sub(self.in_flight_bytes());
        let share = (self.limit_bytes / 3).min(room.max(self.limit_bytes / 8));
        let bytes = self.rate_bytes_per_s().map_or(share, |rate| {
            share.min(rate.saturating_mul(IMAGE_TIME.0) / 1_000_000)
        });
        let pixels = bytes.saturating_mul(16) / self.bytes_per_16_pixels.max(16);
        let pixels = u32::try_from(pixels).unwrap_or(u32::MAX);
        pixels.clamp(IMAGE_PIXELS_MIN.min(hard_max), hard_max)
    }

    /// An image of so many pixels became so many bytes: what the next one will cost.
    pub fn encoded(&mut self, pixels: u64, bytes: u64) {
        let cost = bytes.saturating_mul(16) / pixels.max(1);
        // Dearer images are believed at once, cheaper ones slowly.
        self.bytes_per_16_pixels = cost.max((self.bytes_per_16_pixels * 7 + cost) / 8);
    }

    /// `bytes` were handed to the socket.
    pub fn sent(&mut self, now: Micros, bytes: u64) {
        if self.in_flight_bytes() == 0 {
            // A pause of ours is not the client's slowness.
            self.handled_at = now;
        }
        self.sent_bytes += bytes;
    }

    /// Whether a fence is due: after the very first bytes, then after a part of what may be in flight, and
    /// always when nothing else would tell that the client goes on. To be asked before and after sending.
    pub fn wants_fence(&self) -> bool {
        let unfenced = self.sent_bytes - self.fenced_bytes;
        let stuck = !self.allows() && self.fences.is_empty();
        let first = self.sent_bytes == unfenced;
        let due = if first || stuck {
            1
        } else if self.limit_bytes <= DENSE_FENCES_MAX {
            self.limit_bytes / 8
        } else {
            self.limit_bytes / 4
        };
        let probe = self.probing && self.allows() && self.fences.is_empty();
        (due <= unfenced || probe) && self.fences.len() < FENCES_MAX
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
            before_bytes: self.in_flight_bytes(),
            full: self.limit_bytes / 4 * 3 <= self.in_flight_bytes(),
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
        let late = self.learn_rtt(now, rtt, fence.before_bytes);
        let span_us = now.since(fence.handled_at).0.max(1);
        let rate = (fence.sent_bytes - fence.handled_bytes).saturating_mul(1_000_000) / span_us;
        self.learn_rate(
            now,
            rate,
            fence.full || (late && IN_FLIGHT_MIN < fence.before_bytes),
        );
        let estimate = self.estimate(late.then_some(rate));
        self.limit_bytes = if late {
            self.late_at = Some(now);
            estimate
        } else {
            self.recover(now, fence.sent_at, estimate)
        };
        let measured = Measured {
            rtt: self.rtt_min.map(|(rtt, _)| rtt),
            full_rate: self.rate_bytes_per_s().filter(|_| self.is_settled()),
            rate_min: self.rate.get(),
        };
        self.line = self.line.next(self.path, &measured);
    }

    /// Whether the rate is the line's own: it grows no more, or what was sent beyond it has queued.
    const fn is_settled(&self) -> bool {
        GROWTH_FENCES <= self.fences_without_growth || self.late_at.is_some()
    }

    /// Takes in a round trip. Returns whether it was late.
    fn learn_rtt(&mut self, now: Micros, rtt: Micros, before_bytes: u64) -> bool {
        let Some((known, since)) = self.rtt_min else {
            self.rtt_min = Some((rtt, now));
            return false;
        };
        let stale = RTT_MEMORY < now.since(since);
        if rtt <= known || (stale && before_bytes <= IN_FLIGHT_PROBING) {
            self.rtt_min = Some((rtt, now));
            self.probing = false;
        } else if stale {
            self.probing = true;
        }
        let late = (known.0 + TURN_AROUND.0) * LATE_HALVES / 2 < rtt.0;
        if !late {
            self.late_unqueued = (0, Micros(u64::MAX));
        } else if before_bytes <= IN_FLIGHT_MIN {
            let (count, shortest) = self.late_unqueued;
            self.late_unqueued = (count + 1, shortest.min(rtt));
            if LATE_UNQUEUED_MAX <= count + 1 {
                self.rtt_min = Some((shortest.min(rtt), now));
                self.late_unqueued = (0, Micros(u64::MAX));
            }
        }
        late
    }

    fn learn_rate(&mut self, now: Micros, rate: u64, full: bool) {
        let known = self.rate.get();
        if full {
            self.rate.full(now, rate);
            self.was_full = true;
        } else {
            self.rate.now = self.rate.now.max(rate);
        }
        if known + known / 8 < rate {
            self.fences_without_growth = 0;
        } else if full {
            self.fences_without_growth = self.fences_without_growth.saturating_add(1);
        }
    }

    /// After late answers the limit doubles with each round trip that is in time: whether the line only paused or
    /// became slow is known when it is asked for more.
    fn recover(&mut self, now: Micros, sent_at: Micros, estimate: u64) -> u64 {
        let Some(since) = self.late_at else {
            return estimate;
        };
        if sent_at < since {
            return estimate.min(self.limit_bytes);
        }
        let doubled = self.limit_bytes.saturating_mul(2);
        self.late_at = (doubled < estimate && !self.probing).then_some(now);
        estimate.min(doubled)
    }

    /// Bytes that may be in flight; `late_rate` is what a late answer showed.
    fn estimate(&self, late_rate: Option<u64>) -> u64 {
        if self.probing {
            return IN_FLIGHT_PROBING;
        }
        let rtt = self.rtt_min.map_or(Micros(0), |(rtt, _)| rtt);
        let gain = if late_rate.is_none() && self.fences_without_growth < GROWTH_FENCES {
            GROWTH_GAIN_QUARTERS
        } else {
            GAIN_QUARTERS
        };
        let rate = late_rate.unwrap_or_else(|| self.rate.get());
        let product = rate.saturating_mul(rtt.0 + TURN_AROUND.0) / 1_000_000;
        let limit = (product.saturating_mul(gain) / 4).clamp(IN_FLIGHT_MIN, IN_FLIGHT_MAX);
        if self.was_full {
            limit
        } else {
            // Nothing has shown yet that the line takes no more than it was given.
            limit.max(self.limit_bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::IMAGE_PIXELS_MAX;

    /// A line of so many bytes a second, which may change, and a fixed delay; a sender that always has something to
    /// send. Gives the pacer, what was sent, and the most that was in flight in the second half.
    fn run(
        rate: impl Fn(Micros) -> u64,
        delay: Micros,
        seconds: u64,
        mut look: impl FnMut(Micros, &Pacer),
    ) -> (Pacer, u64, u64) {
        let mut pacer = Pacer::new(Path::Network);
        let mut answers: VecDeque<(Micros, u32)> = VecDeque::new();
        let (mut line_free_at, mut next_id, mut delivered, mut in_flight_max) =
            (Micros(0), 0, 0, 0);
        for tick in 0..seconds * 2000 {
            let now = Micros(tick * 500);
            while answers.front().is_some_and(|(at, _)| *at <= now) {
                let (_, id) = answers.pop_front().unwrap();
                pacer.answered(now, id);
            }
            loop {
                if pacer.wants_fence() {
                    next_id += 1;
                    pacer.fence(now, next_id);
                    answers.push_back((line_free_at.max(now) + delay, next_id));
                }
                if !pacer.allows() {
                    break;
                }
                let bytes = if delivered == 0 {
                    200
                } else {
                    u64::from(pacer.image_pixels_max(IMAGE_PIXELS_MAX))
                };
                pacer.sent(now, bytes);
                line_free_at =
                    line_free_at.max(now) + Micros(bytes * 1_000_000 / rate(line_free_at.max(now)));
                delivered += bytes;
            }
            look(now, &pacer);
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
            let (pacer, delivered, in_flight) =
                run(|_| rate, Micros::from_millis(rtt_ms), 8, |_, _| {});
            let possible = rate * 8;
            assert!(
                possible * 85 / 100 < delivered,
                "{mbit} Mbit/s: {delivered} of {possible}"
            );
            let product = rate * (rtt_ms + 8) / 1000;
            let bound = 2 * product.max(IN_FLIGHT_MIN);
            assert!(
                in_flight < bound,
                "{mbit} Mbit/s: {in_flight} in flight, {bound}; {pacer:?}"
            );
        }
    }

    #[test]
    fn a_line_that_becomes_slow_is_drained_within_a_second_and_used_again_after() {
        let (fast, slow) = (2_500_000, 250_000);
        let (from, until) = (Micros::from_secs(3), Micros::from_secs(8));
        let rate = |at: Micros| {
            if from <= at && at < until { slow } else { fast }
        };
        run(rate, Micros::from_millis(40), 12, |now, pacer| {
            let in_flight = pacer.in_flight_bytes();
            if from + Micros::from_secs(1) <= now && now < until {
                assert!(in_flight <= 48 * 1024, "{now:?} {in_flight} {pacer:?}");
            }
            if from + Micros::from_secs(2) <= now && now < until {
                // The fewest bytes that may be in flight, and a doubling.
                assert!(in_flight <= 2 * IN_FLIGHT_MIN, "{now:?} {pacer:?}");
                assert!(
                    matches!(pacer.line(), Line::Wan { rate_bytes_per_s } if rate_bytes_per_s <= slow * 11 / 10)
                );
            }
            if now == until + Micros::from_secs(1) {
                assert!(fast * 40 / 1000 <= pacer.limit_bytes(), "{now:?} {pacer:?}");
            }
        });
    }

    #[test]
    fn an_idle_client_is_owed_nothing() {
        let mut pacer = Pacer::new(Path::Network);
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
        let mut pacer = Pacer::new(Path::Network);
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

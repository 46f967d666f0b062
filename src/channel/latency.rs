//! How much sound a client is asked to hold, so that nothing of what is uneven on its way is heard.
//!
//! Two things are: how sound comes to us, since a daemon may give 40 ms of it at a time, which shows in how late frames
//! are by their stamps; and the line, which shows in round trips. Both are those of the last quarter of a minute.

use std::collections::VecDeque;

use crate::base::Micros;

/// Milliseconds that a client is asked to hold where all is even; spice-gtk's own choice for every line is 200.
pub const LATENCY_MS_MIN: u32 = 40;

/// The most that a client is asked to hold, on a line that is very uneven.
pub const LATENCY_MS_MAX: u32 = 500;

/// Milliseconds of what is uneven before the line that clients are asked to bridge; more than that is a machine that
/// was held up once.
const UNEVEN_MS_MAX: u32 = 100;

/// Round trips, and intervals between them, that are remembered.
const INTERVALS: usize = 16;

/// Least and most of an interval without frames.
const NO_FRAMES: (i32, i32) = (i32::MAX, i32::MIN);

/// What was uneven for one client.
#[derive(Debug, Default)]
pub(super) struct Unevenness {
    round_trips: VecDeque<Micros>,
    /// How late frames came to us by their stamps, in milliseconds: least and most of each interval.
    lateness: VecDeque<(i32, i32)>,
}

impl Unevenness {
    /// Another sound begins: its first frame may have been as late as any.
    pub(super) fn begin(&mut self) {
        self.lateness.clear();
    }

    /// A frame came at `now` that has this stamp.
    pub(super) fn note_frame(&mut self, now: Micros, time: u32) {
        let late = now.multimedia_time().wrapping_sub(time).cast_signed();
        match self.lateness.back_mut() {
            Some((least, most)) => (*least, *most) = (late.min(*least), late.max(*most)),
            None => self.lateness.push_back((late, late)),
        }
    }

    /// A round trip was measured.
    pub(super) fn note_round_trip(&mut self, rtt: Micros) {
        if INTERVALS <= self.round_trips.len() {
            self.round_trips.pop_front();
        }
        self.round_trips.push_back(rtt);
    }

    /// The next interval begins.
    pub(super) fn next_interval(&mut self) {
        if INTERVALS <= self.lateness.len() {
            self.lateness.pop_front();
        }
        self.lateness.push_back(NO_FRAMES);
    }

    /// Milliseconds that the client is to hold: the least there is, what frames came unevenly, and twice what round
    /// trips differ by.
    pub(super) fn latency_ms(&self) -> u32 {
        let longest = self.round_trips.iter().max().copied().unwrap_or_default();
        let shortest = self.round_trips.iter().min().copied().unwrap_or_default();
        let spread = longest.since(shortest).as_millis();
        let line = u32::try_from(2 * spread).unwrap_or(u32::MAX);
        let latency_ms = LATENCY_MS_MIN + self.frames_ms();
        latency_ms.saturating_add(line).min(LATENCY_MS_MAX)
    }

    fn frames_ms(&self) -> u32 {
        let (least, most) = self
            .lateness
            .iter()
            .fold(NO_FRAMES, |sum, one| (sum.0.min(one.0), sum.1.max(one.1)));
        let spread = most.saturating_sub(least).max(0).cast_unsigned();
        spread.min(UNEVEN_MS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Micros = Micros::from_millis;

    #[test]
    fn a_line_that_differs_is_bridged_twice_and_forgotten_in_time() {
        let mut uneven = Unevenness::default();
        assert_eq!(uneven.latency_ms(), LATENCY_MS_MIN);
        uneven.note_round_trip(MS(20));
        uneven.note_round_trip(MS(70));
        assert_eq!(uneven.latency_ms(), LATENCY_MS_MIN + 100);
        uneven.note_round_trip(Micros::from_secs(9));
        assert_eq!(uneven.latency_ms(), LATENCY_MS_MAX);
        (0..INTERVALS).for_each(|_| uneven.note_round_trip(MS(20)));
        assert_eq!(uneven.latency_ms(), LATENCY_MS_MIN);
    }

    #[test]
    fn frames_that_come_four_at_a_time_are_bridged() {
        let mut uneven = Unevenness::default();
        for piece in 0..1000_u32 {
            let begin = 1000 + piece * 40;
            for frame in 0..4 {
                uneven.note_frame(MS(begin.into()), begin + frame * 10);
            }
            assert_eq!(uneven.latency_ms(), LATENCY_MS_MIN + 30);
            uneven.next_interval();
            assert!(uneven.lateness.len() <= INTERVALS);
        }
        uneven.note_frame(MS(90_000), 1000);
        assert_eq!(uneven.latency_ms(), LATENCY_MS_MIN + UNEVEN_MS_MAX);
        (0..INTERVALS).for_each(|_| uneven.next_interval());
        assert_eq!(uneven.latency_ms(), LATENCY_MS_MIN, "nothing known");
    }
}

//! The moment at which a client is told to show a video frame: as early as it can, never so early that it is dropped.
//!
//! Clients show an MJPEG frame when their multimedia clock reaches the frame's time, and drop it when the clock is
//! past that already on arrival. That clock was set by MAIN_INIT, so it is behind the server's by the time that INIT
//! took: a frame that takes just as long as INIT did arrives at the very millisecond at which it was sent. What it
//! takes longer (it queues behind other bytes, it is larger, the client is busy) is its *excess*, and its time must be
//! that much ahead. What queues before it is known; the rest is learnt from STREAM_REPORT, which tells how early the
//! last frame came: the largest excess of the last reports but one counts. The reference server adds 400 ms instead.

use std::collections::VecDeque;

use crate::base::Micros;

/// How far ahead of the excess: below it clocks of whole milliseconds and the client's own scheduling lie.
const SLACK_MS: i32 = 4;

/// The excess before any report.
const EXCESS_START_MS: i32 = 12;

/// Never more ahead than this: the reference server's constant. Later frames are better dropped.
const LEAD_MAX_MS: i32 = 400;

/// Reports that count: with five frames each, some three seconds.
const REPORTS: usize = 16;

/// Times that are remembered until a report comes.
const OPEN_MAX: usize = 64;

/// Frame times for one client.
#[derive(Debug)]
pub struct StreamClock {
    /// The excess of the last reports, oldest first; empty before the first one.
    excess_ms: VecDeque<i32>,
    last: Option<u32>,
    /// Times given out, each with how far it was ahead of the server's clock without what was queued.
    given: VecDeque<(u32, i32)>,
}

impl StreamClock {
    /// A clock for a client of which nothing is known.
    pub const fn new() -> Self {
        Self {
            excess_ms: VecDeque::new(),
            last: None,
            given: VecDeque::new(),
        }
    }

    /// The multimedia time of a frame that is sent at `now` behind `queued` of other work: how long the bytes that
    /// are before it and its own take on the line. Times never go back and are never 0.
    pub fn stamp(&mut self, now: Micros, queued: Micros) -> u32 {
        let queued_ms =
            i32::try_from(queued.as_millis()).map_or(LEAD_MAX_MS, |ms| ms.min(LEAD_MAX_MS));
        let lead = (self.excess() + queued_ms + SLACK_MS).clamp(-LEAD_MAX_MS, LEAD_MAX_MS);
        let time = now.multimedia_time();
        let mut stamp = time.wrapping_add_signed(lead).max(1);
        if let Some(last) = self.last
            && stamp.wrapping_sub(last).cast_signed() < 0
        {
            stamp = last;
        }
        self.last = Some(stamp);
        if OPEN_MAX <= self.given.len() {
            self.given.pop_front();
        }
        let lead = stamp.wrapping_sub(time).cast_signed();
        self.given
            .push_back((stamp, lead.saturating_sub(queued_ms)));
        stamp
    }

    /// The client reported: the frame of time `stamp` came `early_ms` before that (negative: too late), and
    /// `drops` frames were dropped since its last report.
    pub fn reported(&mut self, stamp: u32, early_ms: i32, drops: u32) {
        let Some(index) = self.given.iter().position(|(given, _)| *given == stamp) else {
            return;
        };
        let Some((_, lead)) = self.given.drain(..=index).next_back() else {
            return;
        };
        let mut excess = lead.saturating_sub(early_ms);
        if 0 < drops && excess <= self.excess() {
            // Not the last frame but one before it was late; by how much is not told.
            excess = self.excess() + SLACK_MS;
        }
        if REPORTS <= self.excess_ms.len() {
            self.excess_ms.pop_front();
        }
        self.excess_ms
            .push_back(excess.clamp(-LEAD_MAX_MS, LEAD_MAX_MS));
    }

    /// The second largest of the last reports: one frame that was late by far is an accident, two are the line.
    fn excess(&self) -> i32 {
        let (mut first, mut second) = (None, None);
        for &excess in &self.excess_ms {
            if first <= Some(excess) {
                (first, second) = (Some(excess), first);
            } else {
                second = second.max(Some(excess));
            }
        }
        let few = self.excess_ms.len() < REPORTS / 2;
        let known = if few { first } else { second };
        known.unwrap_or(EXCESS_START_MS)
    }
}

impl Default for StreamClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames at 30 Hz to a client whose clock is `behind_ms` late, over a line of `delays_ms` in turn. Returns
    /// drops and the mean time that shown frames waited, of the second half.
    fn play(behind_ms: i64, delays_ms: &[i64]) -> (u32, i64) {
        let mut clock = StreamClock::new();
        let (mut drops, mut window_drops, mut waited, mut shown) = (0, 0, 0, 0);
        for frame in 0..600 {
            let now_ms = 5000 + i64::from(frame) * 33;
            let now = Micros::from_millis(now_ms.cast_unsigned());
            let stamp = clock.stamp(now, Micros(0));
            let arrives = now_ms + delays_ms[frame as usize % delays_ms.len()];
            let early = i64::from(stamp) - (arrives - behind_ms);
            let late = early < 0;
            window_drops += u32::from(late);
            if 300 <= frame {
                drops += u32::from(late);
                if !late {
                    (waited, shown) = (waited + early, shown + 1);
                }
            }
            if frame % 5 == 4 {
                clock.reported(stamp, i32::try_from(early).unwrap(), window_drops);
                window_drops = 0;
            }
        }
        (drops, waited / shown.max(1))
    }

    #[test]
    fn frames_are_shown_at_once_whatever_the_line() {
        for (behind, delays) in [
            (0, &[1][..]),
            (40, &[40]),
            (40, &[95]),
            (300, &[40]),
            (2, &[2, 3, 9, 2, 5, 2, 2]),
        ] {
            let (drops, waited) = play(behind, delays);
            assert_eq!(drops, 0, "{behind} {delays:?}");
            assert!(waited <= 12, "{behind} {delays:?}: {waited} ms");
        }
    }

    #[test]
    fn times_never_go_back_and_reports_of_anything_are_borne() {
        let mut clock = StreamClock::new();
        let mut last = 0;
        for frame in 0..2000u32 {
            let queued = Micros::from_millis(u64::from(frame * 7919 % 700));
            let stamp = clock.stamp(Micros::from_millis(u64::from(frame) * 5), queued);
            assert!(0 < stamp && last <= stamp);
            last = stamp;
            clock.reported(
                stamp,
                [i32::MIN, -3, 0, 90, i32::MAX][frame as usize % 5],
                frame % 3,
            );
            clock.reported(frame, 1, u32::MAX);
        }
        assert!(clock.given.len() <= OPEN_MAX);
    }
}

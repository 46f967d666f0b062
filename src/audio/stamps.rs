//! The times that frames of sound carry.
//!
//! They come from the session's one clock, which stamps video too, and follow each other by exactly 10 ms however
//! unevenly a daemon hands frames out: clients set their own clock by them. Sound is held to the clock before it comes
//! here ([`drift`](super::drift)), so that counting is enough. Where frames were lost the stamps jump forward, but not
//! for frames that are late only: the next ones come all the sooner. They never go back.

use super::FRAME_MS;
use crate::base::Micros;

/// How far a stamp may be from the clock: what daemons hand out in one go.
pub const STAMP_ERROR_MAX: Micros = Micros::from_millis(60);

/// Frames that have been late for this long are not on their way any more.
const LATE_TIME: Micros = Micros::from_millis(500);

/// The stamps of one sound after the other.
#[derive(Debug, Default)]
pub struct Stamps {
    next: Micros,
    /// Since when every frame has been late.
    late_since: Option<Micros>,
}

impl Stamps {
    /// Stamps from the clock's beginning on.
    pub fn new() -> Self {
        Self::default()
    }

    /// The stamp of a frame that was taken at `now`; `begins` when nothing came right before it.
    pub fn stamp(&mut self, now: Micros, begins: bool) -> u32 {
        let is_late = !begins && STAMP_ERROR_MAX.0 < now.since(self.next).0;
        let late_since = is_late.then(|| self.late_since.unwrap_or(now));
        let are_lost = late_since.is_some_and(|since| LATE_TIME <= now.since(since));
        self.late_since = late_since.filter(|_| !are_lost);
        let stamp = if begins || are_lost {
            now.max(self.next)
        } else {
            self.next
        };
        // Sound that comes faster than time goes by is held to the clock, a frame at a time.
        let early = STAMP_ERROR_MAX.0 < stamp.since(now).0;
        self.next = if early {
            stamp
        } else {
            stamp + Micros::from_millis(FRAME_MS.into())
        };
        stamp.multimedia_time()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Micros = Micros::from_millis;

    #[test]
    fn stamps_are_even_where_arrivals_are_not() {
        let mut stamps = Stamps::new();
        assert_eq!(stamps.stamp(MS(5000), true), 5000);
        let arrivals = [5021, 5021, 5030, 5055, 5055, 5061];
        let told = arrivals.map(|at| stamps.stamp(MS(at), false));
        assert_eq!(told, [5010, 5020, 5030, 5040, 5050, 5060]);
    }

    #[test]
    fn stamps_follow_the_clock_and_never_go_back() {
        let mut stamps = Stamps::new();
        stamps.stamp(MS(5000), true);
        // 200 ms were lost.
        let after: Vec<u32> = (521..600)
            .map(|frame| stamps.stamp(MS(10 * frame), false))
            .collect();
        assert_eq!((after[0], after[49], after[50]), (5010, 5500, 5710));
        assert_eq!(after[78], 5990);
        let burst: Vec<u32> = (0..100).map(|_| stamps.stamp(MS(6200), false)).collect();
        assert!(burst.is_sorted() && burst[99] <= 6200 + 80, "{burst:?}");
        let again = stamps.stamp(MS(6210), true);
        assert!(burst[99] <= again, "{again}");
        assert_eq!(stamps.stamp(MS(9000), true), 9000);
    }

    #[test]
    fn what_comes_late_and_then_all_at_once_keeps_its_time() {
        let mut stamps = Stamps::new();
        stamps.stamp(MS(5000), true);
        for frame in 1..50 {
            assert_eq!(stamps.stamp(MS(5490), false), 5000 + 10 * frame);
        }
        assert_eq!(stamps.stamp(MS(5500), false), 5500);
    }
}

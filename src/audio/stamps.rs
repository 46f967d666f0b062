//! The times that frames of sound carry.
//!
//! They come from the session's one clock, which stamps video too, and follow each other by exactly 10 ms however
//! unevenly a daemon hands frames out: clients set their own clock by them. Where sound and clock have drifted apart
//! (frames were lost, or came late) the stamps jump forward; they never go back.

use super::FRAME_MS;
use crate::base::Micros;

/// How far a stamp may be from the clock: what daemons hand out in one go.
pub const STAMP_ERROR_MAX: Micros = Micros::from_millis(60);

/// The stamps of one sound after the other.
#[derive(Debug, Default)]
pub struct Stamps {
    next: Micros,
}

impl Stamps {
    /// Stamps from the clock's beginning on.
    pub fn new() -> Self {
        Self::default()
    }

    /// The stamp of a frame that was taken at `now`; `begins` when nothing came right before it.
    pub fn stamp(&mut self, now: Micros, begins: bool) -> u32 {
        let late = STAMP_ERROR_MAX.0 < now.since(self.next).0;
        let stamp = if begins || late {
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
        assert_eq!(stamps.stamp(MS(5200), false), 5200, "frames were lost");
        let burst: Vec<u32> = (0..100).map(|_| stamps.stamp(MS(5200), false)).collect();
        assert!(burst.is_sorted() && burst[99] <= 5200 + 80, "{burst:?}");
        let again = stamps.stamp(MS(5210), true);
        assert!(burst[99] <= again, "{again}");
        assert_eq!(stamps.stamp(MS(9000), true), 9000);
    }

    #[test]
    fn an_hour_does_not_drift() {
        let mut stamps = Stamps::new();
        stamps.stamp(MS(1000), true);
        // A daemon whose clock runs 100 ppm fast, then one that runs as slow.
        for ppm in [-100_i64, 100] {
            let from = stamps.next;
            for frame in 1..360_000_i64 {
                let at = from.0.cast_signed() + frame * (10_000 + ppm / 100);
                let told = stamps.stamp(Micros(at.cast_unsigned()), false);
                let error = i64::from(told) - at / 1000;
                assert!(error.abs() <= 75, "{error} ms after {frame} frames");
            }
        }
    }
}

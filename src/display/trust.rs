//! When the records may be believed: if the shadow is exactly the picture that the records before them made.
//!
//! The frame buffer is read while X draws, so the shadow may hold pixels of a fill or copy whose record comes later,
//! and replaying a copy from such pixels would take them a second time. The ring's counters tell when that cannot be
//! ([`is_settled`](crate::ring::PixelSource::is_settled)). Then the fills and copies that follow, applied in order to
//! the shadow, give the new picture, and only damage has to be read, with what was copied from there: `Changes` knows
//! both. Pixels that were read of a drawing in progress do no harm, because that drawing's own damage comes before
//! any copy. After a frame that was not settled everything that was touched is read and compared, as ever; that makes
//! the shadow exact as soon as X pauses.
//!
//! A driver could be wrong about what it drew. So what was believed is read all the same, at most once in
//! [`COMPARE_INTERVAL`]: 0.5 ms a second where reading it in every frame costs 0.5 ms a frame. What differs is
//! mended, and if no record comes that explains it, nothing is believed for [`BARRED_FOR`].

use super::changes::RECTS_MAX;
use crate::base::{Micros, Rect, Region};

/// What was believed is compared with the frame buffer at the first frame after this time.
pub(super) const COMPARE_INTERVAL: Micros = Micros::from_millis(1000);

/// How long a driver that told something wrong is not believed.
pub(super) const BARRED_FOR: Micros = Micros::from_millis(60_000);

/// Rectangles of what was believed before they are joined: some 100 KB.
const BELIEVED_MAX: usize = 6000;

/// Whether the next records may be believed.
#[derive(Debug, Default)]
pub(super) struct Trust {
    settled: bool,
    /// Where records were believed since the last comparison.
    believed: Vec<Rect>,
    compared_at: Micros,
    /// What that comparison found and the next record must explain: X may just have been drawing there.
    unexplained: Region,
    barred_until: Micros,
}

impl Trust {
    /// A frame begins, in which records touched these pixels. Whether the records may be believed.
    pub(super) fn begin(&mut self, now: Micros, touched: &Region) -> bool {
        let unexplained = self.unexplained.take();
        if !unexplained.is_empty() && unexplained.intersect(touched).is_empty() {
            self.barred_until = now + BARRED_FOR;
        }
        std::mem::take(&mut self.settled) && self.barred_until <= now
    }

    /// The pixels of these fills and copies follow from the records alone.
    pub(super) fn believe(&mut self, rects: &[Rect]) {
        self.believed.extend_from_slice(rects);
        if BELIEVED_MAX < self.believed.len() {
            let mut region = Region::from_rects(&self.believed);
            region.simplify(RECTS_MAX);
            self.believed = region.rects().to_vec();
        }
    }

    /// What is to be compared now: nothing in most frames.
    pub(super) fn due(&mut self, now: Micros) -> Region {
        if now.since(self.compared_at) < COMPARE_INTERVAL {
            return Region::new();
        }
        self.compared_at = now;
        Region::from_rects(&std::mem::take(&mut self.believed))
    }

    /// All pixels of a frame are read. `unexplained` is what was not as believed.
    pub(super) fn end(&mut self, settled: bool, unexplained: Region) {
        self.settled = settled;
        self.unexplained = if settled { unexplained } else { Region::new() };
    }

    /// Everything may have changed.
    pub(super) fn lose(&mut self) {
        self.settled = false;
        self.believed.clear();
        self.unexplained = Region::new();
    }
}

#[cfg(test)]
mod tests;

//! Scrolls and moves that no record told of: applications that scroll by redrawing, windows under a compositor.
//!
//! A frame goes like this: the shadow takes in what is new and [`Before`] keeps what was there; [`Anchors`] guesses
//! offsets by which old content turns up again; [`TileMap`] compares the two pictures under these offsets. What is
//! equal becomes a copy, the rest of what differs is new. Guesses only choose where to compare: a bad one costs time,
//! a missed one costs bytes, neither can make a wrong picture.
//!
//! Frames with little change are left alone, and so is every second frame where several searches in a row found
//! nothing ([`FAILURES_MAX`]): a film costs half of it, a scroll that starts is found in its second frame at the
//! latest. After a search in vain the next large one has to promise something, by a sample of what is drawn: to keep
//! what a photograph replaces takes many times as long.

mod anchors;
mod before;
mod cover;

use anchors::Anchors;
pub(super) use before::{Before, Pair};
use cover::{COPIES_MAX, GAIN_MIN, TileMap};

use super::changes::{Changes, ExactOp};
use super::shadow::Shadow;
use crate::base::{Point, Region};
use crate::ring::PixelSource;

/// Pixels that must differ before a search is worth its time: 4096 of text are about a kilobyte.
pub const SEARCH_AREA_MIN: u64 = 4096;

/// Searches in a row without a find, after which only every second frame is searched.
pub const FAILURES_MAX: u32 = 3;

/// Pixels from which on a sample is worth its time: to keep a megabyte takes a third of a millisecond.
const SAMPLE_AREA_MIN: u64 = 1 << 18;

/// Offsets of the last find that are tried before a search: scrolls go on.
const RECENT_MAX: usize = 2;

/// Offsets that are compared in vain before a search ends.
const VAIN_MAX: u32 = 3;

/// The search for moves, with the memory of the last ones.
#[derive(Debug, Default)]
pub struct Motion {
    before: Before,
    anchors: Anchors,
    tiles: TileMap,
    recent: Vec<Point>,
    failures: u32,
    rested: bool,
}

/// What happened to the shadow in a frame: apply the operations to the old picture, then take `changed` from the new.
#[derive(Debug, Default)]
pub struct Found {
    /// Copies, in order.
    pub ops: Vec<ExactOp>,
    /// Everything else that differs.
    pub changed: Region,
}

impl Motion {
    /// No offset is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of the old pixels that it compares with, by far the most of what it keeps.
    pub const fn held_bytes(&self) -> usize {
        self.before.held_bytes()
    }

    /// Reads `region` from `source` into the shadow and tells how the new picture comes from the old one.
    pub fn refresh(
        &mut self,
        shadow: &mut Shadow,
        source: &dyn PixelSource,
        region: &Region,
    ) -> Found {
        if !self.wants(shadow, source, region) {
            return Found {
                ops: Vec::new(),
                changed: shadow.refresh(source, region),
            };
        }
        self.before.start(shadow.size());
        let differing = shadow.refresh_keeping(source, region, &mut self.before);
        self.explain(shadow, differing)
    }

    /// Whether a search may be worth it, before anything has been read.
    fn wants(&mut self, shadow: &Shadow, source: &dyn PixelSource, region: &Region) -> bool {
        if region.area() < SEARCH_AREA_MIN {
            return false;
        }
        self.rested = FAILURES_MAX <= self.failures && !self.rested;
        if self.rested {
            return false;
        }
        let is_doubtful = 0 < self.failures && SAMPLE_AREA_MIN <= region.area();
        if is_doubtful && !self.anchors.promise(shadow, source, region) {
            self.failures = self.failures.saturating_add(1);
            return false;
        }
        true
    }

    fn explain(&mut self, shadow: &Shadow, differing: Region) -> Found {
        if differing.area() < SEARCH_AREA_MIN {
            return Found {
                ops: Vec::new(),
                changed: differing,
            };
        }
        let before = std::mem::take(&mut self.before);
        let pair = Pair::new(&before, shadow);
        let moves = self.search(pair, &differing);
        let found = result(pair, &moves, differing);
        self.before = before;
        found
    }

    /// Regions and the offsets by which they moved, all compared.
    fn search(&mut self, pair: Pair<'_>, differing: &Region) -> Vec<(Point, Region)> {
        let mut moves = Vec::new();
        let recent = std::mem::take(&mut self.recent);
        let mut is_laid_out = !recent.is_empty();
        if is_laid_out {
            self.tiles.start(pair, differing);
            let goes_on = |delta: &&Point| self.tiles.goes_on(pair, **delta);
            if let Some(&delta) = recent.iter().find(goes_on) {
                self.tiles.match_offset(pair, delta);
                self.take(pair, delta, &mut moves);
            }
        }
        if !is_laid_out || GAIN_MIN <= self.tiles.total_gain() {
            let mut vain = 0;
            for delta in self.anchors.offsets(pair, differing) {
                if !is_laid_out {
                    self.tiles.start(pair, differing);
                    is_laid_out = true;
                }
                if VAIN_MAX <= vain || self.tiles.total_gain() < GAIN_MIN {
                    break;
                }
                let gain = self.tiles.match_offset(pair, delta);
                if gain < GAIN_MIN || !self.take(pair, delta, &mut moves) {
                    vain += 1;
                }
            }
        }
        self.failures = if moves.is_empty() {
            self.failures.saturating_add(1)
        } else {
            0
        };
        self.recent = moves
            .iter()
            .map(|(delta, _)| *delta)
            .take(RECENT_MAX)
            .collect();
        moves
    }

    /// Adds what the tiles that match under `delta` cover; false when that is nothing.
    fn take(&mut self, pair: Pair<'_>, delta: Point, moves: &mut Vec<(Point, Region)>) -> bool {
        let taken: usize = moves.iter().map(|(_, region)| region.rects().len()).sum();
        let rects = self
            .tiles
            .take_rects(pair, delta, COPIES_MAX.saturating_sub(taken));
        let mut region = Region::from_rects(&rects);
        for (_, earlier) in &*moves {
            region = region.subtract(earlier);
        }
        if region.is_empty() {
            return false;
        }
        moves.push((delta, region));
        true
    }
}

/// Orders the moves, and shrinks what they leave of `differing` to what does differ.
fn result(pair: Pair<'_>, moves: &[(Point, Region)], differing: Region) -> Found {
    if moves.is_empty() {
        return Found {
            ops: Vec::new(),
            changed: differing,
        };
    }
    let mut changes = Changes::new();
    for (delta, region) in moves {
        changes.moved(region, *delta);
    }
    let ops = changes.take_exact();
    let mut rest = differing;
    for (_, region) in moves {
        rest = rest.subtract(region);
    }
    // Moves that read each other in a circle have been given up.
    Found {
        ops,
        changed: pair.differences(&rest.union(changes.dirty())),
    }
}

#[cfg(test)]
mod tests;

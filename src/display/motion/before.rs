//! The picture before a frame, where the frame changed it.
//!
//! Reading the frame buffer overwrites the shadow at once; what it overwrites is kept here, in segments of one row
//! and [`SEGMENT`] columns. So the frame buffer is read once, unchanged pixels cost nothing, and afterwards both
//! pictures can be looked at: the old pixel of a segment that was not kept is the shadow's.

use crate::base::{Point, Rect, Region, Size};
use crate::display::shadow::{Shadow, TILE_HEIGHT, TILE_WIDTH, difference, join_boxes};

/// Columns of a segment: those of a comparison tile.
pub(in crate::display) const SEGMENT: usize = TILE_WIDTH;

/// Old pixels of one frame. Takes as much memory as the shadow once it has been used.
#[derive(Debug, Default)]
pub(in crate::display) struct Before {
    width: usize,
    height: usize,
    segments: usize,
    pixels: Vec<u32>,
    kept: Vec<bool>,
}

impl Before {
    /// Forgets the last frame. The memory is taken at the first call.
    pub(in crate::display) fn start(&mut self, size: Size) {
        let (width, height) = (size.width as usize, size.height as usize);
        if (width, height) != (self.width, self.height) {
            let segments = width.div_ceil(SEGMENT);
            *self = Self {
                width,
                height,
                segments,
                pixels: vec![0; width * height],
                kept: vec![false; segments * height],
            };
        }
        self.kept.fill(false);
    }

    /// Bytes of old pixels.
    pub(in crate::display) const fn held_bytes(&self) -> usize {
        self.pixels.capacity() * size_of::<u32>()
    }

    /// Keeps the segment that starts at column `segment * SEGMENT` of row `y`, unless that has been done: `row` is the
    /// shadow's, whole and not yet overwritten there.
    pub(in crate::display) fn keep(&mut self, y: usize, segment: usize, row: &[u32]) {
        let columns = segment * SEGMENT..((segment + 1) * SEGMENT).min(self.width);
        let Some(kept) = self.kept.get_mut(y * self.segments + segment) else {
            return;
        };
        if *kept {
            return;
        }
        let start = y * self.width;
        let target = self
            .pixels
            .get_mut(start + columns.start..start + columns.end);
        if let (Some(target), Some(source)) = (target, row.get(columns)) {
            target.copy_from_slice(source);
            *kept = true;
        }
    }

    /// Which segments of row `y` have old pixels here; empty outside of the picture.
    fn kept(&self, y: usize) -> &[bool] {
        let start = y * self.segments;
        self.kept
            .get(start..start + self.segments)
            .unwrap_or_default()
    }

    fn row(&self, y: usize) -> &[u32] {
        self.pixels
            .get(y * self.width..(y + 1) * self.width)
            .unwrap_or_default()
    }
}

/// The old and the new picture of a frame.
#[derive(Clone, Copy)]
pub(in crate::display) struct Pair<'a> {
    before: &'a Before,
    now: &'a Shadow,
}

impl<'a> Pair<'a> {
    /// `before` has been kept while `now` was refreshed.
    pub(in crate::display) const fn new(before: &'a Before, now: &'a Shadow) -> Self {
        Self { before, now }
    }

    /// The whole picture.
    pub(super) fn screen(&self) -> Rect {
        self.now.size().rect()
    }

    /// Row `y` as it is now.
    pub(super) fn new_row(&self, y: usize) -> &'a [u32] {
        i32::try_from(y)
            .ok()
            .and_then(|y| self.now.row(y))
            .unwrap_or_default()
    }

    /// Which segments of row `y` differ from before.
    pub(super) fn differing(&self, y: usize) -> &'a [bool] {
        self.before.kept(y)
    }

    /// Runs of old pixels in row `y` that differ from now, each with its first column: whole segments.
    pub(super) fn old_runs(&self, y: usize) -> impl Iterator<Item = (usize, &'a [u32])> {
        let (kept, row) = (self.before.kept(y), self.before.row(y));
        let mut segment = 0;
        std::iter::from_fn(move || {
            let start = segment + kept.get(segment..)?.iter().position(|&kept| kept)?;
            let rest = kept.get(start..)?;
            segment = start + rest.iter().position(|&kept| !kept).unwrap_or(rest.len());
            let end = (segment * SEGMENT).min(row.len());
            Some((start * SEGMENT, row.get(start * SEGMENT..end)?))
        })
    }

    /// Whether the new pixels of row `y` in `left..right` are the old ones `delta` away. False where either leaves the
    /// picture.
    pub(super) fn is_moved(&self, y: i32, left: i32, right: i32, delta: Point) -> bool {
        let Some((new, old)) = self.rows(y, left, right, delta) else {
            return false;
        };
        old.equals(new)
    }

    /// How many pixels of `left..right` in row `y` are moved by `delta`, counted from the left, or from the right.
    pub(super) fn moved_run(
        &self,
        y: i32,
        columns: (i32, i32),
        delta: Point,
        from_right: bool,
    ) -> usize {
        let (left, right) = columns;
        let Some((new, old)) = self.rows(y, left, right, delta) else {
            return 0;
        };
        let differs = |index: &usize| new.get(*index).copied() != old.at(*index);
        if from_right {
            (0..new.len()).rev().position(|index| differs(&index))
        } else {
            (0..new.len()).position(|index| differs(&index))
        }
        .unwrap_or(new.len())
    }

    /// `region` shrunk to what differs from before, by the tiles of the shadow's comparison.
    pub(in crate::display) fn differences(&self, region: &Region) -> Region {
        let mut changed = Vec::new();
        for rect in region.clip(&self.screen()).rects() {
            let tile = TILE_HEIGHT.cast_signed();
            let mut top = rect.top;
            while top < rect.bottom {
                let bottom = rect.bottom.min((top.div_euclid(tile) + 1) * tile);
                self.differences_of_band(
                    &Rect {
                        top,
                        bottom,
                        ..*rect
                    },
                    &mut changed,
                );
                top = bottom;
            }
        }
        Region::from_rects(&changed)
    }

    fn differences_of_band(&self, band: &Rect, changed: &mut Vec<Rect>) {
        let columns = |x: i32| x.cast_unsigned() as usize;
        let first = columns(band.left) / SEGMENT;
        let segments = columns(band.right).div_ceil(SEGMENT) - first;
        let mut boxes = vec![Rect::default(); segments];
        for y in band.top..band.bottom {
            let row = columns(y);
            for (segment, tile) in (first..).zip(&mut boxes) {
                if !self.differing(row).get(segment).is_some_and(|&kept| kept) {
                    continue;
                }
                let left = columns(band.left).max(segment * SEGMENT);
                let right = columns(band.right).min((segment + 1) * SEGMENT);
                let new = self.new_row(row).get(left..right);
                let old = self.before.row(row).get(left..right);
                if let Some((first, last)) =
                    new.zip(old).and_then(|(new, old)| difference(new, old))
                {
                    let edge = |column: usize| i32::try_from(left + column).unwrap_or(i32::MAX);
                    *tile = tile.union_bounds(&Rect::new(edge(first), y, edge(last + 1), y + 1));
                }
            }
        }
        join_boxes(boxes, changed);
    }

    /// The new pixels of `left..right` in row `y`, and the old ones `delta` away.
    fn rows(
        &self,
        y: i32,
        left: i32,
        right: i32,
        delta: Point,
    ) -> Option<(&'a [u32], OldSpan<'a>)> {
        let index = |at: i32| usize::try_from(at).ok();
        let new = self.new_row(index(y)?).get(index(left)?..index(right)?)?;
        let source = index(y - delta.y)?;
        let old = OldSpan {
            left: index(left - delta.x)?,
            kept: self.before.kept(source),
            before: self.before.row(source),
            now: self.new_row(source),
        };
        (index(right - delta.x)? <= old.now.len()).then_some((new, old))
    }
}

/// Old pixels from column `left` on: those kept, and the shadow's where they did not change.
struct OldSpan<'a> {
    left: usize,
    kept: &'a [bool],
    before: &'a [u32],
    now: &'a [u32],
}

impl OldSpan<'_> {
    fn at(&self, index: usize) -> Option<u32> {
        let x = self.left + index;
        let row = if *self.kept.get(x / SEGMENT)? {
            self.before
        } else {
            self.now
        };
        row.get(x).copied()
    }

    /// Compares in runs of segments that lie in the same picture.
    fn equals(&self, new: &[u32]) -> bool {
        let (mut x, end) = (self.left, self.left + new.len());
        while x < end {
            let segment = x / SEGMENT;
            let Some(&kept) = self.kept.get(segment) else {
                return false;
            };
            let same = self
                .kept
                .iter()
                .skip(segment)
                .take_while(|&&other| other == kept);
            let stop = ((segment + same.count()) * SEGMENT).min(end);
            let row = if kept { self.before } else { self.now };
            if row.get(x..stop) != new.get(x - self.left..stop - self.left) {
                return false;
            }
            x = stop;
        }
        true
    }
}

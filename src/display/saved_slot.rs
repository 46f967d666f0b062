//! One piece of remembered content: its pixels, and where on the screen it was.

use super::shadow::{Shadow, TILE_HEIGHT, TILE_WIDTH, read_line};
use crate::base::{Point, Rect, Region};
use crate::image::pixels::Pixels;
use crate::ring::PixelSource;

/// Rows of which one is looked at where a guess is enough.
const SAMPLE_STEP: usize = 4;

/// Tiles that are looked at before all of them are compared.
const SAMPLED_TILES: usize = 16;

/// Tiles that are looked at before content is expected to be there.
const EXPECTED_TILES: usize = 48;

/// Of these, at least so many have changed.
const CHANGED_TILES_MIN: usize = 4;

/// Of the changed ones at most one in so many is not as expected.
const UNEXPECTED_SHARE: usize = 8;

/// Content that was on the screen.
#[derive(Debug)]
pub(super) struct Slot {
    /// Number that clients know it by.
    pub(super) id: u32,
    /// Where it was on the screen.
    pub(super) place: Rect,
    /// When it was of use last, in uses of any slot.
    pub(super) used: u64,
    /// Where the screen shows it for certain, at its place.
    pub(super) intact: Region,
    pixels: Vec<u32>,
}

impl Slot {
    /// What `shadow` shows in `place`; none outside of the screen. It is kept in `memory`.
    pub(super) fn new(
        id: u32,
        place: Rect,
        used: u64,
        shadow: &Shadow,
        memory: Vec<u32>,
    ) -> Option<Self> {
        let mut pixels = memory;
        shadow.pixels(&place)?.pack_into(&mut pixels);
        Some(Self {
            id,
            place,
            used,
            intact: Region::new(),
            pixels,
        })
    }

    /// Forgets it, and leaves its memory to the next.
    pub(super) fn into_memory(self) -> Vec<u32> {
        self.pixels
    }

    /// Takes the part of it that lies in `rect` of the screen from `shadow` again.
    pub(super) fn renew(&mut self, rect: &Rect, shadow: &Shadow) {
        let rect = rect.intersect(&self.place);
        let Some(newest) = shadow.pixels(&rect) else {
            return;
        };
        let (width, place) = (self.place.width() as usize, self.place);
        for (y, row) in (rect.top..).zip(newest.rows()) {
            let start = index(y - place.top) * width + index(rect.left - place.left);
            if let Some(target) = self.pixels.get_mut(start..start + row.len()) {
                target.copy_from_slice(row);
            }
        }
    }

    /// Pixels in it.
    pub(super) fn area(&self) -> u64 {
        self.place.area()
    }

    /// How `shadow` inside of `within` compares with it, when it lies `offset` away from its place.
    pub(super) fn compare(&self, shadow: &Shadow, offset: Point, within: &Rect) -> Comparison {
        let (mut shown, mut differing) = (Vec::new(), Vec::new());
        for_each_tile(&self.place.translate(offset), within, |tile| {
            let difference = self.difference(shadow, offset, &tile);
            if difference.is_empty() {
                shown.push(tile);
            } else {
                differing.push(difference);
            }
        });
        Comparison {
            shown: Region::from_rects(&join_rows(shown)),
            differing: Region::from_rects(&join_rows(differing)),
        }
    }

    /// Whether some tiles of `region` show it, going by a few rows.
    pub(super) fn may_be_shown(&self, shadow: &Shadow, offset: Point, region: &Region) -> bool {
        let mut tiles = Vec::new();
        for rect in region.rects() {
            for_each_tile(&self.place.translate(offset), rect, |tile| tiles.push(tile));
        }
        let step = tiles.len().div_ceil(SAMPLED_TILES).max(1);
        let mut sampled = tiles.iter().step_by(step);
        sampled.any(|tile| self.equals(shadow, offset, tile, SAMPLE_STEP))
    }

    /// Whether nearly all of what changes when `source` replaces `shadow` in `region` becomes what it holds, by a
    /// sample: what stays the same says nothing.
    pub(super) fn seems_shown(
        &self,
        shadow: &Shadow,
        source: &dyn PixelSource,
        region: &Region,
    ) -> bool {
        let mut tiles = Vec::new();
        for rect in region.rects() {
            for_each_tile(&self.place, rect, |tile| tiles.push(tile));
        }
        let step = tiles.len().div_ceil(EXPECTED_TILES).max(1);
        let (mut changed, mut unexpected) = (0, 0);
        for tile in tiles.iter().step_by(step) {
            let Some(shown) = shadow.pixels(tile) else {
                continue;
            };
            let (mut is_changed, mut is_expected) = (false, true);
            let mut line = [0; TILE_WIDTH];
            for (y, old) in (tile.top..).zip(shown.rows()).step_by(SAMPLE_STEP) {
                let Some(now) = read_line(source, &mut line, tile, y) else {
                    continue;
                };
                is_changed |= now != old;
                is_expected &= now == self.own_row(tile.left, y, now.len());
            }
            changed += usize::from(is_changed);
            unexpected += usize::from(is_changed && !is_expected);
            if EXPECTED_TILES / UNEXPECTED_SHARE < unexpected {
                return false;
            }
        }
        CHANGED_TILES_MIN <= changed && unexpected * UNEXPECTED_SHARE <= changed
    }

    /// Pixels of row `y` of the screen from column `left` on, at its place.
    pub(super) fn own_row(&self, left: i32, y: i32, count: usize) -> &[u32] {
        self.row(Point::default(), left, y, count)
    }

    /// The box around what differs in `tile`; empty if nothing does.
    fn difference(&self, shadow: &Shadow, offset: Point, tile: &Rect) -> Rect {
        let Some(shown) = shadow.pixels(tile) else {
            return *tile;
        };
        let mut differing = Rect::default();
        for (y, now) in (tile.top..).zip(shown.rows()) {
            let own = self.row(offset, tile.left, y, now.len());
            if own == now {
                continue;
            }
            let unequal = |pair: (&u32, &u32)| pair.0 != pair.1;
            let first = now.iter().zip(own).position(unequal);
            let last = now.iter().zip(own).rposition(unequal);
            if let (Some(first), Some(last)) = (first, last) {
                let column = |index: usize| tile.left + i32::try_from(index).unwrap_or(0);
                let row = Rect::new(column(first), y, column(last + 1), y + 1);
                differing = differing.union_bounds(&row);
            }
        }
        differing
    }

    /// Pixels of row `y` of the screen from column `left` on, when it lies `offset` away from its place.
    fn row(&self, offset: Point, left: i32, y: i32, count: usize) -> &[u32] {
        let origin = self.place.origin().plus(offset);
        let width = self.place.width() as usize;
        let start = index(y - origin.y) * width + index(left - origin.x);
        self.pixels.get(start..start + count).unwrap_or_default()
    }

    /// Whether every `step`-th row of `tile` is the same in `shadow` as here.
    fn equals(&self, shadow: &Shadow, offset: Point, tile: &Rect, step: usize) -> bool {
        let Some(shown) = shadow.pixels(tile) else {
            return false;
        };
        (tile.top..)
            .zip(shown.rows())
            .step_by(step)
            .all(|(y, now)| self.row(offset, tile.left, y, now.len()) == now)
    }
}

/// What of a rectangle of the screen is as a slot has it.
#[derive(Debug)]
pub(super) struct Comparison {
    /// Whole tiles that are the same.
    pub(super) shown: Region,
    /// Boxes around the pixels that are not.
    pub(super) differing: Region,
}

/// Whether at least `least` pixels differ from their left neighbours, in every fourth row: that is about as many bytes
/// as an eighth to a quarter of the picture takes. What is detailed shows that in its first rows.
pub(super) fn has_detail(pixels: &Pixels<'_>, least: usize) -> bool {
    let differing = |row: &[u32]| {
        let right = row.get(1..).unwrap_or_default();
        // Most rows of what is plain: told as fast as memory is read.
        if row.get(..right.len()) == Some(right) {
            return 0;
        }
        row.iter().zip(right).filter(|(a, b)| a != b).count()
    };
    let mut rows = pixels.rows().step_by(SAMPLE_STEP).map(differing);
    let mut found = 0;
    rows.any(|count| {
        found += count;
        least <= found
    })
}

/// The tiles of a grid from the top left corner of `place` that lie in it and meet `within`, cut to both, from the
/// top.
fn for_each_tile(place: &Rect, within: &Rect, mut found: impl FnMut(Rect)) {
    let (width, height) = (TILE_WIDTH as i32, TILE_HEIGHT.cast_signed());
    let area = place.intersect(within);
    if area.is_empty() {
        return;
    }
    let mut top = area.top - (area.top - place.top) % height;
    while top < area.bottom {
        let mut left = area.left - (area.left - place.left) % width;
        while left < area.right {
            found(Rect::at(left, top, width, height).intersect(&area));
            left += width;
        }
        top += height;
    }
}

/// Tiles in reading order, those that touch in a row as one.
fn join_rows(tiles: Vec<Rect>) -> Vec<Rect> {
    let mut joined: Vec<Rect> = Vec::new();
    for tile in tiles {
        match joined.last_mut() {
            Some(last)
                if last.top == tile.top
                    && last.bottom == tile.bottom
                    && last.right == tile.left =>
            {
                last.right = tile.right;
            }
            _ => joined.push(tile),
        }
    }
    joined
}

/// Distances inside of a slot are not negative.
fn index(distance: i32) -> usize {
    usize::try_from(distance).unwrap_or(0)
}

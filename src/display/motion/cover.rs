//! Where a guessed offset holds: rectangles whose new pixels are the old ones, compared one by one.
//!
//! What changed is laid out in tiles of [`TILE`] pixels. Tiles that match under an offset are joined to the rectangle
//! that explains most, that one grows to its exact edges by rows and columns of pixels, and the next one is looked for
//! in what is left. Nothing enters the result that has not been compared.

use super::before::{Pair, SEGMENT};
use crate::base::{Point, Rect, Region, Size};

/// Small beside windows, large beside the cost of looking at one.
const TILE: Size = Size::new(32, 8);

/// Changed pixels that a copy has to explain: fewer cost about as much as its message.
pub(super) const GAIN_MIN: u64 = 1024;

/// Copies of one frame.
pub(super) const COPIES_MAX: usize = 24;

/// Flat tiles cost little to send, and match where anything flat was: they count for this fraction.
const FLAT_SHARE: u32 = 16;

/// Of the rows of tiles, one in so many is compared to see whether a scroll goes on.
const SAMPLE_STEP: usize = 8;

/// An offset that explains this many quarters of the changes needs no search.
const ENOUGH_QUARTERS: u64 = 3;

/// The tiles around what changed.
#[derive(Debug, Default)]
pub(super) struct TileMap {
    bounds: Rect,
    columns: usize,
    rows: usize,
    /// Changed pixels of each tile that no copy explains yet, weighted.
    gain: Vec<u32>,
    matched: Vec<bool>,
    /// Of how many rows of tiles one has been compared.
    compared: usize,
    sums: Vec<u64>,
}

/// Tiles `columns` x `rows`, half-open.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl TileMap {
    /// Lays tiles over `region`, what differs.
    pub(super) fn start(&mut self, pair: Pair<'_>, region: &Region) {
        let (width, height) = (TILE.width.cast_signed(), TILE.height.cast_signed());
        let around = region.bounds();
        let left = around.left.div_euclid(width) * width;
        let top = around.top.div_euclid(height) * height;
        self.bounds = Rect::new(left, top, around.right, around.bottom);
        self.columns = self.bounds.width().div_ceil(TILE.width) as usize;
        self.rows = self.bounds.height().div_ceil(TILE.height) as usize;
        // The last tiles are whole where the screen is.
        self.bounds.right = left + signed(self.columns) * width;
        self.bounds.bottom = top + signed(self.rows) * height;
        self.bounds = self.bounds.intersect(&pair.screen());
        self.gain.clear();
        for row in 0..self.rows {
            for column in 0..self.columns {
                let gain = gain(pair, &self.tile(column, row));
                self.gain.push(gain);
            }
        }
    }

    /// Weighted pixels that are not explained yet.
    pub(super) fn total_gain(&self) -> u64 {
        self.gain.iter().map(|&gain| u64::from(gain)).sum()
    }

    /// Finds which tiles match under `delta`, and the weighted pixels in them that are not explained yet.
    pub(super) fn match_offset(&mut self, pair: Pair<'_>, delta: Point) -> u64 {
        self.match_rows(pair, delta, 1);
        self.matched_gain().0
    }

    /// Whether `delta` explains most of a sample of the changes.
    pub(super) fn goes_on(&mut self, pair: Pair<'_>, delta: Point) -> bool {
        self.match_rows(pair, delta, SAMPLE_STEP);
        let (matched, sampled) = self.matched_gain();
        0 < sampled && sampled * ENOUGH_QUARTERS <= matched * 4
    }

    /// Compares every `step`-th row of tiles; `step` is kept in `compared`.
    fn match_rows(&mut self, pair: Pair<'_>, delta: Point, step: usize) {
        self.compared = step;
        self.matched.clear();
        self.matched.resize(self.gain.len(), true);
        let rows = (0..).zip(self.matched.chunks_mut(self.columns.max(1)));
        for (row, matched) in rows.step_by(step) {
            let top = self.bounds.top + signed(row) * TILE.height.cast_signed();
            let bottom = (top + TILE.height.cast_signed()).min(self.bounds.bottom);
            for y in top..bottom {
                match_row(pair, matched, y, &self.bounds, delta);
            }
        }
    }

    /// The gain in matching tiles, and in all, of the rows that were compared.
    fn matched_gain(&self) -> (u64, u64) {
        let columns = self.columns.max(1);
        let rows = self.gain.chunks(columns).zip(self.matched.chunks(columns));
        let (mut matching, mut all) = (0, 0);
        for (gains, matched) in rows.step_by(self.compared.max(1)) {
            for (&gain, &matched) in gains.iter().zip(matched) {
                all += u64::from(gain);
                matching += if matched { u64::from(gain) } else { 0 };
            }
        }
        (matching, all)
    }

    /// Rectangles of the tiles that [`match_offset`](Self::match_offset) found, grown to their edges; at most `count`.
    /// Their tiles are explained from now on.
    pub(super) fn take_rects(&mut self, pair: Pair<'_>, delta: Point, count: usize) -> Vec<Rect> {
        let mut rects = Vec::new();
        while rects.len() < count && GAIN_MIN <= self.matched_gain().0 {
            self.sum_up();
            let (gain, block) = self.best_block();
            if gain < GAIN_MIN {
                break;
            }
            let block = self.trimmed(block);
            let area = self.tile(block.left, block.top).union_bounds(&self.tile(
                block.right.saturating_sub(1),
                block.bottom.saturating_sub(1),
            ));
            rects.push(grown(pair, area, delta));
            for row in block.top..block.bottom {
                let start = row * self.columns;
                if let Some(gains) = self.gain.get_mut(start + block.left..start + block.right) {
                    gains.fill(0);
                }
            }
        }
        rects
    }

    fn tile(&self, column: usize, row: usize) -> Rect {
        let (width, height) = (TILE.width.cast_signed(), TILE.height.cast_signed());
        let (x, y) = (
            self.bounds.left + signed(column) * width,
            self.bounds.top + signed(row) * height,
        );
        Rect::at(x, y, width, height).intersect(&self.bounds)
    }

    /// Makes `sums` the sums of the gains above and left of each tile's corner.
    fn sum_up(&mut self) {
        let stride = self.columns + 1;
        self.sums.clear();
        self.sums.resize(stride, 0);
        for gains in self.gain.chunks(self.columns.max(1)) {
            let above = self.sums.len() - stride;
            let mut sum = 0;
            self.sums.push(0);
            for (column, &gain) in gains.iter().enumerate() {
                sum += u64::from(gain);
                let up = self.sums.get(above + column + 1).copied().unwrap_or(0);
                self.sums.push(up + sum);
            }
        }
    }

    fn block_gain(&self, block: Block) -> u64 {
        let at = |column: usize, row: usize| {
            let index = row * (self.columns + 1) + column;
            self.sums.get(index).copied().unwrap_or(0)
        };
        (at(block.right, block.bottom) + at(block.left, block.top))
            .saturating_sub(at(block.left, block.bottom) + at(block.right, block.top))
    }

    /// The block of matching tiles with the highest gain: the largest rectangle under a histogram, row by row.
    fn best_block(&self) -> (u64, Block) {
        let mut best = (0, Block::default());
        let mut heights = vec![0; self.columns + 1];
        let mut open: Vec<(usize, usize)> = Vec::new();
        for (row, matched) in self.matched.chunks(self.columns.max(1)).enumerate() {
            for (height, &matched) in heights.iter_mut().zip(matched) {
                *height = if matched { *height + 1 } else { 0 };
            }
            open.clear();
            for (column, &height) in heights.iter().enumerate() {
                let mut left = column;
                while let Some(&(start, taller)) = open.last().filter(|(_, other)| height < *other)
                {
                    let block = Block {
                        left: start,
                        top: row + 1 - taller,
                        right: column,
                        bottom: row + 1,
                    };
                    let gain = self.block_gain(block);
                    if best.0 < gain {
                        best = (gain, block);
                    }
                    left = start;
                    open.pop();
                }
                if open.last().is_none_or(|(_, other)| *other < height) {
                    open.push((left, height));
                }
            }
        }
        best
    }

    /// Without the outer rows and columns of tiles in which nothing is to be explained.
    fn trimmed(&self, mut block: Block) -> Block {
        let gains = |part: Block| 0 < self.block_gain(part);
        while block.top + 1 < block.bottom
            && !gains(Block {
                bottom: block.top + 1,
                ..block
            })
        {
            block.top += 1;
        }
        while block.top + 1 < block.bottom
            && !gains(Block {
                top: block.bottom - 1,
                ..block
            })
        {
            block.bottom -= 1;
        }
        while block.left + 1 < block.right
            && !gains(Block {
                right: block.left + 1,
                ..block
            })
        {
            block.left += 1;
        }
        while block.left + 1 < block.right
            && !gains(Block {
                left: block.right - 1,
                ..block
            })
        {
            block.right -= 1;
        }
        block
    }
}

/// Changed pixels of `tile`, by whole rows; fewer when it shows one colour.
fn gain(pair: Pair<'_>, tile: &Rect) -> u32 {
    let columns = tile.left.cast_unsigned() as usize..tile.right.cast_unsigned() as usize;
    let segment = columns.start / SEGMENT;
    let (mut differing, mut flat, mut color) = (0, true, None);
    for y in tile.top.cast_unsigned() as usize..tile.bottom.cast_unsigned() as usize {
        if pair.differing(y).get(segment) != Some(&true) {
            continue;
        }
        differing += tile.width();
        if flat {
            let row = pair.new_row(y).get(columns.clone()).unwrap_or_default();
            color = color.or(row.first().copied());
            flat = row.iter().all(|&pixel| Some(pixel) == color);
        }
    }
    if flat {
        differing.div_ceil(FLAT_SHARE)
    } else {
        differing
    }
}

/// Strikes out the tiles whose row `y` is not the old one. Runs of tiles that still match are compared as one.
fn match_row(pair: Pair<'_>, matched: &mut [bool], y: i32, bounds: &Rect, delta: Point) {
    let width = TILE.width.cast_signed();
    let edge = |column: usize| (bounds.left + signed(column) * width).min(bounds.right);
    let mut column = 0;
    while let Some(skipped) = matched
        .get(column..)
        .and_then(|rest| rest.iter().position(|&tile| tile))
    {
        let start = column + skipped;
        let run = matched.get_mut(start..).unwrap_or_default();
        let count = run.iter().position(|&tile| !tile).unwrap_or(run.len());
        column = start + count;
        if !pair.is_moved(y, edge(start), edge(column), delta) {
            for (index, tile) in (start..column).zip(run) {
                *tile = pair.is_moved(y, edge(index), edge(index + 1), delta);
            }
        }
    }
}

/// `area`, known to be moved, with the rows and columns of pixels beside it that are moved too, a tile at most.
fn grown(pair: Pair<'_>, area: Rect, delta: Point) -> Rect {
    let mut rect = area;
    let moved = |rect: &Rect, y: i32| pair.is_moved(y, rect.left, rect.right, delta);
    let (rows, columns) = (TILE.height.cast_signed(), TILE.width.cast_signed());
    while area.top - rows < rect.top && moved(&rect, rect.top - 1) {
        rect.top -= 1;
    }
    while rect.bottom < area.bottom + rows && moved(&rect, rect.bottom) {
        rect.bottom += 1;
    }
    // Only columns whose source is in the picture as well can be moved.
    let within = pair.screen().intersect(&pair.screen().translate(delta));
    let mut to_left = columns.min(rect.left - within.left);
    let mut to_right = columns.min(within.right - rect.right);
    for y in rect.top..rect.bottom {
        let left = (rect.left - to_left, rect.left);
        let right = (rect.right, rect.right + to_right);
        to_left = signed(pair.moved_run(y, left, delta, true));
        to_right = signed(pair.moved_run(y, right, delta, false));
    }
    Rect {
        left: rect.left - to_left,
        right: rect.right + to_right,
        ..rect
    }
}

fn signed(count: usize) -> i32 {
    // Columns and rows of a screen: at most SCREEN_SIDE_MAX.
    i32::try_from(count).unwrap_or(i32::MAX)
}

//! The newest pixels that the server has read, and the comparison of what X draws with them.
//!
//! All clients share one shadow. It goes through exactly the operations that a client's surface goes through
//! (copies, fills, then new pixels), so a client is described by regions against it.
//!
//! Pixels are `0x00RRGGBB`: the top byte of the frame buffer is undefined at depth 24 and is cleared on reading.
//! Changes are found in tiles of [`TILE_WIDTH`] x [`TILE_HEIGHT`] pixels and reported shrunk to what changed
//! in them: one typed letter costs its own box, and a region stays small.

use super::changes::ExactOp;
use super::motion::Before;
use crate::base::{Point, Rect, Region, Size};
use crate::image::pixels::Pixels;
use crate::ring::PixelSource;

/// Columns of a comparison tile: 256 bytes, four cache lines.
pub const TILE_WIDTH: usize = 64;

/// Rows of a comparison tile: about one line of text.
pub const TILE_HEIGHT: u32 = 16;

/// Of tall rectangles a hint is checked in about so many rows only: the comparison that follows checks all.
const HINT_ROWS: usize = 64;

/// A picture in private memory.
#[derive(Debug, Default)]
pub struct Shadow {
    size: Size,
    stride: usize,
    pixels: Vec<u32>,
    line: Vec<u32>,
}

impl Shadow {
    /// A black picture. The caller has checked `size` against the limits.
    pub fn new(size: Size) -> Self {
        let (stride, rows) = (size.width as usize, size.height as usize);
        Self {
            size,
            stride,
            pixels: vec![0; stride * rows],
            line: vec![0; stride],
        }
    }

    /// Width and height in pixels.
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Bytes of its pixels.
    pub const fn held_bytes(&self) -> usize {
        self.pixels.capacity() * size_of::<u32>()
    }

    /// The pixels of `rect`; none when it leaves the picture.
    pub fn pixels(&self, rect: &Rect) -> Option<Pixels<'_>> {
        if rect.is_empty() || !self.size.rect().contains(rect) {
            return None;
        }
        let start = self.index(rect.left, rect.top)?;
        Pixels::new(
            self.pixels.get(start..)?,
            rect.width(),
            rect.height(),
            self.stride,
        )
        .ok()
    }

    /// Applies an exact operation. Parts outside the picture are ignored, as are copies from outside.
    pub fn apply(&mut self, op: &ExactOp) {
        let screen = self.size.rect();
        match *op {
            ExactOp::Fill { rect, color } => {
                let rect = rect.intersect(&screen);
                for y in rect.top..rect.bottom {
                    if let Some(row) = self.span_mut(&rect, y) {
                        row.fill(color);
                    }
                }
            }
            ExactOp::Copy { rect, delta } => {
                self.copy(
                    rect.intersect(&screen).intersect(&screen.translate(delta)),
                    delta,
                );
            }
        }
    }

    /// Row `y`, whole; none outside of the picture.
    pub(super) fn row(&self, y: i32) -> Option<&[u32]> {
        let start = self.index(0, y)?;
        self.pixels.get(start..start + self.stride)
    }

    /// Reads `region` from `source`, keeps it, and returns what differed from before.
    pub fn refresh(&mut self, source: &dyn PixelSource, region: &Region) -> Region {
        self.refresh_region(source, region, None)
    }

    /// As [`refresh`](Self::refresh), and what is overwritten goes to `before`.
    pub(super) fn refresh_keeping(
        &mut self,
        source: &dyn PixelSource,
        region: &Region,
        before: &mut Before,
    ) -> Region {
        self.refresh_region(source, region, Some(before))
    }

    fn refresh_region(
        &mut self,
        source: &dyn PixelSource,
        region: &Region,
        mut before: Option<&mut Before>,
    ) -> Region {
        let mut changed = Vec::new();
        for rect in region.clip(&self.size.rect()).rects() {
            let mut top = rect.top;
            while top < rect.bottom {
                // Tiles lie on a fixed grid, so that neighbouring rectangles report boxes that join.
                let tile = TILE_HEIGHT.cast_signed();
                let bottom = rect.bottom.min((top.div_euclid(tile) + 1) * tile);
                let band = Rect::new(rect.left, top, rect.right, bottom);
                self.refresh_band(source, &band, before.as_deref_mut(), &mut changed);
                top = bottom;
            }
        }
        Region::from_rects(&changed)
    }

    /// Where `source` differs from what was read last, without reading it for good: of every `row_step` rows one is
    /// compared, and stands for those below it.
    pub fn differing(
        &mut self,
        source: &dyn PixelSource,
        region: &Region,
        row_step: i32,
    ) -> Region {
        let mut line = std::mem::take(&mut self.line);
        let mut boxes = Vec::new();
        for rect in region.clip(&self.size.rect()).rects() {
            let mut y = rect.top;
            while y < rect.bottom {
                let bottom = rect.bottom.min(y + row_step.max(1));
                if let (Some(now), Some(before)) =
                    (read_line(source, &mut line, rect, y), self.span(rect, y))
                    && now != before
                {
                    differing_boxes(now, before, rect.left, y..bottom, &mut boxes);
                }
                y = bottom;
            }
        }
        self.line = line;
        Region::from_rects(&boxes)
    }

    /// Whether copying `rect` from `rect - delta` brings it nearer to what `source` shows now.
    pub fn copy_pays(&mut self, source: &dyn PixelSource, rect: &Rect, delta: Point) -> bool {
        self.sample_copy(source, rect, delta)
            .is_some_and(|sample| sample.loss < sample.gain)
    }

    /// Whether `source` shows in nearly all of `rect` what lay at `rect - delta`, by a sample of the rows.
    pub fn is_copy(&mut self, source: &dyn PixelSource, rect: &Rect, delta: Point) -> bool {
        self.sample_copy(source, rect, delta)
            .is_some_and(|sample| sample.all - sample.all / 8 <= sample.right)
    }

    /// Whether filling `rect` with `color` brings it nearer to what `source` shows now.
    pub fn fill_pays(&mut self, source: &dyn PixelSource, rect: &Rect, color: u32) -> bool {
        if !self.size.rect().contains(rect) {
            return false;
        }
        let sample = self.sample(source, rect, |_, _| Some(Expected::Color(color)));
        sample.loss < sample.gain
    }

    /// Whether `rect` lies in the picture and `source` shows nothing but `color` there.
    pub(super) fn is_filled(&mut self, source: &dyn PixelSource, rect: &Rect, color: u32) -> bool {
        if !self.size.rect().contains(rect) {
            return false;
        }
        let mut line = std::mem::take(&mut self.line);
        let is_filled = (rect.top..rect.bottom)
            .all(|y| read_line(source, &mut line, rect, y).is_some_and(|row| is_plain(row, color)));
        self.line = line;
        is_filled
    }

    /// Whether `rect` and what lies `delta` before it are in the picture.
    pub(super) fn holds_copy(&self, rect: &Rect, delta: Point) -> bool {
        let from = rect.translate(Point::new(-delta.x, -delta.y));
        self.size.rect().contains(rect) && self.size.rect().contains(&from)
    }

    /// Whether filling `rect` with `color` changes anything in the picture.
    pub(super) fn fill_changes(&self, rect: &Rect, color: u32) -> bool {
        let rect = &rect.intersect(&self.size.rect());
        (rect.top..rect.bottom).any(|y| self.span(rect, y).is_some_and(|row| !is_plain(row, color)))
    }

    /// A sample of a copy; none where it leaves the picture.
    fn sample_copy(
        &mut self,
        source: &dyn PixelSource,
        rect: &Rect,
        delta: Point,
    ) -> Option<Sample> {
        let from = rect.translate(Point::new(-delta.x, -delta.y));
        self.holds_copy(rect, delta).then(|| {
            self.sample(source, rect, |shadow, y| {
                shadow.span(&from, y - delta.y).map(Expected::Row)
            })
        })
    }

    /// Counts what an operation would make of tiles' rows.
    fn sample<'s>(
        &'s mut self,
        source: &dyn PixelSource,
        rect: &Rect,
        expected: impl for<'e> Fn(&'e Self, i32) -> Option<Expected<'e>>,
    ) -> Sample {
        let mut line = std::mem::take(&mut self.line);
        let step = (rect.height() as usize / HINT_ROWS).max(1);
        let mut sample = Sample::default();
        for y in (rect.top..rect.bottom).step_by(step) {
            let (Some(now), Some(before), Some(expected)) = (
                read_line(source, &mut line, rect, y),
                self.span(rect, y),
                expected(self, y),
            ) else {
                continue;
            };
            for (index, (now, before)) in now
                .chunks(TILE_WIDTH)
                .zip(before.chunks(TILE_WIDTH))
                .enumerate()
            {
                let (was_right, right) = (now == before, expected.matches(index * TILE_WIDTH, now));
                sample.all += 1;
                sample.right += u32::from(right);
                sample.gain += u32::from(right && !was_right);
                sample.loss += u32::from(was_right && !right);
            }
        }
        self.line = line;
        sample
    }

    /// A band within one row of tiles.
    fn refresh_band(
        &mut self,
        source: &dyn PixelSource,
        band: &Rect,
        mut keeper: Option<&mut Before>,
        changed: &mut Vec<Rect>,
    ) {
        let mut line = std::mem::take(&mut self.line);
        let (left, right) = (
            band.left.cast_unsigned() as usize,
            band.right.cast_unsigned() as usize,
        );
        let first_tile = left / TILE_WIDTH;
        let mut boxes = vec![Rect::default(); right.div_ceil(TILE_WIDTH) - first_tile];
        for y in band.top..band.bottom {
            let Some(now) = read_line(source, &mut line, band, y) else {
                continue;
            };
            let Some(row) = self.row_mut(y) else {
                continue;
            };
            if row.get(left..right) == Some(now) {
                continue;
            }
            let mut column = left;
            for (tile, changed) in (first_tile..).zip(&mut boxes) {
                let end = ((tile + 1) * TILE_WIDTH).min(right);
                let new = &now[column - left..end - left];
                if let Some((first, last)) = difference(new, &row[column..end]) {
                    let edge = |index: usize| signed(column + index);
                    let differing = Rect::new(edge(first), y, edge(last + 1), y + 1);
                    *changed = changed.union_bounds(&differing);
                    if let Some(before) = keeper.as_deref_mut() {
                        before.keep(y.cast_unsigned() as usize, tile, row);
                    }
                    row[column + first..=column + last].copy_from_slice(&new[first..=last]);
                }
                column = end;
            }
        }
        self.line = line;
        join_boxes(boxes, changed);
    }

    fn copy(&mut self, rect: Rect, delta: Point) {
        let width = rect.width() as usize;
        let mut rows: Vec<i32> = (rect.top..rect.bottom).collect();
        if 0 < delta.y {
            rows.reverse();
        }
        for y in rows {
            if let (Some(from), Some(to)) = (
                self.index(rect.left - delta.x, y - delta.y),
                self.index(rect.left, y),
            ) {
                self.pixels.copy_within(from..from + width, to);
            }
        }
    }

    fn index(&self, x: i32, y: i32) -> Option<usize> {
        let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
        Some(y * self.stride + x)
    }

    pub(super) fn span(&self, rect: &Rect, y: i32) -> Option<&[u32]> {
        let start = self.index(rect.left, y)?;
        self.pixels.get(start..start + rect.width() as usize)
    }

    fn row_mut(&mut self, y: i32) -> Option<&mut [u32]> {
        let start = self.index(0, y)?;
        self.pixels.get_mut(start..start + self.stride)
    }

    /// Row `y` of `rect`.
    pub(super) fn span_mut(&mut self, rect: &Rect, y: i32) -> Option<&mut [u32]> {
        let start = self.index(rect.left, y)?;
        self.pixels.get_mut(start..start + rect.width() as usize)
    }
}

/// Tiles' rows of a sample, by what an operation would make of them.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    all: u32,
    /// As they are in the source.
    right: u32,
    /// Of these, those that were not before.
    gain: u32,
    /// Those that were and would be no more.
    loss: u32,
}

/// What a hint says that a row holds.
enum Expected<'a> {
    Row(&'a [u32]),
    Color(u32),
}

impl Expected<'_> {
    fn matches(&self, offset: usize, now: &[u32]) -> bool {
        match self {
            Self::Row(row) => row.get(offset..offset + now.len()) == Some(now),
            Self::Color(color) => now.iter().all(|pixel| pixel == color),
        }
    }
}

/// Whether all of a row has this colour.
fn is_plain(row: &[u32], color: u32) -> bool {
    // Chunks without a way out in between are compared many pixels at a time.
    let differs = |chunk: &[u32]| chunk.iter().fold(0, |all, pixel| all | (pixel ^ color)) != 0;
    !row.chunks(TILE_WIDTH).any(differs)
}

/// Row `y` of `rect` as it is now, top bytes cleared.
pub(super) fn read_line<'l>(
    source: &dyn PixelSource,
    line: &'l mut [u32],
    rect: &Rect,
    y: i32,
) -> Option<&'l [u32]> {
    let line = line.get_mut(..rect.width() as usize)?;
    source.read_row(u32::try_from(y).ok()?, u32::try_from(rect.left).ok()?, line);
    for pixel in line.iter_mut() {
        *pixel &= 0x00ff_ffff;
    }
    Some(line)
}

/// The first and last index at which two rows of equal length differ.
pub(super) fn difference(new: &[u32], old: &[u32]) -> Option<(usize, usize)> {
    if new == old {
        return None;
    }
    let first = new.iter().zip(old).position(|(a, b)| a != b)?;
    let last = new.iter().zip(old).rposition(|(a, b)| a != b)?;
    Some((first, last))
}

/// Appends what differs in two rows that begin at column `left`, tile by tile, as boxes of these `rows`.
fn differing_boxes(
    now: &[u32],
    before: &[u32],
    left: i32,
    rows: std::ops::Range<i32>,
    boxes: &mut Vec<Rect>,
) {
    let tiles = now.chunks(TILE_WIDTH).zip(before.chunks(TILE_WIDTH));
    let mut run = Rect::default();
    for (index, (now, before)) in tiles.enumerate() {
        let left = left + signed(index * TILE_WIDTH);
        if let Some((first, last)) = difference(now, before) {
            let (first, last) = (left + signed(first), left + signed(last + 1));
            run = run.union_bounds(&Rect::new(first, rows.start, last, rows.end));
        } else if !run.is_empty() {
            boxes.push(std::mem::take(&mut run));
        }
    }
    if !run.is_empty() {
        boxes.push(run);
    }
}

/// Appends the boxes of a row of tiles; tiles side by side become one box.
pub(super) fn join_boxes(boxes: Vec<Rect>, changed: &mut Vec<Rect>) {
    let mut run = Rect::default();
    for tile in boxes {
        if tile.is_empty() {
            if !run.is_empty() {
                changed.push(run);
            }
            run = Rect::default();
        } else {
            run = run.union_bounds(&tile);
        }
    }
    if !run.is_empty() {
        changed.push(run);
    }
}

fn signed(columns: usize) -> i32 {
    // Columns of a screen: at most SCREEN_SIDE_MAX.
    i32::try_from(columns).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Picture {
        width: usize,
        pixels: Vec<u32>,
    }

    impl PixelSource for Picture {
        fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
            let start = y as usize * self.width + x as usize;
            out.copy_from_slice(&self.pixels[start..start + out.len()]);
        }
    }

    fn picture(width: usize, height: usize) -> Picture {
        let pixels = (0..width * height)
            .map(|i| (i as u32).wrapping_mul(2_654_435_761))
            .collect();
        Picture { width, pixels }
    }

    #[test]
    fn reports_what_changed_and_nothing_else() {
        let mut source = Picture {
            width: 200,
            pixels: vec![0xff00_0000; 200 * 50],
        };
        let mut shadow = Shadow::new(Size::new(200, 50));
        let all = Region::from(Rect::at(0, 0, 200, 50));
        assert!(
            shadow.refresh(&source, &all).is_empty(),
            "the top byte does not count"
        );
        source.pixels[20 * 200 + 70] = 1;
        source.pixels[22 * 200 + 75] = 2;
        source.pixels[49 * 200 + 199] = 3;
        let changed = shadow.refresh(&source, &all);
        assert_eq!(
            changed.rects(),
            [Rect::new(70, 20, 76, 23), Rect::new(199, 49, 200, 50)]
        );
        assert!(shadow.refresh(&source, &all).is_empty());
    }

    #[test]
    fn a_copy_pays_where_it_explains_the_change() {
        let before = picture(128, 128);
        let mut shadow = Shadow::new(Size::new(128, 128));
        shadow.refresh(&before, &Region::from(Rect::at(0, 0, 128, 128)));
        let mut now = picture(128, 128);
        now.pixels.copy_within(10 * 128.., 0);
        let scrolled = Rect::at(0, 0, 128, 118);
        assert!(shadow.copy_pays(&now, &scrolled, Point::new(0, -10)));
        assert!(!shadow.copy_pays(&now, &scrolled, Point::new(0, -11)));
        assert!(
            !shadow.copy_pays(&before, &scrolled, Point::new(0, -10)),
            "already as it should be"
        );
        assert!(
            !shadow.copy_pays(&now, &Rect::at(0, 0, 128, 128), Point::new(0, -10)),
            "leaves the screen"
        );
    }

    proptest! {
        #[test]
        fn copies_overlap_like_memmove(
            x in 0..30i32, y in 0..30i32, w in 1..30i32, h in 1..30i32, dx in -20..20i32, dy in -20..20i32,
        ) {
            let source = picture(60, 60);
            let size = Size::new(60, 60);
            let mut shadow = Shadow::new(size);
            shadow.refresh(&source, &Region::from(size.rect()));
            let delta = Point::new(dx, dy);
            let rect = Rect::at(x, y, w, h).intersect(&size.rect().translate(delta));
            shadow.apply(&ExactOp::Copy { rect, delta });
            for py in 0..60 {
                for px in 0..60 {
                    let from = if rect.contains_point(Point::new(px, py)) { (px - dx, py - dy) } else { (px, py) };
                    let expected = source.pixels[(from.1 * 60 + from.0) as usize] & 0x00ff_ffff;
                    prop_assert_eq!(shadow.pixels[(py * 60 + px) as usize], expected);
                }
            }
        }
    }
}

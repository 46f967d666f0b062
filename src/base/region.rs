//! Sets of pixels as rectangles.
//!
//! INVARIANT: the rectangles are not empty, do not overlap, and form *bands* from top to bottom: rectangles of one
//! band share `top` and `bottom`, are sorted by `left` and do not touch; bands that lie against each other differ
//! in their columns. So equal sets have equal rectangles, and every set operation is one sweep over both lists.

use super::{Point, Rect};

/// A set of pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    rects: Vec<Rect>,
}

impl Region {
    /// The empty set.
    pub const fn new() -> Self {
        Self { rects: Vec::new() }
    }

    /// The union of any rectangles, in O(n log n) for n rectangles that hardly overlap.
    pub fn from_rects(rects: &[Rect]) -> Self {
        match rects {
            [] => Self::new(),
            [rect] => Self::from(*rect),
            many => {
                let (first, second) = many.split_at(many.len() / 2);
                Self::from_rects(first).union(&Self::from_rects(second))
            }
        }
    }

    /// Its rectangles, band by band from the top, each band from the left.
    pub fn rects(&self) -> &[Rect] {
        &self.rects
    }

    /// Whether no pixel is in it.
    pub const fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// Pixels in it.
    pub fn area(&self) -> u64 {
        self.rects.iter().map(Rect::area).sum()
    }

    /// The smallest rectangle around it.
    pub fn bounds(&self) -> Rect {
        let (Some(first), Some(last)) = (self.rects.first(), self.rects.last()) else {
            return Rect::default();
        };
        let left = self
            .rects
            .iter()
            .map(|rect| rect.left)
            .min()
            .unwrap_or_default();
        let right = self
            .rects
            .iter()
            .map(|rect| rect.right)
            .max()
            .unwrap_or_default();
        Rect::new(left, first.top, right, last.bottom)
    }

    /// Whether the pixel at `point` is in it.
    pub fn contains_point(&self, point: Point) -> bool {
        self.rects.iter().any(|rect| rect.contains_point(point))
    }

    /// Whether every pixel of `rect` is in it.
    pub fn contains_rect(&self, rect: &Rect) -> bool {
        let covered: u64 = self
            .rects
            .iter()
            .map(|own| own.intersect(rect).area())
            .sum();
        covered == rect.area()
    }

    /// Whether a pixel of `rect` is in it.
    pub fn intersects_rect(&self, rect: &Rect) -> bool {
        self.rects.iter().any(|own| own.intersects(rect))
    }

    /// Pixels in this set, in `other`, or in both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        if self.is_empty() {
            return other.clone();
        }
        self.combine(other, |mine, theirs| mine || theirs)
    }

    /// Pixels in both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        if self.is_empty() || other.is_empty() {
            return Self::new();
        }
        self.combine(other, |mine, theirs| mine && theirs)
    }

    /// Pixels in this set and not in `other`.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        if !self.meets(other) {
            return self.clone();
        }
        self.combine(other, |mine, theirs| mine && !theirs)
    }

    /// Takes `other` out of it.
    pub fn remove_region(&mut self, other: &Self) {
        if self.meets(other) {
            *self = self.combine(other, |mine, theirs| mine && !theirs);
        }
    }

    /// Whether the bounding boxes of the two have a pixel in common: cheap, and most regions are far apart.
    fn meets(&self, other: &Self) -> bool {
        !self.bounds().intersect(&other.bounds()).is_empty()
    }

    /// Adds a rectangle.
    pub fn add(&mut self, rect: Rect) {
        if !rect.is_empty() && !self.rects.iter().any(|own| own.contains(&rect)) {
            *self = self.union(&Self::from(rect));
        }
    }

    /// Takes a rectangle away.
    pub fn remove(&mut self, rect: Rect) {
        if self.intersects_rect(&rect) {
            *self = self.subtract(&Self::from(rect));
        }
    }

    /// What of it lies in `rect`.
    #[must_use]
    pub fn clip(&self, rect: &Rect) -> Self {
        if rect.contains(&self.bounds()) {
            return self.clone();
        }
        let mut result = Self::new();
        let (mut band, mut last_band, mut top) = (0, 0..0, i32::MIN);
        for own in &self.rects {
            if rect.bottom <= own.top {
                break;
            }
            let part = own.intersect(rect);
            if part.is_empty() {
                continue;
            }
            if own.top != top {
                // Bands that differed outside may be alike inside.
                last_band = result.join_bands(last_band, band);
                (band, top) = (result.rects.len(), own.top);
            }
            result.rects.push(part);
        }
        result.join_bands(last_band, band);
        result
    }

    /// The set moved by `delta`. Coordinates are those of a screen, so nothing saturates.
    #[must_use]
    pub fn translate(&self, delta: Point) -> Self {
        Self {
            rects: self
                .rects
                .iter()
                .map(|rect| rect.translate(delta))
                .collect(),
        }
    }

    /// At most `count` rectangles: when there are more, a superset made of the bounds of neighbouring bands.
    pub fn simplify(&mut self, count: usize) {
        if self.rects.len() <= count || count == 0 {
            return;
        }
        let chunk = self.rects.len().div_ceil(count);
        let boxes: Vec<Rect> = self
            .rects
            .chunks(chunk)
            .map(|part| {
                part.iter()
                    .fold(Rect::default(), |all, rect| all.union_bounds(rect))
            })
            .collect();
        *self = Self::from_rects(&boxes);
        if count < self.rects.len() {
            *self = Self::from(self.bounds());
        }
    }

    /// Empties it and returns what was in it.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Every pixel for which `keep(in self, in other)` holds; `keep(false, false)` must not.
    fn combine(&self, other: &Self, keep: fn(bool, bool) -> bool) -> Self {
        let mut result = Self {
            rects: Vec::with_capacity(self.rects.len() + other.rects.len()),
        };
        let mut mine = Bands::new(&self.rects);
        let mut theirs = Bands::new(&other.rects);
        let mut last_band = 0..0;
        let mut y = mine.next_edge(i32::MIN).min(theirs.next_edge(i32::MIN));
        while y < i32::MAX {
            let next = mine.next_edge(y).min(theirs.next_edge(y));
            if next == i32::MAX {
                break;
            }
            let start = result.rects.len();
            merge_columns(mine.at(y), theirs.at(y), keep, |left, right| {
                result.rects.push(Rect::new(left, y, right, next));
            });
            last_band = result.join_bands(last_band, start);
            y = next;
        }
        result
    }

    /// Joins the band that begins at index `start` to the `previous` one if it continues that band's columns.
    /// Returns the last band's indices.
    fn join_bands(
        &mut self,
        previous: std::ops::Range<usize>,
        start: usize,
    ) -> std::ops::Range<usize> {
        let (before, band) = self.rects.split_at_mut(start);
        let Some(first) = band.first() else {
            return previous;
        };
        let (above, bottom) = (&mut before[previous.clone()], first.bottom);
        let same = above.len() == band.len()
            && above
                .iter()
                .zip(band.iter())
                .all(|(a, b)| a.left == b.left && a.right == b.right && a.bottom == b.top);
        if !same {
            return start..self.rects.len();
        }
        for rect in above {
            rect.bottom = bottom;
        }
        self.rects.truncate(start);
        previous
    }
}

impl From<Rect> for Region {
    fn from(rect: Rect) -> Self {
        Self {
            rects: if rect.is_empty() {
                Vec::new()
            } else {
                vec![rect]
            },
        }
    }
}

/// Walks the bands of one region from the top.
struct Bands<'a> {
    rest: &'a [Rect],
    band: &'a [Rect],
}

impl<'a> Bands<'a> {
    fn new(rects: &'a [Rect]) -> Self {
        let mut bands = Self {
            rest: rects,
            band: &[],
        };
        bands.advance();
        bands
    }

    fn advance(&mut self) {
        let count = match self.rest.first() {
            Some(first) => self
                .rest
                .iter()
                .take_while(|rect| rect.top == first.top)
                .count(),
            None => 0,
        };
        (self.band, self.rest) = self.rest.split_at(count);
    }

    /// The first top or bottom of a band below `y`; `i32::MAX` behind the last.
    fn next_edge(&mut self, y: i32) -> i32 {
        while let Some(first) = self.band.first() {
            if y < first.top {
                return first.top;
            }
            if y < first.bottom {
                return first.bottom;
            }
            self.advance();
        }
        i32::MAX
    }

    /// The rectangles that cover row `y`; `next_edge(y)` was called before.
    fn at(&self, y: i32) -> &'a [Rect] {
        match self.band.first() {
            Some(first) if first.top <= y => self.band,
            _ => &[],
        }
    }
}

/// Merges the columns of two bands and emits the runs for which `keep` holds.
fn merge_columns(
    mine: &[Rect],
    theirs: &[Rect],
    keep: fn(bool, bool) -> bool,
    mut emit: impl FnMut(i32, i32),
) {
    let edges = |rects: &[Rect], index: usize| -> i32 {
        rects.get(index / 2).map_or(i32::MAX, |rect| {
            if index.is_multiple_of(2) {
                rect.left
            } else {
                rect.right
            }
        })
    };
    // An odd index lies inside a rectangle: its left edge has been passed.
    let (mut a, mut b) = (0, 0);
    let mut open: Option<i32> = None;
    loop {
        let x = edges(mine, a).min(edges(theirs, b));
        if x == i32::MAX {
            return;
        }
        while edges(mine, a) == x {
            a += 1;
        }
        while edges(theirs, b) == x {
            b += 1;
        }
        match (open, keep(!a.is_multiple_of(2), !b.is_multiple_of(2))) {
            (None, true) => open = Some(x),
            (Some(left), false) => {
                emit(left, x);
                open = None;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIDE: i32 = 24;

    fn rect() -> impl Strategy<Value = Rect> {
        (0..SIDE, 0..SIDE, 0..12, 0..12)
            .prop_map(|(x, y, w, h)| Rect::at(x, y, w, h).intersect(&Rect::at(0, 0, SIDE, SIDE)))
    }

    fn bitmap(rects: &[Rect]) -> Vec<bool> {
        (0..SIDE * SIDE)
            .map(|i| {
                rects
                    .iter()
                    .any(|rect| rect.contains_point(Point::new(i % SIDE, i / SIDE)))
            })
            .collect()
    }

    /// The invariant of the file's head.
    fn verify(region: &Region) {
        let rects = region.rects();
        assert!(rects.iter().all(|rect| !rect.is_empty()));
        for pair in rects.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            if a.top == b.top {
                assert!(a.bottom == b.bottom && a.right < b.left, "{a:?} {b:?}");
            } else {
                assert!(a.bottom <= b.top, "{a:?} {b:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn set_operations_agree_with_bitmaps(
            first in prop::collection::vec(rect(), 0..8),
            second in prop::collection::vec(rect(), 0..8),
        ) {
            let (a, b) = (Region::from_rects(&first), Region::from_rects(&second));
            let (bits_a, bits_b) = (bitmap(&first), bitmap(&second));
            type Keep = fn(bool, bool) -> bool;
            let cases: [(Region, Keep); 3] = [
                (a.union(&b), |x, y| x || y),
                (a.intersect(&b), |x, y| x && y),
                (a.subtract(&b), |x, y| x && !y),
            ];
            for (region, keep) in cases {
                verify(&region);
                let expected: Vec<bool> =
                    bits_a.iter().zip(&bits_b).map(|(x, y)| keep(*x, *y)).collect();
                prop_assert_eq!(bitmap(region.rects()), expected.clone());
                prop_assert_eq!(region.area(), expected.iter().filter(|bit| **bit).count() as u64);
            }
        }

        #[test]
        fn equal_sets_have_equal_rectangles(rects in prop::collection::vec(rect(), 0..8)) {
            let forward = Region::from_rects(&rects);
            let mut backward = Region::new();
            for rect in rects.iter().rev() {
                backward.add(*rect);
            }
            prop_assert_eq!(forward, backward);
        }

        #[test]
        fn a_clip_is_what_lies_in_the_rectangle(
            rects in prop::collection::vec(rect(), 0..12), frame in rect(),
        ) {
            let region = Region::from_rects(&rects);
            prop_assert_eq!(region.clip(&frame), region.intersect(&Region::from(frame)));
        }

        #[test]
        fn simplify_covers_and_bounds(
            rects in prop::collection::vec(rect(), 0..12), count in 1usize..6,
        ) {
            let exact = Region::from_rects(&rects);
            let mut coarse = exact.clone();
            coarse.simplify(count);
            verify(&coarse);
            prop_assert!(coarse.rects().len() <= count);
            prop_assert!(exact.subtract(&coarse).is_empty());
        }
    }
}

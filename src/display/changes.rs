//! What lies between a picture that somebody has and the newest one: regions, never pixels.
//!
//! `Changes` describes the newest picture in terms of a *base*: a pixel is
//! - in a **move** with offset `d`: it is the base's pixel at `p - d`,
//! - in a **fill** with a colour,
//! - **dirty**: only reading the newest picture tells,
//! - in none of them: as in the base.
//!
//! INVARIANT: moves, fills and the dirty region do not overlap, and no move has offset zero.
//!
//! One type serves both ends of the pipeline. The screen collects what the driver's records say against the pixels
//! that it read last ([`super::Screen`]); each client collects what happened since its socket last took bytes
//! ([`super::View`]). Ten scrolls of a slow client are one copy with ten times the way, and what was overdrawn
//! is gone. The size is bounded by [`MOVES_MAX`], [`FILLS_MAX`] and [`RECTS_MAX`]: beyond them the smallest
//! part becomes dirty, which is always correct.

use crate::base::{Point, Rect, Region};

/// Different offsets that are kept apart; a screen rarely scrolls in more places at once.
pub const MOVES_MAX: usize = 16;

/// Different colours of pending fills.
pub const FILLS_MAX: usize = 64;

/// Rectangles of one region before it is simplified to a superset (dirty) or given up (moves, fills).
pub const RECTS_MAX: usize = 1024;

/// An operation that gives exactly the newest pixels when it is applied, in order, to the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExactOp {
    /// `rect` takes what lay at `rect - delta` before (QXL_COPY_BITS, SPICE COPY_BITS).
    Copy {
        /// Destination.
        rect: Rect,
        /// From the source to the destination.
        delta: Point,
    },
    /// Every pixel of `rect` becomes `color`, 0x00RRGGBB.
    Fill {
        /// Destination.
        rect: Rect,
        /// 0x00RRGGBB.
        color: u32,
    },
}

impl ExactOp {
    /// The pixels that it writes.
    pub const fn rect(&self) -> Rect {
        match self {
            Self::Copy { rect, .. } | Self::Fill { rect, .. } => *rect,
        }
    }
}

/// The difference between a base picture and the newest one; see the head of this file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    moves: Vec<(Point, Region)>,
    fills: Vec<(u32, Region)>,
    dirty: Region,
}

impl Changes {
    /// No difference.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the base is the newest picture.
    pub const fn is_empty(&self) -> bool {
        self.moves.is_empty() && self.fills.is_empty() && self.dirty.is_empty()
    }

    /// The pixels that must be read to be known.
    pub const fn dirty(&self) -> &Region {
        &self.dirty
    }

    /// Every pixel that may differ from the base.
    pub fn region(&self) -> Region {
        let moves = self.moves.iter().flat_map(|(_, region)| region.rects());
        let fills = self.fills.iter().flat_map(|(_, region)| region.rects());
        let rects: Vec<Rect> = moves.chain(fills).copied().collect();
        self.dirty.union(&Region::from_rects(&rects))
    }

    /// Moves by offset.
    pub fn moves(&self) -> &[(Point, Region)] {
        &self.moves
    }

    /// Fills by colour, 0x00RRGGBB.
    pub fn fills(&self) -> &[(u32, Region)] {
        &self.fills
    }

    /// New pixels that only reading tells.
    pub fn damage(&mut self, region: &Region) {
        self.forget(region);
        self.dirty = self.dirty.union(region);
        if RECTS_MAX < self.dirty.rects().len() {
            self.dirty.simplify(RECTS_MAX);
            // It may have grown over moves and fills.
            let dirty = self.dirty.clone();
            self.forget_exact(&dirty);
        }
    }

    /// `rect` is `color` now.
    pub fn fill(&mut self, rect: Rect, color: u32) {
        let region = Region::from(rect);
        self.forget(&region);
        self.add_fill(color, region);
        self.bound();
    }

    /// `rect` now holds what was at `rect - delta`.
    pub fn copy(&mut self, rect: Rect, delta: Point) {
        let back = Point::new(-delta.x, -delta.y);
        let source = Region::from(rect.translate(back));
        let mut unchanged = source.subtract(&self.dirty);
        let dirty = self.dirty.intersect(&source).translate(delta);
        let mut moves = Vec::new();
        for (offset, region) in &self.moves {
            let part = region.intersect(&source);
            unchanged = unchanged.subtract(&part);
            moves.push((offset.plus(delta), part.translate(delta)));
        }
        let mut fills = Vec::new();
        for (color, region) in &self.fills {
            let part = region.intersect(&source);
            unchanged = unchanged.subtract(&part);
            fills.push((*color, part.translate(delta)));
        }
        moves.push((delta, unchanged.translate(delta)));
        self.forget(&Region::from(rect));
        self.dirty = self.dirty.union(&dirty);
        for (offset, region) in moves {
            self.add_move(offset, region);
        }
        for (color, region) in fills {
            self.add_fill(color, region);
        }
        self.bound();
    }

    /// `region` now holds what the *base* has `delta` before it, whatever other moves and fills are known.
    pub fn moved(&mut self, region: &Region, delta: Point) {
        self.forget(region);
        self.add_move(delta, region.clone());
        self.bound();
    }

    /// One more exact operation on top.
    pub fn apply(&mut self, op: &ExactOp) {
        match *op {
            ExactOp::Copy { rect, delta } => self.copy(rect, delta),
            ExactOp::Fill { rect, color } => self.fill(rect, color),
        }
    }

    /// Declares a part of the moves and fills unreliable: it becomes dirty.
    pub fn demote(&mut self, region: &Region) {
        self.damage(region);
    }

    /// The part of the newest picture in `region` has been brought over by other means.
    pub fn settle(&mut self, region: &Region) {
        self.dirty.remove_region(region);
    }

    /// Takes out the exact operations, in an order in which each reads its source before another one overwrites
    /// it. Moves that read each other's destinations in a circle become dirty. Only the dirty region stays behind:
    /// apply the operations to the base, and the base has everything else.
    pub fn take_exact(&mut self) -> Vec<ExactOp> {
        self.take_needed(|_, _| true)
    }

    /// As [`take_exact`](Self::take_exact), without the fills that `is_needed` says to change nothing in the base.
    pub fn take_needed(&mut self, is_needed: impl FnMut(&Rect, u32) -> bool) -> Vec<ExactOp> {
        let mut ops = Vec::new();
        let mut waiting = std::mem::take(&mut self.moves);
        while !waiting.is_empty() {
            match (0..waiting.len()).find(|&index| may_go_first(&waiting, index)) {
                Some(index) => {
                    let (offset, region) = waiting.swap_remove(index);
                    push_copies(&mut ops, offset, &region);
                }
                None => {
                    let smallest = (0..waiting.len()).min_by_key(|&index| waiting[index].1.area());
                    let (_, region) = waiting.swap_remove(smallest.unwrap_or(0));
                    self.damage(&region);
                }
            }
        }
        self.push_fills(&mut ops, is_needed);
        ops
    }

    /// Fills in an order in which one that shows between later ones is one rectangle under them, not the pieces that
    /// show.
    fn push_fills(
        &mut self,
        ops: &mut Vec<ExactOp>,
        mut is_needed: impl FnMut(&Rect, u32) -> bool,
    ) {
        let fills = std::mem::take(&mut self.fills);
        let first = ops.len();
        for (color, region) in fills.into_iter().rev() {
            let mut rects = region.rects().to_vec();
            rects.retain(|rect| is_needed(rect, color));
            let bounds = (rects.iter()).fold(Rect::default(), |all, rect| all.union_bounds(rect));
            if 1 < rects.len() {
                let mut between = Region::from(bounds).subtract(&region);
                between.remove_region(&self.dirty);
                // What is drawn over anyway.
                let later = ops[first..].iter().map(ExactOp::rect);
                later.for_each(|rect| between.remove(rect));
                if between.is_empty() {
                    rects = vec![bounds];
                }
            }
            ops.extend(rects.iter().map(|&rect| ExactOp::Fill { rect, color }));
        }
        ops[first..].reverse();
    }

    fn add_move(&mut self, offset: Point, region: Region) {
        if region.is_empty() || offset == Point::default() {
            return;
        }
        match self.moves.iter_mut().find(|(known, _)| *known == offset) {
            Some((_, known)) => *known = known.union(&region),
            None => self.moves.push((offset, region)),
        }
    }

    fn add_fill(&mut self, color: u32, region: Region) {
        if region.is_empty() {
            return;
        }
        match self.fills.iter_mut().find(|(known, _)| *known == color) {
            Some((_, known)) => *known = known.union(&region),
            None => self.fills.push((color, region)),
        }
    }

    /// The newest picture in `region` has been brought over, whatever else was to make it. No move may read from there.
    pub(super) fn forget(&mut self, region: &Region) {
        self.dirty.remove_region(region);
        self.forget_exact(region);
    }

    fn forget_exact(&mut self, region: &Region) {
        for (_, known) in &mut self.moves {
            known.remove_region(region);
        }
        for (_, known) in &mut self.fills {
            known.remove_region(region);
        }
        self.moves.retain(|(_, known)| !known.is_empty());
        self.fills.retain(|(_, known)| !known.is_empty());
    }

    fn bound(&mut self) {
        let mut lost = Region::new();
        while let Some(region) = excess(&mut self.moves, MOVES_MAX) {
            lost = lost.union(&region);
        }
        while let Some(region) = excess(&mut self.fills, FILLS_MAX) {
            lost = lost.union(&region);
        }
        if !lost.is_empty() || RECTS_MAX < self.dirty.rects().len() {
            self.damage(&lost);
        }
    }
}

/// Takes out the smallest part when there are too many, or one that has too many rectangles.
fn excess<Key>(parts: &mut Vec<(Key, Region)>, count_max: usize) -> Option<Region> {
    let ragged = parts
        .iter()
        .position(|(_, region)| RECTS_MAX / 4 < region.rects().len());
    let smallest = || (0..parts.len()).min_by_key(|&index| parts[index].1.area());
    let index = match ragged {
        None if count_max < parts.len() => smallest()?,
        found => found?,
    };
    Some(parts.swap_remove(index).1)
}

/// Whether no other waiting move reads what this one writes.
fn may_go_first(waiting: &[(Point, Region)], index: usize) -> bool {
    let Some((_, written)) = waiting.get(index) else {
        return false;
    };
    waiting.iter().enumerate().all(|(other, (offset, region))| {
        other == index
            || region
                .translate(Point::new(-offset.x, -offset.y))
                .rects()
                .iter()
                .all(|source| !written.intersects_rect(source))
    })
}

/// Copies of one offset, ordered so that a rectangle is read before its neighbour is written over it: against the
/// direction of the move, as `miCopyRegion` of the X server does.
fn push_copies(ops: &mut Vec<ExactOp>, delta: Point, region: &Region) {
    let mut rects = region.rects().to_vec();
    rects.sort_by_key(|rect| {
        let row = if 0 < delta.y { -rect.top } else { rect.top };
        let column = if 0 < delta.x { -rect.left } else { rect.left };
        (row, column)
    });
    ops.extend(rects.into_iter().map(|rect| ExactOp::Copy { rect, delta }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIDE: i32 = 20;
    const SCREEN: Rect = Rect::at(0, 0, SIDE, SIDE);

    #[derive(Clone, Debug)]
    enum Op {
        Damage(Rect),
        Fill(Rect, u32),
        Copy(Rect, Point),
        TakeExact,
    }

    fn rect() -> impl Strategy<Value = Rect> {
        (0..SIDE, 0..SIDE, 1..14, 1..14)
            .prop_map(|(x, y, w, h)| Rect::at(x, y, w, h).intersect(&SCREEN))
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            2 => rect().prop_map(Op::Damage),
            2 => (rect(), 1u32..4).prop_map(|(rect, color)| Op::Fill(rect, color)),
            6 => (rect(), -6..7, -6..7).prop_map(|(rect, dx, dy)| {
                let delta = Point::new(dx, dy);
                Op::Copy(rect.intersect(&SCREEN.translate(delta)), delta)
            }),
            1 => Just(Op::TakeExact),
        ]
    }

    #[derive(Clone, PartialEq, Debug)]
    struct Picture(Vec<u32>);

    impl Picture {
        fn index(x: i32, y: i32) -> usize {
            usize::try_from(y * SIDE + x).unwrap()
        }

        fn each(&mut self, rect: Rect, mut pixel: impl FnMut(&Self, i32, i32) -> u32) {
            let before = self.clone();
            for y in rect.top..rect.bottom {
                for x in rect.left..rect.right {
                    self.0[Self::index(x, y)] = pixel(&before, x, y);
                }
            }
        }

        fn apply(&mut self, op: &ExactOp) {
            match *op {
                ExactOp::Fill { rect, color } => self.each(rect, |_, _, _| color),
                ExactOp::Copy { rect, delta } => self.each(rect, |before, x, y| {
                    before.0[Self::index(x - delta.x, y - delta.y)]
                }),
            }
        }
    }

    fn verify(changes: &Changes) {
        let parts: Vec<&Region> = changes
            .moves
            .iter()
            .map(|(_, region)| region)
            .chain(changes.fills.iter().map(|(_, region)| region))
            .chain([&changes.dirty])
            .collect();
        for (index, part) in parts.iter().enumerate() {
            for other in &parts[index + 1..] {
                assert!(part.intersect(other).is_empty(), "parts overlap");
            }
        }
        assert!(
            changes
                .moves
                .iter()
                .all(|(offset, _)| *offset != Point::default())
        );
        assert!(changes.moves.len() <= MOVES_MAX && changes.fills.len() <= FILLS_MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The base, brought up to date by the exact operations and by reading what is dirty, is the newest.
        #[test]
        fn exact_operations_and_dirty_pixels_give_the_newest_picture(
            ops in prop::collection::vec(op(), 1..24),
        ) {
            let start = Picture((0..u32::try_from(SIDE * SIDE).unwrap()).map(|i| i + 100).collect());
            let (mut base, mut newest, mut changes) = (start.clone(), start, Changes::new());
            let mut next = 10_000;
            for op in ops {
                match op {
                    Op::Damage(rect) => {
                        newest.each(rect, |_, _, _| { next += 1; next });
                        changes.damage(&Region::from(rect));
                    }
                    Op::Fill(rect, color) => {
                        newest.apply(&ExactOp::Fill { rect, color });
                        changes.fill(rect, color);
                    }
                    Op::Copy(rect, delta) => {
                        newest.apply(&ExactOp::Copy { rect, delta });
                        changes.copy(rect, delta);
                    }
                    Op::TakeExact => {
                        for op in changes.take_exact() {
                            base.apply(&op);
                        }
                    }
                }
                verify(&changes);
            }
            for op in changes.take_exact() {
                base.apply(&op);
            }
            for rect in changes.dirty().rects() {
                base.each(*rect, |_, x, y| newest.0[Picture::index(x, y)]);
            }
            prop_assert_eq!(base, newest);
        }
    }

    #[test]
    fn scrolls_add_up_to_one_copy() {
        let mut changes = Changes::new();
        let window = Rect::at(0, 0, 10, 100);
        for _ in 0..5 {
            changes.copy(Rect::at(0, 0, 10, 90), Point::new(0, -10));
            changes.damage(&Region::from(Rect::at(0, 90, 10, 10)));
        }
        assert_eq!(changes.dirty().bounds(), Rect::at(0, 50, 10, 50));
        let ops = changes.take_exact();
        assert_eq!(
            ops,
            [ExactOp::Copy {
                rect: Rect::at(0, 0, 10, 50),
                delta: Point::new(0, -50)
            }]
        );
        assert!(window.contains(&ops[0].rect()));
    }

    #[test]
    fn a_fill_under_others_is_one_rectangle() {
        let mut changes = Changes::new();
        let below = Rect::at(0, 0, 10, 10);
        let above = [Rect::at(2, 2, 3, 3), Rect::at(5, 0, 3, 20)];
        changes.fill(below, 1);
        changes.fill(above[0], 2);
        changes.fill(above[1], 3);
        let fill = |rect, color| ExactOp::Fill { rect, color };
        assert_eq!(
            changes.take_exact(),
            [fill(below, 1), fill(above[0], 2), fill(above[1], 3)]
        );
        // One colour in two places has nothing to hide between them.
        changes.fill(below, 1);
        changes.fill(below.translate(Point::new(20, 0)), 1);
        assert_eq!(changes.take_exact().len(), 2);
    }

    #[test]
    fn a_move_there_and_back_is_nothing() {
        let mut changes = Changes::new();
        changes.copy(Rect::at(10, 0, 5, 5), Point::new(10, 0));
        changes.copy(Rect::at(0, 0, 5, 5), Point::new(-10, 0));
        assert_eq!(
            changes.moves(),
            [(Point::new(10, 0), Region::from(Rect::at(10, 0, 5, 5)))]
        );
    }

    #[test]
    fn sizes_stay_bounded() {
        let mut changes = Changes::new();
        for i in 0..4000 {
            let (x, y) = ((i * 37) % 1900, (i * 91) % 1000);
            changes.copy(Rect::at(x, y, 3, 3), Point::new(1 + i % 50, 0));
            changes.fill(Rect::at(y, x % 1000, 2, 2), u32::try_from(i).unwrap());
            verify(&changes);
            let rects: usize = changes
                .moves
                .iter()
                .map(|(_, region)| region.rects().len())
                .sum();
            assert!(rects <= MOVES_MAX * RECTS_MAX / 4 && changes.dirty.rects().len() <= RECTS_MAX);
        }
    }
}

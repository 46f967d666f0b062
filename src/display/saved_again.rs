//! Content that is there again, recognised before it is read: a workspace that is switched to, a menu that opens.
//!
//! To read a whole screen, find out what it replaced, look for moves in it and compare it with all that is remembered
//! reads and writes it some ten times over. A sample of rows tells as well that a slot's content is there again
//! ([`Saved::expect`]). Then one pass reads the frame buffer, compares it with the slot and makes the shadow of it
//! ([`Saved::bring_back`]). What differs is new, so a wrong guess costs bytes, as everywhere here.
//!
//! What is replaced is known as well, mostly: a slot that was brought back is *intact* as long as nothing is drawn over
//! it, so what the screen shows there is remembered already, and neither searched for nor compared.

use super::saved::{RESTORES_PER_FRAME_MAX, Restore, SAVED_AREA_MIN, Saved, Saves, Shown, pieces};
use super::saved_slot::{Comparison, Slot};
use super::screen::Frame;
use super::shadow::{Shadow, TILE_HEIGHT, TILE_WIDTH, difference, join_boxes, read_line};
use super::{ExactOp, changes::RECTS_MAX};
use crate::base::{Rect, Region};
use crate::ring::PixelSource;

/// Of what is expected at least one in so many pixels was touched.
const SPARSE_MAX: u64 = 2;

/// Of what a slot is to stand for, all but one part in so many has to be intact.
const RENEWAL_SHARE: u64 = 8;

/// Pieces in one frame.
const EXPECTED_MAX: usize = 4;

/// A part of the screen that seems to show what a slot holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// Number of the slot.
    slot: u32,
    /// Of the screen.
    pub(super) rect: Rect,
}

impl Saved {
    /// Where `source` shows in the `fresh` part of the screen what a slot holds, by a sample. The rectangles are
    /// disjoint; hand them to [`bring_back`](Self::bring_back).
    pub(super) fn expect(
        &mut self,
        shadow: &Shadow,
        source: &dyn PixelSource,
        fresh: &Region,
    ) -> Vec<Expected> {
        let mut candidates: Vec<(u64, u64, usize)> = Vec::new();
        for (index, slot) in self.slots.iter().enumerate() {
            let area = fresh.clip(&slot.place).area();
            if SAVED_AREA_MIN <= area {
                candidates.push((area, slot.used, index));
            }
        }
        candidates.sort_unstable_by(|one, other| other.cmp(one));
        let mut expected: Vec<Expected> = Vec::new();
        for (_, _, index) in candidates {
            let used = self.next_use();
            let Some(slot) = self.slots.get_mut(index) else {
                continue;
            };
            let part = fresh.clip(&slot.place);
            let rect = part.bounds();
            if expected.iter().any(|other| other.rect.intersects(&rect))
                || part.area() * SPARSE_MAX < rect.area()
                || !slot.seems_shown(shadow, source, &part)
            {
                continue;
            }
            slot.used = used;
            expected.push(Expected {
                slot: slot.id,
                rect,
            });
            if EXPECTED_MAX <= expected.len() {
                break;
            }
        }
        expected
    }

    /// Whether slots hold nearly all of what `shadow` shows in `rect`, without looking: clients that lack it are told
    /// of it, and what little of it was drawn since is renewed.
    pub(super) fn remembers(&mut self, shadow: &Shadow, rect: &Rect, saves: &mut Saves) -> bool {
        let mut covered = Region::new();
        let mut shown = Vec::new();
        for (index, slot) in self.slots.iter().enumerate() {
            let area = slot.place.intersect(rect);
            let missing = Region::from(area).subtract(&slot.intact);
            if !slot.intact.is_empty() && missing.area() * RENEWAL_SHARE <= area.area() {
                covered.add(area);
                shown.push((index, area, missing.bounds()));
            }
        }
        if covered.area() < rect.area() - rect.area() / RENEWAL_SHARE {
            return false;
        }
        for (index, area, differing) in shown {
            let used = self.next_use();
            let Some(slot) = self.slots.get_mut(index) else {
                continue;
            };
            slot.used = used;
            slot.renew(&differing, shadow);
            saves.shown.push(Shown {
                slot: slot.id,
                size: slot.place.size(),
                rect: area,
                target: area.origin().minus(slot.place.origin()),
                new: differing,
            });
        }
        true
    }

    /// Reads what is expected into `shadow`, and adds it to `frame`: as copies out of the slots, and as changed where
    /// they do not hold it. All else of the frame has been read.
    pub(super) fn bring_back(
        &mut self,
        shadow: &mut Shadow,
        source: &dyn PixelSource,
        expected: &[Expected],
        frame: &mut Frame,
    ) {
        for Expected { slot, rect } in expected {
            let Some(slot) = self.slots.iter().find(|known| known.id == *slot) else {
                // It would take a slot that is gone within the frame.
                let changed = shadow.refresh(source, &Region::from(*rect));
                frame.changed = frame.changed.union(&changed);
                continue;
            };
            let whole = Region::from(*rect);
            let differing = read(slot, shadow, source, rect);
            let compared = Comparison {
                shown: whole.subtract(&differing),
                differing,
            };
            let mut pieces = pieces(&compared, &whole, shadow);
            pieces.truncate(RESTORES_PER_FRAME_MAX.saturating_sub(frame.restores.len()));
            let restored = Region::from_rects(&pieces);
            let wrong = compared.differing.intersect(&restored);
            let new = whole.subtract(&restored).union(&wrong);
            frame.changed = frame.changed.union(&new);
            frame.restores.extend(pieces.iter().map(|rect| Restore {
                slot: slot.id,
                rect: *rect,
                source: rect.origin().minus(slot.place.origin()),
            }));
        }
    }

    /// Notes which slots the screen shows as they are, once `frame` is whole.
    pub(super) fn note_intact(&mut self, frame: &Frame) {
        let restored = frame.restores.iter().map(|restore| restore.rect);
        let drawn: Vec<Rect> = (frame.ops.iter().map(ExactOp::rect))
            .chain(restored)
            .chain(frame.changed.rects().iter().copied())
            .collect();
        if drawn.is_empty() {
            return;
        }
        let drawn = Region::from_rects(&drawn);
        for slot in &mut self.slots {
            if !slot.intact.is_empty() {
                slot.intact.remove_region(&drawn);
            }
            for restore in &frame.restores {
                let is_at_home = restore.rect.origin().minus(restore.source) == slot.place.origin();
                if restore.slot == slot.id && is_at_home {
                    let right = Region::from(restore.rect).subtract(&frame.changed);
                    slot.intact = slot.intact.union(&right);
                }
            }
            if RECTS_MAX < slot.intact.rects().len() {
                slot.intact = Region::new();
            }
        }
    }
}

/// Reads `rect` of the screen, which lies within the slot's place, and returns where it differs from the slot.
fn read(slot: &Slot, shadow: &mut Shadow, source: &dyn PixelSource, rect: &Rect) -> Region {
    let mut line = vec![0; rect.width() as usize];
    let mut differing = Vec::new();
    let mut boxes = vec![Rect::default(); line.len().div_ceil(TILE_WIDTH)];
    for y in rect.top..rect.bottom {
        if let (Some(now), Some(row)) = (
            read_line(source, &mut line, rect, y),
            shadow.span_mut(rect, y),
        ) {
            let own = slot.own_row(rect.left, y, now.len());
            if own != now {
                note_differing(now, own, rect.left, y, &mut boxes);
            }
            row.copy_from_slice(now);
        }
        let is_last = y + 1 == rect.bottom || (y + 1 - rect.top) % TILE_HEIGHT.cast_signed() == 0;
        if is_last && boxes.iter().any(|tile| !tile.is_empty()) {
            let found = vec![Rect::default(); boxes.len()];
            join_boxes(std::mem::replace(&mut boxes, found), &mut differing);
        }
    }
    Region::from_rects(&differing)
}

/// Widens the box of each tile in which two rows, from column `left` on, differ.
fn note_differing(now: &[u32], own: &[u32], left: i32, y: i32, boxes: &mut [Rect]) {
    let tiles = now.chunks(TILE_WIDTH).zip(own.chunks(TILE_WIDTH));
    let mut column = left;
    for ((now, own), tile) in tiles.zip(boxes) {
        let edge = |index: usize| column.saturating_add(i32::try_from(index).unwrap_or(0));
        if let Some((first, last)) = difference(now, own) {
            *tile = tile.union_bounds(&Rect::new(edge(first), y, edge(last + 1), y + 1));
        }
        column = edge(now.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Micros, Point, Size};
    use crate::display::Screen;
    use crate::ring::Record;
    use std::cell::Cell;

    const SIZE: Size = Size::new(640, 480);
    const SPACE: Rect = Rect::at(30, 20, 500, 380);
    const CLOCK: Rect = Rect::at(600, 450, 24, 16);

    /// A workspace of windows, a clock beside it, and a line that was typed in it.
    struct Desktop {
        workspace: u32,
        clock: u32,
        typed: Rect,
        read: Cell<u64>,
    }

    impl PixelSource for Desktop {
        fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
            self.read.set(self.read.get() + out.len() as u64);
            for (x, pixel) in (x..).zip(out) {
                let at = Point::new(x.cast_signed(), y.cast_signed());
                let seed = if self.typed.contains_point(at) {
                    90
                } else if SPACE.contains_point(at) {
                    self.workspace
                } else if CLOCK.contains_point(at) {
                    1000 + self.clock
                } else {
                    0
                };
                // The top byte means nothing.
                *pixel = (seed << 20 ^ y << 10 ^ x).wrapping_mul(0x9e37_79b1) >> 3;
            }
        }
    }

    struct Stage {
        screen: Screen,
        desktop: Desktop,
        now: Micros,
    }

    impl Stage {
        /// Two workspaces, each of which was shown twice.
        fn new() -> Self {
            let desktop = Desktop {
                workspace: 1,
                clock: 0,
                typed: Rect::default(),
                read: Cell::new(0),
            };
            let mut stage = Self {
                screen: Screen::new(SIZE),
                desktop,
                now: Micros::from_secs(1),
            };
            for workspace in [1, 2, 1, 2] {
                stage.switch(workspace);
            }
            stage
        }

        fn draw(&mut self, rects: &[Rect]) -> Frame {
            self.now = self.now + Micros::from_millis(200);
            for rect in rects {
                self.screen.record(&Record::Damage(*rect));
            }
            self.desktop.read.set(0);
            let frame = self.screen.refresh(self.now, &self.desktop);
            for rect in [SPACE, CLOCK] {
                let mut line = vec![0; rect.width() as usize];
                for (y, row) in (rect.top..).zip(self.screen.shadow().pixels(&rect).unwrap().rows())
                {
                    assert_eq!(read_line(&self.desktop, &mut line, &rect, y), Some(row));
                }
            }
            frame
        }

        fn switch(&mut self, workspace: u32) -> Frame {
            self.desktop.workspace = workspace;
            self.desktop.clock += 1;
            let frame = self.draw(&[SPACE, CLOCK]);
            let checked = SPACE.area() + CLOCK.area();
            self.desktop.read.set(self.desktop.read.get() - checked);
            frame
        }
    }

    #[test]
    fn a_switch_reads_the_screen_once_and_remembers_nothing_anew() {
        let mut stage = Stage::new();
        for workspace in [1, 2, 1] {
            let frame = stage.switch(workspace);
            assert_eq!(frame.restores.len(), 1);
            assert_eq!(frame.restores[0].rect, SPACE);
            assert_eq!(frame.changed, Region::from(CLOCK));
            let new = frame
                .saves
                .shown
                .iter()
                .filter(|shown| !shown.new.is_empty());
            assert_eq!((new.count(), frame.saves.forgotten.len()), (0, 0));
            let read = stage.desktop.read.get();
            assert!(SPACE.area() <= read, "{read}");
            assert!(read < SPACE.area() * 5 / 4, "{read} of {}", SPACE.area());
        }
    }

    #[test]
    fn what_was_drawn_in_a_workspace_is_remembered_when_it_is_left() {
        let mut stage = Stage::new();
        let line = Rect::at(100, 100, 200, 16);
        stage.desktop.typed = line;
        assert_eq!(stage.draw(&[line]).changed, Region::from(line));
        stage.desktop.typed = Rect::default();
        let left = stage.switch(1);
        let shown = left.saves.shown.first().unwrap();
        assert_eq!((shown.rect, shown.new), (SPACE, line));
        stage.desktop.typed = line;
        let back = stage.switch(2);
        assert_eq!(back.changed, Region::from(CLOCK), "the line as well");
        assert_eq!(back.restores[0].rect, SPACE);
    }

    #[test]
    fn what_is_only_nearly_there_again_is_brought_back_with_what_is_not() {
        let mut stage = Stage::new();
        let line = Rect::at(100, 100, 200, 16);
        stage.desktop.typed = line;
        let frame = stage.switch(1);
        assert_eq!(frame.restores[0].rect, SPACE);
        assert_eq!(
            frame.changed,
            Region::from(CLOCK).union(&Region::from(line))
        );
        // Something else altogether is no more than new, and the page that it replaces is known.
        stage.desktop.typed = Rect::default();
        let frame = stage.switch(7);
        assert!(frame.restores.is_empty());
        assert!(SPACE.area() <= frame.changed.area());
    }
}

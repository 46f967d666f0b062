//! Save-unders: content that is drawn over is remembered, by the server and by its clients, and brought back by one
//! copy when it comes back: a menu that closes, the same menu opened again, a window, a workspace.
//!
//! A frame is looked at twice:
//!
//! 1. [`save`](Saved::save), before the shadow goes on: where a big piece of *still*, *detailed* content is about to
//!    be replaced, its old pixels go into a **slot** here, and every client is told to copy that rectangle of its own
//!    screen into a surface off the screen ([`Shown`]), a message of some 100 bytes. Content that a slot holds already
//!    costs nothing; if a little of it differs (another entry was lit), that part of the slot is renewed.
//! 2. [`recall`](Saved::recall), when the shadow holds the new pixels: what equals a slot, tile by tile, at its old
//!    place or where a change of the same size begins, is brought back by a copy ([`Restore`]) and is no damage any
//!    more.
//!
//! Both compare pixels, so a wrong guess costs bytes, never a wrong picture. Slots are bounded in number and pixels;
//! the one that was of no use for longest goes first. What a client really has is its `View`'s business: one that
//! joined later or lags has less.

use super::changes::ExactOp;
use super::clusters::{Cluster, clusters};
use super::saved_again::Expected;
use super::saved_slot::{Comparison, Slot, has_detail};
use super::screen::Frame;
use super::shadow::Shadow;
use super::still::Stillness;
use crate::base::limits::{SAVED_PIXELS_MAX, SAVED_SCREENS_MAX, SAVED_SLOTS_MAX};
use crate::base::{Micros, Point, Rect, Region, Size};
use crate::ring::PixelSource;

/// Pixels of the smallest content that is remembered or brought back.
pub const SAVED_AREA_MIN: u64 = 4096;

/// What has been of no use for so long is forgotten in the next rest: up to [`SAVED_PIXELS_MAX`] for a desktop where
/// nobody does anything.
pub const UNUSED_AFTER: Micros = Micros::from_secs(90);

/// Differing neighbours in the sampled rows of the plainest content that is remembered or brought back: below some
/// 300 bytes an image is as good.
const DETAIL_MIN: usize = 96;

/// Of a remembered rectangle at least one in so many pixels changes; else the rest is there for nothing.
const SPARSE_MAX: u64 = 8;

/// Slots that one frame may fill.
const SAVES_PER_FRAME_MAX: usize = 4;

/// Copies that one frame may bring back.
pub const RESTORES_PER_FRAME_MAX: usize = 16;

/// Copies from one slot in one frame; content in more pieces is sent.
const RESTORE_PIECES_MAX: usize = 8;

/// Of what is brought back in one piece, at most one in so many pixels is wrong and sent behind.
const WRONG_SHARE_MAX: u64 = 4;

/// Rows of which one is compared to find out where a frame replaces much.
const GLANCE_STEP: i32 = 4;

/// Content that at most one in so many pixels tells from a slot is that slot's, slightly changed.
const RENEWAL_SHARE: u64 = 8;

/// Content that the screen shows and a slot holds. Clients that lack a part of it can take it from their own screens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Number of the slot.
    pub slot: u32,
    /// Size of the slot.
    pub size: Size,
    /// What of the screen, before the frame.
    pub rect: Rect,
    /// Where it lies in the slot.
    pub target: Point,
    /// What of `rect` the slot did not hold before.
    pub new: Rect,
}

/// A client is to bring back what it remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restore {
    /// Number of the slot.
    pub slot: u32,
    /// Where it belongs on the screen.
    pub rect: Rect,
    /// Where it begins in the slot.
    pub source: Point,
}

/// Everything that is remembered of one screen.
#[derive(Debug)]
pub struct Saved {
    pub(super) slots: Vec<Slot>,
    /// What the frame replaces, for slots of their own unless it merely moves.
    replaced: Vec<Slot>,
    still: Stillness,
    uses: u64,
    /// The newest use of any slot, and when it was seen first.
    newest: (u64, Micros),
    /// Slots of which clients have not been told that they are gone.
    forgotten: Vec<u32>,
    /// `uses` when this frame began.
    kept_before: u64,
    pixels_max: u64,
    /// Memory of the last slot that was forgotten. To have a screen's worth of pages made by the kernel takes several
    /// times as long as to fill them, and the first picture behind it waits for that.
    spare: Vec<u32>,
}

impl Saved {
    /// Nothing of a screen of this size.
    pub fn new(size: Size) -> Self {
        Self {
            slots: Vec::new(),
            replaced: Vec::new(),
            still: Stillness::new(size),
            uses: 0,
            newest: (0, Micros(0)),
            forgotten: Vec::new(),
            kept_before: 0,
            pixels_max: SAVED_PIXELS_MAX.min(size.area() * SAVED_SCREENS_MAX),
            spare: Vec::new(),
        }
    }

    /// Pixels that are remembered.
    pub fn pixels(&self) -> u64 {
        self.slots.iter().map(Slot::area).sum()
    }

    /// Bytes of them, and of what is kept for the next ones.
    pub fn held_bytes(&self) -> usize {
        let pixels = usize::try_from(self.pixels()).unwrap_or(usize::MAX);
        size_of::<u32>().saturating_mul(pixels.saturating_add(self.spare.capacity()))
    }

    /// Forgets everything; nobody is there to whom it would matter.
    pub fn clear(&mut self) {
        self.slots = Vec::new();
        self.replaced = Vec::new();
        self.spare = Vec::new();
        self.forgotten = Vec::new();
    }

    /// Forgets what has been of no use for [`UNUSED_AFTER`]; clients are told with the next frame. When to come again,
    /// if something is remembered still.
    pub fn tidy(&mut self, now: Micros) -> Option<Micros> {
        let until = self.newest.1 + UNUSED_AFTER;
        if self.slots.is_empty() || until <= now {
            let gone = self.slots.drain(..).map(|slot| slot.id);
            self.forgotten.extend(gone);
            self.slots = Vec::new();
            self.spare = Vec::new();
            return None;
        }
        Some(until)
    }

    /// Finds what the next frame replaces in `touched`: `shadow` is still without it, `source` shows it, and `ops` will
    /// explain a part of it. Also tells what of it is expected to be there again: that is to be read by
    /// [`bring_back`](Self::bring_back) alone. Call [`keep`](Self::keep) next.
    pub(super) fn save(
        &mut self,
        shadow: &mut Shadow,
        source: &dyn PixelSource,
        touched: &Region,
        ops: &[ExactOp],
        now: Micros,
    ) -> (Saves, Vec<Expected>) {
        let mut saves = Saves {
            forgotten: std::mem::take(&mut self.forgotten),
            shown: Vec::new(),
        };
        self.kept_before = self.uses;
        if touched.area() < SAVED_AREA_MIN {
            return (saves, Vec::new());
        }
        let copied: Vec<Rect> = ops
            .iter()
            .filter(|op| matches!(op, ExactOp::Copy { .. }))
            .map(ExactOp::rect)
            .collect();
        // What scrolls or moves is not drawn over.
        let mut fresh = touched.subtract(&Region::from_rects(&copied));
        let expected = self.expect(shadow, source, &fresh);
        for Expected { rect, .. } in &expected {
            if self.remembers(shadow, rect, &mut saves) {
                fresh.remove(*rect);
            }
        }
        for cluster in self.replaced(shadow, source, &fresh, now) {
            let whole = Region::from(cluster.bounds);
            let changed = shadow.differing(source, &whole, 1);
            let rect = changed.bounds();
            let sparse = changed.area() * SPARSE_MAX < rect.area();
            if rect.area() < SAVED_AREA_MIN || sparse || is_plain(shadow, &rect) {
                continue;
            }
            if !self.renew(shadow, &rect, &changed, &mut saves) {
                let memory = self.memory_for(&rect);
                self.replaced.extend(Slot::new(0, rect, 0, shadow, memory));
            }
        }
        (saves, expected)
    }

    /// Remembers what the frame replaces, but for what merely moved by the copies of `moves`: what scrolls is not drawn
    /// over.
    pub fn keep(&mut self, moves: &[ExactOp], saves: &mut Saves) {
        let moved: Vec<Rect> = moves.iter().map(ExactOp::rect).collect();
        let moved = Region::from_rects(&moved);
        let before = self.kept_before;
        for new in std::mem::take(&mut self.replaced) {
            if moved.clip(&new.place).area() < new.area() / 2 {
                self.add(new, before, saves);
            } else {
                self.recycle(new);
            }
        }
    }

    /// Takes out of the changed pixels of `frame`, which `shadow` holds by now, what can be brought back.
    pub fn recall(&mut self, shadow: &Shadow, frame: &mut Frame, now: Micros) {
        if !self.slots.is_empty() && SAVED_AREA_MIN <= frame.changed.area() {
            let clusters = clusters(&frame.changed);
            let mut newest_first: Vec<usize> = (0..self.slots.len()).collect();
            newest_first.sort_by_key(|&index| {
                std::cmp::Reverse(self.slots.get(index).map_or(0, |slot| slot.used))
            });
            for index in newest_first {
                if frame.changed.area() < SAVED_AREA_MIN
                    || RESTORES_PER_FRAME_MAX <= frame.restores.len() + RESTORE_PIECES_MAX
                {
                    break;
                }
                self.recall_slot(index, shadow, &clusters, frame);
            }
        }
        let newest = self.slots.iter().map(|slot| slot.used).max();
        if let Some(newest) = newest.filter(|newest| *newest != self.newest.0) {
            self.newest = (newest, now);
        }
        self.note_intact(frame);
        let ops = frame.ops.iter().map(ExactOp::rect);
        let restored = frame.restores.iter().map(|restore| restore.rect);
        for rect in ops.chain(restored) {
            self.still.change(&rect, now);
        }
        for rect in frame.changed.rects() {
            self.still.change(rect, now);
        }
    }

    /// Where a frame replaces much that was still, the largest first: roughly.
    fn replaced(
        &self,
        shadow: &mut Shadow,
        source: &dyn PixelSource,
        fresh: &Region,
        now: Micros,
    ) -> Vec<Cluster> {
        let worth = |cluster: &Cluster| {
            SAVED_AREA_MIN <= cluster.bounds.area() && cluster.bounds.area() <= self.pixels_max / 2
        };
        // Most frames end here: little is touched, or what moves all the time.
        let still: Vec<Rect> = clusters(fresh)
            .iter()
            .filter(|cluster| worth(cluster) && !is_plain(shadow, &cluster.bounds))
            .map(|cluster| fresh.clip(&cluster.bounds))
            .filter(|part| self.still.is_still(part, now))
            .flat_map(|part| part.rects().to_vec())
            .collect();
        if still.is_empty() {
            return Vec::new();
        }
        let changing = shadow.differing(source, &Region::from_rects(&still), GLANCE_STEP);
        let mut found = clusters(&changing);
        found.retain(|cluster| {
            worth(cluster) && self.still.is_still(&changing.clip(&cluster.bounds), now)
        });
        found.sort_by_key(|cluster| std::cmp::Reverse(cluster.bounds.area()));
        found.truncate(SAVES_PER_FRAME_MAX);
        // The rows between those that were looked at.
        for cluster in &mut found {
            let bounds = &mut cluster.bounds;
            bounds.top = bounds.top.saturating_sub(GLANCE_STEP).max(0);
        }
        found
    }

    /// Whether a slot holds what `shadow` shows in `rect`, of which `changed` is about to change: then it is of use
    /// again. Where it differs a little it is renewed.
    fn renew(&mut self, shadow: &Shadow, rect: &Rect, changed: &Region, saves: &mut Saves) -> bool {
        let uses = self.next_use();
        let enough = changed.area() - changed.area() / RENEWAL_SHARE;
        for slot in &mut self.slots {
            let moved = rect.origin().minus(slot.place.origin());
            let same_size = rect.size() == slot.place.size();
            let offset = if same_size { moved } else { Point::default() };
            let area = slot.place.translate(offset).intersect(rect);
            if area.area() < enough || !slot.may_be_shown(shadow, offset, &changed.clip(&area)) {
                continue;
            }
            let compared = slot.compare(shadow, offset, &area);
            if changed.intersect(&compared.shown).area() < enough {
                continue;
            }
            slot.used = uses;
            let differing = compared.differing.bounds();
            if offset == Point::default() && !differing.is_empty() {
                slot.renew(&differing, shadow);
            }
            // Elsewhere than at its place it stays as it is, right or not.
            if offset == Point::default() || differing.is_empty() {
                saves.shown.push(Shown {
                    slot: slot.id,
                    size: slot.place.size(),
                    rect: area,
                    target: area.origin().minus(slot.place.origin()).minus(offset),
                    new: differing,
                });
            }
            return true;
        }
        false
    }

    /// Gives `new` a number and a place. Slots that were of use after `before`, in this very frame, stay.
    fn add(&mut self, mut new: Slot, before: u64, saves: &mut Saves) {
        let used = |slot: Option<&Slot>| slot.map_or(0, |slot| slot.used);
        while SAVED_SLOTS_MAX <= self.slots.len() || self.pixels_max < self.pixels() + new.area() {
            let oldest = (0..self.slots.len()).min_by_key(|&index| used(self.slots.get(index)));
            let Some(oldest) = oldest.filter(|&index| used(self.slots.get(index)) <= before) else {
                self.recycle(new);
                return;
            };
            let forgotten = self.slots.swap_remove(oldest);
            saves.forgotten.push(forgotten.id);
            self.recycle(forgotten);
        }
        new.used = self.next_use();
        let is_free = |id: &u32| self.slots.iter().all(|slot| slot.id != *id);
        let Some(id) = (0..).find(is_free) else {
            return;
        };
        new.id = id;
        saves.shown.push(Shown {
            slot: id,
            size: new.place.size(),
            rect: new.place,
            target: Point::default(),
            new: new.place,
        });
        self.slots.push(new);
    }

    /// The spare memory, unless it is much more than a slot of this size takes.
    fn memory_for(&mut self, rect: &Rect) -> Vec<u32> {
        if self.spare.capacity() as u64 <= 2 * rect.area() {
            std::mem::take(&mut self.spare)
        } else {
            Vec::new()
        }
    }

    /// Keeps the larger memory for the next slot.
    fn recycle(&mut self, slot: Slot) {
        let memory = slot.into_memory();
        if self.spare.capacity() < memory.capacity() {
            self.spare = memory;
        }
    }

    /// Brings back what lies in one slot.
    fn recall_slot(
        &mut self,
        index: usize,
        shadow: &Shadow,
        clusters: &[Cluster],
        frame: &mut Frame,
    ) {
        let uses = self.next_use();
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let moved = clusters.iter().filter_map(|cluster| {
            let moved = cluster.bounds.origin().minus(slot.place.origin());
            (cluster.bounds.size() == slot.place.size()).then_some(moved)
        });
        let offsets: Vec<Point> = [Point::default()].into_iter().chain(moved).collect();
        for offset in offsets {
            let place = slot.place.translate(offset);
            let wanted = frame.changed.clip(&place);
            if wanted.area() < SAVED_AREA_MIN || !slot.may_be_shown(shadow, offset, &wanted) {
                continue;
            }
            let compared = slot.compare(shadow, offset, &wanted.bounds());
            let pieces = pieces(&compared, &wanted, shadow);
            if pieces.is_empty() {
                continue;
            }
            slot.used = uses;
            let restored = Region::from_rects(&pieces);
            // What is not right in a piece is new, whether it had changed or not.
            let wrong = compared.differing.intersect(&restored);
            frame.changed = frame.changed.subtract(&restored).union(&wrong);
            frame.restores.extend(pieces.iter().map(|rect| Restore {
                slot: slot.id,
                rect: *rect,
                source: rect.origin().minus(place.origin()),
            }));
        }
    }

    pub(super) fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }
}

/// What clients are to remember and forget before a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saves {
    /// Numbers of slots that are gone; first of all.
    pub forgotten: Vec<u32>,
    /// In this order.
    pub shown: Vec<Shown>,
}

/// Whether what `rect` shows is plain, like most of what is filled: then it is not worth a look at what replaces it.
fn is_plain(shadow: &Shadow, rect: &Rect) -> bool {
    let pixels = shadow.pixels(rect);
    pixels.is_none_or(|pixels| !has_detail(&pixels, DETAIL_MIN))
}

/// The rectangles that are worth bringing back where something is `wanted`. Few or none.
pub(super) fn pieces(compared: &Comparison, wanted: &Region, shadow: &Shadow) -> Vec<Rect> {
    let gain = wanted.subtract(&compared.differing);
    let bounds = gain.bounds();
    if gain.area() < SAVED_AREA_MIN || gain.area() < wanted.area() / 2 {
        return Vec::new();
    }
    let wrong = compared.differing.clip(&bounds);
    let mut pieces = vec![bounds];
    if gain.area() < WRONG_SHARE_MAX * wrong.area() {
        pieces = compared
            .shown
            .rects()
            .iter()
            .map(|rect| gain.clip(rect))
            .filter(|part| SAVED_AREA_MIN <= part.area())
            .map(|part| part.bounds())
            .collect();
    }
    pieces.retain(|rect| {
        shadow
            .pixels(rect)
            .is_some_and(|pixels| has_detail(&pixels, DETAIL_MIN))
    });
    pieces.sort_by_key(|rect| std::cmp::Reverse(rect.area()));
    pieces.truncate(RESTORE_PIECES_MAX);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::Screen;
    use crate::ring::Record;

    const SIZE: Size = Size::new(300, 200);
    const WINDOW: Rect = Rect::at(30, 20, 200, 150);

    /// A window of one content over a page of another.
    struct Picture(u32);

    impl PixelSource for Picture {
        fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
            for (x, pixel) in (x..).zip(out) {
                let at = Point::new(x.cast_signed(), y.cast_signed());
                let seed = if WINDOW.contains_point(at) { self.0 } else { 0 };
                let mixed = seed ^ x.wrapping_mul(0x9e37_79b1) ^ y << 16;
                *pixel = mixed.wrapping_mul(0x85eb_ca6b) >> 8;
            }
        }
    }

    struct Stage {
        screen: Screen,
        now: Micros,
    }

    impl Stage {
        fn new() -> Self {
            let mut stage = Self {
                screen: Screen::new(SIZE),
                now: Micros::from_secs(1),
            };
            stage.show(0);
            stage
        }

        fn show(&mut self, seed: u32) -> Frame {
            self.now = self.now + Micros::from_millis(200);
            self.screen.record(&Record::Damage(SIZE.rect()));
            self.screen.refresh(self.now, &Picture(seed))
        }
    }

    #[test]
    fn what_is_of_no_use_for_long_is_forgotten_and_clients_are_told() {
        let mut stage = Stage::new();
        stage.show(1);
        let saved = stage.show(0).saves.shown.len();
        assert!(0 < saved);
        let again = stage.screen.tidy(stage.now);
        assert_eq!(again, Some(stage.now + UNUSED_AFTER), "not yet");
        assert!(!stage.show(1).restores.is_empty(), "it comes back");
        stage.now = stage.now + UNUSED_AFTER;
        assert_eq!(stage.screen.tidy(stage.now), None);
        let frame = stage.show(0);
        assert!(!frame.saves.forgotten.is_empty() && frame.restores.is_empty());
        assert!(
            stage.show(1).saves.forgotten.is_empty(),
            "they were told once"
        );
    }

    #[test]
    fn memory_is_bounded_and_what_was_used_last_stays() {
        let mut stage = Stage::new();
        let mut known = std::collections::BTreeSet::new();
        for seed in 1..100 {
            let frame = stage.show(seed);
            assert_eq!(frame.changed.area(), WINDOW.area(), "all of it is new");
            for gone in &frame.saves.forgotten {
                assert!(known.remove(gone), "slot {gone}");
            }
            for shown in &frame.saves.shown {
                assert!(known.insert(shown.slot), "slot {}", shown.slot);
            }
            let pixels = known.len() as u64 * WINDOW.area();
            assert!(pixels <= SIZE.area() * SAVED_SCREENS_MAX, "{pixels}");
        }
        assert_eq!(known.len(), 8, "four screens");
        for seed in [98, 97, 98, 99, 95] {
            let frame = stage.show(seed);
            assert!(frame.changed.is_empty() && frame.restores.len() == 1);
            assert_eq!(frame.restores[0].rect, WINDOW);
        }
        assert!(!stage.show(50).changed.is_empty(), "long forgotten");
    }

    #[test]
    fn what_is_remembered_is_told_of_once_more_but_not_as_new() {
        let mut stage = Stage::new();
        let first = stage.show(1).saves.shown;
        assert_eq!(first.len(), 1);
        assert_eq!((first[0].rect, first[0].new), (WINDOW, WINDOW));
        stage.show(0);
        let again = stage.show(1).saves.shown;
        assert_eq!(again[0].slot, first[0].slot);
        assert!(again[0].rect == WINDOW && again[0].new.is_empty());
    }

    #[test]
    fn nothing_is_kept_for_nobody() {
        let mut stage = Stage::new();
        stage.show(1);
        stage.screen.unwatched();
        assert!(!stage.show(0).changed.is_empty());
    }
}

//! One client's way to the newest picture: a few pending operations and regions, kilobytes at most.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::changes::{Changes, ExactOp, RECTS_MAX};
use super::kept::{Kept, Save};
use super::saved::Restore;
use super::screen::Frame;
use super::urgent::Urgent;
use crate::base::limits::IMAGE_PIXELS_MAX;
use crate::base::{Point, Rect, Region, Size};

/// Pixels that are sent again so that neighbouring boxes go as one image: less than a message costs.
const JOIN_WASTE_PIXELS: u64 = 512;

/// Rectangles behind the first one that are looked at for joining: a few lines of text in several columns.
const JOIN_LOOK_AHEAD: usize = 64;

/// Updates that may wait for a client before it is told nothing more of what it could remember or bring back. What
/// remains is what everybody else is sent: the newest pixels.
const WAITING_MAX: usize = 64;

/// The next thing that a client needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Apply to the client's own surface.
    Exact(ExactOp),
    /// Copy from the client's own surface to one off the screen.
    Save(Save),
    /// Copy from a surface off the screen.
    Restore(Restore),
    /// The surface of this slot is not needed any more.
    Forget(u32),
    /// Send the newest pixels of this rectangle.
    Image(Rect),
}

/// What a client lacks.
///
/// INVARIANT: when `sending`, then `changes`, have been applied, the client's surface is the shadow, but for the lossy
/// pixels, which copies take along: those are only like it.
#[derive(Debug)]
pub struct View {
    screen: Rect,
    sending: VecDeque<Update>,
    changes: Changes,
    /// None before the client has seen a whole picture: then there is nothing to remember.
    kept: Option<Kept>,
    /// Where the client's surface, as it will be when what was sent has arrived, only resembles what it should be.
    lossy: Region,
    /// What streams show: no images go there.
    held: Region,
    /// The last image was one that only makes lossy pixels exact.
    sharpening: bool,
    urgent: Urgent,
    /// Images go on from here in reading order, and from the top again at the end: on a slow line the bottom of
    /// the screen gets its turn although the top keeps changing.
    turn: Point,
}

impl View {
    /// A client that has nothing yet.
    pub fn new(size: Size) -> Self {
        let mut changes = Changes::new();
        changes.damage(&Region::from(size.rect()));
        Self {
            screen: size.rect(),
            sending: VecDeque::new(),
            changes,
            kept: None,
            lossy: Region::new(),
            held: Region::new(),
            sharpening: false,
            urgent: Urgent::default(),
            turn: Point::default(),
        }
    }

    /// From now on the client remembers what is saved.
    pub fn remember(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// Slots whose surfaces the client has by the updates that were taken.
    pub fn surfaces(&self) -> impl Iterator<Item = u32> + use<'_> {
        self.kept.iter().flat_map(Kept::surfaces)
    }

    /// Whether the client has the newest picture to the last bit, or will when what it was sent arrives.
    #[cfg(test)]
    pub(crate) fn is_current(&self) -> bool {
        self.sending.is_empty() && self.changes.is_empty() && self.lossy.is_empty()
    }

    /// Pixels of the client that only resemble those of the picture.
    pub const fn lossy(&self) -> &Region {
        &self.lossy
    }

    /// Whether the image that was taken last is there only because the client's pixels are lossy: it has to be exact.
    pub const fn is_sharpening(&self) -> bool {
        self.sharpening
    }

    /// The client's pixels in `rect` only resemble the picture: they are sent again when nothing else is left to send.
    pub fn mark_lossy(&mut self, rect: Rect) {
        self.lossy.add(rect.intersect(&self.screen));
        self.lossy.simplify(RECTS_MAX);
    }

    /// Streams show `held`: until they show something else, neither new pixels nor exact ones go there as images.
    pub fn hold(&mut self, held: Region) {
        self.held = held;
    }

    /// Whether the next update is about what the client remembers: the screen stays as it is.
    pub fn is_remembering(&self) -> bool {
        matches!(
            self.sending.front(),
            Some(Update::Save(_) | Update::Forget(_))
        )
    }

    /// What the next updates read and draw on, where they are several and nothing of them only remembers, plays or is
    /// lossy: the whole of it can be drawn aside and shown at once.
    pub fn scene(&self) -> Option<Region> {
        if !self.held.is_empty() || !self.lossy.is_empty() {
            return None;
        }
        let mut scene = self.changes.region();
        for (delta, region) in self.changes.moves() {
            scene = scene.union(&region.translate(Point::new(-delta.x, -delta.y)));
        }
        let images = |rect: &Rect| rect.area().div_ceil(IMAGE_PIXELS_MAX.into());
        let mut count: u64 = self.changes.dirty().rects().iter().map(images).sum();
        count += (self.changes.moves().len() + self.changes.fills().len()) as u64;
        for update in &self.sending {
            match update {
                Update::Exact(op) => {
                    scene.add(op.rect());
                    if let ExactOp::Copy { rect, delta } = op {
                        scene.add(rect.translate(Point::new(-delta.x, -delta.y)));
                    }
                }
                Update::Restore(restore) => scene.add(restore.rect),
                Update::Save(_) => return None,
                Update::Forget(_) | Update::Image(_) => continue,
            }
            count += 1;
        }
        (1 < count).then_some(scene)
    }

    /// What the next update draws without reading anything of the screen, where that is told before it is taken.
    pub fn covered_first(&self) -> Option<Rect> {
        match self.sending.front() {
            Some(Update::Restore(restore)) => Some(restore.rect),
            _ => None,
        }
    }

    /// Whether pixels of `rect` have changed that the client was not sent.
    pub fn is_stale(&self, rect: &Rect) -> bool {
        self.changes.dirty().intersects_rect(rect)
    }

    /// A stream's frame with the newest pixels of `rect` is sent. As with images, exact operations come before it.
    pub fn streamed(&mut self, rect: Rect) {
        self.changes.settle(&Region::from(rect));
        self.mark_lossy(rect);
    }

    /// The shadow went on by one frame.
    pub fn frame(&mut self, frame: &Frame) {
        self.save(frame);
        for op in &frame.ops {
            self.changes.apply(op);
        }
        for restore in &frame.restores {
            self.restore(restore);
        }
        if !frame.changed.is_empty() {
            self.changes.damage(&frame.changed);
            self.urgent.note(&frame.changed);
        }
    }

    /// The next update, images of at most `pixels_max` pixels (at least one row is always taken). Whoever takes it
    /// sends it before he calls again: exact operations come before the pixels that are read later, and lossy
    /// pixels are replaced when nothing is dirty.
    pub fn next_update(&mut self, pixels_max: u32) -> Option<Update> {
        if let Some(update) = self.next_exact() {
            return Some(update);
        }
        let rect = self.next_image(u64::from(pixels_max))?;
        // Neighbours may have been joined over a held place, where a frame that is on its way is still to be shown.
        let settled = Region::from(rect).subtract(&self.held);
        self.changes.settle(&settled);
        self.lossy.remove_region(&settled);
        Some(Update::Image(rect))
    }

    /// The next update that is exact whatever the shadow holds by now; none when only pixels are left.
    pub fn next_exact(&mut self) -> Option<Update> {
        if self.sending.is_empty() {
            self.queue_exact();
        }
        let update = self.sending.pop_front()?;
        self.note_surface(&update);
        Some(update)
    }

    /// What the client is to remember is on its own surface now, where nothing is pending and all is exact.
    fn save(&mut self, frame: &Frame) {
        let Some(kept) = &mut self.kept else {
            return;
        };
        for slot in &frame.saves.forgotten {
            if kept.forget(*slot) {
                self.sending.push_back(Update::Forget(*slot));
            }
        }
        if frame.saves.shown.is_empty() {
            return;
        }
        let changed = self.changes.region();
        let stale = changed.union(&self.lossy).union(&self.held);
        for shown in &frame.saves.shown {
            if WAITING_MAX <= self.sending.len() {
                kept.miss(shown);
            } else if let Some(save) = kept.save(shown, &stale) {
                self.sending.push_back(Update::Save(save));
            }
        }
    }

    /// Brings back what the client can, as far as it has it, after everything that is pending; the rest is new to it.
    fn restore(&mut self, restore: &Restore) {
        let mut missing = Region::from(restore.rect);
        let room = self.sending.len() < WAITING_MAX;
        let kept = self.kept.iter().filter(|_| room);
        let pieces: Vec<Restore> = kept.flat_map(|kept| kept.pieces(restore)).collect();
        // Copies may read what is drawn over. Fills under it are not to be seen, and others may as well come after it.
        if !pieces.is_empty() && !self.changes.moves().is_empty() {
            self.queue_exact();
        }
        for piece in pieces {
            missing.remove(piece.rect);
            self.changes.forget(&Region::from(piece.rect));
            self.sharpened(piece.rect, Region::new());
            self.sending.push_back(Update::Restore(piece));
        }
        if !missing.is_empty() {
            self.changes.damage(&missing);
        }
    }

    fn queue_exact(&mut self) {
        for op in self.changes.take_exact() {
            let mut moved = Region::new();
            if let ExactOp::Copy { rect, delta } = op {
                let source = rect.translate(Point::new(-delta.x, -delta.y));
                if self.lossy.intersects_rect(&source) {
                    moved = self.lossy.clip(&source).translate(delta);
                }
            }
            self.sharpened(op.rect(), moved);
            self.sending.push_back(Update::Exact(op));
        }
    }

    /// An exact update goes to `rect`, but for what it takes along from `lossy` places.
    fn sharpened(&mut self, rect: Rect, lossy: Region) {
        if self.lossy.is_empty() && self.held.is_empty() {
            return;
        }
        self.lossy.remove(rect);
        // A frame of a stream that is on its way may still be shown over it.
        let shown_over = self.held.clip(&rect);
        self.lossy = self.lossy.union(&lossy).union(&shown_over);
        self.lossy.simplify(RECTS_MAX);
    }

    /// Keeps count of the client's surfaces.
    fn note_surface(&mut self, update: &Update) {
        match (&mut self.kept, update) {
            (
                Some(kept),
                Update::Save(Save {
                    slot, new: Some(_), ..
                }),
            ) => kept.created(*slot),
            (Some(kept), Update::Forget(slot)) => kept.destroyed(*slot),
            _ => {}
        }
    }

    /// A small dirty rectangle, or the one whose turn it is, joined with its neighbours where that wastes little.
    fn next_image(&mut self, pixels_max: u64) -> Option<Rect> {
        let mut wanted = without(self.changes.dirty(), &self.held);
        self.sharpening = false;
        let urgent = self.urgent.take(&wanted, pixels_max);
        if urgent.is_some() {
            return urgent;
        }
        self.sharpening = wanted.is_empty();
        if self.sharpening {
            wanted = without(&self.lossy, &self.held);
        }
        let dirty = wanted.rects();
        let turn = self.turn;
        let reached =
            |rect: &Rect| turn.y < rect.top || (turn.y < rect.bottom && turn.x <= rect.left);
        let (first, others) = match dirty.iter().position(reached) {
            Some(index) => dirty.get(index..)?.split_first()?,
            None => {
                self.turn = Point::default();
                dirty.split_first()?
            }
        };
        let first = Rect {
            top: first.top.max(self.turn.y),
            ..*first
        };
        let rows = (pixels_max / u64::from(first.width()).max(1)).max(1);
        if rows < u64::from(first.height()) {
            let bottom = first.top + i32::try_from(rows).unwrap_or(i32::MAX);
            self.turn = Point::new(first.left, bottom);
            return Some(Rect { bottom, ..first });
        }
        self.turn = Point::new(first.right, first.top);
        Some(join(first, others, pixels_max).intersect(&self.screen))
    }
}

/// What of `region` no stream shows: mostly all of it, and then it is not copied for each image.
fn without<'r>(region: &'r Region, held: &Region) -> Cow<'r, Region> {
    if held.is_empty() {
        Cow::Borrowed(region)
    } else {
        Cow::Owned(region.subtract(held))
    }
}

/// `first` with those of the `others` that lie near it.
fn join(first: Rect, others: &[Rect], pixels_max: u64) -> Rect {
    let (mut joined, mut needed) = (first, first.area());
    for rect in others.iter().take(JOIN_LOOK_AHEAD) {
        let bounds = joined.union_bounds(rect);
        let covered = needed + rect.area();
        let worth = bounds.area() <= covered + covered / 4 + JOIN_WASTE_PIXELS;
        if worth && bounds.area() <= pixels_max {
            (joined, needed) = (bounds, covered);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::Shown;

    #[test]
    fn a_big_rectangle_goes_in_strips() {
        let mut view = View::new(Size::new(1920, 1080));
        let mut rows = 0;
        while let Some(Update::Image(rect)) = view.next_update(64 * 1024) {
            assert_eq!(
                (rect.left, rect.right, i64::from(rect.top)),
                (0, 1920, rows)
            );
            assert!(rect.area() <= 64 * 1024);
            rows += i64::from(rect.height());
        }
        assert_eq!(rows, 1080);
        assert!(view.is_current());
    }

    #[test]
    fn letters_of_a_line_go_together_and_corners_do_not() {
        let mut view = View::new(Size::new(1000, 1000));
        while view.next_update(u32::MAX).is_some() {}
        let letters = [
            Rect::at(10, 10, 8, 12),
            Rect::at(20, 10, 8, 14),
            Rect::at(30, 11, 8, 12),
        ];
        let corners = [Rect::at(900, 10, 8, 8), Rect::at(0, 900, 8, 8)];
        let changed = Region::from_rects(&[&letters[..], &corners[..]].concat());
        view.frame(&Frame {
            changed,
            ..Frame::default()
        });
        let mut sent = Vec::new();
        while let Some(Update::Image(rect)) = view.next_update(u32::MAX) {
            sent.push(rect);
        }
        assert!(sent.len() <= 3, "{sent:?}");
        assert!(sent.iter().map(Rect::area).sum::<u64>() < 2000, "{sent:?}");
    }

    #[test]
    fn every_row_gets_its_turn() {
        let mut view = View::new(Size::new(100, 100));
        let top = Region::from(Rect::at(0, 0, 100, 20));
        let mut reached = 0;
        for _ in 0..20 {
            if let Some(Update::Image(rect)) = view.next_update(1000) {
                reached = reached.max(rect.bottom);
            }
            view.frame(&Frame {
                changed: top.clone(),
                ..Frame::default()
            });
        }
        assert_eq!(reached, 100);
    }

    #[test]
    fn what_comes_back_goes_before_fills_beside_it_and_instead_of_those_under_it() {
        let size = Size::new(100, 100);
        let mut view = View::new(size);
        while view.next_update(u32::MAX).is_some() {}
        view.remember();
        let window = Rect::at(0, 0, 80, 80);
        let (slot, target, new) = (3, Point::default(), window);
        let shown = Shown {
            slot,
            size: window.size(),
            rect: window,
            target,
            new,
        };
        let mut frame = Frame::default();
        frame.saves.shown.push(shown);
        view.frame(&frame);
        assert!(matches!(view.next_exact(), Some(Update::Save(_))));
        let fill = |rect| ExactOp::Fill { rect, color: 7 };
        let beside = Rect::at(90, 0, 5, 5);
        let restore = Restore {
            slot,
            rect: window,
            source: target,
        };
        let mut frame = Frame {
            ops: vec![fill(Rect::at(10, 10, 20, 20)), fill(beside)],
            restores: vec![restore],
            ..Frame::default()
        };
        view.frame(&frame);
        assert_eq!(view.covered_first(), Some(window));
        assert_eq!(view.next_exact(), Some(Update::Restore(restore)));
        assert_eq!(view.next_exact(), Some(Update::Exact(fill(beside))));
        assert!(view.is_current());
        // A copy reads what was there before.
        let (rect, delta) = (Rect::at(80, 0, 10, 10), Point::new(30, 0));
        frame.ops = vec![ExactOp::Copy { rect, delta }];
        view.frame(&frame);
        assert_eq!(view.covered_first(), None);
        assert_eq!(view.next_exact(), Some(Update::Exact(frame.ops[0])));
        assert_eq!(view.next_exact(), Some(Update::Restore(restore)));
    }

    #[test]
    fn operations_go_before_pixels() {
        let mut view = View::new(Size::new(100, 100));
        while view.next_update(u32::MAX).is_some() {}
        let op = ExactOp::Copy {
            rect: Rect::at(0, 0, 100, 90),
            delta: Point::new(0, -10),
        };
        let changed = Region::from(Rect::at(0, 90, 100, 10));
        view.frame(&Frame {
            ops: vec![op],
            changed,
            ..Frame::default()
        });
        assert_eq!(view.next_update(u32::MAX), Some(Update::Exact(op)));
        assert_eq!(
            view.next_update(u32::MAX),
            Some(Update::Image(Rect::at(0, 90, 100, 10)))
        );
        assert_eq!(view.next_update(u32::MAX), None);
    }
}

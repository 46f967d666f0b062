//! What one client remembers: its surfaces off the screen, and which of their pixels are right.
//!
//! INVARIANT: a slot is listed exactly as long as the client has its surface, once everything that waits for it has
//! been sent.

use std::collections::{BTreeMap, BTreeSet};

use super::saved::{Restore, Shown};
use crate::base::{Point, Rect, Region, Size};

/// A client is to remember a part of its screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Save {
    /// Number of the slot.
    pub slot: u32,
    /// The size of a slot that is new to the client.
    pub new: Option<Size>,
    /// What of the screen.
    pub rect: Rect,
    /// Where it belongs in the slot.
    pub target: Point,
}

/// Copies out of one slot by which a client brings back what is right of it; content in more pieces is sent.
const PIECES_MAX: usize = 8;

/// The surfaces of one client.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// By slot: the right pixels, from the slot's top left corner.
    slots: BTreeMap<u32, Region>,
    /// Slots whose surface was created by what was sent.
    created: BTreeSet<u32>,
}

impl Kept {
    /// What the client is to remember of `shown`, while its screen is not right in `stale`.
    pub(super) fn save(&mut self, shown: &Shown, stale: &Region) -> Option<Save> {
        let way = shown.target.minus(shown.rect.origin());
        let whole = Region::from(shown.rect);
        let known = self.slots.get(&shown.slot).map(|known| {
            let old = known.subtract(&Region::from(shown.new.translate(way)));
            old.translate(Point::default().minus(way))
        });
        let missing = match &known {
            Some(known) => whole.subtract(known),
            None => whole,
        };
        let rect = missing.bounds();
        let right = Region::from(rect).subtract(stale);
        let enough = known.is_some() || shown.size.area() / 2 <= right.area();
        if rect.is_empty() || !enough || right.is_empty() {
            self.miss(shown);
            return None;
        }
        let kept = known
            .as_ref()
            .map(|known| known.subtract(&Region::from(rect)));
        let kept = kept.unwrap_or_default().union(&right);
        let outside = self.slots.remove(&shown.slot).unwrap_or_default();
        let outside = outside.subtract(&Region::from(shown.rect.translate(way)));
        let kept = outside.union(&kept.clip(&shown.rect).translate(way));
        self.slots.insert(shown.slot, kept);
        Some(Save {
            slot: shown.slot,
            new: known.is_none().then_some(shown.size),
            rect,
            target: rect.translate(way).origin(),
        })
    }

    /// The client is not told of `shown`: what it has there is old.
    pub(super) fn miss(&mut self, shown: &Shown) {
        let way = shown.target.minus(shown.rect.origin());
        if let Some(known) = self.slots.get_mut(&shown.slot) {
            known.remove(shown.new.translate(way));
        }
    }

    /// A slot is gone. Whether the client has its surface.
    pub(super) fn forget(&mut self, slot: u32) -> bool {
        self.slots.remove(&slot).is_some()
    }

    /// What of `restore` the client can do, by pieces.
    pub(super) fn pieces(&self, restore: &Restore) -> Vec<Restore> {
        let way = restore.rect.origin().minus(restore.source);
        let source = Rect {
            left: restore.source.x,
            top: restore.source.y,
            right: restore
                .source
                .x
                .saturating_add_unsigned(restore.rect.width()),
            bottom: restore
                .source
                .y
                .saturating_add_unsigned(restore.rect.height()),
        };
        let right = self.slots.get(&restore.slot);
        let pieces = right.map(|right| right.clip(&source)).unwrap_or_default();
        if PIECES_MAX < pieces.rects().len() {
            return Vec::new();
        }
        let piece = |rect: &Rect| Restore {
            slot: restore.slot,
            rect: rect.translate(way),
            source: rect.origin(),
        };
        pieces.rects().iter().map(piece).collect()
    }

    /// SURFACE_CREATE was sent.
    pub(super) fn created(&mut self, slot: u32) {
        self.created.insert(slot);
    }

    /// SURFACE_DESTROY was sent.
    pub(super) fn destroyed(&mut self, slot: u32) {
        self.created.remove(&slot);
    }

    /// Slots whose surfaces the client has by what was sent.
    pub(super) fn surfaces(&self) -> impl Iterator<Item = u32> + use<'_> {
        self.created.iter().copied()
    }
}

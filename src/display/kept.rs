//! What one client remembers: its surfaces off the screen, and which of their pixels are right.
//!
//! INVARIANT: a slot is listed exactly as long as the client has its surface, once everything that waits for it has been
//! sent.

use std::collections::{BTreeMap, BTreeSet};

use super::saved::{Restore, Save};
use crate::base::{Rect, Region};

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
    /// The client is told to remember what `save` says, while its screen is not right in `stale`. Whether it is worth
    /// telling.
    pub(super) fn save(&mut self, save: &Save, stale: &Region) -> bool {
        let right = Region::from(save.rect).subtract(stale);
        let way = save.target.minus(save.rect.origin());
        if save.new.is_some() {
            if right.area() < save.rect.area() / 2 {
                return false;
            }
            self.slots.insert(save.slot, right.translate(way));
            return true;
        }
        let Some(known) = self.slots.get_mut(&save.slot) else {
            return false;
        };
        known.remove(save.rect.translate(way));
        *known = known.union(&right.translate(way));
        true
    }

    /// The client is not told of `save`: what it has there is old.
    pub(super) fn miss(&mut self, save: &Save) {
        let way = save.target.minus(save.rect.origin());
        if let Some(known) = self.slots.get_mut(&save.slot) {
            known.remove(save.rect.translate(way));
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

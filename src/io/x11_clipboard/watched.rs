//! One selection as the X side sees it: who owns it, what was offered, who has read it.

use std::hash::{DefaultHasher, Hash, Hasher};

use x11rb::protocol::xproto::{Atom, Window};

use super::outgoing::Offer;
use crate::wire::agent::{ClipboardType, Selection};

/// Programs that have read an offer, and kinds of content, that are remembered.
const READERS_MAX: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) selection: Selection,
    /// Of the last order that was carried out.
    pub(super) turn: u64,
    /// What was offered last.
    pub(super) offer: Option<Offer>,
    /// Ownerships of ours that were asked for and not told of yet: what is told of others meanwhile is older.
    pub(super) awaited: u32,
    pub(super) is_ours: bool,
    /// Another owner's window; 0 for nobody or us.
    pub(super) owner: Window,
    /// The owner that X told of last, not ours, until it is acted on; 0 for nobody.
    pub(super) changed: Option<Window>,
    /// What `owner` offers.
    pub(super) targets: Vec<Atom>,
    /// Windows of programs that have read the offer. One that is gone is forgotten: X gives its program's numbers to
    /// the next one.
    readers: Vec<Window>,
    /// What they got.
    delivered: Vec<(ClipboardType, usize, u64)>,
    /// The owner took over from us.
    pub(super) follows_us: bool,
}

impl Watched {
    pub(super) const fn new(selection: Selection) -> Self {
        Self {
            selection,
            turn: 0,
            offer: None,
            awaited: 0,
            is_ours: false,
            owner: 0,
            changed: None,
            targets: Vec::new(),
            readers: Vec::new(),
            delivered: Vec::new(),
            follows_us: false,
        }
    }

    /// Something new is offered.
    pub(super) fn begin(&mut self, offer: Offer) {
        self.offer = Some(offer);
        self.readers.clear();
        self.delivered.clear();
        self.awaited += 1;
    }

    /// A program has got content of ours.
    pub(super) fn delivered(&mut self, reader: Window, kind: ClipboardType, content: &[u8]) {
        if !self.readers.contains(&reader) && self.readers.len() < READERS_MAX {
            self.readers.push(reader);
        }
        let seen = (kind, content.len(), digest(content));
        if !self.delivered.contains(&seen) && self.delivered.len() < READERS_MAX {
            self.delivered.push(seen);
        }
    }

    /// A window is gone.
    pub(super) fn window_gone(&mut self, window: Window) {
        self.readers.retain(|reader| *reader != window);
    }

    /// If the owner may have taken over what it had read of us: a kind to compare, and its size. A clipboard manager
    /// does so; and anybody who pastes, and then copies something else. `id_mask` has the bits of an id that tell one
    /// thing of a program from another.
    pub(super) fn suspect(
        &self,
        id_mask: u32,
        kinds: &[ClipboardType],
    ) -> Option<(ClipboardType, usize)> {
        let program = |window: Window| window & !id_mask;
        let mut readers = self.readers.iter();
        let has_read = readers.any(|reader| program(*reader) == program(self.owner));
        if !self.follows_us || !has_read {
            return None;
        }
        let mut delivered = self.delivered.iter();
        let found = delivered.find(|(kind, ..)| kinds.contains(kind));
        found.map(|(kind, size, _)| (*kind, *size))
    }

    /// Whether this is what was delivered.
    pub(super) fn is_echo(&self, content: &[u8]) -> bool {
        let (size, digest) = (content.len(), digest(content));
        let mut delivered = self.delivered.iter();
        delivered.any(|(_, other_size, other)| (*other_size, *other) == (size, digest))
    }
}

fn digest(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

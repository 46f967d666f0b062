//! What is held down, and by whom: keys and pointer buttons alike.
//!
//! A desktop has one keyboard and one pointer, and many clients that press on them. What several hold goes up when the
//! last one lets go, and what a client holds goes up when that client goes.

use std::collections::BTreeMap;

use crate::base::limits::CLIENTS_MAX;

/// Codes (of keys, of buttons) that can be held lie below.
pub const CODES: u16 = 256;

/// Who holds: one client of a desktop, by a number that is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder(pub u64);

/// Codes that are held, and their holders. Takes at most [`CLIENTS_MAX`] holders; who holds nothing takes no room.
#[derive(Clone, Debug, Default)]
pub struct Held {
    by: BTreeMap<Holder, Codes>,
}

impl Held {
    /// Nothing is held.
    pub const fn new() -> Self {
        Self {
            by: BTreeMap::new(),
        }
    }

    /// `holder` presses `code`. Whether it goes down by that: nobody held it before.
    pub fn press(&mut self, holder: Holder, code: u16) -> bool {
        if CODES <= code || (!self.by.contains_key(&holder) && CLIENTS_MAX <= self.by.len()) {
            return false;
        }
        let first = !self.is_down(code);
        self.by.entry(holder).or_default().insert(code);
        first
    }

    /// `holder` lets `code` go. Whether it goes up by that: `holder` held it, and nobody else does.
    pub fn release(&mut self, holder: Holder, code: u16) -> bool {
        let Some(codes) = self.by.get_mut(&holder) else {
            return false;
        };
        let held = codes.remove(code);
        if codes.is_empty() {
            self.by.remove(&holder);
        }
        held && !self.is_down(code)
    }

    /// `holder` lets everything go. Gives what goes up by that.
    pub fn release_all(&mut self, holder: Holder) -> impl Iterator<Item = u16> + use<'_> {
        let codes = self.by.remove(&holder).unwrap_or_default();
        codes.iter().filter(|code| !self.is_down(*code))
    }

    /// Whether anybody holds `code`.
    pub fn is_down(&self, code: u16) -> bool {
        self.by.values().any(|codes| codes.contains(code))
    }

    /// Whether `holder` holds `code`.
    pub fn holds(&self, holder: Holder, code: u16) -> bool {
        self.by
            .get(&holder)
            .is_some_and(|codes| codes.contains(code))
    }

    /// Whether nobody holds anything.
    pub fn is_empty(&self) -> bool {
        self.by.is_empty()
    }
}

/// A set of codes, 64 to a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Codes([u64; CODES as usize / 64]);

impl Codes {
    fn place(code: u16) -> (usize, u64) {
        (usize::from(code / 64), 1 << (code % 64))
    }

    fn contains(&self, code: u16) -> bool {
        let (word, bit) = Self::place(code);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn insert(&mut self, code: u16) {
        let (word, bit) = Self::place(code);
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= bit;
        }
    }

    /// Whether it was there.
    fn remove(&mut self, code: u16) -> bool {
        let there = self.contains(code);
        let (word, bit) = Self::place(code);
        if let Some(bits) = self.0.get_mut(word) {
            *bits &= !bit;
        }
        there
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }

    fn iter(self) -> impl Iterator<Item = u16> {
        (0..CODES).filter(move |code| self.contains(*code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_holder_decides() {
        let (mut held, anna, bert) = (Held::new(), Holder(1), Holder(2));
        assert!(held.press(anna, 30));
        assert!(!held.press(anna, 30) && !held.press(bert, 30));
        assert!(!held.release(anna, 30) && !held.release(anna, 30));
        assert!(held.is_down(30) && held.holds(bert, 30) && !held.holds(anna, 30));
        assert!(held.release(bert, 30));
        assert!(held.is_empty());
    }

    #[test]
    fn who_goes_leaves_nothing_but_what_others_hold() {
        let (mut held, anna, bert) = (Held::new(), Holder(1), Holder(2));
        for code in [0, 29, 63, 64, 255] {
            held.press(anna, code);
        }
        held.press(bert, 64);
        let up: Vec<u16> = held.release_all(anna).collect();
        assert_eq!(up, [0, 29, 63, 255]);
        assert_eq!(held.release_all(anna).count(), 0);
        assert_eq!(held.release_all(bert).collect::<Vec<_>>(), [64]);
        assert!(held.is_empty());
    }

    #[test]
    fn holders_and_codes_are_bounded() {
        let mut held = Held::new();
        assert!(!held.press(Holder(0), CODES) && !held.press(Holder(0), u16::MAX));
        assert!(held.is_empty());
        for number in 0..10 * CLIENTS_MAX as u64 {
            held.press(Holder(number), 7);
        }
        assert_eq!(held.by.len(), CLIENTS_MAX);
        assert_eq!(held.release_all(Holder(0)).count(), 0);
        assert!(!held.press(Holder(u64::MAX), 7) && held.holds(Holder(u64::MAX), 7));
    }
}

//! What is refused is logged, but nobody fills the log by asking again.
//!
//! Lines are of kinds. Each kind is written once in an interval, and some kinds at most; what was held back meanwhile
//! is counted, and the next line of the kind tells how many those were. So a flood costs a line a second, and shows.

use crate::base::Micros;

/// Between two lines of one kind.
const INTERVAL: Micros = Micros::from_secs(1);

/// Kinds that are written in one interval.
const KINDS_MAX: usize = 8;

/// The lines about one thing.
#[derive(Debug)]
pub(super) struct Refusals<Kind> {
    interval: Micros,
    kinds_max: usize,
    /// Kinds that were written lately, or have something to tell.
    written: Vec<Written<Kind>>,
    /// Held back of kinds that there was no room to remember.
    forgotten: u64,
}

#[derive(Debug)]
struct Written<Kind> {
    kind: Kind,
    at: Micros,
    held_back: u64,
}

/// This is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// What was not, of this kind and of kinds that are forgotten.
    held_back: u64,
}

impl Line {
    /// For the line's own field; none if nothing was held back.
    pub(super) fn held_back(self) -> Option<u64> {
        (self.held_back != 0).then_some(self.held_back)
    }
}

impl<Kind> Default for Refusals<Kind> {
    fn default() -> Self {
        Self::every(INTERVAL, KINDS_MAX)
    }
}

impl<Kind> Refusals<Kind> {
    /// One line of a kind in `interval`, and `kinds_max` kinds.
    pub(super) const fn every(interval: Micros, kinds_max: usize) -> Self {
        Self {
            interval,
            kinds_max,
            written: Vec::new(),
            forgotten: 0,
        }
    }
}

impl<Kind: PartialEq> Refusals<Kind> {
    /// Whether one of this kind is to be written now; it is counted otherwise.
    pub(super) fn admit(&mut self, now: Micros, kind: Kind) -> Option<Line> {
        let is_recent = |written: &Written<Kind>| now.since(written.at) < self.interval;
        if let Some(index) = self.written.iter().position(|known| known.kind == kind) {
            let known = &mut self.written[index];
            if is_recent(known) {
                known.held_back = known.held_back.saturating_add(1);
                return None;
            }
            let held_back = self.written.swap_remove(index).held_back;
            self.forgotten = self.forgotten.saturating_add(held_back);
        } else if self.kinds_max <= self.written.len() {
            let old = self.written.iter().position(|known| !is_recent(known));
            let Some(index) = old else {
                self.forgotten = self.forgotten.saturating_add(1);
                return None;
            };
            let held_back = self.written.swap_remove(index).held_back;
            self.forgotten = self.forgotten.saturating_add(held_back);
        }
        self.written.push(Written {
            kind,
            at: now,
            held_back: 0,
        });
        Some(Line {
            held_back: std::mem::take(&mut self.forgotten),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held_back(line: Option<Line>) -> Option<u64> {
        line.map(|line| line.held_back)
    }

    #[test]
    fn a_kind_is_written_once_a_second_and_tells_what_it_held_back() {
        let mut refusals = Refusals::default();
        let mut lines = Vec::new();
        for ms in 0..10_000 {
            lines.extend(refusals.admit(Micros::from_millis(ms), "same"));
        }
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0].held_back(), None);
        assert!(lines[1..].iter().all(|line| line.held_back() == Some(999)));
    }

    #[test]
    fn eight_kinds_are_written_and_the_ninth_is_counted() {
        let mut refusals = Refusals::default();
        let written = (0..100).filter(|kind| refusals.admit(Micros(0), *kind).is_some());
        assert_eq!(written.count(), 8);
        let later = refusals.admit(Micros::from_secs(1), 1000);
        assert_eq!(held_back(later), Some(92));
    }

    #[test]
    fn an_address_is_written_however_many_others_there_are() {
        let mut refusals = Refusals::every(Micros::from_millis(500), 128);
        for address in 0..128_u32 {
            assert!(refusals.admit(Micros(7), address).is_some(), "{address}");
            assert!(refusals.admit(Micros(7), address).is_none(), "{address}");
        }
        for address in 500..600_u32 {
            let line = refusals.admit(Micros::from_millis(501), address);
            assert!(line.is_some(), "{address}");
        }
    }

    proptest! {
        /// Whatever comes: the room is bounded, and what was written and what was held back are all there was.
        #[test]
        fn every_refusal_is_counted(steps in prop::collection::vec((0_u8..30, 0_u64..400_000), 0..500)) {
            let mut refusals = Refusals::default();
            let (mut now, mut told) = (Micros(0), 0);
            for (kind, time) in &steps {
                now = now + Micros(*time);
                told += refusals.admit(now, *kind).map_or(0, |line| 1 + line.held_back);
                prop_assert!(refusals.written.len() <= KINDS_MAX);
            }
            let waiting: u64 = refusals.written.iter().map(|known| known.held_back).sum();
            prop_assert_eq!(told + waiting + refusals.forgotten, steps.len() as u64);
        }
    }
}

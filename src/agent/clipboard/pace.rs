//! When clients hear of a new owner: at once, but neither faster than anybody pastes nor for ever.
//!
//! A program that takes a selection with every step of the mouse is told of a few times a second. And two clipboard
//! managers, one on each side, that both take over whatever appears would hand the selection to and fro as fast as the
//! line carries it. What gives the same content back is recognized where it happens (`Echoed`); for those that change it
//! each time, changes of hands are counted, and beyond [`HANDS_MAX`] in [`HANDS_SPAN`] clients hear of them no sooner than
//! the oldest of them is that long ago. Every round of such a game needs one announcement, so that this bounds it.

use std::collections::VecDeque;

use crate::base::Micros;

/// Between two announcements of one selection.
pub(super) const ANNOUNCE_PAUSE: Micros = Micros::from_millis(100);

/// Changes of hands within [`HANDS_SPAN`] that are announced without delay.
pub(super) const HANDS_MAX: usize = 8;

/// The span in which changes of hands are counted.
pub(super) const HANDS_SPAN: Micros = Micros::from_secs(20);

/// The pace of one selection.
#[derive(Debug, Default)]
pub(super) struct Pace {
    hands: VecDeque<Micros>,
    announced: Option<Micros>,
    /// What is to be announced, and not before then.
    due: Option<Micros>,
}

impl Pace {
    /// The selection went from one party to another.
    pub(super) fn changed_hands(&mut self, now: Micros) {
        self.hands.push_back(now);
        if HANDS_MAX < self.hands.len() {
            self.hands.pop_front();
        }
    }

    /// There is something to announce; [`Self::is_due`] says when.
    pub(super) fn announce(&mut self, now: Micros) {
        let rested = self.announced.map_or(now, |last| last + ANNOUNCE_PAUSE);
        let calm = match self.hands.front() {
            Some(first) if HANDS_MAX <= self.hands.len() => *first + HANDS_SPAN,
            _ => now,
        };
        self.due = Some(now.max(rested).max(calm));
    }

    /// Whether to announce now; if so, it is taken for done.
    pub(super) fn is_due(&mut self, now: Micros) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = None;
            self.announced = Some(now);
        }
        is_due
    }

    /// When [`Self::is_due`] will say so.
    pub(super) fn deadline(&self) -> Option<Micros> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_a_flood_a_few_times_a_second() {
        let mut pace = Pace::default();
        let mut told = 0;
        for ms in 0..10_000 {
            let now = Micros::from_millis(ms);
            pace.announce(now);
            told += u32::from(pace.is_due(now));
            assert!(ms != 0 || told == 1);
        }
        assert_eq!(told, 100);
    }

    #[test]
    fn a_game_of_two_managers_is_slowed_down() {
        let mut pace = Pace::default();
        let mut told = 0;
        for ms in 0..200_000 {
            let now = Micros::from_millis(ms);
            if pace.is_due(now) || ms == 0 {
                told += 1;
                // Who hears of it takes it back at once.
                pace.changed_hands(now);
                pace.announce(now);
            }
        }
        assert!(told <= 90, "{told} in 200 s");
    }
}

//! When clients hear of a new owner: at once, but neither faster than anybody pastes nor for ever.
//!
//! A program that takes a selection with every step of the mouse is told of a few times a second. And two clipboard
//! managers, one on each side, that both take over whatever appears would hand the selection to and fro as fast as the
//! line carries it. What gives the same content back is recognized where it happens (`Echoed`); for those that change
//! it each time, it is counted how often a client takes over from the desktop, and beyond [`TAKEN_MAX`] in
//! [`TAKEN_SPAN`] clients hear of new owners no sooner than the oldest of them is that long ago. Every round of such
//! a game needs an announcement and a client's grab, so that this bounds it.

use std::collections::VecDeque;

use crate::base::Micros;

/// Between two announcements of one selection.
pub(super) const ANNOUNCE_PAUSE: Micros = Micros::from_millis(100);

/// Clients' takings-over from the desktop within [`TAKEN_SPAN`] after which new owners are announced without delay.
pub(super) const TAKEN_MAX: usize = 16;

/// The span in which they are counted.
pub(super) const TAKEN_SPAN: Micros = Micros::from_secs(20);

/// The pace of one selection.
#[derive(Debug, Default)]
pub(super) struct Pace {
    taken: VecDeque<Micros>,
    announced: Option<Micros>,
    /// What is to be announced, and not before then.
    due: Option<Micros>,
}

impl Pace {
    /// A client has taken the selection over from the desktop.
    pub(super) fn taken_over(&mut self, now: Micros) {
        self.taken.push_back(now);
        if TAKEN_MAX < self.taken.len() {
            self.taken.pop_front();
        }
    }

    /// There is something to announce; [`Self::is_due`] says when.
    pub(super) fn announce(&mut self, now: Micros) {
        let rested = self.announced.map_or(now, |last| last + ANNOUNCE_PAUSE);
        let calm = match self.taken.front() {
            Some(first) if TAKEN_MAX <= self.taken.len() => *first + TAKEN_SPAN,
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
                pace.taken_over(now);
                pace.announce(now);
            }
        }
        assert!(told <= 180, "{told} in 200 s");
    }
}

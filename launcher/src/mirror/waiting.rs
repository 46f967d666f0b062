//! Keys, buttons and motion on their way to the display that is shown: a few wait while it is slow, and if it hangs
//! there is an end of them. Nothing is pressed then that nobody would release.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Keys, buttons and motions that wait. Whoever types on while nothing happens for that long starts anew.
const WAITING_MAX: usize = 1024;

/// Something that a user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Key {
        code: u8,
        pressed: bool,
    },
    Button {
        number: u8,
        pressed: bool,
    },
    Motion {
        x: i16,
        y: i16,
    },
    /// Release whatever is held.
    ReleaseAll,
}

#[derive(Debug, Default)]
struct State {
    acts: VecDeque<Act>,
    /// No more will come.
    is_closed: bool,
}

/// What waits. One thread puts in, another takes out.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is whole before anything can fail.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one. Of motions only the last one counts.
    pub(super) fn add(&self, act: Act) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        if WAITING_MAX <= state.acts.len() {
            state.acts.clear();
            state.acts.push_back(Act::ReleaseAll);
        }
        if let (Act::Motion { .. }, Some(last @ Act::Motion { .. })) = (act, state.acts.back_mut())
        {
            *last = act;
        } else {
            state.acts.push_back(act);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Nothing more is to be done but to release what is held.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.acts.clear();
        state.is_closed = true;
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for all that is there; none at the end.
    pub(super) fn take(&self) -> Option<VecDeque<Act>> {
        let mut state = self.lock();
        while state.acts.is_empty() {
            if state.is_closed {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Some(std::mem::take(&mut state.acts))
    }
}

/// What is held on the display that is shown.
#[derive(Debug, Default)]
pub(super) struct Held {
    keys: Vec<u8>,
    buttons: Vec<u8>,
}

impl Held {
    /// Takes note of `act`, and whether it changes anything there.
    pub(super) fn changes(&mut self, act: Act) -> bool {
        let (held, one, pressed) = match act {
            Act::Key { code, pressed } => (&mut self.keys, code, pressed),
            Act::Button { number, pressed } => (&mut self.buttons, number, pressed),
            Act::Motion { .. } | Act::ReleaseAll => return true,
        };
        let was_pressed = held.contains(&one);
        held.retain(|other| *other != one);
        if pressed {
            held.push(one);
        }
        was_pressed != pressed
    }

    /// What releases everything, the last that was pressed first.
    pub(super) fn release_all(&mut self) -> Vec<Act> {
        let pressed = false;
        let buttons = self.buttons.drain(..).rev();
        let buttons = buttons.map(|number| Act::Button { number, pressed });
        let keys = self.keys.drain(..).rev();
        buttons
            .chain(keys.map(|code| Act::Key { code, pressed }))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn key(code: u8, pressed: bool) -> Act {
        Act::Key { code, pressed }
    }

    #[test]
    fn the_order_stays_and_motions_become_one() {
        let waiting = Waiting::default();
        let moved = |x| Act::Motion { x, y: 0 };
        for act in [moved(1), moved(2), key(9, true), moved(3), key(9, false)] {
            waiting.add(act);
        }
        let taken = waiting.take().unwrap();
        assert_eq!(taken, [moved(2), key(9, true), moved(3), key(9, false)]);
        waiting.add(moved(1));
        waiting.close();
        waiting.add(moved(2));
        assert_eq!(waiting.take(), None);
    }

    #[test]
    fn a_display_that_hangs_ends_in_a_release_and_no_growth() {
        let waiting = Waiting::default();
        for at in 0..10 * WAITING_MAX {
            waiting.add(key(u8::try_from(at % 200).unwrap(), at % 2 == 0));
        }
        let taken = waiting.take().unwrap();
        assert!(taken.len() <= WAITING_MAX + 1);
        assert_eq!(taken.front(), Some(&Act::ReleaseAll));
    }

    #[test]
    fn only_what_is_held_is_released() {
        let mut held = Held::default();
        assert!(held.changes(key(9, true)));
        assert!(!held.changes(key(9, true)), "a repeat");
        assert!(!held.changes(key(8, false)));
        assert!(held.changes(Act::Button {
            number: 1,
            pressed: true
        }));
        assert!(held.changes(key(10, true)));
        assert!(held.changes(key(9, false)));
        let number = 1;
        let pressed = false;
        assert_eq!(
            held.release_all(),
            [Act::Button { number, pressed }, key(10, false)]
        );
        assert!(held.release_all().is_empty());
    }
}

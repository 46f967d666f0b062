//! Single words of the producer: lock LEDs, blanking, idleness; and what a consumer compares before it sleeps.

use super::layout::{self, cursor, mode, monitors, progress, state};
use super::memory::SharedMemory;

/// Lock LEDs in the bits of SPICE's keyboard modifiers (SPICE_MSG_INPUTS_KEY_MODIFIERS): 1 scroll, 2 num, 4 caps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Leds(u8);

impl Leds {
    /// Scroll lock.
    pub const SCROLL: Self = Self(1);
    /// Num lock.
    pub const NUM: Self = Self(2);
    /// Caps lock.
    pub const CAPS: Self = Self(4);

    /// The LEDs among these bits; others are dropped.
    pub const fn from_bits(bits: u32) -> Self {
        Self((bits & 7) as u8)
    }

    /// The bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all LEDs of `other` are on.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The lock LEDs now.
pub fn leds(memory: &(impl SharedMemory + ?Sized)) -> Leds {
    Leds::from_bits(
        memory
            .load_u32(layout::STATE_OFFSET + state::LEDS)
            .unwrap_or(0),
    )
}

/// Whether a screen saver blanks. The pixels stay as they are.
pub fn blanked(memory: &(impl SharedMemory + ?Sized)) -> bool {
    memory
        .load_u32(layout::STATE_OFFSET + state::BLANKED)
        .is_some_and(|word| word != 0)
}

/// Whether the producer has served all its clients since it published last.
pub fn is_idle(memory: &(impl SharedMemory + ?Sized)) -> bool {
    let idle = memory.load_u64(layout::PROGRESS_OFFSET + progress::IDLE_DONE);
    idle == memory.load_u64(layout::PROGRESS_OFFSET + progress::DONE)
}

/// Everything that a `Wait::Record` wakes for, as it stood at one moment. Taken *before* the consumer reads, and
/// compared after it armed: a difference means that something is to be read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    done: Option<u64>,
    mode_lock: Option<u32>,
    monitors_lock: Option<u32>,
    cursor_lock: Option<u32>,
    leds: Leds,
    blanked: bool,
}

impl Observed {
    /// The present moment.
    pub fn now(memory: &(impl SharedMemory + ?Sized)) -> Self {
        Self {
            done: memory.load_u64(layout::PROGRESS_OFFSET + progress::DONE),
            mode_lock: memory.load_u32(layout::MODE_OFFSET + mode::LOCK),
            monitors_lock: memory.load_u32(layout::MONITORS_OFFSET + monitors::LOCK),
            cursor_lock: memory.load_u32(layout::CURSOR_OFFSET + cursor::LOCK),
            leds: leds(memory),
            blanked: blanked(memory),
        }
    }

    /// Whether the cursor's place or shape changed since `earlier`.
    pub fn cursor_differs(&self, earlier: &Self) -> bool {
        self.cursor_lock != earlier.cursor_lock
    }

    /// Whether the mode or the monitors changed since `earlier`.
    pub fn screen_differs(&self, earlier: &Self) -> bool {
        (self.mode_lock, self.monitors_lock) != (earlier.mode_lock, earlier.monitors_lock)
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::PlainMemory;
    use super::super::wake::{self, Armed, PeerWord, Wait};
    use super::*;
    use std::cell::RefCell;

    fn set(memory: &PlainMemory, offset: usize, value: u8) {
        assert!(memory.write(offset, &[value]));
    }

    #[test]
    fn words_are_masked() {
        let memory = PlainMemory::new(layout::RING_MEMFD_SIZE);
        assert_eq!(
            (leds(&memory), blanked(&memory), is_idle(&memory)),
            (Leds(0), false, true)
        );
        set(&memory, layout::STATE_OFFSET, 0xfd);
        set(&memory, layout::STATE_OFFSET + state::BLANKED, 2);
        set(&memory, layout::PROGRESS_OFFSET + progress::DONE, 9);
        assert_eq!(
            (leds(&memory).bits(), blanked(&memory), is_idle(&memory)),
            (5, true, false)
        );
        assert!(leds(&memory).contains(Leds::CAPS) && !leds(&memory).contains(Leds::NUM));
        set(&memory, layout::PROGRESS_OFFSET + progress::IDLE_DONE, 9);
        assert!(is_idle(&memory));
    }

    #[test]
    fn each_change_that_wakes_is_seen() {
        let places = [
            layout::PROGRESS_OFFSET + progress::DONE,
            layout::MODE_OFFSET,
            layout::MONITORS_OFFSET,
            layout::CURSOR_OFFSET,
            layout::STATE_OFFSET + state::LEDS,
            layout::STATE_OFFSET + state::BLANKED,
        ];
        for place in places {
            let memory = PlainMemory::new(layout::RING_MEMFD_SIZE);
            let before = Observed::now(&memory);
            assert_eq!(before, Observed::now(&memory));
            set(&memory, place, 2);
            let after = Observed::now(&memory);
            assert_ne!(before, after);
            assert_eq!(
                after.cursor_differs(&before),
                place == layout::CURSOR_OFFSET
            );
            let screen = [layout::MODE_OFFSET, layout::MONITORS_OFFSET].contains(&place);
            assert_eq!(after.screen_differs(&before), screen);
        }
    }

    #[derive(Default)]
    struct Peer(RefCell<Vec<u32>>);

    impl PeerWord for Peer {
        fn store_waiting(&self, value: u32) {
            self.0.borrow_mut().push(value);
        }
    }

    #[test]
    fn arming_stores_what_the_header_says_and_takes_it_back() {
        for (wait, word) in [
            (Wait::Record, layout::WAIT_RECORD),
            (Wait::Idle, layout::WAIT_IDLE),
        ] {
            let peer = Peer::default();
            assert_eq!(wake::arm(&peer, wait, || false), Armed::Waiting);
            assert_eq!(wake::arm(&peer, wait, || true), Armed::Changed);
            assert_eq!(*peer.0.borrow(), [word, word, layout::WAIT_NONE]);
        }
    }
}

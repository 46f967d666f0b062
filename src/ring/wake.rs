//! The consumer's half of the wake-up protocol: sleep without missing anything, be woken once.
//!
//! ```text
//! consumer                          producer, for each change        producer, out of client requests
//!   read what there is                publish (done, a seqlock...)     idle_done = done
//!   waiting = RECORD or IDLE          full fence                       full fence
//!   full fence                        waiting: RECORD -> NONE,         waiting: IDLE -> NONE (RECORD too when
//!   look again: changed?                then write the eventfd           records are there), then write it
//!     yes: waiting = NONE, go on
//!     no:  sleep on the eventfd
//! ```
//!
//! Each side writes its word, fences, then reads the other's; so one of them sees the other, and the
//! compare-and-swap makes it one eventfd write per arming. A write that races with "go on" is a wake-up for nothing,
//! which the consumer bears. `tests/loom` includes this very file and checks both sides in every order, so it
//! imports nothing of this crate.

use std::sync::atomic::{Ordering, fence};

/// The one word that the server writes for the producer: `struct caraway_peer`.
pub trait PeerWord {
    /// Stores `caraway_peer.waiting`.
    fn store_waiting(&self, value: u32);

    /// Orders that store before every later load (sequentially consistent).
    fn full_fence(&self) {
        fence(Ordering::SeqCst);
    }
}

impl<P: PeerWord + ?Sized> PeerWord for &P {
    fn store_waiting(&self, value: u32) {
        (**self).store_waiting(value);
    }

    fn full_fence(&self) {
        (**self).full_fence();
    }
}

/// What a sleeping consumer wants to be woken for: `enum caraway_waiting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// `CARAWAY_WAIT_RECORD`: the next record, cursor, LED or mode change.
    Record,
    /// `CARAWAY_WAIT_IDLE`: the producer has run out of client requests.
    Idle,
}

impl Wait {
    /// The value of `caraway_peer.waiting`.
    pub const fn word(self) -> u32 {
        match self {
            Self::Record => 1,
            Self::Idle => 2,
        }
    }
}

/// `CARAWAY_WAIT_NONE`.
const NONE: u32 = 0;

/// What arming found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a consumer that sleeps although something changed sleeps on"]
pub enum Armed {
    /// Nothing changed: sleep until the eventfd is written.
    Waiting,
    /// Something had changed already: not armed, go on at once.
    Changed,
}

/// Asks the producer for one wake-up. `changed` tells, from fresh loads, whether what is waited for is there
/// already: for a record anything that differs from what the consumer has read, for idle that the producer is idle.
pub fn arm(peer: &impl PeerWord, wait: Wait, changed: impl FnOnce() -> bool) -> Armed {
    peer.store_waiting(wait.word());
    peer.full_fence();
    if changed() {
        disarm(peer);
        return Armed::Changed;
    }
    Armed::Waiting
}

/// Takes the request back; a wake-up may be on its way already.
pub fn disarm(peer: &impl PeerWord) {
    peer.store_waiting(NONE);
}

//! The driver's shared memory as untrusted input: copy out, validate, replay.
//!
//! `docs/ring.md` is the contract, [`layout`] its mirror. A consumer's round:
//!
//! 1. take [`Observed::now`]; drain records ([`Consumer::drain`]); read mode, monitors and cursor where they changed;
//! 2. ask for the producer to be idle ([`wake::arm`] with [`Wait::Idle`]) or wait a few milliseconds, then read pixels
//!    ([`Consumer::pixels`]);
//! 3. arm for the next change ([`Wait::Record`]), looking again whether anything differs from what was observed.

pub mod consumer;
pub mod control;
pub mod cursor;
#[cfg(any(test, fuzzing))]
pub mod hostile;
pub mod input;
pub mod input_queue;
pub mod layout;
pub mod memory;
pub mod mode;
pub mod monitors;
pub mod record;
mod seqlock;
pub mod settled;
pub mod state;
pub mod wake;

pub use consumer::{Consumer, Drained, DrainedPixels};
pub use control::{ControlError, ControlMessage, Hello};
pub use cursor::{CursorError, CursorImage, CursorState};
pub use input::InputRecord;
pub use input_queue::{InputQueue, InputQueueFull};
pub use memory::{PeerWord, PixelSource, PlainMemory, SharedMemory};
pub use mode::{Mode, ModeError};
pub use monitors::{Head, Monitors, MonitorsError};
pub use record::Record;
pub use seqlock::Busy;
pub use state::{Leds, Observed};
pub use wake::{Armed, Wait};

//! The driver's shared memory as untrusted input: copy out, validate, replay.

pub mod input;

pub use input::InputRecord;

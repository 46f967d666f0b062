//! The rules of the source that a machine can hold, so that reviews are about the rest.
//!
//! Style that rustfmt and clippy know is theirs. Here: which module may import which, where effects and `unsafe` live,
//! how long files and lines get, that every file says why it is there, and words that promise instead of doing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: a failure is a panic with a sentence"
)]

mod fuzz;
mod limits;
mod promises;
mod ranks;
mod source;
mod words;

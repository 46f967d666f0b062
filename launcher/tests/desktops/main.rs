//! The built `caraway` with a real Xorg, as this user and, where this is root, as an ordinary one.
//!
//! Each test has its own runtime directory. Xorg runs with Debian's dummy driver (package
//! xserver-xorg-video-dummy) and caraway-server is a script, so that what fails here is the launcher.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's stage may fail loudly"
)]

mod config;
mod detach;
mod failures;
mod lives;
mod logs;
mod stage;
mod top;
mod units;

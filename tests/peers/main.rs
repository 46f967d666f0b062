//! The product against the real world: a stock Xorg, real SPICE clients, and the peers that it is measured with.
//!
//! One module per promise; each test is named after the behaviour that it holds. Needs `make build` and the packages of
//! `make test-packages`. Tests run one after another whatever the harness wants: they measure time and CPU, and two
//! desktops at once would measure each other. Those named `bench_` are ignored by default and run by `make bench`.
//!
//! Modules without tests: `instruments` (C programs), `process`, `desktop`, `watcher`, `x_client`, `relay`, `link`,
//! `figure`, `listener`, `tone`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test program: a failure is a panic with a sentence, figures go to standard error"
)]

mod desktop;
mod figure;
mod instruments;
mod last_byte;
mod link;
mod listener;
mod process;
mod relay;
mod tone;
mod watcher;
mod x_client;

mod clipboard;
mod crash;
mod door;
mod drawing_speed;
mod exact;
mod far;
mod first_picture;
mod gl;
mod hostile;
mod hostile_messages;
mod idle;
mod keyboard;
mod memory;
mod pointer;
mod reference;
mod resize;
mod same_drawing;
mod sasl;
mod sound;
mod sound_daemons;
mod start;
mod tls;
mod upload;
mod video;
mod viewer;
mod webdav;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by each test for as long as it runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed before says nothing about this one.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The product against the real world: a stock Xorg, real SPICE clients, and the peers that it is measured with.
//!
//! One module per promise; each test is named after the behaviour that it holds. Needs `make build` and the packages of
//! `make test-packages`. Tests that measure time and CPU run alone, for two desktops at once would measure each other;
//! the others run side by side, as `alone` and `beside_others` say. Those named `bench_` are ignored by default and run
//! by `make bench`.
//!
//! Modules without tests: `instruments` (C programs), `process`, `desktop`, `watcher`, `x_client`, `relay`, `link`,
//! `figure`, `gateway_host`, `listener`, `monitor`, `oaep`, `secure_link`, `tone`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test program: a failure is a panic with a sentence, figures go to standard error"
)]

mod desktop;
mod figure;
mod gateway_host;
mod instruments;
mod last_byte;
mod link;
mod listener;
mod monitor;
mod oaep;
mod process;
mod relay;
mod secure_link;
mod tone;
mod watcher;
mod x_client;
mod xvfb;

mod catalogue_channels;
mod catalogue_door;
mod catalogue_host;
mod catalogue_x;
mod clipboard;
mod crash;
mod door;
mod drawing_speed;
mod exact;
mod far;
mod first_picture;
mod gateway;
mod gateway_lasting;
mod gateway_many;
mod gateway_prompts;
mod gl;
mod hostile;
mod hostile_messages;
mod idle;
mod joining;
mod kerberos;
mod keyboard;
mod memory;
mod pasting;
mod pointer;
mod reference;
mod resize;
mod rest;
mod same_drawing;
mod sasl;
mod sound;
mod sound_daemons;
mod sound_minutes;
mod start;
mod tls;
mod upload;
mod upload_sink;
mod video;
mod viewer;
mod watching;
mod webdav;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::new(());

/// Held by each test that measures time or CPU, for as long as it runs.
fn alone() -> RwLockWriteGuard<'static, ()> {
    // A test that failed before says nothing about this one.
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Held by each test that only waits for what must happen, however busy the machine is.
fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

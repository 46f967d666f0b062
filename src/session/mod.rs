//! One desktop and its clients.

pub mod frame_clock;

pub use frame_clock::{Activity, FrameClock, Step, WakeFor};

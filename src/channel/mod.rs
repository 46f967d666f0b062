//! One sans-IO state machine per SPICE channel.
pub mod inbox;
pub mod outbox;
pub mod scancode;

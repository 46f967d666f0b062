//! One sans-IO state machine per SPICE channel.
pub mod cursor;
pub mod cursor_cache;
pub mod cursor_shape;
pub mod held;
pub mod inbox;
pub mod inputs;
pub mod keyboard;
pub mod outbox;
pub mod pointer;
pub mod scancode;

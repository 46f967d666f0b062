//! One sans-IO state machine per SPICE channel.

pub mod cursor;
pub mod inbox;
pub mod inputs;
pub mod keyboard;
pub mod link;
pub mod main;
pub mod outbox;

pub use inbox::{FramingError, Inbox};
pub use main::{Identity, MainChannel, MainError, MainEvent};
pub use outbox::{Answer, CommonError, Outbox};

//! One sans-IO state machine per SPICE channel.

pub mod inbox;
pub mod link;
pub mod outbox;

pub use inbox::{FramingError, Inbox};
pub use outbox::{Answer, CommonError, Outbox};

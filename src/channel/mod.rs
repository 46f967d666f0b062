//! One sans-IO state machine per SPICE channel, and the handshake before it.

pub mod agent_link;
pub mod cursor;
pub mod cursor_cache;
pub mod cursor_shape;
pub mod held;
#[cfg(any(test, fuzzing))]
pub mod hostile_agent;
#[cfg(any(test, fuzzing))]
pub mod hostile_link;
#[cfg(any(test, fuzzing))]
pub mod hostile_messages;
#[cfg(any(test, fuzzing))]
pub mod hostile_webdav;
pub mod inbox;
pub mod inputs;
pub mod keyboard;
pub mod latency;
pub mod link;
mod link_reply;
pub mod link_sasl;
pub mod main;
pub mod outbox;
pub mod playback;
pub mod pointer;
pub mod record;
pub mod scancode;
pub mod webdav;
pub mod webdav_mux;
pub mod webdav_requests;

pub use agent_link::{AgentError, AgentLink, AgentServices, Incoming};
pub use inbox::{FramingError, Inbox};
pub use main::{Identity, MainChannel, MainError, MainEvent, Offer};
pub use outbox::{Answer, CommonError, Outbox};

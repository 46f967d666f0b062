//! One desktop and its clients.

pub mod display_sender;
pub mod frame_clock;
pub mod picture;
pub mod registry;
pub mod status;

pub use frame_clock::{Activity, FrameClock, Step, WakeFor};
pub use registry::{AdmitError, ChannelKey, ClientId, Registry};
pub use status::{ClientStatus, Status};

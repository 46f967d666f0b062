//! One desktop and its clients.

mod agent_side;
mod channel;
pub mod desktop;
mod display_sender;
mod figures;
mod folders_side;
pub mod frame_clock;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod image_cache;
mod image_sender;
mod picture;
mod presence;
mod registry;
mod rest;
mod screen_side;
mod sound_side;
mod stage;
mod status;
mod stream_sender;
mod tally;
mod video_frames;
mod visits;

pub use channel::{ChannelError, Origin};
pub use desktop::{Event, Session};
pub use folders_side::FolderStream;
pub use frame_clock::{Activity, FrameClock, Step, WakeFor};
pub use registry::{AdmitError, ChannelKey, Joining};
pub use rest::Held;
pub use status::{ClientStatus, FolderStatus, Status};
pub use visits::Visit;

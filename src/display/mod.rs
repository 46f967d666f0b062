//! The display pipeline: queue regions, never pixels.
//!
//! ```text
//!  driver records ─▶ Screen: reduce to Changes, compare with the Shadow ─▶ Frame ─▶ View of each client
//!                                                                                    │ when its socket can take bytes
//!                    bytes ◀─ image encoders ◀─ newest pixels of the Shadow ◀─ Update ◀┘
//! ```

pub mod changes;
pub mod pace;
pub mod screen;
pub mod shadow;
pub mod stream_clock;
pub mod stream_quality;
pub mod video;
mod video_content;
pub mod view;

pub use changes::{Changes, ExactOp};
pub use pace::Pacer;
pub use screen::{Frame, Screen};
pub use shadow::Shadow;
pub use stream_clock::StreamClock;
pub use stream_quality::StreamQuality;
pub use video::{Video, VideoDetector};
pub use view::{Update, View};

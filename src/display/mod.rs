//! The display pipeline: queue regions, never pixels.
//!
//! ```text
//!  driver records ─▶ Screen: reduce to Changes, compare with the Shadow ─▶ Frame ─▶ View of each client
//!                                                                                    │ when its socket can take bytes
//!                    bytes ◀─ image encoders ◀─ newest pixels of the Shadow ◀─ Update ◀┘
//! ```

pub mod changes;
pub mod clusters;
mod kept;
pub mod line;
pub mod motion;
pub mod pace;
pub mod saved;
mod saved_again;
mod saved_slot;
pub mod screen;
pub mod shadow;
pub mod still;
pub mod stream_clock;
pub mod stream_quality;
mod trend;
mod trust;
mod urgent;
pub mod video;
mod video_content;
pub mod view;

pub use changes::{Changes, ExactOp};
pub use kept::Save;
pub use line::{Line, Path};
pub use motion::Motion;
pub use pace::Pacer;
pub use saved::{Restore, Saved, Shown};
pub use screen::{Frame, Screen};
pub use shadow::Shadow;
pub use stream_clock::StreamClock;
pub use stream_quality::StreamQuality;
pub use video::{Video, VideoDetector};
pub use view::{Update, View};

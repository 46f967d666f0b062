//! The display pipeline: queue regions, never pixels.
//!
//! ```text
//!  driver records ─▶ Screen: reduce to Changes, compare with the Shadow ─▶ Frame ─▶ View of each client
//!                                                                                    │ when its socket can take bytes
//!                    bytes ◀─ image encoders ◀─ newest pixels of the Shadow ◀─ Update ◀┘
//! ```

pub mod changes;
pub mod line;
pub mod pace;
pub mod screen;
pub mod shadow;
mod urgent;
pub mod view;

pub use changes::{Changes, ExactOp};
pub use line::{Line, Path};
pub use pace::Pacer;
pub use screen::{Frame, Screen};
pub use shadow::Shadow;
pub use view::{Update, View};

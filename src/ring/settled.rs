//! Whether pixels that were read belong to the records that were drained: the counters tell.
//!
//! ```text
//! producer, a fill or copy             producer, other drawing      consumer
//!   begun = behind its last record       pixels                       position = done, records are drained
//!   full fence                           records, begun, done         pixels
//!   pixels                                                            full fence
//!   records, begun, done                                              begun == position?
//! ```
//!
//! Who sees a pixel sees what was written before the fence before it. So while `begun` is still the position, no pixel
//! of a later fill or copy was read. Pixels of later drawing of other kinds may have been, and do no harm: its damage
//! is in the ring before the record of any fill or copy that comes after it. `tests/loom` includes this very file and
//! checks both sides in every order, so it imports nothing of this crate.

use std::sync::atomic::{Ordering, fence};

/// The producer's progress.
pub trait Progress {
    /// Loads `caraway_progress.begun`; none where there is no such word.
    fn load_begun(&self) -> Option<u64>;

    /// Orders the reading of pixels, by whatever instructions, before the later load (sequentially consistent).
    fn full_fence(&self) {
        fence(Ordering::SeqCst);
    }
}

/// Whether of the pixels that were read before this call none belongs to a fill or copy at `position` or behind it,
/// where `position` is that of the first record that is not drained.
pub fn is_settled(progress: &impl Progress, position: u64) -> bool {
    progress.full_fence();
    progress.load_begun() == Some(position)
}

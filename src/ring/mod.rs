//! The driver's shared memory as untrusted input: copy out, validate, replay.

pub mod input;

pub use input::InputRecord;

/// tmp
pub trait PixelSource {
    /// tmp
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]);
}
/// tmp
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// tmp
    Damage(crate::base::Rect),
    /// tmp
    Fill {
        /// tmp
        rect: crate::base::Rect,
        /// tmp
        color: u32,
    },
    /// tmp
    CopyBits {
        /// tmp
        rect: crate::base::Rect,
        /// tmp
        source: crate::base::Point,
    },
    /// tmp
    Mode,
}

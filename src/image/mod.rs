//! Pixels to bytes: one encoder per file, its decoder beside it.
pub mod pixels;
pub use pixels::Pixels;

//! Pixels to bytes: one encoder per file, its decoder beside it.
//!
//! Every encoder but [`jpeg`] is lossless, and each appends to a `Vec<u8>` the bytes that follow a
//! `SpiceImageDescriptor`; its worst case is named beside it. [`choose`] picks one by what the
//! pixels are and what the client can decode. The decoders serve model clients and fuzzing: any
//! bytes give pixels or a [`DecodeError`], and memory stays in proportion to the input or to the
//! size that the caller expects.

use crate::base::limits::SCREEN_SIDE_MAX;
use crate::base::{Size, Truncated};

pub mod bitmap;
pub mod choose;
pub mod classify;
pub mod content;
pub mod dictionary;
pub mod glz;
pub mod glz_decode;
mod glz_search;
mod glz_stream;
mod glz_window;
#[cfg(any(test, fuzzing))]
pub mod hostile;
pub mod jpeg;
#[cfg(test)]
pub(crate) mod jpeg_check;
#[cfg(test)]
mod liblz4;
pub mod lz;
pub mod lz4;
pub mod lz_palette;
mod lz_search;
mod lz_stream;
pub mod palette;
#[cfg(test)]
mod pictures;
pub mod pixels;
pub mod quic;
mod quic_code;
mod quic_model;
mod quic_predict;
mod quic_read;
mod quic_write;
#[cfg(test)]
mod shown;
pub mod zlib_glz;

/// Why bytes are no image; all of it is the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end early.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Bytes are left over behind the last pixel.
    #[error("{0} bytes behind the image")]
    Trailing(usize),
    /// A pixel format that the decoder does not know.
    #[error("pixel format {0} is not one this decoder knows")]
    Format(u32),
    /// A magic number or version that is not the format's.
    #[error("magic or version 0x{0:08x} is not this format's")]
    Magic(u32),
    /// The first row is the bottom one, which these decoders do not do.
    #[error("image is bottom-up")]
    BottomUp,
    /// The image disagrees with its descriptor.
    #[error("image of {told:?} where {expected:?} was announced")]
    Size {
        /// What the image says.
        told: Size,
        /// What its descriptor said.
        expected: Size,
    },
    /// A side of 0 or beyond `SCREEN_SIDE_MAX`.
    #[error("image of {}x{}: sides are 1 to {SCREEN_SIDE_MAX}", .0.width, .0.height)]
    Side(Size),
    /// The stride does not fit the width.
    #[error("stride of {0} bytes does not fit the width")]
    Stride(u32),
    /// A reference points before the first pixel.
    #[error("reference of distance {distance} at pixel {at}")]
    Distance {
        /// How far back the reference points.
        distance: usize,
        /// Where it stands.
        at: usize,
    },
    /// More pixels than the image holds.
    #[error("image has more pixels than its size says")]
    Overflow,
    /// A run of pixels is longer than the room that it has.
    #[error("run of {len} pixels where {room} are left")]
    Run {
        /// Pixels of the run, at least.
        len: usize,
        /// Pixels that are left of the row or of its piece.
        room: usize,
    },
    /// A palette index without a colour.
    #[error("palette of {colors} colours has no entry {index}")]
    PaletteIndex {
        /// The index.
        index: u8,
        /// Colours of the palette.
        colors: usize,
    },
    /// The block is not LZ4.
    #[error("corrupt lz4 block")]
    Lz4Block,
    /// A GLZ image whose id is not the one after the last.
    #[error("image {told} of the dictionary where {expected} is next")]
    ImageId {
        /// What the image says.
        told: u64,
        /// The next one.
        expected: u64,
    },
    /// A GLZ reference or header that names an image which is not there.
    #[error("image {distance} ids back where the dictionary goes back {held}")]
    ImageDistance {
        /// How many ids back.
        distance: u32,
        /// How many of them the dictionary holds.
        held: usize,
    },
    /// The dictionary would exceed the window.
    #[error("dictionary of {pixels} pixels in a window of {window}")]
    Window {
        /// Pixels of all its images.
        pixels: usize,
        /// Most of them.
        window: usize,
    },
    /// The data is not a zlib stream of the announced length.
    #[error("corrupt zlib data")]
    Zlib,
}

/// Pixels of an image that a decoder may build.
fn decoded_area(size: Size) -> Result<usize, DecodeError> {
    let sides = 1..=SCREEN_SIDE_MAX;
    if !sides.contains(&size.width) || !sides.contains(&size.height) {
        return Err(DecodeError::Side(size));
    }
    Ok(size.width as usize * size.height as usize)
}

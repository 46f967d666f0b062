//! What a client without a dictionary makes of an image: each type by its decoder, for the tests of who chooses types.

use super::choose::Encoded;
use super::pixels::Pixels;
use super::{DecodeError, bitmap, lz, lz_palette, lz4, quic};

/// The pixels of an image that was made of `pixels`.
pub(super) fn decode(
    encoded: &Encoded,
    payload: &[u8],
    pixels: &Pixels<'_>,
) -> Result<Vec<u32>, DecodeError> {
    match encoded {
        Encoded::Solid(color) => Ok(vec![*color; pixels.area()]),
        Encoded::Bitmap => bitmap::decode(payload, pixels.size()),
        Encoded::LzPalette { palette } => lz_palette::decode(payload, palette, pixels.size()),
        Encoded::Quic => quic::decode(payload, pixels.size()),
        Encoded::LzRgb => lz::decode(payload, pixels.size()),
        Encoded::Jpeg | Encoded::Glz | Encoded::ZlibGlz => unreachable!("nobody allowed it"),
        Encoded::Lz4 => lz4::decode(payload, pixels.size()),
    }
}

//! Raw pixels: `SPICE_IMAGE_TYPE_BITMAP` (0), the only image type that every client ever written
//! decodes.
//!
//! `BitmapData` of spice.proto, little-endian:
//!
//! ```text
//! OFFSET SIZE
//!      0    1  format: 8 = 32BIT (x8r8g8b8); 32BIT and not RGBA, whose alpha some clients apply
//!      1    1  flags: 4 = TOP_DOWN
//!      2    4  width in pixels
//!      6    4  height in pixels
//!     10    4  stride in bytes
//!     14    4  offset of a palette: 0, there is none
//!     18       height rows of stride bytes, a pixel is B, G, R, 0
//! ```

use crate::base::{ByteReader, ByteWriter, Size};

use super::DecodeError;
use super::pixels::{Pixels, RGB};

/// `SPICE_BITMAP_FMT_32BIT`: 4 bytes a pixel, B, G, R and one that is ignored.
pub const FORMAT_32BIT: u8 = 8;

/// `SPICE_BITMAP_FLAGS_TOP_DOWN`: the first row is the top one.
pub const FLAG_TOP_DOWN: u8 = 4;

/// Bytes of `BitmapData` before its pixels.
pub const HEADER_LEN: usize = 1 + 1 + 4 + 4 + 4 + 4;

/// Bytes that [`encode`] appends for this many pixels.
pub const fn encoded_len(area: usize) -> usize {
    HEADER_LEN + 4 * area
}

/// Appends `BitmapData`.
pub fn encode(pixels: &Pixels<'_>, out: &mut Vec<u8>) {
    out.reserve(encoded_len(pixels.area()));
    let mut writer = ByteWriter::new(out);
    writer.u8(FORMAT_32BIT);
    writer.u8(FLAG_TOP_DOWN);
    writer.u32(pixels.width());
    writer.u32(pixels.height());
    writer.u32(4 * pixels.width());
    writer.u32(0);
    for row in pixels.rows() {
        append_bytes(row, out);
    }
}

/// Appends B, G, R, 0 of each pixel.
pub(super) fn append_bytes(pixels: &[u32], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + 4 * pixels.len(), 0);
    let (places, _) = out[start..].as_chunks_mut::<4>();
    for (place, pixel) in places.iter_mut().zip(pixels) {
        *place = (pixel & RGB).to_le_bytes();
    }
}

/// The pixels of a `BitmapData` of the format that [`encode`] writes, whose image descriptor said
/// `size`.
pub fn decode(payload: &[u8], size: Size) -> Result<Vec<u32>, DecodeError> {
    let mut reader = ByteReader::new(payload);
    let format = reader.u8()?;
    if format != FORMAT_32BIT {
        return Err(DecodeError::Format(u32::from(format)));
    }
    if reader.u8()? & FLAG_TOP_DOWN == 0 {
        return Err(DecodeError::BottomUp);
    }
    let told = Size::new(reader.u32()?, reader.u32()?);
    if told != size {
        return Err(DecodeError::Size {
            told,
            expected: size,
        });
    }
    let stride = reader.u32()?;
    if u64::from(stride) != 4 * u64::from(size.width) {
        return Err(DecodeError::Stride(stride));
    }
    let _palette = reader.u32()?;
    let area = super::decoded_area(size)?;
    let bytes = reader.bytes(4 * area)?;
    if reader.remaining() != 0 {
        return Err(DecodeError::Trailing(reader.remaining()));
    }
    Ok(colors(bytes))
}

/// The colours of such pixels.
pub(super) fn colors(bytes: &[u8]) -> Vec<u32> {
    let (pixels, _) = bytes.as_chunks::<4>();
    pixels
        .iter()
        .map(|pixel| u32::from_le_bytes(*pixel) & RGB)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        let data = [
            0xff01_0203,
            0x0004_0506,
            0xdead_beef,
            0x0007_0809,
            0xff0a_0b0c,
        ];
        let mut out = vec![0x55];
        encode(&Pixels::new(&data, 2, 2, 3).unwrap(), &mut out);
        #[rustfmt::skip]
        assert_eq!(out[1..], [
            8, 4, 2, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0,
            3, 2, 1, 0, 6, 5, 4, 0, 9, 8, 7, 0, 12, 11, 10, 0,
        ]);
        assert_eq!(out.len() - 1, encoded_len(4));
        let pixels = decode(&out[1..], Size::new(2, 2)).unwrap();
        assert_eq!(pixels, [0x01_0203, 0x04_0506, 0x07_0809, 0x0a_0b0c]);
    }

    #[test]
    fn what_is_no_bitmap_is_refused() {
        let mut out = Vec::new();
        encode(&Pixels::packed(&[1, 2], 2, 1).unwrap(), &mut out);
        let size = Size::new(2, 1);
        for end in 0..out.len() {
            assert!(decode(&out[..end], size).is_err(), "cut to {end}");
        }
        assert!(decode(&out, Size::new(1, 2)).is_err());
        out.push(0);
        assert_eq!(decode(&out, size), Err(DecodeError::Trailing(1)));
    }
}

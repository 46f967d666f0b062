//! SPICE LZ of pixels: `SPICE_IMAGE_TYPE_LZ_RGB` (101) with `LZ_IMAGE_TYPE_RGB32`, which every
//! client decodes.
//!
//! Behind the descriptor lies `BinaryData`: a little-endian u32 of the bytes that follow, then the
//! LZ header of seven big-endian u32 (magic "LZ  ", version, type, width, height, stride in bytes,
//! top-down) and the segments (`lz_stream`). Alpha is not sent: RGB32 needs none.

use crate::base::{ByteReader, ByteWriter, Size};

use super::DecodeError;
use super::lz_search::Compressor;
use super::lz_stream::{compressed_len_max, decompress};
use super::pixels::Pixels;

/// "LZ  " read as a big-endian number.
pub(super) const MAGIC: u32 = 0x2020_5a4c;

/// Major 1, minor 1.
pub(super) const VERSION: u32 = 0x0001_0001;

/// Bytes of the header.
pub const HEADER_LEN: usize = 7 * 4;

/// `LzImageType` of the formats that are used here; the numbers are those of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LzType {
    /// Eight pixels a byte, the first one in its highest bit.
    Plt1Be = 2,
    /// Two pixels a byte, the first one in its upper half.
    Plt4Be = 4,
    /// A palette index a pixel.
    Plt8 = 5,
    /// B, G, R a pixel.
    Rgb32 = 8,
}

/// Most bytes that [`LzEncoder::encode`] appends for this many pixels.
pub const fn encoded_len_max(area: usize) -> usize {
    4 + HEADER_LEN + compressed_len_max::<u32>(area)
}

/// Encodes images to SPICE LZ; keeps its tables and buffers, which grow with the largest image.
#[derive(Debug)]
pub struct LzEncoder {
    packed: Vec<u32>,
    pub(super) packed_indices: Vec<u8>,
    pub(super) compressor: Compressor,
}

impl LzEncoder {
    /// An encoder without memory of any image.
    pub fn new() -> Self {
        Self {
            packed: Vec::new(),
            packed_indices: Vec::new(),
            compressor: Compressor::new(),
        }
    }

    /// Appends `BinaryData` of an LZ_RGB image: data size, header, segments.
    pub fn encode(&mut self, pixels: &Pixels<'_>, out: &mut Vec<u8>) {
        pixels.pack_into(&mut self.packed);
        let mut writer = ByteWriter::new(out);
        writer.u32(0);
        write_header(
            &mut writer,
            LzType::Rgb32,
            pixels.size(),
            4 * pixels.width(),
        );
        let above = pixels.width() as usize;
        self.compressor
            .compress(&self.packed, above, writer.buffer());
        let data_size = writer.written() - 4;
        writer.patch_u32(0, u32::try_from(data_size).unwrap_or(u32::MAX));
    }
}

impl Default for LzEncoder {
    fn default() -> Self {
        Self::new()
    }
}

/// The pixels of a `BinaryData` of LZ_RGB, whose image descriptor said `size`.
pub fn decode(payload: &[u8], size: Size) -> Result<Vec<u32>, DecodeError> {
    let mut reader = ByteReader::new(payload);
    let data_size = reader.u32()?;
    let mut data = ByteReader::new(reader.bytes(data_size as usize)?);
    if reader.remaining() != 0 {
        return Err(DecodeError::Trailing(reader.remaining()));
    }
    let (kind, stride) = read_header(&mut data, size)?;
    if kind != LzType::Rgb32 as u32 {
        return Err(DecodeError::Format(kind));
    }
    if u64::from(stride) != 4 * u64::from(size.width) {
        return Err(DecodeError::Stride(stride));
    }
    decompress(data.rest(), super::decoded_area(size)?)
}

/// Appends the header of a top-down image.
pub(super) fn write_header(writer: &mut ByteWriter<'_>, kind: LzType, size: Size, stride: u32) {
    const TOP_DOWN: u32 = 1;
    for value in [
        MAGIC,
        VERSION,
        kind as u32,
        size.width,
        size.height,
        stride,
        TOP_DOWN,
    ] {
        writer.u32_be(value);
    }
}

/// The type and the stride in bytes of the header of a top-down image of `size`.
pub(super) fn read_header(
    reader: &mut ByteReader<'_>,
    size: Size,
) -> Result<(u32, u32), DecodeError> {
    for expected in [MAGIC, VERSION] {
        let found = reader.u32_be()?;
        if found != expected {
            return Err(DecodeError::Magic(found));
        }
    }
    let kind = reader.u32_be()?;
    let told = Size::new(reader.u32_be()?, reader.u32_be()?);
    if told != size {
        return Err(DecodeError::Size {
            told,
            expected: size,
        });
    }
    let stride = reader.u32_be()?;
    if reader.u32_be()? == 0 {
        return Err(DecodeError::BottomUp);
    }
    Ok((kind, stride))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::pictures::{changes, picture, spoil};

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        // Two literals, a run of 2, the row above.
        let data = [0xff01_0203, 0x0004_0506, 0x0004_0506, 0x0004_0506];
        let mut rows = data.to_vec();
        rows.extend_from_slice(&data);
        rows.extend_from_slice(&data);
        let mut out = Vec::new();
        LzEncoder::new().encode(&Pixels::packed(&rows, 4, 3).unwrap(), &mut out);
        #[rustfmt::skip]
        assert_eq!(out, [
            40, 0, 0, 0,
            0x20, 0x20, 0x5a, 0x4c, 0, 1, 0, 1, 0, 0, 0, 8,
            0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 16, 0, 0, 0, 1,
            1, 3, 2, 1, 6, 5, 4,
            2 << 5, 0,
            7 << 5, 1, 3,
        ]);
    }

    #[test]
    fn headers_of_other_images_are_refused() {
        let size = Size::new(3, 1);
        let mut good = Vec::new();
        LzEncoder::new().encode(&Pixels::packed(&[1, 2, 3], 3, 1).unwrap(), &mut good);
        assert_eq!(decode(&good, size), Ok(vec![1, 2, 3]));
        for end in 0..good.len() {
            assert!(decode(&good[..end], size).is_err(), "cut to {end}");
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            decode(&bytes, size).unwrap_err()
        };
        assert_eq!(with(4, 1), DecodeError::Magic(0x0120_5a4c));
        assert_eq!(with(11, 2), DecodeError::Magic(0x0001_0002));
        assert_eq!(with(15, 9), DecodeError::Format(9));
        let told = Size::new(4, 1);
        assert_eq!(
            with(19, 4),
            DecodeError::Size {
                told,
                expected: size
            }
        );
        assert_eq!(with(27, 13), DecodeError::Stride(13));
        assert_eq!(with(31, 0), DecodeError::BottomUp);
        good.push(0);
        assert_eq!(decode(&good, size), Err(DecodeError::Trailing(1)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn pictures_come_back(pictures in prop::collection::vec(picture(), 1..4)) {
            // One encoder for all, so that what it remembers of one shows in the next.
            let mut encoder = LzEncoder::new();
            let mut out = Vec::new();
            for picture in pictures {
                let pixels = picture.pixels();
                out.clear();
                encoder.encode(&pixels, &mut out);
                prop_assert!(out.len() <= encoded_len_max(pixels.area()));
                let decoded = decode(&out, pixels.size());
                prop_assert_eq!(decoded.as_deref(), Ok(&picture.colors()[..]));
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            picture in picture(),
            changes in changes(),
        ) {
            let mut out = Vec::new();
            LzEncoder::new().encode(&picture.pixels(), &mut out);
            spoil(&mut out, &changes);
            let size = picture.pixels().size();
            if let Ok(pixels) = decode(&out, size) {
                prop_assert_eq!(pixels.len() as u64, size.area());
            }
        }
    }
}

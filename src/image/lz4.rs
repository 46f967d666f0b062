//! LZ4 of pixels: `SPICE_IMAGE_TYPE_LZ4` (109), for clients that announce
//! `SPICE_DISPLAY_CAP_LZ4_COMPRESSION` (5).
//!
//! Behind the descriptor lies `BinaryData`: a little-endian u32 of the bytes that follow, and then
//!
//! ```text
//! OFFSET SIZE
//!      0    1  1: top-down
//!      1    1  8: 32BIT, a pixel is B, G, R, 0
//!      2    4  bytes of a block, big-endian
//!      6       the block; blocks repeat to the end of the data
//! ```
//!
//! Blocks depend on each other: a match may reach up to 64 KiB back into what the blocks before it
//! gave, because the client decodes all of them with one `LZ4_decompress_safe_continue` stream into
//! one buffer.

use lz4_flex::block;

use crate::base::limits::IMAGE_PIXELS_MAX;
use crate::base::{ByteReader, ByteWriter, Size};

use super::DecodeError;
use super::bitmap::{FORMAT_32BIT, append_bytes, colors};
use super::pixels::Pixels;

/// Bytes of pixels in a block: the server's images are a single one.
const BLOCK_LEN: usize = 4 * IMAGE_PIXELS_MAX as usize;

/// How far back a match reaches.
const WINDOW_LEN: usize = 64 * 1024;

/// `top_down` and the format.
const HEADER_LEN: usize = 2;

/// Most bytes that [`Lz4Encoder::encode`] appends for this many pixels.
pub const fn encoded_len_max(area: usize) -> usize {
    let blocks = (4 * area).div_ceil(BLOCK_LEN);
    // Worst block of the format: a byte for each 255 literals, and the token with the first of
    // them.
    4 + HEADER_LEN + blocks * (4 + 2) + 4 * area + 4 * area / 255
}

/// Encodes images to LZ4; keeps its buffers, which grow with the largest image.
#[derive(Debug, Default)]
pub struct Lz4Encoder {
    bytes: Vec<u8>,
    block: Vec<u8>,
}

impl Lz4Encoder {
    /// An encoder without memory of any image.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `BinaryData` of an LZ4 image: data size, header, blocks.
    pub fn encode(&mut self, pixels: &Pixels<'_>, out: &mut Vec<u8>) {
        self.bytes.clear();
        for row in pixels.rows() {
            append_bytes(row, &mut self.bytes);
        }
        let mut writer = ByteWriter::new(out);
        writer.u32(0);
        writer.u8(1);
        writer.u8(FORMAT_32BIT);
        for start in (0..self.bytes.len()).step_by(BLOCK_LEN) {
            let end = self.bytes.len().min(start + BLOCK_LEN);
            let window = &self.bytes[start.saturating_sub(WINDOW_LEN)..start];
            compress_block(&self.bytes[start..end], window, &mut self.block);
            writer.u32_be(u32::try_from(self.block.len()).unwrap_or(u32::MAX));
            writer.bytes(&self.block);
        }
        let data_size = writer.written() - 4;
        writer.patch_u32(0, u32::try_from(data_size).unwrap_or(u32::MAX));
    }
}

/// Replaces `block` by the compressed `bytes`, which follow `window`.
fn compress_block(bytes: &[u8], window: &[u8], block: &mut Vec<u8>) {
    block.resize(block::get_maximum_output_size(bytes.len()), 0);
    let compressed = if window.is_empty() {
        block::compress_into(bytes, block)
    } else {
        block::compress_into_with_dict(bytes, block, window)
    };
    match compressed {
        Ok(len) => block.truncate(len),
        // Cannot be, the room is what the library asks for; literals are valid all the same.
        Err(_) => literal_block(bytes, block),
    }
}

/// Replaces `block` by `bytes` as literals.
fn literal_block(bytes: &[u8], block: &mut Vec<u8>) {
    block.clear();
    block.push((bytes.len().min(15) as u8) << 4);
    if let Some(mut rest) = bytes.len().checked_sub(15) {
        while 255 <= rest {
            block.push(255);
            rest -= 255;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(bytes);
}

/// The pixels of a `BinaryData` of LZ4 of the format that [`Lz4Encoder`] writes, whose image
/// descriptor said `size`.
pub fn decode(payload: &[u8], size: Size) -> Result<Vec<u32>, DecodeError> {
    let mut reader = ByteReader::new(payload);
    let data_size = reader.u32()?;
    let mut data = ByteReader::new(reader.bytes(data_size as usize)?);
    if reader.remaining() != 0 {
        return Err(DecodeError::Trailing(reader.remaining()));
    }
    if data.u8()? == 0 {
        return Err(DecodeError::BottomUp);
    }
    let format = data.u8()?;
    if format != FORMAT_32BIT {
        return Err(DecodeError::Format(u32::from(format)));
    }
    let total = 4 * super::decoded_area(size)?;
    // A byte of LZ4 makes at most 255; so memory stays in proportion to the input, whatever size
    // was announced.
    let reach = data.remaining().saturating_mul(255).saturating_add(64);
    let mut bytes = vec![0; total.min(reach)];
    let mut done = 0;
    while done < total {
        let len = data.u32_be()?;
        let compressed = data.bytes(len as usize)?;
        let (before, after) = bytes.split_at_mut(done);
        let window = &before[done.saturating_sub(WINDOW_LEN)..];
        let got = block::decompress_into_with_dict(compressed, after, window)
            .map_err(|_| DecodeError::Lz4Block)?;
        if got == 0 {
            return Err(DecodeError::Lz4Block);
        }
        done += got;
    }
    if data.remaining() != 0 {
        return Err(DecodeError::Trailing(data.remaining()));
    }
    Ok(colors(&bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::pictures::{changes, picture, spoil};
    use crate::image::pixels::RGB;

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        let mut out = vec![9];
        Lz4Encoder::new().encode(&Pixels::packed(&[0xff01_0203], 1, 1).unwrap(), &mut out);
        assert_eq!(out, [9, 11, 0, 0, 0, 1, 8, 0, 0, 0, 5, 4 << 4, 3, 2, 1, 0]);
    }

    #[test]
    fn literals_make_a_block() {
        for len in [1, 14, 15, 16, 269, 270, 271, 1000] {
            let bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let mut out = Vec::new();
            literal_block(&bytes, &mut out);
            assert_eq!(block::decompress(&out, len).unwrap(), bytes);
        }
    }

    /// An image of several blocks, whose later ones refer to the earlier ones.
    #[test]
    fn blocks_refer_to_the_ones_before() {
        let unit: Vec<u32> = (0..4096)
            .map(|n: u32| n.wrapping_mul(0x9e37_79b1) & RGB)
            .collect();
        let data: Vec<u32> = unit.iter().copied().cycle().take(1024 * 300).collect();
        let pixels = Pixels::packed(&data, 1024, 300).unwrap();
        let mut out = Vec::new();
        Lz4Encoder::new().encode(&pixels, &mut out);
        assert!(
            out.len() < 40_000,
            "{} bytes: the second block repeats 16 KiB",
            out.len()
        );
        assert_eq!(decode(&out, pixels.size()).unwrap(), data);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn pictures_come_back(picture in picture()) {
            let pixels = picture.pixels();
            let mut out = Vec::new();
            Lz4Encoder::new().encode(&pixels, &mut out);
            prop_assert!(out.len() <= encoded_len_max(pixels.area()));
            let decoded = decode(&out, pixels.size());
                prop_assert_eq!(decoded.as_deref(), Ok(&picture.colors()[..]));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            picture in picture(),
            changes in changes(),
        ) {
            let mut out = Vec::new();
            Lz4Encoder::new().encode(&picture.pixels(), &mut out);
            spoil(&mut out, &changes);
            let size = picture.pixels().size();
            if let Ok(pixels) = decode(&out, size) {
                prop_assert_eq!(pixels.len() as u64, size.area());
            }
        }
    }
}

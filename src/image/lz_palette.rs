//! SPICE LZ of palette indices: `SPICE_IMAGE_TYPE_LZ_PLT` (100), 0.6 of LZ_RGB's bytes on text.
//!
//! Behind the descriptor lies `LZPLTData`, little-endian:
//!
//! ```text
//! OFFSET SIZE
//!      0    1  flags: 4 = TOP_DOWN; 1 and 2 would put the palette into the client's cache and
//!              take it from there
//!      1    4  bytes of data
//!      5    4  offset of the palette from the start of the message body
//!      9       data: the LZ header of type PLT1_BE, PLT4_BE or PLT8, and the segments
//! ```
//!
//! The palette itself (u64 id, u16 count, u32 colours) lies wherever the message has room; who
//! writes the message places it and fills in its offset. Rows begin on whole bytes. spice-html5
//! does not decode this image type.

use crate::base::{ByteReader, ByteWriter, Size};

use super::DecodeError;
use super::bitmap::FLAG_TOP_DOWN;
use super::lz::{LzEncoder, LzType, read_header, write_header};
use super::lz_stream::{compressed_len_max, decompress};

/// Where in the payload the palette's offset (u32, little-endian) is to be filled in; the encoder
/// leaves 0 there.
pub const PALETTE_OFFSET_AT: usize = 5;

/// Bytes of a palette in the message: a number of 64 bits, a count of 16, the colours.
pub const fn palette_len(colors: usize) -> usize {
    8 + 2 + 4 * colors
}

/// Bytes before the LZ header.
pub const PREFIX_LEN: usize = 9;

/// Most bytes that the encoder appends for an image of this size.
pub const fn encoded_len_max(size: Size) -> usize {
    let bytes = size.width as usize * size.height as usize;
    PREFIX_LEN + super::lz::HEADER_LEN + compressed_len_max::<u8>(bytes)
}

/// Appends `LZPLTData` of `indices`, one for each pixel of `size` and all below `colors`, without the
/// palette's offset. There are at least two colours, or clients read behind the palette's end.
pub(super) fn encode(
    encoder: &mut LzEncoder,
    indices: &[u8],
    colors: usize,
    size: Size,
    out: &mut Vec<u8>,
) {
    let width = size.width as usize;
    let packed = &mut encoder.packed_indices;
    // Fewer bits are worth it: terminals with bitmap fonts take 30 % less as PLT4 than as PLT8.
    let (kind, bytes) = match colors {
        0..=2 => (LzType::Plt1Be, pack::<8>(indices, width, packed)),
        3..=16 => (LzType::Plt4Be, pack::<2>(indices, width, packed)),
        _ => (LzType::Plt8, indices),
    };
    let stride = bytes.len() / size.height as usize;
    let mut writer = ByteWriter::new(out);
    writer.u8(FLAG_TOP_DOWN);
    writer.u32(0);
    writer.u32(0);
    write_header(
        &mut writer,
        kind,
        size,
        u32::try_from(stride).unwrap_or(u32::MAX),
    );
    encoder.compressor.compress(bytes, stride, writer.buffer());
    let data_size = writer.written() - PREFIX_LEN;
    writer.patch_u32(1, u32::try_from(data_size).unwrap_or(u32::MAX));
}

/// Replaces `packed` by `indices`, `PER_BYTE` a byte, the first one highest.
fn pack<'a, const PER_BYTE: usize>(
    indices: &[u8],
    width: usize,
    packed: &'a mut Vec<u8>,
) -> &'a [u8] {
    packed.clear();
    packed.reserve(indices.len().div_ceil(PER_BYTE));
    let join = |group: [u8; PER_BYTE]| {
        group
            .iter()
            .fold(0_u8, |byte, index| byte << (8 / PER_BYTE) | index)
    };
    for row in indices.chunks(width) {
        let (groups, rest) = row.as_chunks::<PER_BYTE>();
        packed.extend(groups.iter().copied().map(join));
        if !rest.is_empty() {
            let mut group = [0; PER_BYTE];
            group[..rest.len()].copy_from_slice(rest);
            packed.push(join(group));
        }
    }
    packed
}

/// The pixels of an `LZPLTData` with this palette, whose image descriptor said `size`.
pub fn decode(payload: &[u8], palette: &[u32], size: Size) -> Result<Vec<u32>, DecodeError> {
    let mut reader = ByteReader::new(payload);
    let flags = reader.u8()?;
    if flags & FLAG_TOP_DOWN == 0 {
        return Err(DecodeError::BottomUp);
    }
    let data_size = reader.u32()?;
    let _palette_offset = reader.u32()?;
    let mut data = ByteReader::new(reader.bytes(data_size as usize)?);
    if reader.remaining() != 0 {
        return Err(DecodeError::Trailing(reader.remaining()));
    }
    let (kind, stride) = read_header(&mut data, size)?;
    let (per_byte, bits) = match kind {
        2 => (8, 1),
        4 => (2, 4),
        5 => (1, 8),
        _ => return Err(DecodeError::Format(kind)),
    };
    if stride != size.width.div_ceil(per_byte) {
        return Err(DecodeError::Stride(stride));
    }
    super::decoded_area(size)?;
    let count = stride as usize * size.height as usize;
    let bytes: Vec<u8> = decompress(data.rest(), count)?;
    unpack(&bytes, bits, palette, size)
}

fn unpack(bytes: &[u8], bits: u32, palette: &[u32], size: Size) -> Result<Vec<u32>, DecodeError> {
    let per_byte = (8 / bits) as usize;
    let width = size.width as usize;
    let mut pixels = Vec::with_capacity(width * size.height as usize);
    for row in bytes.chunks(width.div_ceil(per_byte)) {
        for column in 0..width {
            let place = column % per_byte + 1;
            let shifted = u32::from(row[column / per_byte]) >> (8 - bits * place as u32);
            let index = (shifted & ((1 << bits) - 1)) as u8;
            let color = palette.get(usize::from(index));
            let missing = DecodeError::PaletteIndex {
                index,
                colors: palette.len(),
            };
            pixels.push(color.copied().ok_or(missing)?);
        }
    }
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::palette::PaletteFinder;
    use crate::image::pictures::picture;

    fn encoded(indices: &[u8], colors: usize, size: Size) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut LzEncoder::new(), indices, colors, size, &mut out);
        out
    }

    #[test]
    fn rows_begin_on_whole_bytes() {
        let indices = [1, 0, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1];
        let out = encoded(&indices, 2, Size::new(9, 2));
        assert_eq!(out[..9], [4, 33, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(out[17..21], [0, 0, 0, 2]);
        assert_eq!(out[29..33], [0, 0, 0, 2], "stride in bytes");
        assert_eq!(
            out[37..],
            [3, 0b1011_0000, 0b1000_0000, 0b0100_0000, 0b1000_0000]
        );
        let out = encoded(&[15, 1, 2, 3, 4, 5], 16, Size::new(3, 2));
        assert_eq!(out[17..21], [0, 0, 0, 4]);
        assert_eq!(out[37..], [3, 0xf1, 0x20, 0x34, 0x50]);
        let out = encoded(&[15, 1, 2, 16], 17, Size::new(4, 1));
        assert_eq!(out[17..21], [0, 0, 0, 5]);
        assert_eq!(out[37..], [3, 15, 1, 2, 16]);
    }

    #[test]
    fn an_index_without_a_color_is_refused() {
        let out = encoded(&[0, 3], 4, Size::new(2, 1));
        assert!(decode(&out, &[1, 2, 3, 4], Size::new(2, 1)).is_ok());
        assert_eq!(
            decode(&out, &[1, 2, 3], Size::new(2, 1)),
            Err(DecodeError::PaletteIndex {
                index: 3,
                colors: 3
            })
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn pictures_come_back(picture in picture()) {
            let pixels = picture.pixels();
            let mut indices = Vec::new();
            let Some(palette) = PaletteFinder::new().find(&pixels, &mut indices) else {
                return Ok(());
            };
            let out = encoded(&indices, palette.colors.len(), pixels.size());
            prop_assert!(out.len() <= encoded_len_max(pixels.size()));
            let decoded = decode(&out, &palette.colors, pixels.size());
            prop_assert_eq!(decoded.as_deref(), Ok(&picture.colors()[..]));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            mut bytes in prop::collection::vec(any::<u8>(), 0..300),
            indices in prop::collection::vec(0..9_u8, 64 * 9),
            at: prop::sample::Index,
        ) {
            let size = Size::new(64, 9);
            let mut out = encoded(&indices, 9, size);
            let at = at.index(out.len());
            out.truncate(at);
            out.append(&mut bytes);
            if let Ok(pixels) = decode(&out, &[0; 9], size) {
                prop_assert_eq!(pixels.len() as u64, size.area());
            }
        }
    }
}

//! QUIC, the coder for photographs: `SPICE_IMAGE_TYPE_QUIC` (1) of RGB32, which every client
//! decodes.
//!
//! Behind the descriptor lies `BinaryData`: a little-endian u32 of the bytes that follow, then
//! little-endian words of 32 bits: magic "QUIC", version, type, width, height, the image's bits, and
//! a word of 0, which spice-gtk reads ahead. Rows go from top to bottom. What is coded of a pixel
//! is its residual (`quic_predict`), of each channel in its own code (`quic_code`): red, green,
//! blue. Which code that is, the image so far tells (`quic_model`).
//!
//! Where a pixel and the one to its left repeat their neighbours (the one above its left one, the
//! left one its own), it may be the first of a run: the length of it is written, which may be 0, in
//! place of its pixels. Then codes depend on residuals of those pixels that lie in a row further
//! up: columns remember the last residual that was coded in them.
//!
//! The encoder takes two passes over a row: all residuals with vector instructions, which also find
//! where runs may begin, and then their bits (`quic_write`; `quic_read` is the way back). Its bytes
//! are those of the reference encoder, in less than half of the time.

use crate::base::{ByteReader, ByteWriter, Size, Truncated};

use super::DecodeError;
use super::pixels::Pixels;
use super::quic_code::{BitWriter, ROOM_LEN, WORD_BITS_MAX};
use super::quic_model::RUN_BITS_MAX;
use super::quic_predict::{first_row, row};
use super::quic_read::RowReader;
use super::quic_write::RowWriter;

/// "QUIC" read as a little-endian number.
const MAGIC: u32 = 0x4349_5551;

/// Major 0, minor 0.
const VERSION: u32 = 0;

/// `QUIC_IMAGE_TYPE_RGB32`.
const RGB32: u32 = 4;

/// Bytes of the header.
pub const HEADER_LEN: usize = 5 * 4;

/// Most bits that a pixel takes: the longest words, behind a run of none. Runs of some take fewer
/// than the pixels in their place.
const PIXEL_BITS_MAX: usize = 3 * WORD_BITS_MAX + RUN_BITS_MAX;

/// Most bytes that [`QuicEncoder::encode`] appends for this many pixels: three times the bytes of
/// the pixels, where it is the whole purpose of a picture. Random pixels take three quarters of their
/// bytes.
pub const fn encoded_len_max(area: usize) -> usize {
    4 + HEADER_LEN + 4 * (area * PIXEL_BITS_MAX).div_ceil(32) + 4
}

/// Encodes images to QUIC; keeps its buffers, which grow with the widest image.
#[derive(Debug, Default)]
pub struct QuicEncoder {
    /// Of the row that is coded; where runs were, those of the column's last residual.
    residuals: Vec<u32>,
    /// Of the row above, likewise.
    above: Vec<u32>,
    /// Bits of the row that is coded.
    bytes: Vec<u8>,
}

impl QuicEncoder {
    /// An encoder without memory of any image.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `BinaryData` of a QUIC image: data size, header, bits.
    pub fn encode(&mut self, pixels: &Pixels<'_>, out: &mut Vec<u8>) {
        let width = pixels.width() as usize;
        self.bytes
            .resize((width * PIXEL_BITS_MAX).div_ceil(8) + ROOM_LEN, 0);
        let mut writer = ByteWriter::new(out);
        writer.u32(0);
        for value in [MAGIC, VERSION, RGB32, pixels.width(), pixels.height()] {
            writer.u32(value);
        }
        let mut bits = BitWriter::new(&mut self.bytes);
        let mut rows = RowWriter::new();
        let mut above: Option<&[u32]> = None;
        for pixels in pixels.rows() {
            match above {
                None => first_row(pixels, &mut self.residuals),
                Some(above) => row(above, pixels, &mut self.residuals),
            }
            rows.row(pixels, &mut self.residuals, &self.above, &mut bits);
            bits.take_words(writer.buffer());
            std::mem::swap(&mut self.residuals, &mut self.above);
            above = Some(pixels);
        }
        bits.fill_word();
        bits.take_words(writer.buffer());
        writer.u32(0);
        let data_size = writer.written() - 4;
        writer.patch_u32(0, u32::try_from(data_size).unwrap_or(u32::MAX));
    }
}

/// The pixels of a `BinaryData` of QUIC of RGB32, whose image descriptor said `size`.
///
/// A row of at least three pixels takes nine bits or more, so memory stays in proportion to the
/// bytes.
pub fn decode(payload: &[u8], size: Size) -> Result<Vec<u32>, DecodeError> {
    let mut reader = ByteReader::new(payload);
    let data_size = reader.u32()?;
    let mut data = ByteReader::new(reader.bytes(data_size as usize)?);
    if reader.remaining() != 0 {
        return Err(DecodeError::Trailing(reader.remaining()));
    }
    for expected in [MAGIC, VERSION] {
        let found = data.u32()?;
        if found != expected {
            return Err(DecodeError::Magic(found));
        }
    }
    let kind = data.u32()?;
    if kind != RGB32 {
        return Err(DecodeError::Format(kind));
    }
    let told = Size::new(data.u32()?, data.u32()?);
    if told != size {
        return Err(DecodeError::Size {
            told,
            expected: size,
        });
    }
    let area = super::decoded_area(size)?;
    let (words, rest) = data.rest().as_chunks::<4>();
    if !rest.is_empty() {
        return Err(DecodeError::Trailing(rest.len()));
    }
    let mut rows = RowReader::new(words, size.width as usize);
    let mut pixels = Vec::new();
    while pixels.len() < area {
        rows.row(&mut pixels)?;
    }
    let needed = rows.words_taken() + 1;
    if words.len() < needed {
        return Err(Truncated { needed: 4, left: 0 }.into());
    }
    if needed < words.len() {
        return Err(DecodeError::Trailing(4 * (words.len() - needed)));
    }
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::pictures::{changes, picture, spoil};
    use crate::image::pixels::RGB;
    use crate::image::quic_model::Pace;
    use crate::image::quic_predict::{byte, mean};

    fn encoded(data: &[u32], width: u32, height: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let pixels = Pixels::packed(data, width, height).unwrap();
        QuicEncoder::new().encode(&pixels, &mut out);
        out
    }

    /// The bits of an image as 0 and 1.
    fn bits(image: &[u8]) -> String {
        let (words, rest) = image[4 + HEADER_LEN..].as_chunks::<4>();
        assert!(rest.is_empty());
        let words = words.iter().map(|word| u32::from_le_bytes(*word));
        words.map(|word| format!("{word:032b}")).collect()
    }

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        #[rustfmt::skip]
        assert_eq!(encoded(&[0xff01_0203, 0x0001_0202, 0x0004_0202], 3, 1), [
            32, 0, 0, 0,
            b'Q', b'U', b'I', b'C', 0, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0,
            // The rest is read from the highest bit of each word down.
            0x80, 0x86, 0x84, 0x82, 0x80, 0x68, 0x81, 0x80,
            0, 0, 0, 0,
        ]);
    }

    #[test]
    fn runs_take_the_place_of_pixels() {
        // Every pixel is as expected. Of each bucket the first word still takes eight bits.
        let first_row = "1".to_owned() + &"0".repeat(7);
        let expected = format!(
            "{}{}{}{}",
            first_row.repeat(3),
            // Then one bit a channel.
            "111".repeat(19),
            // No run before the fourth pixel; the first one of 17 is 4 x 1, 4 x 2, 4 and a rest of 1.
            "111".repeat(3),
            "1".repeat(9) + "0" + "01",
        );
        let image = encoded(&[0; 40], 20, 2);
        assert_eq!(bits(&image).trim_end_matches('0'), expected);
        assert_eq!(decode(&image, Size::new(20, 2)), Ok(vec![0; 40]));
    }

    #[test]
    fn runs_beyond_their_row_are_refused() {
        let mut image = encoded(&[0; 40], 20, 2);
        let len = image.len();
        assert_eq!(
            bits(&image[..len - 4]).trim_end_matches('0').len(),
            24 + 57 + 9 + 12
        );
        // The upper bit of the run's rest, which is 1: bit 100 of the image, in its fourth word.
        image[4 + HEADER_LEN + 3 * 4 + 3] |= 1 << (7 - 100 % 8);
        let run = DecodeError::Run { len: 19, room: 17 };
        assert_eq!(decode(&image, Size::new(20, 2)), Err(run));
    }

    #[test]
    fn headers_of_other_images_are_refused() {
        let size = Size::new(3, 1);
        let mut good = encoded(&[1, 2, 3], 3, 1);
        assert_eq!(decode(&good, size), Ok(vec![1, 2, 3]));
        for end in 0..good.len() {
            assert!(decode(&good[..end], size).is_err(), "cut to {end}");
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            decode(&bytes, size).unwrap_err()
        };
        assert_eq!(with(4, b'q'), DecodeError::Magic(MAGIC | 0x20));
        assert_eq!(with(8, 1), DecodeError::Magic(1));
        assert_eq!(with(12, 5), DecodeError::Format(5));
        let told = Size::new(4, 1);
        assert_eq!(
            with(16, 4),
            DecodeError::Size {
                told,
                expected: size
            }
        );
        good.push(0);
        assert_eq!(decode(&good, size), Err(DecodeError::Trailing(1)));
        good[0] += 1;
        assert_eq!(decode(&good, size), Err(DecodeError::Trailing(1)));
        good.extend([0; 3]);
        good[0] += 3;
        assert_eq!(decode(&good, size), Err(DecodeError::Trailing(4)));
        good.truncate(good.len() - 8);
        good[0] -= 8;
        let missing = Truncated { needed: 4, left: 0 };
        assert_eq!(
            decode(&good, size),
            Err(missing.into()),
            "the last word of 0"
        );
    }

    #[test]
    fn sides_that_no_image_has_are_refused() {
        for (width, height) in [(0, 1), (1, 0), (8193, 1), (1, u32::MAX)] {
            let size = Size::new(width, height);
            let mut image = encoded(&[1], 1, 1);
            image[16..20].copy_from_slice(&width.to_le_bytes());
            image[20..24].copy_from_slice(&height.to_le_bytes());
            assert_eq!(decode(&image, size), Err(DecodeError::Side(size)));
        }
    }

    /// What is counted is as expected, and all else is far from it: the words are the longest.
    #[test]
    fn the_worst_case_holds() {
        const WIDTH: usize = 3;
        let mut pace = Pace::new();
        let mut data: Vec<u32> = Vec::new();
        for at in 0..WIDTH * 8192 {
            let above = at.checked_sub(WIDTH).map(|above| data[above]);
            let expected = match (at % WIDTH, above) {
                (0, above) => above.unwrap_or(0),
                (_, None) => data[at - 1],
                (_, Some(above)) => mean(data[at - 1], above),
            };
            let residual = if pace.wait == 0 {
                pace.wait = pace.next_wait() + 1;
                0
            } else {
                127
            };
            pace.wait -= 1;
            pace.pass(1);
            let color = expected
                .to_le_bytes()
                .map(|expected| byte(residual, expected));
            data.push(u32::from_le_bytes(color) & RGB);
        }
        let image = encoded(&data, WIDTH as u32, 8192);
        assert!(
            7 * data.len() < image.len(),
            "{} bytes: twice the pixels",
            image.len()
        );
        assert!(
            image.len() <= encoded_len_max(data.len()),
            "{} bytes",
            image.len()
        );
        assert_eq!(decode(&image, Size::new(WIDTH as u32, 8192)), Ok(data));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn pictures_come_back(pictures in prop::collection::vec(picture(), 1..4)) {
            // One encoder for all, so that what it remembers of one shows in the next.
            let mut encoder = QuicEncoder::new();
            let mut out = Vec::new();
            for picture in pictures {
                let pixels = picture.pixels();
                out.clear();
                encoder.encode(&pixels, &mut out);
                prop_assert!(out.len() <= encoded_len_max(pixels.area()));
                let decoded = decode(&out, pixels.size());
                prop_assert_eq!(decoded.as_deref(), Ok(&picture.colors()[..]));
                let mut again = Vec::new();
                QuicEncoder::new().encode(&pixels, &mut again);
                prop_assert_eq!(&again, &out);
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            picture in picture(),
            changes in changes(),
        ) {
            let mut out = Vec::new();
            QuicEncoder::new().encode(&picture.pixels(), &mut out);
            spoil(&mut out, &changes);
            let size = picture.pixels().size();
            if let Ok(pixels) = decode(&out, size) {
                prop_assert_eq!(pixels.len() as u64, size.area());
                prop_assert!(pixels.iter().all(|pixel| pixel & !RGB == 0));
            }
        }
    }
}

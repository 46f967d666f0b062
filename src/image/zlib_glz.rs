//! Deflated GLZ: `SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB` (107), where bytes cost more than time.
//!
//! Behind the descriptor lies `ZlibGlzRGBData`, little-endian:
//!
//! ```text
//! OFFSET SIZE
//!      0    4  bytes of the GLZ data
//!      4    4  bytes of the zlib data
//!      8       the GLZ data (without the size that precedes it in GLZ_RGB) as a zlib stream
//! ```
//!
//! The image takes its id and its place in the dictionary as a GLZ_RGB does; whether it is deflated
//! may change from one to the next.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::base::{ByteReader, ByteWriter, Size};

use super::DecodeError;
use super::glz::encoded_len_max;
use super::glz_decode::GlzDecoder;

/// Bytes before the zlib data.
const PREFIX_LEN: usize = 8;

/// Deflates GLZ payloads; keeps the deflater's memory (about 300 KiB) from one to the next.
#[derive(Debug)]
pub struct ZlibWrapper {
    level: Compression,
    compress: Compress,
}

impl ZlibWrapper {
    /// A wrapper of level 1 (fast) to 9 (small).
    pub fn new(level: u32) -> Self {
        let level = Compression::new(level.clamp(1, 9));
        Self {
            level,
            compress: Compress::new(level, true),
        }
    }

    /// Appends `ZlibGlzRGBData` of `payload`, which [`super::glz::GlzEncoder::encode`] appended to
    /// something. What it appends is shorter than `payload`; where that cannot be done it appends
    /// nothing and says `false`: then `payload` itself is to be sent.
    #[must_use]
    pub fn wrap(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(glz) = payload.get(4..) else {
            return false;
        };
        let start = out.len();
        let mut writer = ByteWriter::new(out);
        writer.u32(u32::try_from(glz.len()).unwrap_or(u32::MAX));
        writer.u32(0);
        writer.buffer().reserve(glz.len());
        let status = self
            .compress
            .compress_vec(glz, writer.buffer(), FlushCompress::Finish);
        let written = writer.written();
        writer.patch_u32(4, u32::try_from(written - PREFIX_LEN).unwrap_or(u32::MAX));
        let ended = matches!(status, Ok(Status::StreamEnd));
        if ended {
            self.compress.reset();
        } else {
            // With zlib-rs 0.6.8 at level 1, what follows a reset in the middle of a stream is
            // corrupt.
            self.compress = Compress::new(self.level, true);
        }
        let shorter = ended && written < payload.len();
        if !shorter {
            out.truncate(start);
        }
        shorter
    }
}

/// The pixels of a `ZlibGlzRGBData`, whose image descriptor said `size`.
pub fn decode(
    payload: &[u8],
    size: Size,
    dictionary: &mut GlzDecoder,
) -> Result<Vec<u32>, DecodeError> {
    let mut reader = ByteReader::new(payload);
    let glz_size = reader.u32()? as usize;
    let data_size = reader.u32()?;
    let data = reader.bytes(data_size as usize)?;
    if reader.remaining() != 0 {
        return Err(DecodeError::Trailing(reader.remaining()));
    }
    if encoded_len_max(super::decoded_area(size)?) < glz_size {
        return Err(DecodeError::Overflow);
    }
    // Deflate makes at most 1032 bytes of one, so memory stays in proportion to the input.
    // One more, so that what is longer shows.
    let mut glz = Vec::with_capacity(glz_size.min(data.len().saturating_mul(1032)) + 1);
    let mut decompress = Decompress::new(true);
    let status = decompress.decompress_vec(data, &mut glz, FlushDecompress::Finish);
    let whole = matches!(status, Ok(Status::StreamEnd))
        && glz.len() == glz_size
        && decompress.total_in() == data.len() as u64;
    if !whole {
        return Err(DecodeError::Zlib);
    }
    dictionary.decode_data(&glz, size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::glz::GlzEncoder;
    use crate::image::pixels::Pixels;

    const SIZE: Size = Size::new(64, 64);

    fn payload(color: impl Fn(u32) -> u32) -> Vec<u8> {
        let pixels: Vec<u32> = (0..64 * 64).map(color).collect();
        let pixels = Pixels::packed(&pixels, 64, 64).unwrap();
        let mut out = Vec::new();
        GlzEncoder::with_window(1 << 14)
            .encode(&pixels, &mut out)
            .unwrap();
        out
    }

    fn stripes() -> Vec<u8> {
        payload(|at| at * at / 300 % 17 * 0x0f_1011)
    }

    #[test]
    fn what_deflates_comes_back() {
        let payload = stripes();
        let mut wrapper = ZlibWrapper::new(1);
        let mut out = vec![0x77];
        for round in 0..3 {
            out.truncate(1);
            assert!(wrapper.wrap(&payload, &mut out), "round {round}");
            assert_eq!(out[0], 0x77);
            assert_eq!(out[1..5], (payload.len() as u32 - 4).to_le_bytes());
            assert_eq!(out[5..9], (out.len() as u32 - 9).to_le_bytes());
            let plain = GlzDecoder::new(1 << 14).decode(&payload, SIZE);
            let deflated = decode(&out[1..], SIZE, &mut GlzDecoder::new(1 << 14));
            assert!(plain.is_ok());
            assert_eq!(deflated, plain);
        }
    }

    #[test]
    fn what_does_not_get_shorter_is_left_alone() {
        let noise = payload(|at| at.wrapping_mul(0x9e37_79b1).rotate_left(7) & 0xff_ffff);
        let mut out = vec![1, 2, 3];
        for payload in [&noise[..], &[0; 4], &[0; 5], &[]] {
            assert!(!ZlibWrapper::new(9).wrap(payload, &mut out));
            assert_eq!(out, [1, 2, 3]);
        }
    }

    #[test]
    fn a_stream_that_was_cut_short_leaves_no_trace() {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(99);
            (state >> 40) as u32
        };
        let pixel = Pixels::packed(&[0], 1, 1).unwrap();
        // It depends on the length, whether what is left of a stream does harm.
        for width in [40, 119, 196, 279] {
            let noise: Vec<u32> = (0..width * (width + 15)).map(|_| next()).collect();
            let noise = Pixels::packed(&noise, width, width + 15).unwrap();
            let mut encoder = GlzEncoder::with_window(1 << 17);
            let [noise, pixel] = [noise, pixel].map(|pixels| {
                let mut out = Vec::new();
                encoder.encode(&pixels, &mut out).unwrap();
                out
            });
            for level in 1..=3 {
                let (mut fresh, mut out) = (Vec::new(), Vec::new());
                assert!(ZlibWrapper::new(level).wrap(&pixel, &mut fresh));
                let mut wrapper = ZlibWrapper::new(level);
                assert!(!wrapper.wrap(&noise, &mut out), "level {level}");
                assert!(wrapper.wrap(&pixel, &mut out), "level {level}");
                assert_eq!(out, fresh, "{width} wide, level {level}");
            }
        }
    }

    #[test]
    fn other_data_is_refused() {
        let mut good = Vec::new();
        assert!(ZlibWrapper::new(3).wrap(&stripes(), &mut good));
        let decoded = |bytes: &[u8]| decode(bytes, SIZE, &mut GlzDecoder::new(1 << 14));
        assert!(decoded(&good).is_ok());
        for end in 0..good.len() {
            assert!(decoded(&good[..end]).is_err(), "cut to {end}");
        }
        let with = |at: usize, change: u8| {
            let mut bytes = good.clone();
            bytes[at] ^= change;
            decoded(&bytes).unwrap_err()
        };
        assert_eq!(with(0, 1), DecodeError::Zlib, "another length");
        assert_eq!(with(3, 1), DecodeError::Overflow, "longer than it can be");
        assert_eq!(with(8, 1), DecodeError::Zlib);
        assert_eq!(with(good.len() - 1, 1), DecodeError::Zlib, "check sum");
        let end = [good.clone(), vec![0]].concat();
        assert_eq!(decoded(&end), Err(DecodeError::Trailing(1)));
    }
}

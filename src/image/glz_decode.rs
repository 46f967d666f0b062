//! The decoder of SPICE GLZ with a window of its own, for model clients and fuzzing. `glz` has the
//! format.
//!
//! Where a client would wait for ever, or keep images that it should free, this one refuses.

use std::collections::VecDeque;

use crate::base::{ByteReader, Size};

use super::glz::RGB32_TOP_DOWN;
use super::glz_stream::{Source, read_reference};
use super::lz::{MAGIC, VERSION};
use super::lz_stream::{LITERALS_MAX, Unit};
use super::{DecodeError, decoded_area};

/// The dictionary of a client: the images that the server still refers to.
#[derive(Clone, Debug)]
pub struct GlzDecoder {
    images: VecDeque<Vec<u32>>,
    next_id: u64,
    window: usize,
}

impl GlzDecoder {
    /// An empty dictionary that holds at most so many pixels.
    pub const fn new(window_pixels: usize) -> Self {
        Self {
            images: VecDeque::new(),
            next_id: 0,
            window: window_pixels,
        }
    }

    /// Images that it holds.
    pub fn held(&self) -> usize {
        self.images.len()
    }

    /// The pixels of a `BinaryData` of GLZ_RGB, whose image descriptor said `size`. An image that is
    /// refused leaves the dictionary as it was.
    pub fn decode(&mut self, payload: &[u8], size: Size) -> Result<Vec<u32>, DecodeError> {
        let mut reader = ByteReader::new(payload);
        let data_size = reader.u32()?;
        let data = reader.bytes(data_size as usize)?;
        if reader.remaining() != 0 {
            return Err(DecodeError::Trailing(reader.remaining()));
        }
        self.decode_data(data, size)
    }

    /// The same without the data size in front, as it lies in ZLIB_GLZ.
    pub(super) fn decode_data(&mut self, data: &[u8], size: Size) -> Result<Vec<u32>, DecodeError> {
        let mut reader = ByteReader::new(data);
        let head_distance = self.read_header(&mut reader, size)?;
        let area = decoded_area(size)?;
        if self.window < area {
            return Err(DecodeError::Window {
                pixels: area,
                window: self.window,
            });
        }
        let pixels = self.decompress(reader.rest(), area)?;
        // The image itself is the newest of those that are left.
        let kept = head_distance as usize;
        let dropped = self.images.len().checked_sub(kept);
        let dropped = dropped.ok_or(DecodeError::ImageDistance {
            distance: head_distance,
            held: self.images.len(),
        })?;
        let held: usize = self.images.iter().skip(dropped).map(Vec::len).sum();
        if self.window - area < held {
            return Err(DecodeError::Window {
                pixels: held + area,
                window: self.window,
            });
        }
        self.images.drain(..dropped);
        self.images.push_back(pixels.clone());
        self.next_id += 1;
        Ok(pixels)
    }

    /// How many ids back the oldest image lies that is to be kept.
    fn read_header(&self, reader: &mut ByteReader<'_>, size: Size) -> Result<u32, DecodeError> {
        for expected in [MAGIC, VERSION] {
            let found = reader.u32_be()?;
            if found != expected {
                return Err(DecodeError::Magic(found));
            }
        }
        let form = reader.u8()?;
        if form >> 4 == 0 {
            return Err(DecodeError::BottomUp);
        }
        if form != RGB32_TOP_DOWN {
            return Err(DecodeError::Format(u32::from(form)));
        }
        let told = Size::new(reader.u32_be()?, reader.u32_be()?);
        if told != size {
            return Err(DecodeError::Size {
                told,
                expected: size,
            });
        }
        let stride = reader.u32_be()?;
        if u64::from(stride) != 4 * u64::from(size.width) {
            return Err(DecodeError::Stride(stride));
        }
        let (told, expected) = (u64::from_be_bytes(reader.array()?), self.next_id);
        if told != expected {
            return Err(DecodeError::ImageId { told, expected });
        }
        Ok(reader.u32_be()?)
    }

    fn decompress(&self, stream: &[u8], count: usize) -> Result<Vec<u32>, DecodeError> {
        let mut reader = ByteReader::new(stream);
        // A byte makes at most 255 pixels; so memory stays in proportion to the input.
        let mut pixels: Vec<u32> = Vec::with_capacity(count.min(stream.len().saturating_mul(255)));
        while pixels.len() < count {
            let control = usize::from(reader.u8()?);
            let left = count - pixels.len();
            if control < LITERALS_MAX {
                if left < control + 1 {
                    return Err(DecodeError::Overflow);
                }
                <u32 as Unit>::take(&mut reader, control + 1, &mut pixels)?;
                continue;
            }
            let (source, length) = read_reference(control, &mut reader)?;
            if left < length {
                return Err(DecodeError::Overflow);
            }
            if source.distance == 0 {
                repeat(&mut pixels, source.offset, length)?;
            } else {
                pixels.extend_from_slice(self.referred(source, length)?);
            }
        }
        if reader.remaining() != 0 {
            return Err(DecodeError::Trailing(reader.remaining()));
        }
        Ok(pixels)
    }

    /// Pixels of an earlier image.
    fn referred(&self, source: Source, length: usize) -> Result<&[u32], DecodeError> {
        let index = self.images.len().checked_sub(source.distance as usize);
        let image = index.and_then(|index| self.images.get(index));
        let image = image.ok_or(DecodeError::ImageDistance {
            distance: source.distance,
            held: self.images.len(),
        })?;
        let beyond = DecodeError::Distance {
            distance: source.offset,
            at: image.len(),
        };
        let rest = image.get(source.offset..).ok_or(beyond)?;
        rest.get(..length).ok_or(beyond)
    }
}

/// Appends `length` pixels of those that begin `distance` before the end; what overlaps repeats.
fn repeat(pixels: &mut Vec<u32>, distance: usize, length: usize) -> Result<(), DecodeError> {
    let at = pixels.len();
    let start = at
        .checked_sub(distance)
        .ok_or(DecodeError::Distance { distance, at })?;
    let mut left = length;
    while 0 < left {
        let part = left.min(pixels.len() - start);
        pixels.extend_from_within(start..start + part);
        left -= part;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::glz::GlzEncoder;
    use crate::image::pixels::Pixels;

    const SIZE: Size = Size::new(10, 4);

    /// Two images of 40 pixels; the second is one reference to the first.
    fn two() -> [Vec<u8>; 2] {
        let pixels: Vec<u32> = (0..40).map(|n| n * n * 0x0301).collect();
        let pixels = Pixels::packed(&pixels, 10, 4).unwrap();
        let mut encoder = GlzEncoder::with_window(100);
        [(); 2].map(|()| {
            let mut out = Vec::new();
            encoder.encode(&pixels, &mut out).unwrap();
            out
        })
    }

    /// The second image with other segments, after the first.
    fn refused(segments: &[u8]) -> DecodeError {
        let [first, second] = two();
        let mut decoder = GlzDecoder::new(100);
        assert!(decoder.decode(&first, SIZE).is_ok());
        let changed = [&second[4..37], segments].concat();
        let error = decoder.decode_data(&changed, SIZE).unwrap_err();
        let good = decoder.decode(&second, SIZE);
        assert!(good.is_ok(), "the refused image left no trace");
        error
    }

    #[test]
    fn the_second_image_is_a_reference() {
        let [first, second] = two();
        assert_eq!(second[37..], [7 << 5, 33, 0, 1]);
        let mut decoder = GlzDecoder::new(100);
        let pixels = decoder.decode(&first, SIZE);
        assert_eq!(decoder.decode(&second, SIZE), pixels);
    }

    #[test]
    fn references_to_nowhere_are_refused() {
        let held = 1;
        let distance = 2;
        assert_eq!(
            refused(&[7 << 5, 33, 0, 2]),
            DecodeError::ImageDistance { distance, held }
        );
        // The first pixel of it that is wanted, or the last one, is not there.
        let at = 40;
        let distance = 1;
        assert_eq!(
            refused(&[7 << 5 | 1, 33, 0, 1]),
            DecodeError::Distance { distance, at }
        );
        assert_eq!(
            refused(&[1 << 5 | 9, 2, 1]),
            DecodeError::Distance { distance: 41, at }
        );
        let (distance, at) = (1, 0);
        assert_eq!(
            refused(&[1 << 5, 0, 0]),
            DecodeError::Distance { distance, at }
        );
        assert_eq!(refused(&[7 << 5, 34, 0, 1]), DecodeError::Overflow);
        assert_eq!(refused(&[7 << 5, 33, 0, 1, 0]), DecodeError::Trailing(1));
        assert!(matches!(refused(&[7 << 5, 33]), DecodeError::Truncated(_)));
    }

    #[test]
    fn headers_of_other_images_are_refused() {
        let [first, second] = two();
        for end in 0..first.len() {
            let mut decoder = GlzDecoder::new(100);
            assert!(decoder.decode(&first[..end], SIZE).is_err(), "cut to {end}");
        }
        let with = |at: usize, byte: u8| {
            let mut decoder = GlzDecoder::new(100);
            assert!(decoder.decode(&first, SIZE).is_ok());
            let mut bytes = second.clone();
            bytes[at] = byte;
            decoder.decode(&bytes, SIZE).unwrap_err()
        };
        assert_eq!(with(4, 1), DecodeError::Magic(0x0120_5a4c));
        assert_eq!(with(11, 2), DecodeError::Magic(0x0001_0002));
        assert_eq!(with(12, 0x19), DecodeError::Format(0x19));
        assert_eq!(with(12, 0x08), DecodeError::BottomUp);
        let told = Size::new(11, 4);
        let expected = SIZE;
        assert_eq!(with(16, 11), DecodeError::Size { told, expected });
        assert_eq!(with(24, 37), DecodeError::Stride(37));
        let (told, expected) = (0, 1);
        assert_eq!(with(32, 0), DecodeError::ImageId { told, expected });
        let (distance, held) = (2, 1);
        assert_eq!(with(36, 2), DecodeError::ImageDistance { distance, held });
    }

    #[test]
    fn more_than_the_window_is_refused() {
        let [first, second] = two();
        let mut decoder = GlzDecoder::new(39);
        let window = 39;
        let pixels = 40;
        assert_eq!(
            decoder.decode(&first, SIZE),
            Err(DecodeError::Window { pixels, window })
        );
        let mut decoder = GlzDecoder::new(79);
        assert!(decoder.decode(&first, SIZE).is_ok());
        let (pixels, window) = (80, 79);
        assert_eq!(
            decoder.decode(&second, SIZE),
            Err(DecodeError::Window { pixels, window })
        );
    }
}

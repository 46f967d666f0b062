//! References of SPICE GLZ: how they are written and read. Literals are those of LZ (`lz_stream`).
//!
//! ```text
//! LLLPOOOO   length field LLL (1 to 7), lowest four bits of the offset
//!            LLL = 7: bytes to add to the length follow, the last of them is below 255
//! OOOOOOOO   the next eight bits of the offset
//! P = 0      NNDDDDDD: lowest six bits of the image distance, NN bytes with more of it follow
//! P = 1      NNXOOOOO: the next five bits of the offset, then NN bytes of image distance, and
//!            where X is 1 a byte with the highest eight bits of the offset
//! ```
//!
//! All of it has the lowest byte first. Image distance 0 is the image itself; the offset then counts
//! back from here, less one. Else it counts from the first pixel of the image that lies so many ids
//! back. What is referred to lies in one image.

use crate::base::{ByteReader, Truncated};

use super::lz_stream::{Segments, read_length};

/// The first offset that needs P.
const FAR: usize = 1 << 12;

/// The first offset that needs X.
const VERY_FAR: usize = 1 << 17;

/// The first offset that cannot be written.
pub(super) const OFFSET_END: usize = 1 << 25;

/// Where a reference points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// How many images back; 0 is the image itself.
    pub(super) distance: u32,
    /// For another image: pixels from its first one. For the image itself: pixels back, at least 1.
    pub(super) offset: usize,
}

impl Source {
    /// The offset as it is written.
    const fn field(self) -> usize {
        if self.distance == 0 {
            self.offset - 1
        } else {
            self.offset
        }
    }

    /// Bytes of a reference of up to 6 pixels.
    pub(super) const fn cost(self) -> usize {
        let field = self.field();
        if field < FAR {
            let more = self.distance >> 6;
            3 + bytes_of(more)
        } else {
            3 + bytes_of(self.distance) + (VERY_FAR <= field) as usize
        }
    }
}

/// Bytes that a number takes without its leading zeros.
const fn bytes_of(number: u32) -> usize {
    (u32::BITS - number.leading_zeros()).div_ceil(8) as usize
}

/// Writes a reference to `length` pixels; the distance is below 2^24 and the offset below
/// [`OFFSET_END`].
pub(super) fn put_reference(segments: &mut Segments<'_>, source: Source, length: usize) {
    let field = source.field();
    let distance = source.distance as usize;
    let far = usize::from(FAR <= field);
    segments.control(length, far << 4 | field & 15);
    segments.byte(field >> 4 & 255);
    let (mut more, lowest) = if far == 0 {
        (distance >> 6, distance & 63)
    } else {
        let very_far = usize::from(VERY_FAR <= field);
        (distance, very_far << 5 | field >> 12 & 31)
    };
    let count = bytes_of(u32::try_from(more).unwrap_or(u32::MAX));
    segments.byte(count << 6 | lowest);
    for _ in 0..count {
        segments.byte(more & 255);
        more >>= 8;
    }
    if VERY_FAR <= field {
        segments.byte(field >> 17);
    }
}

/// Source and length of the reference that begins with `control`.
pub(super) fn read_reference(
    control: usize,
    reader: &mut ByteReader<'_>,
) -> Result<(Source, usize), Truncated> {
    let length = read_length(control, reader)?;
    let mut offset = control & 15 | usize::from(reader.u8()?) << 4;
    let code = reader.u8()?;
    let far = control >> 4 & 1 == 1;
    let (mut distance, first_shift) = if far {
        offset |= usize::from(code & 31) << 12;
        (0, 0)
    } else {
        (u32::from(code & 63), 6)
    };
    for index in 0..u32::from(code >> 6) {
        distance |= u32::from(reader.u8()?) << (first_shift + 8 * index);
    }
    if far && code >> 5 & 1 == 1 {
        offset |= usize::from(reader.u8()?) << 17;
    }
    if distance == 0 {
        offset += 1;
    }
    Ok((Source { distance, offset }, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(distance: u32, offset: usize, length: usize) -> Vec<u8> {
        let mut place = vec![0; 2000];
        let mut segments = Segments::new(&mut place);
        put_reference(&mut segments, Source { distance, offset }, length);
        let len = segments.len();
        place.truncate(len);
        place
    }

    #[test]
    fn references_have_many_forms() {
        assert_eq!(written(0, 1, 2), [2 << 5, 0, 0]);
        assert_eq!(written(0, 0x1000, 6), [6 << 5 | 15, 255, 0]);
        assert_eq!(written(0, 0x1001, 7), [7 << 5 | 16, 0, 0, 1]);
        assert_eq!(written(0, 0x2_0001, 2), [2 << 5 | 16, 0, 32, 1]);
        assert_eq!(written(1, 0, 262), [7 << 5, 255, 0, 0, 1]);
        assert_eq!(written(63, 0x123, 2), [2 << 5 | 3, 0x12, 63]);
        assert_eq!(written(64, 0x123, 2), [2 << 5 | 3, 0x12, 1 << 6, 1]);
        assert_eq!(written(0x4005, 9, 2), [2 << 5 | 9, 0, 2 << 6 | 5, 0, 1]);
        assert_eq!(
            written(2, 0x1_2345, 2),
            [2 << 5 | 16 | 5, 0x34, 1 << 6 | 0x12, 2]
        );
        assert_eq!(
            written(0x1_0203, OFFSET_END - 1, 3),
            [3 << 5 | 31, 255, 3 << 6 | 63, 3, 2, 1, 255]
        );
    }

    #[test]
    fn references_are_read_as_they_are_written() {
        let edges = [
            1,
            4095,
            4096,
            4097,
            131_071,
            131_072,
            131_073,
            OFFSET_END - 1,
        ];
        let distances = [
            0, 1, 63, 64, 255, 256, 16_383, 16_384, 65_535, 65_536, 0xff_ffff,
        ];
        for offset in edges {
            for distance in distances {
                for length in [2, 6, 7, 8, 261, 262, 263, 1000, 100_000] {
                    let bytes = written(distance, offset, length);
                    let mut reader = ByteReader::new(&bytes[1..]);
                    let source = Source { distance, offset };
                    assert_eq!(
                        read_reference(usize::from(bytes[0]), &mut reader),
                        Ok((source, length))
                    );
                    assert_eq!(reader.remaining(), 0);
                    let lengths = if length < 7 {
                        0
                    } else {
                        1 + (length - 7) / 255
                    };
                    assert_eq!(bytes.len(), source.cost() + lengths);
                }
            }
        }
    }
}

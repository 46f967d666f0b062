//! The segments of SPICE LZ, for pixels and for palette bytes alike: how they are written and read.
//!
//! A stream is a row of segments over units; a unit is a pixel (literal of 3 bytes: B, G, R) or a
//! byte of palette indices. The first byte of a segment is its control byte:
//!
//! ```text
//! 0 ..= 31   control + 1 literals follow
//! LLLDDDDD   a reference (LLL is 1 to 7): length field LLL, upper bits of the distance DDDDD
//!            LLL = 7: bytes to add to the field follow, the last of them is below 255
//!            then the lower byte of the distance
//!            upper bits 31, lower byte 255: two bytes follow, big-endian; distance = 8191 + those
//! ```
//!
//! Length is field + bias (0 for pixels, 2 for bytes); distance counts back from the segment, less
//! one. A reference may overlap what it produces. Up to 8191 units back it takes two bytes, up to
//! about 73000 it takes four. What to refer to is for `lz_search` to find.

use crate::base::{ByteReader, Truncated};

use super::DecodeError;

/// Literals of one segment.
pub(super) const LITERALS_MAX: usize = 32;

/// The first distance, less 1, that needs the long form.
pub(super) const FAR: usize = 8191;

/// Largest distance of a reference. The format ends at 65535 + 8191 + 1; the reference encoder
/// stays a little below, and so does this one: no decoder was ever shown more.
pub(super) const DISTANCE_MAX: usize = 65535 + FAR - 2;

/// What a stream is made of.
pub(super) trait Unit: Copy + Eq {
    /// Bytes of a literal.
    const LITERAL_LEN: usize;
    /// What a decoder adds to a length field.
    const LENGTH_BIAS: usize;
    /// Shortest reference that is not longer than its literals: near and far.
    const MATCH_MIN: (usize, usize);
    /// Units that the hash of many covers.
    const KEY_UNITS: usize;

    /// The first few and the first many units as numbers; `units` holds at least `KEY_UNITS`.
    fn keys(units: &[Self]) -> (u64, u64);

    /// Writes literals to the front of `place`, which holds them.
    fn put(units: &[Self], place: &mut [u8]);

    /// Appends `count` literals.
    fn take(
        reader: &mut ByteReader<'_>,
        count: usize,
        out: &mut Vec<Self>,
    ) -> Result<(), Truncated>;

    /// Units that are equal at the fronts of both.
    fn common(a: &[Self], b: &[Self]) -> usize;
}

/// A pixel, `0x00RRGGBB`.
impl Unit for u32 {
    const LITERAL_LEN: usize = 3;
    const LENGTH_BIAS: usize = 0;
    const MATCH_MIN: (usize, usize) = (2, 2);
    const KEY_UNITS: usize = 6;

    fn keys(units: &[Self]) -> (u64, u64) {
        let pair = |first: usize| u64::from(units[first]) | u64::from(units[first + 1]) << 24;
        let many = pair(0).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
            ^ pair(2).wrapping_mul(0x1656_67b1_9e37_79f9)
            ^ pair(4);
        (pair(0), many)
    }

    fn put(units: &[Self], place: &mut [u8]) {
        let Some((last, units)) = units.split_last() else {
            return;
        };
        for (index, unit) in units.iter().enumerate() {
            place[3 * index..3 * index + 4].copy_from_slice(&unit.to_le_bytes());
        }
        let [blue, green, red, _] = last.to_le_bytes();
        place[3 * units.len()..].copy_from_slice(&[blue, green, red]);
    }

    fn take(
        reader: &mut ByteReader<'_>,
        count: usize,
        out: &mut Vec<Self>,
    ) -> Result<(), Truncated> {
        let (pixels, _) = reader.bytes(3 * count)?.as_chunks::<3>();
        let color = |[blue, green, red]: &[u8; 3]| Self::from_le_bytes([*blue, *green, *red, 0]);
        out.extend(pixels.iter().map(color));
        Ok(())
    }

    #[inline]
    fn common(a: &[Self], b: &[Self]) -> usize {
        let equal = equal_blocks::<Self, 8>(a, b);
        let (a, b) = (&a[equal..], &b[equal..]);
        let (a_pairs, _) = a.as_chunks::<2>();
        let (b_pairs, _) = b.as_chunks::<2>();
        for (index, (a, b)) in a_pairs.iter().zip(b_pairs).enumerate() {
            // Both pixels at once: one branch where a loop over pixels has two.
            let word = |pair: &[Self; 2]| u64::from(pair[0]) | u64::from(pair[1]) << 32;
            let different = word(a) ^ word(b);
            if different != 0 {
                return equal + 2 * index + different.trailing_zeros() as usize / 32;
            }
        }
        let even = 2 * a_pairs.len().min(b_pairs.len());
        equal + even + usize::from(even < a.len() && a.get(even) == b.get(even))
    }
}

/// A byte of palette indices.
impl Unit for u8 {
    const LITERAL_LEN: usize = 1;
    const LENGTH_BIAS: usize = 2;
    const MATCH_MIN: (usize, usize) = (3, 5);
    const KEY_UNITS: usize = 8;

    fn keys(units: &[Self]) -> (u64, u64) {
        let many = units
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes));
        (many & 0xffff_ffff, many)
    }

    fn put(units: &[Self], place: &mut [u8]) {
        place[..units.len()].copy_from_slice(units);
    }

    fn take(
        reader: &mut ByteReader<'_>,
        count: usize,
        out: &mut Vec<Self>,
    ) -> Result<(), Truncated> {
        out.extend_from_slice(reader.bytes(count)?);
        Ok(())
    }

    #[inline]
    fn common(a: &[Self], b: &[Self]) -> usize {
        let equal = equal_blocks::<Self, 32>(a, b);
        let (a, b) = (&a[equal..], &b[equal..]);
        let (a_words, _) = a.as_chunks::<8>();
        let (b_words, _) = b.as_chunks::<8>();
        for (index, (a, b)) in a_words.iter().zip(b_words).enumerate() {
            let different = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
            if different != 0 {
                return equal + 8 * index + different.trailing_zeros() as usize / 8;
            }
        }
        let words = 8 * a_words.len().min(b_words.len());
        let tail = a[words..].iter().zip(&b[words..]);
        equal + words + tail.take_while(|(a, b)| a == b).count()
    }
}

/// Units in the equal blocks of `N` at the fronts of both; the compiler makes vector compares of
/// them.
fn equal_blocks<U: Eq, const N: usize>(a: &[U], b: &[U]) -> usize {
    let (a_blocks, _) = a.as_chunks::<N>();
    let (b_blocks, _) = b.as_chunks::<N>();
    N * a_blocks
        .iter()
        .zip(b_blocks)
        .take_while(|(a, b)| a == b)
        .count()
}

/// Most bytes of the segments of this many units.
///
/// Literals cost themselves and one control byte for each 32 or part of 32. A reference costs no
/// more than its literals, even with the control byte of the literals that it cuts (the reason for
/// `MATCH_MIN`), so none is worst.
pub(super) const fn compressed_len_max<U: Unit>(units: usize) -> usize {
    units * U::LITERAL_LEN + units / LITERALS_MAX + 1
}

/// Writes segments.
pub(super) struct Segments<'a> {
    place: &'a mut [u8],
    len: usize,
}

impl<'a> Segments<'a> {
    /// Segments at the front of `place`, which holds [`compressed_len_max`] bytes.
    pub(super) const fn new(place: &'a mut [u8]) -> Self {
        Self { place, len: 0 }
    }

    /// Bytes written.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Writes one byte.
    pub(super) fn byte(&mut self, byte: usize) {
        self.place[self.len] = byte.to_le_bytes()[0];
        self.len += 1;
    }

    /// Writes literals.
    pub(super) fn literals<U: Unit>(&mut self, units: &[U]) {
        for part in units.chunks(LITERALS_MAX) {
            self.byte(part.len() - 1);
            let end = self.len + part.len() * U::LITERAL_LEN;
            U::put(part, &mut self.place[self.len..end]);
            self.len = end;
        }
    }

    /// Writes the byte that begins a reference: LLL, and five bits that differ between LZ and GLZ; and what LLL has no
    /// room for.
    pub(super) fn control(&mut self, length: usize, low_bits: usize) {
        self.byte(length.min(7) << 5 | low_bits);
        if 7 <= length {
            let mut rest = length - 7;
            while 255 <= rest {
                self.byte(255);
                rest -= 255;
            }
            self.byte(rest);
        }
    }

    /// Writes a reference to what stands `distance` units before, of at least `MATCH_MIN` units.
    pub(super) fn reference<U: Unit>(&mut self, distance: usize, length: usize) {
        let distance = distance - 1;
        let field = length - U::LENGTH_BIAS;
        let upper = (distance >> 8).min(FAR >> 8);
        self.control(field, upper);
        if distance < FAR {
            self.byte(distance & 255);
        } else {
            self.byte(255);
            self.byte((distance - FAR) >> 8);
            self.byte((distance - FAR) & 255);
        }
    }
}

/// The `count` units of a stream; it has to end with the last of them.
pub(super) fn decompress<U: Unit>(stream: &[u8], count: usize) -> Result<Vec<U>, DecodeError> {
    let mut reader = ByteReader::new(stream);
    // A byte makes at most 255 units; so memory stays in proportion to the input, whatever size was
    // announced.
    let mut units = Vec::with_capacity(count.min(stream.len().saturating_mul(255)));
    while units.len() < count {
        let control = usize::from(reader.u8()?);
        if control < LITERALS_MAX {
            if count - units.len() < control + 1 {
                return Err(DecodeError::Overflow);
            }
            U::take(&mut reader, control + 1, &mut units)?;
            continue;
        }
        let (distance, length) = read_reference::<U>(control, &mut reader)?;
        let at = units.len();
        let start = at
            .checked_sub(distance)
            .ok_or(DecodeError::Distance { distance, at })?;
        if count - at < length {
            return Err(DecodeError::Overflow);
        }
        // What overlaps itself repeats: copying what there is doubles it.
        let mut left = length;
        while 0 < left {
            let part = left.min(units.len() - start);
            units.extend_from_within(start..start + part);
            left -= part;
        }
    }
    if reader.remaining() != 0 {
        return Err(DecodeError::Trailing(reader.remaining()));
    }
    Ok(units)
}

/// What [`Segments::control`] wrote as the length.
pub(super) fn read_length(control: usize, reader: &mut ByteReader<'_>) -> Result<usize, Truncated> {
    let mut length = control >> 5;
    if length == 7 {
        loop {
            let more = reader.u8()?;
            length += usize::from(more);
            if more != 255 {
                break;
            }
        }
    }
    Ok(length)
}

/// Distance and length of the reference that begins with `control`.
fn read_reference<U: Unit>(
    control: usize,
    reader: &mut ByteReader<'_>,
) -> Result<(usize, usize), Truncated> {
    let length = read_length(control, reader)?;
    let mut distance = (control & 31) << 8 | usize::from(reader.u8()?);
    if distance == FAR {
        distance += usize::from(u16::from_be_bytes(reader.array()?));
    }
    Ok((distance + 1, length + U::LENGTH_BIAS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference<U: Unit>(distance: usize, length: usize) -> Vec<u8> {
        let mut place = vec![0; 1000];
        let mut segments = Segments::new(&mut place);
        segments.reference::<U>(distance, length);
        let len = segments.len;
        place.truncate(len);
        place
    }

    #[test]
    fn references_have_a_short_and_a_long_form() {
        assert_eq!(reference::<u32>(1, 2), [2 << 5, 0]);
        assert_eq!(reference::<u32>(8191, 6), [6 << 5 | 31, 254]);
        assert_eq!(reference::<u32>(8192, 6), [6 << 5 | 31, 255, 0, 0]);
        assert_eq!(reference::<u32>(8193, 7), [7 << 5 | 31, 0, 255, 0, 1]);
        assert_eq!(reference::<u32>(256, 261), [7 << 5, 254, 255]);
        assert_eq!(reference::<u32>(257, 262), [7 << 5 | 1, 255, 0, 0]);
        assert_eq!(reference::<u8>(1, 3), [1 << 5, 0]);
        assert_eq!(
            reference::<u8>(DISTANCE_MAX, 9),
            [7 << 5 | 31, 0, 255, 255, 252]
        );
    }

    fn round_trip<U: Unit>(distance: usize, length: usize) {
        let bytes = reference::<U>(distance, length);
        let mut reader = ByteReader::new(&bytes[1..]);
        let found = read_reference::<U>(usize::from(bytes[0]), &mut reader);
        assert_eq!(found, Ok((distance, length)));
        assert_eq!(reader.remaining(), 0);
    }

    #[test]
    fn references_are_read_as_they_are_written() {
        for distance in [
            1,
            2,
            255,
            256,
            257,
            8190,
            8191,
            8192,
            8193,
            65535,
            70000,
            DISTANCE_MAX,
        ] {
            for length in [3, 6, 7, 8, 9, 261, 262, 263, 264, 518, 100_000] {
                round_trip::<u8>(distance, length);
                round_trip::<u32>(distance, length);
            }
        }
    }

    #[test]
    fn references_to_nowhere_are_refused() {
        let before = DecodeError::Distance { distance: 2, at: 1 };
        assert_eq!(decompress::<u8>(&[0, 7, 1 << 5, 1], 4), Err(before));
        assert_eq!(
            decompress::<u8>(&[0, 7, 1 << 5, 0], 3),
            Err(DecodeError::Overflow)
        );
        assert_eq!(decompress::<u8>(&[0, 7, 1 << 5, 0], 4), Ok(vec![7; 4]));
        assert_eq!(
            decompress::<u8>(&[2, 7, 8, 9], 2),
            Err(DecodeError::Overflow)
        );
        // A long size that a few bytes announce takes no memory.
        assert!(decompress::<u32>(&[7 << 5, 255, 255], usize::MAX).is_err());
    }

    #[test]
    fn common_fronts_are_counted_to_the_last_unit() {
        for len in 0..70 {
            for equal in 0..=len {
                let a: Vec<u32> = (0..len).collect();
                let mut b = a.clone();
                if let Some(unit) = b.get_mut(equal as usize) {
                    *unit += 1000;
                }
                assert_eq!(<u32 as Unit>::common(&a, &b), equal as usize);
                assert_eq!(
                    <u32 as Unit>::common(&b[..equal as usize], &a),
                    equal as usize
                );
                let [a, b] = [a, b].map(|units| {
                    units
                        .iter()
                        .map(|unit| (unit % 251) as u8)
                        .collect::<Vec<_>>()
                });
                assert_eq!(<u8 as Unit>::common(&a, &b), equal as usize);
                assert_eq!(
                    <u8 as Unit>::common(&a, &b[..equal as usize]),
                    equal as usize
                );
            }
        }
    }
}

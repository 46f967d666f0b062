//! The segments of SPICE LZ, for pixels and for palette bytes alike: one compressor, one decoder.
//!
//! A stream is a row of segments over units; a unit is a pixel (literal of 3 bytes: B, G, R) or a byte of palette
//! indices. The first byte of a segment is its control byte:
//!
//! ```text
//! 0 ..= 31   control + 1 literals follow
//! LLLDDDDD   a reference (LLL is 1 to 7): length field LLL, upper bits of the distance DDDDD
//!            LLL = 7: bytes follow that are added to the field, up to and with the first one below 255
//!            then the lower byte of the distance
//!            upper bits 31 and lower byte 255: two more bytes, big-endian; distance = 8191 + those
//! ```
//!
//! Length is field + bias (0 for pixels, 2 for bytes); distance counts back from the segment, less 1. A reference may
//! overlap what it produces. It takes 2 bytes nearer than 8192 units and 4 bytes up to about 73000.
//!
//! The compressor looks for three things in an image: the unit to the left (runs), the row above (nearly everything
//! vertical in a user interface), and earlier text by a hash of the next units. It keeps no state between images but the memory of
//! its table, whose entries carry positions that grow from image to image: what is older than an image is below
//! its first position, so that nothing needs clearing.

use crate::base::{ByteReader, Truncated};

use super::DecodeError;

/// Literals of one segment.
const LITERALS_MAX: usize = 32;

/// The first distance, less 1, that needs the long form.
const FAR: usize = 8191;

/// Largest distance of a reference. The format ends at 65535 + 8191 + 1; the reference encoder stays a little below,
/// and so does this one: no decoder was ever shown more.
const DISTANCE_MAX: usize = 65535 + FAR - 2;

/// Slots of the match table, a power of two: 64 KiB, which leaves the second-level cache to the pixels.
const SLOTS_LOG2: u32 = 14;
const SLOTS: usize = 1 << SLOTS_LOG2;

/// After this many literals in a row (as a power of two) the search strides faster over what does not compress.
const STRIDE_LOG2: u32 = 5;

/// Largest stride of the search in units.
const STRIDE_MAX: usize = 16;

/// What a stream is made of.
pub(super) trait Unit: Copy + Eq {
    /// Bytes of a literal.
    const LITERAL_LEN: usize;
    /// What a decoder adds to a length field.
    const LENGTH_BIAS: usize;
    /// Shortest reference that is not longer than its literals: near and far.
    const MATCH_MIN: (usize, usize);
    /// Units that the hash covers.
    const KEY_UNITS: usize;

    /// The units at the front of `units` as one number; `units` holds at least `KEY_UNITS`.
    fn key(units: &[Self]) -> u64;

    /// Writes literals to the front of `place`, which is longer than they are by at least 1 byte.
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

impl Unit for u32 {
    const LITERAL_LEN: usize = 3;
    const LENGTH_BIAS: usize = 0;
    const MATCH_MIN: (usize, usize) = (2, 2);
    const KEY_UNITS: usize = 2;

    fn key(units: &[Self]) -> u64 {
        u64::from(units[0]) | u64::from(units[1]) << 24
    }

    fn put(units: &[Self], place: &mut [u8]) {
        // The fourth byte of a pixel is overwritten by the next one.
        for (index, unit) in units.iter().enumerate() {
            place[3 * index..3 * index + 4].copy_from_slice(&unit.to_le_bytes());
        }
    }

    fn take(
        reader: &mut ByteReader<'_>,
        count: usize,
        out: &mut Vec<Self>,
    ) -> Result<(), Truncated> {
        let (pixels, _) = reader.bytes(3 * count)?.as_chunks::<3>();
        out.extend(
            pixels
                .iter()
                .map(|[blue, green, red]| Self::from_le_bytes([*blue, *green, *red, 0])),
        );
        Ok(())
    }

    fn common(a: &[Self], b: &[Self]) -> usize {
        common_blocks::<Self, 8>(a, b)
    }
}

impl Unit for u8 {
    const LITERAL_LEN: usize = 1;
    const LENGTH_BIAS: usize = 2;
    const MATCH_MIN: (usize, usize) = (3, 5);
    const KEY_UNITS: usize = 4;

    fn key(units: &[Self]) -> u64 {
        u64::from(u32::from_le_bytes([units[0], units[1], units[2], units[3]]))
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

    fn common(a: &[Self], b: &[Self]) -> usize {
        common_blocks::<Self, 16>(a, b)
    }
}

/// Compares blocks of `N` units, which the compiler turns into vector compares, and only the last block by unit.
fn common_blocks<U: Copy + Eq, const N: usize>(a: &[U], b: &[U]) -> usize {
    let (a_blocks, _) = a.as_chunks::<N>();
    let (b_blocks, _) = b.as_chunks::<N>();
    let equal = N * a_blocks
        .iter()
        .zip(b_blocks)
        .take_while(|(a, b)| a == b)
        .count();
    let tail = a[equal..].iter().zip(&b[equal..]);
    equal + tail.take_while(|(a, b)| a == b).count()
}

/// Most bytes that [`Compressor::compress`] appends for this many units.
///
/// Literals cost themselves and one control byte for each 32 or part of 32. A reference costs no more than its literals even
/// with the control byte of the literals that it cuts (the reason for `MATCH_MIN`), so the worst case is none.
pub(super) const fn compressed_len_max<U: Unit>(units: usize) -> usize {
    units * U::LITERAL_LEN + units / LITERALS_MAX + 1
}

/// The compressor's memory, reused from image to image.
#[derive(Debug)]
pub(super) struct Compressor {
    /// Position + `base` of the last unit that had this hash; below `base`: of an earlier image.
    slots: Box<[u32; SLOTS]>,
    base: u32,
    /// Where a stream is built before its length is known; as long as the longest one so far could have been.
    stream: Vec<u8>,
}

impl Compressor {
    pub(super) fn new() -> Self {
        Self {
            slots: Box::new([0; SLOTS]),
            base: 1,
            stream: Vec::new(),
        }
    }

    /// Appends the segments of `units` to `out`; `above` units back lies the unit of the row above.
    pub(super) fn compress<U: Unit>(&mut self, units: &[U], above: usize, out: &mut Vec<u8>) {
        let count = u32::try_from(units.len()).unwrap_or(u32::MAX);
        let end = self.base.checked_add(count).unwrap_or_else(|| {
            self.slots.fill(0);
            1 + count
        });
        let base = end - count;
        self.base = end;
        // The longest stream, and the byte that the last literal may spill over.
        let room = compressed_len_max::<U>(units.len()) + 1;
        if self.stream.len() < room {
            self.stream.resize(room, 0);
        }
        let segments = Segments {
            place: &mut self.stream,
            len: 0,
        };
        let len = Search {
            units,
            above,
            base,
            slots: &mut self.slots,
            segments,
        }
        .run();
        out.extend_from_slice(&self.stream[..len]);
    }
}

/// Writes segments.
struct Segments<'a> {
    place: &'a mut [u8],
    len: usize,
}

impl Segments<'_> {
    fn byte(&mut self, byte: usize) {
        self.place[self.len] = byte.to_le_bytes()[0];
        self.len += 1;
    }

    fn literals<U: Unit>(&mut self, units: &[U]) {
        for part in units.chunks(LITERALS_MAX) {
            self.byte(part.len() - 1);
            let end = self.len + part.len() * U::LITERAL_LEN;
            U::put(part, &mut self.place[self.len..=end]);
            self.len = end;
        }
    }

    fn reference<U: Unit>(&mut self, distance: usize, length: usize) {
        let distance = distance - 1;
        let field = length - U::LENGTH_BIAS;
        let upper = (distance >> 8).min(FAR >> 8);
        if field < 7 {
            self.byte(field << 5 | upper);
        } else {
            self.byte(7 << 5 | upper);
            let mut rest = field - 7;
            while 255 <= rest {
                self.byte(255);
                rest -= 255;
            }
            self.byte(rest);
        }
        if distance < FAR {
            self.byte(distance & 255);
        } else {
            self.byte(255);
            self.byte((distance - FAR) >> 8);
            self.byte((distance - FAR) & 255);
        }
    }
}

/// A stretch of units that came before.
#[derive(Clone, Copy)]
struct Found {
    start: usize,
    distance: usize,
    length: usize,
}

impl Found {
    /// Bytes that referring to it spares.
    fn gain<U: Unit>(&self) -> isize {
        let cost = if self.distance <= FAR { 2 } else { 4 };
        (self.length * U::LITERAL_LEN).cast_signed() - cost
    }
}

/// One image on its way through the compressor.
struct Search<'a, U> {
    units: &'a [U],
    above: usize,
    base: u32,
    slots: &'a mut [u32; SLOTS],
    segments: Segments<'a>,
}

impl<U: Unit> Search<'_, U> {
    /// Compresses everything; returns the bytes that the stream has.
    fn run(mut self) -> usize {
        let count = self.units.len();
        // Up to here literals are pending.
        let mut written = 0;
        // Nothing precedes the first unit.
        let mut at = 1;
        let last_key = count.saturating_sub(U::KEY_UNITS);
        while at < last_key {
            let Some(found) = self.find(at, written) else {
                let stride = 1 + ((at - written) >> STRIDE_LOG2);
                at += stride.min(STRIDE_MAX);
                continue;
            };
            self.segments.literals(&self.units[written..found.start]);
            self.segments.reference::<U>(found.distance, found.length);
            written = found.start + found.length;
            at = written;
            if 1 < found.length && at < last_key {
                self.note(at - 1);
            }
        }
        self.segments.literals(&self.units[written..]);
        self.segments.len
    }

    /// The best reference for the units at `at`, and `at` entered into the table. Literals since `written` may join.
    fn find(&mut self, at: usize, written: usize) -> Option<Found> {
        let units = self.units;
        let rest = &units[at..];
        let mut best: Option<Found> = None;
        if units[at - 1] == units[at] {
            let length = U::common(&units[at - 1..], rest);
            best = better::<U>(
                best,
                Found {
                    start: at,
                    distance: 1,
                    length,
                },
            );
        }
        if self.above <= at && units[at - self.above] == units[at] && self.above <= DISTANCE_MAX {
            let length = U::common(&units[at - self.above..], rest);
            best = better::<U>(
                best,
                Found {
                    start: at,
                    distance: self.above,
                    length,
                },
            );
        }
        let Some(earlier) = self.note(at) else {
            return best;
        };
        if best.is_some_and(|best| 16 <= best.length) {
            return best;
        }
        let distance = at - earlier;
        if distance <= DISTANCE_MAX && units[earlier] == units[at] {
            let mut length = U::common(&units[earlier..], rest);
            let mut start = at;
            while written < start
                && distance < start
                && units[start - 1] == units[start - 1 - distance]
            {
                start -= 1;
                length += 1;
            }
            best = better::<U>(
                best,
                Found {
                    start,
                    distance,
                    length,
                },
            );
        }
        best
    }

    /// Enters the units at `at` into the table; returns where units of their hash were last.
    fn note(&mut self, at: usize) -> Option<usize> {
        let product = U::key(&self.units[at..]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let slot = &mut self.slots[(product >> (64 - SLOTS_LOG2)) as usize];
        let earlier = slot.checked_sub(self.base);
        // Images have fewer units than a u32 counts.
        *slot = self.base + at as u32;
        earlier.map(|earlier| earlier as usize)
    }
}

/// The reference that spares more, of those that are long enough at all.
fn better<U: Unit>(best: Option<Found>, other: Found) -> Option<Found> {
    let (near, far) = U::MATCH_MIN;
    let least = if other.distance <= FAR { near } else { far };
    if other.length < least {
        return best;
    }
    match best {
        Some(best) if other.gain::<U>() <= best.gain::<U>() => Some(best),
        _ => Some(other),
    }
}

/// The `count` units of a stream; it has to end with the last of them.
pub(super) fn decompress<U: Unit>(stream: &[u8], count: usize) -> Result<Vec<U>, DecodeError> {
    let mut reader = ByteReader::new(stream);
    // A byte makes at most 255 units; so memory stays in proportion to the input, whatever size was announced.
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

/// Distance and length of the reference that begins with `control`.
fn read_reference<U: Unit>(
    control: usize,
    reader: &mut ByteReader<'_>,
) -> Result<(usize, usize), Truncated> {
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
    let mut distance = (control & 31) << 8 | usize::from(reader.u8()?);
    if distance == FAR {
        distance += usize::from(u16::from_be_bytes(reader.array()?));
    }
    Ok((distance + 1, length + U::LENGTH_BIAS))
}

//! The compressor of SPICE LZ: finds what an image repeats.
//!
//! The compressor tries four places: the unit to the left (runs), the row above (nearly everything
//! vertical in a user interface), and where the next units stood last, by a hash of many and by one
//! of few. Of a few units there are so many that the last place is mostly another glyph: the hash
//! of many finds the glyph again. On pictures of text the two together spare 20 to 30 % against
//! either; looking one unit ahead (lazy matching) only costs. The places of many are chained: where
//! the latest one ends early, up to three before it are compared, too, which spares 6 % of text and
//! of pages, 14 % of pages with palettes, for a twelfth more time.
//!
//! It keeps nothing between images but the memory of its tables. Their entries are positions that
//! go on growing from image to image, so an entry of an earlier image is below the first position
//! of this one, and nothing is cleared.

use crate::base::limits::SCREEN_SIDE_MAX;

use super::lz_stream::{DISTANCE_MAX, FAR, Segments, Unit, compressed_len_max};

/// Slots of a table, a power of two. Tables of 64 KiB leave the second-level cache to the pixels;
/// four times that gains 0.2 %.
const SLOTS_LOG2: u32 = 14;
const SLOTS: usize = 1 << SLOTS_LOG2;

/// A run or a row above of this length is taken without a look at the tables.
const LONG_ENOUGH: usize = 16;

/// Places of many units that are compared after the latest one, unless something of `CHAIN_ENOUGH`
/// units is found. Seven spare 1 % more for as much time again.
const CHAIN_MAX: usize = 3;
const CHAIN_ENOUGH: usize = 64;

/// After each so many literals (as a power of two) the search strides wider over what does not
/// compress.
const STRIDE_LOG2: u32 = 5;

/// Largest stride of the search in units.
const STRIDE_MAX: usize = 32;

const _: () = assert!(
    (SCREEN_SIDE_MAX as usize) <= DISTANCE_MAX,
    "the row above is in reach"
);

/// The compressor's memory, reused from image to image.
#[derive(Debug)]
pub(super) struct Compressor {
    few: Table,
    many: Table,
    /// For each unit that was entered, where many units like those from there on stood before, as
    /// the table says it.
    before: Vec<u32>,
    /// Where the next image begins in the tables' positions.
    base: u32,
    /// Where a stream is built before its length is known; as long as the longest one so far could
    /// have been.
    stream: Vec<u8>,
}

impl Compressor {
    pub(super) fn new() -> Self {
        Self {
            few: Table::new(),
            many: Table::new(),
            before: Vec::new(),
            base: 1,
            stream: Vec::new(),
        }
    }

    /// Appends the segments of `units` to `out`; `above` units back lies the unit of the row above.
    pub(super) fn compress<U: Unit>(&mut self, units: &[U], above: usize, out: &mut Vec<u8>) {
        // Images have fewer units than half of what a u32 counts, as `Pixels` says.
        let count = u32::try_from(units.len()).unwrap_or(u32::MAX / 2);
        if self.base.checked_add(count).is_none() {
            self.few.slots.fill(0);
            self.many.slots.fill(0);
            self.base = 1;
        }
        let base = self.base;
        self.base = base + count;
        let room = compressed_len_max::<U>(units.len());
        if self.stream.len() < room {
            self.stream.resize(room, 0);
        }
        if self.before.len() < units.len() {
            self.before.resize(units.len(), 0);
        }
        let segments = Segments::new(&mut self.stream);
        let (few, many) = (&mut self.few, &mut self.many);
        let len = Search {
            units,
            above,
            base,
            few,
            many,
            before: &mut self.before,
            segments,
        }
        .run();
        out.extend_from_slice(&self.stream[..len]);
    }
}

/// Where units of a hash stood last; 0 and other positions before an image's base: nowhere in it.
#[derive(Debug)]
struct Table {
    slots: Box<[u32; SLOTS]>,
}

impl Table {
    fn new() -> Self {
        Self {
            slots: Box::new([0; SLOTS]),
        }
    }

    /// Enters `position` for `key`; returns the position that was there.
    fn replace(&mut self, key: u64, position: u32) -> u32 {
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOTS_LOG2);
        std::mem::replace(&mut self.slots[hash as usize], position)
    }
}

/// A stretch of units that stood `distance` before, too.
#[derive(Clone, Copy)]
struct Found {
    start: usize,
    distance: usize,
    length: usize,
}

impl Found {
    /// Bytes that referring to it spares; nothing where it is too short to refer to.
    fn gain<U: Unit>(&self) -> Option<usize> {
        let near = self.distance <= FAR;
        let least = if near { U::MATCH_MIN.0 } else { U::MATCH_MIN.1 };
        let cost = if near { 2 } else { 4 };
        (least <= self.length).then(|| self.length * U::LITERAL_LEN - cost)
    }
}

/// One image on its way through the compressor.
struct Search<'a, U> {
    units: &'a [U],
    above: usize,
    base: u32,
    few: &'a mut Table,
    many: &'a mut Table,
    before: &'a mut [u32],
    segments: Segments<'a>,
}

impl<U: Unit> Search<'_, U> {
    /// Compresses everything; returns the bytes that the stream has.
    fn run(mut self) -> usize {
        // From here on literals are pending.
        let mut written = 0;
        // Nothing precedes the first unit.
        let mut at = 1;
        let end = self.units.len().saturating_sub(U::KEY_UNITS - 1);
        while at < end {
            let Some(found) = self.find(at, written) else {
                let stride = 1 + ((at - written) >> STRIDE_LOG2);
                at += stride.min(STRIDE_MAX);
                continue;
            };
            self.segments.literals(&self.units[written..found.start]);
            self.segments.reference::<U>(found.distance, found.length);
            written = found.start + found.length;
            at = written;
            if at <= end {
                self.enter(at - 1);
            }
        }
        self.segments.literals(&self.units[written..]);
        self.segments.len()
    }

    /// The best reference for the units at `at`, which are entered into the tables. It may begin
    /// with units before them, if not before `written`.
    fn find(&mut self, at: usize, written: usize) -> Option<Found> {
        let (few, many) = self.enter(at);
        let mut best = self.better(None, at, 1, written);
        if self.above <= at {
            best = self.better(best, at, self.above, written);
        }
        if best.is_some_and(|best| LONG_ENOUGH <= best.length) {
            return best;
        }
        if let Some(earlier) = many {
            best = self.better(best, at, at - earlier, written);
            best = self.follow(best, at, earlier, written);
            if best.is_some_and(|best| U::KEY_UNITS / 2 < best.length) {
                return best;
            }
        }
        if let Some(earlier) = few {
            best = self.better(best, at, at - earlier, written);
        }
        best
    }

    /// `best`, or the best of the places before `earlier` in its chain, if that spares more.
    fn follow(
        &self,
        mut best: Option<Found>,
        at: usize,
        mut earlier: usize,
        written: usize,
    ) -> Option<Found> {
        for _ in 0..CHAIN_MAX {
            if best.is_some_and(|best| CHAIN_ENOUGH <= best.length) {
                break;
            }
            let Some(before) = self.inside(self.before[earlier]) else {
                break;
            };
            earlier = before;
            best = self.better(best, at, at - earlier, written);
        }
        best
    }

    /// `best`, or what equals the units at `at` from `distance` before them, if that spares more.
    #[inline]
    fn better(
        &self,
        best: Option<Found>,
        at: usize,
        distance: usize,
        written: usize,
    ) -> Option<Found> {
        if self.units[at - distance] != self.units[at] || DISTANCE_MAX < distance {
            return best;
        }
        self.longer(best, at, distance, written)
    }

    /// The part of [`Self::better`] for places that do begin alike.
    fn longer(
        &self,
        best: Option<Found>,
        at: usize,
        distance: usize,
        written: usize,
    ) -> Option<Found> {
        let units = self.units;
        let mut found = Found {
            start: at,
            distance,
            length: U::common(&units[at - distance..], &units[at..]),
        };
        while written.max(distance) < found.start
            && units[found.start - 1 - distance] == units[found.start - 1]
        {
            found.start -= 1;
            found.length += 1;
        }
        let Some(gain) = found.gain::<U>() else {
            return best;
        };
        match best.and_then(|best| best.gain::<U>()) {
            Some(best_gain) if gain <= best_gain => best,
            _ => Some(found),
        }
    }

    /// Enters the units at `at` into the tables; returns where the first few and the first many of
    /// them were last.
    fn enter(&mut self, at: usize) -> (Option<usize>, Option<usize>) {
        let (few, many) = U::keys(&self.units[at..]);
        let position = self.base + at as u32;
        let (few, many) = (
            self.few.replace(few, position),
            self.many.replace(many, position),
        );
        self.before[at] = many;
        (self.inside(few), self.inside(many))
    }

    /// The unit of this image that an entry means.
    fn inside(&self, entry: u32) -> Option<usize> {
        entry.checked_sub(self.base).map(|at| at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::lz_stream::decompress;

    #[test]
    fn positions_that_run_out_start_again() {
        let mut compressor = Compressor::new();
        let units: Vec<u32> = (0..4000).map(|n: u32| n % 97 * 0x01_0305).collect();
        let mut fresh = Vec::new();
        compressor.compress(&units, 50, &mut fresh);
        compressor.base = u32::MAX - 6000;
        for round in 0..4 {
            let mut stream = Vec::new();
            compressor.compress(&units, 50, &mut stream);
            assert_eq!(stream, fresh, "round {round}: other images leave no trace");
            assert_eq!(decompress::<u32>(&stream, 4000).as_deref(), Ok(&units[..]));
        }
        assert!(compressor.base < 20_000, "started again");
    }
    #[test]
    fn references_reach_as_far_as_decoders_follow() {
        let stream_len = |distance: usize| {
            let noise = (0..).map(|n: u32| n.wrapping_mul(0x9e37_79b1).rotate_left(9) & 0xff_ffff);
            let units: Vec<u32> = noise.take(distance).collect();
            let units = units.repeat(2);
            let mut stream = Vec::new();
            Compressor::new().compress(&units, 512, &mut stream);
            assert_eq!(
                decompress::<u32>(&stream, units.len()).as_deref(),
                Ok(&units[..])
            );
            stream.len()
        };
        let literals = compressed_len_max::<u32>(DISTANCE_MAX);
        assert!(stream_len(DISTANCE_MAX) < literals + 2000);
        assert!(2 * literals < stream_len(DISTANCE_MAX + 1));
    }
}

//! The compressor of SPICE GLZ: finds what an image repeats of itself and of earlier ones.
//!
//! Within the image it looks where `lz_search` looks: the pixel to the left, the row above, where
//! the next two and the next six pixels stood last. For earlier images there are three places:
//!
//! - where the next 24 pixels stood last in any image: a row of two or three letters, or of the
//!   paper beside them. They are looked up wherever the search comes by: a line of text then costs
//!   a reference for each row of each word that was there before.
//! - where the next six stood last, if that is in an earlier image: what comes between such words.
//! - *beside* the last reference of 48 pixels or more. What changed since (a cursor, a digit) is
//!   short, and behind it the two images agree again; and if they are not equally wide, a row
//!   further down they agree a row further down. A window that comes again costs a reference or
//!   one for each row.
//!
//! Tables are never cleared. An entry is the lower half of a position; one that is older than the
//! window, or by chance means another position, is a place like any other to compare with.

use super::glz_stream::{OFFSET_END, Source, put_reference};
use super::glz_window::{Held, Window};
use super::lz_stream::{Segments, Unit, compressed_len_max};

/// Slots of the tables of two and of six pixels, as a power of two: what one image needs.
const IMAGE_LOG2: u32 = 14;

/// Slots of the table of long stretches, as a power of two: for the whole window. Twice as many
/// spare 1 %.
const LONG_LOG2: u32 = 15;

/// Pixels of a long stretch. Sixteen find 10 % less of scrolling text, 32 find 1 % less of pages.
const LONG_LEN: usize = 24;

/// A stretch of this length is taken without a look at the tables.
const LONG_ENOUGH: usize = 16;

/// After each so many literals (as a power of two) the search strides wider over what does not
/// compress.
const STRIDE_LOG2: u32 = 5;

/// Largest stride of the search in pixels.
const STRIDE_MAX: usize = 32;

/// So often the place beside a reference may disappoint in a row.
const BESIDE_MISSES_MAX: u32 = 16;

/// Spreads keys.
const HASH: u64 = 0x9e37_79b9_7f4a_7c15;

/// The compressor's tables.
#[derive(Debug)]
pub(super) struct GlzCompressor {
    few: Box<[u32; 1 << IMAGE_LOG2]>,
    many: Box<[u64; 1 << IMAGE_LOG2]>,
    long: Box<[u64; 1 << LONG_LOG2]>,
    /// Where a stream is built before its length is known.
    stream: Vec<u8>,
}

impl GlzCompressor {
    pub(super) fn new() -> Self {
        Self {
            few: Box::new([0; 1 << IMAGE_LOG2]),
            many: Box::new([0; 1 << IMAGE_LOG2]),
            long: Box::new([0; 1 << LONG_LOG2]),
            stream: Vec::new(),
        }
    }

    /// Appends the segments of the window's newest image to `out`.
    pub(super) fn compress(&mut self, window: &Window, out: &mut Vec<u8>) {
        let Some(image) = window.image(0) else {
            return;
        };
        let room = compressed_len_max::<u32>(image.end - image.begin);
        if self.stream.len() < room {
            self.stream.resize(room, 0);
        }
        let len = Search {
            window,
            ring: window.ring(),
            start: image.begin,
            end: image.end,
            above: image.width,
            position: window.newest_position(),
            few: &mut self.few,
            many: &mut self.many,
            long: &mut self.long,
            beside: None,
            segments: Segments::new(&mut self.stream),
        }
        .run();
        out.extend_from_slice(&self.stream[..len]);
    }
}

/// Pixels of the image that stand at another place, too. It is kept small: the search makes many.
#[derive(Clone, Copy)]
struct Found {
    /// Where they begin, and where they stand, in the ring.
    start: usize,
    from: usize,
    length: usize,
    /// How many images back that place is.
    distance: u32,
    /// Bytes that referring to it spares; it is worth it from 1 on.
    gain: u32,
}

/// Where another image agreed last with this one.
#[derive(Clone, Copy)]
struct Beside {
    held: Held,
    /// Places of the ring that agree: one of the other image, one of this, in the row that ends
    /// before `row_end`.
    from: usize,
    at: usize,
    row_end: usize,
    /// How often there was nothing since.
    misses: u32,
}

/// One image on its way through the compressor; it lies at `start .. end` of the ring.
struct Search<'a> {
    window: &'a Window,
    ring: &'a [u32],
    start: usize,
    end: usize,
    above: usize,
    /// The position of its first pixel.
    position: u64,
    few: &'a mut [u32; 1 << IMAGE_LOG2],
    many: &'a mut [u64; 1 << IMAGE_LOG2],
    long: &'a mut [u64; 1 << LONG_LOG2],
    beside: Option<Beside>,
    segments: Segments<'a>,
}

impl Search<'_> {
    /// Compresses everything; returns the bytes that the stream has.
    fn run(mut self) -> usize {
        // From here on literals are pending.
        let mut written = self.start;
        let mut at = self.start;
        let end = self.end.saturating_sub(<u32 as Unit>::KEY_UNITS - 1);
        while at < end {
            let Some(found) = self.find(at, written) else {
                let stride = 1 + ((at - written) >> STRIDE_LOG2);
                at += stride.min(STRIDE_MAX);
                continue;
            };
            self.segments.literals(&self.ring[written..found.start]);
            let source = self.source(&found);
            put_reference(&mut self.segments, source, found.length);
            written = found.start + found.length;
            at = written;
            if at <= end {
                self.enter(at - 1);
            }
        }
        self.segments.literals(&self.ring[written..self.end]);
        self.segments.len()
    }

    /// The best reference for the pixels at `at`, which are entered into the tables. It may begin
    /// with pixels before them, if not before `written`.
    fn find(&mut self, at: usize, written: usize) -> Option<Found> {
        let entered = self.enter(at);
        let inside = at - self.start;
        let mut best = None;
        if self.beside.is_some() {
            best = self.find_beside(at, written);
            if best.is_some_and(|best| LONG_LEN <= best.length) {
                return best;
            }
        }
        if 0 < inside {
            best = self.better(best, at, at - 1, written);
        }
        if self.above <= inside {
            best = self.better(best, at, at - self.above, written);
        }
        if best.is_some_and(|best| LONG_ENOUGH <= best.length) {
            return best;
        }
        let long = self.enter_long(at);
        best = self.find_before(best, at, long, written);
        if best.is_some_and(|best| LONG_ENOUGH <= best.length) {
            return best;
        }
        if 0 < entered.many {
            best = self.find_before(best, at, entered.many, written);
            if best.is_some_and(|best| <u32 as Unit>::KEY_UNITS / 2 < best.length) {
                return best;
            }
        }
        if 0 < entered.few && entered.few <= inside {
            best = self.better(best, at, at - entered.few, written);
        }
        best
    }

    /// What another image has beside the last reference to it.
    #[inline(never)]
    fn find_beside(&mut self, at: usize, written: usize) -> Option<Found> {
        let beside = self.beside.as_mut()?;
        while beside.row_end <= at {
            beside.row_end += self.above;
            beside.from += beside.held.width;
            beside.at += self.above;
        }
        let mut from = (beside.from + at).wrapping_sub(beside.at);
        if beside.held.end <= from {
            // On in the image after it, where strips of one picture follow each other.
            let next = (beside.held.distance as usize).checked_sub(1);
            let next = next
                .filter(|next| 0 < *next)
                .and_then(|next| self.window.image(next));
            let ahead = from - beside.held.end;
            let Some(next) = next.filter(|next| next.begin + ahead < next.end) else {
                self.beside = None;
                return None;
            };
            from = next.begin + ahead;
            (beside.held, beside.from, beside.at) = (next, from, at);
        }
        let held = beside.held;
        if held.contains(from) && self.ring[from] == self.ring[at] {
            let found = self.longer(None, at, from, Some(held), written);
            if found.is_some() {
                return found;
            }
        }
        let beside = self.beside.as_mut()?;
        beside.misses += 1;
        if BESIDE_MISSES_MAX < beside.misses {
            self.beside = None;
        }
        None
    }

    /// `best`, or what stands `age` positions before `at` in this image or in an earlier one, if that spares more; 0:
    /// nowhere.
    #[inline]
    fn find_before(
        &self,
        best: Option<Found>,
        at: usize,
        age: usize,
        written: usize,
    ) -> Option<Found> {
        if age == 0 || self.window.capacity() < age {
            return best;
        }
        if age <= at - self.start {
            return self.better(best, at, at - age, written);
        }
        self.find_earlier(best, at, age, written)
    }

    /// The part of [`Self::find_before`] for earlier images.
    #[inline(never)]
    fn find_earlier(
        &self,
        best: Option<Found>,
        at: usize,
        age: usize,
        written: usize,
    ) -> Option<Found> {
        let inside = at - self.start;
        let Some(position) = (self.position + inside as u64).checked_sub(age as u64) else {
            return best;
        };
        let from = match at.checked_sub(age) {
            Some(from) => from,
            None => at + self.window.capacity() - age,
        };
        if self.ring.get(from) != Some(&self.ring[at]) {
            return best;
        }
        match self.window.image_at(position) {
            Some(held) => self.longer(best, at, from, Some(held), written),
            None => best,
        }
    }

    /// `best`, or what equals the pixels at `at` from `from` on in this image, if that spares more.
    #[inline]
    fn better(&self, best: Option<Found>, at: usize, from: usize, written: usize) -> Option<Found> {
        if self.ring[from] != self.ring[at] {
            return best;
        }
        self.longer(best, at, from, None, written)
    }

    /// The part of [`Self::better`] for places that do begin alike, in this image or in `held`.
    fn longer(
        &self,
        best: Option<Found>,
        at: usize,
        from: usize,
        held: Option<Held>,
        written: usize,
    ) -> Option<Found> {
        let ring = self.ring;
        let (first, end) = held.map_or((self.start, self.end), |held| (held.begin, held.end));
        let mut length = <u32 as Unit>::common(&ring[from..end], &ring[at..self.end]);
        let (mut start, mut from) = (at, from);
        while written < start && first < from && ring[from - 1] == ring[start - 1] {
            start -= 1;
            from -= 1;
            length += 1;
        }
        let (distance, offset) = match held {
            None => (0, start - from),
            Some(held) => (held.distance, from - first),
        };
        let cost = Source { distance, offset }.cost();
        let gain = (3 * length).saturating_sub(cost) as u32;
        if gain <= best.map_or(0, |best| best.gain) || OFFSET_END <= offset {
            return best;
        }
        Some(Found {
            start,
            from,
            length,
            distance,
            gain,
        })
    }

    /// What the reference says; if it is to another image, that is remembered.
    fn source(&mut self, found: &Found) -> Source {
        let distance = found.distance;
        let held = (0 < distance).then(|| self.window.image(distance as usize));
        let Some(held) = held.flatten() else {
            let offset = found.start - found.from;
            return Source { distance, offset };
        };
        if 2 * LONG_LEN <= found.length {
            let rows = (found.start - self.start) / self.above + 1;
            self.beside = Some(Beside {
                held,
                from: found.from,
                at: found.start,
                row_end: self.start + rows * self.above,
                misses: 0,
            });
        }
        let offset = found.from - held.begin;
        Source { distance, offset }
    }

    /// Enters the pixels at `at` into the tables of few and of many.
    fn enter(&mut self, at: usize) -> Entered {
        let (few, many) = <u32 as Unit>::keys(&self.ring[at..]);
        let (few, many) = (few.wrapping_mul(HASH), many.wrapping_mul(HASH));
        let position = (self.position + (at - self.start) as u64) as u32;
        Entered {
            few: age(&mut self.few[slot::<IMAGE_LOG2>(few)], position),
            many: age_of(&mut self.many[slot::<IMAGE_LOG2>(many)], many, position),
        }
    }

    /// Enters the long stretch at `at`; returns how many positions before it was last.
    fn enter_long(&mut self, at: usize) -> usize {
        let Some(stretch) = self.ring[at..self.end].first_chunk::<LONG_LEN>() else {
            return 0;
        };
        let position = (self.position + (at - self.start) as u64) as u32;
        let hash = stretch.as_chunks::<2>().0.iter().fold(0_u64, |hash, pair| {
            let pair = u64::from(pair[0]) | u64::from(pair[1]) << 32;
            (hash.rotate_left(23) ^ pair).wrapping_mul(HASH)
        });
        age_of(&mut self.long[slot::<LONG_LOG2>(hash)], hash, position)
    }
}

/// What entering pixels into the tables of few and of many told.
#[derive(Clone, Copy)]
struct Entered {
    /// How many positions before them the first two and the first six pixels were last; 0: nowhere.
    few: usize,
    many: usize,
}

/// Puts `position` into a slot; returns how far before it lies what was there.
fn age(slot: &mut u32, position: u32) -> usize {
    position.wrapping_sub(std::mem::replace(slot, position)) as usize
}

/// The same of a slot that keeps a part of the hash beside the position; 0 where what was there has another one. The
/// ring is larger than the caches: looking there for what is not alike took three quarters of the time.
fn age_of(slot: &mut u64, hash: u64, position: u32) -> usize {
    let tag = hash << 16 & !0xffff_ffff;
    let was = std::mem::replace(slot, tag | u64::from(position));
    if was & !0xffff_ffff == tag {
        position.wrapping_sub(was as u32) as usize
    } else {
        0
    }
}

/// The slot of a hash in a table of 2^`LOG2` slots.
const fn slot<const LOG2: u32>(hash: u64) -> usize {
    (hash >> (u64::BITS - LOG2)) as usize
}

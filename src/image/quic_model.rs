//! What QUIC learns about a picture while it codes it; encoder and decoder learn the same.
//!
//! **Codes.** The residual to the left says which code suits the next one of its channel. Residuals
//! fall in buckets (0, 1-2, 3-6, ... 127-255); a bucket counts how long its residuals would have
//! been in each code, and the code with the fewest bits is its own. Counting takes longer than
//! coding, so it is done for all three channels at once and only now and then.
//!
//! **Pace.** Between two counts lies a number of pixels from a fixed random sequence, cut to as many
//! bits as the level says: none for the first 2048 pixels of an image, one more after each 2048,
//! up to six. Counters are halved when the best one exceeds a number that belongs to the level, so
//! that the past fades.
//!
//! **Runs.** Where the pixels above and to the left repeat, the length of a run is coded in place of
//! pixels: MELCODE, as in JPEG-LS, whose word for an expected length grows and shrinks with what it
//! meets.

use super::quic_code::{BitReader, BitWriter, CODES, COUNTER_SHIFT, LENGTHS};
use crate::base::Truncated;

/// Buckets of a channel.
const BUCKETS: usize = 8;

/// Highest level.
const LEVEL_MAX: usize = 6;

/// Pixels of a level below the highest.
const LEVEL_PIXELS: usize = 2048;

/// Above this the counters of a bucket are halved, by level.
const HALVING: [i32; LEVEL_MAX + 1] = [110, 550, 900, 800, 550, 400, 350];

/// What is known at a pixel of what was coded before it.
pub(super) struct Model {
    /// Blue, green, red.
    pub(super) channels: [Channel; 3],
    pub(super) pace: Pace,
    pub(super) runs: Runs,
    /// The residual to the left, three bytes as in a pixel; at the start of a row that of the first
    /// pixel above.
    pub(super) left: u32,
}

impl Model {
    /// At the first pixel of an image.
    pub(super) const fn new() -> Self {
        Self {
            channels: [const { Channel::new() }; 3],
            pace: Pace::new(),
            runs: Runs::new(),
            left: 0,
        }
    }

    /// Counts `residual`, which stood to the right of `left`.
    pub(super) fn learn(&mut self, left: u32, residual: u32) {
        let (left, residual) = (left.to_le_bytes(), residual.to_le_bytes());
        for (index, channel) in self.channels.iter_mut().enumerate() {
            channel.learn(left[index], residual[index], self.pace.level());
        }
    }
}

/// What a counter holds below its count: the code, counted from the last one down. So the least
/// counter is that of the best code, and of equal ones that of the highest.
const CODE_MASK: i32 = (1 << COUNTER_SHIFT) - 1;

/// What a channel of the picture learned.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    /// The code for a residual, by the residual to its left; times 256, as `WORDS` has them.
    pub(super) codes: [u16; 256],
    /// Bits by bucket and code. They do not overflow: the best count grows by a bit or more each
    /// time and is halved above 900, the others grow by at most 26 meanwhile and are halved with it.
    counters: [[i32; CODES]; BUCKETS],
}

impl Channel {
    /// Nothing is known yet.
    pub(super) const fn new() -> Self {
        Self {
            codes: [(CODES as u16 - 1) << 8; 256],
            counters: [[7, 6, 5, 4, 3, 2, 1, 0]; BUCKETS],
        }
    }

    /// Counts `residual`, which stood to the right of `left`.
    #[inline]
    pub(super) fn learn(&mut self, left: u8, residual: u8, level: usize) {
        let bucket = bucket(left);
        let counters = &mut self.counters[bucket];
        let lengths = &LENGTHS[usize::from(residual)];
        for (counter, length) in counters.iter_mut().zip(lengths) {
            *counter += length;
        }
        let best = counters.iter().copied().fold(i32::MAX, i32::min);
        if HALVING[level.min(LEVEL_MAX)] < best >> COUNTER_SHIFT {
            for counter in counters {
                *counter = *counter >> 1 & !CODE_MASK | *counter & CODE_MASK;
            }
        }
        let code = (CODE_MASK - (best & CODE_MASK)) as u16 * 256;
        let first = (1 << bucket) - 1;
        if self.codes[first] != code {
            let last = if bucket == BUCKETS - 1 {
                255
            } else {
                2 * first
            };
            self.codes[first..=last].fill(code);
        }
    }
}

/// The bucket of a residual.
fn bucket(residual: u8) -> usize {
    ((u32::from(residual) + 1).ilog2() as usize).min(BUCKETS - 1)
}

/// When the channels learn.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    level: usize,
    /// Pixels that are left of the level.
    level_left: usize,
    /// Pixels to code before the next one that is counted.
    pub(super) wait: usize,
    /// Numbers taken of the random sequence.
    taken: u8,
}

impl Pace {
    /// The pace at the first pixel of an image.
    pub(super) const fn new() -> Self {
        Self {
            level: 0,
            level_left: LEVEL_PIXELS,
            wait: 0,
            taken: 0,
        }
    }

    /// The level, for [`Channel::learn`].
    pub(super) const fn level(&self) -> usize {
        self.level
    }

    /// Pixels between two counts, at random.
    pub(super) fn next_wait(&mut self) -> usize {
        let number = RANDOM[usize::from(self.taken)];
        self.taken = self.taken.wrapping_add(1);
        usize::from(number) & ((1 << self.level) - 1)
    }

    /// Where the piece that begins at `start` of a row of `width` ends: with the row or the level.
    /// No run crosses the end of a piece.
    pub(super) fn piece_end(&self, start: usize, width: usize) -> usize {
        if self.level == LEVEL_MAX {
            return width;
        }
        width.min(start + self.level_left)
    }

    /// Goes on behind a piece of `len` pixels.
    pub(super) const fn pass(&mut self, len: usize) {
        if self.level == LEVEL_MAX {
            return;
        }
        self.level_left -= len;
        if self.level_left == 0 {
            self.level += 1;
            self.level_left = LEVEL_PIXELS;
        }
    }
}

/// Bits of a run's rest by state; a whole word of the state stands for two to the power of that.
const RUN_BITS: [u8; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13,
    14, 15,
];

/// The longest word for a run without whole words: a 0 and the rest.
pub(super) const RUN_BITS_MAX: usize = 1 + RUN_BITS[RUN_BITS.len() - 1] as usize;

/// How long runs are expected to be.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    state: usize,
}

impl Runs {
    /// No run was met yet.
    pub(super) const fn new() -> Self {
        Self { state: 0 }
    }

    fn bits(&self) -> u32 {
        u32::from(RUN_BITS[self.state.min(RUN_BITS.len() - 1)])
    }

    fn longer(&mut self) {
        self.state = (self.state + 1).min(RUN_BITS.len() - 1);
    }

    const fn shorter(&mut self) {
        self.state = self.state.saturating_sub(1);
    }

    /// Writes the length of a run.
    pub(super) fn write(&mut self, mut len: usize, writer: &mut BitWriter<'_>) {
        while 1 << self.bits() <= len {
            writer.put(1, 1);
            len -= 1 << self.bits();
            self.longer();
        }
        writer.put(len as u32, self.bits() + 1);
        self.shorter();
    }

    /// Reads the length of a run; any length above `len_max` may stand for a longer one.
    pub(super) fn read(
        &mut self,
        reader: &mut BitReader<'_>,
        len_max: usize,
    ) -> Result<usize, Truncated> {
        let mut len = 0;
        while reader.bits(1)? == 1 {
            len += 1 << self.bits();
            if len_max < len {
                return Ok(len);
            }
            self.longer();
        }
        len += reader.bits(self.bits())? as usize;
        self.shorter();
        Ok(len)
    }
}

/// The random sequence of the format, as far as waits have bits; each number is in it four times.
#[rustfmt::skip]
static RANDOM: [u8; 256] = [
     2, 23, 19, 21,  7, 18, 40, 14, 12, 32, 47, 44, 36,  6, 18, 11,  4, 19, 42, 29,
    16, 63, 57, 51, 16,  3,  5, 14, 15, 30, 20,  9, 36, 45,  3, 57, 61,  0,  8,  5,
    41, 14, 43, 27, 43, 59, 31, 35, 39, 60, 42, 38, 13, 54, 62,  1, 26,  3, 11, 61,
    52, 34,  7, 48,  4, 59, 22, 12, 22,  8, 50,  4, 10,  6, 44,  8, 11, 46, 31, 51,
    53, 17,  1, 43, 46, 60, 36, 54, 10, 27, 39, 44, 22, 41, 23,  2, 44,  0, 40, 53,
    40, 48, 16, 43, 32, 28, 33, 12, 20,  2, 56, 62, 55, 58, 18, 20, 13, 55, 38, 29,
    57, 19, 49, 33, 47, 63, 59,  0, 35, 61, 19, 25, 46, 38, 60,  4, 35,  1, 26, 40,
    28, 10,  5, 14, 25, 18, 48, 49, 20, 59, 62, 34, 46,  7, 33, 52, 34, 58,  9, 29,
     8, 55, 62, 60, 37, 36, 37, 50,  6,  3, 10, 28, 48, 24, 26, 61, 57, 30, 11, 54,
     2,  6, 50, 47,  7, 17, 35, 53, 32, 12, 23, 17,  5, 21, 49, 55, 51, 45, 52, 27,
    39, 25, 39, 63, 22, 24, 42, 52, 56, 38, 41, 41, 56, 32, 13, 24, 26, 51, 27, 56,
    58, 37, 24, 42, 15, 28, 17, 30, 31, 15, 16, 23, 25, 54, 33, 34,  1, 29, 31, 50,
    53, 21, 49, 15, 47,  9,  0, 58, 37, 45, 30, 13,  9, 45, 63, 21,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_random_sequence_holds_every_wait_equally() {
        for number in 0..64 {
            assert_eq!(
                RANDOM.iter().filter(|wait| **wait == number).count(),
                4,
                "{number}"
            );
        }
    }

    #[test]
    fn buckets_double() {
        let firsts: Vec<u8> = (0..=255)
            .filter(|residual| *residual == 0 || bucket(*residual) != bucket(residual - 1))
            .collect();
        assert_eq!(firsts, [0, 1, 3, 7, 15, 31, 63, 127]);
    }

    #[test]
    fn counters_stay_small() {
        let mut channel = Channel::new();
        for count in 0..200_000_u32 {
            let residual = (count.wrapping_mul(0x9e37_79b1) >> 24) as u8;
            let residual = [0, residual, 255][(count / 5000 % 3) as usize];
            channel.learn(0, residual, (count / 900 % 7) as usize);
            let count = |counter: &i32| counter >> COUNTER_SHIFT;
            assert!(channel.counters[0].iter().map(count).max() < Some(1 << 15));
            assert!(channel.counters[0].iter().map(count).min() <= Some(900));
        }
        assert_eq!(channel.counters[1..], Channel::new().counters[1..]);
    }

    #[test]
    fn channels_prefer_the_shortest_code() {
        let mut channel = Channel::new();
        let codes = |channel: &Channel| channel.codes.map(|code| code / 256);
        assert_eq!(codes(&channel), [7; 256]);
        channel.learn(4, 0, 0);
        assert_eq!(codes(&channel)[2..8], [7, 0, 0, 0, 0, 7]);
        // 26 bits in code 0, 14, 9, 7 in code 3, 6 in code 4, 6 in code 5: of equal ones the higher.
        channel.learn(255, 24, 0);
        assert_eq!(codes(&channel)[126..128], [7, 5]);
        assert_eq!(codes(&channel)[255], 5);
    }

    #[test]
    fn levels_rise_every_2048_pixels() {
        let mut pace = Pace::new();
        let mut ends = Vec::new();
        for _ in 0..3 {
            let mut at = 0;
            while at < 5000 {
                let end = pace.piece_end(at, 5000);
                ends.push((pace.level(), end));
                pace.pass(end - at);
                at = end;
            }
        }
        let expected = [
            (0, 2048),
            (1, 4096),
            (2, 5000),
            (2, 1144),
            (3, 3192),
            (4, 5000),
            (4, 240),
            (5, 2288),
            (6, 5000),
        ];
        assert_eq!(ends, expected);
    }

    #[test]
    fn runs_come_back() {
        let lens: Vec<usize> = (0..300).map(|n| n * n * n % 9973 * (n % 3) / 2).collect();
        let (mut buffer, mut out) = (vec![0; 4000], Vec::new());
        let mut writer = BitWriter::new(&mut buffer);
        let mut runs = Runs::new();
        for len in &lens {
            runs.write(*len, &mut writer);
        }
        writer.fill_word();
        writer.take_words(&mut out);
        let (bytes, _) = out.as_chunks();
        let (mut reader, mut runs) = (BitReader::new(bytes), Runs::new());
        for len in lens {
            assert_eq!(runs.read(&mut reader, 10_000), Ok(len));
        }
        let ones = [[0xff; 4]; 4];
        let len = Runs::new().read(&mut BitReader::new(&ones), 100);
        assert!(len.is_ok_and(|len| 100 < len), "ends with the room");
        assert!(
            Runs::new()
                .read(&mut BitReader::new(&ones[..1]), usize::MAX)
                .is_err()
        );
    }
}

//! The bits of a row of QUIC, from its residuals.
//!
//! Between two pixels that are counted or may begin a run, codes do not change: pixels are written
//! in pairs, with one look at the room for both.

use super::pixels::RGB;
use super::quic_code::{ADDED_BITS_MAX, BitWriter, WORDS};
use super::quic_model::Model;
use super::quic_predict::REPEATS;

/// Writes rows.
pub(super) struct RowWriter {
    model: Model,
}

impl RowWriter {
    /// At the first row of an image.
    pub(super) const fn new() -> Self {
        Self {
            model: Model::new(),
        }
    }

    /// Writes a row of the pixels and residuals given; `above` are the residuals of the row above, or
    /// nothing. Where runs are, the residuals become those above.
    pub(super) fn row(
        &mut self,
        pixels: &[u32],
        residuals: &mut [u32],
        above: &[u32],
        bits: &mut BitWriter<'_>,
    ) {
        let mut start = 0;
        while start < pixels.len() {
            let end = self.model.pace.piece_end(start, pixels.len());
            self.piece(&pixels[..end], start, residuals, above, bits);
            self.model.pace.pass(end - start);
            start = end;
        }
        self.model.left = residuals.first().copied().unwrap_or(0);
    }

    /// Writes the pixels from `at` on.
    fn piece(
        &mut self,
        pixels: &[u32],
        mut at: usize,
        residuals: &mut [u32],
        above: &[u32],
        bits: &mut BitWriter<'_>,
    ) {
        let end = pixels.len();
        loop {
            // The pixel to be counted, which may lie behind the end.
            let counted = at + self.model.pace.wait;
            let span_end = end.min(counted + 1);
            let before = self.model.left;
            let span = &residuals[at..span_end];
            let coded = bits.with_copy(|bits| self.span(span, bits));
            at += coded;
            if at < span_end {
                self.model.pace.wait = counted - at;
                let len = run_len(pixels, at);
                self.model.runs.write(len, bits);
                if len == 0 {
                    residuals[at] &= RGB;
                    continue;
                }
                residuals[at..at + len].copy_from_slice(&above[at..at + len]);
                at += len;
                self.model.left = residuals[at - 1];
                if at == end {
                    return;
                }
            } else if counted < end {
                let left = if coded < 2 { before } else { residuals[at - 2] };
                self.model.learn(left, residuals[at - 1]);
                self.model.pace.wait = self.model.pace.next_wait();
            } else {
                self.model.pace.wait = counted - end;
                return;
            }
        }
    }

    /// Writes pixels up to where a run may begin, and says how many.
    #[inline(always)]
    fn span(&mut self, residuals: &[u32], bits: &mut BitWriter<'_>) -> usize {
        let mut left = self.model.left;
        let mut coded = 0;
        let (pairs, _) = residuals.as_chunks::<2>();
        for [first, second] in pairs {
            if (first | second) & REPEATS != 0 {
                break;
            }
            let (one, two) = (self.words(left, *first), self.words(*first, *second));
            if one.len + two.len <= ADDED_BITS_MAX {
                bits.add(one.bits, one.len);
                bits.add(two.bits, two.len);
                bits.settle();
            } else {
                bits.with_copy(|bits| self.put_long(left, *first, *second, bits));
            }
            left = *second;
            coded += 2;
        }
        for residual in &residuals[coded..] {
            if residual & REPEATS != 0 {
                break;
            }
            self.put(left, *residual, bits);
            left = *residual;
            coded += 1;
        }
        self.model.left = left;
        coded
    }

    /// The words of a residual to the right of `left`, as in [`WORDS`].
    #[inline(always)]
    fn word(&self, channel: usize, left: u32, residual: u32) -> u32 {
        let (left, residual) = (left.to_le_bytes(), residual.to_le_bytes());
        let code = self.model.channels[channel].codes[usize::from(left[channel])];
        u32::from(WORDS[usize::from(code & 0x700) | usize::from(residual[channel])])
    }

    /// The words of a residual to the right of `left`.
    #[inline(always)]
    fn words(&self, left: u32, residual: u32) -> Words {
        let [blue, green, red] = [0, 1, 2].map(|channel| self.word(channel, left, residual));
        let bits = u64::from(red >> 8) << (green & 63) | u64::from(green >> 8);
        Words {
            bits: bits << (blue & 63) | u64::from(blue >> 8),
            len: (blue + green + red) & 0xff,
        }
    }

    /// Writes the words of two neighbours that do not fit together.
    #[cold]
    #[inline(never)]
    fn put_long(&self, left: u32, first: u32, second: u32, bits: &mut BitWriter<'_>) {
        self.put(left, first, bits);
        self.put(first, second, bits);
    }

    #[inline(always)]
    fn put(&self, left: u32, residual: u32, bits: &mut BitWriter<'_>) {
        for channel in [2, 1, 0] {
            let word = self.word(channel, left, residual);
            bits.put(word >> 8, word & 0xff);
        }
    }
}

/// The words of a pixel, one behind the other.
#[derive(Clone, Copy)]
struct Words {
    /// Whole if they are no more than 64.
    bits: u64,
    len: u32,
}

/// Pixels from `at` on that are the one before it.
fn run_len(pixels: &[u32], at: usize) -> usize {
    let color = pixels[at - 1];
    let pixels = &pixels[at..];
    // Eight at once, without a branch for each: vector instructions.
    let (blocks, _) = pixels.as_chunks::<8>();
    let differs = |block: &[u32; 8]| block.iter().fold(0, |bits, pixel| bits | (pixel ^ color));
    let same = blocks.iter().take_while(|block| differs(block) & RGB == 0);
    let whole = 8 * same.count();
    let rest = pixels[whole..].iter();
    whole + rest.take_while(|pixel| (*pixel ^ color) & RGB == 0).count()
}

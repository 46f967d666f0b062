//! The code words of QUIC and the bits that they lie in.
//!
//! A byte is written in one of eight codes; code `k` splits it at bit `k`:
//!
//! ```text
//! upper bits, unary: that many 0, then 1; then the k lower bits      while the 0 are less than LIMIT
//! LIMIT 0, then how far the byte is beyond those words, in as few bits as the farthest takes
//! ```
//!
//! So code 0 suits bytes near 0, and in code 7 every byte takes eight bits. LIMIT is 18, which keeps
//! words within 26 bits, or less where no byte has as many upper bits. Bits fill words of 32 from
//! the highest bit down, and the words are little-endian.

use crate::base::Truncated;

/// Codes to choose from.
pub(super) const CODES: usize = 8;

/// Below this bit, counters of bits hold something else.
pub(super) const COUNTER_SHIFT: u32 = 3;

/// Bits of the longest word of all codes.
pub(super) const WORD_BITS_MAX: usize = 26;

/// How code `code` goes on behind its unary words.
#[derive(Clone, Copy)]
struct Escape {
    /// Zeros that announce it.
    zeros: u32,
    /// The first byte that is written so.
    first: u32,
    /// Bits behind the zeros.
    bits: u32,
}

impl Escape {
    const fn of(code: u32) -> Self {
        const LIMIT: u32 = WORD_BITS_MAX as u32 - 8;
        let upper_max = (1 << (8 - code)) - 1;
        let zeros = if LIMIT < upper_max { LIMIT } else { upper_max };
        let first = zeros << code;
        let bits = (256 - first).next_power_of_two().trailing_zeros();
        Self { zeros, first, bits }
    }
}

const ESCAPES: [Escape; CODES] = {
    let mut escapes = [Escape::of(0); CODES];
    let mut code = 1;
    while code < CODES {
        escapes[code] = Escape::of(code as u32);
        code += 1;
    }
    escapes
};

/// Word of each byte in each code, the 256 of each code together: the lower half is its length in
/// bits, the upper half its value, which never takes more than eight of them.
pub(super) static WORDS: [u16; 256 * CODES] = {
    let mut words = [0; 256 * CODES];
    let mut code = 0;
    while code < CODES {
        let escape = ESCAPES[code];
        let mut byte = 0;
        while byte < 256 {
            let (value, len) = if (byte as u32) < escape.first {
                let lower = byte & ((1 << code) - 1);
                (1 << code | lower, (byte >> code) + code + 1)
            } else {
                let beyond = byte - escape.first as usize;
                (beyond, (escape.zeros + escape.bits) as usize)
            };
            assert!(value < 256 && len <= WORD_BITS_MAX);
            words[256 * code + byte] = (value << 8 | len) as u16;
            byte += 1;
        }
        code += 1;
    }
    words
};

/// Bits that each byte takes in each code, shifted as the counters of `quic_model` are.
pub(super) static LENGTHS: [[i32; CODES]; 256] = {
    let mut lengths = [[0; CODES]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut code = 0;
        while code < CODES {
            lengths[byte][code] = ((WORDS[256 * code + byte] & 0xff) as i32) << COUNTER_SHIFT;
            code += 1;
        }
        byte += 1;
    }
    lengths
};

/// Writes bits to bytes that its owner set aside, the highest bit of each byte first.
pub(super) struct BitWriter<'a> {
    bytes: &'a mut [u8],
    /// Bytes that hold bits only.
    len: usize,
    /// The last bits, of which less than 8 are in no byte yet.
    pending: u64,
    pending_bits: u32,
}

/// Bytes that a writer needs beside those of a row's bits: what is left of the row before, and what
/// [`BitWriter::settle`] writes beyond the end.
pub(super) const ROOM_LEN: usize = 4 + 8;

/// Most bits that may be added between two [`BitWriter::settle`].
pub(super) const ADDED_BITS_MAX: u32 = 64 - 7;

impl<'a> BitWriter<'a> {
    /// A writer to the front of `bytes`.
    pub(super) const fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            bytes,
            len: 0,
            pending: 0,
            pending_bits: 0,
        }
    }

    /// Calls `write` with a copy of this writer and takes over what becomes of it. A copy that no
    /// other function sees, the compiler keeps in registers.
    #[inline(always)]
    pub(super) fn with_copy<R>(&mut self, write: impl FnOnce(&mut BitWriter<'_>) -> R) -> R {
        let mut writer = BitWriter {
            bytes: &mut *self.bytes,
            ..*self
        };
        let result = write(&mut writer);
        (self.len, self.pending) = (writer.len, writer.pending);
        self.pending_bits = writer.pending_bits;
        result
    }

    /// Adds the `count` lower bits of `bits`, whose bits above them are 0; at most
    /// [`ADDED_BITS_MAX`] before the next [`Self::settle`].
    #[inline(always)]
    pub(super) const fn add(&mut self, bits: u64, count: u32) {
        self.pending = self.pending << (count & 63) | bits;
        self.pending_bits += count;
    }

    /// Puts whole bytes of what was added in their place.
    #[inline(always)]
    pub(super) fn settle(&mut self) {
        let bits = self.pending << (self.pending_bits.wrapping_neg() & 63);
        // Always eight bytes, of which the next ones overwrite what is not whole yet: a branch here
        // would be as random as the picture.
        let place = self.bytes.get_mut(self.len..);
        if let Some(place) = place.and_then(|place| place.first_chunk_mut()) {
            *place = bits.to_be_bytes();
        }
        self.len += (self.pending_bits >> 3) as usize;
        self.pending_bits &= 7;
    }

    /// Writes the `count` lower bits of `bits`, whose bits above them are 0.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: u32, count: u32) {
        self.add(u64::from(bits), count);
        self.settle();
    }

    /// Appends whole words to `out`, and starts again with what is left.
    pub(super) fn take_words(&mut self, out: &mut Vec<u8>) {
        let whole = self.len - self.len % 4;
        let (words, _) = self.bytes[..whole].as_chunks::<4>();
        let words = words.iter().map(|word| u32::from_be_bytes(*word));
        out.extend(words.flat_map(u32::to_le_bytes));
        self.bytes.copy_within(whole..self.len, 0);
        self.len -= whole;
    }

    /// Fills the last word with zeros.
    pub(super) fn fill_word(&mut self) {
        while !self.len.is_multiple_of(4) || self.pending_bits != 0 {
            self.put(0, 8 - self.pending_bits);
        }
    }
}

/// Reads bits of 32-bit words.
pub(super) struct BitReader<'a> {
    words: &'a [[u8; 4]],
    /// Bits taken so far; never more than there are.
    taken: usize,
}

impl<'a> BitReader<'a> {
    pub(super) const fn new(words: &'a [[u8; 4]]) -> Self {
        Self { words, taken: 0 }
    }

    /// Words that bits were taken from.
    pub(super) const fn words_taken(&self) -> usize {
        self.taken.div_ceil(32)
    }

    /// The next 32 bits, which end in zeros where the data ends.
    fn peek(&self) -> u32 {
        let word = |index: usize| {
            let bytes = self.words.get(index).copied();
            u64::from(u32::from_le_bytes(bytes.unwrap_or_default()))
        };
        let first = self.taken / 32;
        let pair = word(first) << 32 | word(first + 1);
        (pair << (self.taken % 32) >> 32) as u32
    }

    fn skip(&mut self, count: u32) -> Result<(), Truncated> {
        let left = 32 * self.words.len() - self.taken;
        if left < count as usize {
            return Err(Truncated {
                needed: 4,
                left: left / 8,
            });
        }
        self.taken += count as usize;
        Ok(())
    }

    /// A number of `count` bits, at most 31.
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, Truncated> {
        let value = u64::from(self.peek()) << count >> 32;
        self.skip(count)?;
        Ok(value as u32)
    }

    /// A byte in code `code`, which is below [`CODES`].
    pub(super) fn byte(&mut self, code: u8) -> Result<u8, Truncated> {
        let escape = ESCAPES[usize::from(code) % CODES];
        let zeros = self.peek().leading_zeros();
        if zeros < escape.zeros {
            self.skip(zeros + 1)?;
            let lower = self.bits(u32::from(code))?;
            return Ok((zeros << code | lower) as u8);
        }
        self.skip(escape.zeros)?;
        // Words of no byte wrap around, as in spice-gtk.
        Ok((escape.first + self.bits(escape.bits)?) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the description, not by the table.
    fn word(byte: u32, code: u32) -> String {
        let limit = 18.min(255 >> code);
        if byte >> code < limit {
            let lower = format!("{:08b}", byte & 0xff);
            let (zeros, lower) = ((byte >> code) as usize, &lower[8 - code as usize..]);
            return "0".repeat(zeros) + "1" + lower;
        }
        let beyond = byte - (limit << code);
        let bits = format!("{:b}", 255 - (limit << code)).len();
        "0".repeat(limit as usize) + &format!("{beyond:0bits$b}")
    }

    #[test]
    fn words_are_those_of_the_format() {
        assert_eq!(word(3, 0), "0001");
        assert_eq!(word(18, 0), format!("{}{}", "0".repeat(18), "00000000"));
        assert_eq!(word(255, 7), "01111111");
        for code in 0..CODES {
            for byte in 0..256 {
                let entry = WORDS[256 * code + byte];
                let expected = word(byte as u32, code as u32);
                assert_eq!(
                    usize::from(entry & 0xff),
                    expected.len(),
                    "{byte} in {code}"
                );
                let value = u16::from_str_radix(&expected, 2).unwrap();
                assert_eq!(entry >> 8, value, "{byte} in {code}");
                assert_eq!(
                    LENGTHS[byte][code] >> COUNTER_SHIFT,
                    i32::from(entry & 0xff)
                );
            }
        }
        let longest = WORDS.iter().map(|entry| entry & 0xff).max();
        assert_eq!(longest, Some(WORD_BITS_MAX as u16));
    }

    #[test]
    fn bytes_come_back_in_every_code() {
        let symbols: Vec<(u8, u8)> = (0..CODES as u8)
            .flat_map(|code| (0..=255).map(move |byte| (byte, code)))
            .collect();
        let (mut buffer, mut out) = (vec![0; symbols.len()], vec![7]);
        let mut writer = BitWriter::new(&mut buffer);
        for part in symbols.chunks(97) {
            for (byte, code) in part {
                let entry = WORDS[256 * usize::from(*code) + usize::from(*byte)];
                writer
                    .with_copy(|writer| writer.put(u32::from(entry >> 8), u32::from(entry & 0xff)));
            }
            writer.take_words(&mut out);
        }
        writer.fill_word();
        writer.take_words(&mut out);
        assert_eq!(out[0], 7);
        let (bytes, _) = out[1..].as_chunks();
        let mut reader = BitReader::new(bytes);
        for (byte, code) in symbols {
            assert_eq!(reader.byte(code), Ok(byte), "in {code}");
        }
        assert_eq!(reader.words_taken(), bytes.len());
        assert!(reader.bits(31).is_err(), "less than a byte is left");
    }
}

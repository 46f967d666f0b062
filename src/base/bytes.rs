//! Cursors over bytes: SPICE is little-endian, LZ headers inside it big-endian.
//!
//! The reader never panics: what is missing is [`Truncated`]. The writer appends to a `Vec` that its owner caps.

/// The bytes ended before the value did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message ends early: {needed} bytes needed, {left} left")]
pub struct Truncated {
    /// Bytes that the value takes.
    pub needed: usize,
    /// Bytes that were left.
    pub left: usize,
}

/// Reads values from the front of a byte slice.
#[derive(Clone, Debug)]
pub struct ByteReader<'a> {
    rest: &'a [u8],
}

impl<'a> ByteReader<'a> {
    /// A reader at the first of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Truncated> {
        let short = Truncated {
            needed: count,
            left: self.rest.len(),
        };
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let short = Truncated {
            needed: N,
            left: self.rest.len(),
        };
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(short)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Everything that is left.
    pub const fn rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    /// A byte.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// A little-endian 16-bit number.
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// A little-endian 32-bit number.
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A little-endian 64-bit number.
    pub fn u64(&mut self) -> Result<u64, Truncated> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A little-endian signed 32-bit number.
    pub fn i32(&mut self) -> Result<i32, Truncated> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    /// A little-endian signed 64-bit number.
    pub fn i64(&mut self) -> Result<i64, Truncated> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A big-endian 32-bit number (image headers of LZ, GLZ and LZ4).
    pub fn u32_be(&mut self) -> Result<u32, Truncated> {
        Ok(u32::from_be_bytes(self.array()?))
    }
}

/// Appends values to a byte vector.
#[derive(Debug)]
pub struct ByteWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> ByteWriter<'a> {
    /// A writer at the end of `out`.
    pub const fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start }
    }

    /// Bytes written through this writer.
    pub const fn written(&self) -> usize {
        self.out.len() - self.start
    }

    /// The vector, for an encoder that appends by itself.
    pub const fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Appends raw bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Appends a byte.
    pub fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    /// Appends a little-endian 16-bit number.
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    /// Appends a little-endian 32-bit number.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    /// Appends a little-endian 64-bit number.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    /// Appends a little-endian signed 32-bit number.
    pub fn i32(&mut self, value: i32) {
        self.bytes(&value.to_le_bytes());
    }

    /// Appends a big-endian 32-bit number.
    pub fn u32_be(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Overwrites the little-endian 32-bit number that was written `offset` bytes behind this writer's start.
    /// Outside of what was written nothing happens: only our own encoders call this, with offsets they noted.
    pub fn patch_u32(&mut self, offset: usize, value: u32) {
        let at = self.start + offset;
        debug_assert!(at + 4 <= self.out.len(), "patched inside what was written");
        if let Some(place) = self.out.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_written() {
        let mut out = vec![0xaa];
        let mut writer = ByteWriter::new(&mut out);
        writer.u8(1);
        writer.u16(0x0203);
        writer.u32(0);
        writer.u64(0x0405_0607_0809_0a0b);
        writer.i32(-2);
        writer.u32_be(0x0102_0304);
        writer.patch_u32(3, 77);
        assert_eq!(writer.written(), 23);
        let mut reader = ByteReader::new(&out[1..]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(0x0203));
        assert_eq!(reader.u32(), Ok(77));
        assert_eq!(reader.u64(), Ok(0x0405_0607_0809_0a0b));
        assert_eq!(reader.i32(), Ok(-2));
        assert_eq!(reader.u32_be(), Ok(0x0102_0304));
        assert_eq!(reader.u8(), Err(Truncated { needed: 1, left: 0 }));
    }

    #[test]
    fn a_short_read_takes_nothing() {
        let mut reader = ByteReader::new(&[1, 2, 3]);
        assert_eq!(reader.u32(), Err(Truncated { needed: 4, left: 3 }));
        assert_eq!(reader.bytes(4), Err(Truncated { needed: 4, left: 3 }));
        assert_eq!(reader.rest(), &[1, 2, 3]);
        assert_eq!(reader.remaining(), 0);
    }
}

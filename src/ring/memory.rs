//! Memory that another process writes while we read it.
//!
//! Nobody ever holds a reference into it. A reader loads single words or copies bytes out once, then validates
//! its private copy; what it did not copy it must not believe, because the next load may say otherwise. An access
//! out of range tells so and never panics. The mapping of a real memfd is in `os`; [`PlainMemory`] serves tests.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{Ordering, fence};

pub use super::wake::PeerWord;

/// Memory of another process, or of a test that plays one.
///
/// Offsets are bytes from the start. Words are little-endian and naturally aligned; others are out of range.
pub trait SharedMemory {
    /// Bytes of it; never changes.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Loads a word (acquire): what its writer released before is seen by later loads. `None` out of range.
    fn load_u32(&self, offset: usize) -> Option<u32>;

    /// Loads a counter (acquire). `None` out of range.
    fn load_u64(&self, offset: usize) -> Option<u64>;

    /// Copies `out.len()` bytes from `offset`; the bytes may be torn. `false`, and `out` unchanged, out of range.
    fn copy_out(&self, offset: usize, out: &mut [u8]) -> bool;
}

impl<M: SharedMemory + ?Sized> SharedMemory for &M {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn load_u32(&self, offset: usize) -> Option<u32> {
        (**self).load_u32(offset)
    }

    fn load_u64(&self, offset: usize) -> Option<u64> {
        (**self).load_u64(offset)
    }

    fn copy_out(&self, offset: usize, out: &mut [u8]) -> bool {
        (**self).copy_out(offset, out)
    }
}

/// Where pixels are read from: a frame buffer that may change under the reader.
pub trait PixelSource {
    /// Copies the pixels of row `y` from column `x` on, one 0x00RRGGBB word each (the top byte is undefined).
    /// Pixels outside of the screen are zero.
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]);

    /// Whether the pixels that were read so far are those of the drained records, but for drawing whose damage is yet
    /// to come ([`super::settled`]). Who cannot tell says no.
    fn is_settled(&self) -> bool {
        false
    }
}

impl<P: PixelSource + ?Sized> PixelSource for &P {
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
        (**self).read_row(y, x, out);
    }

    fn is_settled(&self) -> bool {
        (**self).is_settled()
    }
}

/// Keeps loads after it behind copies before it: the reader's half of a seqlock.
pub(super) fn copies_before_later_loads() {
    fence(Ordering::Acquire);
}

/// Shared memory inside one thread, for tests and simulations: clones share the bytes.
#[derive(Clone, Debug, Default)]
pub struct PlainMemory {
    bytes: Rc<RefCell<Vec<u8>>>,
}

impl PlainMemory {
    /// `len` zero bytes.
    pub fn new(len: usize) -> Self {
        Self {
            bytes: Rc::new(RefCell::new(vec![0; len])),
        }
    }

    /// Writes `bytes` at `offset` as the other side would; `false`, and nothing done, out of range.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        let mut own = self.bytes.borrow_mut();
        let Some(end) = offset.checked_add(bytes.len()) else {
            return false;
        };
        own.get_mut(offset..end).is_some_and(|place| {
            place.copy_from_slice(bytes);
            true
        })
    }

    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if !offset.is_multiple_of(N) {
            return None;
        }
        let mut word = [0; N];
        self.copy_out(offset, &mut word).then_some(word)
    }
}

impl SharedMemory for PlainMemory {
    fn len(&self) -> usize {
        self.bytes.borrow().len()
    }

    fn load_u32(&self, offset: usize) -> Option<u32> {
        self.load(offset).map(u32::from_le_bytes)
    }

    fn load_u64(&self, offset: usize) -> Option<u64> {
        self.load(offset).map(u64::from_le_bytes)
    }

    fn copy_out(&self, offset: usize, out: &mut [u8]) -> bool {
        let own = self.bytes.borrow();
        let Some(end) = offset.checked_add(out.len()) else {
            return false;
        };
        own.get(offset..end).is_some_and(|place| {
            out.copy_from_slice(place);
            true
        })
    }
}

impl PeerWord for PlainMemory {
    fn store_waiting(&self, value: u32) {
        self.write(super::layout::peer::WAITING, &value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_little_endian_and_aligned() {
        let memory = PlainMemory::new(16);
        assert!(memory.write(8, &[1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(memory.load_u32(8), Some(0x0403_0201));
        assert_eq!(memory.load_u64(8), Some(0x0807_0605_0403_0201));
        assert_eq!(memory.load_u32(9), None);
        assert_eq!(memory.load_u64(4), None);
    }

    #[test]
    fn nothing_lies_out_of_range() {
        let memory = PlainMemory::new(16);
        assert_eq!(memory.load_u32(16), None);
        assert_eq!(memory.load_u64(usize::MAX & !7), None);
        let mut out = [7; 8];
        assert!(!memory.copy_out(9, &mut out));
        assert!(!memory.copy_out(usize::MAX, &mut out));
        assert_eq!(out, [7; 8]);
        assert!(!memory.write(9, &[0; 8]));
        assert!(memory.copy_out(8, &mut out));
        assert_eq!(out, [0; 8]);
    }
}

//! Blocks that change as a whole: a counter before them is odd while the producer writes.
//!
//! A reader copies the block between two loads of the counter and believes the copy when both are equal and even.
//! A producer may die, or lie, in the middle of a change, so the reader tries a few times and then says
//! [`Busy`]: its caller keeps what it has and comes back later.

use super::memory::{SharedMemory, copies_before_later_loads};

/// Times that one read tries. A block is 64 to 256 bytes and changes a few thousand times a second at most, so the
/// second try nearly always does.
const ATTEMPTS: u32 = 8;

/// The block was changing each time: try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the driver is changing the block")]
pub struct Busy;

/// A consistent copy of the `N` bytes at `offset`, whose first word is the counter.
pub(super) fn read<const N: usize>(
    memory: &(impl SharedMemory + ?Sized),
    offset: usize,
) -> Result<[u8; N], Busy> {
    for _ in 0..ATTEMPTS {
        let before = memory.load_u32(offset).ok_or(Busy)?;
        if !before.is_multiple_of(2) {
            std::hint::spin_loop();
            continue;
        }
        let mut block = [0; N];
        if !memory.copy_out(offset, &mut block) {
            return Err(Busy);
        }
        copies_before_later_loads();
        if memory.load_u32(offset) == Some(before) {
            return Ok(block);
        }
    }
    Err(Busy)
}

#[cfg(test)]
mod tests {
    use super::super::memory::PlainMemory;
    use super::*;
    use std::cell::Cell;

    #[test]
    fn an_even_counter_yields_the_block() {
        let memory = PlainMemory::new(64);
        memory.write(16, &[2, 0, 0, 0, 7]);
        assert_eq!(read::<8>(&memory, 16), Ok([2, 0, 0, 0, 7, 0, 0, 0]));
    }

    #[test]
    fn an_odd_counter_or_short_memory_is_busy() {
        let memory = PlainMemory::new(64);
        memory.write(16, &[3]);
        assert_eq!(read::<8>(&memory, 16), Err(Busy));
        assert_eq!(read::<8>(&memory, 60), Err(Busy));
        assert_eq!(read::<8>(&memory, 64), Err(Busy));
    }

    /// Counts up at each copy while `changes` last.
    struct Changing {
        memory: PlainMemory,
        changes: Cell<u32>,
        loads: Cell<u32>,
    }

    impl SharedMemory for Changing {
        fn len(&self) -> usize {
            self.memory.len()
        }

        fn load_u32(&self, offset: usize) -> Option<u32> {
            self.loads.set(self.loads.get() + 1);
            self.memory.load_u32(offset)
        }

        fn load_u64(&self, offset: usize) -> Option<u64> {
            self.memory.load_u64(offset)
        }

        fn copy_out(&self, offset: usize, out: &mut [u8]) -> bool {
            let copied = self.memory.copy_out(offset, out);
            if let Some(left) = self.changes.get().checked_sub(1) {
                self.changes.set(left);
                let next = self.memory.load_u32(offset).unwrap_or(0) + 2;
                self.memory.write(offset, &next.to_le_bytes());
            }
            copied
        }
    }

    #[test]
    fn a_block_that_changes_is_read_again_but_not_for_ever() {
        for (changes, expected) in [(3, Ok([6, 0, 0, 0])), (u32::MAX, Err(Busy))] {
            let memory = Changing {
                memory: PlainMemory::new(8),
                changes: changes.into(),
                loads: 0.into(),
            };
            assert_eq!(read::<4>(&memory, 0), expected);
            assert!(memory.loads.get() <= 2 * ATTEMPTS);
        }
    }
}

//! Reads the ring: one writer, no tail, overwriting. Who falls behind sees the gap.
//!
//! The producer writes records, then publishes them by raising `done`; it has at most one operation of
//! [`layout::GROUP_MAX`] records written but not published. So of a ring of `S` slots a reader at position `p` may
//! believe its copies while `done - p <= S - GROUP_MAX` holds *after* copying; otherwise the writer may have been
//! in them. The sequence number in each record says the same once more, for a producer that is wrong about itself.
//!
//! `done` is foreign: when it jumps, forwards or backwards, the reader takes that as an overrun and goes on from
//! there. Every call does a bounded amount of work whatever the memory says.

use super::layout;
use super::memory::{PixelSource, SharedMemory, copies_before_later_loads};
use super::record::Record;
use super::settled::{self, Progress};
use crate::base::Size;

/// Records that may lie between the reader and `done` before the writer may be overwriting them.
const BACKLOG_MAX: u64 = (layout::RING_SLOTS - layout::GROUP_MAX) as u64;

/// Records copied out between two looks at `done`: 2 KiB on the stack.
const BATCH: usize = 64;

/// The reader's place in the ring.
#[derive(Clone, Debug)]
pub struct Consumer {
    position: u64,
}

/// Live pixels beside the counters that tell what was being drawn while they were read; see [`Consumer::pixels`].
pub struct DrainedPixels<'a> {
    position: u64,
    memory: &'a dyn SharedMemory,
    source: &'a dyn PixelSource,
}

impl PixelSource for DrainedPixels<'_> {
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
        self.source.read_row(y, x, out);
    }

    fn is_settled(&self) -> bool {
        settled::is_settled(self, self.position)
    }
}

impl Progress for DrainedPixels<'_> {
    fn load_begun(&self) -> Option<u64> {
        self.memory
            .load_u64(layout::PROGRESS_OFFSET + layout::progress::BEGUN)
    }
}

/// What [`Consumer::drain`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Records read, with those of which nothing lay on the screen.
    pub records: u32,
    /// Records were lost: the caller takes the whole screen as damaged and reads the mode again.
    pub overrun: bool,
    /// More records wait: the limit was reached, or a [`Record::Mode`] ended the call.
    pub more: bool,
}

impl Consumer {
    /// A reader of what is published from now on. Whoever attaches takes the whole screen as damaged *afterwards*.
    pub fn begin_at_end(memory: &(impl SharedMemory + ?Sized)) -> Self {
        Self {
            position: load_done(memory).unwrap_or(0),
        }
    }

    /// The position of the next record to read.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The pixels in `source` as those of everything that was drained: they tell whether they are.
    pub fn pixels<'a>(
        &self,
        memory: &'a dyn SharedMemory,
        source: &'a dyn PixelSource,
    ) -> DrainedPixels<'a> {
        DrainedPixels {
            position: self.position,
            memory,
            source,
        }
    }

    /// Hands at most `max_records` published records to `sink`, clipped to `screen`, oldest first.
    ///
    /// Returns after a [`Record::Mode`]: what follows belongs to the new screen, so the caller reads the mode and
    /// calls again. After an overrun the reader stands at the newest record; what `sink` got before is harmless.
    pub fn drain(
        &mut self,
        memory: &(impl SharedMemory + ?Sized),
        screen: Size,
        max_records: u32,
        sink: &mut dyn FnMut(Record),
    ) -> Drained {
        let mut drained = Drained::default();
        let Some(done) = load_done(memory) else {
            return drained;
        };
        while drained.records < max_records {
            let pending = done.wrapping_sub(self.position);
            if pending == 0 {
                return drained;
            }
            let left = u64::from(max_records - drained.records)
                .min(pending)
                .min(BATCH as u64);
            let mut batch = [[0; layout::record::SIZE]; BATCH];
            let count = usize::try_from(left).unwrap_or(BATCH);
            let copies = &mut batch[..count];
            if BACKLOG_MAX < pending || !self.copy_batch(memory, copies) {
                drained.overrun = true;
                self.position = load_done(memory).unwrap_or(done);
                return drained;
            }
            for record in copies.iter() {
                self.position = self.position.wrapping_add(1);
                drained.records += 1;
                let record = Record::decode(record, screen);
                record.into_iter().for_each(&mut *sink);
                if record == Some(Record::Mode) {
                    drained.more = self.position != done;
                    return drained;
                }
            }
        }
        drained.more = self.position != done;
        drained
    }

    /// Copies the records from `position` on; `false` where the writer may have been in them.
    fn copy_batch(
        &self,
        memory: &(impl SharedMemory + ?Sized),
        copies: &mut [[u8; layout::record::SIZE]],
    ) -> bool {
        let mut position = self.position;
        for copy in copies.iter_mut() {
            let slot = position & u64::from(layout::RING_SLOTS - 1);
            let Ok(slot) = usize::try_from(slot) else {
                return false;
            };
            let offset = layout::RING_OFFSET + slot * layout::record::SIZE;
            position = position.wrapping_add(1);
            if !memory.copy_out(offset, copy) || sequence_of(copy) != low_word(position) {
                return false;
            }
        }
        copies_before_later_loads();
        load_done(memory).is_some_and(|done| done.wrapping_sub(self.position) <= BACKLOG_MAX)
    }
}

fn load_done(memory: &(impl SharedMemory + ?Sized)) -> Option<u64> {
    memory.load_u64(layout::PROGRESS_OFFSET + layout::progress::DONE)
}

fn sequence_of(record: &[u8; layout::record::SIZE]) -> u32 {
    let [a, b, c, d, ..] = *record;
    u32::from_le_bytes([a, b, c, d])
}

/// The low 32 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the sequence is defined as the low half"
)]
const fn low_word(position: u64) -> u32 {
    position as u32
}

#[cfg(test)]
mod tests {
    use super::super::memory::PlainMemory;
    use super::*;
    use crate::base::{Point, Rect};

    const SCREEN: Size = Size::new(100, 100);
    const DONE: usize = layout::PROGRESS_OFFSET + layout::progress::DONE;

    fn ring() -> PlainMemory {
        PlainMemory::new(layout::RING_MEMFD_SIZE)
    }

    fn set_done(memory: &PlainMemory, done: u64) {
        memory.write(DONE, &done.to_le_bytes());
    }

    fn write_record(memory: &PlainMemory, position: u64, kind: u8, words: [i32; 6]) {
        let mut bytes = [0; layout::record::SIZE];
        bytes[..4].copy_from_slice(&low_word(position.wrapping_add(1)).to_le_bytes());
        bytes[4] = kind;
        for (place, word) in bytes[8..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let slot = usize::try_from(position % u64::from(layout::RING_SLOTS)).unwrap();
        assert!(memory.write(layout::RING_OFFSET + slot * layout::record::SIZE, &bytes));
    }

    /// Damage of one row, its number the position modulo 100.
    fn publish(memory: &PlainMemory, positions: std::ops::Range<u64>) {
        for position in positions.clone() {
            let y = i32::try_from(position % 100).unwrap();
            write_record(memory, position, layout::DAMAGE, [y, 0, y + 1, 100, 0, 0]);
        }
        set_done(memory, positions.end);
    }

    fn drain(consumer: &mut Consumer, memory: &PlainMemory, max: u32) -> (Drained, Vec<Record>) {
        let mut records = Vec::new();
        let drained = consumer.drain(memory, SCREEN, max, &mut |record| records.push(record));
        (drained, records)
    }

    #[test]
    fn records_come_in_order_across_the_wrap_of_the_ring() {
        let memory = ring();
        let start = u64::from(layout::RING_SLOTS) * 3 - 70;
        set_done(&memory, start);
        let mut consumer = Consumer::begin_at_end(&memory);
        publish(&memory, start..start + 150);
        let (first, mut records) = drain(&mut consumer, &memory, 100);
        assert_eq!(
            first,
            Drained {
                records: 100,
                overrun: false,
                more: true
            }
        );
        let (second, rest) = drain(&mut consumer, &memory, 100);
        assert_eq!(
            second,
            Drained {
                records: 50,
                overrun: false,
                more: false
            }
        );
        records.extend(rest);
        let rows: Vec<Record> = (start..start + 150)
            .map(|position| {
                let y = i32::try_from(position % 100).unwrap();
                Record::Damage(Rect::new(0, y, 100, y + 1))
            })
            .collect();
        assert_eq!(records, rows);
        assert_eq!(
            drain(&mut consumer, &memory, 100),
            (Drained::default(), Vec::new())
        );
    }

    #[test]
    fn the_sequence_wraps_with_32_bits() {
        let memory = ring();
        let start = (1 << 32) - 3;
        set_done(&memory, start);
        let mut consumer = Consumer::begin_at_end(&memory);
        publish(&memory, start..start + 6);
        assert_eq!(drain(&mut consumer, &memory, 100).0.records, 6);
    }

    #[test]
    fn a_mode_ends_the_call() {
        let memory = ring();
        let mut consumer = Consumer::begin_at_end(&memory);
        publish(&memory, 0..3);
        write_record(&memory, 1, layout::MODE, [0; 6]);
        write_record(&memory, 2, layout::COPY_BITS, [0, 0, 10, 10, 7, 8]);
        let (drained, records) = drain(&mut consumer, &memory, 100);
        assert_eq!(
            drained,
            Drained {
                records: 2,
                overrun: false,
                more: true
            }
        );
        assert_eq!(records.last(), Some(&Record::Mode));
        let copy = Record::CopyBits {
            rect: Rect::new(0, 0, 10, 10),
            source: Point::new(7, 8),
        };
        assert_eq!(drain(&mut consumer, &memory, 100).1, [copy]);
    }

    #[test]
    fn a_reader_behind_the_writer_sees_the_gap() {
        let memory = ring();
        let mut consumer = Consumer::begin_at_end(&memory);
        publish(&memory, 0..BACKLOG_MAX);
        let mut exact = consumer.clone();
        let all = u32::try_from(BACKLOG_MAX).unwrap();
        assert_eq!(
            drain(&mut exact, &memory, all).0.records,
            all,
            "the last safe backlog"
        );
        publish(&memory, BACKLOG_MAX..BACKLOG_MAX + 1);
        let (drained, records) = drain(&mut consumer, &memory, 100);
        assert_eq!(
            drained,
            Drained {
                records: 0,
                overrun: true,
                more: false
            }
        );
        assert!(records.is_empty());
        assert_eq!(consumer.position(), BACKLOG_MAX + 1);
    }

    #[test]
    fn a_counter_that_jumps_is_an_overrun_once() {
        for jump in [0, 4, 1 << 63, u64::MAX, 5 + (1 << 63)] {
            let memory = ring();
            publish(&memory, 0..5);
            let mut consumer = Consumer::begin_at_end(&memory);
            set_done(&memory, jump);
            assert!(drain(&mut consumer, &memory, 100).0.overrun, "{jump}");
            assert_eq!(
                drain(&mut consumer, &memory, 100),
                (Drained::default(), Vec::new())
            );
            publish(&memory, jump..jump.saturating_add(1));
            let expected = u32::from(jump != u64::MAX);
            assert_eq!(
                drain(&mut consumer, &memory, 100).0.records,
                expected,
                "goes on"
            );
        }
    }

    #[test]
    fn a_record_of_another_position_is_an_overrun() {
        let memory = ring();
        let mut consumer = Consumer::begin_at_end(&memory);
        publish(&memory, 0..3);
        write_record(
            &memory,
            1 + u64::from(layout::RING_SLOTS),
            layout::DAMAGE,
            [0, 0, 9, 9, 0, 0],
        );
        let (drained, records) = drain(&mut consumer, &memory, 100);
        assert_eq!(
            drained,
            Drained {
                records: 0,
                overrun: true,
                more: false
            }
        );
        assert!(records.is_empty());
        assert_eq!(consumer.position(), 3);
    }

    #[test]
    fn memory_that_is_too_short_yields_nothing() {
        let memory = PlainMemory::new(layout::RING_OFFSET);
        let mut consumer = Consumer::begin_at_end(&memory);
        set_done(&memory, 2);
        assert!(drain(&mut consumer, &memory, 100).0.overrun);
        let none = PlainMemory::new(0);
        assert_eq!(
            drain(&mut Consumer::begin_at_end(&none), &none, 9).0,
            Drained::default()
        );
    }

    /// A writer that is in the slots while they are copied: `done` moves on between two loads.
    struct Racing {
        memory: PlainMemory,
        copies: std::cell::Cell<u32>,
        done_after: u64,
    }

    impl SharedMemory for Racing {
        fn len(&self) -> usize {
            self.memory.len()
        }

        fn load_u32(&self, offset: usize) -> Option<u32> {
            self.memory.load_u32(offset)
        }

        fn load_u64(&self, offset: usize) -> Option<u64> {
            if 0 < self.copies.get() {
                set_done(&self.memory, self.done_after);
            }
            self.memory.load_u64(offset)
        }

        fn copy_out(&self, offset: usize, out: &mut [u8]) -> bool {
            self.copies.set(self.copies.get() + 1);
            self.memory.copy_out(offset, out)
        }
    }

    #[test]
    fn copies_that_the_writer_may_have_changed_are_not_believed() {
        for (done_after, overrun) in [(BACKLOG_MAX, false), (BACKLOG_MAX + 1, true)] {
            let memory = ring();
            let mut consumer = Consumer::begin_at_end(&memory);
            publish(&memory, 0..10);
            let racing = Racing {
                memory,
                copies: 0.into(),
                done_after,
            };
            let mut records = 0;
            let drained = consumer.drain(&racing, SCREEN, 100, &mut |_| records += 1);
            assert_eq!((drained.overrun, records == 0), (overrun, overrun));
        }
    }
}

//! Input records on their way to the producer, kept while its socket takes none.
//!
//! A key or button that is lost stays pressed for ever, so those wait in order. Motion only counts where it ends, so
//! while the producer does not read, a motion joins the one of its kind that came since the last key or button. A
//! producer that reads nothing for [`limits::INPUT_QUEUE_MAX`] records is given up.

use std::collections::VecDeque;

use super::input::InputRecord;
use super::layout;
use crate::base::limits;

/// Records in order of sending.
#[derive(Debug, Default)]
pub struct InputQueue {
    records: VecDeque<InputRecord>,
    /// The producer took no more: motion is joined until the queue is empty.
    blocked: bool,
}

/// The producer has not read its input for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the driver has not read {} input records", limits::INPUT_QUEUE_MAX)]
pub struct InputQueueFull;

impl InputQueue {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Records that wait.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Adds a record at the end.
    pub fn push(&mut self, record: InputRecord) -> Result<(), InputQueueFull> {
        let record = if self.blocked || layout::INPUT_BATCH_MAX <= self.records.len() {
            self.join_motion(record)
        } else {
            record
        };
        if limits::INPUT_QUEUE_MAX <= self.records.len() {
            return Err(InputQueueFull);
        }
        self.records.push_back(record);
        Ok(())
    }

    /// The next datagram: the oldest records, at most [`layout::INPUT_BATCH_MAX`]; empty when nothing waits.
    pub fn datagram(&self) -> Vec<u8> {
        let batch = self.records.iter().take(layout::INPUT_BATCH_MAX);
        batch.flat_map(|record| record.encode()).collect()
    }

    /// That datagram was sent.
    pub fn sent(&mut self) {
        let count = self.records.len().min(layout::INPUT_BATCH_MAX);
        self.records.drain(..count);
        self.blocked &= !self.records.is_empty();
    }

    /// That datagram could not be sent now.
    pub const fn refused(&mut self) {
        self.blocked = true;
    }

    /// Takes the motion of this record's kind that waits behind the last key or button, and returns both as one.
    fn join_motion(&mut self, record: InputRecord) -> InputRecord {
        let is_motion = |other: &InputRecord| {
            !matches!(other, InputRecord::Key { .. } | InputRecord::Button { .. })
        };
        let run = self
            .records
            .iter()
            .rev()
            .take_while(|other| is_motion(other))
            .count();
        let start = self.records.len() - run;
        for index in start..self.records.len() {
            if let Some(joined) = self.records.get(index).and_then(|old| join(*old, record)) {
                self.records.remove(index);
                return joined;
            }
        }
        record
    }
}

/// Two motions of one kind, one after the other; `None` for anything else.
fn join(first: InputRecord, second: InputRecord) -> Option<InputRecord> {
    use InputRecord::{Absolute, Relative, Scroll};
    match (first, second) {
        (Absolute { .. }, Absolute { .. }) => Some(second),
        (
            Relative { dx, dy },
            Relative {
                dx: more_x,
                dy: more_y,
            },
        ) => Some(Relative {
            dx: dx.saturating_add(more_x),
            dy: dy.saturating_add(more_y),
        }),
        (
            Scroll {
                vertical,
                horizontal,
            },
            Scroll {
                vertical: more_down,
                horizontal: more_right,
            },
        ) => Some(Scroll {
            vertical: vertical.saturating_add(more_down),
            horizontal: horizontal.saturating_add(more_right),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use InputRecord::{Absolute, Button, Key, Relative, Scroll};

    const KEY: InputRecord = Key {
        code: 30,
        down: true,
    };

    fn blocked(records: &[InputRecord]) -> InputQueue {
        let mut queue = InputQueue::default();
        queue.refused();
        for record in records {
            queue.push(*record).unwrap();
        }
        queue
    }

    #[test]
    fn a_producer_that_reads_gets_everything_as_it_was() {
        let mut queue = InputQueue::default();
        let records = [
            Absolute { x: 1, y: 2 },
            Absolute { x: 3, y: 4 },
            KEY,
            Relative { dx: 1, dy: 1 },
        ];
        records
            .iter()
            .for_each(|record| queue.push(*record).unwrap());
        let bytes: Vec<u8> = records.iter().flat_map(|record| record.encode()).collect();
        assert_eq!(queue.datagram(), bytes);
        queue.sent();
        assert!(queue.is_empty() && queue.datagram().is_empty());
    }

    #[test]
    fn motion_joins_behind_the_last_key_while_blocked() {
        let queue = blocked(&[
            Absolute { x: 1, y: 1 },
            KEY,
            Absolute { x: 2, y: 2 },
            Relative {
                dx: i32::MAX,
                dy: 1,
            },
            Absolute { x: 3, y: 3 },
            Scroll {
                vertical: 120,
                horizontal: 0,
            },
            Relative { dx: 5, dy: 1 },
            Scroll {
                vertical: -20,
                horizontal: 7,
            },
            Button {
                button: 1,
                down: true,
            },
            Scroll {
                vertical: 1,
                horizontal: 1,
            },
        ]);
        let expected = [
            Absolute { x: 1, y: 1 },
            KEY,
            Absolute { x: 3, y: 3 },
            Relative {
                dx: i32::MAX,
                dy: 2,
            },
            Scroll {
                vertical: 100,
                horizontal: 7,
            },
            Button {
                button: 1,
                down: true,
            },
            Scroll {
                vertical: 1,
                horizontal: 1,
            },
        ];
        assert!(queue.records.iter().eq(expected.iter()), "{queue:?}");
    }

    #[test]
    fn motion_without_end_takes_no_room_and_keys_have_a_limit() {
        let mut queue = blocked(&[KEY]);
        for step in 0..100_000 {
            queue.push(Relative { dx: 1, dy: 0 }).unwrap();
            queue.push(Absolute { x: step, y: 0 }).unwrap();
        }
        assert_eq!(queue.len(), 3);
        let keys = limits::INPUT_QUEUE_MAX - 3;
        (0..keys).for_each(|_| queue.push(KEY).unwrap());
        assert_eq!(queue.push(KEY), Err(InputQueueFull));
        assert_eq!(queue.len(), limits::INPUT_QUEUE_MAX);
    }

    #[test]
    fn a_datagram_holds_a_batch() {
        let mut queue = blocked(&[KEY; layout::INPUT_BATCH_MAX + 1]);
        assert_eq!(
            queue.datagram().len(),
            layout::INPUT_BATCH_MAX * InputRecord::SIZE
        );
        queue.sent();
        assert_eq!(queue.datagram(), KEY.encode());
        queue.sent();
        queue.push(Absolute { x: 1, y: 1 }).unwrap();
        queue.push(Absolute { x: 2, y: 1 }).unwrap();
        assert_eq!(queue.len(), 2, "no longer blocked");
    }
}

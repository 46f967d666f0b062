//! Memory that says something else each time it is asked, and what must hold all the same.
//!
//! A script of bytes plays the other process: it writes, publishes, and decides at every single load whether the
//! truth or a lie comes back. [`check`] runs every reader over it. `tests/fuzz` feeds it with a fuzzer, the tests
//! here with random scripts and with those that a fuzzer once found.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::control::decode_leds;
use super::memory::{PeerWord, SharedMemory};
use super::wake::{self, Wait};
use super::{Armed, Consumer, ControlMessage, CursorState, Mode, Monitors, Observed, Record};
use super::{layout, state};
use crate::base::{Rect, Size};

/// Steps of one script; the rest is ignored.
const STEPS_MAX: usize = 64;

/// Loads that one reader may do, whatever comes back: a drain of `n` records copies each once and looks at `done`
/// twice a batch and three times more; a block is tried a few times with three loads each.
const fn loads_max(records: u32) -> u32 {
    records + 2 * records.div_ceil(64) + 32
}

/// Runs every reader over the memory that `script` plays.
///
/// # Panics
///
/// Where a reader breaks its promises; that is what tests and fuzzers look for.
pub fn check(script: &[u8]) {
    let memory = HostileMemory::new(script);
    let mut consumer = Consumer::begin_at_end(&memory);
    for _ in 0..STEPS_MAX {
        let Some(step) = memory.next() else {
            return;
        };
        memory.loads.set(0);
        let records = match step % 14 {
            0 => memory.poke(),
            1 | 2 => memory.publish(),
            3..=5 => check_drain(&memory, &mut consumer),
            6 => check_mode(&memory),
            7 => check_monitors(&memory),
            8 => check_cursor(&memory),
            9 => check_messages(&memory),
            10 => check_arming(&memory),
            11 | 12 => memory.write_block(),
            _ => {
                consumer = Consumer::begin_at_end(&memory);
                0
            }
        };
        assert!(
            memory.loads.get() <= loads_max(records),
            "{} loads",
            memory.loads.get()
        );
    }
}

fn check_drain(memory: &HostileMemory<'_>, consumer: &mut Consumer) -> u32 {
    let (most, screen) = (u32::from(memory.byte()) * 3, memory.screen());
    let mut handed = 0;
    let mut after_mode = false;
    let drained = consumer.drain(memory, screen, most, &mut |record| {
        handed += 1;
        assert!(!after_mode, "a mode ends the call");
        after_mode = record == Record::Mode;
        assert!(
            is_inside(&record, screen),
            "{record:?} outside of {screen:?}"
        );
    });
    assert!(
        handed <= drained.records && drained.records <= most,
        "{drained:?}"
    );
    assert!(
        !(drained.overrun && drained.more),
        "an overrun leaves nothing behind: {drained:?}"
    );
    assert!(
        !drained.more || after_mode || drained.records == most,
        "{drained:?} of {most}"
    );
    most
}

/// The invariant of [`Record`].
fn is_inside(record: &Record, screen: Size) -> bool {
    let fits = |rect: &Rect| !rect.is_empty() && screen.rect().contains(rect);
    match record {
        Record::Damage(rect) => fits(rect),
        Record::Fill { rect, color } => fits(rect) && *color <= 0x00ff_ffff,
        Record::CopyBits { rect, source } => {
            fits(rect) && fits(&rect.translate(source.minus(rect.origin())))
        }
        Record::Mode => true,
    }
}

fn check_mode(memory: &HostileMemory<'_>) -> u32 {
    let (any_size, near) = (memory.number(), u64::from(memory.byte()));
    if let Ok(mode) = Mode::read(memory) {
        let around = mode.frame_buffer_bytes().wrapping_add(near).wrapping_sub(8);
        let size = if near < 16 { around } else { any_size };
        let sides = 1..=layout::SIDE_MAX;
        assert!(
            sides.contains(&mode.size.width) && sides.contains(&mode.size.height),
            "{mode:?}"
        );
        if mode.check_frame_buffer(size).is_ok() {
            let rows = u128::from(mode.stride_bytes) * u128::from(mode.size.height);
            let last = rows - u128::from(mode.stride_bytes) + u128::from(mode.size.width) * 4;
            assert!(
                u128::from(mode.offset_bytes) + last <= u128::from(size),
                "{mode:?} {size}"
            );
        }
    }
    0
}

fn check_monitors(memory: &HostileMemory<'_>) -> u32 {
    let screen = memory.screen();
    if let Ok(monitors) = Monitors::read(memory, screen) {
        assert!(
            (1..=layout::HEADS_MAX as usize).contains(&monitors.heads.len()),
            "{monitors:?}"
        );
        assert!(
            monitors.heads.is_sorted_by(|a, b| a.id < b.id),
            "{monitors:?}"
        );
        for head in &monitors.heads {
            assert!(
                screen.rect().contains(&head.rect),
                "{head:?} outside of {screen:?}"
            );
            assert!(!head.rect.is_empty() || screen.area() == 0, "{head:?}");
        }
    }
    0
}

fn check_cursor(memory: &HostileMemory<'_>) -> u32 {
    let Ok(state) = CursorState::read(memory) else {
        return 0;
    };
    let side = |side: u32| side <= layout::CURSOR_SIDE_MAX;
    assert!(
        side(state.size.width) && side(state.size.height),
        "{state:?}"
    );
    if state.visible {
        assert!(
            state.size.rect().contains_point(state.hot_spot),
            "{state:?}"
        );
    }
    if let Ok(Some(image)) = state.read_image(memory) {
        assert_eq!(image.pixels.len() as u64, image.size.area());
        assert_eq!(
            (image.size, image.shape_serial),
            (state.size, state.shape_serial)
        );
    }
    0
}

fn check_messages(memory: &HostileMemory<'_>) -> u32 {
    let length = usize::from(memory.byte());
    let datagram: Vec<u8> = (0..length).map(|_| memory.byte()).collect();
    match ControlMessage::decode(&datagram) {
        Ok(ControlMessage::SetMonitors { heads, .. }) => {
            assert!(heads.len() <= layout::HEADS_MAX as usize, "{heads:?}");
        }
        Ok(ControlMessage::Refused(text)) => {
            assert!(!text.contains(char::is_control), "{text:?}");
        }
        _ => {}
    }
    if let Ok(Some(leds)) = decode_leds(&datagram) {
        assert!(leds.bits() < 8, "{leds:?}");
    }
    0
}

fn check_arming(memory: &HostileMemory<'_>) -> u32 {
    let observed = Observed::now(memory);
    let record = wake::arm(memory, Wait::Record, || Observed::now(memory) != observed);
    let expected = if record == Armed::Waiting {
        layout::WAIT_RECORD
    } else {
        layout::WAIT_NONE
    };
    assert_eq!(memory.waiting.get(), expected);
    let idle = wake::arm(memory, Wait::Idle, || state::is_idle(memory));
    let expected = if idle == Armed::Waiting {
        layout::WAIT_IDLE
    } else {
        layout::WAIT_NONE
    };
    assert_eq!(memory.waiting.get(), expected);
    0
}

/// The other process, played by a script. Words that nobody wrote are zero.
#[derive(Debug)]
struct HostileMemory<'a> {
    script: Cell<&'a [u8]>,
    words: RefCell<BTreeMap<usize, u32>>,
    waiting: Cell<u32>,
    loads: Cell<u32>,
}

impl<'a> HostileMemory<'a> {
    fn new(script: &'a [u8]) -> Self {
        Self {
            script: Cell::new(script),
            words: RefCell::default(),
            waiting: Cell::new(0),
            loads: Cell::new(0),
        }
    }

    fn next(&self) -> Option<u8> {
        let (first, rest) = self.script.get().split_first()?;
        self.script.set(rest);
        Some(*first)
    }

    fn byte(&self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn word(&self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// A number of any size, often near a power of two.
    fn number(&self) -> u64 {
        let (shift, near) = (self.byte(), self.byte());
        let base = if 64 <= shift {
            u64::from(self.word())
        } else {
            1 << shift
        };
        base.wrapping_add(u64::from(near)).wrapping_sub(128)
    }

    fn screen(&self) -> Size {
        let side = |a: u8, b: u8| u32::from(u16::from_le_bytes([a, b])) % (layout::SIDE_MAX + 1);
        Size::new(
            side(self.byte(), self.byte()),
            side(self.byte(), self.byte()),
        )
    }

    fn set(&self, offset: usize, value: u32) {
        self.words.borrow_mut().insert(offset / 4 * 4, value);
    }

    fn set_u64(&self, offset: usize, value: u64) {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        self.set(offset, u32::from_le_bytes([a, b, c, d]));
        self.set(offset + 4, u32::from_le_bytes([e, f, g, h]));
    }

    fn truth(&self, offset: usize) -> u32 {
        self.words.borrow().get(&offset).copied().unwrap_or(0)
    }

    fn true_u64(&self, offset: usize) -> u64 {
        u64::from(self.truth(offset)) | u64::from(self.truth(offset + 4)) << 32
    }

    /// Changes a word before the ring, or `done`.
    fn poke(&self) -> u32 {
        let done = layout::PROGRESS_OFFSET + layout::progress::DONE;
        match self.byte() {
            255 => self.set_u64(done, self.number()),
            254 => self.set_u64(done + 8, self.number()),
            place => self.set(usize::from(place) * 4, self.word()),
        }
        0
    }

    /// Writes the fields of the mode, monitors or cursor block, each small, near a limit, or anything.
    fn write_block(&self) -> u32 {
        let blocks = [
            (layout::MODE_OFFSET, 12),
            (layout::MONITORS_OFFSET, 30),
            (layout::CURSOR_OFFSET, 8),
        ];
        let (start, words) = blocks[usize::from(self.byte()) % blocks.len()];
        for index in 1..words {
            let value = match self.byte() {
                250.. => self.word(),
                240.. => layout::SIDE_MAX * 4 + u32::from(self.byte()),
                200.. => u32::from(self.byte()) | u32::from(self.byte()) << 16,
                100.. => u32::from(self.byte()),
                small => u32::from(small) % 8,
            };
            self.set(start + index * 4, value);
        }
        if start == layout::MODE_OFFSET && self.byte() < 200 {
            // Seldom would chance find the one format and a stride of whole words.
            self.set(start + layout::mode::FORMAT, layout::FORMAT_32_XRGB);
            let stride = start + layout::mode::STRIDE;
            self.set(stride, self.truth(stride).wrapping_mul(4));
            self.set_u64(
                start + layout::mode::FRAMEBUFFER_OFFSET,
                u64::from(self.byte()) * 4,
            );
        }
        0
    }

    /// Publishes records as a producer does, with any contents, the sequence mostly right.
    fn publish(&self) -> u32 {
        let done = layout::PROGRESS_OFFSET + layout::progress::DONE;
        let mut position = self.true_u64(done);
        for _ in 0..self.byte() % 70 {
            let slot = usize::try_from(position % u64::from(layout::RING_SLOTS)).unwrap_or(0);
            let offset = layout::RING_OFFSET + slot * layout::record::SIZE;
            position = position.wrapping_add(1);
            let [a, b, c, d, ..] = position.to_le_bytes();
            let kind = self.byte();
            let sequence = u32::from_le_bytes([a, b, c, d]).wrapping_add(u32::from(kind == 77));
            self.set(offset, sequence);
            self.set(offset + 4, u32::from(kind & 0x87));
            for index in 2..8 {
                let near = i32::from(self.byte()) * 40 - 400;
                let value = if near == -400 {
                    self.word()
                } else {
                    near.cast_unsigned()
                };
                self.set(offset + index * 4, value);
            }
        }
        self.set_u64(done, position);
        0
    }

    /// Whether the next load lies; most tell the truth, or nothing would ever get past the first check.
    fn lies(&self) -> bool {
        self.loads.set(self.loads.get() + 1);
        self.byte() < 24 && !self.script.get().is_empty()
    }
}

impl SharedMemory for HostileMemory<'_> {
    fn len(&self) -> usize {
        layout::RING_MEMFD_SIZE
    }

    fn load_u32(&self, offset: usize) -> Option<u32> {
        assert!(offset.is_multiple_of(4), "aligned");
        (offset + 4 <= self.len()).then_some(())?;
        Some(if self.lies() {
            self.word()
        } else {
            self.truth(offset)
        })
    }

    fn load_u64(&self, offset: usize) -> Option<u64> {
        assert!(offset.is_multiple_of(8), "aligned");
        (offset + 8 <= self.len()).then_some(())?;
        Some(if self.lies() {
            self.number()
        } else {
            self.true_u64(offset)
        })
    }

    fn copy_out(&self, offset: usize, out: &mut [u8]) -> bool {
        if self.len() < offset || self.len() - offset < out.len() {
            return false;
        }
        out.fill(0);
        for (at, word) in self.words.borrow().range(offset..offset + out.len()) {
            let place = out.get_mut(at - offset..).unwrap_or_default();
            for (target, byte) in place.iter_mut().zip(word.to_le_bytes()) {
                *target = byte;
            }
        }
        if self.lies() {
            let (at, lie) = (usize::from(self.byte()), self.word().to_le_bytes());
            let place = out.iter_mut().skip(at % 64);
            place.zip(lie).for_each(|(target, byte)| *target = byte);
        }
        true
    }
}

impl PeerWord for HostileMemory<'_> {
    fn store_waiting(&self, value: u32) {
        self.waiting.set(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn random_scripts_break_no_promise(script in prop::collection::vec(any::<u8>(), 0..2000)) {
            check(&script);
        }

        /// Steps that are weighted towards publishing and draining, so that records get through.
        #[test]
        fn drawing_scripts_break_no_promise(
            steps in prop::collection::vec((0u8..14, prop::collection::vec(any::<u8>(), 0..60)), 0..40),
        ) {
            let script: Vec<u8> =
                steps.into_iter().flat_map(|(step, rest)| [vec![step], rest].concat()).collect();
            check(&script);
        }
    }

    /// The scripts do reach what they are for: records of each kind come through in between the lies.
    #[test]
    fn scripts_reach_every_kind_of_record() {
        let mut kinds = std::collections::HashSet::new();
        for kind in [
            layout::DAMAGE,
            layout::FILL,
            layout::COPY_BITS,
            layout::MODE,
        ] {
            let mut script = vec![1, kind];
            script.extend([11, 11, 15, 15, 11, 11]);
            let memory = HostileMemory::new(&script);
            let mut consumer = Consumer::begin_at_end(&HostileMemory::new(&[]));
            memory.publish();
            consumer.drain(&memory, Size::new(500, 500), 9, &mut |record| {
                kinds.insert(std::mem::discriminant(&record));
            });
        }
        assert_eq!(kinds.len(), 4);
    }

    /// Scripts that a fuzzer found, each once a failure or a new path; see `tests/fuzz`.
    #[test]
    fn scripts_from_the_fuzzer_break_no_promise() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/regressions/ring");
        let mut count = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            check(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(0 < count);
    }
}

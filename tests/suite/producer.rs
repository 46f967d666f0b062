//! A model of the driver: a screen in plain memory, drawn on and published as the driver does it.
//!
//! It shares one thread with the server under test. The pixels change first, then the records are published; with
//! [`Producer::hold`] records lag behind the pixels for as long as a test likes, which is what the server meets
//! when X draws while it reads; `begun` tells of fills and copies before they are drawn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use caraway_server::base::{Point, Rect, Size};
use caraway_server::ring::layout::{self, cursor, head, mode, monitors, monitors_config};
use caraway_server::ring::layout::{progress, record, state};
use caraway_server::ring::{CursorImage, Head, Leds, PeerWord, PixelSource, PlainMemory};
use caraway_server::ring::{SharedMemory, Wait};

use crate::words;

/// One thing that clients of X do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// A solid fill of some rectangles, one operation.
    Fill(Vec<Rect>, u32),
    /// The rectangle receives what lies `(dx, dy)` before it, all pixels at once, as CopyArea does.
    Copy(Rect, i32, i32),
    /// An image whose pixels follow from the number.
    Image(Rect, u32),
    /// The same image wherever it lies.
    ImageAt(Rect, u32),
    /// A frame of a film, by its number: soft shapes that move, with some grain.
    Film(Rect, u32),
    /// Lines of words, by their number.
    Words(Rect, u32),
    /// Some glyphs in a row from the point on.
    Text(Point, u32),
    /// Every pixel of the rectangle is inverted: a raster operation, which the ring knows as damage only.
    Invert(Rect),
}

/// The model driver.
#[derive(Debug)]
pub(crate) struct Producer {
    memory: PlainMemory,
    peer: Peer,
    pixels: Pixels,
    /// Records drawn and not published.
    held: Option<Vec<[u8; record::SIZE]>>,
    done: u64,
    generation: u32,
    shape: u32,
    cursor_lock: u32,
}

/// The peer page and the eventfd. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    waiting: Rc<Cell<u32>>,
    signals: Rc<Cell<u32>>,
}

/// The frame buffer. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Pixels {
    shared: Rc<RefCell<(Size, Vec<u32>)>>,
}

impl Producer {
    /// A black screen of this size with one monitor.
    pub(crate) fn new(size: Size) -> Self {
        let mut producer = Self {
            memory: PlainMemory::new(layout::RING_MEMFD_SIZE),
            peer: Peer::default(),
            pixels: Pixels {
                shared: Rc::new(RefCell::new((size, black(size)))),
            },
            held: None,
            done: 0,
            generation: 0,
            shape: 0,
            cursor_lock: 0,
        };
        producer.resize(size);
        producer
    }

    /// The ring memory.
    pub(crate) fn memory(&self) -> PlainMemory {
        self.memory.clone()
    }

    /// The page that the server writes.
    pub(crate) fn peer(&self) -> Peer {
        self.peer.clone()
    }

    /// The live pixels.
    pub(crate) fn pixels(&self) -> Pixels {
        self.pixels.clone()
    }

    /// The screen's size.
    pub(crate) fn size(&self) -> Size {
        self.pixels.shared.borrow().0
    }

    /// All pixels, row by row, as they are now.
    pub(crate) fn snapshot(&self) -> Vec<u32> {
        self.pixels.shared.borrow().1.clone()
    }

    /// Draws, then publishes what was drawn.
    pub(crate) fn draw(&mut self, op: &Op) {
        match op {
            Op::Fill(rects, color) => self.fill(rects, *color),
            Op::Copy(rect, dx, dy) => self.copy(*rect, *dx, *dy),
            Op::Image(rect, seed) => {
                self.paint(*rect, |x, y, _| noise(*seed, x, y));
                self.publish(layout::DAMAGE, &[*rect], |_| [0, 0]);
            }
            Op::ImageAt(rect, seed) => {
                let origin = rect.origin();
                self.paint(*rect, |x, y, _| noise(*seed, x - origin.x, y - origin.y));
                self.publish(layout::DAMAGE, &[*rect], |_| [0, 0]);
            }
            Op::Film(rect, frame) => {
                self.paint(*rect, |x, y, _| film(*frame, x, y));
                self.publish(layout::DAMAGE, &[*rect], |_| [0, 0]);
            }
            Op::Words(rect, seed) => {
                self.paint(*rect, |x, y, _| words::pixel(*seed, Point::new(x, y)));
                self.publish(layout::DAMAGE, &[*rect], |_| [0, 0]);
            }
            Op::Text(start, seed) => self.text(*start, *seed),
            Op::Invert(rect) => {
                self.paint(*rect, |_, _, old| !old & 0x00ff_ffff);
                self.publish(layout::DAMAGE, &[*rect], |_| [0, 0]);
            }
        }
    }

    /// From now on pixels change and records wait.
    pub(crate) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Publishes what was held.
    pub(crate) fn release(&mut self) {
        if let Some(records) = self.held.take() {
            self.write_records(&records);
        }
    }

    /// All requests of the clients are served (the driver's BlockHandler).
    pub(crate) fn idle(&mut self) {
        let offset = layout::PROGRESS_OFFSET + progress::IDLE_DONE;
        self.write(offset, &self.done.to_le_bytes());
        self.peer.wake(Wait::Idle);
    }

    /// A new mode with a frame buffer of its own, black, and one monitor over it.
    pub(crate) fn resize(&mut self, size: Size) {
        *self.pixels.shared.borrow_mut() = (size, black(size));
        self.generation += 1;
        let stride = size.width * 4;
        let fields = [
            (mode::GENERATION, self.generation),
            (mode::WIDTH, size.width),
            (mode::HEIGHT, size.height),
            (mode::STRIDE, stride),
            (mode::FORMAT, layout::FORMAT_32_XRGB),
            (mode::FRAMEBUFFER_ID, self.generation),
        ];
        for (offset, value) in fields {
            self.write_u32(layout::MODE_OFFSET + offset, value);
        }
        let bytes = u64::from(stride) * u64::from(size.height);
        self.write(
            layout::MODE_OFFSET + mode::FRAMEBUFFER_SIZE,
            &bytes.to_le_bytes(),
        );
        self.count_up(layout::MODE_OFFSET + mode::LOCK, 2);
        self.publish(layout::MODE, &[size.rect()], |_| [0, 0]);
        self.set_monitors(&[Head {
            id: 0,
            rect: size.rect(),
        }]);
    }

    /// These outputs are on.
    pub(crate) fn set_monitors(&mut self, heads: &[Head]) {
        let config = layout::MONITORS_OFFSET + monitors::CONFIG;
        let count = u16::try_from(heads.len()).expect("a few heads");
        self.write(config + monitors_config::COUNT, &count.to_le_bytes());
        for (index, one) in heads.iter().enumerate() {
            let offset = config + monitors_config::HEADS + index * head::SIZE;
            let origin = one.rect.origin();
            let fields = [
                (head::ID, one.id),
                (head::WIDTH, one.rect.width()),
                (head::HEIGHT, one.rect.height()),
                (head::X, origin.x.cast_unsigned()),
                (head::Y, origin.y.cast_unsigned()),
            ];
            fields
                .iter()
                .for_each(|(field, value)| self.write_u32(offset + field, *value));
        }
        self.count_up(layout::MONITORS_OFFSET + monitors::LOCK, 2);
        self.peer.wake(Wait::Record);
    }

    /// Shows a cursor; the image's serial is given by the driver, so the one in it does not count.
    pub(crate) fn set_cursor(&mut self, image: &CursorImage) {
        self.shape += 1;
        let slot = self.shape % layout::CURSOR_SLOTS;
        let place = layout::CURSOR_IMAGES_OFFSET + slot as usize * layout::CURSOR_SLOT_SIZE;
        let bytes: Vec<u8> = image
            .pixels
            .iter()
            .flat_map(|pixel| pixel.to_le_bytes())
            .collect();
        self.write(place, &bytes);
        let sides = [
            (cursor::WIDTH, image.size.width),
            (cursor::HEIGHT, image.size.height),
            (cursor::HOT_X, image.hot_spot.x.cast_unsigned()),
            (cursor::HOT_Y, image.hot_spot.y.cast_unsigned()),
        ];
        for (offset, side) in sides {
            let side = u16::try_from(side).expect("a cursor's side");
            self.write(layout::CURSOR_OFFSET + offset, &side.to_le_bytes());
        }
        self.write_u32(layout::CURSOR_OFFSET + cursor::SLOT, slot);
        self.write_u32(layout::CURSOR_OFFSET + cursor::SHAPE, self.shape);
        self.show_cursor(true);
    }

    /// Moves the hot spot.
    pub(crate) fn move_cursor(&mut self, position: Point) {
        self.write_u32(
            layout::CURSOR_OFFSET + cursor::X,
            position.x.cast_unsigned(),
        );
        self.write_u32(
            layout::CURSOR_OFFSET + cursor::Y,
            position.y.cast_unsigned(),
        );
        self.cursor_changed();
    }

    /// A small pointer is shown here that was hidden.
    pub(crate) fn point_at(&mut self, position: Point) {
        self.show_cursor(false);
        self.set_cursor(&CursorImage {
            shape_serial: 0,
            size: Size::new(2, 2),
            hot_spot: Point::new(1, 1),
            pixels: vec![0xff01_0203; 4],
        });
        self.move_cursor(position);
    }

    /// Shows or hides the cursor.
    pub(crate) fn show_cursor(&mut self, visible: bool) {
        self.write_u32(layout::CURSOR_OFFSET + cursor::VISIBLE, u32::from(visible));
        self.cursor_changed();
    }

    /// Turns lock LEDs on and off.
    pub(crate) fn set_leds(&self, leds: Leds) {
        self.write_u32(layout::STATE_OFFSET + state::LEDS, u32::from(leds.bits()));
        self.peer.wake(Wait::Record);
    }

    fn cursor_changed(&mut self) {
        self.cursor_lock += 2;
        self.write_u32(layout::CURSOR_OFFSET + cursor::LOCK, self.cursor_lock);
        self.peer.wake(Wait::Record);
    }

    /// A fill or copy is about to be drawn.
    fn begin(&self) {
        let written = self.held.as_ref().map_or(0, Vec::len) as u64;
        let begun = self.done + written + 1;
        self.write(
            layout::PROGRESS_OFFSET + progress::BEGUN,
            &begun.to_le_bytes(),
        );
    }

    fn fill(&mut self, rects: &[Rect], color: u32) {
        self.begin();
        for rect in rects {
            self.paint(*rect, |_, _, _| color & 0x00ff_ffff);
        }
        self.publish(layout::FILL, rects, |_| [color, 0]);
    }

    /// Like the driver, only where the source is on the screen.
    fn copy(&mut self, rect: Rect, dx: i32, dy: i32) {
        let screen = self.size().rect();
        let way = Point::new(dx, dy);
        let rect = rect.intersect(&screen).intersect(&screen.translate(way));
        self.begin();
        let before = self.pixels.clone_of(self.size());
        self.paint(rect, |x, y, _| before.at(Point::new(x - dx, y - dy)));
        self.publish(layout::COPY_BITS, &[rect], |rect| {
            [
                (rect.left - dx).cast_unsigned(),
                (rect.top - dy).cast_unsigned(),
            ]
        });
    }

    /// Glyphs of 7x11 pixels, of which only those set are drawn; each is damage of its own.
    fn text(&mut self, start: Point, seed: u32) {
        let glyphs: Vec<Rect> = (0..8)
            .map(|index| Rect::at(start.x + index * 8, start.y, 7, 11))
            .collect();
        for glyph in &glyphs {
            self.paint(*glyph, |x, y, old| {
                if noise(seed, x, y) & 3 == 0 {
                    seed >> 8
                } else {
                    old
                }
            });
        }
        self.publish(layout::DAMAGE, &glyphs, |_| [0, 0]);
    }

    /// Sets every pixel of the rectangle on the screen to `paint(x, y, before)`.
    fn paint(&mut self, rect: Rect, paint: impl Fn(i32, i32, u32) -> u32) {
        let mut shared = self.pixels.shared.borrow_mut();
        let (size, words) = &mut *shared;
        let rect = rect.intersect(&size.rect());
        for y in rect.top..rect.bottom {
            for x in rect.left..rect.right {
                let pixel = &mut words[place(*size, x, y)];
                *pixel = paint(x, y, *pixel);
            }
        }
    }

    /// One operation's records: clipped rectangles, or their extents when they are too many.
    fn publish(&mut self, kind: u8, rects: &[Rect], words: impl Fn(&Rect) -> [u32; 2]) {
        let screen = self.size().rect();
        let clipped = rects.iter().map(|rect| rect.intersect(&screen));
        let mut group: Vec<Rect> = clipped.filter(|rect| !rect.is_empty()).collect();
        let mut kind = kind;
        if (layout::GROUP_MAX as usize) < group.len() {
            kind = layout::DAMAGE;
            group = vec![
                group
                    .iter()
                    .fold(Rect::default(), |all, rect| all.union_bounds(rect)),
            ];
        }
        let count = group.len();
        let records: Vec<[u8; record::SIZE]> = group
            .iter()
            .enumerate()
            .map(|(index, rect)| encode(kind, count - 1 - index, rect, words(rect)))
            .collect();
        match &mut self.held {
            Some(held) => held.extend(records),
            None => self.write_records(&records),
        }
    }

    fn write_records(&mut self, records: &[[u8; record::SIZE]]) {
        if records.is_empty() {
            return;
        }
        for bytes in records {
            let slot = usize::try_from(self.done % u64::from(layout::RING_SLOTS)).expect("a slot");
            let offset = layout::RING_OFFSET + slot * record::SIZE;
            self.done += 1;
            self.write(offset, bytes);
            let sequence = u32::try_from(self.done & 0xffff_ffff).expect("32 bits");
            self.write_u32(offset + record::SEQUENCE, sequence);
        }
        let done = self.done.to_le_bytes();
        self.write(layout::PROGRESS_OFFSET + progress::BEGUN, &done);
        self.write(layout::PROGRESS_OFFSET + progress::DONE, &done);
        self.peer.wake(Wait::Record);
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(
            self.memory.write(offset, bytes),
            "inside of the ring memory"
        );
    }

    fn write_u32(&self, offset: usize, value: u32) {
        self.write(offset, &value.to_le_bytes());
    }

    fn count_up(&self, offset: usize, by: u32) {
        let before = self
            .memory
            .load_u32(offset)
            .expect("a word of the ring memory");
        self.write_u32(offset, before.wrapping_add(by));
    }
}

impl Peer {
    /// Writes the eventfd if the server waits for this.
    fn wake(&self, wait: Wait) {
        if self.waiting.get() == wait.word() {
            self.waiting.set(layout::WAIT_NONE);
            self.signals.set(self.signals.get() + 1);
        }
    }

    /// How often the eventfd was written since this was asked last.
    pub(crate) fn take_signals(&self) -> u32 {
        self.signals.take()
    }
}

impl PeerWord for Peer {
    fn store_waiting(&self, value: u32) {
        self.waiting.set(value);
    }
}

impl Pixels {
    fn at(&self, point: Point) -> u32 {
        let shared = self.shared.borrow();
        shared.1[place(shared.0, point.x, point.y)]
    }

    fn clone_of(&self, size: Size) -> Self {
        Self {
            shared: Rc::new(RefCell::new((size, self.shared.borrow().1.clone()))),
        }
    }
}

impl PixelSource for Pixels {
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
        let shared = self.shared.borrow();
        for (column, pixel) in (x..).zip(out) {
            let inside = y < shared.0.height && column < shared.0.width;
            let at = y as usize * shared.0.width as usize + column as usize;
            // The driver leaves the top byte undefined, so let it be something.
            *pixel = if inside {
                shared.1[at] | 0x5500_0000
            } else {
                0
            };
        }
    }
}

fn black(size: Size) -> Vec<u32> {
    vec![0; usize::try_from(size.area()).expect("a screen")]
}

fn place(size: Size, x: i32, y: i32) -> usize {
    y.cast_unsigned() as usize * size.width as usize + x.cast_unsigned() as usize
}

/// A pixel of a film: gradients that move two pixels a frame, with grain of a few steps.
fn film(frame: u32, x: i32, y: i32) -> u32 {
    let (shift, grain) = (frame.cast_signed() * 2, noise(frame, x, y) & 7);
    let wave = |at: i32, period: i32| {
        let place = at.rem_euclid(2 * period);
        let height = (place - period).abs() * 200 / period;
        height.cast_unsigned() + grain
    };
    wave(x + shift, 90) << 16 | wave(y * 2 - shift, 110) << 8 | wave(x + y, 140)
}

pub(crate) fn noise(seed: u32, x: i32, y: i32) -> u32 {
    let mixed = seed ^ x.cast_unsigned().wrapping_mul(0x9e37_79b1) ^ y.cast_unsigned() << 16;
    (mixed.wrapping_mul(0x85eb_ca6b) >> 8) & 0x00ff_ffff
}

fn encode(kind: u8, more: usize, rect: &Rect, words: [u32; 2]) -> [u8; record::SIZE] {
    let mut bytes = [0; record::SIZE];
    let more = u16::try_from(more).expect("a group");
    bytes[record::TYPE] = kind;
    bytes[record::MORE..][..2].copy_from_slice(&more.to_le_bytes());
    let edges = [rect.top, rect.left, rect.bottom, rect.right].map(i32::cast_unsigned);
    let all = edges.into_iter().chain(words);
    for (place, word) in bytes[record::BBOX..].chunks_exact_mut(4).zip(all) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Random operations around a screen of this size, for properties.
pub(crate) fn any_op(size: Size) -> impl proptest::strategy::Strategy<Value = Op> {
    use proptest::prelude::*;
    let (width, height) = (size.rect().right, size.rect().bottom);
    let point = move || (-9..width + 9, -9..height + 9).prop_map(|(x, y)| Point::new(x, y));
    let rect =
        move || (point(), 1..width, 1..height).prop_map(|(at, w, h)| Rect::at(at.x, at.y, w, h));
    prop_oneof![
        (prop::collection::vec(rect(), 1..4), any::<u32>()).prop_map(|(r, c)| Op::Fill(r, c)),
        (rect(), -9..9i32, -9..9i32).prop_map(|(rect, dx, dy)| Op::Copy(rect, dx, dy)),
        (rect(), any::<u32>()).prop_map(|(rect, seed)| Op::Image(rect, seed)),
        // Few of them, so that they come back.
        (rect(), 0..3u32).prop_map(|(rect, seed)| Op::Image(rect, seed)),
        (rect(), 0..3u32).prop_map(|(rect, seed)| Op::ImageAt(rect, seed)),
        (rect(), any::<u32>()).prop_map(|(rect, seed)| Op::Words(rect, seed)),
        (point(), any::<u32>()).prop_map(|(start, seed)| Op::Text(start, seed)),
        rect().prop_map(Op::Invert),
    ]
}

#[cfg(test)]
mod tests;

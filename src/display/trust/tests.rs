//! X draws while its pixels are read, step by step, and nothing of it is lost or taken twice.

use std::cell::RefCell;
use std::collections::VecDeque;

use proptest::prelude::*;

use super::{BARRED_FOR, COMPARE_INTERVAL};
use crate::base::{Micros, Point, Rect, Region, Size};
use crate::display::{ExactOp, Frame, Screen, Shadow};
use crate::ring::{PixelSource, Record};

const SIZE: Size = Size::new(200, 120);

/// Bands in which an operation is drawn.
const BANDS: i32 = 3;

/// One operation of X.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// Told as it is.
    Exact(ExactOp),
    /// Damage.
    Image(Rect, u32),
    /// Damage, of which a part is told while the rest is being drawn, and all of it in the end.
    Nested(Rect, u32),
    /// Told, never drawn.
    Lie(ExactOp),
}

/// What the driver does between two moments at which the server may look.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    Paint(Op, i32),
    Publish(Record),
}

/// The frame buffer and the ring, in which X goes on drawing whenever a row is read.
#[derive(Debug)]
struct Desktop {
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    pixels: Shadow,
    /// As it was when the operation that is being drawn began.
    before: Shadow,
    steps: VecDeque<Step>,
    /// Published and not drained.
    records: Vec<Record>,
    begun: u64,
    done: u64,
    drained: u64,
    /// Steps that X makes before each of the next rows is read.
    pace: VecDeque<u8>,
    rows_read: usize,
}

fn rect_of(op: Op) -> Rect {
    match op {
        Op::Exact(exact) | Op::Lie(exact) => exact.rect(),
        Op::Image(rect, _) | Op::Nested(rect, _) => rect,
    }
}

fn record(op: &ExactOp) -> Record {
    match *op {
        ExactOp::Copy { rect, delta } => Record::CopyBits {
            rect,
            source: rect.origin().minus(delta),
        },
        ExactOp::Fill { rect, color } => Record::Fill { rect, color },
    }
}

/// A picture to draw.
struct Noise(u32);

impl PixelSource for Noise {
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
        for (column, pixel) in (x..).zip(out) {
            *pixel = (self.0 ^ (y / 3 * 977 + column / 5)).wrapping_mul(0x9e37_79b1) >> 8;
        }
    }
}

impl Inner {
    /// What `op` does, once it is its turn.
    fn plan(&mut self, op: Op) {
        let paint = (0..BANDS).map(|band| Step::Paint(op, band));
        match op {
            Op::Exact(exact) => {
                self.steps.push_back(Step::Begin);
                self.steps.extend(paint);
                self.steps.push_back(Step::Publish(record(&exact)));
            }
            Op::Image(rect, _) => {
                self.steps.extend(paint);
                self.steps.push_back(Step::Publish(Record::Damage(rect)));
            }
            Op::Nested(rect, _) => {
                let told = Step::Publish(Record::Damage(band(rect, 0)));
                let mut paint = paint;
                self.steps.extend(paint.next());
                self.steps.push_back(told);
                self.steps.extend(paint);
                self.steps.push_back(Step::Publish(Record::Damage(rect)));
            }
            Op::Lie(exact) => {
                self.steps.push_back(Step::Begin);
                self.steps.push_back(Step::Publish(record(&exact)));
            }
        }
    }

    fn step(&mut self) {
        match self.steps.pop_front() {
            None => {}
            Some(Step::Begin) => self.begun = self.done + 1,
            Some(Step::Paint(op, number)) => {
                if number == 0 {
                    copy(&self.pixels, &mut self.before);
                }
                self.paint(op, &band(rect_of(op), number));
            }
            Some(Step::Publish(record)) => {
                self.records.push(record);
                self.done += 1;
                self.begun = self.done;
            }
        }
    }

    fn paint(&mut self, op: Op, part: &Rect) {
        let region = Region::from(*part);
        match op {
            Op::Exact(ExactOp::Fill { color, .. }) => {
                self.pixels.apply(&ExactOp::Fill { rect: *part, color });
            }
            Op::Exact(ExactOp::Copy { delta, .. }) => {
                self.pixels.refresh(&Moved(&self.before, delta), &region);
            }
            Op::Image(_, seed) | Op::Nested(_, seed) => {
                self.pixels.refresh(&Noise(seed), &region);
            }
            Op::Lie(_) => {}
        }
    }
}

fn band(rect: Rect, number: i32) -> Rect {
    let edge = |number: i32| rect.top + rect.height().cast_signed() * number / BANDS;
    Rect::new(rect.left, edge(number), rect.right, edge(number + 1))
}

fn copy(from: &Shadow, to: &mut Shadow) {
    to.refresh(&Moved(from, Point::default()), &Region::from(SIZE.rect()));
}

/// A picture that lies elsewhere.
struct Moved<'a>(&'a Shadow, Point);

impl PixelSource for Moved<'_> {
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
        let (x, y) = (x.cast_signed() - self.1.x, y.cast_signed() - self.1.y);
        self.0.read_row(y.cast_unsigned(), x.cast_unsigned(), out);
    }
}

impl PixelSource for Desktop {
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
        let mut inner = self.inner.borrow_mut();
        inner.rows_read += 1;
        for _ in 0..inner.pace.pop_front().unwrap_or(0) {
            inner.step();
        }
        inner.pixels.read_row(y, x, out);
    }

    fn is_settled(&self) -> bool {
        let inner = self.inner.borrow();
        inner.begun == inner.drained
    }
}

impl Desktop {
    fn new() -> Self {
        Self {
            inner: RefCell::new(Inner {
                pixels: Shadow::new(SIZE),
                before: Shadow::new(SIZE),
                steps: VecDeque::new(),
                records: Vec::new(),
                begun: 0,
                done: 0,
                drained: 0,
                pace: VecDeque::new(),
                rows_read: 0,
            }),
        }
    }

    fn plan(&self, op: Op) {
        self.inner.borrow_mut().plan(op);
    }

    fn draw_all(&self) {
        let mut inner = self.inner.borrow_mut();
        while !inner.steps.is_empty() {
            inner.step();
        }
    }

    fn rows_read(&self) -> usize {
        std::mem::take(&mut self.inner.borrow_mut().rows_read)
    }
}

/// The screen, and a client that follows its frames.
struct Seat {
    desktop: Desktop,
    screen: Screen,
    client: Shadow,
}

impl Seat {
    fn new() -> Self {
        Self {
            desktop: Desktop::new(),
            screen: Screen::new(SIZE),
            client: Shadow::new(SIZE),
        }
    }

    fn frame(&mut self, now: Micros) -> Frame {
        let mut inner = self.desktop.inner.borrow_mut();
        for record in std::mem::take(&mut inner.records) {
            self.screen.record(&record);
        }
        inner.drained = inner.done;
        drop(inner);
        let frame = self.screen.refresh(now, &self.desktop);
        frame.ops.iter().for_each(|op| self.client.apply(op));
        self.client.refresh(self.screen.shadow(), &frame.changed);
        frame
    }

    /// Draws these and shows them.
    fn show(&mut self, now: Micros, ops: &[Op]) -> Frame {
        ops.iter().for_each(|op| self.desktop.plan(*op));
        self.desktop.draw_all();
        self.frame(now)
    }

    fn is_exact(&self) -> bool {
        let inner = self.desktop.inner.borrow();
        pixels(self.screen.shadow()) == pixels(&inner.pixels)
    }
}

fn pixels(shadow: &Shadow) -> Vec<u32> {
    let pixels = shadow.pixels(&SIZE.rect()).expect("the whole picture");
    pixels.rows().flatten().copied().collect()
}

/// Before anything is compared for its own sake: nothing is mended.
const EARLY: Micros = Micros(1);

#[derive(Clone, Debug)]
enum Event {
    Plan(Op),
    /// X works while nobody reads.
    Draw(usize),
    /// A frame, with so many steps of X before each row that is read.
    Frame(Vec<u8>),
    Overrun,
}

fn rect() -> impl Strategy<Value = Rect> {
    (0..200, 0..120, 1..180, 1..110)
        .prop_map(|(x, y, w, h)| Rect::at(x, y, w, h).intersect(&SIZE.rect()))
}

fn exact() -> impl Strategy<Value = ExactOp> {
    let delta = (-30..31, -30..31).prop_map(|(x, y)| Point::new(x, y));
    prop_oneof![
        1 => (rect(), 0u32..4).prop_map(|(rect, color)| ExactOp::Fill { rect, color: color * 0x7f }),
        3 => (rect(), delta).prop_map(|(rect, delta)| ExactOp::Copy {
            rect: rect.intersect(&SIZE.rect().translate(delta)),
            delta,
        }),
    ]
    .prop_filter("some pixels", |op| !op.rect().is_empty())
}

fn event() -> impl Strategy<Value = Event> {
    let pace = prop_oneof![Just(0u8), Just(0u8), Just(0u8), Just(1u8), 1..9u8];
    prop_oneof![
        3 => exact().prop_map(|op| Event::Plan(Op::Exact(op))),
        2 => (rect(), any::<u32>()).prop_map(|(rect, seed)| Event::Plan(Op::Image(rect, seed))),
        1 => (rect(), any::<u32>()).prop_map(|(rect, seed)| Event::Plan(Op::Nested(rect, seed))),
        3 => (0usize..12).prop_map(Event::Draw),
        4 => prop::collection::vec(pace, 0..120).prop_map(Event::Frame),
        1 => prop_oneof![9 => Just(Event::Frame(Vec::new())), 1 => Just(Event::Overrun)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever X draws in the middle of reading, and nobody ever compares what was believed.
    #[test]
    fn an_honest_driver_s_picture_is_exact(events in prop::collection::vec(event(), 1..60)) {
        let mut seat = Seat::new();
        for event in events {
            match event {
                Event::Plan(op) => seat.desktop.plan(op),
                Event::Draw(steps) => {
                    let mut inner = seat.desktop.inner.borrow_mut();
                    (0..steps).for_each(|_| inner.step());
                }
                Event::Frame(pace) => {
                    seat.desktop.inner.borrow_mut().pace = pace.into();
                    seat.frame(EARLY);
                    prop_assert_eq!(pixels(&seat.client), pixels(seat.screen.shadow()));
                }
                Event::Overrun => {
                    seat.desktop.inner.borrow_mut().records.clear();
                    seat.screen.damage_all();
                }
            }
        }
        seat.desktop.inner.borrow_mut().pace.clear();
        seat.show(EARLY, &[]);
        prop_assert!(seat.is_exact());
        prop_assert!(seat.screen.trust().settled, "X rests");
    }
}

const SCROLL: ExactOp = ExactOp::Copy {
    rect: Rect::new(0, 0, 200, 100),
    delta: Point::new(0, -20),
};
const LAST_LINES: Rect = Rect::new(0, 100, 200, 120);
const FILL: ExactOp = ExactOp::Fill {
    rect: Rect::new(20, 20, 180, 90),
    color: 0x1234,
};

#[test]
fn what_is_believed_is_not_read() {
    let mut seat = Seat::new();
    seat.show(EARLY, &[Op::Image(SIZE.rect(), 1)]);
    seat.desktop.rows_read();
    let frame = seat.show(EARLY, &[Op::Exact(SCROLL), Op::Image(LAST_LINES, 2)]);
    let glances = 20 / 4;
    let read = seat.desktop.rows_read();
    assert!(read <= 20 + glances, "{read} rows");
    assert_eq!(frame.ops, [SCROLL]);
    // The picture from which a copy takes is read where it goes.
    seat.show(EARLY, &[Op::Image(LAST_LINES, 3), Op::Exact(SCROLL)]);
    assert!(seat.is_exact());
    assert!(seat.desktop.rows_read() <= 40 + 2 * glances);
    // A fill of what is filled changes nothing.
    assert_eq!(seat.show(EARLY, &[Op::Exact(FILL)]).ops, [FILL]);
    assert!(seat.show(EARLY, &[Op::Exact(FILL)]).ops.is_empty());
}

#[test]
fn a_frame_in_the_middle_of_a_copy_is_not_believed() {
    let mut seat = Seat::new();
    seat.show(EARLY, &[Op::Image(SIZE.rect(), 1)]);
    seat.desktop.plan(Op::Image(LAST_LINES, 2));
    seat.desktop.draw_all();
    seat.desktop.plan(Op::Exact(SCROLL));
    seat.desktop.inner.borrow_mut().pace = vec![1; 3].into();
    seat.frame(EARLY);
    assert!(!seat.screen.trust().settled);
    seat.desktop.rows_read();
    seat.show(EARLY, &[]);
    assert!(seat.is_exact() && seat.screen.trust().settled);
    assert!(100 <= seat.desktop.rows_read(), "all that was touched");
}

#[test]
fn a_driver_that_is_wrong_is_mended_and_not_believed_again() {
    let mut seat = Seat::new();
    let mut now = COMPARE_INTERVAL;
    seat.show(now, &[Op::Image(SIZE.rect(), 1)]);
    seat.show(now, &[Op::Lie(FILL)]);
    assert!(!seat.is_exact(), "believed");
    now = now + COMPARE_INTERVAL;
    seat.show(now, &[Op::Image(LAST_LINES, 2)]);
    assert!(seat.is_exact(), "mended");
    seat.show(now, &[Op::Image(LAST_LINES, 3)]);
    seat.show(now, &[Op::Lie(SCROLL)]);
    assert!(seat.is_exact(), "not believed");
    now = now + BARRED_FOR;
    seat.show(now, &[]);
    seat.show(now, &[Op::Lie(FILL)]);
    assert!(!seat.is_exact(), "believed again");
}

#[test]
fn drawing_in_the_middle_of_a_comparison_is_no_lie() {
    let mut seat = Seat::new();
    seat.show(COMPARE_INTERVAL, &[Op::Image(SIZE.rect(), 1)]);
    seat.show(COMPARE_INTERVAL, &[Op::Exact(FILL)]);
    let now = COMPARE_INTERVAL + COMPARE_INTERVAL;
    seat.desktop.plan(Op::Image(FILL.rect(), 2));
    seat.desktop.inner.borrow_mut().pace = vec![1, 1, 1].into();
    let frame = seat.frame(now);
    assert!(!frame.changed.is_empty() && seat.screen.trust().settled);
    seat.show(now, &[]);
    seat.desktop.rows_read();
    seat.show(now, &[Op::Exact(FILL)]);
    assert!(seat.is_exact() && seat.desktop.rows_read() < 70, "believed");
}

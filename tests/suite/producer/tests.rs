//! The model tells the truth: whoever follows its records has its screen.

use super::*;
use caraway_server::ring::{Armed, Consumer, CursorState, Mode, Monitors, Observed, Record};
use caraway_server::ring::{state as ring_state, wake};
use proptest::prelude::*;

const SIZE: Size = Size::new(60, 40);

/// A screen built from records alone, reading pixels where they say so.
struct Follower {
    consumer: Consumer,
    size: Size,
    shadow: Vec<u32>,
}

impl Follower {
    fn new(producer: &Producer) -> Self {
        let consumer = Consumer::begin_at_end(&producer.memory());
        Self {
            consumer,
            size: producer.size(),
            shadow: producer.snapshot(),
        }
    }

    fn follow(&mut self, producer: &Producer) {
        let mut records = Vec::new();
        let drained = self
            .consumer
            .drain(&producer.memory(), self.size, 9999, &mut |record| {
                records.push(record);
            });
        assert!(!drained.overrun && !drained.more, "{drained:?}");
        for record in records {
            let before = self.shadow.clone();
            let (rect, source) = match record {
                Record::Damage(rect) | Record::Fill { rect, .. } => (rect, rect.origin()),
                Record::CopyBits { rect, source } => (rect, source),
                Record::Mode => panic!("no mode was set"),
            };
            let way = rect.origin().minus(source);
            for y in rect.top..rect.bottom {
                for x in rect.left..rect.right {
                    let mut pixel = [0];
                    let (row, column) = (y.cast_unsigned(), x.cast_unsigned());
                    producer.pixels().read_row(row, column, &mut pixel);
                    self.shadow[place(self.size, x, y)] = match record {
                        Record::Fill { color, .. } => color,
                        Record::CopyBits { .. } => before[place(self.size, x - way.x, y - way.y)],
                        _ => pixel[0] & 0x00ff_ffff,
                    };
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn records_tell_all_that_was_drawn(ops in prop::collection::vec(any_op(SIZE), 1..30)) {
        let mut producer = Producer::new(SIZE);
        let mut follower = Follower::new(&producer);
        for op in &ops {
            producer.draw(op);
            follower.follow(&producer);
            prop_assert_eq!(&follower.shadow, &producer.snapshot(), "{:?}", op);
        }
    }

    /// Without copies it makes no difference how far the records lag behind the pixels.
    #[test]
    fn held_records_tell_it_later(ops in prop::collection::vec(any_op(SIZE), 1..30)) {
        let mut producer = Producer::new(SIZE);
        let mut follower = Follower::new(&producer);
        producer.hold();
        let harmless = ops.iter().filter(|op| !matches!(op, Op::Copy(..) | Op::Fill(..)));
        harmless.for_each(|op| producer.draw(op));
        follower.follow(&producer);
        prop_assert_eq!(&follower.shadow, &Producer::new(SIZE).snapshot());
        producer.release();
        follower.follow(&producer);
        prop_assert_eq!(follower.shadow, producer.snapshot());
    }
}

#[test]
fn a_copy_takes_all_pixels_at_once() {
    let mut producer = Producer::new(Size::new(8, 1));
    producer.draw(&Op::Image(Rect::at(0, 0, 8, 1), 5));
    let before = producer.snapshot();
    producer.draw(&Op::Copy(Rect::at(0, 0, 8, 1), 3, 0));
    assert_eq!(producer.snapshot()[3..], before[..5]);
    assert_eq!(producer.snapshot()[..3], before[..3]);
}

#[test]
fn modes_and_monitors_read_as_set() {
    let mut producer = Producer::new(SIZE);
    let memory = producer.memory();
    let mut consumer = Consumer::begin_at_end(&memory);
    let size = Size::new(100, 80);
    producer.resize(size);
    let mut records = Vec::new();
    consumer.drain(&memory, SIZE, 9, &mut |record| records.push(record));
    assert_eq!(records, [Record::Mode]);
    let mode = Mode::read(&memory).expect("a mode");
    assert_eq!((mode.size, mode.generation), (size, 2));
    let heads = [1, 2].map(|id| Head {
        id,
        rect: Rect::at(id.cast_signed() * 10, 0, 10, 80),
    });
    producer.set_monitors(&heads);
    assert_eq!(
        Monitors::read(&memory, size).expect("monitors").heads,
        heads
    );
}

#[test]
fn more_rectangles_than_a_group_are_damage_of_all() {
    let mut producer = Producer::new(SIZE);
    let mut consumer = Consumer::begin_at_end(&producer.memory());
    let rects: Vec<Rect> = (0..257).map(|i| Rect::at(i % 50, i / 50, 2, 2)).collect();
    producer.draw(&Op::Fill(rects[1..].to_vec(), 7));
    let count = consumer
        .drain(&producer.memory(), SIZE, 999, &mut |_| {})
        .records;
    assert_eq!(count, layout::GROUP_MAX);
    producer.draw(&Op::Fill(rects, 7));
    let mut records = Vec::new();
    consumer.drain(&producer.memory(), SIZE, 999, &mut |record| {
        records.push(record)
    });
    assert_eq!(records, [Record::Damage(Rect::new(0, 0, 51, 7))]);
}

#[test]
fn the_cursor_reads_as_set() {
    let mut producer = Producer::new(SIZE);
    let memory = producer.memory();
    for serial in 1..7 {
        let image = CursorImage {
            shape_serial: serial,
            size: Size::new(3, 2),
            hot_spot: Point::new(2, 1),
            pixels: vec![0xff00_0000 | serial; 6],
        };
        producer.set_cursor(&image);
        producer.move_cursor(Point::new(9, serial.cast_signed()));
        let state = CursorState::read(&memory).expect("a cursor");
        assert_eq!(
            (state.position, state.visible),
            (Point::new(9, serial.cast_signed()), true)
        );
        assert_eq!(state.read_image(&memory), Ok(Some(image)));
    }
    producer.show_cursor(false);
    assert!(!CursorState::read(&memory).expect("a cursor").visible);
}

#[test]
fn each_change_wakes_who_armed_and_nobody_else() {
    let mut producer = Producer::new(SIZE);
    let (memory, peer) = (producer.memory(), producer.peer());
    let changes: [fn(&mut Producer); 5] = [
        |producer| producer.draw(&Op::Invert(Rect::at(0, 0, 3, 3))),
        |producer| producer.move_cursor(Point::new(3, 3)),
        |producer| producer.set_leds(Leds::CAPS),
        |producer| producer.set_monitors(&[]),
        |producer| producer.resize(Size::new(20, 20)),
    ];
    for change in changes {
        let observed = Observed::now(&memory);
        let armed = wake::arm(&peer, Wait::Record, || Observed::now(&memory) != observed);
        assert_eq!(armed, Armed::Waiting);
        change(&mut producer);
        change(&mut producer);
        assert_eq!(peer.take_signals(), 1, "once");
        assert_ne!(Observed::now(&memory), observed);
        change(&mut producer);
        assert_eq!(peer.take_signals(), 0, "nobody armed");
    }
    let armed = wake::arm(&peer, Wait::Idle, || ring_state::is_idle(&memory));
    assert_eq!(armed, Armed::Waiting);
    producer.draw(&Op::Invert(Rect::at(0, 0, 3, 3)));
    assert_eq!(peer.take_signals(), 0, "busy");
    producer.idle();
    assert_eq!(peer.take_signals(), 1);
    assert!(ring_state::is_idle(&memory));
}

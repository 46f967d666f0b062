//! Scenes that applications draw again, and what becomes of them.

use super::{Anchors, Motion, SEARCH_AREA_MIN};
use crate::base::{Micros, Point, Rect, Region, Size};
use crate::display::{ExactOp, Frame, Screen, Shadow};
use crate::ring::{PixelSource, Record};
use proptest::prelude::*;

const SIZE: Size = Size::new(1000, 700);

/// A pixel of something that is drawn, by its own coordinates.
type Paint = fn(i32, i32) -> u32;

fn mixed(a: i32, b: i32) -> u32 {
    let sum =
        a.cast_unsigned().wrapping_mul(0x9e37_79b1) ^ b.cast_unsigned().wrapping_mul(0x85eb_ca6b);
    (sum ^ sum >> 15).wrapping_mul(0x2c1b_3c6d) >> 8
}

/// Lines of 18 rows, letters of 8 columns out of 40, blanks, empty lines and short lines, black on white.
fn text(x: i32, y: i32) -> u32 {
    let (line, row) = (y.div_euclid(18), y.rem_euclid(18));
    let (letter, column) = (x.div_euclid(8), x.rem_euclid(8));
    let ends = 40 + mixed(line, -3).cast_signed() % 60;
    let glyph = mixed(line, letter) % 48;
    if !(3..15).contains(&row) || column == 7 || 40 <= glyph || ends < letter || line % 9 == 8 {
        return 0x00ff_ffff;
    }
    if mixed(glyph.cast_signed() * 64 + column, row / 2).is_multiple_of(3) {
        0
    } else {
        0x00ff_ffff
    }
}

/// Five different lines again and again, out of order.
fn repeating_text(x: i32, y: i32) -> u32 {
    let line = mixed(y.div_euclid(18), 77) % 5;
    text(x, line.cast_signed() * 18 + y.rem_euclid(18))
}

/// A few words on a page, the rest is white.
fn sparse_text(x: i32, y: i32) -> u32 {
    let line = y.div_euclid(18);
    if line % 4 == 0 && x < 200 {
        text(x, y)
    } else {
        0x00ff_ffff
    }
}

fn texture(x: i32, y: i32) -> u32 {
    mixed(x / 3, y / 2)
}

struct Stage {
    desktop: Shadow,
    screen: Screen,
}

/// What is drawn is also where pixels are read from.
struct Painting(Paint, Point);

impl PixelSource for Painting {
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
        for (column, pixel) in (x.cast_signed()..).zip(out) {
            *pixel = (self.0)(column - self.1.x, y.cast_signed() - self.1.y);
        }
    }
}

impl Stage {
    fn new() -> Self {
        Self {
            desktop: Shadow::new(SIZE),
            screen: Screen::new(SIZE),
        }
    }

    /// Draws `paint`, its origin at `origin`, into `rect`. Nothing but the damage is recorded.
    fn draw(&mut self, rect: Rect, paint: Paint, origin: Point) {
        let rect = rect.intersect(&SIZE.rect());
        self.desktop
            .refresh(&Painting(paint, origin), &Region::from(rect));
        self.screen.record(&Record::Damage(rect));
    }

    /// A frame; it is exact, or the test ends here.
    fn frame(&mut self) -> Frame {
        let mut client = Shadow::new(SIZE);
        client.refresh(self.screen.shadow(), &Region::from(SIZE.rect()));
        let frame = self.screen.refresh(Micros(1), &self.desktop);
        for op in &frame.ops {
            client.apply(op);
        }
        client.refresh(self.screen.shadow(), &frame.changed);
        assert_eq!(rows(&client), rows(self.screen.shadow()), "what was sent");
        assert_eq!(
            rows(&self.desktop),
            rows(self.screen.shadow()),
            "what was read"
        );
        frame
    }

    /// Shows a scene, then the next one.
    fn between(mut first: impl FnMut(&mut Self), mut then: impl FnMut(&mut Self)) -> Frame {
        let mut stage = Self::new();
        first(&mut stage);
        stage.frame();
        then(&mut stage);
        stage.frame()
    }
}

fn rows(shadow: &Shadow) -> Vec<u32> {
    let pixels = shadow.pixels(&shadow.size().rect()).unwrap();
    (0..pixels.height())
        .flat_map(|y| pixels.row(y).to_vec())
        .collect()
}

fn deltas(frame: &Frame) -> Vec<Point> {
    let mut deltas: Vec<Point> = frame
        .ops
        .iter()
        .map(|op| match op {
            ExactOp::Copy { delta, .. } => *delta,
            ExactOp::Fill { .. } => panic!("nothing was filled"),
        })
        .collect();
    deltas.sort();
    deltas.dedup();
    deltas
}

const PAGE: Rect = Rect::new(101, 83, 903, 651);

#[test]
fn a_page_scrolls_in_both_directions_by_any_way() {
    for (dx, dy) in [
        (0, -24),
        (0, 60),
        (0, -1),
        (0, 1),
        (-17, 0),
        (40, 0),
        (0, 333),
        (13, -29),
    ] {
        let frame = Stage::between(
            |stage| stage.draw(PAGE, text, PAGE.origin()),
            |stage| stage.draw(PAGE, text, PAGE.origin().plus(Point::new(dx, dy))),
        );
        assert_eq!(deltas(&frame), [Point::new(dx, dy)]);
        assert!(frame.ops.len() <= 4, "{:?}", frame.ops);
        let kept = PAGE.intersect(&PAGE.translate(Point::new(dx, dy)));
        let new = Region::from(PAGE).subtract(&Region::from(kept));
        assert!(
            frame.changed.area() <= new.area() + 200,
            "{dx},{dy}: {:?} {:?}",
            frame.ops,
            frame.changed
        );
    }
}

#[test]
fn header_scroll_bar_and_dialog_stay_where_they_are() {
    let header = Rect {
        bottom: PAGE.top + 51,
        ..PAGE
    };
    let bar = Rect {
        left: PAGE.right - 13,
        ..PAGE
    };
    let dialog = Rect::at(333, 277, 250, 131);
    let page = |way: i32| {
        move |stage: &mut Stage| {
            stage.draw(PAGE, text, PAGE.origin().plus(Point::new(0, -way)));
            stage.draw(header, texture, header.origin());
            stage.draw(bar, |_, _| 0x00e0_e0e0, bar.origin());
            stage.draw(
                Rect::at(bar.left + 2, bar.top + 60 + way / 4, 9, 80),
                |_, _| 0x0080_8080,
                bar.origin(),
            );
            stage.draw(dialog, texture, dialog.origin());
        }
    };
    let frame = Stage::between(page(0), page(40));
    assert_eq!(deltas(&frame), [Point::new(0, -40)]);
    assert!(frame.ops.len() <= 6, "{:?}", frame.ops);
    // The strip at the bottom, the one under the dialog, and the two ends of the slider.
    let strips = 40 * u64::from(PAGE.width() + dialog.width()) + 9 * 20;
    assert!(frame.changed.area() < strips + 500, "{:?}", frame.changed);
    assert!(!frame.changed.intersects_rect(&dialog));
}

#[test]
fn two_windows_scroll_in_different_directions() {
    let (left, right) = (Rect::at(10, 50, 400, 500), Rect::at(450, 100, 500, 450));
    let frame = Stage::between(
        |stage| {
            stage.draw(left, text, left.origin());
            stage.draw(right, texture, right.origin());
        },
        |stage| {
            stage.draw(left, text, left.origin().plus(Point::new(0, -36)));
            stage.draw(right, texture, right.origin().plus(Point::new(20, 0)));
        },
    );
    assert_eq!(deltas(&frame), [Point::new(0, -36), Point::new(20, 0)]);
    assert!(
        frame.changed.area() < 400 * 36 + 20 * 450 + 200,
        "{:?}",
        frame.changed
    );
}

#[test]
fn a_window_is_dragged_over_a_texture() {
    let window = Rect::at(200, 150, 420, 310);
    for (dx, dy) in [(7, 3), (-31, 44), (150, -90), (0, 5)] {
        let moved = window.translate(Point::new(dx, dy));
        let frame = Stage::between(
            |stage| {
                stage.draw(SIZE.rect(), texture, Point::default());
                stage.draw(window, text, window.origin());
            },
            |stage| {
                stage.draw(SIZE.rect(), texture, Point::default());
                stage.draw(moved, text, moved.origin());
            },
        );
        assert_eq!(deltas(&frame), [Point::new(dx, dy)]);
        let uncovered = Region::from(window).subtract(&Region::from(moved));
        assert!(
            frame.changed.area() < uncovered.area() + 400,
            "{:?}",
            frame.changed
        );
    }
}

#[test]
fn repeated_lines_do_not_lead_astray() {
    let frame = Stage::between(
        |stage| stage.draw(PAGE, repeating_text, PAGE.origin()),
        |stage| stage.draw(PAGE, repeating_text, PAGE.origin().plus(Point::new(0, -54))),
    );
    assert!(
        deltas(&frame).contains(&Point::new(0, -54)),
        "{:?}",
        frame.ops
    );
    assert!(
        frame.changed.area() <= 54 * u64::from(PAGE.width()),
        "{:?}",
        frame.changed
    );
}

#[test]
fn a_page_that_is_mostly_white_scrolls() {
    let frame = Stage::between(
        |stage| stage.draw(PAGE, sparse_text, PAGE.origin()),
        |stage| stage.draw(PAGE, sparse_text, PAGE.origin().plus(Point::new(0, -30))),
    );
    assert_eq!(deltas(&frame), [Point::new(0, -30)]);
    assert!(frame.changed.area() <= 30 * 400, "{:?}", frame.changed);
}

#[test]
fn a_blinking_cursor_costs_its_box() {
    let cursor = Rect::at(421, 333, 2, 14);
    let frame = Stage::between(
        |stage| {
            stage.draw(PAGE, text, PAGE.origin());
            stage.draw(cursor, |_, _| 0, Point::default());
        },
        |stage| stage.draw(PAGE, text, PAGE.origin().plus(Point::new(0, -20))),
    );
    assert_eq!(deltas(&frame), [Point::new(0, -20)]);
    assert!(
        frame.changed.area() < 20 * u64::from(PAGE.width()) + 500,
        "{:?}",
        frame.changed
    );
}

#[test]
fn noise_gives_nothing_and_is_searched_every_second_time() {
    let mut stage = Stage::new();
    let video = Rect::at(100, 100, 640, 360);
    stage.draw(SIZE.rect(), texture, Point::default());
    stage.frame();
    let mut searched = 0;
    for number in 1..=20 {
        // Each frame shows another part of an endless texture, far from the one before.
        stage.draw(video, texture, Point::new(0, number * 5000));
        let frame = stage.frame();
        assert!(frame.ops.is_empty());
        assert_eq!(frame.changed.area(), video.area());
        searched += u32::from(!stage.screen.motion().rested);
    }
    assert!((10..=12).contains(&searched), "{searched}");
    for number in [1, 2] {
        stage.draw(video, texture, Point::new(0, 100_000 - number * 10));
        let frame = stage.frame();
        if !frame.ops.is_empty() {
            return;
        }
    }
    panic!("a scroll was not found in its second frame");
}

#[test]
fn a_sample_promises_what_a_search_finds() {
    let mut stage = Stage::new();
    let view = Rect::at(100, 100, 640, 360);
    stage.draw(SIZE.rect(), texture, Point::default());
    stage.frame();
    let shadow = stage.screen.shadow();
    let promised = |at: Point, region: Rect| {
        Anchors::default().promise(shadow, &Painting(texture, at), &Region::from(region))
    };
    for delta in [
        Point::new(0, -3),
        Point::new(0, 170),
        Point::new(-77, 0),
        Point::new(31, 9),
    ] {
        assert!(promised(delta, view), "{delta:?}");
        assert!(promised(delta, SIZE.rect()), "{delta:?} of the screen");
    }
    for region in [view, SIZE.rect(), Rect::at(3, 5, 70, 60)] {
        assert!(!promised(Point::new(0, 50_000), region), "{region:?}");
        assert!(!promised(Point::default(), region), "nothing moved");
    }
}

#[test]
fn little_change_is_left_alone() {
    let mut stage = Stage::new();
    stage.draw(PAGE, text, PAGE.origin());
    stage.frame();
    let line = Rect::at(200, 200, 200, 18);
    assert!(line.area() < SEARCH_AREA_MIN);
    stage.draw(line, text, Point::new(0, 7));
    assert!(stage.frame().ops.is_empty());
    // The whole window is drawn again with one line changed.
    stage.draw(PAGE, text, PAGE.origin());
    assert!(stage.frame().ops.is_empty());
}

fn small_rect() -> impl Strategy<Value = Rect> {
    (0..300, 0..200, 40..260, 20..180)
        .prop_map(|(x, y, w, h)| Rect::at(x, y, w, h).intersect(&Rect::at(0, 0, 300, 200)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever moved, and whatever was found of it: the old picture with the copies and the changed pixels is the
    /// new one.
    #[test]
    fn any_moves_are_told_exactly(
        moves in prop::collection::vec((small_rect(), -40..41, -40..41, any::<bool>()), 1..6),
        touched in prop::option::of(small_rect()),
    ) {
        let size = Size::new(300, 200);
        let all = Region::from(size.rect());
        let mut desktop = Shadow::new(size);
        desktop.refresh(&Painting(texture, Point::default()), &all);
        let mut shadow = Shadow::new(size);
        let mut motion = Motion::new();
        motion.refresh(&mut shadow, &desktop, &all);
        let mut client = Shadow::new(size);
        client.refresh(&shadow, &all);
        for (rect, dx, dy, written) in moves {
            let delta = Point::new(dx, dy);
            let rect = rect.intersect(&size.rect().translate(delta));
            desktop.apply(&ExactOp::Copy { rect, delta });
            if written {
                desktop.refresh(&Painting(text, delta), &Region::from(Rect::at(dx + 50, 60, 90, 20)));
            }
        }
        let region = touched.map_or(all, Region::from);
        let found = motion.refresh(&mut shadow, &desktop, &region);
        for op in &found.ops {
            client.apply(op);
        }
        client.refresh(&shadow, &found.changed);
        prop_assert_eq!(rows(&client), rows(&shadow));
        shadow.refresh(&desktop, &region);
        prop_assert_eq!(rows(&client), rows(&shadow));
    }
}

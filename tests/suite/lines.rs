//! How old what a client shows is, on three lines, in fair weather and foul, and how much waits for it.
//!
//! A page scrolls or a photograph changes in one window while somebody types in another. The age of a place on the
//! screen is the time since what is shown there was drawn over.

use std::collections::VecDeque;

use caraway_server::base::{Micros, Point, Rect, Size};
use caraway_server::display::pace::{IN_FLIGHT_MIN, TURN_AROUND};
use caraway_server::wire::display::ImageCompression;
use caraway_server::wire::link::ChannelType;

use crate::client::{Habits, Profile};
use crate::line::{Line, Weather};
use crate::producer::Op;
use crate::world::World;

const SIZE: Size = Size::new(640, 480);
const PAGE: Rect = Rect::new(0, 0, 400, 480);
const MS: fn(u64) -> Micros = Micros::from_millis;

/// Virtual time between two looks.
const TICK: Micros = Micros::from_millis(3);

/// Everything is learnt by then: the run proper begins.
const LEARNT: Micros = Micros::from_secs(3);
const RUN: Micros = Micros::from_secs(6);

const STEADY: Weather = Weather::Steady;
const STALLS: Weather = Weather::Stalls {
    every: Micros::from_millis(1500),
    span: Micros::from_millis(200),
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// A page of text, a line up every 33 ms: a copy and a new line.
    Scroll,
    /// The same page drawn anew each time, as toolkits do: 80 lines of words.
    Redraw,
    /// A photograph every 100 ms, more than any of the slow lines carries.
    Photo,
}

/// What was seen of one run.
#[derive(Debug, Default)]
struct Seen {
    typing_max: Micros,
    page_max: Micros,
    behind_max: u64,
    given: u64,
}

/// Places whose past is known.
struct Past {
    places: Vec<(usize, VecDeque<(Micros, u32)>)>,
}

impl Past {
    fn new() -> Self {
        let across = (0..6).flat_map(|x| (0..8).map(move |y| (20 + x * 70, 8 + y * 60)));
        let place = |(x, y): (usize, usize)| (y * SIZE.width as usize + x, VecDeque::new());
        Self {
            places: across.map(place).collect(),
        }
    }

    /// The screen was drawn on at `now`.
    fn note(&mut self, now: Micros, pixels: &[u32]) {
        for (place, past) in &mut self.places {
            if past.back().is_none_or(|(_, last)| *last != pixels[*place]) {
                past.push_back((now, pixels[*place]));
            }
        }
    }

    /// The age of the oldest place shown.
    fn age(&mut self, now: Micros, shown: &[u32]) -> Micros {
        let age = |(place, past): &mut (usize, VecDeque<(Micros, u32)>)| {
            let at = past.iter().rposition(|(_, pixel)| *pixel == shown[*place]);
            let at = at.expect("it was once like this");
            past.get(at + 1)
                .map_or(Micros(0), |(over, _)| now.since(*over))
        };
        self.places.iter_mut().map(age).max().unwrap_or_default()
    }
}

/// Letters on their way to a client.
#[derive(Default)]
struct Typist {
    typed: u32,
    open: Vec<(Micros, Rect, Vec<u32>)>,
}

impl Typist {
    fn type_one(&mut self, world: &mut World) {
        let (column, row) = (self.typed % 2, self.typed / 2 % 20);
        let start = Point::new(450 + column.cast_signed() * 80, 20 + row.cast_signed() * 20);
        self.typed += 1;
        let rect = Rect::at(start.x, start.y, 63, 11);
        // Rows come round again: what waits there is drawn over, and not waited for.
        self.open.retain(|(_, other, _)| *other != rect);
        world.draw(&Op::Text(start, self.typed.wrapping_mul(0x0123_4567) | 1));
        let pixels = part(&world.producer.snapshot(), &rect);
        self.open.push((world.now, rect, pixels));
    }

    /// The age of the oldest that is not shown.
    fn age(&mut self, now: Micros, shown: &[u32]) -> Micros {
        self.open
            .retain(|(_, rect, pixels)| part(shown, rect) != *pixels);
        let ages = self.open.iter().map(|(typed, ..)| now.since(*typed));
        ages.max().unwrap_or_default()
    }
}

fn part(pixels: &[u32], rect: &Rect) -> Vec<u32> {
    let row = |y: i32| {
        let start = y.cast_unsigned() * SIZE.width + rect.left.cast_unsigned();
        &pixels[start as usize..(start + rect.width()) as usize]
    };
    (rect.top..rect.bottom).flat_map(row).copied().collect()
}

fn draw(world: &mut World, load: Load, step: u32) {
    match load {
        Load::Scroll => {
            let line = 12;
            let upper = Rect {
                bottom: PAGE.bottom - line,
                ..PAGE
            };
            let lower = Rect {
                top: PAGE.bottom - line,
                ..PAGE
            };
            world.draw(&Op::Copy(upper, 0, -line));
            world.draw(&Op::Fill(
                vec![lower],
                step.wrapping_mul(0x0001_0307) & 0xff_ffff,
            ));
            for word in 0..6 {
                let start = Point::new(4 + word * 66, lower.top);
                let seed = step
                    .wrapping_mul(0x9e37_79b1)
                    .wrapping_add(word.cast_unsigned());
                world.draw(&Op::Text(start, seed));
            }
        }
        Load::Redraw => {
            for line in 0..40_i32 {
                let seed = (step + line.cast_unsigned()).wrapping_mul(0x9e37_79b1);
                for word in 0..2 {
                    let rect = Rect::at(word * 200, line * 12, 160, 12);
                    world.draw(&Op::Fill(vec![rect], seed >> 9 & 0x0f_0f0f));
                    world.draw(&Op::Text(rect.origin(), seed));
                }
            }
        }
        Load::Photo => world.draw(&Op::Image(PAGE, step.wrapping_mul(0x0101_0107))),
    }
}

/// Runs a load on a line from its second moment on; what is seen after `LEARNT`, or from `from` on.
fn run(line: Line, load: Load, from: Micros) -> Seen {
    let mut world = World::new(SIZE);
    // Ages are told by exact pixels, so nothing may be lossy.
    let habits = Habits {
        prefers: Some(ImageCompression::LZ),
        ..Habits::default()
    };
    let client = world.join_with(Profile::Gtk, line, habits);
    world.run_until_exact(&[client], Micros::from_secs(20));
    let (mut past, mut typist, mut seen) = (Past::new(), Typist::default(), Seen::default());
    let every = if load == Load::Photo { MS(100) } else { MS(33) };
    let (start, mut step, mut given) = (world.now, 0, None);
    past.note(world.now, &world.producer.snapshot());
    let mut next_letter = start + MS(100);
    let end = from + RUN;
    while world.now < end {
        if start + Micros(every.0 * u64::from(step)) <= world.now {
            step += 1;
            draw(&mut world, load, step);
        }
        if next_letter <= world.now {
            next_letter = next_letter + MS(171);
            typist.type_one(&mut world);
        }
        past.note(world.now, &world.producer.snapshot());
        world.run_for(TICK);
        let shown = &world.clients[client]
            .display
            .shown()
            .expect("a picture")
            .pixels;
        let (page, typing) = (past.age(world.now, shown), typist.age(world.now, shown));
        if from <= world.now {
            let total = world.given_bytes(client, ChannelType::DISPLAY);
            given.get_or_insert(total);
            seen.given = total - given.unwrap_or_default();
            seen.typing_max = seen.typing_max.max(typing);
            seen.page_max = seen.page_max.max(page);
            let behind = world.behind_bytes(client, ChannelType::DISPLAY) as u64;
            seen.behind_max = seen.behind_max.max(behind);
        }
    }
    seen
}

/// Bytes of a line's two round trips, the client's and the server's turn included.
fn two_round_trips(mbit: u64, rtt_ms: u64) -> u64 {
    2 * mbit * 125_000 * (rtt_ms * 1000 + TURN_AROUND.0) / 1_000_000
}

fn capacity(mbit: u64) -> u64 {
    mbit * 125_000 * RUN.0 / 1_000_000
}

#[test]
fn two_mbit_far_away_shows_nothing_old() {
    for (weather, stall) in [(STEADY, MS(0)), (STALLS, MS(200))] {
        let scroll = run(Line::of(2, 80, weather), Load::Scroll, LEARNT);
        assert!(scroll.page_max <= MS(400), "{weather:?} {scroll:?}");
        assert!(
            scroll.typing_max <= MS(250) + stall,
            "{weather:?} {scroll:?}"
        );
        assert!(scroll.behind_max <= 2 * 20_000, "{weather:?} {scroll:?}");
        let redraw = run(Line::of(2, 80, weather), Load::Redraw, LEARNT);
        assert!(redraw.page_max <= MS(400) + stall, "{weather:?} {redraw:?}");
        assert!(
            redraw.typing_max <= MS(250) + stall,
            "{weather:?} {redraw:?}"
        );
        assert!(redraw.behind_max <= 2 * 20_000, "{weather:?} {redraw:?}");
    }
}

#[test]
fn typing_goes_before_a_photograph_that_fills_the_line() {
    for (mbit, rtt_ms, typing) in [(100, 5, 50), (20, 40, 150), (2, 80, 250)] {
        for (weather, stall) in [(STEADY, 0), (STALLS, 200)] {
            let photo = run(Line::of(mbit, rtt_ms, weather), Load::Photo, LEARNT);
            assert!(
                photo.typing_max <= MS(typing + stall),
                "{weather:?} {photo:?}"
            );
            assert!(
                photo.behind_max <= two_round_trips(mbit, rtt_ms),
                "{mbit} {photo:?}"
            );
            // 100 Mbit/s carry more photographs than are drawn.
            let wanted = capacity(mbit).min(RUN.as_millis() / 100 * 570_000);
            let open = 1500 - 200 * u64::from(stall != 0);
            assert!(
                wanted * open / 1500 * 8 / 10 <= photo.given,
                "{mbit} {photo:?}"
            );
        }
    }
}

#[test]
fn a_line_that_becomes_slow_is_drained_within_a_second_and_used_again_after() {
    let weather = Weather::Drop {
        from: Micros::from_secs(5),
        until: Micros::from_secs(12),
        rate: 250_000,
    };
    let line = Line::of(20, 40, weather);
    for load in [Load::Scroll, Load::Photo] {
        let slow = run(line, load, Micros::from_secs(6));
        // The fewest bytes that may be in flight, and a doubling.
        assert!(slow.behind_max <= 2 * IN_FLIGHT_MIN, "{slow:?}");
        assert!(slow.typing_max <= MS(250), "{slow:?}");
        if load == Load::Photo {
            assert!(capacity(2) * 8 / 10 <= slow.given, "{slow:?}");
        }
    }
    let fast = run(line, Load::Photo, Micros::from_secs(13));
    assert!(capacity(20) * 8 / 10 <= fast.given, "{fast:?}");
    assert!(fast.behind_max <= two_round_trips(20, 40), "{fast:?}");
}

//! Video: what plays becomes a stream at once, the rest stays exact, and so is everything when it stops.

use caraway_server::base::{Micros, Point, Rect, Size};
use caraway_server::wire::display::StreamReport;
use caraway_server::wire::link::ChannelType;

use crate::client::Profile;
use crate::line::Line;
use crate::producer::Op;
use crate::world::World;

const SIZE: Size = Size::new(800, 600);
const DISPLAY: ChannelType = ChannelType::DISPLAY;

/// Where the film plays: on no tile's edge.
const FILM: Rect = Rect::at(133, 77, 320, 180);

/// 30 frames a second.
const TICK: Micros = Micros(33_333);

/// From the last motion to the exact picture.
const EXACT: Micros = Micros::from_millis(300);

fn play(world: &mut World, rect: Rect, frames: std::ops::Range<u32>) {
    for frame in frames {
        world.draw(&Op::Film(rect, frame));
        world.run_for(TICK);
    }
}

/// Mean squared errors of the channels, as dB, of what a client shows in `rect`.
fn psnr(world: &World, client: usize, rect: &Rect) -> f64 {
    let (shown, wanted) = (
        world.clients[client].display.shown(),
        world.producer.snapshot(),
    );
    let shown = &shown.expect("a picture").pixels;
    let (mut sum, mut count) = (0.0, 0.0);
    for y in rect.top..rect.bottom {
        for x in rect.left..rect.right {
            let at = usize::try_from(y).expect("a row") * SIZE.width as usize
                + usize::try_from(x).expect("a column");
            for (one, other) in shown[at]
                .to_le_bytes()
                .iter()
                .zip(wanted[at].to_le_bytes())
                .take(3)
            {
                sum += f64::from(one.abs_diff(other)).powi(2);
                count += 1.0;
            }
        }
    }
    10.0 * (255.0 * 255.0 * count / f64::max(sum, 1.0)).log10()
}

/// Whether what a client shows outside of `rect` is right to the last bit.
fn is_exact_outside(world: &World, client: usize, rect: &Rect) -> bool {
    let (shown, wanted) = (
        world.clients[client].display.shown(),
        world.producer.snapshot(),
    );
    let pixels = &shown.expect("a picture").pixels;
    pixels
        .iter()
        .zip(&wanted)
        .enumerate()
        .all(|(at, (one, other))| {
            let (x, y) = (at % SIZE.width as usize, at / SIZE.width as usize);
            let place = Point::new(
                i32::try_from(x).expect("a column"),
                i32::try_from(y).expect("a row"),
            );
            one == other || rect.contains_point(place)
        })
}

#[test]
fn a_film_is_a_stream_within_five_frames_and_ends_exact() {
    let mut world = World::new(SIZE);
    let profiles = [Profile::Gtk, Profile::Html5, Profile::Old];
    let clients = profiles.map(|profile| world.join(profile, Line::LAN));
    world.run_until_exact(&clients, Micros::from_secs(3));
    play(&mut world, FILM, 0..5);
    for client in clients {
        let display = &world.clients[client].display;
        assert_eq!(display.streams.len(), 1, "{:?}", display.counts);
        let stream = display.streams.values().next().expect("a stream");
        assert_eq!(stream.rect, FILM, "the film's place to the pixel");
    }
    play(&mut world, FILM, 5..60);
    for client in clients {
        let counts = world.clients[client].display.counts;
        assert_eq!(counts.streams, 1, "one stream for all of it");
        assert!(54 <= counts.frames, "every frame: {counts:?}");
        let quality = psnr(&world, client, &FILM);
        assert!(36.0 < quality, "{quality:.1} dB");
        assert!(is_exact_outside(&world, client, &FILM));
        let each = counts.frame_bytes / u64::from(counts.frames);
        assert!(each < 10_000, "{each} bytes a frame");
    }
    world.run_until_exact(&clients, EXACT);
    for client in clients {
        assert!(world.clients[client].display.streams.is_empty());
    }
    world.run_for(Micros::from_secs(1));
    world.verify_rest();
    world.verify_idle();
}

#[test]
fn the_rest_goes_on_exactly_while_a_film_plays() {
    let mut world = World::new(SIZE);
    let client = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[client], Micros::from_secs(3));
    let window = Rect::at(500, 300, 250, 250);
    for frame in 0..60 {
        world.draw(&Op::Film(FILM, frame));
        let line = Point::new(510, 310 + 12 * (frame % 18).cast_signed());
        world.draw(&Op::Text(line, frame));
        if frame % 20 == 19 {
            world.draw(&Op::Copy(
                window.intersect(&window.translate(Point::new(0, -12))),
                0,
                -12,
            ));
        }
        world.run_for(TICK);
        assert!(is_exact_outside(&world, client, &FILM), "at frame {frame}");
    }
    assert_eq!(world.clients[client].display.counts.streams, 1);
    world.run_until_exact(&[client], EXACT);
}

#[test]
fn what_copies_take_from_a_film_ends_exact() {
    let mut world = World::new(SIZE);
    let clients = [Profile::Gtk, Profile::Html5].map(|profile| world.join(profile, Line::LAN));
    world.run_until_exact(&clients, Micros::from_secs(3));
    for frame in 0..90u32 {
        world.draw(&Op::Film(FILM, frame));
        if 20 < frame && frame % 7 == 0 {
            let to = Rect::at(420 + frame.cast_signed(), 250, 160, 120);
            world.draw(&Op::Copy(
                to,
                to.left - FILM.left - 20,
                to.top - FILM.top - 20,
            ));
        }
        if frame % 13 == 12 {
            world.draw(&Op::Fill(vec![Rect::at(200, 100, 40, 30)], 0x0012_3456));
        }
        world.run_for(TICK);
    }
    assert!(0 < world.clients[clients[0]].display.counts.frames);
    world.run_until_exact(&clients, EXACT);
    world.run_for(Micros::from_secs(1));
    world.verify_rest();
}

#[test]
fn a_paused_film_becomes_exact_and_plays_on_at_once() {
    let mut world = World::new(SIZE);
    let client = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[client], Micros::from_secs(3));
    play(&mut world, FILM, 0..20);
    for pause in 0..3 {
        world.run_until_exact(&[client], EXACT);
        let before = world.clients[client].display.counts;
        // A cursor blinks in the paused film.
        for _ in 0..2 {
            world.draw(&Op::Invert(Rect::at(200, 100, 8, 16)));
            world.run_for(Micros::from_millis(200));
            assert!(world.is_exact(client), "pause {pause}");
        }
        // Never the same frame twice: a client would remember it.
        let next = 30 + 40 * pause;
        play(&mut world, FILM, next..next + 1);
        let after = world.clients[client].display.counts;
        assert_eq!(
            after.frames - before.frames,
            1,
            "one frame, one frame of the stream"
        );
        play(&mut world, FILM, next + 1..next + 20);
    }
}

#[test]
fn nothing_else_is_a_film() {
    let mut world = World::new(SIZE);
    let client = world.join(Profile::Old, Line::LAN);
    world.run_until_exact(&[client], Micros::from_secs(3));
    for frame in 0..200u32 {
        let row = (frame / 10 % 8).cast_signed();
        // Typing, a blinking cursor, text that is painted anew on half of the screen, a menu, a progress bar.
        world.draw(&Op::Text(
            Point::new(40 + 8 * (frame % 10).cast_signed(), 500 + 12 * row),
            frame,
        ));
        world.draw(&Op::Invert(Rect::at(700, 20, 8, 16)));
        for line in 0..20 {
            world.draw(&Op::Text(
                Point::new(10, 10 + line * 12),
                frame + line.cast_unsigned() * 7,
            ));
        }
        if frame % 20 < 3 {
            world.draw(&Op::Fill(
                vec![Rect::at(300, 0, 200, 300)],
                0x00c0_c0c0 + frame % 20,
            ));
        }
        let progress = 10 + (frame % 100).cast_signed();
        world.draw(&Op::Fill(
            vec![Rect::at(500, 400, progress, 20)],
            0x0030_60c0,
        ));
        // A photograph now and then is no film.
        if frame % 15 == 0 {
            world.draw(&Op::Film(Rect::at(400, 100, 300, 200), frame));
        }
        world.run_for(TICK);
    }
    assert_eq!(world.clients[client].display.counts.streams, 0);
    world.run_until_exact(&[client], EXACT);
}

#[test]
fn several_films_play_side_by_side() {
    let mut world = World::new(SIZE);
    let client = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[client], Micros::from_secs(3));
    let places = [
        Rect::at(5, 5, 160, 120),
        Rect::at(300, 9, 128, 96),
        Rect::at(17, 301, 200, 150),
        Rect::at(400, 300, 200, 150),
        Rect::at(650, 100, 140, 100),
    ];
    for frame in 0..60 {
        for place in places {
            world.draw(&Op::Film(place, frame));
        }
        world.run_for(TICK);
    }
    let display = &world.clients[client].display;
    assert_eq!(display.streams.len(), 4, "as many as there may be");
    for stream in display.streams.values() {
        assert!(places.contains(&stream.rect), "{:?}", stream.rect);
    }
    let took = world.run_until_exact(&[client], EXACT);
    assert!(took <= EXACT);
}

#[test]
fn a_client_that_cannot_play_gets_images() {
    let mut world = World::new(SIZE);
    let client = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[client], Micros::from_secs(3));
    play(&mut world, FILM, 0..20);
    let report = StreamReport {
        stream_id: 0,
        unique_id: 0,
        start_frame_mm_time: 0,
        end_frame_mm_time: 0,
        num_frames: 0,
        num_drops: u32::MAX,
        last_frame_delay: 0,
        audio_delay: 0,
    };
    let now = world.now;
    world.clients[client].say(now, DISPLAY, &report);
    world.run_for(TICK);
    let frames = world.clients[client].display.counts.frames;
    play(&mut world, FILM, 20..60);
    let display = &world.clients[client].display;
    assert!(display.streams.is_empty() && display.counts.frames == frames);
    world.run_until_exact(&[client], EXACT);
}

#[test]
fn on_a_slow_line_a_film_loses_frames_and_quality_but_not_its_age() {
    let mut world = World::new(SIZE);
    let client = world.join(Profile::Gtk, Line::SLOW);
    world.run_until_exact(&[client], Micros::from_secs(20));
    let mut behind_late = 0;
    for frame in 0..300 {
        play(&mut world, FILM, frame..frame + 1);
        if 150 < frame {
            behind_late = behind_late.max(world.behind_bytes(client, DISPLAY) as u64);
        }
    }
    let counts = world.clients[client].display.counts;
    assert!(200 <= counts.frames, "most of 300: {counts:?}");
    assert!(behind_late <= 96 * 1024, "{behind_late}");
    world.run_until_exact(&[client], Micros::from_secs(10));
}

#[test]
fn a_film_ends_with_its_screen() {
    let mut world = World::new(SIZE);
    let client = world.join(Profile::Html5, Line::LAN);
    world.run_until_exact(&[client], Micros::from_secs(3));
    play(&mut world, FILM, 0..20);
    assert_eq!(world.clients[client].display.streams.len(), 1);
    world.producer.resize(Size::new(640, 480));
    world.run_until_exact(&[client], Micros::from_secs(3));
    assert!(world.clients[client].display.streams.is_empty());
}

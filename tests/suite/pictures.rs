//! What clients see: first pictures, changes of the screen, and what it takes to show them.

use caraway_server::base::limits::IMAGE_PIXELS_MAX;
use caraway_server::base::{Micros, Point, Rect, Size};
use caraway_server::wire::display::ImageCompression;
use caraway_server::wire::link::ChannelType;

use crate::client::{Habits, Profile};
use crate::line::{Line, Weather};
use crate::producer::Op;
use crate::world::World;

const SIZE: Size = Size::new(320, 240);
const MS: fn(u64) -> Micros = Micros::from_millis;

/// A world with something on the screen that no encoder makes small.
fn painted() -> World {
    let mut world = World::new(SIZE);
    world.draw(&Op::Image(SIZE.rect(), 7));
    world
}

#[test]
fn each_kind_of_client_comes_to_show_the_screen() {
    let mut world = painted();
    world.draw(&Op::Fill(vec![Rect::at(20, 20, 200, 90)], 0x0012_3456));
    world.draw(&Op::Text(Point::new(30, 30), 0x0099_0000));
    for profile in [Profile::Gtk, Profile::Html5, Profile::Old] {
        for line in [Line::LOCAL, Line::LAN] {
            let client = world.join(profile, line);
            world.run_until_exact(&[client], MS(60));
            world.verify_invariants();
        }
    }
    world.run_for(MS(100));
    world.verify_rest();
    world.verify_idle();
}

#[test]
fn the_first_picture_comes_to_the_screen_by_one_drawing() {
    let mut world = painted();
    let client = world.join(Profile::Gtk, Line::SLOW);
    let mut empty = 0;
    while world.clients[client].display.shown().is_none() {
        world.run_for(MS(5));
        let display = &world.clients[client].display;
        // On the way nobody sees a part of it.
        assert!(display.counts.unmarked <= 1);
        empty += u32::from(display.surfaces.contains_key(&0) && display.counts.unmarked == 0);
    }
    assert!(20 < empty, "it took its time: {empty}");
    world.run_until_exact(&[client], Micros::from_secs(4));
    assert_eq!(world.clients[client].display.counts.unmarked, 1);
}

#[test]
fn a_frame_of_several_updates_is_seen_whole() {
    let mut world = painted();
    let profiles = [Profile::Gtk, Profile::Html5];
    let clients = profiles.map(|profile| world.join(profile, Line::LAN));
    world.run_until_exact(&clients, MS(100));
    for step in 0..5 {
        world.run_for(MS(200));
        let before = clients.map(|client| world.clients[client].display.counts.seen);
        world.draw(&Op::Copy(SIZE.rect(), 0, -20));
        world.draw(&Op::Image(Rect::at(0, 220, 320, 20), step));
        world.draw(&Op::Fill(vec![Rect::at(10, 10, 30, 30)], step));
        world.run_until_exact(&clients, MS(60));
        let after = clients.map(|client| world.clients[client].display.counts.seen);
        assert_eq!(after[0] - before[0], 1, "one paint of GTK shows it");
        assert!(2 < after[1] - before[1], "a browser paints each anyway");
    }
}

#[test]
fn a_photograph_of_several_images_is_seen_whole() {
    let size = Size::new(800, 600);
    // The second line takes 23 ms for it, and has about one in flight.
    for line in [Line::LOCAL, Line::of(500, 1, Weather::Steady)] {
        let mut world = World::new(size);
        let client = world.join(Profile::Gtk, line);
        world.run_until_exact(&[client], MS(100));
        // Until the line is known.
        for step in 0..20 {
            world.draw(&Op::Image(size.rect(), step));
            world.run_for(MS(200));
        }
        for step in 100..110 {
            let before = world.clients[client].display.counts;
            world.draw(&Op::Image(size.rect(), step));
            world.run_until_exact(&[client], MS(100));
            let after = world.clients[client].display.counts;
            assert_eq!(after.seen - before.seen, 1, "{line:?}: one paint shows it");
            assert!(
                2 * IMAGE_PIXELS_MAX
                    < u32::try_from(after.image_pixels - before.image_pixels).unwrap()
            );
            world.run_for(MS(200));
        }
        world.verify_rest();
    }
}

#[test]
fn the_first_picture_is_the_newest() {
    let mut world = painted();
    let first = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[first], MS(60));
    world.leave(first);
    // Nobody watches, so nobody reads the ring.
    world.draw(&Op::Image(SIZE.rect(), 8));
    world.run_for(MS(500));
    let second = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[second], MS(60));
    assert_eq!(world.clients[second].display.counts.marks, 1);
    let pixels = world.clients[second].display.counts.image_pixels;
    assert_eq!(pixels, SIZE.area(), "no picture of the past comes first");
}

#[test]
fn who_joins_half_way_costs_the_others_nothing() {
    let mut world = painted();
    let first = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[first], MS(60));
    world.run_for(MS(100));
    let before = world.given_bytes(first, ChannelType::DISPLAY);
    let second = world.join(Profile::Html5, Line::FAR);
    world.run_until_exact(&[second], Micros::from_secs(1));
    let after = world.given_bytes(first, ChannelType::DISPLAY);
    assert_eq!(before, after, "nothing changed for the first one");
}

#[test]
fn who_joins_while_everything_changes_sees_it_all() {
    let mut world = painted();
    let mut clients = Vec::new();
    for step in 0..200u32 {
        let rect = Rect::at(step.cast_signed() % 290, step.cast_signed() % 210, 30, 30);
        world.draw(&Op::Image(rect, step));
        world.draw(&Op::Copy(SIZE.rect(), 0, -3));
        world.run_for(MS(7));
        if step % 20 == 10 {
            clients.push(world.join(Profile::Gtk, Line::LAN));
        }
    }
    let took = world.run_until_exact(&clients, MS(60));
    assert!(took <= MS(60));
    assert!(clients.iter().all(|client| {
        let counts = world.clients[*client].display.counts;
        counts.marks == 1 && counts.unmarked == 1
    }));
}

#[test]
fn the_screen_changes_its_size_under_the_first_picture() {
    for wait in [0, 30, 60, 120, 300] {
        // More than may be in flight at first, so that painting takes several images.
        let large = Size::new(640, 480);
        let mut world = World::new(large);
        world.draw(&Op::Image(large.rect(), 7));
        let slow = world.join(Profile::Gtk, Line::SLOW);
        let old = world.join(Profile::Old, Line::SLOW);
        world.run_for(MS(wait));
        let size = Size::new(200, 100);
        world.producer.resize(size);
        world.draw(&Op::Image(size.rect(), 3));
        world.run_until_exact(&[slow, old], Micros::from_secs(9));
        world.run_for(MS(200));
        world.verify_rest();
        let counts = world.clients[slow].display.counts;
        assert_eq!(counts.fills, 0, "no picture but those of the driver");
        world.verify_idle();
    }
}

#[test]
fn a_new_size_shows_nothing_before_its_picture() {
    let mut world = painted();
    let clients = [
        world.join(Profile::Gtk, Line::LAN),
        world.join(Profile::Html5, Line::LAN),
    ];
    world.run_until_exact(&clients, MS(60));
    // Both while the clock rests after a frame, and at rest.
    for wait in [0, 3, 16, 100] {
        // More than is encoded in every way there is.
        for line in 0..8 {
            world.draw(&Op::Text(Point::new(30, 120 + 11 * line), 0x0099_0000));
        }
        world.draw(&Op::Text(Point::new(30, 30), 0x0099_0000));
        world.run_for(MS(wait));
        let before = clients.map(|client| world.clients[client].display.counts);
        let size = Size::new(200 + u32::try_from(wait).expect("a few"), 100);
        world.producer.resize(size);
        world.draw(&Op::Image(size.rect(), 3));
        world.run_until_exact(&clients, MS(60));
        for (client, before) in clients.iter().zip(before) {
            let counts = world.clients[*client].display.counts;
            assert_eq!(counts.marks, before.marks + 1);
            assert_eq!(counts.fills, before.fills, "no black screen first");
        }
    }
    world.run_for(MS(100));
    world.verify_rest();
}

#[test]
fn the_screen_changes_its_size_again_and_again() {
    let mut world = painted();
    let clients = [
        world.join(Profile::Gtk, Line::LAN),
        world.join(Profile::Html5, Line::FAR),
    ];
    world.run_until_exact(&clients, Micros::from_secs(1));
    for step in 1..100u32 {
        let size = Size::new(8 + step * 37 % 300, 8 + step * 53 % 200);
        world.producer.resize(size);
        world.draw(&Op::Image(size.rect(), step));
        world.run_for(MS(u64::from(step) * 13 % 40));
    }
    world.run_until_exact(&clients, Micros::from_secs(1));
    world.run_for(MS(200));
    world.verify_rest();
}

#[test]
fn ten_scrolls_are_one_copy() {
    let mut world = painted();
    let client = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[client], MS(60));
    world.run_for(MS(100));
    let before = world.clients[client].display.counts;
    for line in 0..10 {
        world.draw(&Op::Copy(SIZE.rect(), 0, -12));
        let bottom = Rect::at(0, 228, 320, 12);
        world.draw(&Op::Fill(vec![bottom], 0x00ff_ffff));
        world.draw(&Op::Text(Point::new(line * 8, 229), 0x0033_0000));
    }
    world.run_until_exact(&[client], MS(40));
    let after = world.clients[client].display.counts;
    assert_eq!(after.copies - before.copies, 1);
    let drawn_anew = SIZE.area() - 320 * 120;
    let pixels = after.image_pixels - before.image_pixels;
    assert!(pixels <= SIZE.area() - drawn_anew, "{pixels} pixels");
}

#[test]
fn a_lone_drawing_is_shown_at_once() {
    let mut world = painted();
    let client = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[client], MS(60));
    for step in 0..20u32 {
        world.run_for(MS(100));
        world.draw(&Op::Fill(vec![Rect::at(5, 5, 50, 9)], step));
        let took = world.run_until_exact(&[client], MS(1));
        assert!(took <= Micros(700), "{took:?} where the way takes 500 us");
    }
}

#[test]
fn a_busy_x_server_is_waited_for_but_not_long() {
    let mut world = painted();
    let client = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[client], MS(60));
    world.run_for(MS(100));
    world.x_is_quick = false;
    world.draw(&Op::Fill(vec![Rect::at(5, 5, 50, 9)], 1));
    let took = world.run_until_exact(&[client], MS(10));
    assert!((MS(3)..MS(4)).contains(&took), "{took:?}");
}

#[test]
fn frames_come_at_most_sixty_times_a_second() {
    let mut world = painted();
    let client = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[client], MS(60));
    let before = world.attachment.frames.len();
    for step in 0..2000u32 {
        world.draw(&Op::Fill(vec![Rect::at(5, 5, 50, 9)], step));
        world.run_for(MS(1));
    }
    let frames = world.attachment.frames.len() - before;
    assert!((110..=121).contains(&frames), "{frames} in two seconds");
    let times = &world.attachment.frames[before..];
    let closest = times.windows(2).map(|pair| pair[1].since(pair[0])).min();
    assert!(Some(Micros(16_600)) <= closest, "{closest:?}");
}

#[test]
fn nothing_is_sent_for_drawings_that_change_nothing() {
    let mut world = painted();
    let client = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[client], MS(60));
    world.draw(&Op::Fill(vec![Rect::at(5, 5, 50, 9)], 77));
    world.run_for(MS(100));
    let before = world.given_bytes(client, ChannelType::DISPLAY);
    for _ in 0..50 {
        world.draw(&Op::Fill(vec![Rect::at(5, 5, 50, 9)], 77));
        world.draw(&Op::Image(SIZE.rect(), 1));
        world.draw(&Op::Image(SIZE.rect(), 7));
        world.draw(&Op::Fill(vec![Rect::at(5, 5, 50, 9)], 77));
        world.run_for(MS(20));
    }
    assert_eq!(before, world.given_bytes(client, ChannelType::DISPLAY));
}

#[test]
fn each_client_gets_what_it_decodes() {
    let mut world = painted();
    let profiles = [Profile::Gtk, Profile::Html5, Profile::Old];
    let far = profiles.map(|profile| world.join(profile, Line::LAN));
    let near = profiles.map(|profile| world.join(profile, Line::LOCAL));
    let habits = Habits {
        prefers: Some(ImageCompression::LZ),
        ..Habits::default()
    };
    let choosy = world.join_with(Profile::Gtk, Line::LAN, habits);
    let all = [&far[..], &near[..], &[choosy]].concat();
    world.run_until_exact(&all, MS(100));
    // More than is encoded in every way there is.
    for line in 0..8 {
        world.draw(&Op::Text(Point::new(30, 120 + 11 * line), 0x0099_0000));
    }
    world.draw(&Op::Text(Point::new(30, 30), 0x0099_0000));
    world.draw(&Op::Fill(vec![Rect::at(30, 50, 100, 50)], 0x0044_0000));
    world.draw(&Op::Text(Point::new(40, 60), 0x0099_0000));
    world.run_until_exact(&all, MS(100));
    let counts = |client: &usize| world.clients[*client].display.counts;
    let [gtk, html5, old] = far.each_ref().map(counts);
    assert!(0 < gtk.quic && gtk.lz4 == 0);
    let choosy = counts(&choosy);
    assert!(0 < choosy.palettes && 0 < choosy.lz && choosy.quic + choosy.lz4 == 0);
    assert!(0 < html5.lz && 0 < old.lz && html5.palettes + old.palettes == 0);
    assert!(
        near.iter()
            .map(counts)
            .all(|near| near.quic + near.glz == 0)
    );
}

#[test]
fn an_unwatched_desktop_costs_nothing() {
    let mut world = painted();
    world.run_for(MS(100));
    let (looks, frames) = (world.attachment.looks, world.attachment.frames.len());
    for step in 0..100 {
        world.draw(&Op::Image(SIZE.rect(), step));
        world.producer.move_cursor(Point::new(3, 4));
        world.run_for(MS(10));
    }
    assert_eq!(world.attachment.looks, looks);
    assert_eq!(world.attachment.frames.len(), frames);
    assert_eq!(world.next_wake(), None);
}

#[test]
fn monitors_are_told_to_those_who_asked() {
    use caraway_server::ring::Head;
    let mut world = painted();
    let gtk = world.join(Profile::Gtk, Line::LAN);
    let html5 = world.join(Profile::Html5, Line::LAN);
    world.run_until_exact(&[gtk, html5], MS(60));
    let heads = [0, 1].map(|id| Head {
        id,
        rect: Rect::at(160 * id.cast_signed(), 0, 160, 240),
    });
    world.producer.set_monitors(&heads);
    world.run_for(MS(20));
    world.verify_rest();
    let told = &world.clients[gtk].display;
    assert_eq!(told.monitors.as_ref().expect("monitors").heads.len(), 2);
    assert_eq!(told.counts.monitors, 2);
    assert_eq!(world.clients[html5].display.counts.monitors, 0);
}

//! Each client at its own pace: the newest pixels, never a queue of old ones, and no harm to the others.

use caraway_server::base::{Micros, Rect, Size};
use caraway_server::channel::outbox::DRAWINGS_OPEN_MAX;
use caraway_server::ring::Head;
use caraway_server::wire::link::ChannelType;
use caraway_server::wire::main::{MouseModeRequest, MouseModes};

use crate::client::{Habits, Profile};
use crate::line::Line;
use crate::producer::Op;
use crate::world::World;

const SIZE: Size = Size::new(320, 240);
const DISPLAY: ChannelType = ChannelType::DISPLAY;
const MS: fn(u64) -> Micros = Micros::from_millis;

/// As fast as everything comes in the tests' own house.
const PROMPT: Micros = Micros::from_millis(40);

/// The whole screen changes to something that no encoder makes small.
fn change(world: &mut World, seed: u32) {
    world.draw(&Op::Image(SIZE.rect(), seed.wrapping_mul(0x0101_0107)));
}

#[test]
fn a_slow_client_is_never_far_behind() {
    let mut world = World::new(SIZE);
    let slow = world.join(Profile::Gtk, Line::SLOW);
    world.run_until_exact(&[slow], Micros::from_secs(3));
    let rate = Line::SLOW.rate.expect("a rate");
    let (start, before) = (world.now, world.given_bytes(slow, DISPLAY));
    let mut behind_late = 0;
    for step in 0..1000 {
        change(&mut world, step);
        world.run_for(Micros(16_600));
        let behind = world.behind_bytes(slow, DISPLAY) as u64;
        // Before the line is known it may be half a megabyte.
        assert!(behind <= 600 * 1024, "{behind}");
        if 600 < step {
            behind_late = behind.max(behind_late);
        }
    }
    let seconds = world.now.since(start).0 / 1_000_000 + 1;
    let given = world.given_bytes(slow, DISPLAY) - before;
    assert!(
        given <= rate * seconds + 600 * 1024,
        "{given} in {seconds} s"
    );
    assert!(
        rate * seconds * 8 / 10 <= given,
        "the line is used: {given}"
    );
    assert!(behind_late <= 96 * 1024, "{behind_late}");
    // A whole screen takes 1.8 s of the line.
    let took = world.run_until_exact(&[slow], Micros::from_secs(4));
    assert!(took <= Micros::from_millis(3500), "{took:?}");
}

#[test]
fn many_clients_go_at_their_own_pace() {
    let mut world = World::new(SIZE);
    let lines = [Line::LOCAL, Line::LAN, Line::FAR, Line::SLOW];
    let profiles = [Profile::Gtk, Profile::Html5, Profile::Old];
    let kinds = profiles
        .iter()
        .flat_map(|profile| lines.map(|line| (*profile, line)));
    let clients: Vec<usize> = kinds
        .map(|(profile, line)| world.join(profile, line))
        .collect();
    world.run_until_exact(&clients, Micros::from_secs(5));
    let before: Vec<u64> = clients
        .iter()
        .map(|client| world.clients[*client].display.counts.image_pixels)
        .collect();
    for step in 0..120 {
        change(&mut world, step);
        world.run_for(Micros(16_600));
        world.verify_invariants();
    }
    let screens: Vec<u64> = clients
        .iter()
        .zip(before)
        .map(|(client, before)| {
            let pixels = world.clients[*client].display.counts.image_pixels;
            (pixels - before) / SIZE.area()
        })
        .collect();
    for of_profile in screens.chunks(4) {
        let [near, house, far, slow] = of_profile else {
            unreachable!("four lines");
        };
        assert!(118 <= *near, "every frame: {screens:?}");
        assert!(60 <= *house && 8 <= *far && 1 <= *slow, "{screens:?}");
        assert!(slow < far && far < house, "{screens:?}");
    }
    let prompt: Vec<usize> = clients.iter().copied().filter(|at| at % 4 < 2).collect();
    let took = world.run_until_exact(&prompt, PROMPT);
    assert!(took <= PROMPT);
    world.run_until_exact(&clients, Micros::from_secs(4));
}

#[test]
fn a_client_that_stops_reading_harms_nobody() {
    let mut world = World::new(SIZE);
    let good = world.join(Profile::Gtk, Line::LAN);
    let stuck = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[good, stuck], MS(100));
    world.clients[stuck].reads = false;
    let before = world.given_bytes(stuck, DISPLAY);
    let mut slowest = Micros(0);
    for step in 0..600 {
        change(&mut world, step);
        slowest = slowest.max(world.run_until_exact(&[good], MS(100)));
        world.run_for(MS(50));
        world.verify_invariants();
    }
    // 230 kB at 100 Mbit/s are 19 ms.
    assert!(slowest <= PROMPT, "{slowest:?}");
    let given = world.given_bytes(stuck, DISPLAY) - before;
    assert!(
        given <= 1024 * 1024,
        "{given} for a client that reads nothing"
    );
    world.clients[stuck].reads = true;
    let took = world.run_until_exact(&[stuck], MS(200));
    assert!(took <= MS(150), "{took:?}");
    world.run_for(MS(100));
    world.verify_idle();
}

#[test]
fn a_client_that_answers_nothing_gets_so_many_messages() {
    let mut world = World::new(SIZE);
    let good = world.join(Profile::Gtk, Line::LAN);
    let habits = Habits {
        no_answers: true,
        ..Habits::default()
    };
    let mute = world.join_with(Profile::Gtk, Line::LAN, habits);
    world.run_until_exact(&[good], MS(100));
    for step in 0..2000u32 {
        let at = step.cast_signed() % 200;
        world.draw(&Op::Fill(vec![Rect::at(at, at, 20, 20)], step));
        world.run_for(Micros(16_600));
    }
    let took = world.run_until_exact(&[good], PROMPT);
    assert!(took <= PROMPT);
    let stream = &world.clients[mute]
        .connection(DISPLAY)
        .expect("it stays")
        .stream;
    let drawn = stream.received - stream.pings;
    // The last of them may be the messages of one step more: the end of a first picture.
    let bound = u64::from(DRAWINGS_OPEN_MAX) + 5;
    assert!((20..=bound).contains(&drawn), "{drawn} messages");
    assert!(stream.pings < 32, "{} pings", stream.pings);
}

#[test]
fn a_client_that_never_says_init_gets_no_picture() {
    let mut world = World::new(SIZE);
    let habits = Habits {
        no_init: true,
        ..Habits::default()
    };
    let silent = world.join_with(Profile::Gtk, Line::LAN, habits);
    world.run_for(MS(100));
    let frames = world.attachment.frames.len();
    for step in 0..100 {
        change(&mut world, step);
        world.run_for(MS(20));
    }
    assert_eq!(world.attachment.frames.len(), frames, "nobody wants one");
    let good = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[good], MS(100));
    for step in 0..100 {
        change(&mut world, step);
        world.run_for(MS(20));
    }
    world.run_until_exact(&[good], PROMPT);
    assert!(world.clients[silent].display.surfaces.is_empty());
    assert!(world.given_bytes(silent, DISPLAY) < 100);
}

#[test]
fn a_stuck_client_is_owed_a_bounded_number_of_notices() {
    let mut world = World::new(SIZE);
    let stuck = world.join(
        Profile::Gtk,
        Line {
            socket_bytes: 4096,
            ..Line::LAN
        },
    );
    world.run_until_exact(&[stuck], MS(200));
    world.clients[stuck].reads = false;
    change(&mut world, 1);
    world.run_for(MS(100));
    for step in 0..60_000 {
        let rect = Rect::at(0, 0, 1 + step % 320, 240);
        world.producer.set_monitors(&[Head { id: 0, rect }]);
        world.settle();
    }
    world.clients[stuck].reads = true;
    let before = world.given_bytes(stuck, DISPLAY);
    world.run_until_exact(&[stuck], Micros::from_secs(2));
    world.run_for(MS(500));
    world.verify_rest();
    let given = world.given_bytes(stuck, DISPLAY) - before;
    // The picture takes 230 kB.
    assert!(given < 400 * 1024, "{given} bytes");
}

#[test]
fn a_client_that_asks_and_never_reads_is_sent_away() {
    let mut world = World::new(SIZE);
    let line = Line {
        socket_bytes: 512,
        ..Line::LAN
    };
    let greedy = world.join(Profile::Gtk, line);
    world.run_until_exact(&[greedy], Micros::from_secs(2));
    world.run_for(MS(200));
    world.clients[greedy].reads = false;
    for step in 0..200_000u32 {
        let now = world.now;
        let client = &mut world.clients[greedy];
        let mode = if step % 2 == 0 {
            MouseModes::SERVER
        } else {
            MouseModes::CLIENT
        };
        client.say(now, ChannelType::MAIN, &MouseModeRequest { mode });
        if step % 1000 == 0 {
            world.run_for(MS(1));
            world.verify_invariants();
        }
    }
    world.run_for(MS(10));
    assert!(!world.clients[greedy].is_connected(), "it was sent away");
    world.verify_invariants();
}

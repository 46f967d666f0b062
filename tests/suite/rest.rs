//! What a desktop keeps that rests after much work: its picture, and hardly anything else.

use caraway_server::base::{Micros, Rect, Size};
use caraway_server::session::Held;

use crate::client::Profile;
use crate::line::Line;
use crate::producer::Op;
use crate::world::World;

const SIZE: Size = Size::new(640, 480);

/// 30 frames a second.
const TICK: Micros = Micros(33_333);

/// The shortest time between two times that memory is given back (`io::tidiness`).
const PERIOD: Micros = Micros::from_secs(30);

/// Until everything has been given up.
const REST: Micros = Micros::from_secs(120);

/// What a channel may keep of what it sends: its answers to pings.
const OUTBOX_BYTES_MAX: usize = 64;

/// A film, a scroll, photographs and windows that come back.
fn work(world: &mut World, round: u32) {
    for frame in 0..60 {
        world.draw(&Op::Film(Rect::at(133, 77, 320, 180), frame));
        world.run_for(TICK);
    }
    for _ in 0..20 {
        world.draw(&Op::Copy(Rect::at(0, 0, 640, 460), 0, 20));
        world.draw(&Op::Image(Rect::at(0, 460, 640, 20), round));
        world.run_for(TICK);
    }
    for picture in 0..6 {
        world.draw(&Op::Image(SIZE.rect(), 10 + round + picture % 3));
        world.run_for(Micros::from_millis(400));
    }
}

/// Nothing happens for so long; what `io::tidiness` does meanwhile.
fn rest(world: &mut World, span: Micros) {
    let end = world.now + span;
    world.run_for(Micros::from_millis(300));
    let mut again = Some(world.now);
    while let Some(at) = again.filter(|at| *at <= end) {
        world.run_for(at.since(world.now));
        let earliest = world.now + PERIOD;
        let now = world.now;
        let wanted = world.host.with(|session| session.tidy(now));
        again = wanted.map(|at| at.max(earliest));
    }
    assert_eq!(again, None, "a timer for nothing");
    world.run_for(end.since(world.now));
}

fn held(world: &World) -> Held {
    world.host.session().held()
}

#[test]
fn a_desktop_at_rest_keeps_its_picture_and_hardly_anything_else() {
    let mut world = World::new(SIZE);
    let near = world.join(Profile::Gtk, Line::LAN);
    let far = world.join(Profile::Gtk, Line::SLOW);
    let both = [near, far];
    let screen = SIZE.area() as usize * 4;
    for round in 0..3 {
        work(&mut world, round * 7);
        let busy = held(&world);
        assert!(busy.before == screen && screen < busy.saved, "{busy:?}");
        assert!(busy.has_codecs && 0 < busy.payloads, "{busy:?}");
        assert!(0 < busy.video_frames, "{busy:?}");
        world.run_until_exact(&both, Micros::from_secs(120));
        assert!(0 < held(&world).dictionaries, "{:?}", held(&world));
        rest(&mut world, REST);
        let Held {
            shadow, outboxes, ..
        } = held(&world);
        let little = Held {
            shadow,
            outboxes,
            ..Held::default()
        };
        assert_eq!(held(&world), little, "round {round}");
        assert_eq!(shadow, screen);
        let channels: usize = world.clients.iter().map(|one| one.connections.len()).sum();
        assert!(outboxes <= channels * OUTBOX_BYTES_MAX, "{outboxes}");
        world.verify_rest();
        world.verify_idle();
    }
}

/// Letters and a cursor that blinks keep nothing large alive, and a pause in a film costs nothing.
#[test]
fn scratch_goes_soon_behind_small_images_and_late_behind_large_ones() {
    let mut world = World::new(SIZE);
    let client = world.join(Profile::Gtk, Line::LAN);
    work(&mut world, 0);
    world.run_until_exact(&[client], Micros::from_secs(10));
    let now = world.now;
    let soon = world.host.with(|session| session.tidy(now));
    assert!(now < soon.expect("scratch") && held(&world).has_codecs);
    world.run_for(PERIOD);
    let now = world.now;
    world.host.with(|session| session.tidy(now));
    assert!(!held(&world).has_codecs);
    world.draw(&Op::Image(Rect::at(10, 10, 12, 16), 99));
    world.run_until_exact(&[client], Micros::from_secs(1));
    assert!(held(&world).has_codecs);
    let now = world.now;
    world.host.with(|session| session.tidy(now));
    assert!(!held(&world).has_codecs);
}

/// A line's dictionary begins anew under the ids that the client expects, and refers to what the client still has.
#[test]
fn a_dictionary_that_was_given_up_begins_anew() {
    let mut world = World::new(SIZE);
    let client = world.join(Profile::Gtk, Line::SLOW);
    let mut decoded = 0;
    for round in 0..4u32 {
        for line in 0..12u32 {
            let rect = Rect::at(0, line.cast_signed() * 40, 640, 36);
            world.draw(&Op::Fill(vec![rect], 0x00ff_ffff));
            let place = rect.origin();
            world.draw(&Op::Text(place, round * 12 + line));
            world.run_for(TICK);
        }
        world.draw(&Op::ImageAt(Rect::at(100, 100, 200, 150), 5 + round % 2));
        world.run_until_exact(&[client], Micros::from_secs(60));
        let counts = world.clients[client].display.counts;
        let now = counts.glz;
        assert!(decoded < now, "round {round}: {counts:?}");
        decoded = now;
        assert!(0 < held(&world).dictionaries);
        rest(&mut world, REST);
        assert_eq!(held(&world).dictionaries, 0);
    }
}

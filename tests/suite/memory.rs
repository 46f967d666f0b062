//! Content that a client has seen is not sent twice: menus, windows and workspaces that come back, and small images.

use caraway_server::base::{Micros, Point, Rect, Size};
use caraway_server::wire::link::ChannelType;

use crate::client::Profile;
use crate::client::display::Counts;
use crate::line::Line;
use crate::producer::Op;
use crate::world::World;

const SIZE: Size = Size::new(640, 480);
const MS: fn(u64) -> Micros = Micros::from_millis;

/// What coming or going may cost the second time.
const SECOND_TIME_BYTES_MAX: u64 = 2048;

/// A page of noise with somebody who looks at it: every pixel of it costs three bytes.
fn watched(profile: Profile) -> (World, usize) {
    let mut world = World::new(SIZE);
    world.draw(&Op::Image(SIZE.rect(), 7));
    let client = world.join(profile, Line::LAN);
    world.run_until_exact(&[client], MS(500));
    world.run_for(MS(500));
    (world, client)
}

/// Bytes of the display channel until the client shows what `ops` draw; then the screen rests for half a second.
fn cost(world: &mut World, client: usize, ops: &[&Op]) -> u64 {
    let before = world.given_bytes(client, ChannelType::DISPLAY);
    ops.iter().for_each(|op| world.draw(op));
    world.run_until_exact(&[client], MS(500));
    world.run_for(MS(500));
    world.verify_invariants();
    world.given_bytes(client, ChannelType::DISPLAY) - before
}

fn counts(world: &World, client: usize) -> Counts {
    world.clients[client].display.counts
}

/// `rect` shows the page again.
fn page(rect: Rect) -> Op {
    Op::Image(rect, 7)
}

#[test]
fn a_menu_costs_its_pixels_once() {
    for profile in [Profile::Gtk, Profile::Html5, Profile::Old] {
        let (mut world, client) = watched(profile);
        let menu = Rect::at(203, 55, 180, 260);
        let open = [&Op::Fill(vec![menu], 0x00f0_f0f0), &Op::Image(menu, 9)];
        let first = cost(&mut world, client, &open);
        assert!(100_000 < first, "{first}");
        for _ in 0..4 {
            // It may even be the first time that it closes.
            let close = cost(&mut world, client, &[&page(menu)]);
            let again = cost(&mut world, client, &open);
            assert!(close <= SECOND_TIME_BYTES_MAX, "{close}");
            assert!(again <= SECOND_TIME_BYTES_MAX, "{again}");
        }
    }
}

#[test]
fn a_menu_whose_entries_light_up_is_still_the_same_menu() {
    let (mut world, client) = watched(Profile::Gtk);
    let menu = Rect::at(203, 55, 180, 260);
    let open = Op::Image(menu, 9);
    cost(&mut world, client, &[&open]);
    for entry in 0..5 {
        let lit = Op::Invert(Rect::at(203, 75 + entry * 20, 180, 20));
        cost(&mut world, client, &[&lit]);
        let close = cost(&mut world, client, &[&page(menu)]);
        assert!(close <= SECOND_TIME_BYTES_MAX, "{close}");
        let again = cost(&mut world, client, &[&open]);
        // What was lit is new to the slot: three bytes a pixel.
        assert!(again <= SECOND_TIME_BYTES_MAX + 180 * 20 * 3, "{again}");
    }
}

#[test]
fn a_context_menu_is_known_wherever_it_opens() {
    let (mut world, client) = watched(Profile::Gtk);
    let menu = |x, y| Op::ImageAt(Rect::at(x, y, 150, 200), 9);
    for (round, (x, y)) in [(50, 60), (311, 99), (77, 222), (400, 30)]
        .into_iter()
        .enumerate()
    {
        let open = cost(&mut world, client, &[&menu(x, y)]);
        let close = cost(&mut world, client, &[&page(Rect::at(x, y, 150, 200))]);
        assert!(round == 0 || open <= SECOND_TIME_BYTES_MAX, "{open}");
        assert!(close <= SECOND_TIME_BYTES_MAX, "{close}");
    }
}

#[test]
fn windows_and_workspaces_come_back_for_next_to_nothing() {
    let (mut world, client) = watched(Profile::Gtk);
    let (left, right) = (Rect::at(20, 30, 400, 300), Rect::at(200, 100, 420, 350));
    let common = left.intersect(&right);
    cost(
        &mut world,
        client,
        &[&Op::Image(left, 1), &Op::Image(right, 2)],
    );
    let raise_left = Op::Image(common, 1);
    let raise_right = Op::Image(common, 2);
    let workspace = Op::Image(SIZE.rect(), 30);
    let home = [
        &page(SIZE.rect()),
        &Op::Image(left, 1),
        &Op::Image(right, 2),
    ];
    // Once each.
    cost(&mut world, client, &[&raise_left]);
    cost(&mut world, client, &[&raise_right]);
    cost(&mut world, client, &[&workspace]);
    for _ in 0..3 {
        let switch_home = cost(&mut world, client, &home);
        let window = cost(&mut world, client, &[&raise_left]);
        let back = cost(&mut world, client, &[&raise_right]);
        let switch = cost(&mut world, client, &[&workspace]);
        for bytes in [switch_home, window, back, switch] {
            assert!(bytes <= SECOND_TIME_BYTES_MAX, "{bytes}");
        }
    }
}

#[test]
fn a_button_under_the_pointer_is_drawn_by_name() {
    let (mut world, client) = watched(Profile::Gtk);
    let button = Rect::at(33, 44, 60, 24);
    let states = [&Op::Image(button, 1), &Op::Image(button, 2)];
    let first = cost(&mut world, client, &states[..1]) + cost(&mut world, client, &states[1..]);
    let before = counts(&world, client);
    let second = cost(&mut world, client, &states[..1]) + cost(&mut world, client, &states[1..]);
    assert!(second < 400 && 10 * second < first, "{first} {second}");
    assert_eq!(counts(&world, client).cached - before.cached, 2);
}

/// More images than the client keeps: the oldest are sent again, and nothing is asked for that it has not got.
#[test]
fn the_client_is_never_asked_to_keep_more_than_it_can() {
    for profile in [Profile::Gtk, Profile::Html5] {
        let (mut world, client) = watched(profile);
        let icon = |place: u32| Rect::at(place as i32 % 9 * 60, place as i32 / 9 * 60, 40, 40);
        for step in 0..400u32 {
            // Some come again and again, most do not.
            let seed = if step % 2 == 0 {
                step / 2 % 7
            } else {
                100 + step
            };
            world.draw(&Op::ImageAt(icon(step % 60), seed));
            world.run_for(MS(30));
        }
        world.run_until_exact(&[client], MS(60));
        let cached = counts(&world, client).cached;
        assert!(100 < cached, "{:?}", counts(&world, client));
    }
}

#[test]
fn a_video_is_not_remembered() {
    let (mut world, client) = watched(Profile::Gtk);
    let video = Rect::at(100, 100, 320, 240);
    world.draw(&Op::Image(video, 100));
    world.run_for(MS(33));
    let before = counts(&world, client);
    for frame in 0..60 {
        world.draw(&Op::Image(video, 101 + frame % 7));
        world.run_for(MS(33));
    }
    let after = counts(&world, client);
    assert_eq!(before.saves, after.saves);
}

/// A line that cannot follow: menus open and close faster than they arrive.
#[test]
fn a_slow_client_is_told_little_and_comes_to_the_exact_picture() {
    let mut world = World::new(SIZE);
    world.draw(&Op::Image(SIZE.rect(), 7));
    let fast = world.join(Profile::Gtk, Line::LAN);
    let slow = world.join(Profile::Gtk, Line::SLOW);
    world.run_until_exact(&[fast, slow], Micros::from_secs(60));
    world.run_for(MS(500));
    for round in 0..40u32 {
        let menu = Rect::at(10 + round.cast_signed() % 3 * 200, 20, 180, 200);
        world.draw(&Op::Image(menu, 1 + round % 5));
        world.run_for(MS(150));
        world.draw(&page(menu));
        world.draw(&Op::Text(Point::new(400, 400), round));
        world.run_for(MS(150));
        world.verify_invariants();
    }
    world.run_until_exact(&[fast, slow], Micros::from_secs(60));
    world.run_for(MS(500));
    world.verify_rest();
}

/// Who comes while a menu is open has no slots; who leaves and comes back begins anew.
#[test]
fn who_joins_later_lacks_what_others_remember() {
    let (mut world, client) = watched(Profile::Gtk);
    let menu = Rect::at(203, 55, 180, 260);
    cost(&mut world, client, &[&Op::Image(menu, 9)]);
    let late = world.join(Profile::Html5, Line::LAN);
    world.run_until_exact(&[late], MS(500));
    let close = cost(&mut world, client, &[&page(menu)]);
    world.run_until_exact(&[late], MS(500));
    assert!(close <= SECOND_TIME_BYTES_MAX, "{close}");
    assert_eq!(counts(&world, late).restores, 0);
    // By now it has seen the menu itself, and sees the page go that others knew before.
    for (restores, op) in [(1, Op::Image(menu, 9)), (2, page(menu))] {
        cost(&mut world, client, &[&op]);
        world.run_until_exact(&[late], MS(500));
        assert_eq!(counts(&world, late).restores, restores);
    }
    let size = Size::new(500, 400);
    world.producer.resize(size);
    world.draw(&Op::Image(size.rect(), 3));
    world.run_until_exact(&[client, late], MS(500));
    world.run_for(MS(200));
    assert_eq!(world.clients[late].display.surfaces.len(), 1);
    world.verify_rest();
    world.verify_idle();
}

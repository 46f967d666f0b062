//! Channels come and go, in every way that clients think of.

use caraway_server::base::limits::CLIENTS_MAX;
use caraway_server::base::{Micros, Size};
use caraway_server::wire::inputs::KeyDown;
use caraway_server::wire::link::{ChannelType, LinkCode};

use crate::client::Profile;
use crate::line::Line;
use crate::producer::Op;
use crate::world::World;

const SIZE: Size = Size::new(160, 120);
const MS: fn(u64) -> Micros = Micros::from_millis;

const OTHERS: [ChannelType; 3] = [
    ChannelType::DISPLAY,
    ChannelType::CURSOR,
    ChannelType::INPUTS,
];

fn two() -> (World, usize, usize) {
    let mut world = World::new(SIZE);
    let anna = world.join(Profile::Gtk, Line::LAN);
    let bert = world.join(Profile::Old, Line::LAN);
    world.run_until_exact(&[anna, bert], MS(100));
    world.run_for(MS(100));
    (world, anna, bert)
}

#[test]
fn garbage_on_one_channel_leaves_the_others_alone() {
    for kind in OTHERS {
        let (mut world, anna, bert) = two();
        let now = world.now;
        // No message of the channel, and one that claims a gigabyte.
        world.clients[anna].say_raw(now, kind, 0xfff0, &[1, 2, 3]);
        world.run_for(MS(10));
        assert!(world.clients[anna].connection(kind).is_none());
        assert_eq!(world.clients[anna].connections.len(), 3);
        assert_eq!(world.clients[bert].connections.len(), 4);
        world.draw(&Op::Image(SIZE.rect(), 5));
        world.run_until_exact(&[bert], MS(50));
        // It may come again.
        assert_eq!(world.connect(anna, kind), Ok(()));
        world.run_until_exact(&[anna, bert], MS(50));
        world.run_for(MS(100));
        world.verify_invariants();
        world.verify_rest();
    }
}

#[test]
fn a_main_channel_takes_the_others_with_it() {
    for way in 0..3 {
        let (mut world, anna, bert) = two();
        let now = world.now;
        let client = &mut world.clients[anna];
        match way {
            0 => client.finish(now, ChannelType::MAIN),
            1 => client.say_raw(now, ChannelType::MAIN, 0xfff0, &[]),
            // DISCONNECTING.
            _ => client.say_raw(now, ChannelType::MAIN, 6, &[0; 12]),
        }
        world.run_for(MS(10));
        assert!(world.clients[anna].connections.is_empty(), "way {way}");
        assert_eq!(world.clients[bert].connections.len(), 4);
        world.verify_invariants();
        world.rejoin(anna);
        world.run_until_exact(&[anna, bert], MS(100));
    }
}

#[test]
fn links_that_belong_nowhere_are_refused() {
    let (mut world, anna, _) = two();
    for kind in OTHERS {
        let twice = world.connect(anna, kind);
        assert_eq!(twice, Err(LinkCode::ERROR), "{kind:?} is connected");
    }
    assert!(world.connect(anna, ChannelType::PLAYBACK).is_err());
    world.clients[anna].main.session_id = Some(0x1234_5678);
    world.clients[anna].finish(world.now, ChannelType::DISPLAY);
    world.run_for(MS(10));
    assert!(world.connect(anna, ChannelType::DISPLAY).is_err());
    world.verify_invariants();
}

#[test]
fn there_are_so_many_clients_and_no_more() {
    let mut world = World::new(SIZE);
    let clients: Vec<usize> = (0..CLIENTS_MAX + 3)
        .map(|_| world.join(Profile::Gtk, Line::LAN))
        .collect();
    world.draw(&Op::Image(SIZE.rect(), 5));
    world.run_until_exact(&clients[..CLIENTS_MAX], MS(200));
    let late = &clients[CLIENTS_MAX..];
    assert!(late.iter().all(|late| !world.clients[*late].is_connected()));
    world.leave(clients[3]);
    world.rejoin(late[0]);
    world.run_until_exact(&[late[0]], MS(100));
    world.run_for(MS(100));
    world.verify_rest();
    world.verify_idle();
}

#[test]
fn clients_find_the_desktop_again_after_a_crash_of_the_server() {
    let (mut world, anna, bert) = two();
    for step in 0..10 {
        world.draw(&Op::Image(SIZE.rect(), step));
        world.run_for(MS(u64::from(step)));
        world.restart_server();
        world.draw(&Op::Copy(SIZE.rect(), 5, 5));
        world.run_for(MS(3));
        world.rejoin(anna);
        world.rejoin(bert);
        world.run_until_exact(&[anna, bert], MS(100));
    }
    world.run_for(MS(100));
    world.verify_invariants();
    world.verify_rest();
    world.verify_idle();
}

#[test]
fn a_stuck_client_can_be_sent_away() {
    let (mut world, anna, bert) = two();
    world.clients[anna].reads = false;
    for step in 0..100 {
        world.draw(&Op::Image(SIZE.rect(), step));
        world.run_for(MS(20));
    }
    let now = world.now;
    world.clients[anna].finish(now, ChannelType::MAIN);
    world.run_for(MS(10));
    assert!(world.clients[anna].connections.is_empty());
    world.run_until_exact(&[bert], MS(50));
    world.verify_invariants();
}

#[test]
fn what_people_are_told_of_a_client_is_what_happened_to_it() {
    let (mut world, anna, _) = two();
    let told = |world: &World| {
        let status = world.host.session().status(world.now);
        status.clients.into_iter().next().expect("anna")
    };
    let before = told(&world);
    assert_eq!(before.key_to_frame_us, None);
    let now = world.now;
    world.clients[anna].say(now, ChannelType::INPUTS, &KeyDown { code: 0x1e });
    world.run_for(MS(30));
    assert_eq!(told(&world).key_to_frame_us, None, "nothing was drawn");
    assert_eq!(told(&world).frames_shown, before.frames_shown);
    world.draw(&Op::Image(SIZE.rect(), 7));
    world.run_until_exact(&[anna], MS(50));
    let after = told(&world);
    assert!(before.frames_shown < after.frames_shown);
    let taken = after.key_to_frame_us.expect("an answer");
    assert!((29_000..90_000).contains(&taken), "{taken}");
}

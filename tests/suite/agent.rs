//! What clients say to the agent and hear from it, on lines that they share with pictures and keys.

use caraway_server::agent::{Note, Order};
use caraway_server::base::limits::{AGENT_TOKENS, AGENT_TOKENS_BATCH, CLIPBOARD_BYTES_MAX};
use caraway_server::base::{Micros, Size};
use caraway_server::channel::AgentServices;
use caraway_server::wire::agent::{
    AgentMessage, AgentType, ClipboardData, ClipboardType, Selection, VolumeSync, caps,
};
use caraway_server::wire::inputs::KeyDown;
use caraway_server::wire::link::ChannelType;

use crate::client::Profile;
use crate::line::Line;
use crate::producer::Op;
use crate::world::World;

const SIZE: Size = Size::new(160, 120);
const MS: fn(u64) -> Micros = Micros::from_millis;

const ALL: AgentServices = AgentServices {
    clipboard: true,
    clipboard_bytes_max: CLIPBOARD_BYTES_MAX,
    resize: true,
    uploads: true,
    volume_sync: true,
};

fn world(services: AgentServices, profiles: &[Profile], line: Line) -> World {
    let mut world = World::new(SIZE);
    world.host.with(|session| session.serve_agent(services));
    let clients: Vec<usize> = profiles
        .iter()
        .map(|profile| world.join(*profile, line))
        .collect();
    world.run_until_exact(&clients, MS(2000));
    world.run_for(MS(500));
    world
}

fn content(bytes: usize) -> AgentMessage {
    AgentMessage::ClipboardData(ClipboardData {
        selection: Selection::Clipboard,
        kind: ClipboardType::Utf8Text,
        data: vec![b'x'; bytes].into(),
    })
}

fn notes(world: &mut World) -> Vec<Note> {
    let mut orders = Vec::new();
    world.host.with(|session| session.take_orders(&mut orders));
    let notes = orders.into_iter().filter_map(|order| match order {
        Order::Note(_, note) => Some(note),
        _ => None,
    });
    notes.collect()
}

const ALL_PROFILES: [Profile; 3] = [Profile::Gtk, Profile::Html5, Profile::Old];

#[test]
fn every_client_hears_what_the_agent_can() {
    let world = world(ALL, &ALL_PROFILES, Line::LAN);
    for client in &world.clients {
        let agent = &client.main.agent;
        let theirs = agent.theirs.as_ref().expect("an announcement");
        assert!(theirs.has(caps::MONITORS_CONFIG) && theirs.has(caps::CLIPBOARD_BY_DEMAND));
        assert!(!theirs.has(caps::FILE_XFER_DISABLED));
        assert_eq!(agent.chunks, 1);
    }
}

#[test]
fn without_services_there_is_no_agent() {
    let world = world(AgentServices::default(), &ALL_PROFILES, Line::LAN);
    for client in &world.clients {
        assert!(!client.main.agent.is_there);
        assert_eq!(client.main.agent.chunks, 0);
    }
}

#[test]
fn an_agent_may_come_and_go_and_come_again() {
    let none = AgentServices::default();
    let mut world = world(none, &ALL_PROFILES, Line::LAN);
    for _ in 0..3 {
        world.host.with(|session| session.serve_agent(ALL));
        world.run_for(MS(100));
        for client in &mut world.clients {
            assert!(client.main.agent.theirs.is_some());
            // It is told of the end in the middle of a message.
            client.say_agent(world.now, &content(100_000));
        }
        world.host.with(|session| session.serve_agent(none));
        world.run_for(MS(100));
        let clients = &world.clients;
        assert!(clients.iter().all(|one| one.is_connected()));
        assert!(clients.iter().all(|one| !one.main.agent.is_there));
    }
    world.verify_invariants();
    world.verify_rest();
}

#[test]
fn clients_find_the_agent_again_after_a_crash_of_the_server() {
    let mut world = world(ALL, &ALL_PROFILES, Line::LAN);
    world.clients[0].say_agent(world.now, &content(3_000_000));
    world.restart_server();
    world.host.with(|session| session.serve_agent(ALL));
    (0..3).for_each(|client| world.rejoin(client));
    world.run_for(MS(500));
    for client in &world.clients {
        assert!(client.main.agent.theirs.is_some());
        assert_eq!(client.main.agent.waiting_bytes(), 0);
    }
}

/// Fifty megabytes from a client: its keys arrive as they do otherwise, pictures too, and its tokens return.
#[test]
fn much_content_from_a_client_holds_up_nothing() {
    let mut world = world(ALL, &[Profile::Gtk], Line::LAN);
    let begun = world.now;
    world.clients[0].say_agent(begun, &content(50 << 20));
    for step in 0..40 {
        world.draw(&Op::Image(SIZE.rect(), step));
        let code = 0x10 + step % 9;
        let now = world.now;
        world.clients[0].say(now, ChannelType::INPUTS, &KeyDown { code });
        world.run_for(MS(1));
        assert!(!world.devices.keys.is_empty(), "a key takes a millisecond");
        let up = caraway_server::wire::inputs::KeyUp { code: code | 0x80 };
        let now = world.now;
        world.clients[0].say(now, ChannelType::INPUTS, &up);
        world.run_for(MS(1));
        world.verify_invariants();
    }
    world.run_until_exact(&[0], MS(50));
    while 0 < world.clients[0].main.agent.waiting_bytes() {
        world.run_for(MS(10));
        assert!(world.now.since(begun) < MS(2000), "tokens do not come back");
    }
    world.run_for(MS(50));
    let agent = &world.clients[0].main.agent;
    assert!(AGENT_TOKENS - AGENT_TOKENS_BATCH < agent.tokens);
    assert_eq!(notes(&mut world), []);
}

#[test]
fn too_much_content_is_passed_over_and_said_so() {
    let little = AgentServices {
        clipboard_bytes_max: 10_000,
        ..ALL
    };
    let mut world = world(little, &[Profile::Gtk], Line::LAN);
    world.clients[0].say_agent(world.now, &content(1_000_000));
    world.run_for(MS(500));
    let told = notes(&mut world);
    let is_told = |note: &Note| match note {
        Note::Skipped { message_type, .. } => *message_type == AgentType::CLIPBOARD,
        _ => false,
    };
    assert!(told.len() == 1 && is_told(&told[0]), "{told:?}");
    assert!(world.clients[0].is_connected());
    assert!(world.host.agent_rung);
}

#[test]
fn a_chunk_that_is_none_ends_its_client_alone() {
    for size in [2049, 20_000] {
        let mut world = world(ALL, &[Profile::Gtk, Profile::Gtk], Line::LAN);
        let now = world.now;
        world.clients[0].say_raw(now, ChannelType::MAIN, 107, &vec![1; size]);
        world.run_for(MS(10));
        assert!(world.clients[0].connections.is_empty(), "{size}");
        assert_eq!(world.clients[1].connections.len(), 4);
        world.rejoin(0);
        world.run_for(MS(100));
        assert!(world.clients[0].main.agent.theirs.is_some());
    }
}

#[test]
fn the_newest_volume_of_a_client_is_told_once() {
    let mut world = world(ALL, &[Profile::Gtk], Line::LAN);
    for volume in [1, 2, 3] {
        let message = AgentMessage::VolumeSync(VolumeSync {
            is_playback: volume != 3,
            mute: false,
            volumes: vec![volume; 2],
        });
        world.clients[0].say_agent(world.now, &message);
    }
    world.host.sound_rung = false;
    world.run_for(MS(10));
    assert!(world.host.sound_rung);
    let take = |world: &mut World, playback| {
        let sync = world
            .host
            .with(|session| session.take_volume_sync(playback));
        sync.map(|sync| sync.volumes)
    };
    assert_eq!(take(&mut world, true), Some(vec![2, 2]));
    assert_eq!(take(&mut world, false), Some(vec![3, 3]));
    assert_eq!(take(&mut world, true), None);
    // spice-gtk without a sound card.
    let unknown = AgentMessage::VolumeSync(VolumeSync {
        is_playback: true,
        mute: true,
        volumes: vec![0; 2],
    });
    world.clients[0].say_agent(world.now, &unknown);
    world.run_for(MS(10));
    assert_eq!(take(&mut world, true), None);
    // Who joins does not change what the others hear.
    let second = world.join(Profile::Gtk, Line::LAN);
    world.run_for(MS(200));
    let message = AgentMessage::VolumeSync(VolumeSync {
        is_playback: true,
        mute: true,
        volumes: vec![9; 2],
    });
    world.clients[second].say_agent(world.now, &message);
    world.run_for(MS(10));
    assert_eq!(take(&mut world, true), None);
}

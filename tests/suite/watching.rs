//! Clients that only watch: they see, hear and follow the pointer, and nothing of theirs reaches the desktop.

use caraway_server::agent::Order;
use caraway_server::audio::RawOnly;
use caraway_server::base::limits::{CLIPBOARD_BYTES_MAX, NOTICE_BYTES_MAX};
use caraway_server::base::{Access, Micros, Point, Rect, Size};
use caraway_server::channel::AgentServices;
use caraway_server::metrics::Exposition;
use caraway_server::session::{Joining, Visit};
use caraway_server::wire::agent::{AgentMessage, ClipboardData, ClipboardType, Selection};
use caraway_server::wire::inputs::{
    KeyDown, KeyUp, MouseButton, MouseButtons, MouseMotion, MousePress,
};
use caraway_server::wire::link::ChannelType;
use caraway_server::wire::main::{MouseModeRequest, MouseModes};

use crate::client::Profile;
use crate::line::Line;
use crate::producer::Op;
use crate::world::World;

const SIZE: Size = Size::new(320, 240);
const INPUTS: ChannelType = ChannelType::INPUTS;
const MS: fn(u64) -> Micros = Micros::from_millis;

/// Everything that a desktop can serve, with one client who acts and one who watches.
fn desktop(profile: Profile) -> (World, usize, usize) {
    let mut world = World::new(SIZE);
    world.host.with(|session| {
        session.offer_sound(Box::new(RawOnly));
        session.serve_folders();
        session.serve_agent(AgentServices {
            clipboard: true,
            clipboard_bytes_max: CLIPBOARD_BYTES_MAX,
            resize: true,
            uploads: true,
            volume_sync: true,
        });
    });
    let anna = world.join(Profile::Gtk, Line::LAN);
    let eve = world.join(profile, Line::LAN);
    world.clients[eve].access = Access::ViewOnly;
    world.run_until_exact(&[anna, eve], Micros::from_secs(1));
    world.run_for(MS(500));
    (world, anna, eve)
}

fn orders(world: &mut World) -> Vec<Order> {
    let mut orders = Vec::new();
    world.host.with(|session| session.take_orders(&mut orders));
    orders
}

fn channels(world: &World, client: usize) -> Vec<ChannelType> {
    let connections = world.clients[client].connections.iter();
    connections.map(|one| one.kind).collect()
}

#[test]
fn what_a_watcher_does_reaches_nothing() {
    for profile in [Profile::Gtk, Profile::Html5, Profile::Old] {
        let (mut world, anna, eve) = desktop(profile);
        orders(&mut world);
        let (now, client) = (world.now, &mut world.clients[eve]);
        client.say(now, INPUTS, &KeyDown { code: 30 });
        client.say(now, INPUTS, &KeyUp { code: 30 | 0x80 });
        let (button, buttons) = (MouseButton::LEFT, MouseButtons::LEFT);
        client.say(now, INPUTS, &MousePress { button, buttons });
        client.inputs.motions_open = 8;
        for _ in 0..8 {
            let (dx, dy, buttons) = (5, 5, MouseButtons::NONE);
            client.say(now, INPUTS, &MouseMotion { dx, dy, buttons });
        }
        let mode = MouseModes::CLIENT;
        client.say(now, ChannelType::MAIN, &MouseModeRequest { mode });
        client.say_agent(
            now,
            &AgentMessage::ClipboardData(ClipboardData {
                selection: Selection::Clipboard,
                kind: ClipboardType::Utf8Text,
                data: vec![b'x'; 100].into(),
            }),
        );
        world.run_for(MS(300));
        assert_eq!(world.devices.records, []);
        let ordered = orders(&mut world);
        assert!(ordered.is_empty(), "{ordered:?}");
        let eves = &world.clients[eve];
        assert_eq!(eves.inputs.motions_open, 0, "motions are acknowledged");
        assert!(eves.is_connected() && !eves.main.agent.is_there);
        assert_eq!(eves.main.mode, MouseModes::SERVER);
        assert!(world.clients[anna].main.agent.is_there);

        let now = world.now;
        world.clients[anna].say(now, INPUTS, &KeyDown { code: 30 });
        world.run_for(MS(100));
        assert_eq!(world.devices.records.len(), 1, "who acts still does");
    }
}

#[test]
fn a_watcher_is_offered_what_it_gets_something_of() {
    let (mut world, anna, eve) = desktop(Profile::Gtk);
    for kind in [ChannelType::RECORD, ChannelType::WEBDAV] {
        assert!(channels(&world, anna).contains(&kind));
        assert!(!channels(&world, eve).contains(&kind));
        assert!(world.connect(eve, kind).is_err(), "{kind:?} unasked");
    }
    for kind in [
        ChannelType::DISPLAY,
        ChannelType::CURSOR,
        ChannelType::PLAYBACK,
    ] {
        assert!(channels(&world, eve).contains(&kind), "{kind:?}");
    }
}

#[test]
fn a_watcher_sees_the_picture_and_where_the_pointer_is() {
    let (mut world, _, eve) = desktop(Profile::Gtk);
    world.producer.point_at(Point::new(77, 88));
    world.draw(&Op::Image(Rect::new(10, 10, 110, 110), 3));
    world.run_until_exact(&[eve], Micros::from_secs(2));
    world.run_for(MS(200));
    let place = world.clients[eve]
        .cursor
        .place
        .expect("the pointer's place");
    assert_eq!((place.x, place.y), (77, 88));
}

#[test]
fn a_password_for_watching_opens_no_channel_of_who_acts() {
    let (mut world, anna, eve) = desktop(Profile::Gtk);
    // Whatever it knows of the other, its password is its own.
    world.clients[eve].main.session_id = world.clients[anna].main.session_id;
    assert!(world.connect(eve, ChannelType::RECORD).is_err());
    world.clients[anna].finish(world.now, INPUTS);
    world.run_for(MS(100));
    assert!(
        !channels(&world, anna).contains(&INPUTS),
        "its place is free"
    );
    assert!(world.connect(eve, INPUTS).is_err());
}

#[test]
fn the_second_watches_where_that_is_the_policy() {
    let mut world = World::new(SIZE);
    world
        .host
        .with(|session| session.set_joining(Joining::ViewOnly));
    let anna = world.join(Profile::Gtk, Line::LAN);
    world.run_for(MS(200));
    let bert = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[anna, bert], Micros::from_secs(1));
    let now = world.now;
    world.clients[bert].say(now, INPUTS, &KeyDown { code: 30 });
    world.run_for(MS(100));
    assert_eq!(world.devices.records, []);
    world.leave(bert);
    world.leave(anna);
    world.rejoin(bert);
    world.run_until_exact(&[bert], Micros::from_secs(1));
    let now = world.now;
    world.clients[bert].say(now, INPUTS, &KeyDown { code: 30 });
    world.run_for(MS(100));
    assert_eq!(world.devices.records.len(), 1, "nobody else acts");
}

#[test]
fn who_comes_and_goes_is_told_and_counted() {
    let (mut world, anna, eve) = desktop(Profile::Gtk);
    let came = world.host.with(|session| session.take_visits());
    let what = |visit: &Visit| (visit.peer.clone(), visit.has_come, visit.access);
    let clients: Vec<_> = came.iter().map(what).collect();
    let of = |client: usize, has_come, access| (format!("client {client}"), has_come, access);
    let wanted = [
        of(anna, true, Access::Full),
        of(eve, true, Access::ViewOnly),
    ];
    assert_eq!(clients, wanted);
    let status = world.host.with(|session| session.status(Micros(0)));
    let shown: Vec<&str> = status.clients.iter().map(|client| client.access).collect();
    assert_eq!(shown, ["full", "view-only"]);
    let shown_before = sample(&world, "caraway_display_sent_bytes_total");
    assert!(0.0 < shown_before);
    world.leave(eve);
    let gone = world.host.with(|session| session.take_visits());
    assert_eq!(gone.len(), 1);
    assert_eq!(what(&gone[0]), of(eve, false, Access::ViewOnly));
    assert_eq!(gone[0].id, came[1].id);
    let after = sample(&world, "caraway_display_sent_bytes_total");
    assert!(shown_before <= after, "what only grows does");
    assert_eq!(sample(&world, "caraway_clients{access=\"view-only\"}"), 0.0);
    let came = "caraway_connections_total{access=\"view-only\"}";
    assert_eq!(sample(&world, came), 1.0);
}

/// The value of a figure.
fn sample(world: &World, name: &str) -> f64 {
    let mut exposition = Exposition::new();
    world.host.session().expose(world.now, &mut exposition);
    let text = exposition.into_text();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let number = value.and_then(|value| value.parse().ok());
    number.expect(name)
}

#[test]
fn words_reach_every_client_and_are_cut_between_characters() {
    let (mut world, _, _) = desktop(Profile::Gtk);
    let now = world.now;
    let text = "ä".repeat(NOTICE_BYTES_MAX);
    let told = world
        .host
        .with(|session| session.notify_clients(now, &text));
    assert_eq!(told, 2);
    world.run_for(MS(200));
    for client in &world.clients {
        let main = client.connection(ChannelType::MAIN).expect("it stays");
        assert_eq!(main.stream.notices, ["ä".repeat(NOTICE_BYTES_MAX / 2)]);
    }
}

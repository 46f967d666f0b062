//! Keyboard, pointer and lights of several clients on one desktop.

use caraway_server::base::{Micros, Point, Rect, Size};
use caraway_server::ring::{Head, InputRecord, Leds};
use caraway_server::wire::inputs::{
    ClientKeyModifiers, KeyDown, KeyUp, Modifiers, MouseButton, MouseButtons, MouseMotion,
    MousePosition, MousePress,
};
use caraway_server::wire::link::ChannelType;
use caraway_server::wire::main::{MouseModeRequest, MouseModes};

use crate::client::Profile;
use crate::line::Line;
use crate::world::World;

const SIZE: Size = Size::new(320, 240);
const INPUTS: ChannelType = ChannelType::INPUTS;
const MS: fn(u64) -> Micros = Micros::from_millis;

/// Two clients, everything linked.
fn two() -> (World, usize, usize) {
    let mut world = World::new(SIZE);
    let anna = world.join(Profile::Gtk, Line::LAN);
    let bert = world.join(Profile::Html5, Line::FAR);
    world.run_until_exact(&[anna, bert], Micros::from_secs(1));
    world.run_for(MS(500));
    (world, anna, bert)
}

fn key(world: &mut World, client: usize, code: u16, down: bool) {
    let (now, code) = (world.now, u32::from(code));
    let client = &mut world.clients[client];
    if down {
        client.say(now, INPUTS, &KeyDown { code });
    } else {
        client.say(now, INPUTS, &KeyUp { code: code | 0x80 });
    }
    world.run_for(MS(100));
    world.verify_invariants();
}

fn mode(world: &mut World, client: usize, mode: MouseModes) {
    let now = world.now;
    world.clients[client].say(now, ChannelType::MAIN, &MouseModeRequest { mode });
    world.run_for(MS(200));
    assert_eq!(world.clients[client].main.mode, mode);
}

fn motion(dx: i32, dy: i32) -> MouseMotion {
    let buttons = MouseButtons::NONE;
    MouseMotion { dx, dy, buttons }
}

fn position(x: u32, y: u32, display_id: u8) -> MousePosition {
    let buttons = MouseButtons::NONE;
    MousePosition {
        x,
        y,
        buttons,
        display_id,
    }
}

#[test]
fn a_key_is_up_when_the_last_client_lets_go() {
    let (mut world, anna, bert) = two();
    key(&mut world, anna, 30, true);
    key(&mut world, bert, 30, true);
    key(&mut world, anna, 30, true);
    key(&mut world, anna, 30, false);
    assert!(world.devices.keys.contains(&30));
    key(&mut world, bert, 30, false);
    assert!(world.devices.keys.is_empty());
    let (code, down) = (30, true);
    let pressed = InputRecord::Key { code, down };
    let (code, down) = (30, false);
    let released = InputRecord::Key { code, down };
    assert_eq!(world.devices.records, [pressed, released]);
}

#[test]
fn who_goes_holds_nothing() {
    for way in 0..4 {
        let (mut world, anna, bert) = two();
        for code in [29, 42, 30] {
            key(&mut world, anna, code, true);
        }
        key(&mut world, bert, 42, true);
        let (now, button) = (world.now, MouseButton::LEFT);
        let buttons = MouseButtons::LEFT;
        let client = &mut world.clients[anna];
        client.say(now, INPUTS, &MousePress { button, buttons });
        world.run_for(MS(10));
        assert!(world.devices.buttons.contains(&1));
        let now = world.now;
        match way {
            0 => world.leave(anna),
            1 => world.clients[anna].finish(now, ChannelType::MAIN),
            2 => world.clients[anna].finish(now, INPUTS),
            _ => world.clients[anna].say_raw(now, INPUTS, 0xfff0, &[]),
        }
        world.run_for(MS(10));
        assert_eq!(world.devices.keys, [42].into(), "way {way}");
        assert!(world.devices.buttons.is_empty());
        world.verify_invariants();
    }
}

#[test]
fn each_client_has_its_own_mouse_mode() {
    let (mut world, anna, bert) = two();
    mode(&mut world, bert, MouseModes::SERVER);
    assert_eq!(world.clients[anna].main.mode, MouseModes::CLIENT);
    let now = world.now;
    world.clients[anna].say(now, INPUTS, &position(100, 50, 0));
    world.clients[bert].say(now, INPUTS, &motion(-3, 4));
    // Of the mode that does not hold: sent before the client knew.
    world.clients[anna].say(now, INPUTS, &motion(7, 7));
    world.clients[bert].say(now, INPUTS, &position(1, 1, 0));
    world.run_for(MS(200));
    let absolute = InputRecord::Absolute { x: 100, y: 50 };
    let relative = InputRecord::Relative { dx: -3, dy: 4 };
    assert_eq!(world.devices.records, [absolute, relative]);

    world.producer.point_at(Point::new(77, 88));
    world.run_for(MS(200));
    world.verify_rest();
    let place = world.clients[bert]
        .cursor
        .place
        .expect("the server's place");
    assert_eq!((place.x, place.y), (77, 88));
    assert_eq!(world.clients[anna].cursor.place, None, "it has its own");
}

#[test]
fn positions_are_of_the_monitor_that_they_name() {
    let (mut world, anna, _) = two();
    let heads = [0, 1].map(|id| Head {
        id,
        rect: Rect::at(160 * id.cast_signed(), 20, 160, 200),
    });
    world.producer.set_monitors(&heads);
    world.run_for(MS(50));
    let now = world.now;
    world.clients[anna].inputs.motions_open = 4;
    for (x, y, display) in [(10, 10, 0), (10, 10, 1), (5000, 5000, 1), (1, 1, 2)] {
        world.clients[anna].say(now, INPUTS, &position(x, y, display));
    }
    world.run_for(MS(50));
    let places = [(10, 30), (170, 30), (319, 239)];
    let expected = places.map(|(x, y)| InputRecord::Absolute { x, y });
    assert_eq!(world.devices.records, expected);
}

#[test]
fn motions_are_acknowledged_by_fours() {
    let (mut world, anna, _) = two();
    for step in 0..400 {
        let now = world.now;
        let client = &mut world.clients[anna];
        assert!(client.inputs.motions_open < 8, "it would hold still now");
        client.inputs.motions_open += 1;
        client.say(now, INPUTS, &position(step, 3, 0));
        world.run_for(MS(8));
    }
    assert_eq!(world.clients[anna].inputs.motions_open, 0);
    assert_eq!(world.devices.records.len(), 400);
}

#[test]
fn lights_go_to_every_client() {
    let (mut world, anna, bert) = two();
    key(&mut world, anna, 58, true);
    key(&mut world, anna, 58, false);
    for client in [anna, bert] {
        assert_eq!(world.clients[client].inputs.lights, Modifiers::CAPS_LOCK);
    }
    // And to those that come later.
    let carl = world.join(Profile::Old, Line::LAN);
    world.run_for(MS(100));
    assert_eq!(world.clients[carl].inputs.lights, Modifiers::CAPS_LOCK);
    world.verify_rest();
}

#[test]
fn the_desktop_takes_over_the_lights_of_a_client() {
    let (mut world, anna, bert) = two();
    let now = world.now;
    let modifiers = Modifiers::NUM_LOCK.with(Modifiers::SCROLL_LOCK);
    let told = ClientKeyModifiers { modifiers };
    world.clients[anna].say(now, INPUTS, &told);
    world.run_for(MS(200));
    assert_eq!(world.devices.leds, Leds::from_bits(3));
    assert_eq!(world.devices.lock_presses, 2);
    assert_eq!(world.clients[bert].inputs.lights, modifiers);
    let now = world.now;
    world.clients[anna].say(now, INPUTS, &told);
    world.run_for(MS(200));
    assert_eq!(world.devices.lock_presses, 2, "they agree already");
}

#[test]
fn two_clients_do_not_fight_over_caps_lock_for_ever() {
    for line in [Line::LOCAL, Line::FAR] {
        let mut world = World::new(SIZE);
        let (anna, bert) = (
            world.join(Profile::Gtk, Line::LAN),
            world.join(Profile::Gtk, line),
        );
        world.clients[anna].inputs.own_lights = Some(Modifiers::CAPS_LOCK);
        world.clients[bert].inputs.own_lights = Some(Modifiers::NONE);
        world.run_for(Micros::from_secs(10));
        let early = world.devices.lock_presses;
        assert!(early <= 4, "{early} presses");
        world.run_for(Micros::from_secs(600));
        assert_eq!(world.devices.lock_presses, early, "it is over");
        world.verify_rest();
        // One who types afterwards has the say.
        key(&mut world, bert, 30, true);
        key(&mut world, bert, 30, false);
        world.run_for(Micros::from_secs(10));
        assert!(world.devices.lock_presses <= early + 2);
    }
}

//! Anything may happen in any order, and in the end everybody sees the screen.

use caraway_server::base::{Micros, Point, Rect, Size};
use caraway_server::ring::layout::{GROUP_MAX, RING_SLOTS};
use caraway_server::ring::{CursorImage, Head, Leds};
use caraway_server::wire::inputs::{
    KeyDown, KeyUp, MouseButton, MouseButtons, MouseMotion, MousePosition, MousePress, MouseRelease,
};
use caraway_server::wire::link::ChannelType;
use caraway_server::wire::main::{MouseModeRequest, MouseModes};
use proptest::prelude::*;

use crate::client::inputs::MOTIONS_OPEN_MAX;
use crate::client::{Client, Habits, Profile};
use crate::line::Line;
use crate::producer::{self, any_op};
use crate::world::World;

const SIZE: Size = Size::new(130, 90);

/// Some four milliseconds each.
const CASES: u32 = 1500;

/// Who ever came; more would only be slower.
const CLIENTS_MAX: usize = 6;

#[derive(Clone, Debug)]
enum Happening {
    Wait(u64),
    Draw(producer::Op),
    /// X draws and goes on working.
    Busy(producer::Op),
    Idle,
    /// Pixels change now, records come later.
    Hold,
    Release,
    /// More records than the ring holds, while nobody reads it.
    Overrun(u32),
    Resize(Size),
    /// Two monitors with their border at this column.
    Split(u32),
    Shape(u32),
    MovePointer(Point),
    ShowPointer(bool),
    Lights(u32),
    Join(Profile, u8, Habits),
    Leave(usize),
    Rejoin(usize),
    Stall(usize),
    Resume(usize),
    /// The client closes its sending side of a channel.
    Finish(usize, ChannelType),
    Relink(usize, ChannelType),
    Garbage(usize, ChannelType),
    Restart,
    Key(usize, u8, bool),
    Button(usize, u8, bool),
    Motion(usize, i32, i32),
    Mode(usize, bool),
}

fn any_kind() -> impl Strategy<Value = ChannelType> {
    use ChannelType as Kind;
    prop::sample::select(vec![Kind::MAIN, Kind::DISPLAY, Kind::INPUTS, Kind::CURSOR])
}

fn any_profile() -> impl Strategy<Value = Profile> {
    prop::sample::select(vec![Profile::Gtk, Profile::Html5, Profile::Old])
}

fn any_habits() -> impl Strategy<Value = Habits> {
    prop_oneof![
        8 => Just(Habits::default()),
        1 => Just(Habits { no_init: true, ..Habits::default() }),
        1 => Just(Habits { no_answers: true, ..Habits::default() }),
    ]
}

fn any_happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let who = 0..CLIENTS_MAX;
    let place = (-5..140i32, -5..100i32).prop_map(|(x, y)| Point::new(x, y));
    let drawing = prop_oneof![
        20 => any_op(SIZE).prop_map(H::Draw),
        10 => any_op(SIZE).prop_map(H::Busy),
        4 => Just(H::Idle),
        2 => Just(H::Hold),
        3 => Just(H::Release),
        1 => any::<u32>().prop_map(H::Overrun),
    ];
    let screen = prop_oneof![
        3 => (1..200u32, 1..150u32).prop_map(|(w, h)| H::Resize(Size::new(w, h))),
        2 => (1..130u32).prop_map(H::Split),
        3 => any::<u32>().prop_map(H::Shape),
        3 => place.prop_map(H::MovePointer),
        2 => any::<bool>().prop_map(H::ShowPointer),
        2 => (0..8u32).prop_map(H::Lights),
    ];
    let coming = prop_oneof![
        8 => (any_profile(), 0..4u8, any_habits()).prop_map(|(p, l, h)| H::Join(p, l, h)),
        1 => who.clone().prop_map(H::Leave),
        2 => who.clone().prop_map(H::Rejoin),
        2 => who.clone().prop_map(H::Stall),
        2 => who.clone().prop_map(H::Resume),
        1 => (who.clone(), any_kind()).prop_map(|(who, kind)| H::Finish(who, kind)),
        2 => (who.clone(), any_kind()).prop_map(|(who, kind)| H::Relink(who, kind)),
        1 => (who.clone(), any_kind()).prop_map(|(who, kind)| H::Garbage(who, kind)),
        1 => Just(H::Restart),
    ];
    let input = prop_oneof![
        4 => (who.clone(), 16..20u8, any::<bool>()).prop_map(|(w, k, d)| H::Key(w, k, d)),
        1 => (who.clone(), Just(58), any::<bool>()).prop_map(|(w, k, d)| H::Key(w, k, d)),
        3 => (who.clone(), 1..4u8, any::<bool>()).prop_map(|(w, b, d)| H::Button(w, b, d)),
        3 => (who.clone(), -9..200i32, -9..150i32).prop_map(|(w, x, y)| H::Motion(w, x, y)),
        1 => (who, any::<bool>()).prop_map(|(w, server)| H::Mode(w, server)),
    ];
    let wait = prop_oneof![0..3_000u64, 0..60_000u64, 0..2_000_000u64].prop_map(H::Wait);
    prop_oneof![8 => wait, 12 => drawing, 2 => screen, 6 => coming, 4 => input]
}

const LINES: [Line; 4] = [Line::LOCAL, Line::LAN, Line::FAR, Line::SLOW];

fn happen(world: &mut World, happening: &Happening) {
    match happening {
        Happening::Wait(us) => world.run_for(Micros(*us)),
        Happening::Draw(op) => {
            world.producer.draw(op);
            world.producer.idle();
        }
        Happening::Busy(op) => world.producer.draw(op),
        Happening::Idle => world.producer.idle(),
        Happening::Hold => world.producer.hold(),
        Happening::Release => world.producer.release(),
        Happening::Overrun(color) => overrun(world, *color),
        Happening::Resize(size) => world.producer.resize(*size),
        Happening::Split(column) => split(world, *column),
        Happening::Shape(seed) => world.producer.set_cursor(&shape(*seed)),
        Happening::MovePointer(place) => world.producer.move_cursor(*place),
        Happening::ShowPointer(visible) => world.producer.show_cursor(*visible),
        Happening::Lights(bits) => {
            world.devices.leds = Leds::from_bits(*bits);
            world.producer.set_leds(world.devices.leds);
            world.attachment.tell_lights(world.now, world.devices.leds);
        }
        Happening::Join(profile, line, habits) if world.clients.len() < CLIENTS_MAX => {
            world.join_with(*profile, LINES[usize::from(*line)], *habits);
        }
        Happening::Restart => world.restart_server(),
        other => with_client(world, other),
    }
}

/// What happens to a client, if it is there.
fn with_client(world: &mut World, happening: &Happening) {
    use Happening as H;
    let (H::Leave(who)
    | H::Rejoin(who)
    | H::Stall(who)
    | H::Resume(who)
    | H::Finish(who, _)
    | H::Relink(who, _)
    | H::Garbage(who, _)
    | H::Key(who, ..)
    | H::Button(who, ..)
    | H::Motion(who, ..)
    | H::Mode(who, _)) = *happening
    else {
        return;
    };
    let now = world.now;
    let Some(client) = world.clients.get_mut(who) else {
        return;
    };
    match *happening {
        H::Leave(_) => world.leave(who),
        H::Rejoin(_) if client.connections.is_empty() => world.rejoin(who),
        H::Stall(_) => client.reads = false,
        H::Resume(_) => client.reads = true,
        H::Finish(_, kind) => client.finish(now, kind),
        H::Relink(_, kind) => {
            let can = kind != ChannelType::MAIN && client.is_connected();
            if can && client.main.listed && client.connection(kind).is_none() {
                let linked = world.connect(who, kind);
                assert_eq!(linked, Ok(()));
            }
        }
        H::Garbage(_, kind) => client.say_raw(now, kind, 0xfff0, &[1, 2, 3]),
        _ => use_devices(client, now, happening),
    }
}

fn use_devices(client: &mut Client, now: Micros, happening: &Happening) {
    let inputs = ChannelType::INPUTS;
    match *happening {
        Happening::Key(_, key, true) => {
            let code = u32::from(key);
            client.say(now, inputs, &KeyDown { code });
        }
        Happening::Key(_, key, false) => {
            let code = u32::from(key) | 0x80;
            client.say(now, inputs, &KeyUp { code });
        }
        Happening::Button(_, button, down) => {
            let (button, bit) = (MouseButton(button), MouseButtons(1 << (button - 1)));
            let before = client.inputs.buttons;
            if down {
                let buttons = before.with(bit);
                client.inputs.buttons = buttons;
                client.say(now, inputs, &MousePress { button, buttons });
            } else {
                let buttons = before.without(bit);
                client.inputs.buttons = buttons;
                client.say(now, inputs, &MouseRelease { button, buttons });
            }
        }
        Happening::Motion(_, x, y) => {
            let open = client.inputs.motions_open;
            if MOTIONS_OPEN_MAX <= open || client.connection(inputs).is_none() {
                return;
            }
            client.inputs.motions_open = open + 1;
            let buttons = client.inputs.buttons;
            if client.main.mode == MouseModes::SERVER {
                let (dx, dy) = (x, y);
                client.say(now, inputs, &MouseMotion { dx, dy, buttons });
            } else {
                let (x, y) = (x.unsigned_abs(), y.unsigned_abs());
                let display_id = 0;
                let position = MousePosition {
                    x,
                    y,
                    buttons,
                    display_id,
                };
                client.say(now, inputs, &position);
            }
        }
        Happening::Mode(_, server) => {
            let mode = if server {
                MouseModes::SERVER
            } else {
                MouseModes::CLIENT
            };
            client.say(now, ChannelType::MAIN, &MouseModeRequest { mode });
        }
        _ => {}
    }
}

fn overrun(world: &mut World, color: u32) {
    let groups = RING_SLOTS / GROUP_MAX + 1;
    for group in 0..groups {
        let row = i32::try_from(group % 90).expect("a row");
        let rects: Vec<Rect> = (0..GROUP_MAX.cast_signed())
            .map(|column| Rect::at(column % 130, row, 1, 1))
            .collect();
        let color = color.wrapping_add(group);
        world.producer.draw(&producer::Op::Fill(rects, color));
    }
}

fn split(world: &mut World, column: u32) {
    let size = world.producer.size();
    let column = column.min(size.width - 1).max(1).cast_signed();
    let all = size.rect();
    let mut left = Rect {
        right: column,
        ..all
    };
    let right = Rect {
        left: column,
        ..all
    };
    if right.is_empty() {
        left = all;
    }
    let heads = [left, right].into_iter().zip(0..);
    let heads: Vec<Head> = heads
        .filter(|(rect, _)| !rect.is_empty())
        .map(|(rect, id)| Head { id, rect })
        .collect();
    world.producer.set_monitors(&heads);
}

/// A pointer without transparency, which would not be the same bytes for clients.
fn shape(seed: u32) -> CursorImage {
    let size = Size::new(1 + seed % 5, 1 + seed / 5 % 5);
    let pixels = (0..size.width * size.height).map(|at| 0xff00_0000 | (seed ^ at));
    CursorImage {
        shape_serial: 0,
        size,
        hot_spot: Point::new(0, 0),
        pixels: pixels.collect(),
    }
}

/// Everything that was held back comes, and X has nothing left to do.
fn calm_down(world: &mut World) {
    world.producer.release();
    world.producer.idle();
    for client in &mut world.clients {
        client.reads = true;
    }
    world.run_for(Micros::from_secs(2));
    let watching = world.watching();
    world.run_until_exact(&watching, Micros::from_secs(20));
    world.run_for(Micros::from_secs(2));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn everybody_sees_the_screen_in_the_end(
        first in (any_profile(), 0..4u8),
        happenings in prop::collection::vec(any_happening(), 1..80),
    ) {
        let mut world = World::new(SIZE);
        world.join(first.0, LINES[usize::from(first.1)]);
        for happening in &happenings {
            happen(&mut world, happening);
            world.settle();
            world.verify_invariants();
        }
        calm_down(&mut world);
        world.verify_invariants();
        world.verify_rest();
        world.verify_idle();
    }
}

//! Clients ask for sizes, a model driver sets them, and everybody shows the new screen in the end.

use caraway_server::agent::Order;
use caraway_server::agent::resize::ResizeOrder;
use caraway_server::agent::resize_layout::ScreenLayout;
use caraway_server::base::{Micros, Rect, Size};
use caraway_server::channel::AgentServices;
use caraway_server::wire::agent::{
    AgentMessage, MonitorConfig, MonitorsConfig, MonitorsFlags, ReplyCode,
};
use caraway_server::wire::inputs::KeyDown;
use caraway_server::wire::link::ChannelType;
use proptest::prelude::*;

use crate::client::Profile;
use crate::line::Line;
use crate::producer::Op;
use crate::world::World;

const MS: fn(u64) -> Micros = Micros::from_millis;

/// How often whoever carries out orders looks.
const STEP: Micros = Micros::from_millis(2);

/// What X takes for a mode.
const MODE_TIME: Micros = Micros::from_millis(20);

/// A desktop whose monitors follow its clients.
struct Desk {
    world: World,
    setting: Option<(Micros, ScreenLayout)>,
    /// Modes that were set for clients.
    changes: u32,
    notes: u32,
}

impl Desk {
    fn new(profiles: &[Profile]) -> Self {
        let mut world = World::new(Size::new(640, 480));
        let services = AgentServices {
            resize: true,
            ..AgentServices::default()
        };
        world.host.with(|session| session.serve_agent(services));
        for profile in profiles {
            world.join(*profile, Line::LAN);
        }
        let mut desk = Self {
            world,
            setting: None,
            changes: 0,
            notes: 0,
        };
        desk.run_for(MS(1000));
        desk
    }

    fn run_for(&mut self, span: Micros) {
        let end = self.world.now + span;
        while self.world.now < end {
            self.world.run_for(STEP);
            self.carry_out();
        }
    }

    fn carry_out(&mut self) {
        let now = self.world.now;
        let mut orders = Vec::new();
        self.world.host.with(|session| {
            if session.agent_deadline().is_some_and(|at| at <= now) {
                session.agent_poll(now);
            }
            session.take_orders(&mut orders);
        });
        for order in orders {
            match order {
                Order::Resize(ResizeOrder(layout)) => {
                    assert!(self.setting.is_none(), "one at a time");
                    self.setting = Some((now + MODE_TIME, layout));
                }
                Order::Note(..) => self.notes += 1,
                other => unreachable!("{other:?}"),
            }
        }
        if let Some((_, layout)) = self.setting.take_if(|(at, _)| *at <= now) {
            self.changes += 1;
            self.world.producer.resize(layout.size());
            self.world.producer.set_monitors(layout.heads());
            self.world.producer.idle();
        }
    }

    fn ask(&mut self, client: usize, monitors: Vec<MonitorConfig>) {
        let message = AgentMessage::MonitorsConfig(MonitorsConfig {
            flags: MonitorsFlags::USE_POSITION,
            monitors,
        });
        self.world.clients[client].say_agent(self.world.now, &message);
    }

    fn press(&mut self, client: usize) {
        let key = KeyDown { code: 30 };
        self.world.clients[client].say(self.world.now, ChannelType::INPUTS, &key);
    }

    fn width(&self) -> u32 {
        self.world.producer.size().width
    }

    /// Nothing moves any more: everybody shows the screen with its monitors.
    fn verify_rest(&mut self) {
        self.run_for(MS(4000));
        let all: Vec<usize> = (0..self.world.clients.len()).collect();
        self.world.run_until_exact(&all, MS(2000));
        self.world.verify_rest();
        let deadline = self.world.host.with(|session| session.agent_deadline());
        assert_eq!(deadline, None, "somebody still waits");
    }
}

fn monitor(width: u32, height: u32, x: i32, y: i32) -> MonitorConfig {
    MonitorConfig {
        width,
        height,
        x,
        y,
        ..MonitorConfig::default()
    }
}

#[test]
fn a_wish_alone_is_on_the_screen_in_no_time() {
    let mut desk = Desk::new(&[Profile::Gtk, Profile::Html5]);
    desk.press(0);
    desk.run_for(MS(10));
    desk.ask(0, vec![monitor(801, 601, 0, 0)]);
    let start = desk.world.now;
    desk.run_for(MODE_TIME + MS(10));
    assert_eq!(desk.width(), 801);
    desk.world.run_until_exact(&[0, 1], MS(150));
    assert!(desk.world.now.since(start) < MS(200));
    desk.verify_rest();
    assert_eq!(desk.changes, 1);
    let heard = &desk.world.clients[0].main.agent.heard;
    let [AgentMessage::Reply(reply)] = heard.as_slice() else {
        unreachable!("{heard:?}");
    };
    assert_eq!(reply.code, ReplyCode::SUCCESS);
}

#[test]
fn forty_sizes_in_two_seconds_are_two_changes() {
    let mut desk = Desk::new(&[Profile::Gtk]);
    for step in 0..40 {
        desk.ask(0, vec![monitor(700 + step, 500 + step, 0, 0)]);
        desk.run_for(MS(50));
        desk.world.draw(&Op::Image(Rect::at(0, 0, 90, 90), 7));
    }
    desk.verify_rest();
    assert_eq!((desk.changes, desk.width()), (2, 739));
}

#[test]
fn monitors_come_and_go() {
    let mut desk = Desk::new(&[Profile::Gtk]);
    let none = MonitorConfig::default();
    let layouts = [
        vec![monitor(400, 300, 0, 0), none, monitor(500, 300, 400, 0)],
        vec![none, none, none, monitor(400, 300, 0, 0)],
        vec![monitor(400, 300, -400, 0), monitor(400, 300, 0, 100)],
        vec![monitor(640, 480, 0, 0)],
    ];
    for (index, layout) in layouts.into_iter().enumerate() {
        desk.ask(0, layout);
        desk.verify_rest();
        assert_eq!(desk.changes as usize, index + 1);
    }
    assert_eq!(desk.notes, 0);
}

#[test]
fn who_presses_a_key_decides() {
    let mut desk = Desk::new(&[Profile::Gtk, Profile::Gtk]);
    desk.ask(0, vec![monitor(700, 500, 0, 0)]);
    desk.ask(1, vec![monitor(900, 600, 0, 0)]);
    desk.verify_rest();
    assert_eq!(desk.width(), 700);
    desk.press(1);
    desk.run_for(MODE_TIME + MS(20));
    assert_eq!(desk.width(), 900);
    desk.world.leave(1);
    desk.run_for(MS(1000));
    assert_eq!(desk.width(), 900, "it may come again");
    desk.run_for(MS(2000));
    assert_eq!(desk.width(), 700);
}

#[derive(Clone, Debug)]
enum Act {
    Ask(usize, Vec<MonitorConfig>),
    Press(usize),
    Draw,
    /// A program of the desktop sets a mode.
    Set(u32),
    Wait(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let one = (0u32..900, 0u32..900, -900i32..900, -900i32..900);
    let one = one.prop_map(|(width, height, x, y)| monitor(width, height, x, y));
    let act = prop_oneof![
        4 => (0..2usize, prop::collection::vec(one, 0..5)).prop_map(|(who, all)| Act::Ask(who, all)),
        1 => (0..2usize).prop_map(Act::Press),
        2 => Just(Act::Draw),
        1 => (100..900u32).prop_map(Act::Set),
        4 => (1..400u64).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_everybody_shows_the_screen_in_the_end(acts in acts()) {
        let mut desk = Desk::new(&[Profile::Gtk, Profile::Html5]);
        for act in acts {
            match act {
                Act::Ask(who, monitors) => desk.ask(who, monitors),
                Act::Press(who) => desk.press(who),
                Act::Draw => desk.world.draw(&Op::Image(Rect::at(10, 10, 200, 100), 7)),
                Act::Set(width) => {
                    desk.world.producer.resize(Size::new(width, 300));
                    desk.world.producer.idle();
                }
                Act::Wait(ms) => desk.run_for(MS(ms)),
            }
        }
        desk.verify_rest();
    }
}

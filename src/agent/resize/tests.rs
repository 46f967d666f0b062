//! Storms, clients that take turns and X servers that do not obey, in virtual time.

use super::*;
use crate::base::Rect;
use crate::wire::agent::{MonitorConfig, MonitorsFlags};
use proptest::prelude::*;

const ANNA: ClientId = ClientId::new(1);
const BERT: ClientId = ClientId::new(2);

fn wanted(width: u32) -> AgentMessage {
    let monitor = MonitorConfig {
        width,
        height: 600,
        ..MonitorConfig::default()
    };
    AgentMessage::MonitorsConfig(MonitorsConfig {
        flags: MonitorsFlags::USE_POSITION,
        monitors: vec![monitor],
    })
}

fn screen(width: i32, height: i32) -> [Head; 1] {
    [Head {
        id: 0,
        rect: Rect::at(0, 0, width, height),
    }]
}

/// A desktop whose X server takes `latency` for a mode, in virtual time.
struct Desk {
    resize: Resize,
    now: Micros,
    latency: Micros,
    setting: Option<(Micros, ScreenLayout)>,
    /// When it was told what.
    told: Vec<(Micros, u32)>,
    replies: Vec<ReplyCode>,
    notes: Vec<String>,
}

impl Desk {
    fn new(clients: &[ClientId]) -> Self {
        let mut resize = Resize::default();
        resize.shows(&screen(1920, 1080));
        let mut desk = Self {
            resize,
            now: Micros::from_secs(10),
            latency: Micros::from_millis(10),
            setting: None,
            told: Vec::new(),
            replies: Vec::new(),
            notes: Vec::new(),
        };
        clients.iter().for_each(|client| desk.join(*client));
        desk
    }

    fn out(&mut self, call: impl FnOnce(&mut Resize, Micros, &mut Outbound)) {
        let mut out = Outbound::default();
        call(&mut self.resize, self.now, &mut out);
        for (_, message) in out.messages {
            let AgentMessage::Reply(reply) = message else {
                panic!("{message:?}");
            };
            self.replies.push(reply.code);
        }
        for order in out.orders {
            match order {
                Order::Resize(ResizeOrder(layout)) => {
                    assert!(self.setting.is_none(), "one at a time");
                    self.told.push((self.now, layout.size().width));
                    self.setting = Some((self.now + self.latency, layout));
                }
                Order::Note(_, note) => self.notes.push(note.to_string()),
                other => panic!("{other:?}"),
            }
        }
    }

    fn join(&mut self, client: ClientId) {
        self.out(|resize, now, out| resize.joined(now, client, &Caps::default(), out));
    }

    fn leave(&mut self, client: ClientId) {
        self.out(|resize, _, out| resize.left(client, out));
        self.settle();
    }

    fn ask(&mut self, client: ClientId, width: u32) {
        self.out(|resize, now, out| resize.message(now, client, wanted(width), out));
        self.settle();
    }

    fn act(&mut self, client: ClientId) {
        self.resize.acted(self.now, client);
        self.settle();
    }

    /// What is due now happens.
    fn settle(&mut self) {
        for _ in 0..3 {
            if let Some((_, layout)) = self.setting.take_if(|(at, _)| *at <= self.now) {
                self.resize.shows(layout.heads());
            }
            self.out(|resize, now, out| resize.poll(now, out));
        }
        let next = self.resize.deadline();
        assert!(next.is_none_or(|at| self.now < at), "somebody spins");
    }

    fn run_for(&mut self, span: Micros) {
        let end = self.now + span;
        loop {
            let setting = self.setting.as_ref().map(|(at, _)| *at);
            let next = self.resize.deadline().into_iter().chain(setting).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = next;
            self.settle();
        }
        self.now = end;
    }

    fn width(&self) -> u32 {
        self.resize.shown[0].rect.width()
    }
}

#[test]
fn a_single_change_is_made_at_once_and_the_same_again_is_none() {
    let mut desk = Desk::new(&[ANNA]);
    let start = desk.now;
    desk.ask(ANNA, 800);
    assert_eq!(desk.told, [(start, 800)]);
    desk.run_for(Micros::from_secs(1));
    desk.ask(ANNA, 800);
    desk.run_for(Micros::from_secs(1));
    assert_eq!((desk.told.len(), desk.width()), (1, 800));
    assert_eq!(desk.resize.deadline(), None, "nothing is left to wait for");
}

#[test]
fn forty_sizes_in_two_seconds_are_two_changes() {
    let mut desk = Desk::new(&[ANNA]);
    for step in 0..40 {
        desk.ask(ANNA, 800 + step);
        desk.run_for(Micros::from_millis(50));
    }
    let last = desk.now;
    desk.run_for(Micros::from_secs(1));
    assert_eq!(desk.told.len(), 2, "{:?}", desk.told);
    assert_eq!(desk.width(), 839);
    assert!(desk.told[1].0.since(last) < SETTLE);
}

#[test]
fn a_storm_without_end_is_followed_now_and_then() {
    let mut desk = Desk::new(&[ANNA]);
    for step in 0..400 {
        desk.ask(ANNA, 800 + step);
        desk.run_for(Micros::from_millis(50));
    }
    // Twenty seconds: the first at once, then every four.
    assert!((5..=7).contains(&desk.told.len()), "{:?}", desk.told);
}

#[test]
fn a_slow_x_server_gets_the_newest_wish_only() {
    let mut desk = Desk::new(&[ANNA]);
    desk.latency = Micros::from_millis(1500);
    for step in 0..4 {
        desk.ask(ANNA, 800 + step);
        desk.run_for(Micros::from_millis(300));
    }
    desk.run_for(Micros::from_secs(4));
    let widths: Vec<u32> = desk.told.iter().map(|(_, width)| *width).collect();
    assert_eq!(widths, [800, 803]);
}

#[test]
fn a_change_that_is_not_taken_is_given_up_and_told() {
    let mut desk = Desk::new(&[ANNA]);
    desk.latency = Micros::from_secs(1000);
    desk.ask(ANNA, 800);
    desk.setting = None;
    desk.run_for(Micros::from_secs(5));
    assert_eq!(desk.told.len(), 1);
    assert!(desk.notes[0].contains("800x600"), "{:?}", desk.notes);
    desk.latency = Micros(0);
    desk.ask(ANNA, 900);
    desk.run_for(Micros::from_secs(1));
    assert_eq!(desk.width(), 900);
}

#[test]
fn who_acts_decides() {
    let mut desk = Desk::new(&[ANNA, BERT]);
    desk.ask(ANNA, 800);
    desk.run_for(Micros::from_secs(1));
    desk.ask(BERT, 700);
    desk.run_for(Micros::from_secs(10));
    assert_eq!(desk.width(), 800, "who looks on is not obeyed");
    desk.act(BERT);
    desk.run_for(Micros::from_millis(20));
    assert_eq!(desk.width(), 700, "nobody else acts");
    desk.act(ANNA);
    desk.run_for(Micros::from_millis(1900));
    assert_eq!(desk.width(), 700, "not while the other has just acted");
    desk.run_for(Micros::from_millis(200));
    assert_eq!(desk.width(), 800);
    // Both at once: nothing moves.
    desk.act(ANNA);
    let told = desk.told.len();
    for _ in 0..40 {
        desk.act(BERT);
        desk.run_for(Micros::from_millis(100));
        desk.act(ANNA);
        desk.run_for(Micros::from_millis(100));
    }
    assert_eq!(desk.told.len(), told);
    desk.ask(ANNA, 810);
    desk.run_for(Micros::from_millis(20));
    assert_eq!(desk.width(), 810, "a new size of who acts counts at once");
}

#[test]
fn the_one_that_is_left_decides_after_a_while() {
    let mut desk = Desk::new(&[ANNA, BERT]);
    desk.ask(ANNA, 800);
    desk.ask(BERT, 700);
    desk.run_for(Micros::from_secs(1));
    desk.leave(ANNA);
    desk.run_for(Micros::from_secs(1));
    assert_eq!(desk.width(), 800);
    desk.run_for(Micros::from_secs(2));
    assert_eq!(desk.width(), 700);
    desk.leave(BERT);
    desk.run_for(Micros::from_secs(9));
    assert_eq!(desk.width(), 700, "an empty desktop keeps its size");
}

#[test]
fn what_programs_set_is_left_alone_until_the_client_asks_again() {
    let mut desk = Desk::new(&[ANNA]);
    desk.ask(ANNA, 800);
    desk.run_for(Micros::from_secs(1));
    desk.resize.shows(&screen(1024, 768));
    desk.run_for(Micros::from_secs(60));
    assert_eq!((desk.told.len(), desk.width()), (1, 1024));
    desk.ask(ANNA, 800);
    desk.run_for(Micros::from_secs(1));
    assert_eq!(desk.width(), 800);
}

#[test]
fn every_request_is_answered_and_what_was_not_done_is_noted() {
    let mut desk = Desk::new(&[ANNA]);
    desk.ask(ANNA, 1);
    desk.ask(ANNA, 100_000);
    desk.ask(BERT, 800);
    desk.out(|resize, now, out| {
        resize.skipped(now, ANNA, AgentType::MONITORS_CONFIG, out);
    });
    let (good, bad) = (ReplyCode::SUCCESS, ReplyCode::ERROR);
    assert_eq!(desk.replies, [good, bad, bad, bad]);
    assert_eq!(desk.notes.len(), 2, "{:?}", desk.notes);
    assert_eq!(desk.told[0].1, 320);
}

#[test]
fn a_desktop_that_keeps_its_size_refuses() {
    let mut desk = Desk::new(&[ANNA]);
    desk.resize.set_policy(ResizePolicy {
        follow: false,
        dpi: DpiPolicy::Fixed,
    });
    desk.ask(ANNA, 800);
    desk.run_for(Micros::from_secs(9));
    assert_eq!((desk.told.len(), desk.width()), (0, 1920));
    assert_eq!(desk.replies, [ReplyCode::ERROR]);
}

#[test]
fn dots_per_inch_alone_are_a_change() {
    let mut desk = Desk::new(&[ANNA]);
    desk.resize.set_policy(ResizePolicy {
        follow: true,
        dpi: DpiPolicy::Client,
    });
    let AgentMessage::MonitorsConfig(mut config) = wanted(800) else {
        panic!("another message");
    };
    config.monitors[0].physical_mm = Some((125, 94));
    desk.ask(ANNA, 800);
    desk.run_for(Micros::from_secs(1));
    for told in [2, 2] {
        let message = AgentMessage::MonitorsConfig(config.clone());
        desk.out(|resize, now, out| resize.message(now, ANNA, message, out));
        desk.run_for(Micros::from_secs(1));
        assert_eq!((desk.told.len(), desk.resize.dpi), (told, 163));
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Ask(u64, u32),
    Press(u64),
    Join(u64),
    Leave(u64),
    Wait(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..3u64, 400..1000u32).prop_map(|(client, width)| Act::Ask(client, width)),
        2 => (0..3u64).prop_map(Act::Press),
        1 => (0..3u64).prop_map(Act::Join),
        1 => (0..3u64).prop_map(Act::Leave),
        4 => (1..3000u64).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 0..80)
}

proptest! {
    #[test]
    fn whatever_clients_do_the_decider_gets_its_last_wish(
        acts in acts(), latency_ms in 0..1500u64,
    ) {
        let mut desk = Desk::new(&[]);
        desk.latency = Micros::from_millis(latency_ms);
        let mut last = BTreeMap::new();
        for act in acts {
            match act {
                Act::Ask(client, width) => {
                    if desk.resize.clients.contains_key(&ClientId::new(client)) {
                        desk.ask(ClientId::new(client), width);
                        last.insert(ClientId::new(client), width);
                    }
                }
                Act::Press(client) => desk.act(ClientId::new(client)),
                Act::Join(client) => desk.join(ClientId::new(client)),
                Act::Leave(client) => {
                    desk.leave(ClientId::new(client));
                    last.remove(&ClientId::new(client));
                }
                Act::Wait(ms) => desk.run_for(Micros::from_millis(ms)),
            }
        }
        desk.run_for(Micros::from_secs(30));
        prop_assert_eq!(desk.resize.deadline(), None);
        let wish = desk.resize.decider.and_then(|decider| last.get(&decider));
        if let Some(width) = wish {
            prop_assert_eq!(desk.width(), *width);
        }
        prop_assert!(desk.resize.clients.len() != 1 || desk.resize.decider.is_some());
    }
}

//! Clients of any manners on a desktop that changes meanwhile, and what must hold all the same.
//!
//! A script plays the clients of a session, its driver and the clock. What the session says is read by a [`Viewer`]
//! that refuses what a client would; input is read as the driver reads it. At the end the clients that are still
//! there behave, and have to get the exact picture; then all go, and nothing of them may stay. `tests/fuzz` feeds
//! [`check`] with a fuzzer, the tests here with random scripts and with those that a fuzzer once found.

mod messages;
mod painter;
mod programs;
mod viewer;

use std::collections::BTreeSet;

use self::painter::Painted;
use self::viewer::Viewer;
use super::{ChannelKey, Event, FolderStream, Origin, Session};
use crate::base::limits::{IMAGE_PIXELS_MAX, OUTPUT_BYTES_MAX};
use crate::base::script::{Script, pieces};
use crate::base::{Access, Micros, Point, Size};
use crate::channel::Identity;
use crate::channel::link::Linked;
use crate::display::Path;
use crate::ring::InputRecord;
use crate::wire::caps::Caps;
use crate::wire::header::write_message;
use crate::wire::link::{ChannelType, LinkMessage};

/// Steps of one script; the rest is ignored.
const STEPS_MAX: usize = 250;

/// Channels at one time: two clients and a bit.
const MEMBERS_MAX: usize = 16;

/// Bytes that come from a socket at once.
const READ_BYTES: usize = 16 * 1024;

/// What may wait for a client that reads nothing: the limit, the image that passed it, and some small messages.
const WAITING_MAX: usize = OUTPUT_BYTES_MAX + IMAGE_PIXELS_MAX as usize * 4 + 4096;

const KINDS: [ChannelType; 7] = [
    ChannelType::MAIN,
    ChannelType::DISPLAY,
    ChannelType::INPUTS,
    ChannelType::CURSOR,
    ChannelType::PLAYBACK,
    ChannelType::RECORD,
    ChannelType::WEBDAV,
];

/// Plays the script.
///
/// # Panics
///
/// Where the session breaks its promises; that is what tests and fuzzers look for.
pub fn check(script: &[u8]) {
    let mut script = Script::new(script);
    let mut stage = Stage::new(&mut script);
    for _ in 0..STEPS_MAX {
        if script.is_empty() {
            break;
        }
        stage.step(&mut script);
        stage.settle();
    }
    stage.converge();
    stage.end();
}

/// One connected channel.
#[derive(Debug)]
struct Member {
    key: ChannelKey,
    channel_type: ChannelType,
    mini_header: bool,
    viewer: Viewer,
    /// It has sent display INIT.
    initialised: bool,
    /// Every byte of it was part of a message: only then can it be understood at the end.
    well_framed: bool,
}

/// The session with everybody around it.
#[derive(Debug)]
struct Stage {
    session: Session,
    now: Micros,
    members: Vec<Member>,
    screen: Painted,
    /// Keys and buttons (beyond 1000) that are down for the driver.
    down: BTreeSet<u16>,
    /// Programs' connections to shared folders.
    streams: Vec<FolderStream>,
    /// Messages that clients have sent.
    said: usize,
}

impl Stage {
    /// One client with all its channels, of a kind that the script decides.
    fn new(script: &mut Script<'_>) -> Self {
        let identity = Identity {
            name: "a desktop".to_owned(),
            uuid: [7; 16],
        };
        let size = Size::new(64, 48);
        let mut stage = Self {
            session: Session::new(identity, size),
            now: Micros(1),
            members: Vec::new(),
            screen: Painted {
                size,
                pixels: vec![0; size.area() as usize],
            },
            down: BTreeSet::new(),
            streams: Vec::new(),
            said: 0,
        };
        stage.offer();
        let flags = script.u8();
        for kind in KINDS {
            stage.link(kind, flags);
            stage.settle();
        }
        stage
    }

    /// Links a channel to the newest client there is; the session may refuse.
    fn link(&mut self, channel_type: ChannelType, flags: u8) {
        if MEMBERS_MAX <= self.members.len() {
            return;
        }
        let newest = self
            .members
            .iter()
            .rev()
            .find_map(|member| member.viewer.connection_id);
        let is_main = channel_type == ChannelType::MAIN;
        let message = LinkMessage {
            connection_id: if is_main { 0 } else { newest.unwrap_or(9) },
            channel_type,
            channel_id: 0,
            common_caps: Caps::default(),
            channel_caps: Caps::of([&[][..], &[1], &[1, 5], &[5]][usize::from(flags & 3)]),
        };
        let access = match flags & 3 {
            3 => Access::ViewOnly,
            _ => Access::Full,
        };
        let Ok(key) = self.session.admit(&message, access, u32::from(flags >> 4)) else {
            return;
        };
        let mini_header = flags & 4 == 0;
        let linked = Linked {
            message,
            mini_header,
            leftover: Vec::new(),
        };
        let origin = Origin {
            peer: "peer".to_owned(),
            user: None,
            path: if flags & 8 == 0 {
                Path::Network
            } else {
                Path::Unix
            },
        };
        let started = self.session.start(key, self.now, linked, origin);
        assert!(started.is_ok(), "{started:?}");
        let viewer = Viewer::new(channel_type, mini_header);
        self.members.push(Member {
            key,
            channel_type,
            mini_header,
            viewer,
            initialised: false,
            well_framed: true,
        });
        if is_main {
            self.transmit(self.members.len() - 1, 2);
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let step = script.u8();
        let member = usize::from(step >> 4) % self.members.len().max(1);
        match step & 15 {
            0 => self.link(script.pick(&KINDS), script.u8()),
            1 => {
                let count = usize::from(script.u8());
                if let Some(member) = self.members.get_mut(member) {
                    member.well_framed = false;
                }
                self.receive(member, script.bytes(count), script.u8());
            }
            2..=5 => self.say(member, script),
            6 | 7 => self.transmit(member, usize::from(script.u8())),
            8 => self.answer(member),
            9 => self.now = self.now + Micros(u64::from(script.number()) << (script.u8() % 16)),
            10 | 11 => self.draw(script),
            12 => self.session.refresh(self.now, &self.screen),
            13 => self.driver(script),
            14 => self.greet(member),
            _ if 240 <= step => self.close(member),
            _ => self.programs(script),
        }
    }

    /// One message that is nearly right, once or very often.
    fn say(&mut self, member: usize, script: &mut Script<'_>) {
        let Some(Member {
            channel_type,
            mini_header,
            ..
        }) = self.members.get(member)
        else {
            return;
        };
        let (number, body) = messages::message(*channel_type, script);
        let (cut, times) = (script.u8(), 1 << (script.u8() % 12));
        self.said += times;
        let mut bytes = Vec::new();
        for _ in 0..times {
            write_message(&mut bytes, *mini_header, 1, number, |writer| {
                writer.bytes(&body)
            });
        }
        if (*channel_type, number) == (ChannelType::DISPLAY, 101) && body.len() == 14 {
            self.members[member].initialised = true;
        }
        self.receive(member, &bytes, cut);
    }

    /// Display INIT, as every client says it.
    fn greet(&mut self, member: usize) {
        let displays = |member: &&mut Member| member.channel_type == ChannelType::DISPLAY;
        let Some(display) = self.members.get_mut(member).filter(displays) else {
            return;
        };
        display.initialised = true;
        let mut bytes = Vec::new();
        write_message(&mut bytes, display.mini_header, 1, 101, |writer| {
            writer.bytes(&[0; 14])
        });
        self.receive(member, &bytes, 0);
    }

    fn receive(&mut self, member: usize, bytes: &[u8], cut: u8) {
        let Some(Member { key, .. }) = self.members.get(member) else {
            return;
        };
        let key = *key;
        let reads = bytes.chunks(READ_BYTES).flat_map(|read| pieces(read, cut));
        for piece in reads {
            // Whoever drives the session reads nothing then.
            if self.session.is_held(key) {
                return;
            }
            let received = self.session.receive(key, self.now, piece);
            self.take_input();
            if received.is_err() {
                return self.close(member);
            }
        }
    }

    /// The socket takes what there is, at most so many times.
    fn transmit(&mut self, member: usize, times: usize) {
        let Some(member) = self.members.get_mut(member) else {
            return;
        };
        for _ in 0..times {
            let mut out = Vec::new();
            let more = self.session.transmit(member.key, self.now, &mut out);
            assert!(out.len() <= WAITING_MAX, "{} bytes at once", out.len());
            member.viewer.read(&out);
            if !more && out.is_empty() {
                break;
            }
        }
    }

    /// The client says what it owes.
    fn answer(&mut self, member: usize) {
        let Some(Member {
            viewer,
            mini_header,
            ..
        }) = self.members.get_mut(member)
        else {
            return;
        };
        let (answers, mut bytes) = (viewer.take_answers(), Vec::new());
        for answer in answers {
            messages::write_answer(&answer, *mini_header, &mut bytes);
        }
        self.receive(member, &bytes, 0);
    }

    fn close(&mut self, member: usize) {
        if member < self.members.len() {
            let member = self.members.remove(member);
            self.session.close(member.key);
        }
    }

    /// What whoever drives the session does after every call, and what holds then.
    fn settle(&mut self) {
        self.take_input();
        self.obey();
        let mut events = Vec::new();
        self.session.take_events(&mut events);
        for event in events {
            if let Event::Close(key) = event {
                let gone = self.members.iter().position(|member| member.key == key);
                gone.into_iter().for_each(|member| self.close(member));
                self.take_input();
            }
        }
        for channel in self.session.channels.values() {
            let waiting = channel.outbox.waiting_bytes();
            assert!(
                waiting <= WAITING_MAX,
                "{waiting} bytes wait on {}",
                channel.role.name()
            );
            let kept = channel.inbox.kept_bytes();
            assert!(
                kept <= 256 * 1024,
                "{kept} bytes kept on {}",
                channel.role.name()
            );
        }
        assert_eq!(self.session.channels.len(), self.members.len());
    }

    /// Input as the driver reads it.
    fn take_input(&mut self) {
        let screen = self.screen.size.rect();
        for record in self.session.take_input() {
            match record {
                InputRecord::Key { code, down } => {
                    assert!((1..=247).contains(&code), "{record:?}");
                    self.press(code, down);
                }
                InputRecord::Button { button, down } => {
                    assert!([1, 2, 3, 8, 9].contains(&button), "{record:?}");
                    self.press(1000 + u16::from(button), down);
                }
                InputRecord::Absolute { x, y } => {
                    assert!(
                        screen.contains_point(Point::new(x, y)),
                        "{record:?} on {screen:?}"
                    );
                }
                InputRecord::Relative { dx, dy } => {
                    let far = -8192..=8192;
                    assert!(far.contains(&dx) && far.contains(&dy), "{record:?}");
                }
                InputRecord::Scroll {
                    vertical,
                    horizontal,
                } => {
                    assert_eq!((vertical.abs(), horizontal), (120, 0));
                }
            }
        }
    }

    fn press(&mut self, code: u16, down: bool) {
        let changed = if down {
            self.down.insert(code)
        } else {
            self.down.remove(&code)
        };
        assert!(
            changed,
            "{code} goes {} twice",
            if down { "down" } else { "up" }
        );
    }

    /// Everybody reads and answers: displays that have begun come to the exact picture.
    fn converge(&mut self) {
        for _ in 0..2000 {
            self.now = self.now + Micros::from_millis(5);
            let mut waits = self.session.is_touched() || self.session.awaits_first_frame();
            if waits {
                self.session.refresh(self.now, &self.screen);
            }
            for member in 0..self.members.len() {
                let written = |stage: &Self| {
                    let channel = stage.members.get(member).map(|member| member.key);
                    let channel = channel.and_then(|key| stage.session.channels.get(&key));
                    channel.map(|channel| channel.outbox.written_bytes())
                };
                let before = written(self);
                self.answer(member);
                self.transmit(member, 50);
                let owes = |member: &Member| member.viewer.owes();
                waits |= before != written(self) || self.members.get(member).is_some_and(owes);
            }
            self.settle();
            if !waits {
                break;
            }
        }
        for member in self
            .members
            .iter()
            .filter(|member| member.initialised && member.well_framed)
        {
            let shown = member.viewer.surfaces.get(&0);
            assert!(
                member.viewer.marked,
                "the picture is whole and may be shown"
            );
            assert!(
                shown.is_some_and(|(size, pixels)| {
                    *size == self.screen.size && *pixels == self.screen.pixels
                }),
                "the client shows something else than the screen of {:?}: {:?}",
                self.screen.size,
                shown.map(|(size, pixels)| (
                    size,
                    pixels
                        .iter()
                        .zip(&self.screen.pixels)
                        .position(|(a, b)| a != b)
                )),
            );
        }
    }

    /// All go; nothing is left of them.
    fn end(&mut self) {
        while !self.members.is_empty() {
            self.close(self.members.len() - 1);
            self.settle();
        }
        assert_eq!(
            self.down,
            BTreeSet::new(),
            "is let go of when its clients go"
        );
        assert!(self.session.status(self.now).clients.is_empty());
        assert!(!self.session.is_watched());
        self.nothing_is_shared();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rect;
    use crate::base::corpus::{plant_seeds, replay_regressions};
    use crate::ring::{Head, Monitors};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn random_scripts_break_no_promise(script in prop::collection::vec(any::<u8>(), 0..400)) {
            check(&script);
        }

        /// A display that reads now and then while much is drawn.
        #[test]
        fn viewers_come_to_the_exact_picture(
            flags in any::<u8>(),
            steps in prop::collection::vec(
                (prop::sample::select(vec![0x16, 0x18, 10, 11, 12, 13, 9]), prop::collection::vec(any::<u8>(), 14)),
                0..40,
            ),
        ) {
            // Channel 1 is the display.
            let mut script = vec![flags, 0x1e];
            for (step, rest) in steps {
                script.push(step);
                let decisions = match step & 15 { 6 => 1, 8 | 12 => 0, 9 => 2, _ => 14 };
                script.extend(&rest[..decisions]);
            }
            check(&script);
        }
    }

    /// Scripts of `seed` and those after it, until clients have sent so many messages.
    fn play_messages(seed: u64, count: usize) {
        let (mut state, mut said) = (seed, 0);
        while said < count {
            let mut script = vec![0; 600];
            for byte in &mut script {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *byte = (state >> 32) as u8;
            }
            let mut script = Script::new(&script);
            let mut stage = Stage::new(&mut script);
            while !script.is_empty() {
                stage.step(&mut script);
                stage.settle();
            }
            said += stage.said;
            stage.end();
        }
    }

    /// Row B3 of the catalogue.
    #[test]
    fn a_hundred_thousand_messages_break_no_promise() {
        play_messages(1, 100_000);
    }

    /// Row B3 of the catalogue, before a release.
    #[test]
    #[ignore = "takes a minute"]
    fn bench_ten_million_messages_break_no_promise() {
        play_messages(7, 10_000_000);
    }

    /// A stage whose display was told to begin.
    fn greeted() -> Stage {
        let mut stage = Stage::new(&mut Script::new(&[1]));
        stage.greet(1);
        stage.settle();
        stage
    }

    #[test]
    fn surfaces_are_destroyed_before_they_are_made_anew() {
        let mut stage = greeted();
        stage.session.refresh(stage.now, &stage.screen);
        stage.transmit(1, 1);
        stage.resize(&mut Script::new(&[0, 9, 9]));
        stage.converge();
        assert_eq!(stage.members[1].viewer.surfaces.len(), 1);
    }

    #[test]
    fn who_asks_and_never_reads_is_closed_before_much_waits() {
        let mut stage = greeted();
        let mut bytes = Vec::new();
        for mode in 0..400_000_u32 {
            let mode = [1 + (mode % 2) as u8, 0];
            write_message(&mut bytes, true, 1, 105, |writer| writer.bytes(&mode));
        }
        for piece in bytes.chunks(16 * 1024) {
            stage.receive(0, piece, 0);
            stage.settle();
        }
        assert!(
            stage.members.is_empty(),
            "the client is gone with its main channel"
        );
    }

    #[test]
    fn monitors_that_change_without_end_cost_a_bounded_room() {
        let mut stage = greeted();
        stage.converge();
        for time in 0..60_000 {
            let rect = Rect::new(0, 0, 1 + time % 2, 1);
            stage.session.set_monitors(Monitors {
                heads: vec![Head { id: 0, rect }],
            });
        }
        stage.settle();
    }

    #[test]
    fn seeds_break_no_promise() {
        // Begin, frame, read, answer, draw, frame, read; then what each message and each word of the driver does.
        let begin = [
            &[1, 0x1e, 12, 0x16, 99, 0x18, 10][..],
            &[9; 13],
            &[12, 0x16, 99],
        ]
        .concat();
        let say = |member: u8, which: u8| {
            let mut step = vec![member << 4 | 2, 40 + which];
            step.extend((0..14).map(|n| n * which));
            step
        };
        let tell = |what: u8| vec![13, 1, what, 3, 30, 40, 1, 2, 3, 4, 5, 6, 7, 12, 0x16, 50];
        let steps = (0..7).flat_map(|member| (0..9).map(move |which| say(member, which)));
        let program = |what: u8| {
            vec![
                15, what, 0, 1, 2, 3, 0x56, 20, 0x66, 20, 15, 6, 0, what, 9, 1,
            ]
        };
        let seeds: Vec<Vec<u8>> = steps
            .chain((0..6).map(tell))
            .chain((0..10).map(program))
            .map(|step| [begin.clone(), step].concat())
            .collect();
        plant_seeds("channels", &seeds, check);
    }

    #[test]
    fn scripts_from_the_fuzzer_break_no_promise() {
        assert!(0 < replay_regressions("channels", check));
    }
}

//! Shared folders: programs of the desktop and clients that come and go, in random interleavings.

use caraway_server::base::limits::{FOLDER_BYTES_MAX, FOLDER_STREAM_BYTES_MAX};
use caraway_server::base::{Micros, Size};
use caraway_server::channel::webdav::Taken;
use caraway_server::session::FolderStream;
use caraway_server::wire::link::ChannelType;
use proptest::prelude::*;

use crate::client::folder::{CLOSE, request, sequence};
use crate::client::{Client, Profile};
use crate::line::Line;
use crate::producer::Op;
use crate::world::World;

const SIZE: Size = Size::new(64, 48);
const MS: fn(u64) -> Micros = Micros::from_millis;

/// A program of the desktop with a connection to a client's folder.
#[derive(Debug)]
struct Program {
    client: usize,
    stream: FolderStream,
    /// What it has to say, and what it has to get.
    unsaid: Vec<u8>,
    expected: Vec<u8>,
    got: Vec<u8>,
    ended: bool,
}

impl Program {
    /// Connects to a client's folder, if that is shared.
    fn connect(world: &mut World, client: usize) -> Option<Self> {
        let folder = world.clients[client].connection(ChannelType::WEBDAV)?.key;
        let now = world.now;
        let stream = world
            .host
            .with(|session| session.folder_connect(folder, now));
        Some(Self {
            client,
            stream: stream?,
            unsaid: Vec::new(),
            expected: Vec::new(),
            got: Vec::new(),
            ended: false,
        })
    }

    fn ask(&mut self, count: u32, seed: u32) {
        self.unsaid.extend(request(count, seed));
        if count != CLOSE {
            self.expected.extend(sequence(count, seed));
        }
    }

    /// Says some of what it has to say.
    fn say(&mut self, world: &mut World, count: usize) {
        let room = world.host.session().folder_room(self.stream);
        let count = count.min(self.unsaid.len()).min(room.unwrap_or(0));
        let said: Vec<u8> = self.unsaid.drain(..count).collect();
        world
            .host
            .with(|session| session.folder_give(self.stream, &said));
    }

    /// Takes some of what there is. Whether there was anything.
    fn take(&mut self, world: &mut World) -> bool {
        let (stream, now) = (self.stream, world.now);
        match world.host.with(|session| session.folder_take(stream, now)) {
            Taken::Bytes(bytes) => {
                self.got.extend(bytes);
                assert!(
                    self.expected.starts_with(&self.got),
                    "other bytes than asked for"
                );
                true
            }
            Taken::Nothing => false,
            Taken::Ended => {
                self.ended = true;
                false
            }
        }
    }

    fn go(self, world: &mut World) {
        world.host.with(|session| session.folder_end(self.stream));
    }
}

fn world(clients: usize) -> World {
    let mut world = World::new(SIZE);
    world.host.with(|session| session.serve_folders());
    for client in 0..clients {
        let line = [Line::LAN, Line::FAR][client % 2];
        world.join(Profile::Gtk, line);
    }
    world.run_for(MS(1000));
    world
}

/// One thing that happens: what, to whom, and how much.
type Step = (u8, u8, u32);

fn play(world: &mut World, programs: &mut Vec<Program>, (what, who, amount): Step) {
    let who = usize::from(who);
    let client = who % world.clients.len();
    let one = who % programs.len().max(1);
    match what % 10 {
        0 | 1 => programs.extend(Program::connect(world, client)),
        2 | 3 => {
            if let Some(program) = programs.get_mut(one) {
                program.ask(amount % 300_000, amount);
                program.say(world, amount as usize % 50);
            }
        }
        4 | 5 => programs
            .iter_mut()
            .for_each(|program| program.say(world, 20)),
        6 => programs.iter_mut().for_each(|program| {
            program.take(world);
        }),
        7 if !programs.is_empty() && amount % 3 == 0 => programs.swap_remove(one).go(world),
        8 if amount % 4 == 0 => {
            // The folder is not shared any more, or is again.
            let now = world.now;
            if world.clients[client]
                .connection(ChannelType::WEBDAV)
                .is_some()
            {
                world.clients[client].finish(now, ChannelType::WEBDAV);
            } else if world.clients[client].is_connected() {
                let again = world.connect(client, ChannelType::WEBDAV);
                assert_eq!(again, Ok(()));
            }
        }
        _ => world.draw(&Op::Image(SIZE.rect(), amount)),
    }
    world.run_for(Micros(u64::from(amount % 30_000)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_byte_arrives_whatever_happens_around_it(
        clients in 1usize..4,
        steps in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u32>()), 0..60),
    ) {
        let mut world = world(clients);
        let mut programs = Vec::new();
        for step in steps {
            play(&mut world, &mut programs, step);
        }
        // Everybody says and takes all there is; who lost its folder is told.
        for _ in 0..400 {
            let mut any = false;
            for program in &mut programs {
                program.say(&mut world, usize::MAX);
                while program.take(&mut world) {
                    any = true;
                }
            }
            world.run_for(MS(if any { 5 } else { 50 }));
        }
        let folder = |world: &World, client: usize| {
            world.clients[client].connection(ChannelType::WEBDAV).map(|one| one.key)
        };
        for program in programs {
            let is_there = folder(&world, program.client) == Some(program.stream.channel);
            prop_assert_eq!(program.ended, !is_there);
            prop_assert!(!is_there || program.got == program.expected, "{} of {} bytes",
                program.got.len(), program.expected.len());
            program.go(&mut world);
        }
        world.run_for(MS(1000));
        let sharing = |client: &&Client| client.connection(ChannelType::WEBDAV).is_some();
        for client in world.clients.iter().filter(sharing) {
            prop_assert!(client.folder.requests.is_empty(), "streams that nobody has");
        }
        world.verify_invariants();
        world.verify_rest();
        world.verify_idle();
    }
}

#[test]
fn who_takes_nothing_holds_its_own_client_and_nobody_else() {
    let mut world = world(2);
    let mut paused = Program::connect(&mut world, 0).expect("a folder");
    let mut other = Program::connect(&mut world, 1).expect("a folder");
    paused.ask(20_000_000, 1);
    paused.say(&mut world, usize::MAX);
    world.run_for(MS(1000));
    let folder = paused.stream.channel;
    assert!(world.host.session().is_held(folder));
    assert!(!world.host.session().folder_blocks_others(paused.stream));
    // The other client's folder, and the screens of both.
    other.ask(5_000_000, 2);
    other.say(&mut world, usize::MAX);
    world.draw(&Op::Image(SIZE.rect(), 5));
    world.run_until_exact(&[0, 1], MS(2000));
    for _ in 0..5000 {
        while other.take(&mut world) {}
        world.run_for(MS(5));
    }
    assert_eq!(other.got, other.expected);
    // A neighbour in the same folder waits: that is what the paused one is sent away for.
    let mut neighbour = Program::connect(&mut world, 0).expect("a folder");
    neighbour.ask(1000, 3);
    neighbour.say(&mut world, usize::MAX);
    world.run_for(MS(1000));
    assert!(!neighbour.take(&mut world));
    assert!(world.host.session().folder_blocks_others(paused.stream));
    assert!(!world.host.session().folder_blocks_others(neighbour.stream));
    paused.go(&mut world);
    world.run_for(MS(2000));
    while neighbour.take(&mut world) {}
    assert_eq!(neighbour.got, neighbour.expected);
    world.verify_invariants();
}

#[test]
fn a_pause_of_any_length_loses_nothing() {
    let mut world = world(1);
    let mut film = Program::connect(&mut world, 0).expect("a folder");
    let count = u32::try_from(2 * FOLDER_STREAM_BYTES_MAX).expect("a count");
    film.ask(count, 9);
    film.say(&mut world, usize::MAX);
    world.run_for(Micros::from_secs(3600));
    let status = world.host.session().status(world.now);
    let most = FOLDER_BYTES_MAX as u64 + 200_000;
    assert!(status.shared_folders[0].read_bytes < most);
    for _ in 0..1000 {
        while film.take(&mut world) {}
        world.run_for(MS(10));
    }
    assert_eq!(film.got.len(), film.expected.len());
    film.ask(CLOSE, 0);
    film.say(&mut world, usize::MAX);
    world.run_for(MS(100));
    film.take(&mut world);
    assert!(film.ended, "the client has closed it");
    film.go(&mut world);
    assert_eq!(world.host.session().folders().count(), 1);
}

#[test]
fn without_the_service_nobody_is_offered_a_folder() {
    let mut world = World::new(SIZE);
    let client = world.join(Profile::Gtk, Line::LAN);
    world.run_for(MS(1000));
    let channel = |world: &World| {
        world.clients[client]
            .connection(ChannelType::WEBDAV)
            .is_some()
    };
    assert!(!channel(&world));
    assert!(world.connect(client, ChannelType::WEBDAV).is_err());
}

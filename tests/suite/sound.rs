//! Sound both ways: what is heard, when, by whom, and what it costs who listens to nothing.

use std::cell::Cell;
use std::rc::Rc;

use caraway_server::audio::{Frame, SoundCodecs, SoundDecoder, SoundEncoder};
use caraway_server::base::limits::SOUND_WAITING_MS_MAX;
use caraway_server::base::{Micros, Size};
use caraway_server::channel::playback::Loudness;
use caraway_server::wire::link::ChannelType;
use caraway_server::wire::playback::{AudioMode, Data, Mode};
use caraway_server::wire::record::StartMark;

use crate::client::Profile;
use crate::client::sound::Heard;
use crate::line::Line;
use crate::producer::Op;
use crate::world::World;

const SIZE: Size = Size::new(160, 120);
const MS: fn(u64) -> Micros = Micros::from_millis;

/// A codec whose packets are their frame's first sample.
#[derive(Debug, Default)]
struct Codec {
    encoded: Rc<Cell<usize>>,
}

#[derive(Debug)]
struct Coder(Rc<Cell<usize>>);

impl SoundCodecs for Codec {
    fn encoder(&self) -> Option<Box<dyn SoundEncoder>> {
        Some(Box::new(Coder(Rc::clone(&self.encoded))))
    }

    fn decoder(&self) -> Option<Box<dyn SoundDecoder>> {
        Some(Box::new(Coder(Rc::clone(&self.encoded))))
    }
}

impl SoundEncoder for Coder {
    fn encode(&mut self, frame: &Frame, packet: &mut Vec<u8>) -> bool {
        self.0.set(self.0.get() + 1);
        packet.extend(frame[0].to_le_bytes());
        true
    }

    fn reset(&mut self) {}
}

impl SoundDecoder for Coder {
    fn decode(&mut self, packet: &[u8], samples: &mut Vec<i16>) -> bool {
        samples.extend([i16::from(packet[0]); 960]);
        true
    }
}

fn world(profiles: &[Profile], line: Line) -> (World, Rc<Cell<usize>>) {
    let mut world = World::new(SIZE);
    let codec = Codec::default();
    let encoded = Rc::clone(&codec.encoded);
    world
        .host
        .with(|session| session.offer_sound(Box::new(codec)));
    let clients: Vec<usize> = profiles
        .iter()
        .map(|profile| world.join(*profile, line))
        .collect();
    world.run_until_exact(&clients, MS(2000));
    world.run_for(MS(500));
    (world, encoded)
}

/// Programs play frames of these samples, 10 ms each.
fn play(world: &mut World, samples: impl IntoIterator<Item = i16>) {
    for sample in samples {
        let now = world.now;
        let bytes: Vec<u8> = sample.to_le_bytes().repeat(960);
        world.host.with(|session| session.sound_played(now, &bytes));
        world.run_for(MS(10));
    }
}

fn samples_of(heard: &[Heard]) -> Vec<i16> {
    let first = |one: &Heard| i16::from_le_bytes([one.data[0], one.data[1]]);
    heard.iter().map(first).collect()
}

#[test]
fn everybody_hears_the_same_and_it_is_encoded_once() {
    let profiles = [Profile::Gtk, Profile::Html5, Profile::Old, Profile::Gtk];
    let (mut world, encoded) = world(&profiles, Line::LAN);
    play(&mut world, 100..300);
    assert_eq!(encoded.get(), 200);
    for client in &world.clients {
        let playback = &client.playback;
        let expected = if client.profile == Profile::Old {
            AudioMode::RAW
        } else {
            AudioMode::OPUS
        };
        assert_eq!(playback.mode, Some(expected));
        assert_eq!(samples_of(&playback.heard), (100..300).collect::<Vec<_>>());
        let times: Vec<u32> = playback.heard.iter().map(|one| one.time).collect();
        assert!(times.windows(2).all(|two| two[1] - two[0] == 10), "even");
        // The clock of the stamps is the one of MAIN_INIT and of video.
        let late = |one: &Heard| one.at.as_millis().abs_diff(one.time.into());
        assert!(playback.heard.iter().all(|one| late(one) < 15));
    }
    assert_eq!(world.clients[0].playback.latency_ms, Some(40));
    assert_eq!(world.clients[1].playback.latency_ms, None, "not its cap");
}

#[test]
fn silence_is_sent_to_nobody_and_sound_stops_after_a_second() {
    let (mut world, encoded) = world(&[Profile::Gtk], Line::LAN);
    let given = |world: &World| world.given_bytes(0, ChannelType::PLAYBACK);
    let before = given(&world);
    play(&mut world, [0; 500]);
    assert_eq!((given(&world), encoded.get()), (before, 0));
    let sounds = [5_i16; 50].into_iter().chain([0; 200]);
    play(&mut world, sounds);
    let playback = &world.clients[0].playback;
    assert_eq!((playback.starts, playback.playing), (1, false));
    assert_eq!(
        playback.heard.len(),
        150,
        "the sound and a second of silence"
    );
    // A pause of less than that is part of the sound.
    play(&mut world, [9; 5].into_iter().chain([0; 90]).chain([9; 5]));
    assert_eq!(world.clients[0].playback.starts, 2);
    world
        .host
        .with(caraway_server::session::Session::sound_interrupted);
    world.run_for(MS(100));
    assert!(!world.clients[0].playback.playing, "the daemon is gone");
    world.verify_idle();
}

#[test]
fn the_clock_is_set_when_sound_no_longer_sets_it() {
    let (mut world, _) = world(&[Profile::Gtk, Profile::Gtk], Line::LAN);
    play(&mut world, [7; 30]);
    assert!(
        world.clients[0].main.times.is_empty(),
        "sound sets the clock"
    );
    world
        .host
        .with(caraway_server::session::Session::sound_interrupted);
    world.run_for(MS(50));
    for client in &world.clients {
        let [(at, time)] = client.main.times[..] else {
            unreachable!("told once: {:?}", client.main.times)
        };
        assert!(at.as_millis().abs_diff(time.into()) < 15);
        assert!(client.playback.heard.last().unwrap().time <= time);
    }
}

#[test]
fn who_stalls_hears_the_newest_sound_and_holds_up_nobody() {
    let (mut world, _) = world(&[Profile::Gtk, Profile::Gtk], Line::LAN);
    play(&mut world, [10; 10]);
    world.clients[0].reads = false;
    play(&mut world, (0..1000).map(|step| 1000 + step));
    let waiting = world.behind_bytes(0, ChannelType::PLAYBACK);
    assert!(
        waiting < 5000,
        "{waiting} bytes on the way to who does not read"
    );
    assert_eq!(world.clients[1].playback.heard.len(), 1010);
    world.clients[0].reads = true;
    play(&mut world, (1000..1100).map(|step| 1000 + step));
    let heard = samples_of(&world.clients[0].playback.heard);
    let frames = usize::try_from(SOUND_WAITING_MS_MAX / 10).unwrap();
    let newest: Vec<i16> = (2000 - i16::try_from(frames).unwrap() + 1..2100).collect();
    assert_eq!(heard[heard.len() - newest.len()..], newest, "no gap since");
    assert!(heard.len() < 10 + 85 + newest.len(), "{}", heard.len());
    assert_eq!(
        samples_of(&world.clients[1].playback.heard)[1010..].len(),
        100
    );
    world.verify_invariants();
}

#[test]
fn what_the_daemon_hands_out_late_is_heard_all_the_same() {
    let (mut world, _) = world(&[Profile::Gtk], Line::LAN);
    play(&mut world, 100..150);
    // The machine is held up for 300 ms; then all of it is there.
    world.run_for(MS(300));
    for sample in 150..180_i16 {
        let (now, bytes) = (world.now, sample.to_le_bytes().repeat(960));
        world.host.with(|session| session.sound_played(now, &bytes));
    }
    world.run_for(MS(10));
    play(&mut world, 180..300);
    let heard = &world.clients[0].playback.heard;
    assert_eq!(samples_of(heard), (100..300).collect::<Vec<_>>());
    let times: Vec<u32> = heard.iter().map(|one| one.time).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_daemon_whose_seconds_are_short_gives_clients_no_more_than_they_play() {
    let (mut world, _) = world(&[Profile::Gtk], Line::LAN);
    let (begun, bytes) = (world.now, 9_i16.to_le_bytes().repeat(960));
    // 400 millionths too fast: 48 ms in two minutes.
    for _ in 0..12_000 {
        let now = world.now;
        world.host.with(|session| session.sound_played(now, &bytes));
        world.run_for(Micros(9996));
    }
    let passed_ms = world.now.since(begun).as_millis();
    let heard = &world.clients[0].playback.heard;
    let heard_ms = 10 * u64::try_from(heard.len()).unwrap();
    assert!(
        heard_ms.abs_diff(passed_ms) <= 20,
        "{heard_ms} of {passed_ms}"
    );
    let times: Vec<u32> = heard.iter().map(|one| one.time).collect();
    assert!(times.windows(2).all(|two| two[1] - two[0] == 10), "even");
    let stamped_ms = world.now.as_millis() - u64::from(*times.last().unwrap());
    assert!(stamped_ms <= 30, "the last is {stamped_ms} ms old");
}

#[test]
fn a_client_that_comes_while_it_sounds_hears_from_then_on() {
    let (mut world, _) = world(&[Profile::Gtk], Line::LAN);
    play(&mut world, [3; 100]);
    let late = world.join(Profile::Old, Line::LAN);
    play(&mut world, [4; 100]);
    let heard = samples_of(&world.clients[late].playback.heard);
    assert!(90 < heard.len() && heard.iter().all(|sample| *sample == 4));
    assert_eq!(world.clients[late].playback.starts, 1);
}

#[test]
fn a_line_of_300_ms_carries_all_of_it() {
    let line = Line {
        delay: MS(150),
        ..Line::LAN
    };
    let (mut world, _) = world(&[Profile::Gtk], line);
    play(&mut world, [6; 300]);
    world.run_for(MS(200));
    assert_eq!(world.clients[0].playback.heard.len(), 300);
}

#[test]
fn drawing_does_not_hold_up_sound() {
    let (mut world, _) = world(&[Profile::Gtk], Line::LAN);
    for step in 0..200 {
        world.draw(&Op::Image(SIZE.rect(), step));
        play(&mut world, [i16::try_from(step).unwrap() + 100]);
    }
    let heard = &world.clients[0].playback.heard;
    assert_eq!(samples_of(heard), (100..300).collect::<Vec<_>>());
    let gap = heard.windows(2).map(|two| two[1].at.since(two[0].at));
    assert!(gap.max().unwrap() < MS(15));
}

#[test]
fn listeners_come_and_go_and_are_told_of() {
    let (mut world, _) = world(&[], Line::LAN);
    let listens = |world: &World| world.host.session().is_listened_to();
    assert!(!listens(&world));
    for _ in 0..200 {
        world.host.sound_rung = false;
        let client = world.join(Profile::Gtk, Line::LAN);
        world.run_for(MS(20));
        assert!(listens(&world) && std::mem::take(&mut world.host.sound_rung));
        play(&mut world, [5; 3]);
        world.leave(client);
        world.run_for(MS(20));
        assert!(!listens(&world) && world.host.sound_rung);
    }
}

#[test]
fn the_microphone_is_open_while_a_program_records_and_one_clients() {
    let (mut world, _) = world(&[Profile::Gtk, Profile::Gtk], Line::LAN);
    let open = |world: &World| [0, 1].map(|client| world.clients[client].record.recording);
    assert_eq!(open(&world), [false, false], "nobody asked for it");
    world.host.with(|session| session.sound_recorded_by(true));
    world.run_for(MS(20));
    assert_eq!(open(&world), [true, false], "of who has been there longest");
    speak(&mut world, 0, 40);
    speak(&mut world, 1, 77);
    assert_eq!(recorded(&mut world), [40; 960], "not of the other");
    world.leave(0);
    world.run_for(MS(20));
    assert!(open(&world)[1]);
    assert_eq!(recorded(&mut world), [0; 960], "nothing of who has gone");
    world.rejoin(0);
    world.run_for(MS(100));
    assert!(!world.clients[0].record.recording, "it takes over no call");
    world.host.with(|session| session.sound_recorded_by(false));
    world.run_for(MS(20));
    assert!(!world.clients[1].record.recording);
    assert_eq!(world.clients[1].record.starts, 1);
}

/// A client says 100 ms, raw and then as packets.
fn speak(world: &mut World, client: usize, sample: u8) {
    let now = world.now;
    let client = &mut world.clients[client];
    let (time, kind) = (now.multimedia_time(), ChannelType::RECORD);
    let raw = i16::from(sample).to_le_bytes().repeat(960);
    for (mode, data) in [(AudioMode::RAW, &raw[..]), (AudioMode::OPUS, &[sample])] {
        client.say(now, kind, &Mode { time, mode });
        client.say(now, kind, &StartMark { time });
        for _ in 0..5 {
            client.say(now, kind, &Data { time, data });
        }
    }
    world.run_for(MS(20));
}

/// The next 10 ms that a program gets.
fn recorded(world: &mut World) -> [i16; 960] {
    let mut samples = [1; 960];
    world
        .host
        .with(|session| session.take_microphone(&mut samples));
    samples
}

#[test]
fn what_is_muted_in_the_desktop_is_told() {
    let (mut world, _) = world(&[Profile::Gtk, Profile::Old], Line::LAN);
    let loudness = |is_muted| Loudness {
        volumes: vec![u16::MAX; 2],
        is_muted,
    };
    world
        .host
        .with(|session| session.set_loudness(loudness(true)));
    world.run_for(MS(20));
    let muted = |world: &World| [0, 1].map(|client| world.clients[client].playback.muted);
    assert_eq!(muted(&world), [true, false], "it cannot be told");
    let late = world.join(Profile::Gtk, Line::LAN);
    world.run_for(MS(100));
    assert!(world.clients[late].playback.muted);
    world
        .host
        .with(|session| session.set_loudness(loudness(false)));
    world.run_for(MS(20));
    assert_eq!(muted(&world), [false, false]);
}

#[test]
fn the_volume_is_told_to_who_keeps_to_it_and_in_the_samples_of_others() {
    let profiles = [Profile::Gtk, Profile::Html5, Profile::Old, Profile::Gtk];
    let (mut world, encoded) = world(&profiles, Line::LAN);
    let half = |is_muted| Loudness {
        volumes: vec![u16::MAX / 2, u16::MAX / 2],
        is_muted,
    };
    world.host.with(|session| session.set_loudness(half(false)));
    world.run_for(MS(20));
    play(&mut world, [8000; 50]);
    assert_eq!(encoded.get(), 100, "once as it is and once softer");
    for client in &world.clients {
        let keeps = client.profile == Profile::Gtk;
        let playback = &client.playback;
        assert_eq!(playback.volumes.is_some(), keeps);
        // A slider at half is an eighth of the sound.
        let expected = if keeps { 8000 } else { 999 };
        assert_eq!(samples_of(&playback.heard), [expected; 50]);
    }
    let full = Loudness {
        volumes: vec![u16::MAX; 2],
        is_muted: false,
    };
    world.host.with(|session| session.set_loudness(half(true)));
    world.run_for(MS(20));
    play(&mut world, [8000; 120]);
    let silent = |client: &crate::client::Client| {
        let heard = samples_of(&client.playback.heard);
        !client.playback.playing && heard[50..].iter().all(|sample| *sample == 0)
    };
    assert!(world.clients.iter().all(silent), "muted is silent for all");
    let before = encoded.get();
    for client in &mut world.clients {
        client.playback.heard.truncate(50);
    }
    world.host.with(|session| session.set_loudness(full));
    world.run_for(MS(20));
    play(&mut world, [8000; 50]);
    assert_eq!(encoded.get(), before + 50, "all get the same again");
    let playback = &world.clients[0].playback;
    assert_eq!(playback.volumes, Some(vec![u16::MAX; 2]));
    let old = &world.clients[2].playback;
    assert_eq!(samples_of(&old.heard)[50..], [8000; 50]);
}

#[test]
fn a_desktop_without_sound_lists_no_channels_of_it() {
    let mut world = World::new(SIZE);
    let anna = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[anna], MS(100));
    assert!(
        world.clients[anna]
            .connection(ChannelType::PLAYBACK)
            .is_none()
    );
    assert!(world.connect(anna, ChannelType::RECORD).is_err());
}

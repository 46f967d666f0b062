//! Minutes of sound: by each player, from the client's microphone, through remote-viewer, and ten of them by the clock.
//!
//! Where a player did not play all of it, a client is compared with a recorder inside the desktop.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::alone;
use crate::desktop::Desktop;
use crate::instruments::x_film;
use crate::listener::Listener;
use crate::monitor::Monitor;
use crate::process::{Running, wait_until};
use crate::sound::{
    HeardTwice, PLAYERS, desktop_of, expect_clicks_soon, hear, play, record_from_client,
};
use crate::sound_daemons::Users;
use crate::tone::{self, Heard, TONE_HZ};
use crate::viewer::Viewer;
use crate::watcher::Watcher;

const SECONDS: f64 = 60.0;

const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Milliseconds that recorders are given at once.
const PIECE_MS: u32 = 500;

const GEOMETRY: &str = "1280x1024";

/// A film over all of the screen, and a page in a window over it.
const FILM: [&str; 5] = ["0", "0", "1280", "1024", "100000"];
const PAGE: [&str; 6] = ["scroll", "1000", "600", "100", "640", "800"];

/// The player of PipeWire's own protocol, which has a daemon of its own.
const PIPEWIRE_PLAYER: &str = "pw-play";

/// What mpv writes to its log when its device had nothing to play but at the end.
const UNDERRUN: &str = "device underrun detected";

/// How far ten minutes of sound may be from ten minutes of the clock, or an hour, for it is made up for.
const DRIFT_MAX_MS: f64 = 4.0;

/// A player's minute.
struct Minute {
    player: &'static str,
    beside: &'static str,
    /// Nothing where it could not be measured.
    heard: Option<HeardTwice>,
    /// How often the player says itself that it came too late, where it says so.
    own_underruns: Option<usize>,
}

impl Minute {
    fn verdict(&self) -> &'static str {
        match &self.heard {
            None => "FAILED",
            Some(heard) if heard.client.is_true(SECONDS) => "whole",
            Some(heard) if heard.is_whole(SECONDS) => "as played",
            Some(_) => "LOST",
        }
    }

    fn tell(&self) {
        let part = |heard: &Heard| {
            format!(
                "{:6.2} s, gaps {:3.0} ms, level {:4.2} dB, pitch {:+6.3} Hz, purity {:.4}",
                heard.seconds,
                heard.gaps * 1000.0,
                heard.level_error_db,
                heard.frequency_error_hz,
                heard.purity
            )
        };
        let heard = self.heard.as_ref().map_or(String::new(), |heard| {
            let (client, inside) = (part(&heard.client), part(&heard.inside));
            format!("client {client} | inside {inside}")
        });
        let own = self.own_underruns;
        let own = own.map_or(String::new(), |count| {
            format!(" | {count} underruns by itself")
        });
        eprintln!(
            "{:8} {:25} {:9} {heard}{own}",
            self.player,
            self.beside,
            self.verdict()
        );
    }
}

/// Plays a minute by one player in a desktop of its own. A panic in it is one row of the table.
fn minute(player: &'static [&'static str], is_beside_pictures: bool) -> Minute {
    let beside = if is_beside_pictures {
        "full-screen film and page"
    } else {
        "nothing"
    };
    let mut own_underruns = None;
    let heard = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let users = (player[0] == PIPEWIRE_PLAYER).then(Users::pipewire);
        let desktop = match &users {
            Some(users) => users.desktop_of("one", GEOMETRY),
            None => desktop_of(GEOMETRY),
        };
        let _pictures = is_beside_pictures.then(|| pictures(&desktop));
        hear(&desktop, SECONDS, |file| match &users {
            Some(users) => play_through_pipewire(&desktop, users, file),
            None if player[0] == "mpv" => {
                let log = file.with_extension("log");
                let option = format!("--log-file={}", log.display());
                play(&desktop, &[player, &[&option]].concat(), file);
                let told = std::fs::read_to_string(log).unwrap_or_default();
                own_underruns = Some(told.matches(UNDERRUN).count());
            }
            None => play(&desktop, player, file),
        })
    }));
    let minute = Minute {
        player: player[0],
        beside,
        heard: heard.ok(),
        own_underruns,
    };
    minute.tell();
    minute
}

/// A film, a page that scrolls, and a client that watches.
fn pictures(desktop: &Desktop) -> (Watcher, [Running; 2]) {
    let mut watcher = Watcher::connect(desktop);
    watcher.begin("idle 1000000");
    let film = Running::start(x_film(), Stdio::inherit(), |command| {
        desktop.client(command.args(FILM));
    });
    film.event("playing", Duration::from_secs(60));
    let page = desktop.draw(&PAGE);
    page.event("scrolling", Duration::from_secs(20));
    (watcher, [page, film])
}

fn play_through_pipewire(desktop: &Desktop, users: &Users, file: &Path) {
    let mut command = Command::new(PIPEWIRE_PLAYER);
    let command = desktop.client(command.arg(file));
    let played = command.env("XDG_RUNTIME_DIR", users.runtime_dir()).status();
    assert!(played.unwrap().success());
}

/// All players at the same time where nothing is drawn, for they need little; then each beside pictures.
#[test]
#[ignore = "seven minutes long: run by make benches"]
fn bench_a_minute_of_every_player() {
    let _alone = alone();
    let players = || PLAYERS.into_iter().chain([&[PIPEWIRE_PLAYER][..]]);
    let mut minutes: Vec<Minute> = std::thread::scope(|scope| {
        let quiet: Vec<_> = players()
            .map(|player| scope.spawn(move || minute(player, false)))
            .collect();
        quiet.into_iter().map(|one| one.join().unwrap()).collect()
    });
    minutes.extend(players().map(|player| minute(player, true)));
    eprintln!("\n{SECONDS} s of {TONE_HZ} Hz by each player:");
    minutes.iter().for_each(Minute::tell);
    let is_lost = |minute: &&Minute| {
        !minute
            .heard
            .as_ref()
            .is_some_and(|heard| heard.is_whole(SECONDS))
    };
    let lost = minutes.iter().filter(is_lost).count();
    assert_eq!(
        lost, 0,
        "minutes that clients heard less of than was played"
    );
}

#[test]
#[ignore = "a minute long: run by make benches"]
fn bench_a_minute_of_the_clients_microphone() {
    let _alone = alone();
    record_from_client(&desktop_of(GEOMETRY), Duration::from_secs(60));
}

/// A daemon's seconds are not the clock's: what clients get is held to the clock all the same, and nothing is heard of
/// that.
#[test]
#[ignore = "ten minutes long: run by make benches"]
fn bench_ten_minutes_are_ten_minutes_by_the_clock() {
    const LONG_SECONDS: f64 = 600.0;
    let _alone = alone();
    let desktop = desktop_of(GEOMETRY);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tone.wav");
    tone::write(&file, TONE_HZ, LONG_SECONDS);
    let mut listener = Listener::connect(&desktop);
    let inside = Monitor::of(&desktop, PIECE_MS);
    let begun = Instant::now();
    play(&desktop, &["paplay"], &file);
    eprintln!("played in {:?}", begun.elapsed());
    assert!(listener.wait_for("stop", STOP_TIMEOUT).is_some());
    let (client, inside) = (listener.arrivals(), inside.finish());
    let heard = HeardTwice {
        client: Heard::of(&client.samples, TONE_HZ),
        inside: Heard::of(&inside.samples, TONE_HZ),
    };
    // Clients get whole frames, so that what they get at a time tells the clock to 10 ms only; but the daemon has
    // played all of the tone in so much time, and that much of it they have to get.
    let faster_by = inside.faster_by();
    let drift_ms = (heard.client.seconds - heard.inside.seconds * (1.0 - faster_by)) * 1000.0;
    let (millionths, pause_ms) = (faster_by * 1e6, client.longest_pause_ms());
    eprintln!(
        "the daemon is {millionths:.1} millionths fast, the client {drift_ms:+.2} ms from the clock"
    );
    eprintln!("longest pause at the client: {pause_ms} ms; {heard:?}");
    assert!(heard.is_whole(heard.client.seconds), "{heard:?}");
    assert!(drift_ms.abs() < DRIFT_MAX_MS, "{drift_ms} ms");
}

/// From a program's click to a client's, and from the daemon to the client, where the daemon is PipeWire.
#[test]
#[ignore = "half a minute long: run by make benches"]
fn bench_clicks_through_pipewire() {
    let _alone = alone();
    let users = Users::pipewire();
    expect_clicks_soon(&users.desktop("one"), 7);
}

/// All of the way to a loudspeaker: GStreamer in remote-viewer, a sound daemon of the client's own, and its sink.
#[test]
#[ignore = "a minute long: run by make benches"]
fn bench_a_minute_of_tone_through_remote_viewer() {
    let _alone = alone();
    let (desktop, at_home) = (desktop_of(GEOMETRY), Users::pulseaudio());
    let lead = |command: &mut Command| {
        command.env("PULSE_SERVER", at_home.server());
    };
    let viewer = Viewer::start_with(&desktop.uri, lead);
    let linked = wait_until(STOP_TIMEOUT, || desktop.log().contains("channel=PLAYBACK"));
    assert!(linked, "{}", desktop.log());
    let loudspeaker = Monitor::start("users", PIECE_MS, lead);
    let inside = Monitor::of(&desktop, PIECE_MS);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tone.wav");
    tone::write(&file, TONE_HZ, SECONDS);
    loudspeaker.wait_until_it_records();
    play(&desktop, &["paplay"], &file);
    // What the viewer holds is still to come, and the recorders'.
    std::thread::sleep(Duration::from_secs(2));
    let (heard, inside) = (loudspeaker.heard(), inside.heard());
    drop(viewer);
    eprintln!("remote-viewer: {heard:?}, inside {inside:?}");
    heard.expect(SECONDS, "remote-viewer");
}

//! A minute of sound: by each player, beside what draws, from the client's microphone, and through remote-viewer.
//!
//! Where a player did not play all of it, a client is compared with a recorder inside the desktop.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::alone;
use crate::desktop::Desktop;
use crate::instruments::x_film;
use crate::monitor::Monitor;
use crate::process::{Running, wait_until};
use crate::sound::{PLAYERS, desktop, is_heard, play, record_from_client};
use crate::sound_daemons::Users;
use crate::tone::{self, TONE_HZ};
use crate::viewer::Viewer;
use crate::watcher::Watcher;

const SECONDS: f64 = 60.0;

const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Milliseconds that recorders are given at once.
const PIECE_MS: u32 = 500;

/// Something that draws all the time, with a client that watches it.
fn beside(desktop: &Desktop, what: &str) -> Option<(Watcher, Running)> {
    if what == "nothing" {
        return None;
    }
    let mut watcher = Watcher::connect(desktop);
    watcher.begin("idle 1000000");
    let drawn = if what == "film" {
        let film = Running::start(x_film(), Stdio::inherit(), |command| {
            desktop.client(command.args(["0", "0", "640", "480", "100000"]));
        });
        film.event("playing", Duration::from_secs(20));
        film
    } else {
        desktop.draw(&["random", "7", "1000000", "400"])
    };
    Some((watcher, drawn))
}

const BESIDE: [&str; 3] = ["nothing", "film", "drawing"];

#[test]
#[ignore = "ten minutes long: run by make benches"]
fn bench_a_minute_of_tone_has_no_gap_beside_video_and_drawing() {
    let _alone = alone();
    let desktop = desktop();
    let mut lost = Vec::new();
    for what in BESIDE {
        let _drawn = beside(&desktop, what);
        for player in PLAYERS {
            let name = format!("{} beside {what}", player[0]);
            if !is_heard(&desktop, &name, SECONDS, |file| {
                play(&desktop, player, file)
            }) {
                lost.push(name);
            }
        }
    }
    assert!(lost.is_empty(), "clients heard less of {lost:?}");
}

#[test]
#[ignore = "four minutes long: run by make benches"]
fn bench_a_minute_of_pipewires_own_player_has_no_gap() {
    let _alone = alone();
    let users = Users::pipewire();
    let desktop = users.desktop("one");
    let mut lost = Vec::new();
    for what in BESIDE {
        let _drawn = beside(&desktop, what);
        let play = |file: &Path| {
            let mut command = Command::new("pw-play");
            let command = desktop.client(command.arg(file));
            let played = command.env("XDG_RUNTIME_DIR", users.runtime_dir()).status();
            assert!(played.unwrap().success());
        };
        if !is_heard(&desktop, &format!("pw-play beside {what}"), SECONDS, play) {
            lost.push(what);
        }
    }
    assert!(lost.is_empty(), "clients heard less beside {lost:?}");
}

#[test]
#[ignore = "a minute long: run by make benches"]
fn bench_a_minute_of_the_clients_microphone_has_no_gap() {
    let _alone = alone();
    record_from_client(&desktop(), Duration::from_secs(60));
}

/// All of the way to a loudspeaker: GStreamer in remote-viewer, a sound daemon of the client's own, and its sink.
#[test]
#[ignore = "a minute long: run by make benches"]
fn bench_a_minute_of_tone_through_remote_viewer() {
    let _alone = alone();
    let (desktop, at_home) = (desktop(), Users::pulseaudio());
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
    play(&desktop, &["paplay"], &file);
    // What the viewer holds is still to come, and the recorders'.
    std::thread::sleep(Duration::from_secs(2));
    let (heard, inside) = (loudspeaker.heard(), inside.heard());
    drop(viewer);
    eprintln!("remote-viewer: {heard:?}, inside {inside:?}");
    heard.expect(SECONDS, "remote-viewer");
}

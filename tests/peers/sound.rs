//! What programs of the desktop play is what clients hear, at once; and the other way round.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::desktop::Desktop;
use crate::link::{PLAYBACK, RawLink};
use crate::listener::Listener;
use crate::monitor::{Arrivals, Monitor, now_us};
use crate::process::{Running, anonymous_bytes, cpu_time, wait_until};
use crate::tone::{self, Heard, PEAK, RATE_HZ, TONE_HZ};
use crate::{alone, beside_others};

/// Time in which a sound that is over is known to be.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Clicks from desktop to client: 95 of 100 arrive within this.
const CLICK_TIME_MAX: Duration = Duration::from_millis(60);

/// From the daemon to the client's library, over a socket of this machine.
const CAPTURE_TIME_MAX: Duration = Duration::from_millis(20);

/// Players with PulseAudio's library, with ALSA's, and with their own choice.
pub(crate) const PLAYERS: [&[&str]; 3] = [
    &["paplay"],
    &["aplay", "-q"],
    &["mpv", "--no-config", "--no-terminal"],
];

/// A desktop with a sound daemon of its own, whatever runs on this machine.
fn desktop() -> Desktop {
    desktop_of("640x480")
}

/// The same of another size.
pub(crate) fn desktop_of(geometry: &str) -> Desktop {
    let arguments = ["--auth", "none", "-g", geometry];
    Desktop::caraway_with(&arguments, |command| {
        command
            .env_remove("PULSE_SERVER")
            .env_remove("PULSE_RUNTIME_PATH")
            .env_remove("XDG_RUNTIME_DIR");
    })
}

/// Runs a player in the desktop to its end.
pub(crate) fn play(desktop: &Desktop, player: &[&str], file: &Path) {
    let mut command = Command::new(player[0]);
    desktop.client(command.args(&player[1..]).arg(file).stdin(Stdio::null()));
    if player[0] == "aplay" {
        // A user whose sound card is the default.
        let home = file.parent().unwrap();
        std::fs::write(home.join(".asoundrc"), "pcm.!default { type null }\n").unwrap();
        command.env("HOME", home);
    }
    let result = command
        .output()
        .unwrap_or_else(|error| panic!("{player:?}: {error}: run `make test-packages`"));
    let said = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{player:?}: {said}");
}

/// What was heard of the same tone in two places.
#[derive(Debug)]
pub(crate) struct HeardTwice {
    /// By a client.
    pub(crate) client: Heard,
    /// By a recorder inside the desktop, in pieces that shorten nobody's periods.
    pub(crate) inside: Heard,
}

impl HeardTwice {
    /// Whether the client heard all that was played. A player that does not get the processor in time makes gaps of its
    /// own, which the recorder inside hears as well: where it has all of the tone, so must the client.
    pub(crate) fn is_whole(&self, seconds: f64) -> bool {
        let as_whole = || self.client.is_as_whole_as(&self.inside);
        self.client.is_true(seconds) || (!self.inside.is_true(seconds) && as_whole())
    }
}

/// Plays a tone in the desktop, as `play` does that, to a client and to a recorder inside.
pub(crate) fn hear(desktop: &Desktop, seconds: f64, play: impl FnOnce(&Path)) -> HeardTwice {
    const PIECE_MS: u32 = 500;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tone.wav");
    tone::write(&file, TONE_HZ, seconds);
    let mut listener = Listener::connect(desktop);
    let monitor = Monitor::of(desktop, PIECE_MS);
    play(&file);
    assert!(listener.wait_for("stop", STOP_TIMEOUT).is_some());
    HeardTwice {
        client: Heard::of(&listener.finish(), TONE_HZ),
        inside: monitor.heard(),
    }
}

/// The same; whether the client heard all that was played.
fn is_heard(desktop: &Desktop, what: &str, seconds: f64, play: impl FnOnce(&Path)) -> bool {
    let heard = hear(desktop, seconds, play);
    eprintln!("{what}: {heard:?}");
    heard.is_whole(seconds)
}

#[test]
fn a_tone_of_any_player_is_heard_as_it_is_played() {
    let _alone = alone();
    let desktop = desktop();
    for player in PLAYERS {
        let played = |file: &Path| play(&desktop, player, file);
        assert!(is_heard(&desktop, player[0], 3.0, played), "{player:?}");
    }
}

#[test]
fn a_tone_has_no_gap_while_the_screen_is_drawn_to() {
    let _alone = alone();
    let desktop = desktop();
    let _drawing = desktop.draw(&["random", "7", "1000000", "20"]);
    let played = |file: &Path| play(&desktop, &["paplay"], file);
    assert!(is_heard(&desktop, "with drawing", 10.0, played));
}

#[test]
fn the_mixer_of_the_desktop_and_the_clients_volume_are_one() {
    let _others = beside_others();
    let desktop = desktop();
    let mut listener = Listener::connect(&desktop);
    let mixer = |words: &[&str]| {
        let mut command = Command::new("pactl");
        let done = desktop.client(command.args(words)).status().unwrap();
        assert!(done.success(), "{words:?}");
    };
    mixer(&["set-sink-volume", "@DEFAULT_SINK@", "32768"]);
    let told = listener.wait_for("volume", STOP_TIMEOUT);
    assert_eq!(told.map(|event| event.number), Some(32767));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tone.wav");
    tone::write(&file, TONE_HZ, 1.0);
    play(&desktop, &["paplay"], &file);
    assert!(listener.wait_for("stop", STOP_TIMEOUT).is_some());
    mixer(&["set-sink-mute", "@DEFAULT_SINK@", "1"]);
    let told = listener.wait_for("mute", STOP_TIMEOUT);
    assert_eq!(told.map(|event| event.number), Some(1));
    mixer(&["set-sink-mute", "@DEFAULT_SINK@", "0"]);
    let told = listener.wait_for("mute", STOP_TIMEOUT);
    assert_eq!(told.map(|event| event.number), Some(0));
    // The client is told the volume, so that it is not in its samples, too.
    let samples = listener.finish();
    let loudest = samples
        .iter()
        .fold(0_f64, |most, value| most.max(value.abs()));
    assert!((0.9..1.1).contains(&(loudest / PEAK)), "{loudest}");
}

#[test]
fn clicks_arrive_within_60_ms() {
    let _alone = alone();
    expect_clicks_soon(&desktop(), 7);
}

/// Plays clicks in a desktop by so many players, and by some more beside a recorder inside: how late they are at the
/// client, and how much later than at that recorder.
pub(crate) fn expect_clicks_soon(desktop: &Desktop, players: usize) {
    let mut listener = Listener::connect(desktop);
    let mut state = 1_u32;
    let click: Vec<i16> = (0..240)
        .map(|_| {
            state = state.wrapping_mul(0x9e37_79b1).wrapping_add(7);
            (state >> 17) as i16 - 0x3fff
        })
        .collect();
    // A player that once came too late for its daemon stays late: each makes a few clicks.
    let made = |times| (0..times).flat_map(|_| play_clicks(desktop, &click));
    let made_us: Vec<i64> = made(players).collect();
    let monitor = Monitor::of(desktop, 10);
    let made_beside_us: Vec<i64> = made(3).collect();
    assert!(listener.wait_for("stop", STOP_TIMEOUT).is_some());
    let inside = monitor.finish();
    let heard = listener.arrivals();
    let pattern: Vec<f64> = click.iter().map(|value| f64::from(*value)).collect();
    let sorted = |mut took_us: Vec<i64>| {
        took_us.sort_unstable();
        took_us
    };
    let took = |arrivals: &Arrivals, made_us: i64| arrivals.took_us(&pattern, made_us);
    let took_us = sorted(made_us.iter().map(|made| took(&heard, *made)).collect());
    let behind = made_beside_us
        .iter()
        .map(|made| took(&heard, *made) - took(&inside, *made));
    let behind_us = sorted(behind.collect());
    let percentile = |of: &[i64], part: usize| of[(of.len() - 1) * part / 100];
    for (what, of) in [
        ("click to click", &took_us),
        ("behind a recorder inside", &behind_us),
    ] {
        let (median, p95) = (percentile(of, 50), percentile(of, 95));
        eprintln!("{what}: median {median} us, p95 {p95} us");
    }
    assert!(0 < took_us[0], "no click is heard before it is made");
    assert!(percentile(&took_us, 95) <= i64::try_from(CLICK_TIME_MAX.as_micros()).unwrap());
    // Both take the same samples from the daemon in pieces of 10 ms, and the recorder needs no time worth mentioning.
    assert!(percentile(&behind_us, 50) <= i64::try_from(CAPTURE_TIME_MAX.as_micros()).unwrap());
}

/// Plays three clicks, with a quiet hum between them, as a program that cares for latency; when each was made.
fn play_clicks(desktop: &Desktop, click: &[i16]) -> Vec<i64> {
    let mut player = Running::start(Path::new("/usr/bin/pacat"), Stdio::inherit(), |command| {
        let format = ["--format=s16le", "--rate=48000", "--channels=2"];
        desktop.client(
            command
                .args(["--playback", "--raw", "--latency-msec=10"])
                .args(format),
        );
    });
    // What is written before it has connected would wait in front of all that comes later.
    std::thread::sleep(Duration::from_millis(500));
    let (begun, mut clicked_us) = (Instant::now(), Vec::new());
    for frame in 0..132_u32 {
        let due = begun + Duration::from_millis(10) * frame;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut samples = vec![40_i16; 480];
        if 0 < frame && frame % 33 == 0 {
            samples[..click.len()].copy_from_slice(click);
            clicked_us.push(now_us());
        }
        let bytes = samples
            .iter()
            .flat_map(|value| value.to_le_bytes().repeat(2));
        assert!(player.write(&bytes.collect::<Vec<u8>>()), "pacat has ended");
    }
    player.stop_input();
    clicked_us
}

#[test]
fn a_tone_at_the_clients_microphone_is_recorded() {
    let _alone = alone();
    record_from_client(&desktop(), Duration::from_secs(6));
}

/// Records the tone at a client's microphone for a while, and judges it.
pub(crate) fn record_from_client(desktop: &Desktop, time: Duration) {
    let mut speaker = Listener::speaking(desktop, PEAK);
    assert_eq!(speaker.count("record-start"), 0, "nobody records");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recorded");
    let mut recorder = Running::start(
        Path::new("/usr/bin/parecord"),
        Stdio::inherit(),
        |command| {
            let format = ["--format=s16le", "--rate=48000", "--channels=2"];
            desktop.client(command.arg("--raw").args(format).arg(&file));
        },
    );
    assert!(speaker.wait_for("record-start", STOP_TIMEOUT).is_some());
    std::thread::sleep(time);
    assert!(recorder.stop(STOP_TIMEOUT));
    assert!(speaker.wait_for("record-stop", STOP_TIMEOUT).is_some());
    let samples = tone::left_of(&std::fs::read(&file).unwrap());
    // The first half second is the line's: the store fills.
    let heard = Heard::of(&samples[RATE_HZ / 2..], TONE_HZ);
    heard.expect(samples.len() as f64 / RATE_HZ as f64 - 0.5, "parecord");
    let log = desktop.log();
    assert!(log.contains("a program records"), "{log}");
}

#[test]
fn sound_returns_when_the_daemon_was_killed() {
    let _others = beside_others();
    let desktop = desktop();
    let mut listener = Listener::connect(&desktop);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tone.wav");
    tone::write(&file, TONE_HZ, 1.0);
    play(&desktop, &["paplay"], &file);
    assert!(listener.wait_for("start", STOP_TIMEOUT).is_some());
    let (server, daemon) = (desktop.server_pid(), daemon_of(&desktop).unwrap());
    expect_private_sockets(&desktop);
    for killed in 1..=2 {
        let daemon = daemon_of(&desktop).unwrap_or(daemon);
        crate::process::signal(daemon, nix::sys::signal::Signal::SIGKILL);
        let back = wait_until(STOP_TIMEOUT, || {
            daemon_of(&desktop).is_some_and(|pid| pid != daemon) && is_reachable(&desktop)
        });
        assert!(back, "no other daemon: {}", desktop.log());
        let since = Instant::now();
        while listener.count("start") <= killed {
            assert!(
                since.elapsed() < Duration::from_secs(3),
                "{}",
                desktop.log()
            );
            play(&desktop, &["paplay"], &file);
            listener.read();
        }
        eprintln!("sound {:?} after the daemon's return", since.elapsed());
    }
    expect_private_sockets(&desktop);
    assert_eq!(desktop.server_pid(), server, "the session went on");
    assert_eq!(listener.count("closed"), 0);
}

/// No other user could connect to daemon or bus, even if the directory let them in.
fn expect_private_sockets(desktop: &Desktop) {
    let server = desktop
        .sound
        .iter()
        .find(|(name, _)| name == "PULSE_SERVER");
    let socket = Path::new(server.unwrap().1.strip_prefix("unix:").unwrap());
    let mode = |path: &Path| std::fs::metadata(path).map(|file| file.permissions().mode() & 0o777);
    for path in [socket, &socket.with_file_name("bus")] {
        let closed = wait_until(STOP_TIMEOUT, || mode(path).ok() == Some(0o600));
        assert!(closed, "{}: {:?}", path.display(), mode(path));
    }
}

/// The desktop's own daemon.
pub(crate) fn daemon_of(desktop: &Desktop) -> Option<i32> {
    let holder = crate::process::child_called(desktop.launcher_pid(), "desktop-session")?;
    crate::process::child_called(holder, "pulseaudio")
}

fn is_reachable(desktop: &Desktop) -> bool {
    let mut command = Command::new("pactl");
    let info = desktop.client(command.arg("info")).output();
    info.is_ok_and(|info| info.status.success())
}

#[test]
fn a_client_without_opus_hears_samples() {
    let _alone = alone();
    let desktop = desktop();
    let (_main, session) = RawLink::open_main(desktop.port());
    let mut link = RawLink::open(desktop.port(), PLAYBACK, session);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tone.wav");
    tone::write(&file, TONE_HZ, 0.5);
    play(&desktop, &["paplay"], &file);
    let mut samples = Vec::new();
    loop {
        let (kind, body) = link.message();
        match kind {
            // DATA.
            101 => samples.extend_from_slice(&body[4..]),
            // MODE: raw.
            102 => assert_eq!(body[4..6], [1, 0]),
            // STOP.
            104 => break,
            _ => {}
        }
        // Two windows may be open; half a second of sound and one of silence is more than that.
        if samples.len() / 1920 % 20 == 19 && kind == 101 {
            link.send(&crate::link::message(2, 0, &[]));
        }
        if samples.is_empty() && kind == 3 {
            link.send(&crate::link::message(1, 4, &body[..4]));
        }
    }
    Heard::of(&tone::left_of(&samples), TONE_HZ).expect(0.5, "raw");
}

#[test]
fn five_clients_hear_all_and_one_that_stalls_costs_nothing() {
    let _alone = alone();
    let desktop = desktop();
    let mut listeners: Vec<Listener> = (0..5).map(|_| Listener::connect(&desktop)).collect();
    let server = desktop.server_pid().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tone.wav");
    tone::write(&file, TONE_HZ, 8.0);
    let before = anonymous_bytes(server);
    listeners[0].process.send("pause 5000");
    play(&desktop, &["paplay"], &file);
    let after = anonymous_bytes(server);
    assert!(
        after < before + 2 * 1024 * 1024,
        "{before} bytes, then {after}"
    );
    for listener in &mut listeners {
        assert!(listener.wait_for("stop", STOP_TIMEOUT).is_some());
    }
    let stalled = listeners.remove(0).finish().len() / RATE_HZ;
    assert!(
        (2..6).contains(&stalled),
        "{stalled} s of 8, 5 of them stalled"
    );
    for mut listener in listeners {
        Heard::of(&listener.finish(), TONE_HZ).expect(8.0, "beside one that stalls");
    }
}

#[test]
fn clients_that_come_and_go_leave_nothing() {
    let _others = beside_others();
    let desktop = desktop();
    let server = desktop.server_pid().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tone.wav");
    tone::write(&file, TONE_HZ, 60.0);
    let mut player = Running::start(Path::new("/usr/bin/paplay"), Stdio::inherit(), |command| {
        desktop.client(command.arg(&file));
    });
    let visit = || {
        let (_main, session) = RawLink::open_main(desktop.port());
        let mut link = RawLink::open(desktop.port(), PLAYBACK, session);
        // Up to the first of its sound.
        while link.message().0 != 101 {}
    };
    (0..20).for_each(|_| visit());
    let counted = || {
        let count = |what: &str| {
            std::fs::read_dir(format!("/proc/{server}/{what}"))
                .unwrap()
                .count()
        };
        (count("fd"), count("task"))
    };
    // The last of them may still be closing.
    std::thread::sleep(Duration::from_secs(1));
    let settled = counted();
    let before = anonymous_bytes(server);
    (0..180).for_each(|_| visit());
    let same = wait_until(STOP_TIMEOUT, || {
        let (fds, tasks) = counted();
        fds <= settled.0 && tasks <= settled.1
    });
    assert!(
        same,
        "descriptors and threads: {settled:?}, then {:?}",
        counted()
    );
    let after = anonymous_bytes(server);
    eprintln!("{before} bytes after 20 clients, {after} after 200");
    assert!(after < before + 1024 * 1024, "{before} bytes, then {after}");
    assert!(player.is_running(), "it played to all of them");
    player.stop(STOP_TIMEOUT);
}

#[test]
fn silence_wakes_nobody() {
    let _others = beside_others();
    let desktop = desktop();
    let mut listener = Listener::connect(&desktop);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tone.wav");
    tone::write(&file, TONE_HZ, 0.3);
    play(&desktop, &["paplay"], &file);
    assert!(listener.wait_for("stop", STOP_TIMEOUT).is_some());
    std::thread::sleep(Duration::from_secs(2));
    let pids = [desktop.server_pid().unwrap(), daemon_of(&desktop).unwrap()];
    let (before, woken) = (pids.map(cpu_time), pids.map(wakes));
    std::thread::sleep(Duration::from_secs(5));
    listener.read();
    let last = listener.events.last().unwrap().what.clone();
    assert_eq!(last, "stop", "nothing is sent");
    for (index, pid) in pids.into_iter().enumerate() {
        let (spent, woken) = (cpu_time(pid) - before[index], wakes(pid) - woken[index]);
        eprintln!("{pid}: {spent:?} and {woken} wake-ups in 5 s of silence");
        assert!(spent <= Duration::from_millis(20), "{spent:?}");
        assert!(woken <= 25, "{woken} wake-ups");
    }
}

/// How often a process has gone to sleep by itself.
fn wakes(pid: i32) -> u64 {
    let status = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("status"));
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let told = tasks.flatten().filter_map(|task| status(task).ok());
    told.filter_map(|status| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    })
    .sum()
}

#[test]
fn a_desktop_may_be_without_sound() {
    let _others = beside_others();
    let desktop = Desktop::caraway_with(&["--auth", "none", "--sound", "off"], |_| ());
    assert!(desktop.sound.iter().all(|(name, _)| name != "PULSE_SINK"));
    let (_main, session) = RawLink::open_main(desktop.port());
    let hello = crate::link::LinkMessage::good(PLAYBACK, session);
    let mut link = RawLink::connect(desktop.port());
    link.send(&hello.bytes());
    assert_eq!(link.link_reply(), crate::link::Outcome::Link(0));
    let ticket = link.empty_ticket();
    let refused = link.ticket(&ticket);
    assert_eq!(
        refused,
        crate::link::Outcome::Link(crate::link::CHANNEL_NOT_AVAILABLE)
    );
}

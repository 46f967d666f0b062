//! Video in a window, as a person with spice-gtk's library sees it: every frame, at once, and exact when it stops.

use std::process::Stdio;
use std::time::Duration;

use crate::desktop::Desktop;
use crate::figure::{at_most, at_most_within};
use crate::instruments::{output_folder, x_film};
use crate::process::{Running, cpu_time};
use crate::relay::Relay;
use crate::watcher::Watcher;

const FRAMES: u32 = 150;

/// Frames at the end of which bytes and CPU are not counted.
const UNMEASURED: u32 = 9;

/// What spice-gtk's decoder says about a stream when it ends.
#[derive(Debug, Default)]
struct Shown {
    streams: u32,
    frames: u32,
    /// Came after their time.
    late: u32,
    /// Came in time and were not shown, because the frame before took too long.
    passed_over: u32,
    /// Milliseconds that frames waited for their time, sorted.
    waited_ms: Vec<i64>,
}

impl Shown {
    fn read(log: &str) -> Self {
        let mut shown = Self::default();
        for line in log.lines() {
            if let Some((_, margin)) = line.split_once("video margin: ")
                && let Ok(margin) = margin.trim().parse()
            {
                shown.waited_ms.push(margin);
            }
            if line.contains("#in-frames=") {
                shown.streams += 1;
                shown.frames += number(line, "#in-frames=");
                shown.late += number(line, "#drops-on-receive=");
                shown.passed_over += number(line, "#drops-on-playback=");
            }
        }
        shown.waited_ms.sort_unstable();
        shown
    }

    fn waited_at(&self, percent: usize) -> f64 {
        let at = (self.waited_ms.len() * percent / 100).min(self.waited_ms.len() - 1);
        self.waited_ms[at] as f64
    }
}

fn number(line: &str, before: &str) -> u32 {
    let (_, rest) = line.split_once(before).unwrap();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

pub(crate) fn film(desktop: &Desktop, place: &str, frames: u32) -> Running {
    Running::start(x_film(), Stdio::inherit(), |command| {
        let words: Vec<&str> = place.split(' ').collect();
        desktop.client(command.args(words).arg(frames.to_string()));
    })
}

struct Played {
    shown: Shown,
    cpu: Duration,
    bytes: u64,
    exact_ms: f64,
}

/// Plays `frames` frames over a relay of `rate` bits per second.
fn play(name: &str, rate: u64, frames: u32) -> Played {
    let desktop = Desktop::subject("1920x1080");
    let log = output_folder().join(format!("video-{name}.log"));
    let relay = Relay::start(desktop.port(), rate);
    let mut watcher = Watcher::with_log(&desktop, &log);
    let marked = watcher.open(&relay.uri(), &desktop.password);
    assert_eq!(marked["ok"], true, "{marked}");
    watcher
        .wait_exact(Duration::from_secs(20))
        .expect("a picture");
    watcher.idle(Duration::from_millis(500));
    let server = desktop.server_pid().expect("the server runs");
    let (cpu, bytes) = (cpu_time(server), relay.bytes());
    let film = film(&desktop, "301 203 640 360", frames);
    film.event("playing", Duration::from_secs(20));
    // The exact pixels after the film are not its frames.
    let measured = frames - UNMEASURED;
    watcher.idle(Duration::from_millis(u64::from(measured) * 1000 / 30));
    let (cpu, bytes) = (cpu_time(server) - cpu, relay.bytes() - bytes);
    let stopped_us = film.event("done", Duration::from_secs(20))["at_us"]
        .as_i64()
        .unwrap();
    let exact = watcher
        .wait_exact(Duration::from_secs(10))
        .expect("exact pixels");
    watcher.idle(Duration::from_millis(300));
    drop(watcher);
    let log = std::fs::read_to_string(log).unwrap();
    Played {
        shown: Shown::read(&log),
        cpu,
        bytes,
        exact_ms: (exact.exact_at_us - stopped_us) as f64 / 1000.0,
    }
}

#[test]
fn every_frame_of_a_video_is_shown_at_once_and_the_last_one_exactly() {
    let _alone = crate::alone();
    let played = play("lan", 1_000_000_000, FRAMES);
    let (shown, frames) = (&played.shown, f64::from(FRAMES - UNMEASURED));
    assert_eq!(shown.streams, 1, "one stream for all of it: {shown:?}");
    assert!(FRAMES * 9 / 10 <= shown.frames, "{shown:?}");
    let dropped = f64::from(shown.late + shown.passed_over) / f64::from(shown.frames) * 100.0;
    at_most("video: frames dropped by spice-gtk", dropped, 1.0, "%");
    at_most(
        "video: a frame waits in the client (median)",
        shown.waited_at(50),
        10.0,
        "ms",
    );
    at_most_within(
        "video: bytes a frame",
        played.bytes as f64 / 1024.0 / frames,
        60.0,
        "KB",
        1.1,
    );
    at_most(
        "video: server's CPU a frame",
        played.cpu.as_secs_f64() * 1000.0 / frames,
        1.6,
        "ms",
    );
    at_most(
        "video: exact after the last frame",
        played.exact_ms,
        300.0,
        "ms",
    );
}

#[test]
fn a_video_over_a_narrow_line_loses_frames_and_not_its_age() {
    let _alone = crate::alone();
    let played = play("narrow", 8_000_000, FRAMES);
    let shown = &played.shown;
    assert!(FRAMES / 3 <= shown.frames, "{shown:?}");
    eprintln!(
        "figure: video at 8 Mbit/s: {} of {FRAMES} frames, {} dropped, waited {} ms, {} KB/s",
        shown.frames,
        shown.late + shown.passed_over,
        shown.waited_at(50),
        played.bytes / 1024 * 30 / u64::from(FRAMES - UNMEASURED)
    );
    assert!(
        shown.late + shown.passed_over <= shown.frames / 5,
        "{shown:?}"
    );
}

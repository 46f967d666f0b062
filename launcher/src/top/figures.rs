//! Figures of one interval, from the counters at its two ends.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::processes::{self, Usage};
use crate::access::Access;
use crate::control::messages;
use crate::name::DesktopName;

/// The counters of a desktop at one moment.
#[derive(Clone, Debug)]
pub(super) struct Look {
    at: Instant,
    name: DesktopName,
    display: Option<String>,
    user: Option<String>,
    /// Tells this server from one that took its place and counts from nothing.
    server_pid: Option<i32>,
    counters: Counters,
    server: Option<Usage>,
    xorg: Option<Usage>,
}

/// What of a server's status is shown. A server of another version may leave out anything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Counters {
    width: Option<u32>,
    height: Option<u32>,
    frames: Option<u64>,
    clients: Vec<ClientCounters>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ClientCounters {
    id: u64,
    peer: String,
    user: Option<String>,
    access: Access,
    display_bytes: u64,
    rtt_us: Option<u64>,
    in_flight_bytes: u64,
    frames_shown: Option<u64>,
    encode_us: Option<u64>,
    key_to_frame_us: Option<u64>,
}

/// What a desktop did in an interval.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Desktop {
    pub(super) name: DesktopName,
    pub(super) display: Option<String>,
    pub(super) user: Option<String>,
    /// Size of the screen in pixels.
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    /// Frames read from the screen.
    pub(super) fps: Option<f64>,
    /// None where no server answers.
    pub(super) server: Option<Process>,
    pub(super) xorg: Option<Process>,
    pub(super) clients: Vec<Client>,
}

/// What a process used.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// 100 is one processor. None for a process that was not there at the beginning.
    pub(super) cpu_percent: Option<f64>,
    pub(super) memory_bytes: u64,
}

/// What one client got. Rates are none for one that was not there at the beginning.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Client {
    pub(super) peer: String,
    /// As whom it has authenticated.
    pub(super) user: Option<String>,
    /// What it may do.
    pub(super) access: Access,
    /// Frames of which it got something.
    pub(super) fps: Option<f64>,
    pub(super) mbit_per_s: Option<f64>,
    /// Mean time to make what it got of a frame; none without frames.
    pub(super) encode_ms: Option<f64>,
    pub(super) rtt_ms: Option<f64>,
    /// From its last answered key to the first sending behind it.
    pub(super) key_to_frame_ms: Option<f64>,
    pub(super) in_flight_bytes: u64,
}

impl Look {
    /// The counters of `desktop` now.
    pub(super) fn at(desktop: messages::Desktop) -> Self {
        let pids = desktop.pids;
        let counters = desktop.server.map(serde_json::from_value);
        Self {
            at: Instant::now(),
            name: desktop.name,
            display: desktop.display,
            user: processes::user(pids.launcher),
            server_pid: pids.server,
            counters: counters.and_then(Result::ok).unwrap_or_default(),
            server: pids.server.and_then(Usage::of),
            xorg: pids.xorg.and_then(Usage::of),
        }
    }

    fn is_of(&self, name: &DesktopName) -> bool {
        self.name == *name
    }
}

/// What each desktop of `after` did since `before`.
pub(super) fn between(before: &[Look], after: &[Look]) -> Vec<Desktop> {
    let earlier = |look: &Look| before.iter().find(|earlier| earlier.is_of(&look.name));
    after
        .iter()
        .map(|look| desktop(earlier(look), look))
        .collect()
}

fn desktop(before: Option<&Look>, after: &Look) -> Desktop {
    let since = |earlier: &Look| after.at.duration_since(earlier.at).as_secs_f64();
    let seconds = before.map_or(0.0, since);
    // A server that took another's place has other counters.
    let same = before.filter(|earlier| earlier.server_pid == after.server_pid);
    let counters = &after.counters;
    let frames = same.and_then(|earlier| earlier.counters.frames);
    let client = |now: &ClientCounters| {
        let mut earlier = same.into_iter().flat_map(|look| &look.counters.clients);
        client(
            earlier.find(|one| one.id == now.id && one.peer == now.peer),
            now,
            seconds,
        )
    };
    Desktop {
        name: after.name.clone(),
        display: after.display.clone(),
        user: after.user.clone(),
        width: counters.width,
        height: counters.height,
        fps: rate(frames, counters.frames, seconds),
        server: process(before.and_then(|look| look.server), after.server, seconds),
        xorg: process(before.and_then(|look| look.xorg), after.xorg, seconds),
        clients: counters.clients.iter().map(client).collect(),
    }
}

fn client(before: Option<&ClientCounters>, after: &ClientCounters, seconds: f64) -> Client {
    let frames = difference(before.and_then(|one| one.frames_shown), after.frames_shown);
    let encode_us = difference(before.and_then(|one| one.encode_us), after.encode_us);
    let bytes = rate(
        before.map(|one| one.display_bytes),
        Some(after.display_bytes),
        seconds,
    );
    let ms = |us: Option<u64>| us.map(|us| rounded(us as f64 / 1000.0));
    let per_frame = |(us, frames): (u64, u64)| rounded(us as f64 / 1000.0 / frames as f64);
    Client {
        peer: after.peer.replace(char::is_control, " "),
        user: after
            .user
            .as_ref()
            .map(|user| user.replace(char::is_control, " ")),
        access: after.access,
        fps: rate(
            before.and_then(|one| one.frames_shown),
            after.frames_shown,
            seconds,
        ),
        mbit_per_s: bytes.map(|bytes| rounded(bytes * 8.0 / 1e6)),
        encode_ms: encode_us
            .zip(frames)
            .filter(|(_, frames)| 0 < *frames)
            .map(per_frame),
        rtt_ms: ms(after.rtt_us),
        key_to_frame_ms: ms(after.key_to_frame_us),
        in_flight_bytes: after.in_flight_bytes,
    }
}

fn process(before: Option<Usage>, after: Option<Usage>, seconds: f64) -> Option<Process> {
    let after = after?;
    let before = before.filter(|before| before.pid == after.pid);
    let ticks = rate(before.map(|usage| usage.ticks), Some(after.ticks), seconds);
    let per_second = processes::ticks_per_second() as f64;
    Some(Process {
        pid: after.pid,
        cpu_percent: ticks.map(|ticks| rounded(ticks / per_second * 100.0)),
        memory_bytes: after.memory_bytes,
    })
}

fn difference(before: Option<u64>, after: Option<u64>) -> Option<u64> {
    after?.checked_sub(before?)
}

/// How much a counter grew in a second; none where it is not known at both ends or began anew.
fn rate(before: Option<u64>, after: Option<u64>, seconds: f64) -> Option<f64> {
    let grown = difference(before, after)?;
    (0.0 < seconds).then(|| rounded(grown as f64 / seconds))
}

/// To three digits behind the point: no clock here is better.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn look(at: Instant, server_pid: i32, status: &str) -> Look {
        Look {
            at,
            name: "desk".parse().unwrap(),
            display: Some(":1".into()),
            user: None,
            server_pid: Some(server_pid),
            counters: serde_json::from_str(status).unwrap(),
            server: Some(Usage {
                pid: server_pid,
                ticks: at.elapsed().as_secs(),
                memory_bytes: 4096,
            }),
            xorg: None,
        }
    }

    const BEFORE: &str = r#"{"width":800,"height":600,"frames":100,"clients":[
        {"id":1,"peer":"a","display_bytes":1000000,"frames_shown":10,"encode_us":5000}]}"#;
    const AFTER: &str = r#"{"width":800,"height":600,"frames":160,"clients":[
        {"id":1,"peer":"a","display_bytes":3000000,"frames_shown":50,"encode_us":45000,"rtt_us":7500,
         "key_to_frame_us":4200,"in_flight_bytes":9},
        {"id":2,"peer":"b\u001b[2J","display_bytes":5,"user":"eve","access":"view-only"}]}"#;

    #[test]
    fn figures_are_differences_over_the_time() {
        let begun = Instant::now();
        let end = begun + Duration::from_secs(2);
        let shown = between(&[look(begun, 7, BEFORE)], &[look(end, 7, AFTER)]);
        let [desktop] = &shown[..] else {
            panic!("{shown:?}")
        };
        assert_eq!((desktop.width, desktop.fps), (Some(800), Some(30.0)));
        let first = &desktop.clients[0];
        assert_eq!((first.fps, first.mbit_per_s), (Some(20.0), Some(8.0)));
        assert_eq!((first.encode_ms, first.rtt_ms), (Some(1.0), Some(7.5)));
        assert_eq!(
            (first.key_to_frame_ms, first.in_flight_bytes),
            (Some(4.2), 9)
        );
        let new = &desktop.clients[1];
        assert_eq!((new.fps, new.mbit_per_s, new.encode_ms), (None, None, None));
        assert_eq!(new.access, Access::ViewOnly);
        assert_eq!(new.user.as_deref(), Some("eve"));
        assert!(!new.peer.contains('\x1b'), "terminals obey no client");
        assert_eq!(desktop.server.as_ref().unwrap().cpu_percent, Some(0.0));
    }

    #[test]
    fn a_server_that_took_anothers_place_counts_from_nothing() {
        let begun = Instant::now();
        let end = begun + Duration::from_secs(1);
        let shown = between(&[look(begun, 7, BEFORE)], &[look(end, 8, AFTER)]);
        assert_eq!(shown[0].fps, None);
        assert_eq!(shown[0].clients[0].mbit_per_s, None);
        assert_eq!(shown[0].server.as_ref().unwrap().cpu_percent, None);
        assert_eq!(between(&[], &[look(end, 8, "{}")])[0].fps, None);
    }
}

//! Several clients in one desktop: who only watches, who is told of it, and what monitoring sees.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use x11rb::protocol::Event;

use crate::desktop::Desktop;
use crate::instruments::product;
use crate::process::wait_until;
use crate::watcher::Watcher;
use crate::x_client::XClient;

const PATIENCE: Duration = Duration::from_secs(20);

fn caraway(arguments: &[&str]) -> String {
    let mut command = Command::new(product("caraway"));
    let result = command.args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{arguments:?}: {said}");
    String::from_utf8(result.stdout).unwrap().trim().to_owned()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&caraway(arguments)).unwrap()
}

/// A desktop of that name whose hooks write to that file.
fn desktop(what: &str) -> (Desktop, String, tempfile::TempDir, PathBuf) {
    let name = format!("{what}-{}", std::process::id());
    let folder = tempfile::tempdir().unwrap();
    let visits = folder.path().join("visits");
    let hook = format!(
        "echo $CARAWAY_EVENT $CARAWAY_CLIENT_ACCESS $CARAWAY_CLIENTS $CARAWAY_DESKTOP >>{}",
        visits.display()
    );
    let arguments = [
        "-g",
        "640x480",
        "--name",
        &name,
        "--on-connect",
        &hook,
        "--on-disconnect",
        &hook,
    ];
    (
        Desktop::caraway_with(&arguments, |_| ()),
        name,
        folder,
        visits,
    )
}

fn connect(desktop: &Desktop, password: &str) -> Watcher {
    let mut watcher = Watcher::new(desktop);
    let answer = watcher.open(&desktop.uri, password);
    assert_eq!(answer["ok"], true, "{answer} {}", desktop.log());
    watcher
}

fn accesses(name: &str) -> Vec<String> {
    let status = json(&["status", name, "--json"]);
    let clients = status["clients"].as_array().unwrap().iter();
    clients
        .map(|client| client["access"].as_str().unwrap().to_owned())
        .collect()
}

fn key(event: Event) -> Option<u8> {
    match event {
        Event::KeyPress(key) => Some(key.detail),
        _ => None,
    }
}

#[test]
fn who_only_watches_sees_and_does_nothing() {
    let _others = crate::beside_others();
    let (desktop, name, _folder, visits) = desktop("watching");
    let view_only = caraway(&["password", &name, "--view-only", "--new"]);
    assert_ne!(view_only, desktop.password);
    assert_eq!(caraway(&["password", &name]), desktop.password);
    assert_eq!(caraway(&["password", &name, "--view-only"]), view_only);
    let mut full = connect(&desktop, &desktop.password);
    let mut eve = connect(&desktop, &view_only);
    assert_eq!(accesses(&name), ["full", "view-only"]);

    let x = XClient::connect(&desktop);
    x.cover_screen();
    full.idle(Duration::from_millis(300));
    x.forget_events();
    let before = x.pointer();
    // A client without an agent or with another mouse mode may not say these at all.
    for deed in [
        "key 0x1e down",
        "key 0x1e up",
        "press 1 0",
        "release 1 0",
        "motion 50 50 0",
    ] {
        eve.ask(deed);
    }
    eve.idle(Duration::from_millis(300));
    // What the watcher pressed would have come before this.
    full.order("key 0x30 down");
    full.order("key 0x30 up");
    let pressed = x.wait_for(PATIENCE, key);
    assert_eq!(pressed, Some(0x30 + 8), "the first key is who acts");
    assert_eq!(x.pointer(), before);
    assert!(eve.wait_exact(PATIENCE).is_ok(), "it sees");

    let metrics = metrics(&desktop);
    for line in [
        "caraway_clients{access=\"full\"} 1",
        "caraway_clients{access=\"view-only\"} 1",
        "caraway_connections_total{access=\"shadow\"} 0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }
    drop(eve);
    let wanted = [
        format!("connect full 1 {name}"),
        format!("connect view-only 2 {name}"),
        format!("disconnect view-only 1 {name}"),
    ];
    let read = || std::fs::read_to_string(&visits).unwrap_or_default();
    let told = wait_until(PATIENCE, || read().lines().eq(&wanted));
    assert!(told, "{} {}", read(), desktop.log());
    assert_ne!(desktop.await_in_log("watches this desktop", 1), 0);
}

#[test]
fn who_is_sent_to_watch_is_announced_and_messages_are_shown() {
    let _others = crate::beside_others();
    let (desktop, name, folder, _) = desktop("shadow");
    let bus = desktop.xauthority.parent().unwrap().join("bus");
    let heard = folder.path().join("notifications");
    let address = format!("unix:path={}", bus.display());
    let output = Stdio::from(std::fs::File::create(&heard).unwrap());
    let monitor = has_bus(&bus).then(|| {
        let mut command = Command::new("dbus-monitor");
        let filter = "interface='org.freedesktop.Notifications'";
        command.args(["--address", &address, filter]).stdout(output);
        Killed(command.spawn().unwrap())
    });
    let notifications = || std::fs::read_to_string(&heard).unwrap_or_default();
    if monitor.is_some() {
        assert!(wait_until(PATIENCE, || notifications().contains("NameAcquired")));
    }
    let mut full = connect(&desktop, &desktop.password);
    let told = json(&["view", &name, "--shadow", "--json"]);
    let password = told["way_in"]["password"].as_str().unwrap();
    assert_eq!(told["way_in"]["uris"][0], desktop.uri.as_str());
    let mut shadow = connect(&desktop, password);
    assert!(shadow.wait_exact(PATIENCE).is_ok());
    assert_eq!(accesses(&name), ["full", "shadow"]);
    let mut second = Watcher::new(&desktop);
    let refused = second.open(&desktop.uri, password);
    assert_ne!(refused["ok"], true, "it is for one");
    caraway(&["message", "the host goes down at <noon>", &name]);
    let log = || desktop.log();
    assert!(wait_until(PATIENCE, || log()
        .contains("An administrator watches")
        && log().contains("down at <noon>")));
    if monitor.is_some() {
        let shown = wait_until(PATIENCE, || {
            let heard = notifications();
            heard.contains("An administrator watches") && heard.contains("at &lt;noon&gt;")
        });
        assert!(shown, "{}", notifications());
    }
    full.idle(Duration::from_millis(100));
    assert!(full.wait_exact(PATIENCE).is_ok(), "clients go on");
}

#[test]
fn root_sees_and_reaches_the_desktops_of_others() {
    let _others = crate::beside_others();
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: only root sees others' desktops");
        return;
    }
    const NOBODY: u32 = 65_534;
    let name = format!("theirs-{}", std::process::id());
    let mut desktop = Desktop::caraway_as(&["-g", "640x480", "--name", &name], NOBODY, |command| {
        command
            .env_remove("XDG_RUNTIME_DIR")
            .env("HOME", "/nonexistent");
        command
            .env_remove("XAUTHORITY")
            .env_remove("DBUS_SESSION_BUS_ADDRESS");
        command.current_dir("/");
    });
    let all = json(&["list", "--all", "--json"]);
    let listed = all
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == *name);
    let listed = listed.unwrap_or_else(|| panic!("{all} {}", desktop.log()));
    let user = listed["user"].as_str().unwrap().to_owned();
    assert_eq!(listed["uris"][0], desktop.uri.as_str());
    let status = json(&["status", &name, "--user", &user, "--json"]);
    assert_eq!(status["name"], name.as_str());
    let told = json(&["view", &name, "--shadow", "--json", "--user", &user]);
    let password = told["way_in"]["password"].as_str().unwrap();
    let mut shadow = connect(&desktop, password);
    assert!(shadow.wait_exact(PATIENCE).is_ok());
    caraway(&["stop", &name, "--user", &user]);
    assert!(wait_until(PATIENCE, || desktop.server_pid().is_none()));
    desktop.stop();
}

/// A child that ends with the test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn has_bus(bus: &std::path::Path) -> bool {
    let installed = |program: &str| std::path::Path::new("/usr/bin").join(program).exists();
    bus.exists() && installed("dbus-monitor") && installed("gdbus")
}

/// What monitoring is answered.
fn metrics(desktop: &Desktop) -> String {
    let path = desktop.xauthority.parent().unwrap().join("metrics.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let mut socket = UnixStream::connect(path).unwrap();
    socket
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    answer
}

/// Presses of one figure.
const PRESSES: usize = 100;

/// Milliseconds from a key press to its pixel in spice-gtk's library, sorted.
fn key_times_ms(watcher: &mut Watcher) -> Vec<f64> {
    let press = |_| {
        let answer = watcher.order("key-to-pixel 0x1e 100 100 2000");
        watcher.idle(Duration::from_millis(30));
        answer["key_to_pixel_us"].as_f64().unwrap() / 1000.0
    };
    let mut times: Vec<f64> = (0..PRESSES).map(press).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// What somebody's typing loses to others' videos on the same host.
#[test]
#[ignore = "a figure of two processors that others share: run by make bench"]
fn bench_a_key_beside_the_videos_of_others() {
    let _alone = crate::alone();
    let typist = Desktop::subject("1024x768");
    let typing = typist.draw(&["typing"]);
    typing.event("ready", PATIENCE);
    let mut watcher = Watcher::connect(&typist);
    watcher.idle(Duration::from_millis(500));
    let mut films = Vec::new();
    for count in 0..3 {
        if count != 0 {
            let other = Desktop::subject("1280x1024");
            let viewer = Watcher::connect(&other);
            let film = crate::video::film(&other, "100 100 1024 576", 100_000);
            film.event("playing", PATIENCE);
            watcher.idle(Duration::from_secs(2));
            films.push((film, viewer, other));
        }
        let times = key_times_ms(&mut watcher);
        let part = |percent: usize| times[(times.len() - 1) * percent / 100];
        eprintln!(
            "figure: key to pixel beside {count} videos of others: {:.2} ms, p95 {:.2}, worst {:.2}",
            part(50),
            part(95),
            part(100)
        );
    }
}

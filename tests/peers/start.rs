//! Starting and ending: without privileges, beside others, and with one sentence when it cannot be.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::desktop::Desktop;
use crate::instruments::product;
use crate::process::{is_alive, wait_until};
use crate::watcher::Watcher;

/// Two users that every Debian has and nobody logs in as.
const USERS: [(&str, u32); 2] = [("games", 5), ("nobody", 65534)];

const FAILURE_TIMEOUT: &str = "30";

/// Runs `caraway start` with these arguments, which must fail: exit code and standard error.
fn failing_start(arguments: &[&str], set_up: impl FnOnce(&mut Command)) -> (Option<i32>, String) {
    let mut command = Command::new("timeout");
    command
        .arg(FAILURE_TIMEOUT)
        .arg(product("caraway"))
        .args(["start", "--auth", "none"])
        .args(arguments);
    command
        .args(["--", "sleep", "60"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    set_up(&mut command);
    let result = command.output().unwrap();
    (
        result.status.code(),
        String::from_utf8(result.stderr).unwrap(),
    )
}

fn expect_one_sentence((code, told): (Option<i32>, String), word: &str) {
    assert_eq!(code, Some(1), "{told}");
    let lines: Vec<&str> = told
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    assert_eq!(lines.len(), 1, "one sentence: {told}");
    assert!(
        told.to_lowercase().contains(word),
        "{word:?} is not in: {told}"
    );
}

#[test]
fn a_taken_port_is_one_sentence() {
    let _others = crate::beside_others();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = taken.local_addr().unwrap().port().to_string();
    expect_one_sentence(failing_start(&["-l", &address], |_| ()), &port);
}

#[test]
fn a_taken_display_is_one_sentence() {
    let _others = crate::beside_others();
    let other = Desktop::dummy("640x480");
    expect_one_sentence(
        failing_start(&["-d", &other.display], |_| ()),
        &other.display[1..],
    );
}

#[test]
fn a_listener_without_a_password_beyond_loopback_is_refused() {
    let _others = crate::beside_others();
    let (code, told) = failing_start(&["-l", "0.0.0.0:0"], |_| ());
    assert!(matches!(code, Some(1 | 2)), "{code:?}: {told}");
    assert!(!told.is_empty());
}

#[test]
fn the_end_of_a_desktop_leaves_nothing_behind() {
    let _others = crate::beside_others();
    let runtime = tempfile::tempdir().unwrap();
    let mut desktop = Desktop::caraway_with(&["--auth", "none", "-g", "800x600"], |command| {
        command.env("XDG_RUNTIME_DIR", runtime.path());
    });
    let _watcher = Watcher::connect(&desktop);
    let (xorg, server) = (desktop.xorg_pid, desktop.server_pid().unwrap());
    let number = desktop.display[1..].to_owned();
    let cookie = desktop.xauthority.clone();
    assert!(desktop.stop(), "it did not end in time");
    let gone = || !is_alive(xorg) && !is_alive(server);
    assert!(
        wait_until(Duration::from_secs(2), gone),
        "Xorg or server still runs"
    );
    let lock = format!("/tmp/.X{number}-lock");
    let holder = std::fs::read_to_string(&lock).unwrap_or_default();
    // Another test's desktop may have taken the free number by now.
    let is_anothers = holder.trim().parse().is_ok_and(is_alive);
    for path in [format!("/tmp/.X11-unix/X{number}"), lock] {
        assert!(is_anothers || !Path::new(&path).exists(), "{path} is left");
    }
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".Xauthority"));
    assert!(
        !cookie.exists() || Some(&cookie) == home.as_ref(),
        "{} is left",
        cookie.display()
    );
    assert_eq!(files_under(runtime.path()), Vec::<String>::new());
}

/// Everything but directories below `folder`.
fn files_under(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_under(&entry.path()));
        } else {
            files.push(entry.path().display().to_string());
        }
    }
    files
}

#[test]
fn two_users_have_two_desktops_side_by_side() {
    let _others = crate::beside_others();
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("not root: both desktops belong to this user");
    }
    let homes = USERS.map(|(_, uid)| {
        let home = tempfile::tempdir().unwrap();
        if nix::unistd::Uid::effective().is_root() {
            nix::unistd::chown(home.path(), Some(uid.into()), None).unwrap();
        }
        home
    });
    let desktops: Vec<Desktop> = USERS
        .iter()
        .zip(&homes)
        .map(|((name, uid), home)| {
            Desktop::caraway_as(&["--auth", "ticket", "-g", "1024x768"], *uid, |command| {
                command
                    .env("HOME", home.path())
                    .env("XDG_RUNTIME_DIR", home.path())
                    .env("USER", name);
                command
                    .env_remove("XAUTHORITY")
                    .env_remove("DBUS_SESSION_BUS_ADDRESS")
                    .current_dir("/");
            })
        })
        .collect();
    assert_ne!(desktops[0].display, desktops[1].display);
    assert_ne!(desktops[0].port(), desktops[1].port());
    let drawings = [51, 52].map(|seed| seed.to_string());
    for (desktop, seed) in desktops.iter().zip(&drawings) {
        let drawing = desktop.draw(&["random", seed, "2000", "1"]);
        drawing.event("done", Duration::from_secs(20));
        let mut watcher = Watcher::connect(desktop);
        watcher
            .wait_exact(Duration::from_secs(5))
            .unwrap_or_else(|wrong| panic!("{}", wrong.answer));
    }
    // The ticket of one opens nothing of the other.
    let mut stranger = Watcher::new(&desktops[0]);
    let answer = stranger.open(&desktops[0].uri, &desktops[1].password);
    assert_eq!(answer["error"], "auth", "{answer}");
    if nix::unistd::Uid::effective().is_root() {
        for (desktop, (name, uid)) in desktops.iter().zip(USERS) {
            for pid in desktop.cost_pids() {
                let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
                let line = status
                    .lines()
                    .find(|line| line.starts_with("Uid:"))
                    .unwrap();
                let all_own = line
                    .split_whitespace()
                    .skip(1)
                    .all(|id| id == uid.to_string());
                assert!(all_own, "{name}'s process {pid} runs as {line}");
            }
        }
    }
}

//! `caraway start --detach`: it returns when the desktop is ready, and the desktop stays.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::stat::Mode;
use nix::unistd::{Pid, getsid, mkfifo};
use serde_json::Value;

use crate::stage::{Stage, as_each_user, spawn, wait_until};

fn detached(stage: &Stage, options: &[&str], shell: &str) -> Value {
    let xorg = stage.path("Xorg");
    let xorg = [
        "start",
        "--detach",
        "--json",
        "--xorg",
        xorg.to_str().unwrap(),
    ];
    let listen = ["--listen", "127.0.0.1:0"];
    let command = ["--", "sh", "-c", shell, "name of the shell"];
    stage.json(&[&xorg[..], &listen, options, &command].concat())
}

/// The words for a desktop that sleeps.
fn sleeper(xorg: &str) -> [&str; 7] {
    ["start", "--detach", "--xorg", xorg, "--", "sleep", "1000"]
}

fn pid(ready: &Value, part: &str) -> i32 {
    i32::try_from(ready["pids"][part].as_i64().unwrap()).unwrap()
}

fn is_alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn without_systemd_it_is_a_process_of_its_own() {
    as_each_user(|stage| {
        let ready = detached(stage, &[], "echo \"$0\" >said; exec sleep 1000");
        assert_eq!(ready["name"], "desktop");
        let password = fs::read_to_string(stage.path("password")).unwrap();
        assert_eq!(ready["password"], Value::String(password));
        let launcher = pid(&ready, "launcher");
        let session = getsid(Some(Pid::from_raw(launcher))).unwrap();
        assert_eq!(session.as_raw(), launcher, "no terminal ends it");
        wait_until("the session runs", || stage.path("home/said").exists());
        let logs = String::from_utf8(stage.run(&["logs"]).stdout).unwrap();
        assert!(logs.contains(" xorg: "), "{logs}");

        // A second one finds a name of its own, and tells it in words.
        let xorg = stage.path("Xorg");
        let words = sleeper(xorg.to_str().unwrap());
        let second = stage.run(&words);
        assert!(second.status.success());
        let said = String::from_utf8(second.stdout).unwrap();
        assert!(
            said.starts_with("spice://127.0.0.1:") && said.contains("  password: "),
            "{said}"
        );
        assert!(said.ends_with("end it: caraway stop desktop-2\n"), "{said}");
        let taken = stage.run(&["start", "--detach", "--name", "desktop"]);
        assert_eq!(taken.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&taken.stderr).contains("runs already"));

        for name in ["desktop", "desktop-2"] {
            assert!(stage.run(&["stop", name]).status.success());
        }
        wait_until("it has ended", || !is_alive(launcher));
        stage.assert_nothing_left();
    });
}

#[test]
fn a_failure_is_told_as_without_it() {
    as_each_user(|stage| {
        let other_abi = stage.path("Xorg-other-abi");
        let words = ["--xorg", other_abi.to_str().unwrap(), "--", "true"];
        let here = stage.refused(&words);
        let there = stage.refused(&[&["--detach"], &words[..]].concat());
        assert_eq!(here, there);
        assert!(there.contains("built for another Xorg"), "{there}");
        let contradiction = stage.run(&["start", "--detach", "-l", "0.0.0.0:1"]);
        assert_eq!(contradiction.status.code(), Some(2));
        stage.assert_nothing_left();
    });
}

#[test]
fn whoever_interrupts_the_wait_has_no_desktop() {
    as_each_user(|stage| {
        let says = stage.path("server-says");
        fs::remove_file(&says).unwrap();
        // The stand-in for the server reads it, and waits for somebody to write.
        mkfifo(&says, Mode::from_bits_truncate(0o666)).unwrap();
        fs::set_permissions(&says, fs::Permissions::from_mode(0o666)).unwrap();
        let xorg = stage.path("Xorg");
        let words = sleeper(xorg.to_str().unwrap());
        let mut waiting = spawn(&mut stage.command(&words));
        wait_until("the server starts", || {
            stage.path("listeners.desktop").exists()
        });
        waiting.kill().unwrap();
        waiting.wait().unwrap();
        fs::write(&says, "{\"event\":\"ready\"}").unwrap();
        stage.assert_nothing_left();
    });
}

/// The runtime directory of this user's systemd, if it runs.
fn user_manager() -> Option<PathBuf> {
    let dir = PathBuf::from(format!("/run/user/{}", nix::unistd::geteuid()));
    UnixStream::connect(dir.join("systemd/private")).ok()?;
    Some(dir)
}

fn systemctl(runtime_dir: &Path, words: &[&str]) -> String {
    let mut command = Command::new("systemctl");
    command
        .arg("--user")
        .args(words)
        .env("XDG_RUNTIME_DIR", runtime_dir);
    let output = spawn(command.stdout(Stdio::piped()))
        .wait_with_output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
#[allow(clippy::print_stderr, reason = "who skips a test says so")]
fn with_systemd_it_is_a_unit() {
    let Some(runtime_dir) = user_manager() else {
        eprintln!("SKIPPED: detached units: no systemd of this user runs here");
        return;
    };
    let stage = Stage::new(None).in_runtime_dir(&runtime_dir);
    for way_to_stop in ["caraway", "systemctl"] {
        let shell =
            "echo \"$0 ${DBUS_SESSION_BUS_ADDRESS:+bus}\" >new; mv new said; exec sleep 1000";
        let ready = detached(&stage, &["--name", "test.unit"], shell);
        assert!(ready["password"].is_string());
        let unit = "caraway-test.unit.service";
        let shown = ["ActiveState", "Type", "KillMode", "MainPID"].map(|property| {
            systemctl(
                &runtime_dir,
                &["show", "--value", "--property", property, unit],
            )
        });
        let launcher = pid(&ready, "launcher");
        assert_eq!(
            shown,
            ["active", "notify", "process", &launcher.to_string()]
        );
        wait_until("the session runs", || stage.path("home/said").exists());
        let said = fs::read_to_string(stage.path("home/said")).unwrap();
        assert_eq!(said, "name of the shell bus\n", "its words came unchanged");
        fs::remove_file(stage.path("home/said")).unwrap();
        match way_to_stop {
            "caraway" => assert!(stage.run(&["stop", "test.unit"]).status.success()),
            _ => drop(systemctl(&runtime_dir, &["stop", unit])),
        }
        for part in ["launcher", "xorg", "server"] {
            wait_until("it has ended", || !is_alive(pid(&ready, part)));
        }
        assert!(!runtime_dir.join("caraway/test.unit").exists());
        wait_until("the unit is gone", || {
            systemctl(&runtime_dir, &["is-active", unit]) == "inactive"
        });
    }
    let other_abi = stage.path("Xorg-other-abi");
    let words = [
        "start",
        "--detach",
        "--name",
        "test.unit",
        "--xorg",
        other_abi.to_str().unwrap(),
    ];
    let failed = stage.run(&[&words[..], &["--", "true"]].concat());
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(
        said.contains("built for another Xorg") && said.lines().count() == 1,
        "{said}"
    );
}

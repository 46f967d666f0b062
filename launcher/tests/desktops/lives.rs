//! Desktops from their start to their ordinary end.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::stage::{Desktop, as_each_user, spawn, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_desktop_is_started_shown_and_stopped() {
    as_each_user(|stage| {
        let desktop = stage.start(&["--name", "work"], "xset q >ready 2>&1 && exec sleep 1000");
        assert_eq!(desktop.name(), "work");
        assert_eq!(
            desktop.pid("launcher"),
            i32::try_from(desktop.child.id()).unwrap()
        );
        let uri = desktop.ready["uris"][0].as_str().unwrap();
        let port = uri.strip_prefix("spice://127.0.0.1:").unwrap();
        wait_until("the session reaches its display", || {
            stage.path("home/ready").exists()
        });

        let list = stage.json(&["list", "--json"]);
        assert_eq!(list.as_array().unwrap().len(), 1);
        assert_eq!(list[0]["name"], "work");
        assert_eq!(list[0]["display"], desktop.ready["display"]);
        assert_eq!(list[0]["uris"], desktop.ready["uris"]);
        assert_eq!(list[0]["clients"], 1);
        let status = stage.json(&["status", "work", "--json"]);
        assert_eq!(status["pids"], desktop.ready["pids"]);
        assert_eq!(status["clients"][0]["address"], "192.0.2.1");
        assert!(status["since"].as_str().unwrap().ends_with('Z'));

        let view = stage.run(&["view"]);
        let said = String::from_utf8(view.stdout).unwrap();
        let file = said
            .lines()
            .find_map(|line| line.strip_prefix("remote-viewer "))
            .unwrap();
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
        let text = fs::read_to_string(file).unwrap();
        let password = desktop.ready["password"].as_str().unwrap();
        for line in [format!("port={port}"), format!("password={password}")] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
        assert!(text.contains("delete-this-file=1"));

        let (files, launcher) = (desktop.x_files(), desktop.pid("launcher"));
        let stop = stage.run(&["stop"]);
        assert!(
            stop.status.success(),
            "{}",
            String::from_utf8_lossy(&stop.stderr)
        );
        assert!(
            !stage.path("run/caraway").exists(),
            "gone when stop returns"
        );
        Desktop::assert_no_x_files_of_ours(&files, launcher);
        assert_eq!(desktop.wait().0, Some(0));
        stage.assert_nothing_left();
    });
}

#[test]
fn the_command_decides_the_exit_status() {
    as_each_user(|stage| {
        let (status, said) = stage.start(&[], "exit 3").wait();
        assert_eq!(status, Some(1));
        assert!(said.contains("sh ended with exit status 3"), "{said}");
        assert_eq!(stage.start(&[], "exit 0").wait().0, Some(0));
        stage.assert_nothing_left();
    });
}

#[test]
fn the_sound_daemon_is_found_on_the_one_bus_of_the_desktop() {
    as_each_user(|stage| {
        let ask = "dbus-send --session --print-reply --dest=org.freedesktop.DBus / \
                   org.freedesktop.DBus.NameHasOwner string:org.pulseaudio.Server";
        let found =
            format!("until {ask} | grep -q true; do sleep 0.05; done; touch up; sleep 1000");
        let desktop = stage.start(&[], &found);
        wait_until("the sound daemon is found", || {
            stage.path("home/up").exists()
        });
        let processes = stage.processes();
        let programs = processes
            .iter()
            .filter_map(|(_, words)| words.split(' ').next());
        let buses = programs.filter(|program| program.ends_with("dbus-daemon"));
        assert_eq!(buses.count(), 1, "{processes:?}");
        desktop.signal("launcher", Signal::SIGTERM);
        assert_eq!(desktop.wait(), (Some(0), String::new()));
        stage.assert_nothing_left();
    });
}

#[test]
fn signals_take_everything_along_what_detached_itself_or_is_deaf_too() {
    as_each_user(|stage| {
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            let command = "trap '' TERM HUP; setsid sh -c \"trap '' TERM; sleep 1000\" & touch up; \
                           while :; do sleep 1000; done";
            let desktop = stage.start(&[], command);
            wait_until("the session runs", || stage.path("home/up").exists());
            fs::remove_file(stage.path("home/up")).unwrap();
            desktop.signal("launcher", signal);
            let (status, said) = desktop.wait();
            assert_eq!((status, said.as_str()), (Some(0), ""));
            assert!(
                stage.processes().is_empty(),
                "gone before the launcher: {:?}",
                stage.processes()
            );
            stage.assert_nothing_left();
        }
    });
}

#[test]
fn two_desktops_live_side_by_side() {
    as_each_user(|stage| {
        let first = stage.start(&[], "exec sleep 1000");
        let second = stage.start(&[], "exec sleep 1000");
        assert_eq!((first.name(), second.name()), ("desktop", "desktop-2"));
        assert_ne!(first.ready["display"], second.ready["display"]);
        assert_ne!(first.ready["password"], second.ready["password"]);
        let unclear = stage.run(&["stop"]);
        assert_eq!(unclear.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&unclear.stderr).contains("desktop, desktop-2"));
        assert!(stage.run(&["stop", "desktop"]).status.success());
        assert_eq!(first.wait().0, Some(0));
        assert_eq!(stage.json(&["list", "--json"])[0]["name"], "desktop-2");
        second.signal("launcher", Signal::SIGTERM);
        assert_eq!(second.wait().0, Some(0));
        stage.assert_nothing_left();
    });
}

#[test]
fn secrets_go_to_the_server_and_to_nobody_else() {
    as_each_user(|stage| {
        let desktop = stage.start(&[], "env >new; mv new environment; exec sleep 1000");
        let password = desktop.ready["password"].as_str().unwrap();
        assert_eq!(
            fs::read_to_string(stage.path("password")).unwrap(),
            password
        );
        wait_until("the session runs", || {
            stage.path("home/environment").exists()
        });
        for (pid, words) in stage.processes() {
            assert!(!words.contains(password), "{words}");
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            assert!(
                !String::from_utf8_lossy(&environment).contains(password),
                "{words}"
            );
        }
        let environment = fs::read_to_string(stage.path("home/environment")).unwrap();
        let display = desktop.ready["display"].as_str().unwrap();
        for pair in [format!("DISPLAY={display}"), "XDG_SESSION_TYPE=x11".into()] {
            assert!(
                environment.lines().any(|line| line == pair),
                "{pair} in {environment}"
            );
        }
        for file in fs::read_dir(stage.path("run/caraway/desktop"))
            .unwrap()
            .flatten()
        {
            let text = fs::read(file.path()).unwrap_or_default();
            assert!(
                !String::from_utf8_lossy(&text).contains(password),
                "{:?}",
                file.path()
            );
        }
        desktop.signal("launcher", Signal::SIGTERM);
        desktop.wait();
    });
}

#[test]
fn a_unix_socket_alone_is_all_that_is_opened() {
    as_each_user(|stage| {
        let path = stage.path("home/spice");
        let mut command = stage.command(&["start", "--auth", "none", "--unix"]);
        command
            .arg(&path)
            .arg("--xorg")
            .arg(stage.path("Xorg"))
            .args(["--", "sleep", "1000"]);
        command.stdout(std::process::Stdio::piped());
        let mut child = spawn(&mut command);
        let uri = format!("spice+unix://{}\n", path.display());
        let mut line = String::new();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        assert_eq!(line, uri);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let passed = fs::read_to_string(stage.path("listeners.desktop")).unwrap();
        assert_eq!(
            passed
                .lines()
                .filter(|line| line.starts_with("socket:"))
                .count(),
            1
        );
        assert!(!stage.path("password").exists());
        // Killed, it leaves the socket, too, to the next command.
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until("the socket is gone", || !path.exists());
        stage.assert_nothing_left();
    });
}

#[test]
fn no_more_desktops_run_than_may() {
    as_each_user(|stage| {
        let first = stage.start(&["--name", "first"], "exec sleep 1000");
        let xorg = stage.path("Xorg");
        let more = [
            "start",
            "--desktops-max",
            "1",
            "--xorg",
            xorg.to_str().unwrap(),
        ];
        let refused = stage.run(&more);
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("1 desktops of yours run already"), "{said}");
        let list = stage.json(&["list", "--json"]);
        assert_eq!(list.as_array().unwrap().len(), 1, "nothing is left of it");
        assert!(stage.run(&["stop"]).status.success());
        first.wait();
        stage.assert_nothing_left();
    });
}

#[test]
fn a_message_is_passed_on_and_nonsense_is_not() {
    as_each_user(|stage| {
        let desktop = stage.start(&["--name", "work"], "exec sleep 1000");
        let told = stage.run(&["message", "good\u{1b}[2J morning", "work"]);
        assert!(told.status.success(), "{told:?}");
        assert_eq!(stage.run(&["message", " "]).status.code(), Some(1));
        let log = || {
            let log = stage.run(&["logs", "work"]);
            String::from_utf8_lossy(&log.stdout).into_owned()
        };
        wait_until("the log has it", || log().contains("good [2J morning"));
        assert!(stage.run(&["stop"]).status.success());
        desktop.wait();
        stage.assert_nothing_left();
    });
}

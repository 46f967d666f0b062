//! What goes wrong: at the start with one sentence, later without harm where that can be.

use std::fs;
use std::net::TcpListener;

use crate::stage::{Desktop, Stage, as_each_user, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn what_is_missing_or_taken_is_said_in_one_sentence() {
    as_each_user(|stage| {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let said = stage.refused(&["--listen", &address, "--", "true"]);
        assert!(said.contains(&format!("{address} is taken")), "{said}");

        let said = stage.refused(&["--xorg", "/nonexistent", "--", "true"]);
        assert!(said.contains("/nonexistent is no Xorg"), "{said}");

        let said = stage.refused(&["--", "/nonexistent"]);
        assert!(said.contains("there is no program"), "{said}");

        let other_abi = stage.path("Xorg-other-abi");
        let said = stage.refused(&["--xorg", other_abi.to_str().unwrap(), "--", "true"]);
        assert!(said.contains("built for another Xorg"), "{said}");

        fs::write(
            stage.path("server-says"),
            "{\"event\":\"fatal\",\"message\":\"no luck\"}",
        )
        .unwrap();
        let said = stage.refused(&["--", "true"]);
        assert!(
            said.contains("caraway-server could not start: no luck"),
            "{said}"
        );
        fs::write(stage.path("server-says"), "").unwrap();
        let said = stage.refused(&["--", "true"]);
        assert!(said.contains("it ended (exit status 4)"), "{said}");

        fs::remove_file(stage.path("caraway_drv.so")).unwrap();
        let said = stage.refused(&["--", "true"]);
        assert!(said.contains("caraway_drv.so is neither in"), "{said}");
    });
}

#[test]
fn a_taken_display_or_name_is_said_and_does_not_disturb_its_holder() {
    as_each_user(|stage| {
        let holder = stage.start(&[], "exec sleep 1000");
        let number = holder.ready["display"]
            .as_str()
            .unwrap()
            .trim_start_matches(':');
        let xorg = stage.path("Xorg");
        let start = ["start", "--xorg", xorg.to_str().unwrap()];
        for (option, value, sentence) in [
            ("-d", number, format!("display :{number} is taken")),
            (
                "--name",
                "desktop",
                "the desktop 'desktop' runs already".into(),
            ),
        ] {
            let output = stage.run(&[&start[..], &[option, value, "--", "true"]].concat());
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains(&sentence), "{said}");
        }
        assert!(holder.x_files().iter().all(|file| file.exists()));
        holder.signal("launcher", Signal::SIGTERM);
        assert_eq!(holder.wait().0, Some(0));
        stage.assert_nothing_left();
    });
}

#[test]
fn a_runtime_directory_that_is_not_ours_is_refused() {
    as_each_user(|stage| {
        std::os::unix::fs::symlink("/tmp", stage.path("run/caraway")).unwrap();
        let xorg = stage.path("Xorg");
        let output = stage.run(&["start", "--xorg", xorg.to_str().unwrap(), "--", "true"]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("is not a directory that only you can enter"),
            "{said}"
        );
        assert!(stage.processes().is_empty());
    });
}

#[test]
fn command_lines_without_sense_have_status_2() {
    let stage = Stage::new(None);
    for words in [
        &[][..],
        &["begin"],
        &["start", "--frobnicate"],
        &["start", "-g", "1x1"],
        &["start", "--listen", "0.0.0.0:0", "--", "true"],
        &[
            "start",
            "--listen",
            "0.0.0.0:0",
            "--insecure",
            "--auth",
            "none",
            "--",
            "true",
        ],
        &["stop", "../x"],
    ] {
        let output = stage.run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(!output.stderr.is_empty());
    }
    for words in [&["stop"][..], &["status"], &["view"], &["stop", "none"]] {
        assert_eq!(stage.run(words).status.code(), Some(1), "{words:?}");
    }
    assert_eq!(stage.run(&["list"]).status.code(), Some(0));
    stage.assert_nothing_left();
}

#[test]
fn a_server_that_crashes_comes_back_with_the_same_sockets_password_and_uuid() {
    as_each_user(|stage| {
        let desktop = stage.start(&[], "exec sleep 1000");
        let password = fs::read_to_string(stage.path("password")).unwrap();
        let listeners = fs::read_to_string(stage.path("listeners.desktop")).unwrap();
        let identity = fs::read_to_string(stage.path("identity.desktop")).unwrap();
        let words: Vec<&str> = identity.split_whitespace().collect();
        assert_eq!(words[0].len(), 32, "a UUID: {identity}");
        assert_eq!(words[1], desktop.ready["display"]);
        let server = || stage.json(&["status", "--json"])["pids"]["server"].as_i64();
        let mut before = server();
        for _ in 0..2 {
            for file in ["password", "listeners.desktop", "identity.desktop"] {
                fs::remove_file(stage.path(file)).unwrap();
            }
            let pid = i32::try_from(before.unwrap()).unwrap();
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            wait_until("a new server has its sockets", || {
                server().is_some_and(|now| Some(now) != before)
                    && fs::read_to_string(stage.path("listeners.desktop"))
                        .ok()
                        .as_ref()
                        == Some(&listeners)
            });
            assert_eq!(
                fs::read_to_string(stage.path("password")).unwrap(),
                password
            );
            let again = fs::read_to_string(stage.path("identity.desktop")).unwrap();
            assert_eq!(again, identity);
            before = server();
        }
        let status = stage.json(&["status", "--json"]);
        assert_eq!(status["pids"]["xorg"], desktop.ready["pids"]["xorg"]);
        assert_eq!(status["clients"].as_array().unwrap().len(), 1);
        desktop.signal("launcher", Signal::SIGTERM);
        let (code, said) = desktop.wait();
        assert_eq!(code, Some(0));
        let told: Vec<&str> = said.lines().collect();
        let sentence =
            "caraway: caraway-server ended (signal 9); the desktop lives, starting it again in";
        assert_eq!(
            told,
            [format!("{sentence} 0.1 s"), format!("{sentence} 0.2 s")]
        );
        stage.assert_nothing_left();
    });
}

#[test]
fn a_dead_xorg_ends_the_desktop_and_leaves_no_lock() {
    as_each_user(|stage| {
        let desktop = stage.start(&[], "exec sleep 1000");
        let (files, launcher) = (desktop.x_files(), desktop.pid("launcher"));
        desktop.signal("xorg", Signal::SIGKILL);
        let (status, said) = desktop.wait();
        assert_eq!(status, Some(1));
        assert!(
            said.contains("Xorg ended (signal 9); the desktop is gone"),
            "{said}"
        );
        Desktop::assert_no_x_files_of_ours(&files, launcher);
        stage.assert_nothing_left();
    });
}

#[test]
fn a_killed_launcher_leaves_nothing() {
    as_each_user(|stage| {
        let command = "setsid sh -c \"trap '' HUP; sleep 1000\" & touch up; exec sleep 1000";
        let mut desktop = stage.start(&[], command);
        wait_until("the session runs", || stage.path("home/up").exists());
        let (files, launcher) = (desktop.x_files(), desktop.pid("launcher"));
        desktop.signal("launcher", Signal::SIGKILL);
        desktop.child.wait().unwrap();
        // No further command is needed for this.
        stage.assert_nothing_left();
        Desktop::assert_no_x_files_of_ours(&files, launcher);
        assert_eq!(stage.json(&["list", "--json"]).as_array().unwrap().len(), 0);
    });
}

#[test]
fn what_remains_when_all_are_killed_goes_with_the_next_command() {
    as_each_user(|stage| {
        let mut desktop = stage.start(&[], "touch up; exec sleep 1000");
        wait_until("the session runs", || stage.path("home/up").exists());
        let (files, launcher) = (desktop.x_files(), desktop.pid("launcher"));
        // Stopped first, so that none can tidy up after another; until none is found that was not stopped before,
        // for one that was starting another shows itself late.
        desktop.signal("launcher", Signal::SIGSTOP);
        let mut all = Vec::new();
        wait_until("all are stopped", || {
            let found = stage.processes();
            let new: Vec<i32> = found.iter().map(|(pid, _)| *pid).collect();
            let known = all.len();
            for pid in new {
                if !all.contains(&pid) {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
                    all.push(pid);
                }
            }
            all.len() == known
        });
        for pid in &all {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        desktop.signal("launcher", Signal::SIGKILL);
        desktop.child.wait().unwrap();
        wait_until("all are dead", || stage.processes().is_empty());
        assert!(stage.path("run/caraway/desktop/xauth").exists());
        assert_eq!(stage.json(&["list", "--json"]).as_array().unwrap().len(), 0);
        Desktop::assert_no_x_files_of_ours(&files, launcher);
        stage.assert_nothing_left();
    });
}

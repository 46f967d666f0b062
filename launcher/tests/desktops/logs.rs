//! `caraway logs`: what the parts say is kept, and still said where it was said before.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::stage::{as_each_user, spawn, wait_until};

#[test]
fn the_words_of_all_parts_are_kept_and_still_said() {
    as_each_user(|stage| {
        fs::write(stage.path("server-talks"), "the stand-in speaks\n").unwrap();
        let shell = "echo out of the session; echo complaint >&2; touch said; exec sleep 1000";
        let desktop = stage.start(&["--name", "work"], shell);
        wait_until("the session spoke", || stage.path("home/said").exists());
        let logs = || String::from_utf8(stage.run(&["logs"]).stdout).unwrap();
        let holds = |line: &str| logs().lines().any(|one| one.ends_with(line));
        wait_until("its words are kept", || {
            holds("Z session: out of the session") && holds("Z session: complaint")
        });
        assert!(holds("Z server: the stand-in speaks"), "{}", logs());
        assert!(logs().contains("Z xorg: ") && logs().contains("dummy_drv.so"));
        let moments = logs();
        assert!(
            moments.lines().map(|line| &line[..24]).is_sorted(),
            "{moments}"
        );

        let mut follow = stage.command(&["logs", "work", "--follow"]);
        let mut follow = spawn(follow.stdout(Stdio::piped()));
        let mut shown = BufReader::new(follow.stdout.take().unwrap()).lines();
        desktop.signal("server", Signal::SIGKILL);
        let told = shown.find(|line| {
            let line = line.as_ref().unwrap();
            line.contains("Z launcher: caraway-server ended (signal 9)")
        });
        assert!(told.is_some());
        assert!(stage.run(&["stop"]).status.success());
        assert!(shown.all(|line| line.is_ok()) && follow.wait().unwrap().success());

        let (status, said) = desktop.wait();
        assert_eq!(status, Some(0));
        // With --json the session's output goes to stderr.
        for words in [
            "out of the session\n",
            "complaint\n",
            "the stand-in speaks\n",
        ] {
            assert!(said.contains(words), "{said}");
        }
        let gone = stage.run(&["logs", "work"]);
        assert_eq!(gone.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&gone.stderr).contains("journalctl"));
        stage.assert_nothing_left();
    });
}

#[test]
fn a_session_that_never_ends_a_line_or_its_words_fills_no_memory() {
    as_each_user(|stage| {
        let flood = "head -c 3000000 /dev/zero | tr '\\0' x; yes | head -c 3000000; touch done; exec sleep 1000";
        let mut desktop = stage.start(&["--name", "work"], flood);
        // Somebody has to take it: the pipe to this test would fill.
        let mut said = desktop.child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        wait_until("all was said", || stage.path("home/done").exists());
        let dir = stage.path("run/caraway/work");
        let bytes = |name: &str| fs::metadata(dir.join(name)).map_or(0, |file| file.len());
        assert!(bytes("session.log") <= 512 * 1024 && bytes("session.log.1") <= 512 * 1024);
        assert!(bytes("session.log.1") > 400 * 1024);
        assert!(stage.run(&["stop"]).status.success());
        assert!(desktop.child.wait().unwrap().success());
        assert!(
            reader.join().unwrap().unwrap() >= 6_000_000,
            "all of it was said on"
        );
        stage.assert_nothing_left();
    });
}

#[test]
fn the_output_of_a_session_that_ends_at_once_is_not_lost() {
    as_each_user(|stage| {
        let mut command = stage.command(&["start", "--xorg"]);
        command.arg(stage.path("Xorg")).args([
            "--",
            "sh",
            "-c",
            "echo last words; echo and these >&2",
        ]);
        let output = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let output = output.wait_with_output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("last words\n"));
        assert!(String::from_utf8_lossy(&output.stderr).contains("and these\n"));
        stage.assert_nothing_left();
    });
}

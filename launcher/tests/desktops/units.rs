//! Desktops that outlive their launcher: one that becomes a newer program, and one that is killed while a service
//! manager, played by the test, keeps its descriptors.

use std::fs;
use std::io::IoSliceMut;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use nix::cmsg_space;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::unistd::{Pid, close};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use serde_json::Value;

use crate::stage::{Stage, as_each_user, spawn, wait_until};

/// Time that a launcher has for its next word.
const PATIENCE: Duration = Duration::from_secs(30);

/// Descriptors that are passed stand from here on.
const FIRST_FD: RawFd = 3;

/// What systemd is to a unit with Type=notify and room for descriptors.
struct Manager {
    socket: UnixDatagram,
    store: Vec<(String, OwnedFd)>,
}

impl Manager {
    fn on(stage: &Stage) -> Self {
        let path = stage.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            store: Vec::new(),
        }
    }

    /// Starts `caraway start --unit` with what is kept, and with `sockets` of a unit of theirs.
    fn start(&self, stage: &Stage, options: &[&str], sockets: Vec<OwnedFd>) -> Child {
        let kept = self.store.iter();
        let kept = kept.map(|(name, fd)| (name.clone(), fd.try_clone().unwrap()));
        let sockets = sockets
            .into_iter()
            .map(|fd| ("caraway.socket".to_owned(), fd));
        let (names, fds): (Vec<String>, Vec<OwnedFd>) = kept.chain(sockets).unzip();
        let mut command = stage.program("/bin/sh".as_ref());
        command
            .args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\""])
            .arg(stage.path("caraway"));
        command.args(["start", "--unit", "--name", "office", "--xorg"]);
        command.arg(stage.path("Xorg")).args(options);
        command.args(["--", "sh", "-c", "echo $$ >session; exec sleep 1000"]);
        command
            .env("NOTIFY_SOCKET", stage.path("notify"))
            .env("LISTEN_FDS", fds.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .stdout(Stdio::null());
        let mappings = (FIRST_FD..).zip(fds);
        let mappings = mappings.map(|(child_fd, parent_fd)| FdMapping {
            parent_fd,
            child_fd,
        });
        command.fd_mappings(mappings.collect()).unwrap();
        spawn(&mut command)
    }

    /// Does what it is told until it hears `word`.
    fn hear(&mut self, word: &str) {
        while !self.hear_one().lines().any(|line| line == word) {}
    }

    fn hear_one(&mut self) -> String {
        let (mut bytes, mut space) = ([0; 4096], cmsg_space!([RawFd; 1]));
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let socket = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(socket, &mut buffers, Some(&mut space), flags).unwrap();
        let rights = message.cmsgs().unwrap().find_map(|message| match message {
            ControlMessageOwned::ScmRights(fds) => fds.first().map(|fd| owned(*fd)),
            _ => None,
        });
        let count = message.bytes;
        let text = String::from_utf8(bytes[..count].to_vec()).unwrap();
        let name = text.lines().find_map(|line| line.strip_prefix("FDNAME="));
        match (name, rights) {
            (Some(name), Some(fd)) => self.store.push((name.into(), fd)),
            (Some(name), None) => self.store.retain(|(kept, _)| kept != name),
            _ => {}
        }
        text
    }
}

fn owned(number: RawFd) -> OwnedFd {
    let ourselves = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let fd = pidfd_getfd(ourselves, number, PidfdGetfdFlags::empty()).unwrap();
    close(number).unwrap();
    fd
}

fn pid(desktop: &Value, part: &str) -> Option<i64> {
    desktop["pids"][part].as_i64()
}

#[test]
fn a_desktop_outlives_its_launcher_where_a_manager_keeps_its_descriptors() {
    as_each_user(|stage| {
        let mut manager = Manager::on(stage);
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("spice://{}", tcp.local_addr().unwrap());
        let unix = stage.path("home/spice");
        let options = ["--unix", unix.to_str().unwrap()];
        let mut first = manager.start(stage, &options, vec![tcp.into()]);
        manager.hear("READY=1");
        let before = stage.json(&["status", "--json"]);
        let uris = [uri, format!("spice+unix://{}", unix.display())];
        assert_eq!(before["uris"], serde_json::json!(uris));
        let password = stage.run(&["password"]).stdout;
        wait_until("the session runs", || stage.path("home/session").exists());
        let session = fs::read(stage.path("home/session")).unwrap();

        for _ in 0..2 {
            first.kill().unwrap();
            first.wait().unwrap();
            first = manager.start(stage, &["--unix", "/now/configured/otherwise"], vec![]);
            manager.hear("READY=1");
            let after = stage.json(&["status", "--json"]);
            assert_eq!(pid(&after, "launcher"), Some(i64::from(first.id())));
            for part in ["xorg", "server"] {
                assert_eq!(pid(&after, part), pid(&before, part), "{part}");
            }
            for what in ["uris", "display", "since"] {
                assert_eq!(after[what], before[what], "{what}");
            }
            assert_eq!(after["clients"].as_array().unwrap().len(), 1, "it answers");
            assert_eq!(stage.run(&["password"]).stdout, password);
            assert_eq!(fs::read(stage.path("home/session")).unwrap(), session);
        }

        // What was taken over is watched and kept like what was started.
        let listeners = fs::read_to_string(stage.path("listeners.office")).unwrap();
        let server = pid(&before, "server").unwrap();
        kill(
            Pid::from_raw(i32::try_from(server).unwrap()),
            Signal::SIGKILL,
        )
        .unwrap();
        wait_until("another server answers", || {
            let now = stage.json(&["status", "--json"]);
            pid(&now, "server").is_some_and(|now| now != server) && !now["clients"].is_null()
        });
        let again = fs::read_to_string(stage.path("listeners.office")).unwrap();
        assert_eq!(again, listeners);

        assert!(stage.run(&["stop"]).status.success());
        assert!(first.wait().unwrap().success());
        manager.socket.set_nonblocking(true).unwrap();
        wait_until("the manager keeps nothing", || {
            manager.store.is_empty() || {
                manager.hear_one();
                false
            }
        });
        assert!(!unix.exists());
        stage.assert_nothing_left();
    });
}

#[test]
fn what_no_launcher_comes_back_to_is_ended_by_the_next_command() {
    as_each_user(|stage| {
        let mut manager = Manager::on(stage);
        let mut launcher = manager.start(stage, &["--listen", "127.0.0.1:0"], vec![]);
        manager.hear("READY=1");
        launcher.kill().unwrap();
        launcher.wait().unwrap();
        assert_eq!(
            stage.run(&["status"]).status.code(),
            Some(1),
            "nobody answers"
        );
        assert!(
            stage.path("run/caraway/office/xauth").exists(),
            "it is kept"
        );
        drop(manager);
        assert_eq!(stage.json(&["list", "--json"]).as_array().unwrap().len(), 0);
        stage.assert_nothing_left();
    });
}

#[test]
fn a_launcher_becomes_the_program_that_has_taken_its_place() {
    as_each_user(|stage| {
        let desktop = stage.start(&[], "exec sleep 1000");
        let password = fs::read_to_string(stage.path("password")).unwrap();
        let listeners = fs::read_to_string(stage.path("listeners.desktop")).unwrap();
        // As packages do it: the file is another one, and the old one is gone.
        let program = stage.path("caraway");
        stage.copy(&program, &stage.path("new"));
        let old = fs::metadata(&program).unwrap().ino();
        fs::rename(stage.path("new"), &program).unwrap();
        assert_ne!(fs::metadata(&program).unwrap().ino(), old);
        assert_eq!(desktop.ready["outdated"], Value::Null, "not told at first");
        assert!(is_outdated(stage));

        let upgraded = stage.run(&["upgrade"]);
        let said = String::from_utf8_lossy(&upgraded.stderr).into_owned();
        assert!(upgraded.status.success(), "{said}");
        let after = stage.json(&["status", "--json"]);
        assert!(!is_outdated(stage));
        assert_eq!(pid(&after, "launcher"), pid(&desktop.ready, "launcher"));
        assert_eq!(pid(&after, "xorg"), pid(&desktop.ready, "xorg"));
        assert_ne!(pid(&after, "server"), pid(&desktop.ready, "server"));
        let launcher = format!("/proc/{}/exe", desktop.pid("launcher"));
        assert_eq!(fs::read_link(launcher).unwrap(), program, "the new one");
        assert_eq!(after["uris"], desktop.ready["uris"]);
        assert_eq!(
            fs::read_to_string(stage.path("password")).unwrap(),
            password
        );
        let again = fs::read_to_string(stage.path("listeners.desktop")).unwrap();
        assert_eq!(again, listeners);

        // A program that is missing changes nothing.
        let other = stage.path("other");
        stage.copy(&program, &other);
        fs::remove_file(&program).unwrap();
        let mut upgrade = stage.program(&other);
        upgrade.arg("upgrade").stderr(Stdio::piped());
        let refused = spawn(&mut upgrade).wait_with_output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains("there is no program"), "{said}");
        assert_eq!(refused.status.code(), Some(1));
        fs::rename(other, &program).unwrap();
        let now = stage.json(&["status", "--json"]);
        assert_eq!(pid(&now, "server"), pid(&after, "server"));

        desktop.signal("launcher", Signal::SIGTERM);
        assert_eq!(desktop.wait().0, Some(0));
        stage.assert_nothing_left();
    });
}

/// Whether `list` and `status` say that the only desktop runs an older build than what is there now.
fn is_outdated(stage: &Stage) -> bool {
    let listed = stage.json(&["list", "--json"])[0]["outdated"].as_bool();
    assert_eq!(
        stage.json(&["status", "--json"])["outdated"].as_bool(),
        listed
    );
    let text = stage.run(&["list"]).stdout;
    let says = String::from_utf8_lossy(&text).contains("older build (caraway upgrade)");
    assert_eq!(Some(says), listed);
    says
}

#[test]
fn a_desktop_whose_server_was_replaced_runs_an_older_build_until_its_next_server() {
    as_each_user(|stage| {
        let desktop = stage.start(&[], "exec sleep 1000");
        assert!(!is_outdated(stage));
        let server = stage.path("caraway-server");
        stage.copy(&server, &stage.path("new"));
        fs::rename(stage.path("new"), &server).unwrap();
        assert!(is_outdated(stage));
        let before = pid(&stage.json(&["status", "--json"]), "server");
        let number = i32::try_from(before.unwrap()).unwrap();
        kill(Pid::from_raw(number), Signal::SIGKILL).unwrap();
        wait_until("the next server", || {
            let now = pid(&stage.json(&["status", "--json"]), "server");
            now.is_some() && now != before
        });
        assert!(!is_outdated(stage));
        desktop.signal("launcher", Signal::SIGTERM);
        assert_eq!(desktop.wait().0, Some(0));
        stage.assert_nothing_left();
    });
}

#[test]
fn a_limit_ends_the_desktop_and_says_so() {
    as_each_user(|stage| {
        let (status, said) = stage.start(&["--age-limit", "1"], "exec sleep 1000").wait();
        assert_eq!(status, Some(0));
        assert!(said.contains("--age-limit 1s"), "{said}");
        stage.assert_nothing_left();
    });
}

#[test]
#[allow(clippy::print_stderr, reason = "who skips a test says so")]
fn without_a_systemd_of_the_user_enable_says_what_to_do() {
    as_each_user(|stage| {
        let owner = fs::metadata(stage.path("home")).unwrap().uid();
        let manager = format!("/run/user/{owner}/systemd/private");
        if std::path::Path::new(&manager).exists() {
            eprintln!("SKIPPED: enable without systemd: there is one of this user");
            return;
        }
        for words in [&["enable"][..], &["disable", "office"]] {
            let output = stage.run(words);
            assert_eq!(output.status.code(), Some(1));
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("caraway start --detach"), "{said}");
        }
        assert_eq!(fs::read_dir(stage.path("home")).unwrap().count(), 0);
    });
}

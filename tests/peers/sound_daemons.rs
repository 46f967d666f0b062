//! Desktops in the user's own sound daemon: PulseAudio, or PipeWire in its place.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::alone;
use crate::desktop::Desktop;
use crate::listener::Listener;
use crate::process::{Running, signal, wait_until};
use crate::sound::{daemon_of, desktop_of};
use crate::tone::{self, Heard, TONE_HZ};

const START_TIMEOUT: Duration = Duration::from_secs(10);
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A user's daemon, with the directory that XDG_RUNTIME_DIR names.
pub(crate) struct Users {
    folder: tempfile::TempDir,
    processes: Vec<Running>,
}

impl Users {
    pub(crate) fn pulseaudio() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("pulse/native");
        std::fs::create_dir(socket.parent().unwrap()).unwrap();
        let listen = format!(
            "module-native-protocol-unix auth-anonymous=1 socket={}",
            socket.display()
        );
        let mut users = Self {
            folder,
            processes: Vec::new(),
        };
        users.run(&[
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--use-pid-file=no",
            "--exit-idle-time=-1",
            "--disable-shm=yes",
            "--log-level=error",
            "-L",
            // Of what it rewinds, a recorder on its monitor misses some tenths of a second.
            "module-null-sink sink_name=users norewinds=1",
            "-L",
            "module-suspend-on-idle timeout=1",
            "-L",
            &listen,
        ]);
        users.wait();
        users
    }

    pub(crate) fn pipewire() -> Self {
        let mut users = Self {
            folder: tempfile::tempdir().unwrap(),
            processes: Vec::new(),
        };
        users.run(&[
            "dbus-run-session",
            "--",
            "sh",
            "-c",
            "pipewire & sleep 0.5; wireplumber & pipewire-pulse & wait",
        ]);
        users.wait();
        users
    }

    fn run(&mut self, words: &[&str]) {
        let folder = self.folder.path();
        let program = Path::new("/usr/bin").join(words[0]);
        self.processes
            .push(Running::start(&program, Stdio::null(), |command| {
                command
                    .args(&words[1..])
                    .env("XDG_RUNTIME_DIR", folder)
                    .env("HOME", folder)
                    .env_remove("PULSE_SERVER");
            }));
    }

    fn wait(&self) {
        let up = wait_until(START_TIMEOUT, || self.modules().is_some());
        assert!(up, "no sound daemon: run `make test-packages`");
    }

    /// The modules of it that are of desktops of ours; nothing where it does not answer.
    fn modules(&self) -> Option<usize> {
        let mut command = Command::new("pactl");
        command.env("PULSE_SERVER", self.server());
        let listed = command.args(["list", "short", "modules"]).output().unwrap();
        let lines = String::from_utf8_lossy(&listed.stdout);
        let ours = lines.lines().filter(|line| line.contains("caraway-"));
        listed.status.success().then(|| ours.count())
    }

    /// What leads programs to it.
    pub(crate) fn server(&self) -> String {
        format!("unix:{}", self.folder.path().join("pulse/native").display())
    }

    /// For programs that speak PipeWire's own protocol.
    pub(crate) fn runtime_dir(&self) -> &Path {
        self.folder.path()
    }

    /// Daemons take a moment to forget what is unloaded.
    fn expect_nothing_left(&self) {
        let released = wait_until(START_TIMEOUT, || self.modules() == Some(0));
        assert!(
            released,
            "{:?} modules of desktops that have ended",
            self.modules()
        );
    }

    pub(crate) fn desktop(&self, name: &str) -> Desktop {
        self.desktop_of(name, "640x480")
    }

    /// The same of another size.
    pub(crate) fn desktop_of(&self, name: &str, geometry: &str) -> Desktop {
        let arguments = ["--auth", "none", "-g", geometry, "--name", name];
        Desktop::caraway_with(&arguments, |command| {
            command
                .env("XDG_RUNTIME_DIR", self.folder.path())
                .env_remove("PULSE_SERVER")
                .env_remove("PULSE_RUNTIME_PATH");
        })
    }
}

/// Two desktops play different tones at the same time; each is heard alone.
fn two_desktops_do_not_hear_each_other(users: &Users) {
    let desktops = [users.desktop("one"), users.desktop("two")];
    for heard in play_on_both(&desktops) {
        heard.expect(4.0, "one of two");
    }
}

fn play_on_both(desktops: &[Desktop; 2]) -> [Heard; 2] {
    let mut listeners = desktops.each_ref().map(Listener::connect);
    let folder = tempfile::tempdir().unwrap();
    let frequencies = [TONE_HZ, 1.5 * TONE_HZ];
    let mut players = Vec::new();
    for (desktop, frequency) in desktops.iter().zip(frequencies) {
        let file = folder.path().join(format!("{frequency}.wav"));
        tone::write(&file, frequency, 4.0);
        let program = Path::new("/usr/bin/paplay");
        players.push(Running::start(program, Stdio::inherit(), |command| {
            desktop.client(command.arg(&file));
        }));
    }
    for listener in &mut listeners {
        assert!(listener.wait_for("stop", 2 * STOP_TIMEOUT).is_some());
    }
    [0, 1].map(|at| Heard::of(&listeners[at].finish(), frequencies[at]))
}

#[test]
fn desktops_share_the_users_pulseaudio_and_leave_nothing_in_it() {
    let _alone = alone();
    let users = Users::pulseaudio();
    two_desktops_do_not_hear_each_other(&users);
    users.expect_nothing_left();
    let desktop = users.desktop("killed");
    assert_eq!(users.modules(), Some(4));
    signal(desktop.launcher_pid(), Signal::SIGKILL);
    users.expect_nothing_left();
}

#[test]
fn desktops_share_the_users_pipewire_and_leave_nothing_in_it() {
    let _alone = alone();
    let users = Users::pipewire();
    two_desktops_do_not_hear_each_other(&users);
    users.expect_nothing_left();
}

#[test]
fn a_tone_stays_whole_when_server_or_daemon_are_held_up() {
    const HELD_UP: Duration = Duration::from_millis(400);
    let _alone = alone();
    let desktop = desktop_of("640x480");
    let mut listener = Listener::connect(&desktop);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tone.wav");
    tone::write(&file, TONE_HZ, 4.0);
    let program = Path::new("/usr/bin/paplay");
    let _player = Running::start(program, Stdio::inherit(), |command| {
        desktop.client(command.arg(&file));
    });
    assert!(listener.wait_for("start", STOP_TIMEOUT).is_some());
    for held_up in [desktop.server_pid(), daemon_of(&desktop)] {
        std::thread::sleep(2 * HELD_UP);
        signal(held_up.unwrap(), Signal::SIGSTOP);
        std::thread::sleep(HELD_UP);
        signal(held_up.unwrap(), Signal::SIGCONT);
    }
    assert!(listener.wait_for("stop", 2 * STOP_TIMEOUT).is_some());
    assert_eq!(listener.count("start"), 1);
    Heard::of(&listener.finish(), TONE_HZ).expect(4.0, "held up");
}

#[test]
fn programs_of_pipewires_own_protocol_are_led_to_their_desktop() {
    let _alone = alone();
    let users = Users::pipewire();
    let desktop = users.desktop("one");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tone.wav");
    tone::write(&file, TONE_HZ, 3.0);
    let run = |program: &str, file: &Path| {
        let program = Path::new("/usr/bin").join(program);
        Running::start(&program, Stdio::inherit(), |command| {
            let command = desktop.client(command.arg(file));
            command.env("XDG_RUNTIME_DIR", users.folder.path());
        })
    };
    let mut speaker = Listener::speaking(&desktop, tone::PEAK);
    let _player = run("pw-play", &file);
    assert!(speaker.wait_for("stop", 2 * STOP_TIMEOUT).is_some());
    let mut recorder = run("pw-record", &folder.path().join("recorded.wav"));
    let asked = speaker.wait_for("record-start", STOP_TIMEOUT);
    assert!(asked.is_some(), "it records something else");
    recorder.stop(STOP_TIMEOUT);
    Heard::of(&speaker.finish(), TONE_HZ).expect(3.0, "pw-play");
}

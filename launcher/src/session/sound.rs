//! The desktop's own sound daemon, where the user runs none: started before the programs, and again when it ends.
//!
//! It is a child of the session's holder, like the bus, so that it outlives servers and ends with the desktop however
//! that comes.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::time::{Instant, sleep, sleep_until};

use crate::process::bound;
use crate::process::reaper::Ended;
use crate::sound::{self, SCRIPT};
use crate::supervise::Backoff;
use crate::terminal;
use crate::xorg::pid_of;

/// Time in which programs wait for it at the start (it takes a tenth); they do without sound then.
const START_DEADLINE: Duration = Duration::from_secs(2);

/// What keeps libdbus from starting a bus of its own, as it does for a program with a DISPLAY and no address.
const NO_BUS: &str = "disabled:";

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The daemon of one session.
#[derive(Debug)]
pub(super) struct SoundDaemon {
    program: PathBuf,
    dir: PathBuf,
    /// Value of DBUS_SESSION_BUS_ADDRESS.
    bus_address: String,
    pid: Option<Pid>,
    since: Instant,
    backoff: Backoff,
    restart_at: Option<Instant>,
}

impl SoundDaemon {
    /// Starts `program` for the desktop in `dir` on its bus, and waits until programs can connect to it.
    pub(super) async fn start(program: &Path, dir: &Path, bus_address: Option<&str>) -> Self {
        let mut daemon = Self {
            program: program.into(),
            dir: dir.into(),
            bus_address: bus_address.unwrap_or(NO_BUS).into(),
            pid: None,
            since: Instant::now(),
            backoff: Backoff::default(),
            restart_at: None,
        };
        daemon.spawn();
        if daemon.pid.is_some() {
            made_ready(daemon.socket()).await;
        }
        daemon
    }

    /// Its process, while there is one.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// Its process has ended: another one is started after a while.
    pub(super) fn ended(&mut self, how: Ended) {
        self.pid = None;
        let pause = self.backoff.pause_after(self.since.elapsed());
        self.restart_at = Some(Instant::now() + pause);
        let pause = pause.as_secs_f32();
        terminal::notice(format_args!(
            "the sound daemon ended ({how}); the desktop lives, starting it again in {pause:.1} s"
        ));
    }

    /// Waits until it is to be started again; for ever while it runs.
    pub(super) async fn due(&self) {
        match self.restart_at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Starts it again.
    pub(super) fn restart(&mut self) {
        self.restart_at = None;
        self.spawn();
        tokio::spawn(made_ready(self.socket()));
    }

    fn socket(&self) -> PathBuf {
        sound::Sound::Own(self.program.clone()).socket(&self.dir)
    }

    fn spawn(&mut self) {
        self.since = Instant::now();
        match self.command().spawn() {
            Ok(child) => self.pid = Some(pid_of(&child)),
            Err(error) => self.cannot(&error),
        }
    }

    fn command(&self) -> std::process::Command {
        let mut command = bound::command(&self.program, Signal::SIGTERM);
        command
            .args(["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"])
            // Nothing is left in /dev/shm by one that is killed.
            .args(["--disable-shm=yes", "--realtime=no", "--high-priority=no"])
            .args(["--log-target=stderr", "--log-level=error"])
            .arg("-F")
            .arg(self.dir.join(SCRIPT))
            .env("PULSE_RUNTIME_PATH", &self.dir)
            .env("PULSE_STATE_PATH", &self.dir)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus_address)
            .env_remove("PULSE_SERVER")
            .stdout(Stdio::null());
        command
    }

    fn cannot(&mut self, error: &io::Error) {
        terminal::notice(format_args!(
            "the desktop runs without sound: {}: {error}",
            self.program.display()
        ));
    }
}

/// Waits until programs can connect to the daemon at `socket`, and closes that to others: PulseAudio opens it to all,
/// whatever the umask, and leaves it to the directory who comes near.
async fn made_ready(socket: PathBuf) {
    let deadline = Instant::now() + START_DEADLINE;
    while !sound::answers(&socket) {
        if deadline < Instant::now() {
            return;
        }
        sleep(LOOK_AGAIN).await;
    }
    // Where this fails the directory is still the user's alone.
    let _ = fs::set_permissions(&socket, fs::Permissions::from_mode(0o600));
}

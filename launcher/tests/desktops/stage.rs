//! A stage: a directory with the built `caraway` and stand-ins beside it, a runtime directory and a
//! home of its own, and the means to see what a desktop left behind.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// An ordinary user that every host has: nobody.
const ORDINARY_USER: u32 = 65_534;

/// Held while programs are written and while others are started: a process that is started meanwhile has the file open
/// for writing until it executes its own, and what is open for writing cannot be executed (ETXTBSY).
static WRITES_AND_STARTS: Mutex<()> = Mutex::new(());

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    dir: TempDir,
    user: Option<u32>,
    runtime_dir: PathBuf,
}

/// A desktop that runs on a stage. Killed with all it has should its test fail.
pub(crate) struct Desktop {
    pub(crate) child: Child,
    pub(crate) ready: Value,
}

/// Runs `test` as this user, and as an ordinary one where this is root.
pub(crate) fn as_each_user(test: impl Fn(&Stage)) {
    test(&Stage::new(None));
    if nix::unistd::geteuid().is_root() {
        test(&Stage::new(Some(ORDINARY_USER)));
    }
}

/// Starts a program while no other is being written.
pub(crate) fn spawn(command: &mut Command) -> Child {
    let _starting = WRITES_AND_STARTS
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    command.spawn().unwrap()
}

impl Stage {
    pub(crate) fn new(user: Option<u32>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stage = Self {
            runtime_dir: dir.path().join("run"),
            dir,
            user,
        };
        let writing = WRITES_AND_STARTS
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/desktops/programs");
        fs::copy(env!("CARGO_BIN_EXE_caraway"), stage.path("caraway")).unwrap();
        for program in ["caraway-server", "Xorg", "Xorg-other-abi"] {
            fs::copy(programs.join(program), stage.path(program)).unwrap();
        }
        drop(writing);
        fs::write(stage.path("caraway_drv.so"), "").unwrap();
        fs::write(stage.path("server-says"), "{\"event\":\"ready\"}").unwrap();
        for dir in ["run", "home"] {
            fs::create_dir(stage.path(dir)).unwrap();
            fs::set_permissions(stage.path(dir), fs::Permissions::from_mode(0o700)).unwrap();
            chown(stage.path(dir), user, user).unwrap();
        }
        chown(stage.dir.path(), user, user).unwrap();
        stage
    }

    /// With a runtime directory that is not the stage's own.
    pub(crate) fn in_runtime_dir(mut self, path: &Path) -> Self {
        self.runtime_dir = path.into();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.program(&self.path("caraway"));
        command.args(words);
        command
    }

    /// Any program with this stage's surroundings.
    pub(crate) fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path("home"));
        command
            .env("XDG_RUNTIME_DIR", &self.runtime_dir)
            .env("HOME", self.path("home"));
        command
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// Copies a program while no other is being started.
    pub(crate) fn copy(&self, from: &Path, to: &Path) {
        let _writing = WRITES_AND_STARTS
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        fs::copy(from, to).unwrap();
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        let mut command = self.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        spawn(&mut command).wait_with_output().unwrap()
    }

    /// Runs `caraway start`, which has to fail with status 1; gives what it said.
    pub(crate) fn refused(&self, words: &[&str]) -> String {
        let xorg = self.path("Xorg");
        let xorg = ["start", "--xorg", xorg.to_str().unwrap()];
        let first = if words.contains(&"--xorg") {
            &xorg[..1]
        } else {
            &xorg
        };
        let output = self.run(&[first, words].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(output.stdout.is_empty());
        assert_eq!(said.lines().count(), 1, "one sentence: {said}");
        self.assert_nothing_left();
        said
    }

    /// Starts a desktop and waits until it is ready.
    pub(crate) fn start(&self, options: &[&str], shell: &str) -> Desktop {
        let mut command = self.command(&["start", "--json", "--listen", "127.0.0.1:0", "--xorg"]);
        command
            .arg(self.path("Xorg"))
            .args(options)
            .args(["--", "sh", "-c", shell]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(&mut command);
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        if line.is_empty() {
            let mut said = String::new();
            child.stderr.unwrap().read_to_string(&mut said).unwrap();
            panic!("the desktop did not start: {said}");
        }
        Desktop {
            child,
            ready: serde_json::from_str(&line).unwrap(),
        }
    }

    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let output = self.run(words);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The processes that carry the mark of this stage in their environment.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let mark = format!("XDG_RUNTIME_DIR={}", self.path("run").display());
        let of_stage = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|&byte| byte == 0)
                .any(|pair| pair == mark.as_bytes())
        };
        let shown = |pid: i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, String::from_utf8_lossy(&words).replace('\0', " "))
        };
        all_pids().into_iter().filter(of_stage).map(shown).collect()
    }

    pub(crate) fn assert_nothing_left(&self) {
        wait_until("no process is left", || self.processes().is_empty());
        // D-Bus makes a directory for services beside ours, which is the user's.
        wait_until("no file is left", || !self.path("run/caraway").exists());
    }
}

impl Desktop {
    pub(crate) fn pid(&self, part: &str) -> i32 {
        i32::try_from(self.ready["pids"][part].as_i64().unwrap()).unwrap()
    }

    pub(crate) fn name(&self) -> &str {
        self.ready["name"].as_str().unwrap()
    }

    pub(crate) fn signal(&self, part: &str, signal: Signal) {
        kill(Pid::from_raw(self.pid(part)), signal).unwrap();
    }

    /// Waits for the end; gives the exit status and what was said on stderr.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (self.child.wait().unwrap().code(), said)
    }

    /// Lock and socket of its display.
    pub(crate) fn x_files(&self) -> [PathBuf; 2] {
        let number = self.ready["display"]
            .as_str()
            .unwrap()
            .strip_prefix(':')
            .unwrap();
        [
            format!("/tmp/.X{number}-lock").into(),
            format!("/tmp/.X11-unix/X{number}").into(),
        ]
    }

    /// `launcher` held the lock.
    pub(crate) fn assert_no_x_files_of_ours(files: &[PathBuf; 2], launcher: i32) {
        // Another test's desktop may have taken the free number by now.
        let holder = || {
            fs::read_to_string(&files[0])
                .ok()?
                .trim()
                .parse::<i32>()
                .ok()
        };
        wait_until("the X lock is gone", || holder() != Some(launcher));
        wait_until("the X socket is gone", || {
            !files[1].exists() || files[0].exists()
        });
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        sleep(Duration::from_millis(20));
    }
}

fn all_pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

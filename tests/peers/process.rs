//! Processes that a test starts: their answers come with a deadline, and none outlives its test.
//!
//! Each runs in a process group of its own, which is killed when the handle is dropped; and each is told to end when
//! the test program itself dies, so that an interrupted run leaves nothing behind either.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;

/// Polling interval of everything here that waits for another process's doing.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// A started program with its standard input and the lines of its standard output.
pub(crate) struct Running {
    name: String,
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts `program` with what `set_up` adds. Its standard error goes where `errors_to` says.
    pub(crate) fn start(
        program: &Path,
        errors_to: Stdio,
        set_up: impl FnOnce(&mut Command),
    ) -> Self {
        Self::start_as(None, program, errors_to, set_up)
    }

    /// The same as another user, which only root can ask for.
    pub(crate) fn start_as(
        uid: Option<u32>,
        program: &Path,
        errors_to: Stdio,
        set_up: impl FnOnce(&mut Command),
    ) -> Self {
        let name = program.file_name().unwrap().to_string_lossy().into_owned();
        // setpriv runs the program in its own place: the process id stays.
        let mut command = Command::new("setpriv");
        if let Some(uid) = uid {
            command.args([
                "--reuid",
                &uid.to_string(),
                "--regid",
                &uid.to_string(),
                "--clear-groups",
            ]);
        }
        command.args(["--pdeathsig", "TERM"]).arg(program);
        set_up(&mut command);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors_to)
            .process_group(0);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let output = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { name, child, lines }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Writes one line to its standard input.
    pub(crate) fn send(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        writeln!(input, "{line}").unwrap_or_else(|error| panic!("{} is gone: {error}", self.name));
    }

    /// Writes bytes to its standard input; whether it still takes any.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        let input = self.child.stdin.as_mut();
        input.is_some_and(|input| input.write_all(bytes).is_ok())
    }

    /// Ends its standard input.
    pub(crate) fn stop_input(&mut self) {
        self.child.stdin = None;
    }

    /// The next line of its standard output; `None` when there is none in time or it has ended.
    pub(crate) fn try_line(&self, timeout: Duration) -> Option<String> {
        self.lines.recv_timeout(timeout).ok()
    }

    /// The next line as JSON; panics when none comes in time.
    pub(crate) fn json(&self, timeout: Duration) -> Value {
        match self.lines.recv_timeout(timeout) {
            Ok(line) => serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("{} answered {line:?}: {error}", self.name)),
            Err(RecvTimeoutError::Timeout) => {
                panic!("{} did not answer within {timeout:?}", self.name)
            }
            Err(RecvTimeoutError::Disconnected) => panic!("{} ended without an answer", self.name),
        }
    }

    /// Reads lines of JSON until one whose "event" is `name`.
    pub(crate) fn event(&self, name: &str, timeout: Duration) -> Value {
        let deadline = Instant::now() + timeout;
        loop {
            let value = self.json(deadline.saturating_duration_since(Instant::now()));
            if value["event"] == name {
                return value;
            }
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end and returns the exit code, or `None` when it is still there after `timeout`.
    pub(crate) fn exit_code(&mut self, timeout: Duration) -> Option<i32> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status.code().unwrap_or(-1));
            }
            if deadline < Instant::now() {
                return None;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Asks it to end with SIGTERM, and makes it when it does not within `timeout`. Says whether it was asked in vain.
    pub(crate) fn stop(&mut self, timeout: Duration) -> bool {
        signal(self.pid(), Signal::SIGTERM);
        let in_time = self.exit_code(timeout).is_some();
        let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
        let _ = self.child.wait();
        in_time
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Sends a signal; a process that is gone already is no error.
pub(crate) fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Whether a process of that id runs (a zombie does not).
pub(crate) fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .trim_start()
            .starts_with(['Z', 'X'])
    })
}

/// CPU time of all threads so far, to the nanosecond where the kernel counts it (schedstat), else to the tick.
pub(crate) fn cpu_time(pid: i32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap_or_else(|_| panic!("process {pid} is gone"));
    let nanoseconds: u64 = threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum();
    if nanoseconds > 0 {
        return Duration::from_nanos(nanoseconds);
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    // utime and stime are fields 14 and 15; the two before the name's bracket and the name itself are cut off.
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Memory of the process alone, in bytes: what it shares with Xorg by memfd is not its growth.
pub(crate) fn anonymous_bytes(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_else(|_| panic!("process {pid} is gone"));
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// Descriptors that the process has open; none where only root may look (the server hides itself).
pub(crate) fn open_files(pid: i32) -> Option<usize> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    Some(files.count())
}

/// The child of `parent` whose program is called `name`, if there is one now.
pub(crate) fn child_called(parent: i32, name: &str) -> Option<i32> {
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let Some((head, tail)) = stat.rsplit_once(')') else {
            continue;
        };
        // The kernel keeps fifteen characters of a name.
        let short = &name[..name.len().min(15)];
        let mut fields = tail.split_whitespace();
        // Who is dead and not yet waited for is gone at the next look.
        let is_dead = fields
            .next()
            .is_none_or(|state| ["Z", "X"].contains(&state));
        let is_child = fields.next() == Some(parent.to_string().as_str());
        if is_child && !is_dead && head.split_once('(').is_some_and(|(_, comm)| comm == short) {
            return Some(pid);
        }
    }
    None
}

/// Polls until `condition` holds; says whether it did in time.
pub(crate) fn wait_until(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    while !condition() {
        if deadline < Instant::now() {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}

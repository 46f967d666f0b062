//! A D-Bus session of the desktop's own, so that its programs talk to each other and not to those of
//! another desktop of the same user.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::control::lines::LineReader;
use crate::process::{bound, programs};
use crate::xorg::pid_of;

/// Time in which the daemon has to say its address.
const START_DEADLINE: Duration = Duration::from_secs(5);

/// Bytes of the address.
const ADDRESS_BYTES_MAX: usize = 1024;

/// A running bus.
#[derive(Debug)]
pub(super) struct Bus {
    pub(super) pid: Pid,
    /// Value of DBUS_SESSION_BUS_ADDRESS.
    pub(super) address: String,
}

/// The D-Bus daemon of this host.
pub(crate) fn find() -> Option<PathBuf> {
    programs::of_host("dbus-daemon")
}

/// Starts a bus with its socket in `dir`; it ends with this process.
pub(super) async fn start(program: &Path, dir: &Path) -> io::Result<Bus> {
    let mut command = bound::command(program, Signal::SIGTERM);
    command.args([
        "--session",
        "--nofork",
        "--nopidfile",
        "--syslog-only",
        "--print-address",
    ]);
    let socket = dir.join("bus");
    command.arg(format!("--address=unix:path={}", socket.display()));
    command.stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let pid = pid_of(&child);
    let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output))?;
    let mut lines = LineReader::new(output, ADDRESS_BYTES_MAX);
    let line = timeout(START_DEADLINE, lines.next())
        .await??
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let address = String::from_utf8(line).map_err(io::Error::other)?;
    // The daemon opens it to all, whatever the umask; it lets in nobody else, and neither does the directory.
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600))?;
    Ok(Bus { pid, address })
}

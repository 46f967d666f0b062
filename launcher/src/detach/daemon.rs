//! A launcher without systemd: a process in a session of its own that no terminal ends.

use std::ffi::OsString;
use std::io;
use std::process::{Command, Stdio};

use nix::unistd::setsid;

use super::Detached;

/// Starts the launcher. Its notices stay in its log.
pub(super) fn start(words: &[OsString]) -> io::Result<Detached> {
    let child = Command::new(std::env::current_exe()?)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Detached {
        child,
        by_systemd: false,
    })
}

/// Leaves the session of the terminal, in the launcher itself.
pub(super) fn leave_terminal() {
    // Fails only for a process that leads a session already, as systemd's do.
    let _ = setsid();
}

//! caraway-server, as the launcher starts it: all it needs comes through inherited descriptors.

mod link;

use std::env;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use thiserror::Error;

pub(crate) use self::link::{Event, Link, StatusOf};
use crate::listen::Listener;
use crate::name::DesktopName;
use crate::password::Password;
use crate::process::bound;
use crate::xorg::find::is_executable;
use crate::xorg::pid_of;

/// File name of the program.
const PROGRAM: &str = "caraway-server";

/// Where packages put it, unless it is in PATH.
const PACKAGE_DIRS: [&str; 2] = ["/usr/libexec/caraway", "/usr/lib/caraway"];

/// First descriptor that the server inherits, behind stdin, stdout and stderr.
const FIRST_FD: i32 = 3;

/// Why there is no server.
#[derive(Debug, Error)]
pub(crate) enum ServerError {
    #[error(
        "caraway-server is not in {}, nor where packages put it, nor in PATH; build it with \
         `make build`, or install the caraway package",
        .0.display()
    )]
    Missing(PathBuf),
    #[error("cannot start caraway-server: {0}")]
    Start(#[from] io::Error),
    #[error("caraway-server could not start: {0}")]
    Failed(String),
}

/// What every server of a desktop is started with.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The program.
    pub(crate) program: PathBuf,
    /// Where the driver listens.
    pub(crate) driver_socket: PathBuf,
    /// The bound sockets; they stay open here when a server ends.
    pub(crate) listeners: Vec<Listener>,
    /// The ticket; none lets everybody in who reaches a socket.
    pub(crate) password: Option<Password>,
    /// Socket of the sound daemon; none: the desktop is silent.
    pub(crate) sound: Option<PathBuf>,
    /// The desktop's name.
    pub(crate) name: DesktopName,
}

/// Finds the server, `beside` first.
pub(crate) fn find(beside: &Path) -> Result<PathBuf, ServerError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs = vec![beside.to_path_buf()];
    dirs.extend(PACKAGE_DIRS.map(PathBuf::from));
    dirs.extend(env::split_paths(&path));
    dirs.into_iter()
        .map(|dir| dir.join(PROGRAM))
        .find(|program| fs::metadata(program).is_ok_and(|file| is_executable(&file)))
        .ok_or_else(|| ServerError::Missing(beside.into()))
}

/// Starts one and opens the line to it.
pub(crate) fn start(plan: &Plan) -> Result<(Pid, Link), ServerError> {
    let (ours, theirs) = UnixStream::pair()?;
    // A server has nothing of its own to tidy up, so it cannot refuse to go with the launcher.
    let mut command = bound::command(&plan.program, Signal::SIGKILL);
    command.arg("--driver").arg(&plan.driver_socket);
    let mut fds: Vec<OwnedFd> = Vec::new();
    let mut inherit = |fd: OwnedFd| {
        fds.push(fd);
        (FIRST_FD - 1 + i32::try_from(fds.len()).unwrap_or(i32::MAX)).to_string()
    };
    for listener in &plan.listeners {
        command
            .arg("--listen-fd")
            .arg(inherit(listener.duplicate()?));
    }
    match &plan.password {
        Some(password) => {
            command
                .args(["--auth", "ticket", "--password-fd"])
                .arg(inherit(password.to_pipe()?));
        }
        None => {
            command.args(["--auth", "none"]);
        }
    }
    command.arg("--control-fd").arg(inherit(theirs.into()));
    if let Some(sound) = &plan.sound {
        command.arg("--sound").arg(sound);
    }
    command.arg("--name").arg(plan.name.as_str());
    let mappings = (FIRST_FD..)
        .zip(fds)
        .map(|(child_fd, parent_fd)| FdMapping {
            parent_fd,
            child_fd,
        });
    command
        .fd_mappings(mappings.collect())
        .map_err(io::Error::other)?;
    // Answers of the launcher stay alone on stdout.
    command.stdout(Stdio::from(io::stderr()));
    let child = command.spawn()?;
    drop(command);
    Ok((pid_of(&child), Link::open(ours)?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_server_beside_us_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(PROGRAM);
        fs::write(&program, "").unwrap();
        assert_ne!(
            find(dir.path()).ok(),
            Some(program.clone()),
            "it cannot be run"
        );
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(dir.path()).unwrap(), program);
    }
}

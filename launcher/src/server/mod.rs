//! caraway-server, as the launcher starts it: all it needs comes through inherited descriptors.

mod link;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use thiserror::Error;

pub(crate) use self::link::{Event, Link, StatusOf};
use clap::ValueEnum;

use crate::certificate::Certificate;
use crate::cli::{Clipboard, ClipboardTypes, Dpi, Joining, Resize};
use crate::listen::Listener;
use crate::logs::{Also, Kept, Logs};
use crate::name::DesktopName;
use crate::process::bound::{self, Life};
use crate::process::programs;
use crate::ticket::Ticket;
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
    /// Whether it lives on when the launcher is killed.
    pub(crate) outlives_launcher: bool,
    /// Where the driver listens.
    pub(crate) driver_socket: PathBuf,
    /// The bound sockets; they stay open here when a server ends.
    pub(crate) listeners: Vec<Listener>,
    /// Clients on the unix socket come through a gateway.
    pub(crate) behind_gateway: bool,
    /// The user whom it runs as, if that is known.
    pub(crate) gateway_uid: Option<u32>,
    /// For TLS on the TCP sockets; none if there is no TLS.
    pub(crate) certificate: Option<Certificate>,
    /// The ticket; none where there is SASL, else everybody is let in who reaches a socket.
    pub(crate) ticket: Option<Ticket>,
    /// Socket of the sound daemon; none: the desktop is silent.
    pub(crate) sound: Option<PathBuf>,
    /// Users who may only watch.
    pub(crate) view_only_users: Vec<String>,
    /// Users in place of a ticket.
    pub(crate) sasl: Option<Users>,
    /// The desktop's name.
    pub(crate) name: DesktopName,
    /// The directory for the sockets of clients' shared folders; none if there shall be none.
    pub(crate) folders_dir: Option<PathBuf>,
    /// Whether it follows the client's windows.
    pub(crate) resize: Resize,
    /// Where its dots per inch come from.
    pub(crate) dpi: Dpi,
    /// Where uploads go; none are taken without it.
    pub(crate) uploads: Option<PathBuf>,
    /// Bytes of the largest upload.
    pub(crate) upload_bytes_max: Option<u64>,
    /// The X display, like `:7`.
    pub(crate) display: String,
    /// The file with its cookie.
    pub(crate) cookie: PathBuf,
    /// Identifies the desktop to clients, whichever server they talk to.
    pub(crate) uuid: u128,
    /// Where every server answers for monitoring.
    pub(crate) metrics: Option<UnixListener>,
    /// What a further client may do.
    pub(crate) joining: Joining,
    /// Which way the clipboard passes.
    pub(crate) clipboard: Clipboard,
    /// And at most how many MB at a time.
    pub(crate) clipboard_max: u16,
    /// Of these types only.
    pub(crate) clipboard_types: Vec<ClipboardTypes>,
    /// What keeps its words.
    pub(crate) logs: Arc<Logs>,
}

/// Who may come in by SASL.
#[derive(Debug)]
pub(crate) enum Users {
    /// The desktop's user, by PAM.
    System,
    /// Those of a file.
    File(PathBuf),
    /// Who has a Kerberos ticket and may act as the user; with the key table that was named.
    Kerberos(Option<PathBuf>),
}

/// A new random UUID (version 4).
pub(crate) fn random_uuid() -> io::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let version_and_variant = (0xf << 76) | (0x3 << 62);
    Ok((u128::from_be_bytes(bytes) & !version_and_variant) | (0x4 << 76) | (0x2 << 62))
}

/// Finds the server, `beside` first.
pub(crate) fn find(beside: &Path) -> Result<PathBuf, ServerError> {
    let mut dirs = vec![beside.to_path_buf()];
    dirs.extend(PACKAGE_DIRS.map(PathBuf::from));
    dirs.extend(programs::path_dirs());
    programs::first_in(dirs, PROGRAM).ok_or_else(|| ServerError::Missing(beside.into()))
}

/// Starts one and opens the line to it.
pub(crate) fn start(plan: &Plan) -> Result<(Pid, Link), ServerError> {
    let (ours, theirs) = UnixStream::pair()?;
    // A server has nothing of its own to tidy up, so it cannot refuse to go with the launcher.
    let life = match plan.outlives_launcher {
        true => Life::Kept,
        false => Life::Bound(Signal::SIGKILL),
    };
    let mut command = bound::command(&plan.program, life);
    command.arg("--driver").arg(&plan.driver_socket);
    let mut fds: Vec<OwnedFd> = Vec::new();
    let mut inherit = |fd: OwnedFd| {
        fds.push(fd);
        (FIRST_FD - 1 + i32::try_from(fds.len()).unwrap_or(i32::MAX)).to_string()
    };
    for listener in &plan.listeners {
        let option = match listener.is_tls_only() {
            true => "--tls-listen-fd",
            false => "--listen-fd",
        };
        command.arg(option).arg(inherit(listener.duplicate()?));
    }
    say_gateway(&mut command, plan);
    say_certificate(&mut command, plan.certificate.as_ref());
    match (&plan.ticket, &plan.sasl) {
        (_, Some(users)) => {
            command.args(["--auth", "sasl"]);
            say_users(&mut command, users);
            if !plan.view_only_users.is_empty() {
                let users = plan.view_only_users.join(",");
                command.args(["--view-only-users", &users]);
            }
        }
        (Some(ticket), None) => {
            command
                .args(["--auth", "ticket", "--password-fd"])
                .arg(inherit(ticket.to_pipe()?));
            if let Some(seconds) = ticket.left_s() {
                let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                command.arg("--password-expires-s").arg(seconds.to_string());
            }
            if ticket.is_for_one() {
                command.arg("--password-once");
            }
        }
        (None, None) => {
            command.args(["--auth", "none"]);
        }
    }
    if let Some(socket) = &plan.metrics {
        let socket = socket.try_clone()?;
        command.arg("--metrics-fd").arg(inherit(socket.into()));
    }
    command.arg("--control-fd").arg(inherit(theirs.into()));
    say_features(&mut command, plan);
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
    let output = plan.logs.pipe(Kept::Server, Also::Stderr)?;
    command.stdout(output.try_clone()?).stderr(output);
    let child = command.spawn()?;
    drop(command);
    Ok((pid_of(&child), Link::open(ours)?))
}

/// Goes on with the line to a server that another launcher opened.
pub(crate) fn resume(line: OwnedFd) -> io::Result<Link> {
    Link::open(line.into())
}

fn say_users(command: &mut Command, users: &Users) {
    match users {
        Users::System => {}
        Users::File(file) => {
            command.arg("--sasl-file").arg(file);
        }
        Users::Kerberos(keytab) => {
            command.args(["--sasl-mech", "gssapi"]);
            if let Some(file) = keytab {
                command.arg("--keytab").arg(file);
            }
        }
    }
}

fn say_gateway(command: &mut Command, plan: &Plan) {
    if plan.behind_gateway {
        command.arg("--behind-gateway");
    }
    if let Some(uid) = plan.gateway_uid {
        command.arg("--gateway-uid").arg(uid.to_string());
    }
}

fn say_certificate(command: &mut Command, certificate: Option<&Certificate>) {
    let Some(files) = certificate else {
        return;
    };
    command.arg("--tls-cert").arg(&files.certificate);
    command.arg("--tls-key").arg(&files.key);
    if let Some(authority) = &files.client_authority {
        command.arg("--tls-client-ca").arg(authority);
    }
}

/// What the desktop is called, and what it does for clients beside showing itself.
fn say_features(command: &mut Command, plan: &Plan) {
    if let Some(sound) = &plan.sound {
        command.arg("--sound").arg(sound);
    }
    command.arg("--name").arg(plan.name.as_str());
    command.args(["--resize", plan.resize.word(), "--dpi", plan.dpi.word()]);
    if let Some(folder) = &plan.uploads {
        command.arg("--uploads").arg(folder);
    }
    if let Some(bytes) = plan.upload_bytes_max {
        command.arg("--upload-bytes-max").arg(bytes.to_string());
    }
    command.arg("--uuid").arg(format!("{:032x}", plan.uuid));
    command.arg("--display").arg(&plan.display);
    command.arg("--xauthority").arg(&plan.cookie);
    match &plan.folders_dir {
        Some(dir) => command.arg("--folders-dir").arg(dir),
        None => command.args(["--folders", "off"]),
    };
    if let Some(joining) = plan.joining.to_possible_value() {
        command.args(["--joining", joining.get_name()]);
    }
    let clipboard = plan.clipboard.to_possible_value();
    if let Some(way) = &clipboard {
        command.args(["--clipboard", way.get_name()]);
    }
    command.args(["--clipboard-max", &plan.clipboard_max.to_string()]);
    for types in plan
        .clipboard_types
        .iter()
        .filter_map(ValueEnum::to_possible_value)
    {
        command.args(["--clipboard-types", types.get_name()]);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn uuids_are_random_ones() {
        let uuids: Vec<u128> = (0..64).map(|_| random_uuid().unwrap()).collect();
        for (at, uuid) in uuids.iter().enumerate() {
            let text = format!("{uuid:032x}");
            assert_eq!(&text[12..13], "4");
            assert!("89ab".contains(&text[16..17]), "{text}");
            assert!(!uuids[..at].contains(uuid));
        }
    }

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

//! The broker itself: an accept loop. Who is at the other end the kernel says, and what is said there the process of
//! one login reads.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use caraway_server::gateway::settings::Settings;
use caraway_server::os::seqpacket::SeqPacketListener;
use caraway_server::os::{PeerCredentials, SeqPacket, Watched, notify};
use nix::sys::stat::{Mode, umask};
use nix::unistd::User;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::{notice, places};

/// Processes of logins at a time: those that ask PAM, and those that stay with a desktop.
const LOGINS_MAX: usize = 1024;

/// Pause after a failed accept, so that a full descriptor table costs no CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// This program, also when its file has been replaced since.
pub(super) const OURSELVES: &str = "/proc/self/exe";

/// Why there is no broker; the administrator's fault.
#[derive(Debug, Error)]
pub(super) enum DaemonError {
    #[error(
        "there is no account {0}, which the gateway runs as; install the package, or: systemd-sysusers"
    )]
    NoGatewayUser(String),
    #[error("cannot listen on {path}: {source}")]
    Listen { path: String, source: io::Error },
    #[error("cannot make {}: {source}", places::USERS)]
    Places { source: io::Error },
    #[error("starting: {0}")]
    Start(#[from] io::Error),
}

/// Serves the gateway until it is told to end.
pub(super) fn run(settings: &Settings, config: &Path) -> Result<(), DaemonError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(settings, config))
}

async fn serve(settings: &Settings, config: &Path) -> Result<(), DaemonError> {
    let name = &settings.gateway_user;
    let gateway = User::from_name(name).ok().flatten();
    let gateway = gateway.ok_or_else(|| DaemonError::NoGatewayUser(name.clone()))?;
    places::prepare().map_err(|source| DaemonError::Places { source })?;
    let path = &settings.broker_socket;
    let failed = |source| DaemonError::Listen {
        path: path.display().to_string(),
        source,
    };
    let listener = listen(path, &gateway).map_err(failed)?;
    let listener = Watched::new(listener)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    notify::ready()?;
    let seats = Arc::new(Semaphore::new(LOGINS_MAX));
    loop {
        let seat = tokio::select! {
            seat = Arc::clone(&seats).acquire_owned() => seat.map_err(io::Error::other)?,
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        };
        let line = tokio::select! {
            line = accept(&listener) => line,
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        };
        let started = line.and_then(|line| {
            let peer = PeerCredentials::of(&line)?;
            if peer.uid != gateway.uid.as_raw() {
                return Err(io::Error::other(format!(
                    "user {} is not the gateway",
                    peer.uid
                )));
            }
            start_login(&line, config)
        });
        match started {
            Ok(mut login) => {
                tokio::spawn(async move {
                    let _ = login.wait().await;
                    drop(seat);
                });
            }
            Err(error) => {
                notice(&format!("cannot serve a login: {error}"));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn listen(path: &Path, gateway: &User) -> io::Result<SeqPacketListener> {
    // The directory is root's: what lies there an earlier broker has left.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = SeqPacketListener::bind(path);
    umask(before);
    let listener = listener?;
    chown(path, Some(0), Some(gateway.gid.as_raw()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

async fn accept(listener: &Watched<SeqPacketListener>) -> io::Result<SeqPacket> {
    loop {
        let mut ready = listener.readable().await?;
        match listener.get_ref().accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            accepted => return accepted,
        }
    }
}

fn start_login(line: &SeqPacket, config: &Path) -> io::Result<tokio::process::Child> {
    let mut command = Command::new(OURSELVES);
    command
        .arg0("caraway-broker")
        .arg("--config")
        .arg(config)
        .arg("__login");
    command.stdin(Stdio::from(line.as_fd().try_clone_to_owned()?));
    // A broker that is stopped takes nobody with it.
    command.process_group(0);
    tokio::process::Command::from(command)
        .stdout(Stdio::null())
        .spawn()
}

//! Asks the launcher of a running desktop.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::SOCKET;
use super::messages::{Desktop, REPLY_BYTES_MAX, Reply, Request, WayIn};
use crate::name::DesktopName;
use crate::runtime_dir::{self, Base};
use crate::ticket::NewTicket;

/// Time for a reply; the launcher itself waits 2 s for its server.
const REPLY_DEADLINE: Duration = Duration::from_secs(5);

/// Time for a desktop to end: longer than the launcher gives all of its parts together.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// Time for a new server to answer.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(20);

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    #[error("no desktop of yours runs; start one: caraway start")]
    NoneRuns,
    #[error("no desktop of yours has the name '{0}'; see: caraway list")]
    Unknown(DesktopName),
    #[error("several desktops of yours run, so say which: {}", listed(.0))]
    Several(Vec<DesktopName>),
    #[error("the desktop '{name}' does not answer: {source}")]
    Silent {
        name: DesktopName,
        source: io::Error,
    },
    #[error("the desktop '{name}' refused: {reason}")]
    Refused { name: DesktopName, reason: String },
    #[error("the desktop '{0}' has not ended in time; see its processes: caraway status {0}")]
    StillThere(DesktopName),
    #[error("the desktop '{0}' has no new server yet; see: caraway logs {0}")]
    NotReplaced(DesktopName),
}

fn listed(names: &[DesktopName]) -> String {
    let names: Vec<&str> = names.iter().map(DesktopName::as_str).collect();
    names.join(", ")
}

/// The names of this user's desktops.
pub(crate) fn names() -> Vec<DesktopName> {
    Base::find()
        .map(|base| runtime_dir::running(&base))
        .unwrap_or_default()
}

/// The desktop that `name` means; the only one that runs where it is none.
pub(crate) fn resolve(name: Option<DesktopName>) -> Result<DesktopName, ClientError> {
    let mut running = names();
    match name {
        Some(name) if running.contains(&name) => Ok(name),
        Some(name) => Err(ClientError::Unknown(name)),
        None if running.len() > 1 => Err(ClientError::Several(running)),
        None => running.pop().ok_or(ClientError::NoneRuns),
    }
}

/// Describes the desktop `name`.
pub(crate) fn describe(name: &DesktopName) -> Result<Desktop, ClientError> {
    match ask(name, Request::Describe)?.0 {
        Reply::Desktop(desktop) => Ok(desktop),
        other => Err(unexpected(name, other)),
    }
}

/// How to connect to the desktop `name`.
pub(crate) fn way_in(name: &DesktopName) -> Result<WayIn, ClientError> {
    match ask(name, Request::WayIn)?.0 {
        Reply::WayIn(way_in) => Ok(way_in),
        other => Err(unexpected(name, other)),
    }
}

/// How to connect to the desktop `name` as one who watches.
pub(crate) fn view_only_way_in(name: &DesktopName) -> Result<WayIn, ClientError> {
    match ask(name, Request::ViewOnlyWayIn)?.0 {
        Reply::WayIn(way_in) => Ok(way_in),
        other => Err(unexpected(name, other)),
    }
}

/// How to connect to the desktop `name` once, to watch it; its user is told who does.
pub(crate) fn shadow(name: &DesktopName) -> Result<WayIn, ClientError> {
    match ask(name, Request::Shadow)?.0 {
        Reply::WayIn(way_in) => Ok(way_in),
        other => Err(unexpected(name, other)),
    }
}

/// Tells the clients and the user of the desktop `name`.
pub(crate) fn message(name: &DesktopName, text: String) -> Result<(), ClientError> {
    match ask(name, Request::Message { text })?.0 {
        Reply::Told => Ok(()),
        other => Err(unexpected(name, other)),
    }
}

/// Gives the desktop `name` another password.
pub(crate) fn set_ticket(name: &DesktopName, ticket: NewTicket) -> Result<(), ClientError> {
    match ask(name, Request::SetTicket(ticket))?.0 {
        Reply::TicketSet => Ok(()),
        other => Err(unexpected(name, other)),
    }
}

/// Has the desktop `name` replace its launcher and its server, and waits until the new server answers.
pub(crate) fn upgrade(name: &DesktopName) -> Result<Desktop, ClientError> {
    let before = describe(name)?.pids.server;
    match ask(name, Request::Upgrade)?.0 {
        Reply::Upgrading => {}
        other => return Err(unexpected(name, other)),
    }
    let deadline = Instant::now() + UPGRADE_DEADLINE;
    loop {
        // While one launcher becomes another it does not answer.
        match describe(name) {
            Ok(now) if now.server.is_some() && now.pids.server != before => return Ok(now),
            Err(error) if deadline < Instant::now() => return Err(error),
            Ok(_) if deadline < Instant::now() => {
                return Err(ClientError::NotReplaced(name.clone()));
            }
            _ => sleep(LOOK_AGAIN),
        }
    }
}

/// Ends the desktop `name` and waits until nothing of it is left.
pub(crate) fn stop(name: &DesktopName) -> Result<(), ClientError> {
    let (reply, mut connection) = ask(name, Request::Stop)?;
    if reply != Reply::Stopping {
        return Err(unexpected(name, reply));
    }
    let silent = |source| ClientError::Silent {
        name: name.clone(),
        source,
    };
    connection
        .set_read_timeout(Some(STOP_DEADLINE))
        .map_err(silent)?;
    match connection.read(&mut [0]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(ClientError::StillThere(name.clone()))
        }
        // A reset is the end of the launcher as well.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn ask(name: &DesktopName, request: Request) -> Result<(Reply, UnixStream), ClientError> {
    let base = Base::find().ok_or_else(|| ClientError::Unknown(name.clone()))?;
    let path = base.path().join(name.as_str()).join(SOCKET);
    exchange(&path, request).map_err(|source| ClientError::Silent {
        name: name.clone(),
        source,
    })
}

fn exchange(path: &std::path::Path, request: Request) -> io::Result<(Reply, UnixStream)> {
    let mut connection = UnixStream::connect(path)?;
    connection.set_read_timeout(Some(REPLY_DEADLINE))?;
    connection.set_write_timeout(Some(REPLY_DEADLINE))?;
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    connection.write_all(&line)?;
    let mut reply = Vec::new();
    BufReader::new((&connection).take(REPLY_BYTES_MAX)).read_until(b'\n', &mut reply)?;
    Ok((serde_json::from_slice(&reply)?, connection))
}

fn unexpected(name: &DesktopName, reply: Reply) -> ClientError {
    let reason = match reply {
        Reply::Refused { reason } => reason,
        _ => "it is of another version of caraway".into(),
    };
    ClientError::Refused {
        name: name.clone(),
        reason,
    }
}

//! What a launcher has to know to go on with a desktop that another one started.
//!
//! It is written into memory that only descriptors lead to (a memfd): it holds the password, which no file may. systemd
//! keeps the descriptor, or the next program is told its number. Each writing is a new memory under a new name, so
//! that a launcher that is killed meanwhile leaves a whole one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;

use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use crate::listen::SocketFile;
use crate::logs::{Also, Kept};
use crate::name::DesktopName;
use crate::process::adopted::Identity;
use crate::process::program_file::ProgramFile;
use crate::sound::Sound;
use crate::supervise::Part;
use crate::ticket::NewTicket;

/// Beginning of the names of handovers; a number follows.
pub(crate) const STATE: &str = "state-";

/// Bytes of one: a command line and a few hundred more.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A desktop between two launchers.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Handover {
    /// The command line that it was started with, completed by what was configured then.
    pub(crate) words: Vec<OsString>,
    pub(crate) name: DesktopName,
    /// Number of the X display.
    pub(crate) display: u32,
    /// How the user's COMMAND is called in sentences.
    pub(crate) command: String,
    /// Whether the session has a bus.
    pub(crate) has_bus: bool,
    pub(crate) sound: Option<Sound>,
    /// When it was started, RFC 3339.
    pub(crate) since: String,
    /// The same in seconds of the host's clock that counts from its start on.
    pub(crate) since_s: u64,
    pub(crate) uuid: String,
    pub(crate) ticket: Option<NewTicket>,
    /// The password of those who only watch.
    #[serde(default)]
    pub(crate) view_only: Option<NewTicket>,
    /// When this was written, on the clock of `since_s`.
    pub(crate) written_s: u64,
    /// The server's program, should none be found.
    pub(crate) server_program: PathBuf,
    /// The file of the one that runs.
    #[serde(default)]
    pub(crate) server_file: Option<ProgramFile>,
    /// Ways in: names of descriptors with what belongs to them.
    pub(crate) listeners: Vec<KeptListener>,
    /// The line to the server that runs.
    pub(crate) link: Option<String>,
    /// What the parts write into.
    pub(crate) pipes: Vec<KeptPipe>,
    /// What runs.
    pub(crate) processes: Vec<(Part, Identity)>,
    /// Ports of shared folders that are mounted.
    pub(crate) folders: Vec<u16>,
    /// Whether the server is to be replaced by the newest program.
    pub(crate) replaces_server: bool,
    /// Numbers of descriptors by their names, where a launcher becomes another program.
    #[serde(default)]
    pub(crate) numbers: BTreeMap<String, RawFd>,
}

impl std::fmt::Debug for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handover")
            .field("name", &self.name)
            .field("processes", &self.processes)
            .finish_non_exhaustive()
    }
}

/// A socket where clients come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptListener {
    pub(crate) descriptor: String,
    pub(crate) tls_only: bool,
    /// The file that goes with a unix socket.
    pub(crate) file: Option<SocketFile>,
}

/// The end of a pipe that a part of the desktop writes into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptPipe {
    pub(crate) descriptor: String,
    pub(crate) kept: Kept,
    pub(crate) also: Also,
}

impl Handover {
    /// The newest of those that descriptors of `kept` lead to.
    pub(crate) fn newest(kept: &BTreeMap<String, OwnedFd>) -> Option<Self> {
        let number = |name: &str| name.strip_prefix(STATE)?.parse::<u64>().ok();
        let states = kept
            .iter()
            .filter_map(|(name, fd)| Some((number(name)?, fd)));
        let mut states: Vec<(u64, &OwnedFd)> = states.collect();
        states.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        states.into_iter().find_map(|(_, fd)| Self::read(fd).ok())
    }

    /// What `write` has written.
    pub(crate) fn read(memory: &OwnedFd) -> io::Result<Self> {
        let mut file = File::from(memory.try_clone()?);
        file.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes)?;
        serde_json::from_slice(&bytes).map_err(Into::into)
    }

    /// Memory that holds it.
    pub(crate) fn write(&self) -> io::Result<OwnedFd> {
        let memory = memfd_create(c"caraway-handover", MFdFlags::MFD_CLOEXEC)?;
        let mut file = File::from(memory.try_clone()?);
        file.write_all(&serde_json::to_vec(self)?)?;
        Ok(memory)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::units) fn handover(name: &str) -> Handover {
        Handover {
            words: vec!["caraway".into(), "start".into()],
            name: name.parse().unwrap(),
            display: 7,
            command: "sh".into(),
            has_bus: true,
            sound: None,
            since: "then".into(),
            since_s: 1,
            uuid: "0".into(),
            ticket: None,
            view_only: None,
            written_s: 2,
            server_program: "/x".into(),
            server_file: None,
            listeners: Vec::new(),
            link: None,
            pipes: Vec::new(),
            processes: Vec::new(),
            folders: Vec::new(),
            replaces_server: false,
            numbers: BTreeMap::new(),
        }
    }

    #[test]
    fn the_newest_whole_one_is_read() {
        let mut kept = BTreeMap::new();
        for (number, name) in [(9, "nine"), (10, "ten"), (2, "two")] {
            let memory = handover(name).write().unwrap();
            kept.insert(format!("{STATE}{number}"), memory);
        }
        assert_eq!(Handover::newest(&kept).unwrap().name.as_str(), "ten");
        let empty = memfd_create(c"x", MFdFlags::MFD_CLOEXEC).unwrap();
        kept.insert(format!("{STATE}11"), empty);
        assert_eq!(Handover::newest(&kept).unwrap().name.as_str(), "ten");
        assert!(Handover::newest(&BTreeMap::new()).is_none());
    }
}

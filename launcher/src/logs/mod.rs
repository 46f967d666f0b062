//! What the parts of a desktop say: each part's words in a file of limited size in the runtime directory, shown by
//! `caraway logs`.
//!
//! The parts write into pipes, whose other ends a thread each reads: one that is held up by a terminal that nobody
//! reads holds up its own part, as that terminal itself would, and neither the launcher nor another part.

mod file;
mod lines;
mod pump;
mod read;
mod show;

use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub(crate) use self::file::SharedLog;
pub(crate) use self::pump::Also;
use self::pump::{Pump, To};
pub(crate) use self::read::without_stamp;
pub(crate) use self::show::{LogsArgs, run};
use crate::terminal;
use crate::units::handover::KeptPipe;
use crate::units::journal::Journal;

/// Between two looks at pumps that have to come to their end.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Whose words a file keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kept {
    /// The launcher's notices.
    Launcher,
    /// stdout and stderr of caraway-server.
    Server,
    /// Xorg's log.
    Xorg,
    /// stdout and stderr of Xorg; most of it stands in its log, too.
    XorgOutput,
    /// stdout and stderr of the session.
    Session,
}

impl Kept {
    const ALL: [Self; 5] = [
        Self::Launcher,
        Self::Server,
        Self::Xorg,
        Self::XorgOutput,
        Self::Session,
    ];

    /// What the journal calls it.
    pub(crate) const fn identifier(self) -> &'static str {
        match self {
            Self::Launcher => "caraway",
            Self::Server => "caraway-server",
            Self::Xorg | Self::XorgOutput => "caraway-xorg",
            Self::Session => "caraway-session",
        }
    }

    /// Name of the file in the runtime directory.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Launcher => "launcher.log",
            Self::Server => "server.log",
            Self::Xorg => "xorg.log",
            Self::XorgOutput => "xorg.out",
            Self::Session => "session.log",
        }
    }
}

/// The files of a desktop that this process runs, and those who fill them.
#[derive(Debug)]
pub(crate) struct Logs {
    files: [SharedLog; Kept::ALL.len()],
    pumps: Mutex<Vec<Pipe>>,
    journal: Option<Journal>,
}

/// A pipe that is read.
#[derive(Debug)]
struct Pipe {
    kept: Kept,
    also: Also,
    /// The end that is read, once more, for a launcher in place of this one.
    reader: OwnedFd,
    pump: Pump,
}

impl Logs {
    /// Makes the files in `dir`, or goes on with those that are there; notices are kept from now on. What would go to
    /// stdout or stderr goes to `journal` where there is one.
    pub(crate) fn keep_in(dir: &Path, journal: Option<Journal>) -> io::Result<Self> {
        let [launcher, server, xorg, xorg_output, session] =
            Kept::ALL.map(|kept| SharedLog::create(&dir.join(kept.file())));
        let files = [launcher?, server?, xorg?, xorg_output?, session?];
        terminal::keep_notices(files[0].clone(), journal.clone());
        Ok(Self {
            files,
            pumps: Mutex::default(),
            journal,
        })
    }

    /// A pipe whose lines are kept as those of `kept`; its bytes go to `also` as they come.
    pub(crate) fn pipe(&self, kept: Kept, also: Also) -> io::Result<PipeWriter> {
        let (reader, writer) = io::pipe()?;
        self.read(kept, also, reader.into())?;
        Ok(writer)
    }

    /// Reads what comes from `reader` as `pipe` would.
    pub(crate) fn read(&self, kept: Kept, also: Also, reader: OwnedFd) -> io::Result<()> {
        let file = self.files[kept as usize].clone();
        let also_to = match (&self.journal, also) {
            (Some(journal), Also::Stdout | Also::Stderr) => To::Journal(journal.clone(), kept),
            _ => To::Stream(also),
        };
        let pump = Pump::start(reader.try_clone()?.into(), file, also_to)?;
        let mut pumps = self.pumps.lock().unwrap_or_else(PoisonError::into_inner);
        pumps.retain(|pipe| !pipe.pump.is_over());
        pumps.push(Pipe {
            kept,
            also,
            reader,
            pump,
        });
        Ok(())
    }

    /// The pipes that are read, each with a name that no other has.
    pub(crate) fn pipes(&self) -> io::Result<Vec<(KeptPipe, OwnedFd)>> {
        let pumps = self.pumps.lock().unwrap_or_else(PoisonError::into_inner);
        let open = pumps.iter().filter(|pipe| !pipe.pump.is_over());
        open.map(|pipe| {
            let inode = nix::sys::stat::fstat(&pipe.reader)?.st_ino;
            let kept = KeptPipe {
                descriptor: format!("pipe-{inode}"),
                kept: pipe.kept,
                also: pipe.also,
            };
            Ok((kept, pipe.reader.try_clone()?))
        })
        .collect()
    }

    /// Waits until all is kept that was said, but no longer than `within`; for when every writer has ended.
    pub(crate) fn settle(&self, within: Duration) {
        self.settle_those(|_| true, within);
    }

    /// The same for one part.
    pub(crate) fn settle_one(&self, kept: Kept, within: Duration) {
        self.settle_those(|of| of == kept, within);
    }

    fn settle_those(&self, which: impl Fn(Kept) -> bool, within: Duration) {
        let deadline = Instant::now() + within;
        let pumps = self.pumps.lock().unwrap_or_else(PoisonError::into_inner);
        let is_busy = |pipe: &Pipe| which(pipe.kept) && !pipe.pump.is_over();
        while pumps.iter().any(is_busy) && Instant::now() < deadline {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn what_goes_into_a_pipe_is_kept_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::keep_in(dir.path(), None).unwrap();
        let mut one = logs.pipe(Kept::Session, Also::Nobody).unwrap();
        let mut two = logs.pipe(Kept::Session, Also::Nobody).unwrap();
        one.write_all(b"half a ").unwrap();
        two.write_all(b"other\n").unwrap();
        one.write_all(b"line\nno end \x1b[2J").unwrap();
        drop((one, two));
        logs.settle(Duration::from_secs(10));
        let text = fs::read_to_string(dir.path().join("session.log")).unwrap();
        let mut lines: Vec<&str> = text.lines().map(without_stamp).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["half a line", "no end  [2J", "other"]);
        assert_eq!(fs::read(dir.path().join("server.log")).unwrap(), b"");
    }
}

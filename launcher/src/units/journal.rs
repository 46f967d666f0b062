//! Lines for the journal with fields of their own, so that `journalctl CARAWAY_DESKTOP=work` shows one desktop and
//! `journalctl -t caraway-server` one part of all.
//!
//! systemd can add fields for units of the system only (LogExtraFields=), so they are written in journald's own
//! protocol: one datagram a line, `FIELD=value` each.

use std::env;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::name::DesktopName;

/// Where journald takes lines.
const SOCKET: &str = "/run/systemd/journal/socket";

/// A journald that does not read for this long loses the line.
const SEND_DEADLINE: Duration = Duration::from_millis(500);

/// Priorities of syslog(3).
const INFO: u8 = 6;
const WARNING: u8 = 4;
const ERROR: u8 = 3;

/// Words by which parts say how grave a line is.
const GRAVE: [(&str, u8); 4] = [
    (" ERROR ", ERROR),
    (" WARN ", WARNING),
    ("(EE)", ERROR),
    ("(WW)", WARNING),
];

/// The journal, as one desktop writes to it.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    socket: Arc<UnixDatagram>,
    desktop: DesktopName,
}

impl Journal {
    /// The journal, if this process's stderr leads there.
    pub(crate) fn of(desktop: &DesktopName) -> Option<Self> {
        let stream = env::var("JOURNAL_STREAM").ok()?;
        let stderr = nix::sys::stat::fstat(io::stderr()).ok()?;
        let is_stderr = is_stream(&stream, stderr.st_dev, stderr.st_ino);
        is_stderr.then(|| Self::at(Path::new(SOCKET), desktop).ok())?
    }

    fn at(path: &Path, desktop: &DesktopName) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_write_timeout(Some(SEND_DEADLINE))?;
        Ok(Self {
            socket: Arc::new(socket),
            desktop: desktop.clone(),
        })
    }

    /// Writes one line of the part that is called `identifier`. What journald does not take is lost there.
    pub(crate) fn line(&self, identifier: &str, line: &[u8]) {
        let _ = self.socket.send(self.fields(identifier, line).as_bytes());
    }

    fn fields(&self, identifier: &str, line: &[u8]) -> String {
        // A line break would end the field.
        let line = String::from_utf8_lossy(line);
        let line = line.replace(|c: char| c.is_control() && c != '\t', " ");
        let grave = GRAVE.iter().find(|(word, _)| line.contains(word));
        let priority = grave.map_or(INFO, |(_, priority)| *priority);
        let desktop = &self.desktop;
        format!(
            "SYSLOG_IDENTIFIER={identifier}\nCARAWAY_DESKTOP={desktop}\nPRIORITY={priority}\nMESSAGE={line}\n"
        )
    }
}

/// Whether JOURNAL_STREAM, `DEVICE:INODE`, is this file.
fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    stream == format!("{device}:{inode}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_datagram_with_its_fields() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::at(&path, &"work".parse().unwrap()).unwrap();
        journal.line("caraway-server", b"a \x1b[2Jline\nCARAWAY_DESKTOP=other");
        journal.line("caraway-server", b"2026 WARN slow");
        let mut heard = [0; 256];
        let count = journald.recv(&mut heard).unwrap();
        assert_eq!(
            std::str::from_utf8(&heard[..count]).unwrap(),
            "SYSLOG_IDENTIFIER=caraway-server\nCARAWAY_DESKTOP=work\nPRIORITY=6\n\
             MESSAGE=a  [2Jline CARAWAY_DESKTOP=other\n"
        );
        let count = journald.recv(&mut heard).unwrap();
        assert!(String::from_utf8_lossy(&heard[..count]).contains("PRIORITY=4\n"));
        assert!(is_stream("8:123", 8, 123) && !is_stream("8:123", 8, 12));
        assert!(Journal::at(Path::new("/nonexistent"), &"work".parse().unwrap()).is_err());
    }
}

//! How the start of a detached desktop went, told over a socket by its launcher to whoever waits.

use std::fs;
use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{DetachError, Detached, daemon};
use crate::listen::bind_private;
use crate::name::DesktopName;
use crate::runtime_dir::Base;
use crate::terminal::answer;

/// Time for the launcher; more than it gives Xorg and its server.
const DEADLINE: Duration = Duration::from_secs(75);

/// How often the child is looked at while the launcher has not come.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Time in which a launcher may still come when the child has ended.
const LATE: Duration = Duration::from_millis(300);

/// Bytes of a report: a few lines.
const REPORT_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Told {
    /// What is to be printed.
    Ready(String),
    /// Why there is no desktop.
    Failed(String),
}

/// Where a launcher says how its start went.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The waiting process; none once it has been told, or if there is none.
    waiting: Arc<Mutex<Option<UnixStream>>>,
    /// The socket's file; none if this launcher is not detached.
    path: Option<PathBuf>,
}

impl Report {
    /// To the process that waits at `path`; without one to this process's own user.
    pub(crate) fn to(path: Option<&Path>) -> Self {
        let stream = path.and_then(|path| UnixStream::connect(path).ok());
        if path.is_some() {
            daemon::leave_terminal();
        }
        Self {
            waiting: Arc::new(Mutex::new(stream)),
            path: path.map(Path::to_path_buf),
        }
    }

    /// The desktop is ready, and that is what the user is to know. False if whoever waited is gone: interrupted, it
    /// wants no desktop.
    pub(crate) fn ready(&self, text: &str) -> bool {
        if self.path.is_none() {
            answer(text);
        } else if !self.tell(&Told::Ready(text.into())) {
            return false;
        }
        true
    }

    /// There is no desktop. Of no effect once it was ready.
    pub(crate) fn failed(&self, why: &str) {
        self.tell(&Told::Failed(why.into()));
    }

    fn tell(&self, told: &Told) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.path {
            // Whoever waited may have been killed.
            let _ = fs::remove_file(path);
        }
        waiting
            .take()
            .is_some_and(|stream| serde_json::to_writer(&stream, told).is_ok())
    }
}

/// Waits for one launcher's report. The socket's file goes with it, and the directory if nothing else is in it.
pub(super) struct Waiting {
    socket: UnixListener,
    path: PathBuf,
    base: Base,
}

impl Waiting {
    pub(super) fn bind(path: &Path, base: &Base) -> io::Result<Self> {
        let socket = bind_private(path)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            path: path.into(),
            base: base.clone(),
        })
    }

    /// What the launcher of the desktop `name` wants the user to know.
    pub(super) fn wait(
        &self,
        name: &DesktopName,
        detached: &mut Detached,
    ) -> Result<String, DetachError> {
        let deadline = Instant::now() + DEADLINE;
        let told = match self.accept(detached, deadline)? {
            Some(stream) => read(&stream, deadline)?,
            None => None,
        };
        match told {
            Some(Told::Ready(text)) => {
                if detached.by_systemd {
                    // Ends when systemd has heard of it, too.
                    let _ = detached.child.wait();
                }
                Ok(text)
            }
            Some(Told::Failed(why)) => Err(DetachError::Failed(why)),
            None if deadline <= Instant::now() => Err(DetachError::TooSlow {
                name: name.clone(),
                seconds: DEADLINE.as_secs(),
            }),
            None if detached.by_systemd => Err(DetachError::Systemd(last_words(detached))),
            None => Err(DetachError::Ended),
        }
    }

    /// The launcher's connection; none if it does not come.
    fn accept(
        &self,
        detached: &mut Detached,
        deadline: Instant,
    ) -> Result<Option<UnixStream>, DetachError> {
        let mut deadline = deadline;
        loop {
            match self.socket.accept() {
                Ok((stream, _)) => return Ok(Some(stream)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if deadline <= Instant::now() {
                return Ok(None);
            }
            if detached.child.try_wait()?.is_some() {
                deadline = deadline.min(Instant::now() + LATE);
            }
            sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        self.base.remove_if_empty();
    }
}

/// The report; none if the launcher ended without one, or has none in time.
fn read(stream: &UnixStream, deadline: Instant) -> io::Result<Option<Told>> {
    let left = deadline.saturating_duration_since(Instant::now());
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(left.max(LOOK_AGAIN)))?;
    let mut bytes = Vec::new();
    let _ = stream.take(REPORT_BYTES_MAX).read_to_end(&mut bytes);
    Ok(serde_json::from_slice(&bytes).ok())
}

/// What systemd-run said last.
fn last_words(detached: &mut Detached) -> String {
    let _ = detached.child.wait();
    let mut bytes = Vec::new();
    if let Some(said) = &mut detached.child.stderr {
        let _ = said.take(REPORT_BYTES_MAX).read_to_end(&mut bytes);
    }
    let said = String::from_utf8_lossy(&bytes);
    let line = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    line.unwrap_or("it gave no reason").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_report_is_heard_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let socket = bind_private(&path).unwrap();
        let report = Report {
            waiting: Arc::new(Mutex::new(Some(UnixStream::connect(&path).unwrap()))),
            path: Some(path.clone()),
        };
        assert!(report.ready("a\nb"));
        report.failed("later");
        let (stream, _) = socket.accept().unwrap();
        let told = read(&stream, Instant::now() + DEADLINE).unwrap();
        assert!(matches!(told, Some(Told::Ready(text)) if text == "a\nb"));
        assert!(!path.exists());
        let (silent, ended) = UnixStream::pair().unwrap();
        drop(ended);
        let unheard = Report {
            waiting: Arc::new(Mutex::new(Some(silent.try_clone().unwrap()))),
            path: Some(path),
        };
        assert!(!unheard.ready("a"), "nobody waits any more");
        assert!(read(&silent, Instant::now() + DEADLINE).unwrap().is_none());
    }
}

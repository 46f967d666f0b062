//! `caraway start --detach`: the desktop's launcher runs on by itself, and this process tells how its start went.
//!
//! The launcher is this program once more, as a unit of the user's systemd or, where there is none, as a process of a
//! session of its own. It tells this one by a socket in the runtime directory what `caraway start` would have printed:
//! a password shall reach the user, and not the journal.

mod daemon;
mod report;
pub(crate) mod systemd;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;

use thiserror::Error;

pub(crate) use self::report::Report;
use self::report::Waiting;
use crate::cli::StartArgs;
use crate::name::DesktopName;
use crate::runtime_dir::{self, Base, DESKTOPS_MAX, RuntimeDirError};
use crate::terminal::{answer, notice};
use crate::{DONE, FAILED};

/// Beginning of the name of a socket on which a start is waited for. No desktop's name begins so.
const SOCKET_BEGINNING: &str = ".detach-";

/// Desktops looked at for a free name; as many as may run.
const NAMES_TRIED_MAX: usize = 257;

/// Why no desktop runs now.
#[derive(Debug, Error)]
pub(crate) enum DetachError {
    #[error(transparent)]
    RuntimeDir(#[from] RuntimeDirError),
    #[error("cannot wait for a detached desktop in {}: {source}; start it without --detach", path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("cannot start the detached launcher: {0}; start the desktop without --detach")]
    Spawn(#[from] io::Error),
    #[error(
        "systemd did not start the desktop: {0}; see systemctl --user status, or start it without --detach"
    )]
    Systemd(String),
    #[error(
        "the detached launcher ended and gave no reason; start the desktop without --detach to see more"
    )]
    Ended,
    #[error("the desktop '{name}' is not ready after {seconds} s; see: caraway logs {name}")]
    TooSlow { name: DesktopName, seconds: u64 },
    /// What the launcher says itself.
    #[error("{0}")]
    Failed(String),
}

/// Starts a desktop and leaves it running; gives the exit status.
pub(crate) fn run(args: &StartArgs) -> u8 {
    match start(args) {
        Ok(text) => {
            answer(text);
            DONE
        }
        Err(error) => {
            notice(error);
            FAILED
        }
    }
}

/// What runs by itself now.
struct Detached {
    /// The launcher, or who asked systemd for it.
    child: Child,
    by_systemd: bool,
}

fn start(args: &StartArgs) -> Result<String, DetachError> {
    let base = Base::create()?;
    remove_remains(&base);
    let socket = base
        .path()
        .join(format!("{SOCKET_BEGINNING}{}", std::process::id()));
    let waiting = Waiting::bind(&socket, &base).map_err(|source| DetachError::Socket {
        path: socket.clone(),
        source,
    })?;
    // Two that look for a free name at a time would find the same one. With the socket in it the directory stays.
    let lock = File::open(base.path())?;
    lock.lock()?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => free_name(&runtime_dir::running(&base))?,
    };
    if runtime_dir::running(&base).contains(&name) {
        return Err(RuntimeDirError::NameTaken(name).into());
    }
    let words = words_of_launcher(env::args_os().skip(1), &name, &socket);
    let mut detached = match systemd::find() {
        Some(systemd_run) => {
            let mut words = words;
            words.insert(1, "--unit".into());
            systemd::start(&systemd_run, &name, &words)?
        }
        None => daemon::start(&words)?,
    };
    waiting.wait(&name, &mut detached)
}

fn free_name(taken: &[DesktopName]) -> Result<DesktopName, RuntimeDirError> {
    (1..=NAMES_TRIED_MAX)
        .map(DesktopName::default_for)
        .find(|name| !taken.contains(name))
        .ok_or(RuntimeDirError::TooMany(DESKTOPS_MAX))
}

/// What `given` to this process is for the launcher: the same, but not to detach again.
fn words_of_launcher(
    given: impl Iterator<Item = OsString>,
    name: &DesktopName,
    socket: &Path,
) -> Vec<OsString> {
    let mut given = given.peekable();
    let mut words: Vec<OsString> = given.next().into_iter().collect();
    words.extend(["--detached-as", name.as_str(), "--report"].map(OsString::from));
    words.push(socket.into());
    while let Some(word) = given.next_if(|word| word != "--") {
        if word != "--detach" {
            words.push(word);
        }
    }
    words.extend(given);
    words
}

/// Removes the sockets of those that were killed while they waited.
fn remove_remains(base: &Base) {
    let Ok(entries) = fs::read_dir(base.path()) else {
        return;
    };
    let waiter = |name: &OsStr| name.to_str()?.strip_prefix(SOCKET_BEGINNING)?.parse().ok();
    for entry in entries.flatten() {
        let pid: Option<i32> = waiter(&entry.file_name());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(given: &[&str]) -> Vec<String> {
        let name = "work".parse().unwrap();
        let given = given.iter().map(OsString::from);
        let words = words_of_launcher(given, &name, Path::new("/s"));
        words
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect()
    }

    #[test]
    fn the_launcher_gets_the_same_words_and_does_not_detach() {
        let told = ["start", "--detached-as", "work", "--report", "/s"];
        assert_eq!(words(&["start", "--detach"]), told);
        let given = [
            "start", "--json", "--detach", "-g", "9x9", "--", "x", "--detach", "--", "y",
        ];
        let rest = ["--json", "-g", "9x9", "--", "x", "--detach", "--", "y"];
        assert_eq!(words(&given), [&told[..], &rest].concat());
    }

    #[test]
    fn the_first_free_name_is_taken() {
        let taken = [1, 3].map(DesktopName::default_for);
        assert_eq!(free_name(&taken).unwrap().as_str(), "desktop-2");
        assert_eq!(free_name(&[]).unwrap().as_str(), "desktop");
    }
}

//! Where a desktop keeps its sockets, its cookie and its configuration while it runs.
//!
//! One directory per desktop under a base that only its user can enter. A desktop holds a lock on its
//! directory; the kernel drops the lock with the launcher, however that ends, so the lock alone, never
//! a pid, tells a running desktop from the remains of one. Remains are removed by whoever meets them.
//! Where systemd keeps the lock for the next launcher, a desktop runs also while there is none.

mod base;
mod draft;

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use self::base::Base;
use self::draft::Draft;
use crate::listen::{SOCKET_PATH_BYTES_MAX, SocketFile};
use crate::name::DesktopName;
use crate::process::adopted::{Adopted, Identity};
use crate::sound;
use crate::xorg::display;

/// Desktops of one user: bounds the search for a free name.
pub(crate) const DESKTOPS_MAX: u16 = 256;

/// Attempts at a directory that somebody else is removing at the same moment.
const CREATE_ATTEMPTS_MAX: usize = 256;

/// Time between them; all of them together outlast a cleaner that has to kill what a desktop left.
const CONTESTED_PAUSE: Duration = Duration::from_millis(25);

/// Time that each signal gives to processes that no launcher takes over.
const END_GRACE: Duration = Duration::from_secs(2);

/// Attempts at a directory in which what ends just now still makes files.
const REMOVE_ATTEMPTS_MAX: usize = 20;

/// Time between them.
const REMOVE_PAUSE: Duration = Duration::from_millis(50);

/// The longest name of a file in the directory that is a socket.
const LONGEST_SOCKET: &str = "/folder-32.sock";

/// Why there is no directory.
#[derive(Debug, Error)]
pub(crate) enum RuntimeDirError {
    #[error(
        "no writable runtime directory: cannot create {}: {source}; set XDG_RUNTIME_DIR to a \
         directory of your own",
        path.display()
    )]
    Create { path: PathBuf, source: io::Error },
    #[error(
        "{} is not a directory that only you can enter; remove it, or set XDG_RUNTIME_DIR to a \
         directory of your own",
        .0.display()
    )]
    NotOurs(PathBuf),
    #[error(
        "{} is too long a path for sockets; choose a shorter --name or XDG_RUNTIME_DIR",
        .0.display()
    )]
    TooLong(PathBuf),
    #[error(
        "{} holds characters that Xorg's configuration cannot; choose another XDG_RUNTIME_DIR",
        .0.display()
    )]
    Unspeakable(PathBuf),
    #[error("the desktop '{0}' runs already; choose another --name, or end it: caraway stop {0}")]
    NameTaken(DesktopName),
    #[error("{0} desktops of yours run already, as many as may; end one: caraway stop NAME")]
    TooMany(u16),
}

/// What the remains of a desktop have to tell: what to clean up outside of the directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct State {
    /// Number of the X display.
    pub(crate) display: Option<u32>,
    /// Process of the launcher, which holds the display's lock.
    pub(crate) launcher: Option<u32>,
    /// Process of its Xorg.
    pub(crate) xorg: Option<i32>,
    /// Unix sockets at places that the user chose.
    pub(crate) sockets: Vec<SocketFile>,
    /// Socket of the user's sound daemon, which has devices of the desktop.
    #[serde(default)]
    pub(crate) sound: Option<PathBuf>,
    /// Processes that outlive the launcher, for another to take them over.
    #[serde(default)]
    pub(crate) kept: Vec<Identity>,
}

/// The directory of a desktop that this process runs; removed when dropped.
#[derive(Debug)]
pub(crate) struct DesktopDir {
    name: DesktopName,
    path: PathBuf,
    base: Base,
    lock: File,
}

impl DesktopDir {
    /// Makes and locks the directory of `name`, or of the first free name when there is none. With it at most
    /// `desktops_max` run.
    pub(crate) fn create(
        name: Option<&DesktopName>,
        desktops_max: u16,
    ) -> Result<Self, RuntimeDirError> {
        let base = Base::create()?;
        let made = Self::create_named(&base, name, desktops_max)?;
        // Counted when it is there: of several that start at once none is overlooked.
        match usize::from(desktops_max) < running(&base).len() {
            true => Err(RuntimeDirError::TooMany(desktops_max)),
            false => Ok(made),
        }
    }

    fn create_named(
        base: &Base,
        name: Option<&DesktopName>,
        desktops_max: u16,
    ) -> Result<Self, RuntimeDirError> {
        if let Some(name) = name {
            return Self::create_in(base, name);
        }
        for n in 1..=DESKTOPS_MAX {
            match Self::create_in(base, &DesktopName::default_for(n.into())) {
                Err(RuntimeDirError::NameTaken(_)) => {}
                made => return made,
            }
        }
        Err(RuntimeDirError::TooMany(desktops_max))
    }

    /// Takes over the directory of `name` from a launcher that held it by `lock`.
    pub(crate) fn resume(name: &DesktopName, lock: OwnedFd) -> Result<Self, RuntimeDirError> {
        let base = Base::create()?;
        let (path, lock) = (base.path().join(name.as_str()), File::from(lock));
        if !is_at(&lock, &path) {
            let source = io::ErrorKind::NotFound.into();
            return Err(RuntimeDirError::Create { path, source });
        }
        Ok(Self {
            name: name.clone(),
            path,
            base,
            lock,
        })
    }

    /// The descriptor by which it is held.
    pub(crate) fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    fn create_in(base: &Base, name: &DesktopName) -> Result<Self, RuntimeDirError> {
        let path = base.path().join(name.as_str());
        check_path(&path)?;
        let failed = |source| RuntimeDirError::Create {
            path: path.clone(),
            source,
        };
        for _ in 0..CREATE_ATTEMPTS_MAX {
            base.ensure()?;
            let draft = match Draft::make(base.path()) {
                Ok(Some(draft)) => draft,
                Ok(None) => continue,
                // The last desktop that ended took the base with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            match draft.place_at(&path).map_err(failed)? {
                Ok(lock) => {
                    return Ok(Self {
                        name: name.clone(),
                        path,
                        base: base.clone(),
                        lock,
                    });
                }
                Err(_draft) => match remove_if_dead(&path) {
                    Presence::Alive => return Err(RuntimeDirError::NameTaken(name.clone())),
                    Presence::Contested => sleep(CONTESTED_PAUSE),
                    Presence::Gone => {}
                },
            }
        }
        Err(failed(io::ErrorKind::ResourceBusy.into()))
    }

    /// The desktop's name.
    pub(crate) fn name(&self) -> &DesktopName {
        &self.name
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `file` in it.
    pub(crate) fn file(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    /// Leaves word of what has to be cleaned up should this process not come to it.
    pub(crate) fn write_state(&self, state: &State) -> io::Result<()> {
        let draft = self.file("state.new");
        fs::write(&draft, serde_json::to_vec(state)?)?;
        fs::rename(draft, self.file("state"))
    }
}

impl Drop for DesktopDir {
    fn drop(&mut self) {
        // A user may have removed it, and started another desktop of that name.
        if is_at(&self.lock, &self.path) {
            let _ = fs::remove_dir_all(&self.path);
        }
        self.base.remove_if_empty();
    }
}

/// The running desktops of this user, by name. Remains of others are removed on the way.
pub(crate) fn running(base: &Base) -> Vec<DesktopName> {
    let Ok(entries) = fs::read_dir(base.path()) else {
        return Vec::new();
    };
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let alive =
        |name: &DesktopName| remove_if_dead(&base.path().join(name.as_str())) == Presence::Alive;
    let mut running: Vec<DesktopName> = names.filter(alive).collect();
    running.sort();
    draft::remove_dead(base.path());
    base.remove_if_empty();
    running
}

/// Removes what a launcher that was killed left in `path`; does nothing while one holds it.
pub(crate) fn remove_remains(path: &Path) {
    if remove_if_dead(path) == Presence::Gone
        && let Some(base) = Base::find()
    {
        base.remove_if_empty();
    }
}

/// What the launcher of the desktop in `path` left word of; nothing if it did not come to that.
pub(crate) fn state(path: &Path) -> State {
    let read = fs::read(path.join("state")).ok();
    read.and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

#[derive(Debug, PartialEq, Eq)]
enum Presence {
    Alive,
    /// Another cleaner is at it.
    Contested,
    Gone,
}

/// Cleaners lock exclusively and desktops share, so that one is told from the other.
fn remove_if_dead(path: &Path) -> Presence {
    let Ok(lock) = File::open(path) else {
        return Presence::Gone;
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return match lock.try_lock_shared() {
                Err(_) => Presence::Contested,
                Ok(()) if is_at(&lock, path) => Presence::Alive,
                Ok(()) => Presence::Gone,
            };
        }
        // A file system without locks: better to leave remains than to take a running desktop's files.
        Err(TryLockError::Error(_)) => return Presence::Alive,
    }
    if is_at(&lock, path) {
        let State {
            display: number,
            launcher,
            sockets,
            sound,
            kept,
            ..
        } = state(path);
        // No launcher will take them over any more.
        end_all(kept);
        if let (Some(number), Some(launcher)) = (number, launcher) {
            display::remove_remains(number, launcher);
        }
        sockets.iter().for_each(SocketFile::remove);
        let name = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        if let (Some(socket), Some(name)) = (sound, name) {
            sound::release(&socket, &name);
        }
        remove_whole(path);
    }
    Presence::Gone
}

/// Ends these processes: asks them, and kills those that take longer than they may.
fn end_all(kept: Vec<Identity>) {
    let processes: Vec<Adopted> = kept.into_iter().filter_map(Adopted::take).collect();
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        for process in &processes {
            process.signal(signal);
            process.signal(Signal::SIGCONT);
        }
        let deadline = Instant::now() + END_GRACE;
        if processes.iter().all(|process| process.ends_by(deadline)) {
            return;
        }
    }
}

/// Removes the directory, also when something that ends just now still makes a file in it.
fn remove_whole(path: &Path) {
    let is_there = || match fs::remove_dir_all(path) {
        Ok(()) => false,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    for _ in 0..REMOVE_ATTEMPTS_MAX {
        if !is_there() {
            return;
        }
        sleep(REMOVE_PAUSE);
    }
}

/// Whether `path` still leads to the open `directory`.
fn is_at(directory: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (directory.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

fn check_path(path: &Path) -> Result<(), RuntimeDirError> {
    if path.as_os_str().len() + LONGEST_SOCKET.len() > SOCKET_PATH_BYTES_MAX {
        return Err(RuntimeDirError::TooLong(path.into()));
    }
    // The path stands in xorg.conf between quotes, and in a comma-separated address of D-Bus.
    let speakable =
        |text: &str| !text.contains(|c: char| c.is_control() || "\"\\,;=%*".contains(c));
    if path.to_str().is_some_and(speakable) {
        Ok(())
    } else {
        Err(RuntimeDirError::Unspeakable(path.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(dir: &tempfile::TempDir) -> Base {
        let base = Base::at(dir.path().join("caraway"));
        base.ensure().unwrap();
        base
    }

    fn name(text: &str) -> DesktopName {
        text.parse().unwrap()
    }

    #[test]
    fn a_directory_is_private_held_and_gone_afterwards() {
        let temp = tempfile::tempdir().unwrap();
        let base = base(&temp);
        let held = DesktopDir::create_in(&base, &name("a")).unwrap();
        assert_eq!(held.path().metadata().unwrap().mode() & 0o777, 0o700);
        let again = DesktopDir::create_in(&base, &name("a"));
        assert!(matches!(again, Err(RuntimeDirError::NameTaken(_))));
        assert_eq!(running(&base), [name("a")]);
        drop(held);
        assert!(!base.path().exists());
    }

    #[test]
    fn remains_without_a_holder_are_removed() {
        let temp = tempfile::tempdir().unwrap();
        let base = base(&temp);
        let dead = base.path().join("dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("xauth"), "cookie").unwrap();
        let alive = DesktopDir::create_in(&base, &name("alive")).unwrap();
        assert_eq!(running(&base), [name("alive")]);
        assert!(!dead.exists());
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("xauth"), "cookie").unwrap();
        let reused = DesktopDir::create_in(&base, &name("dead")).unwrap();
        assert!(!reused.file("xauth").exists());
        drop((alive, reused));
    }

    /// Four launchers' threads at once, each of which does that again and again; `turn` gets the base and its number.
    fn four_at_once(rounds: usize, turn: impl Fn(&Base, usize) + Sync) {
        let temp = tempfile::tempdir().unwrap();
        let base = base(&temp);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (base, turn) = (&base, &turn);
                scope.spawn(move || (0..rounds).for_each(|_| turn(base, thread)));
            }
        });
        assert!(!base.path().exists());
    }

    #[test]
    fn creators_and_cleaners_do_not_hurt_each_other() {
        four_at_once(200, |base, thread| {
            let own = name(&format!("d{thread}"));
            let held = DesktopDir::create_in(base, &own).unwrap();
            fs::write(held.file("x"), "").unwrap();
            assert!(running(base).contains(&own));
            assert!(held.file("x").exists());
        });
    }

    #[test]
    fn no_two_that_start_at_once_have_one_directory() {
        four_at_once(300, |base, _| {
            let held = DesktopDir::create_named(base, None, DESKTOPS_MAX).unwrap();
            File::create_new(held.file("x")).unwrap();
            running(base);
            assert!(held.file("x").exists());
        });
    }

    #[test]
    fn drafts_of_killed_launchers_go() {
        let temp = tempfile::tempdir().unwrap();
        let base = base(&temp);
        let held = DesktopDir::create_named(&base, None, DESKTOPS_MAX).unwrap();
        let dead = base.path().join(".draft-1-1");
        fs::create_dir(&dead).unwrap();
        let alive = Draft::make(base.path()).unwrap().unwrap();
        assert_eq!(running(&base), [held.name().clone()]);
        assert!(!dead.exists());
        assert!(alive.place_at(&base.path().join("other")).unwrap().is_ok());
    }

    #[test]
    fn sockets_elsewhere_go_with_the_remains() {
        let temp = tempfile::tempdir().unwrap();
        let base = base(&temp);
        let (ours, reused) = (temp.path().join("ours"), temp.path().join("reused"));
        let bind = |path: &PathBuf| {
            drop(std::os::unix::net::UnixListener::bind(path).unwrap());
            SocketFile::at(path.clone()).unwrap()
        };
        let sockets = vec![bind(&ours), bind(&reused)];
        fs::rename(&reused, temp.path().join("kept")).unwrap();
        fs::write(&reused, "another").unwrap();
        let dead = base.path().join("dead");
        fs::create_dir(&dead).unwrap();
        let state = State {
            sockets,
            ..State::default()
        };
        fs::write(dead.join("state"), serde_json::to_vec(&state).unwrap()).unwrap();
        assert!(running(&base).is_empty());
        assert!(!ours.exists() && reused.exists());
    }

    #[test]
    fn paths_that_cannot_serve_are_refused() {
        let long = PathBuf::from(format!("/run/{}", "x".repeat(100)));
        assert!(matches!(
            check_path(&long),
            Err(RuntimeDirError::TooLong(_))
        ));
        for bad in ["/run/a\"b", "/run/a\nb", "/run/a,b"] {
            assert!(matches!(
                check_path(Path::new(bad)),
                Err(RuntimeDirError::Unspeakable(_))
            ));
        }
        assert!(check_path(Path::new("/run/user/1000/caraway/desktop")).is_ok());
    }
}

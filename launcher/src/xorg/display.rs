//! A display's number, taken before Xorg starts.
//!
//! Xorg cannot be left to choose. Told to write its number to a descriptor it makes no lock, and
//! without its abstract socket it removes the socket of whatever server of this user has the number
//! already (measured with Xorg 21.1: a second `-displayfd -nolisten local` took over display :0). So
//! the launcher holds all three marks by which X servers know a number is taken: the abstract address
//! (bound, but never listened on: clients fall back to the socket in the file system), the lock file,
//! and that socket. The first goes with this process however it ends; so the kernel judges.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};
use nix::unistd::Pid;

use super::XorgError;
use super::socket_dir::SOCKET_DIR;

/// The first number tried: lower ones are left to consoles and to servers started by hand, which
/// insist on theirs.
const FIRST: u32 = 10;

/// Numbers tried before giving up.
const TRIED_MAX: u32 = 1000;

/// How long a killed Xorg may take to give its socket back. The kernel frees the memory of a process
/// before it closes its descriptors, so that one seen as gone may answer for a moment still.
const DYING_MAX: Duration = Duration::from_secs(2);

/// How often that is looked at.
const DYING_STEP: Duration = Duration::from_millis(10);

/// A number that no other X server of this host has, until this is dropped.
#[derive(Debug)]
pub(crate) struct Display {
    number: u32,
    marks: Marks,
    abstract_address: OwnedFd,
}

/// The files of a display: `/tmp/.XN-lock` and `/tmp/.X11-unix/XN`.
#[derive(Debug)]
struct Marks {
    lock: PathBuf,
    socket: PathBuf,
}

impl Display {
    /// Takes display `number`, or a free one.
    pub(crate) fn take(number: Option<u32>) -> Result<Self, XorgError> {
        if let Some(number) = number {
            return Self::try_take(number)?.ok_or(XorgError::DisplayTaken(number));
        }
        for number in FIRST..FIRST + TRIED_MAX {
            if let Some(display) = Self::try_take(number)? {
                return Ok(display);
            }
        }
        Err(XorgError::NoFreeDisplay {
            first: FIRST,
            last: FIRST + TRIED_MAX - 1,
        })
    }

    /// Takes over display `number` of a launcher that had it before this one, by the `address` that it had bound.
    pub(crate) fn resume(number: u32, address: OwnedFd) -> io::Result<Self> {
        let marks = Marks::of(number);
        marks.relabel(std::process::id())?;
        Ok(Self {
            number,
            marks,
            abstract_address: address,
        })
    }

    /// The descriptor by which the number is had.
    pub(crate) fn address(&self) -> BorrowedFd<'_> {
        self.abstract_address.as_fd()
    }

    /// The number.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    fn try_take(number: u32) -> io::Result<Option<Self>> {
        let marks = Marks::of(number);
        let Some(abstract_address) = bind_abstract(&marks.socket)? else {
            return Ok(None);
        };
        if !marks.is_socket_free() || !marks.lock(std::process::id())? {
            return Ok(None);
        }
        Ok(Some(Self {
            number,
            marks,
            abstract_address,
        }))
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.marks.remove_of(std::process::id());
    }
}

/// Removes what the launcher with the pid `launcher`, known to be dead, left of display `number`.
pub(crate) fn remove_remains(number: u32, launcher: u32) {
    Marks::of(number).remove_of(launcher);
}

impl Marks {
    fn of(number: u32) -> Self {
        Self {
            lock: format!("/tmp/.X{number}-lock").into(),
            socket: Path::new(SOCKET_DIR).join(format!("X{number}")),
        }
    }

    /// Whether Xorg can make the socket without taking it from a server that lives.
    fn is_socket_free(&self) -> bool {
        let Ok(file) = fs::symlink_metadata(&self.socket) else {
            return true;
        };
        is_removable(&file) && !is_answered(&self.socket)
    }

    /// Makes the lock of `holder`; false if a living process has it. It appears with its content, so
    /// that no other server takes it for a broken one.
    fn lock(&self, holder: u32) -> io::Result<bool> {
        let draft = self.draft(holder)?;
        let made = self.link(&draft);
        fs::remove_file(&draft)?;
        made
    }

    /// Makes the lock that of `holder`, whoever had it.
    fn relabel(&self, holder: u32) -> io::Result<()> {
        fs::rename(self.draft(holder)?, &self.lock)
    }

    fn draft(&self, holder: u32) -> io::Result<PathBuf> {
        let draft = self.lock.with_extension(format!("caraway-{holder}"));
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o444)
            .open(&draft)?;
        if let Err(error) = writeln!(file, "{holder:>10}") {
            let _ = fs::remove_file(&draft);
            return Err(error);
        }
        Ok(draft)
    }

    fn link(&self, draft: &Path) -> io::Result<bool> {
        for _ in 0..2 {
            match fs::hard_link(draft, &self.lock) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            let dead = self.holder().is_none_or(|pid| !is_running(pid));
            if !dead || fs::remove_file(&self.lock).is_err() {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// The pid in the lock: a right-aligned number and a line end.
    fn holder(&self) -> Option<u32> {
        fs::read_to_string(&self.lock).ok()?.trim().parse().ok()
    }

    fn remove_of(&self, holder: u32) {
        if self.holder() == Some(holder) {
            // The socket first: while the lock stands, no other server can have made a new one.
            if fs::symlink_metadata(&self.socket).is_ok_and(|file| is_removable(&file))
                && falls_silent(&self.socket)
            {
                let _ = fs::remove_file(&self.socket);
            }
            let _ = fs::remove_file(&self.lock);
        }
    }
}

/// Binds the abstract address that an X server with this socket would listen on; none if one does.
fn bind_abstract(path: &Path) -> io::Result<Option<OwnedFd>> {
    let fd = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let address = UnixAddr::new_abstract(path.as_os_str().as_encoded_bytes())?;
    match bind(fd.as_raw_fd(), &address) {
        Ok(()) => Ok(Some(fd)),
        Err(Errno::EADDRINUSE) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_removable(file: &fs::Metadata) -> bool {
    let user = nix::unistd::geteuid();
    user.is_root() || file.uid() == user.as_raw()
}

/// Whether a server listens on the socket. One whose queue is full lives, too.
fn is_answered(socket: &Path) -> bool {
    match UnixStream::connect(socket) {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
        ),
    }
}

/// Waits for the server behind the socket to end, as it does with its launcher; false if it lives on.
fn falls_silent(socket: &Path) -> bool {
    let start = Instant::now();
    while is_answered(socket) {
        if start.elapsed() > DYING_MAX {
            return false;
        }
        sleep(DYING_STEP);
    }
    true
}

fn is_running(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().filter(|&pid| pid > 0);
    pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A pid that no process has: above the kernel's largest.
    const NOBODY: u32 = 0x7fff_fff0;

    fn marks(dir: &tempfile::TempDir) -> Marks {
        Marks {
            lock: dir.path().join(".X7-lock"),
            socket: dir.path().join("X7"),
        }
    }

    #[test]
    fn a_living_holder_keeps_its_lock_and_a_dead_one_loses_it() {
        let dir = tempfile::tempdir().unwrap();
        let marks = marks(&dir);
        fs::write(&marks.lock, format!("{NOBODY:>10}\n")).unwrap();
        assert!(marks.lock(std::process::id()).unwrap());
        assert_eq!(fs::read_to_string(&marks.lock).unwrap().len(), 11);
        assert!(!marks.lock(1).unwrap());
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no draft stays"
        );
    }

    #[test]
    fn who_takes_over_has_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let marks = marks(&dir);
        marks.lock(NOBODY).unwrap();
        marks.relabel(std::process::id()).unwrap();
        assert_eq!(marks.holder(), Some(std::process::id()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_socket_is_free_only_without_a_listener() {
        let dir = tempfile::tempdir().unwrap();
        let marks = marks(&dir);
        assert!(marks.is_socket_free());
        let listener = UnixListener::bind(&marks.socket).unwrap();
        assert!(!marks.is_socket_free());
        drop(listener);
        assert!(marks.is_socket_free());
    }

    #[test]
    fn only_the_remains_of_that_very_launcher_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let marks = marks(&dir);
        drop(UnixListener::bind(&marks.socket).unwrap());
        marks.lock(NOBODY).unwrap();
        marks.remove_of(NOBODY - 1);
        assert!(marks.lock.exists() && marks.socket.exists());
        marks.remove_of(NOBODY);
        assert!(!marks.lock.exists() && !marks.socket.exists());
    }

    #[test]
    fn a_socket_that_answers_for_a_moment_still_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let marks = marks(&dir);
        let dying = UnixListener::bind(&marks.socket).unwrap();
        marks.lock(NOBODY).unwrap();
        let end = std::thread::spawn(move || {
            sleep(DYING_STEP * 10);
            drop(dying);
        });
        marks.remove_of(NOBODY);
        end.join().unwrap();
        assert!(!marks.lock.exists() && !marks.socket.exists());
    }

    #[test]
    fn an_abstract_address_is_had_once() {
        let path = PathBuf::from(format!("/caraway-test-{}", std::process::id()));
        let held = bind_abstract(&path).unwrap();
        assert!(held.is_some());
        assert!(bind_abstract(&path).unwrap().is_none());
        drop(held);
        assert!(bind_abstract(&path).unwrap().is_some());
    }
}

//! The lock and the socket of a display whose Xorg was killed before it could remove them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::socket_dir::SOCKET_DIR;

/// Whether an Xorg or another server holds `display` as far as its lock tells.
pub(crate) fn lock_path(display: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/.X{display}-lock"))
}

/// Removes lock and socket of `display` if they are of the Xorg that had the pid `xorg` and has ended.
pub(crate) fn remove_dead(display: u32, xorg: i32) {
    let socket = Path::new(SOCKET_DIR).join(format!("X{display}"));
    remove_dead_at(&lock_path(display), &socket, xorg);
}

fn remove_dead_at(lock: &Path, socket: &Path, xorg: i32) {
    let alive = kill(Pid::from_raw(xorg), None) != Err(Errno::ESRCH);
    // Another server may have the display by now; then the lock names another process.
    let ours = is_own(lock) && holder(lock) == Some(xorg);
    if xorg > 0 && ours && !alive {
        // The socket first: while the lock stands, no other server can have made a new one.
        if is_own(socket) {
            let _ = fs::remove_file(socket);
        }
        let _ = fs::remove_file(lock);
    }
}

/// The pid in an X lock file: a right-aligned number and a line end.
fn holder(lock: &Path) -> Option<i32> {
    fs::read_to_string(lock).ok()?.trim().parse().ok()
}

fn is_own(path: &Path) -> bool {
    let uid = nix::unistd::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(|file| file.uid() == uid && !file.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pid that no process has: above the kernel's largest.
    const NOBODY: i32 = 0x7fff_fff0;

    #[test]
    fn only_the_remains_of_that_very_server_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (lock, socket) = (dir.path().join("lock"), dir.path().join("socket"));
        let write = |pid: i32| {
            fs::write(&lock, format!("{pid:>10}\n")).unwrap();
            fs::write(&socket, "").unwrap();
        };
        let own = i32::try_from(std::process::id()).unwrap();
        write(own);
        remove_dead_at(&lock, &socket, own);
        assert!(lock.exists() && socket.exists(), "the server lives");
        remove_dead_at(&lock, &socket, NOBODY);
        assert!(lock.exists() && socket.exists(), "another server's lock");
        write(NOBODY);
        remove_dead_at(&lock, &socket, NOBODY);
        assert!(!lock.exists() && !socket.exists());
    }
}

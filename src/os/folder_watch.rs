//! Notices what appears in a folder, without looking again and again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::read;

/// Readable when something has been made in a folder or moved there.
#[derive(Debug)]
pub struct FolderWatch {
    events: OwnedFd,
}

impl FolderWatch {
    /// Begins to watch `folder`.
    ///
    /// # Errors
    /// There is no such folder, or the user has no watches left.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(
            folder,
            AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO,
        )?;
        Ok(Self {
            events: inotify.into(),
        })
    }

    /// Forgets what has happened so far; says whether anything has.
    pub fn clear(&self) -> bool {
        let mut events = [0; 4096];
        let mut any = false;
        loop {
            match read(self.events.as_fd(), &mut events) {
                Ok(0) | Err(Errno::EAGAIN) => return any,
                Err(Errno::EINTR) => {}
                Ok(_) => any = true,
                Err(_) => return any,
            }
        }
    }
}

impl AsRawFd for FolderWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.events.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_or_moved_there_is_noticed_once() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let watch = FolderWatch::open(folder.path()).unwrap();
        assert!(!watch.clear());
        std::fs::write(folder.path().join("one"), "").unwrap();
        assert!(watch.clear() && !watch.clear());
        std::fs::remove_file(folder.path().join("one")).unwrap();
        assert!(!watch.clear(), "what goes is no news");
        std::fs::write(other.path().join("two"), "").unwrap();
        assert!(!watch.clear());
        std::fs::rename(other.path().join("two"), folder.path().join("two")).unwrap();
        assert!(watch.clear());
        assert!(FolderWatch::open(&folder.path().join("none")).is_err());
    }
}

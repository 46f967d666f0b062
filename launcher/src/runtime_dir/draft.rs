//! A desktop's directory before it has its name.
//!
//! A directory that is made under its name and locked afterwards can be lost in between: a cleaner takes it for
//! remains, another launcher makes its own there, and both then hold a shared lock on that one. So it is made and
//! locked under a name that nobody else uses, and is renamed only where nothing is.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::is_at;

/// What drafts begin with, which no desktop's name does.
const PREFIX: &str = ".draft-";

/// A locked directory without a name; removed when dropped.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    lock: File,
}

impl Draft {
    /// Makes one in `base`; nothing where a cleaner was quicker than the lock.
    pub(super) fn make(base: &Path) -> io::Result<Option<Self>> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("{PREFIX}{}-{made}", process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        let Ok(lock) = File::open(&path) else {
            return Ok(None);
        };
        let draft = Self { path, lock };
        let is_held = draft.lock.try_lock_shared().is_ok() && is_at(&draft.lock, &draft.path);
        Ok(is_held.then_some(draft))
    }

    /// Gives it the name `path` if there is nothing of that name, and the draft back if there is.
    pub(super) fn place_at(mut self, path: &Path) -> io::Result<Result<File, Self>> {
        match renameat2(
            AT_FDCWD,
            &self.path,
            AT_FDCWD,
            path,
            RenameFlags::RENAME_NOREPLACE,
        ) {
            Ok(()) => {
                // Nothing is left for the drop to remove.
                self.path = PathBuf::new();
                self.lock.try_clone().map(Ok)
            }
            Err(Errno::EEXIST) => Ok(Err(self)),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// Removes the drafts in `base` whose launchers were killed before they had a name.
pub(super) fn remove_dead(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    let is_draft = |name: &OsStr| name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
    for entry in entries
        .flatten()
        .filter(|entry| is_draft(&entry.file_name()))
    {
        let Ok(lock) = File::open(entry.path()) else {
            continue;
        };
        // Held until it is gone: its launcher then sees that it has to make another.
        if !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

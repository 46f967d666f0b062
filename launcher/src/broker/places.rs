//! Where a user's desktop is found: `/run/caraway/users/UID/`, a directory that only the user enters, made by root in
//! one that only root changes. Nobody else can have made the name first, and no record of desktops can be out of date:
//! a desktop is there when it answers.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::User;

/// The directory of the users' directories.
pub(super) const USERS: &str = "/run/caraway/users";

/// Between two looks at a lock that another login holds while it starts the same user's desktop.
const LOCK_LOOK: Duration = Duration::from_millis(50);

/// Makes [`USERS`].
pub(super) fn prepare() -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(USERS)
}

/// The socket of a user's desktop.
pub(super) fn socket(uid: u32) -> PathBuf {
    directory(uid).join("desktop.sock")
}

/// Where the keeper of a user's desktop hears its launcher.
pub(super) fn keeper(uid: u32) -> PathBuf {
    directory(uid).join("keeper.sock")
}

/// The runtime directory of a desktop that is isolated from the user's other sessions.
pub(super) fn isolated(uid: u32) -> PathBuf {
    directory(uid).join("isolated")
}

fn directory(uid: u32) -> PathBuf {
    Path::new(USERS).join(uid.to_string())
}

/// Makes the user's directory, unless it is there.
pub(super) fn make(user: &User) -> io::Result<()> {
    let path = directory(user.uid.as_raw());
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Nobody but root can have put anything there.
    let owner = fs::symlink_metadata(&path)?;
    if owner.uid() != user.uid.as_raw() {
        chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    Ok(())
}

/// Holds off other logins of the same user until it is dropped, so that one desktop is started and not two.
///
/// # Errors
/// `TimedOut` when another one holds it until the deadline.
pub(super) fn lock(uid: u32, deadline: Instant) -> io::Result<File> {
    let path = Path::new(USERS).join(format!("{uid}.lock"));
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOCK_LOOK),
            Err(fs::TryLockError::WouldBlock) => return Err(io::ErrorKind::TimedOut.into()),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
}

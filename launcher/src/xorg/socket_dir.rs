//! `/tmp/.X11-unix`, the directory of all X sockets of the host.
//!
//! It belongs to root and to everybody. In a container or after a clean `/tmp` it may be missing, and
//! Xorg makes it only for root; then the launcher makes it, as other display servers do.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use nix::unistd::{AccessFlags, access};
use thiserror::Error;

/// The directory.
pub(crate) const SOCKET_DIR: &str = "/tmp/.X11-unix";

const SHARED: u32 = 0o1777;

/// Why no X server can be reached on this host.
#[derive(Debug, Error)]
pub(crate) enum SocketDirError {
    #[error("{SOCKET_DIR} cannot be made: {0}; as root: install -d -m 1777 {SOCKET_DIR}")]
    Create(io::Error),
    #[error(
        "{SOCKET_DIR} is not a sticky directory of root that you can write to; as root: \
         chown root:root {SOCKET_DIR} && chmod 1777 {SOCKET_DIR}"
    )]
    Wrong,
}

/// Makes sure that Xorg can make its socket, and that no other user could take it away.
pub(crate) fn ensure() -> Result<(), SocketDirError> {
    ensure_at(Path::new(SOCKET_DIR))
}

fn ensure_at(dir: &Path) -> Result<(), SocketDirError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        // The mode given to mkdir passes the umask, so it is set once more.
        Ok(()) => fs::set_permissions(dir, Permissions::from_mode(SHARED))
            .map_err(SocketDirError::Create)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(SocketDirError::Create(error)),
    }
    let usable = fs::symlink_metadata(dir).is_ok_and(|file| is_safe(&file));
    let writable = access(dir, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    if usable && writable {
        Ok(())
    } else {
        Err(SocketDirError::Wrong)
    }
}

fn is_safe(file: &Metadata) -> bool {
    let owner_trusted = [0, nix::unistd::geteuid().as_raw()].contains(&file.uid());
    let shared_only_sticky = file.mode() & 0o022 == 0 || file.mode() & 0o1000 != 0;
    file.is_dir() && owner_trusted && shared_only_sticky
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_directory_is_made_and_a_wrong_one_refused() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("x");
        ensure_at(&dir).unwrap();
        assert_eq!(dir.metadata().unwrap().mode() & 0o7777, SHARED);
        ensure_at(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(ensure_at(&dir), Err(SocketDirError::Wrong)));
        let link = temp.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(matches!(ensure_at(&link), Err(SocketDirError::Wrong)));
        assert!(matches!(
            ensure_at(&temp.path().join("a/b")),
            Err(SocketDirError::Create(_))
        ));
    }
}

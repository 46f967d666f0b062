//! The base of all desktops of one user: `$XDG_RUNTIME_DIR/caraway`, else `/run/user/UID/caraway`,
//! else `/tmp/caraway-UID`.
//!
//! `/tmp` is shared with hostile users, who may have made the name first. A directory that is ours,
//! is no link and lets nobody else in cannot be swapped by others afterwards (`/tmp` is sticky), so
//! checking it once after making it is enough.

use std::env;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::RuntimeDirError;

/// Path of the base; it may not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base(PathBuf);

impl Base {
    /// The base of this user, made if need be.
    pub(crate) fn create() -> Result<Self, RuntimeDirError> {
        let base = Self(candidate());
        base.ensure()?;
        Ok(base)
    }

    /// The base of this user if there is one and it is safe to use.
    pub(crate) fn find() -> Option<Self> {
        let base = Self(candidate());
        fs::symlink_metadata(&base.0)
            .is_ok_and(|file| is_private(&file))
            .then_some(base)
    }

    #[cfg(test)]
    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn ensure(&self) -> Result<(), RuntimeDirError> {
        match DirBuilder::new().mode(0o700).create(&self.0) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(RuntimeDirError::Create {
                    path: self.0.clone(),
                    source,
                });
            }
            _ => {}
        }
        match fs::symlink_metadata(&self.0) {
            // Another desktop may have ended and taken the empty base with it; the caller tries again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Ok(file) if is_private(&file) => Ok(()),
            _ => Err(RuntimeDirError::NotOurs(self.0.clone())),
        }
    }

    /// Removes the base unless another desktop uses it.
    pub(crate) fn remove_if_empty(&self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn candidate() -> PathBuf {
    let uid = nix::unistd::geteuid().as_raw();
    // After `su` the variable may still name another user's directory: then it is not meant for us.
    let ours = |dir: &PathBuf| dir.is_absolute() && is_owned(dir, uid);
    let system = PathBuf::from(format!("/run/user/{uid}"));
    match env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(ours)
    {
        Some(dir) => dir.join("caraway"),
        None if ours(&system) => system.join("caraway"),
        None => PathBuf::from(format!("/tmp/caraway-{uid}")),
    }
}

fn is_owned(dir: &Path, uid: u32) -> bool {
    fs::metadata(dir).is_ok_and(|file| file.is_dir() && file.uid() == uid)
}

fn is_private(file: &Metadata) -> bool {
    let uid = nix::unistd::geteuid().as_raw();
    file.is_dir() && file.uid() == uid && file.mode() & 0o077 == 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_files_and_open_directories_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| Base::at(temp.path().join(name));
        symlink(temp.path(), at("link").path()).unwrap();
        fs::write(at("file").path(), "").unwrap();
        fs::create_dir(at("open").path()).unwrap();
        fs::set_permissions(at("open").path(), fs::Permissions::from_mode(0o755)).unwrap();
        for bad in ["link", "file", "open"] {
            assert!(
                matches!(at(bad).ensure(), Err(RuntimeDirError::NotOurs(_))),
                "{bad}"
            );
        }
        assert!(matches!(
            at("a/b").ensure(),
            Err(RuntimeDirError::Create { .. })
        ));
    }
}

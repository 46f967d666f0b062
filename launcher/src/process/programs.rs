//! Programs of this host by their names, as a shell finds them.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where programs are, also for whom nobody has given a PATH.
const SYSTEM_DIR: &str = "/usr/bin";

/// The directories of PATH.
pub(crate) fn path_dirs() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).collect()
}

/// The first program of that name in the user's PATH.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    first_in(path_dirs(), name)
}

/// The same, or else the host's own: desktops need it, however they are started.
pub(crate) fn of_host(name: &str) -> Option<PathBuf> {
    let system = PathBuf::from(SYSTEM_DIR);
    first_in(path_dirs().into_iter().chain([system]), name)
}

/// The first program of that name in these directories.
pub(crate) fn first_in(
    dirs: impl IntoIterator<Item = PathBuf>,
    name: impl AsRef<OsStr>,
) -> Option<PathBuf> {
    let mut paths = dirs.into_iter().map(|dir| dir.join(name.as_ref()));
    paths.find(|path| is_program(path))
}

/// Whether there is a program at `path`.
pub(crate) fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| is_executable(&file))
}

/// Whether somebody may execute the file.
pub(crate) fn is_executable(file: &fs::Metadata) -> bool {
    file.is_file() && file.permissions().mode() & 0o111 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_may_be_executed_is_taken() {
        let temp = tempfile::tempdir().unwrap();
        let dirs = ["a", "b", "c"].map(|name| temp.path().join(name));
        for (dir, mode) in dirs.iter().zip([0o644, 0o755, 0o755]) {
            fs::create_dir(dir).unwrap();
            fs::write(dir.join("tool"), "").unwrap();
            let rights = fs::Permissions::from_mode(mode);
            fs::set_permissions(dir.join("tool"), rights).unwrap();
        }
        let found = first_in(dirs.clone(), "tool");
        assert_eq!(found, Some(dirs[1].join("tool")));
        assert_eq!(first_in(dirs, "other"), None);
        assert!(!is_program(temp.path()), "a directory");
    }
}

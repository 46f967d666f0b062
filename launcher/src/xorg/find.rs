//! Where distributions put Xorg and its modules, and where our driver is.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Installation, XorgError};
use crate::process::programs::is_executable;

/// Xorg itself; `/usr/bin/Xorg` may be a script around a setuid wrapper and comes last.
const PROGRAMS: [&str; 5] = [
    "/usr/lib/xorg/Xorg",     // Debian, Ubuntu
    "/usr/libexec/Xorg",      // Fedora, RHEL
    "/usr/lib/Xorg",          // Arch
    "/usr/libexec/xorg/Xorg", // others with a libexec
    "/usr/bin/Xorg",          // openSUSE, Gentoo, Void
];

/// Xorg's module directories.
const MODULE_DIRS: [&str; 3] = [
    "/usr/lib/xorg/modules",
    "/usr/lib64/xorg/modules",
    "/usr/local/lib/xorg/modules",
];

/// File name of the driver.
const DRIVER: &str = "caraway_drv.so";

/// Finds Xorg (or takes `program`) and our driver, `beside` first.
pub(crate) fn installation(
    program: Option<&Path>,
    beside: &Path,
) -> Result<Installation, XorgError> {
    let program = match program {
        Some(path) => checked(path)?,
        None => first_program(PROGRAMS.iter().map(Path::new))?,
    };
    let system: Vec<PathBuf> = MODULE_DIRS
        .iter()
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir())
        .collect();
    Ok(Installation {
        program,
        module_path: module_path(beside, system)?,
    })
}

fn first_program<'a>(candidates: impl Iterator<Item = &'a Path>) -> Result<PathBuf, XorgError> {
    let mut refused = XorgError::Missing;
    for path in candidates.filter(|path| path.exists()) {
        match checked(path) {
            Ok(program) => return Ok(program),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn checked(path: &Path) -> Result<PathBuf, XorgError> {
    let Ok(file) = fs::metadata(path) else {
        return Err(XorgError::NotRunnable(path.into()));
    };
    if !is_executable(&file) {
        return Err(XorgError::NotRunnable(path.into()));
    }
    let other_rights = file.mode() & 0o6000 != 0;
    // Debian's /usr/bin/Xorg becomes a script that runs the setuid Xorg.wrap.
    let runs_wrapper = is_script_with(path, b"Xorg.wrap");
    if other_rights || runs_wrapper {
        Err(XorgError::Wrapper(path.into()))
    } else {
        Ok(path.into())
    }
}

fn is_script_with(path: &Path, word: &[u8]) -> bool {
    let mut start = Vec::new();
    let Ok(file) = fs::File::open(path) else {
        return false;
    };
    let read = file.take(4096).read_to_end(&mut start);
    read.is_ok() && start.starts_with(b"#!") && start.windows(word.len()).any(|w| w == word)
}

fn module_path(beside: &Path, system: Vec<PathBuf>) -> Result<Vec<PathBuf>, XorgError> {
    if beside.join(DRIVER).is_file() {
        return Ok([vec![beside.to_path_buf()], system].concat());
    }
    if system
        .iter()
        .any(|dir| dir.join("drivers").join(DRIVER).is_file())
    {
        return Ok(system);
    }
    Err(XorgError::DriverMissing(beside.into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, content: &str, mode: u32) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn wrappers_with_other_rights_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        write(&path("setuid"), "", 0o4755);
        write(
            &path("script"),
            "#!/bin/sh\nexec \"$basedir\"/Xorg.wrap \"$@\"\n",
            0o755,
        );
        write(&path("plain"), "", 0o644);
        assert!(matches!(
            checked(&path("setuid")),
            Err(XorgError::Wrapper(_))
        ));
        assert!(matches!(
            checked(&path("script")),
            Err(XorgError::Wrapper(_))
        ));
        assert!(matches!(
            checked(&path("plain")),
            Err(XorgError::NotRunnable(_))
        ));
        write(&path("real"), "", 0o755);
        let all = ["none", "setuid", "script", "real"].map(path);
        let found = first_program(all.iter().map(PathBuf::as_path)).unwrap();
        assert_eq!(found, all[3]);
        let none = first_program(all[..1].iter().map(PathBuf::as_path));
        assert!(matches!(none, Err(XorgError::Missing)));
    }

    #[test]
    fn the_driver_beside_us_comes_before_the_installed_one() {
        let dir = tempfile::tempdir().unwrap();
        let (beside, system) = (dir.path().join("bin"), dir.path().join("modules"));
        fs::create_dir_all(&beside).unwrap();
        fs::create_dir_all(system.join("drivers")).unwrap();
        let path = || module_path(&beside, vec![system.clone()]);
        assert!(matches!(path(), Err(XorgError::DriverMissing(_))));
        fs::write(system.join("drivers").join(DRIVER), "").unwrap();
        assert_eq!(path().unwrap(), std::slice::from_ref(&system));
        fs::write(beside.join(DRIVER), "").unwrap();
        assert_eq!(path().unwrap(), [beside.clone(), system.clone()]);
    }
}

//! The folder that uploads go to, and files in it that have no name until they are whole.
//!
//! Where the file system can, a file is made without a name (O_TMPFILE) and linked when all of it is there: whatever
//! ends this process before, nothing is left. Where it cannot (network and FAT file systems), a hidden file under a
//! random name stands in; one that a killed server left is removed when the next one starts.
//!
//! Names are taken by calls that fail where one is there already, so that no file is ever written over.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, IoSlice, Result, Write};
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::Mode;
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

use crate::agent::upload_name::UploadName;
use crate::base::limits::UPLOAD_NAMES_MAX;

/// What stands-in are called, with a random number between.
const STAND_IN: (&str, &str) = (".caraway-upload-", ".part");

/// A stand-in that nobody has written to for so long, and nobody holds, was left behind.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(60);

/// As any program makes a file: the umask takes away what the user wants taken away.
const FILE_MODE: Mode = Mode::from_bits_truncate(0o666);

/// Where a process finds its own descriptors.
const OWN_DESCRIPTORS: &str = "/proc/self/fd";

/// An open folder. Whatever becomes of its path, files go into this one.
#[derive(Debug)]
pub(super) struct UploadFolder {
    folder: OwnedFd,
}

impl UploadFolder {
    /// Opens the folder at `path`. The path may lead over links (people move their folders to other disks), but not
    /// change its mind between being resolved and being opened.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let real = path.canonicalize()?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let folder = openat(AT_FDCWD, &real, flags, Mode::empty())?;
        Ok(Self { folder })
    }

    /// Bytes that this user can still write.
    pub(super) fn free_bytes(&self) -> Result<u64> {
        let about = fstatvfs(&self.folder)?;
        Ok(about
            .blocks_available()
            .saturating_mul(about.fragment_size()))
    }

    /// A new file without a name.
    pub(super) fn create(&self) -> Result<Unnamed> {
        let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        // Without /proc there would be no way to name it.
        if Path::new(OWN_DESCRIPTORS).exists() {
            match openat(&self.folder, ".", flags, FILE_MODE) {
                Ok(file) => return self.unnamed(file, None),
                Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.create_stand_in()
    }

    fn create_stand_in(&self) -> Result<Unnamed> {
        let number = getrandom::u64().map_err(Error::other)?;
        let name = format!("{}{number:016x}{}", STAND_IN.0, STAND_IN.1);
        let flags =
            OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let file = openat(&self.folder, name.as_str(), flags, FILE_MODE)?;
        let unnamed = self.unnamed(file, Some(name))?;
        // Held as long as it is written, so that no other server takes it for left behind. Where locks are not to be
        // had, its age alone protects it.
        let _ = unnamed.file.try_lock();
        Ok(unnamed)
    }

    fn unnamed(&self, file: OwnedFd, stand_in: Option<String>) -> Result<Unnamed> {
        Ok(Unnamed {
            file: file.into(),
            folder: self.folder.try_clone()?,
            stand_in,
        })
    }
}

/// A file that is not whole yet. Nothing of it is left when this is dropped.
#[derive(Debug)]
pub(super) struct Unnamed {
    file: File,
    folder: OwnedFd,
    stand_in: Option<String>,
}

impl Unnamed {
    /// Appends these one behind the other. Returns their bytes.
    pub(super) fn write(&mut self, pieces: &[impl Deref<Target = [u8]>]) -> Result<u64> {
        let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let (mut rest, mut written) = (slices.as_mut_slice(), 0);
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match self.file.write_vectored(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    written += count as u64;
                    IoSlice::advance_slices(&mut rest, count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Gives it the first free of its names and returns that.
    pub(super) fn name(mut self, name: &UploadName) -> Result<String> {
        if self.stand_in.is_some() {
            // Network file systems tell only now what they could not write.
            self.file.sync_data()?;
        }
        for number in 1..=UPLOAD_NAMES_MAX {
            let numbered = name.numbered(number);
            match self.take_name(&numbered) {
                Ok(()) => return Ok(numbered),
                Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    fn take_name(&mut self, name: &str) -> nix::Result<()> {
        let folder = self.folder.as_fd();
        let Some(stand_in) = self.stand_in.as_deref() else {
            let own = format!("{OWN_DESCRIPTORS}/{}", self.file.as_raw_fd());
            return linkat(
                AT_FDCWD,
                own.as_str(),
                folder,
                name,
                AtFlags::AT_SYMLINK_FOLLOW,
            );
        };
        let flags = RenameFlags::RENAME_NOREPLACE;
        match renameat2(folder, stand_in, folder, name, flags) {
            // Network file systems cannot rename so, but link.
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                linkat(folder, stand_in, folder, name, AtFlags::empty())
            }
            Ok(()) => {
                self.stand_in = None;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if let Some(stand_in) = &self.stand_in {
            let removed = unlinkat(&self.folder, stand_in.as_str(), UnlinkatFlags::NoRemoveDir);
            if let Err(error) = removed {
                tracing::warn!(%error, file = stand_in, "part of an upload stays behind");
            }
        }
    }
}

/// Removes what killed servers have left in the folder at `path`.
pub(super) fn remove_left_behind(path: &Path) -> Result<()> {
    for entry in path.read_dir()?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(STAND_IN.0) && name.ends_with(STAND_IN.1) && is_left(&entry.path()) {
            tracing::info!(file = %name, "removing part of an upload that was never whole");
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_left(path: &PathBuf) -> bool {
    let mut options = OpenOptions::new();
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let Ok(file) = options.write(true).custom_flags(flags.bits()).open(path) else {
        return false;
    };
    let modified = file.metadata().and_then(|about| about.modified());
    let is_old = modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| LEFT_BEHIND_AFTER < age));
    is_old && file.try_lock().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn entries(path: &Path) -> Vec<String> {
        let mut names: Vec<String> = path
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn named(name: &str) -> UploadName {
        UploadName::new(name.as_bytes()).unwrap()
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let folder = UploadFolder::open(place.path()).unwrap();
        for make in [UploadFolder::create, UploadFolder::create_stand_in] {
            let mut file = make(&folder).unwrap();
            file.write(&[b"half".as_slice()]).unwrap();
            let visible = |names: Vec<String>| names.iter().any(|name| !name.starts_with('.'));
            assert!(!visible(entries(place.path())));
            drop(file);
            assert_eq!(entries(place.path()), [""; 0], "nothing is left");
        }
        for (number, make) in [UploadFolder::create, UploadFolder::create_stand_in]
            .into_iter()
            .enumerate()
        {
            let mut file = make(&folder).unwrap();
            file.write(&[b"".as_slice(), b"whole "]).unwrap();
            file.write(&[b"fi".as_slice(), b"", b"le"]).unwrap();
            let name = file.name(&named("a.txt")).unwrap();
            assert_eq!(name, ["a.txt", "a (2).txt"][number]);
            assert_eq!(
                std::fs::read(place.path().join(name)).unwrap(),
                b"whole file"
            );
        }
        assert_eq!(entries(place.path()), ["a (2).txt", "a.txt"]);
        let about = place.path().join("a.txt").metadata().unwrap();
        assert_eq!(
            about.permissions().mode() & 0o7133,
            0,
            "neither run nor written by others"
        );
    }

    #[test]
    fn no_file_link_or_folder_is_written_over() {
        let (place, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = outside.path().join("target");
        std::fs::write(place.path().join("x"), "mine").unwrap();
        symlink(&target, place.path().join("x (2)")).unwrap();
        std::fs::create_dir(place.path().join("x (3)")).unwrap();
        let folder = UploadFolder::open(place.path()).unwrap();
        for (number, make) in [UploadFolder::create, UploadFolder::create_stand_in]
            .into_iter()
            .enumerate()
        {
            let name = make(&folder).unwrap().name(&named("x")).unwrap();
            assert_eq!(name, ["x (4)", "x (5)"][number]);
        }
        assert_eq!(std::fs::read(place.path().join("x")).unwrap(), b"mine");
        assert!(!target.exists());
    }

    #[test]
    fn a_folder_that_is_moved_or_linked_is_the_same_folder() {
        let place = tempfile::tempdir().unwrap();
        let (real, link) = (place.path().join("real"), place.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        let folder = UploadFolder::open(&link).unwrap();
        let file = folder.create().unwrap();
        let moved = place.path().join("moved");
        std::fs::rename(&real, &moved).unwrap();
        file.name(&named("x")).unwrap();
        assert_eq!(entries(&moved), ["x"]);
        assert!(UploadFolder::open(&link).is_err(), "leads nowhere now");
        assert!(UploadFolder::open(&moved.join("x")).is_err(), "no folder");
        assert!(folder.free_bytes().unwrap() > 0);
    }

    #[test]
    fn only_old_parts_that_nobody_holds_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let folder = UploadFolder::open(place.path()).unwrap();
        let old = std::time::SystemTime::now() - 2 * LEFT_BEHIND_AFTER;
        let part = |name: &str| {
            place
                .path()
                .join(format!("{}{name}{}", STAND_IN.0, STAND_IN.1))
        };
        for (name, age) in [("left", old), ("young", std::time::SystemTime::now())] {
            let file = File::create(part(name)).unwrap();
            file.set_modified(age).unwrap();
        }
        std::fs::write(place.path().join("mine.part"), "").unwrap();
        let held = folder.create_stand_in().unwrap();
        held.file.set_modified(old).unwrap();
        assert_eq!(entries(place.path()).len(), 4);
        remove_left_behind(place.path()).unwrap();
        assert!(!part("left").exists() && part("young").exists());
        assert_eq!(entries(place.path()).len(), 3);
        drop(held);
        assert_eq!(entries(place.path()).len(), 2);
    }
}

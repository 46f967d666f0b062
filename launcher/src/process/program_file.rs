//! Whether the program that a process runs has been replaced since: a package puts a new file in the old one's place.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What the kernel appends to the name of a program whose file is gone.
const DELETED: &str = " (deleted)";

/// This process's program, whatever is at its path now.
const OWN: &str = "/proc/self/exe";

/// A program's file as it was when a process of it was started. While the process runs the number is nobody else's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProgramFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl ProgramFile {
    /// The one at `path` now.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        Self::of(path, path)
    }

    /// This process's.
    pub(crate) fn own() -> Option<Self> {
        let path = without_mark(&fs::read_link(OWN).ok()?);
        Self::of(&path, Path::new(OWN))
    }

    /// Whether another program is at its path now. One that is gone has not been replaced.
    pub(crate) fn is_replaced(&self) -> bool {
        Self::at(&self.path).is_some_and(|now| now != *self)
    }

    fn of(path: &Path, file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        Some(Self {
            path: path.into(),
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// Where a program's file was.
pub(crate) fn without_mark(own: &Path) -> PathBuf {
    let path = own.to_str().and_then(|path| path.strip_suffix(DELETED));
    path.map_or_else(|| own.to_path_buf(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_is_known_by_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, "one").unwrap();
        // The number of a file that is held is not used again.
        let held = fs::File::open(&path).unwrap();
        let file = ProgramFile::at(&path).unwrap();
        assert!(!file.is_replaced());
        let draft = dir.path().join("draft");
        fs::write(&draft, "two").unwrap();
        fs::rename(&draft, &path).unwrap();
        assert!(file.is_replaced());
        assert!(!ProgramFile::at(&path).unwrap().is_replaced());
        fs::remove_file(&path).unwrap();
        assert!(!file.is_replaced(), "there is nothing newer");
        drop(held);
        assert!(!ProgramFile::own().unwrap().is_replaced());
    }

    #[test]
    fn a_replaced_program_is_looked_for_where_it_was() {
        for own in ["/x/caraway (deleted)", "/x/caraway"] {
            assert_eq!(without_mark(Path::new(own)), Path::new("/x/caraway"));
        }
    }
}

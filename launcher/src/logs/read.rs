//! Reads a kept file while it grows and is replaced.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::file::earlier;

/// Bytes of a moment at the beginning of a line, the space behind it not counted.
const STAMP_BYTES: usize = "2026-01-01T00:00:00.000Z".len();

/// A kept line without its moment.
pub(crate) fn without_stamp(line: &str) -> &str {
    split(line).map_or(line, |(_, text)| text)
}

/// The moment of a kept line, and the line; none if it is not kept by us.
pub(super) fn split(line: &str) -> Option<(&str, &str)> {
    let (stamp, text) = line.split_at_checked(STAMP_BYTES)?;
    (stamp.ends_with('Z')).then_some((stamp, text.strip_prefix(' ')?))
}

/// One part's file, as far as it has been read.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    file: Option<File>,
    /// Bytes of a line that is still being written.
    begun: Vec<u8>,
}

impl Tail {
    /// At the beginning of what is kept.
    pub(super) fn of(path: PathBuf) -> Self {
        Self {
            file: File::open(earlier(&path)).ok(),
            path,
            begun: Vec::new(),
        }
    }

    /// Hands what has been written since to `each`, line by line.
    pub(super) fn read(&mut self, mut each: impl FnMut(&str)) -> io::Result<()> {
        loop {
            // Asked first: a file that was replaced before it is read to its end grows no more.
            let replaced = !self.is_current();
            if let Some(file) = &mut self.file {
                file.read_to_end(&mut self.begun)?;
            }
            let end = self.begun.iter().rposition(|&byte| byte == b'\n');
            let whole: Vec<u8> = self.begun.drain(..end.map_or(0, |end| end + 1)).collect();
            String::from_utf8_lossy(&whole).lines().for_each(&mut each);
            if !replaced {
                return Ok(());
            }
            let Some(next) = open(&self.path) else {
                return Ok(());
            };
            self.file = Some(next);
        }
    }

    /// Whether the file that is read is the one that is written.
    fn is_current(&self) -> bool {
        let Some(open) = self.file.as_ref().and_then(|file| file.metadata().ok()) else {
            return false;
        };
        std::fs::metadata(&self.path)
            .is_ok_and(|named| (open.dev(), open.ino()) == (named.dev(), named.ino()))
    }
}

fn open(path: &Path) -> Option<File> {
    File::open(path).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_read_on_while_it_grows_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        fs::write(earlier(&path), "1\n").unwrap();
        fs::write(&path, "2\n3").unwrap();
        let mut tail = Tail::of(path.clone());
        let mut read = || {
            let mut lines = Vec::new();
            tail.read(|line| lines.push(line.to_owned())).unwrap();
            lines
        };
        assert_eq!(read(), ["1", "2"]);
        assert!(read().is_empty(), "the line has no end yet");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"3\n4\n").unwrap();
        assert_eq!(read(), ["33", "4"]);
        file.write_all(b"5\n").unwrap();
        fs::rename(&path, earlier(&path)).unwrap();
        fs::write(&path, "6\n").unwrap();
        assert_eq!(read(), ["5", "6"]);
        fs::remove_file(&path).unwrap();
        assert!(read().is_empty());
    }

    #[test]
    fn moments_are_taken_off_and_nothing_else() {
        assert_eq!(without_stamp("2026-01-01T00:00:00.000Z a b"), "a b");
        assert_eq!(without_stamp("2026-01-01T00:00:00.000Z "), "");
        for foreign in ["", "a", "2026-01-01T00:00:00.000Zx", "äöüäöüäöüäöüäöü"] {
            assert_eq!(without_stamp(foreign), foreign);
        }
    }
}

//! A file of limited size that keeps the newest lines: when it is full it takes the place of the one before it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::moment;

/// Bytes of a file. There are two of it, and five such pairs to a desktop, in memory where the runtime directory is.
const LOG_BYTES_MAX: u64 = 512 * 1024;

/// A file that several write lines to.
#[derive(Clone, Debug)]
pub(crate) struct SharedLog(Arc<Mutex<Log>>);

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl SharedLog {
    /// The file at `path`, a new one where there is none.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, LOG_BYTES_MAX)
    }

    fn with_limit(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let file = new_file(path)?;
        Ok(Self(Arc::new(Mutex::new(Log {
            path: path.into(),
            bytes: file.metadata()?.len(),
            file,
            bytes_max,
        }))))
    }

    /// Keeps one line with the moment before it. Where nothing can be written, as on a full disk, it is lost.
    pub(crate) fn line(&self, line: &[u8]) {
        let stamp = moment::rfc3339_ms(SystemTime::now());
        let text =
            String::from_utf8_lossy(line).replace(|c: char| c.is_control() && c != '\t', " ");
        let line = format!("{stamp} {text}\n");
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = log.append(line.as_bytes());
    }
}

impl Log {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if self.bytes_max < self.bytes + length {
            fs::rename(&self.path, earlier(&self.path))?;
            self.file = new_file(&self.path)?;
            self.bytes = 0;
        }
        self.bytes += length;
        self.file.write_all(line)
    }
}

/// Where the full file goes that stood at `path`.
pub(super) fn earlier(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".1");
    name.into()
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_full_file_takes_the_place_of_the_one_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let log = SharedLog::with_limit(&path, 1000).unwrap();
        for n in 0..200 {
            log.line(format!("line {n}").as_bytes());
        }
        let [old, new] = [earlier(&path), path].map(|path| {
            let file = fs::metadata(&path).unwrap();
            assert!(file.len() <= 1000);
            assert_eq!(file.mode() & 0o777, 0o600);
            fs::read_to_string(&path).unwrap()
        });
        let text = old + &new;
        assert!(text.ends_with(" line 199\n"));
        assert!(20 < text.lines().count() && !text.contains("line 100\n"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}

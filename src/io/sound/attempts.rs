//! When to try again to reach a daemon that is not there.
//!
//! Ever later, up to [`PAUSE_MAX`], so that a desktop without a daemon costs nothing; and at once when its socket
//! appears, so that sound is back with the daemon however long that was gone.

use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use crate::os::{FolderWatch, Watched};

/// Pauses between attempts double from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// From this pause on the daemon is not being started but missing.
const MISSING: Duration = Duration::from_secs(1);

/// Time that a daemon has between making its socket and listening there.
const SETTLE: Duration = Duration::from_millis(20);

/// The pauses.
#[derive(Debug)]
pub(super) struct Attempts {
    pause: Duration,
    complained: bool,
}

impl Attempts {
    pub(super) const fn new() -> Self {
        Self {
            pause: PAUSE_MIN,
            complained: false,
        }
    }

    /// The daemon was there.
    pub(super) const fn succeeded(&mut self) {
        *self = Self::new();
    }

    /// Whether a failure is to be told: once, and not of a daemon that is being started.
    pub(super) fn is_news(&mut self) -> bool {
        MISSING <= self.pause && !std::mem::replace(&mut self.complained, true)
    }

    /// Waits until it is time for the next attempt to reach the daemon at `socket`.
    pub(super) async fn wait(&mut self, socket: &Path) {
        if timeout(self.pause, appears(socket)).await.is_ok() {
            sleep(SETTLE).await;
            self.pause = PAUSE_MIN;
        } else {
            self.grow();
        }
    }

    fn grow(&mut self) {
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

/// Waits until something is made where `socket` lies and it answers; for ever where that cannot be watched.
async fn appears(socket: &Path) {
    let folder = socket.parent().unwrap_or(Path::new("."));
    let Ok(watch) = FolderWatch::open(folder).and_then(Watched::new) else {
        return std::future::pending().await;
    };
    loop {
        let Ok(mut ready) = watch.readable().await else {
            return std::future::pending().await;
        };
        ready.clear_ready();
        let changed = watch.get_ref().clear();
        // It may have been made before it was watched for: that is what the first pauses are for.
        if changed && socket.exists() {
            // What else happens in its folder is not worth an attempt.
            sleep(SETTLE).await;
            if UnixStream::connect(socket).await.is_ok() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn a_daemon_that_comes_back_is_noticed_however_long_it_was_gone() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("native");
        let mut attempts = Attempts {
            pause: PAUSE_MAX,
            complained: true,
        };
        let path = socket.clone();
        let daemon = async move {
            sleep(Duration::from_millis(50)).await;
            std::fs::write(path.with_extension("other"), "").unwrap();
            sleep(Duration::from_millis(50)).await;
            std::os::unix::net::UnixListener::bind(&path).unwrap()
        };
        let began = Instant::now();
        let ((), _listener) = tokio::join!(attempts.wait(&socket), daemon);
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(attempts.pause, PAUSE_MIN);
    }

    #[test]
    fn pauses_grow_and_one_failure_is_told() {
        let mut attempts = Attempts::new();
        let (mut told, mut waits, mut passed) = (0, 0, Duration::ZERO);
        while passed < Duration::from_secs(600) {
            told += u32::from(attempts.is_news());
            passed += attempts.pause;
            attempts.grow();
            waits += 1;
        }
        assert_eq!(told, 1);
        assert!(waits < 35, "{waits} attempts in ten minutes");
        attempts.succeeded();
        assert!(!attempts.is_news(), "it is being started");
    }
}

//! How long to wait before what ended is started again: a server, the session's sound daemon.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// What ran this long had started well: the next pause is the first again.
const WELL: Duration = Duration::from_secs(30);

/// Pauses that double from 100 ms to 5 s.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The pause after what ran for `ran`.
    pub(crate) fn pause_after(&mut self, ran: Duration) -> Duration {
        if ran >= WELL {
            self.next = FIRST;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        pause
    }
}

//! The signals by which a user ends a desktop.

use std::fs;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP, number 1, in the masks of proc(5), whose lowest bit is signal 1.
const HANGUP_BIT: u64 = 1;

/// SIGTERM, SIGINT and SIGHUP, from the moment this exists.
#[derive(Debug)]
pub(super) struct Interrupts {
    terminate: Signal,
    interrupt: Signal,
    /// None under nohup(1), whose user wants the desktop to outlive the terminal.
    hangup: Option<Signal>,
}

impl Interrupts {
    pub(super) fn new() -> io::Result<Self> {
        let ignored = ignored_signals(&fs::read_to_string("/proc/self/status")?);
        let hangup = if ignored & HANGUP_BIT == 0 {
            Some(signal(SignalKind::hangup())?)
        } else {
            None
        };
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup,
        })
    }

    /// Waits for the next of them. May be cancelled.
    pub(super) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hangup => {}
        }
    }
}

/// The mask of ignored signals in a text of proc(5) `status`.
fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_seen() {
        assert_eq!(
            ignored_signals("Name:\tx\nSigIgn:\t0000000000001001\n") & HANGUP_BIT,
            1
        );
        assert_eq!(
            ignored_signals("SigIgn:\t0000000000001000\n") & HANGUP_BIT,
            0
        );
        assert_eq!(ignored_signals(""), 0);
    }
}

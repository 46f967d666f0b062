//! Collects every child of this process, those it inherited as well.
//!
//! A process that takes in orphans (PR_SET_CHILD_SUBREAPER) must wait for all of its children, so there
//! is one reaper and nobody else waits. A pid stays valid until `next` has returned it.

use std::collections::VecDeque;
use std::fmt;
use std::io;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this exit status.
    Exited(i32),
    /// By the signal of this number.
    Killed(i32),
    /// It was not our child, or nobody watched: how is not known.
    Unseen,
}

impl Ended {
    /// The exit status as a shell would give it.
    pub(crate) fn shell_status(self) -> u8 {
        match self {
            Self::Exited(status) => u8::try_from(status).unwrap_or(u8::MAX),
            Self::Killed(signal) => u8::try_from(signal + 128).unwrap_or(u8::MAX),
            Self::Unseen => u8::MAX,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exit status {status}"),
            Self::Killed(signal) => write!(f, "signal {signal}"),
            Self::Unseen => f.write_str("nobody saw how"),
        }
    }
}

/// The stream of ended children.
#[derive(Debug)]
pub(crate) struct Reaper {
    child_ended: Signal,
    ended: VecDeque<(Pid, Ended)>,
}

impl Reaper {
    /// Starts to collect; has to exist before the first child does.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            child_ended: signal(SignalKind::child())?,
            ended: VecDeque::new(),
        })
    }

    /// Waits for the next child that ends. May be cancelled.
    pub(crate) async fn next(&mut self) -> (Pid, Ended) {
        loop {
            self.collect();
            if let Some(child) = self.ended.pop_front() {
                return child;
            }
            self.child_ended.recv().await;
        }
    }

    fn collect(&mut self) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) => {
                    self.ended.push_back((pid, Ended::Exited(status)));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    self.ended.push_back((pid, Ended::Killed(signal as i32)));
                }
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

//! Processes that another launcher started and this one takes over.
//!
//! They are nobody's children any more, so a pid could be another's by now. A process is known by its pid together with
//! the moment it was started, and held by a descriptor of the kernel's that cannot come to mean another one.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid};
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::strays::parent_of;

/// Which process was meant, for as long as the host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its number.
    pub(crate) pid: i32,
    /// Clock ticks from the host's start to its own.
    started_ticks: u64,
}

impl Identity {
    /// The process that has `pid` now.
    pub(crate) fn of(pid: Pid) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self {
            pid: pid.as_raw(),
            started_ticks: started_in(&stat)?,
        })
    }

    /// Whether this process has to wait for it.
    pub(crate) fn is_child(&self) -> bool {
        parent_of(Pid::from_raw(self.pid)) == Some(getpid())
    }
}

/// A process that is held.
#[derive(Clone, Debug)]
pub(crate) struct Adopted(Arc<OwnedFd>);

impl Adopted {
    /// Takes hold of a process; none if it has ended.
    pub(crate) fn take(identity: Identity) -> Option<Self> {
        let pid = rustix::process::Pid::from_raw(identity.pid)?;
        let held = pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?;
        // Looked at when it is held: from here on the number is its own.
        let now = Identity::of(Pid::from_raw(identity.pid));
        (now == Some(identity)).then(|| Self(Arc::new(held)))
    }

    /// Sends a signal; one that has ended gets none.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
            let _ = pidfd_send_signal(&self.0, signal);
        }
    }

    /// Whether it ends by then.
    pub(crate) fn ends_by(&self, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut watched = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match poll(&mut watched, left) {
                Ok(ready) => return ready != 0,
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Waits for its end.
    #[expect(
        deprecated,
        reason = "what it warns of are descriptors that do not stay open; this one is owned"
    )]
    pub(crate) async fn ended(self) -> io::Result<()> {
        let watched = AsyncFd::with_interest(self.0, Interest::READABLE)?;
        watched.readable().await.map(drop)
    }
}

/// Field 22 of a line of proc(5) `stat`: the twentieth behind the name, which may hold anything.
fn started_in(stat: &str) -> Option<u64> {
    let behind_name = stat.get(stat.rfind(')')? + 1..)?;
    behind_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_held_signalled_and_seen_to_end() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let identity = Identity::of(pid).unwrap();
        assert!(identity.is_child());
        let held = Adopted::take(identity).unwrap();
        let another = Identity {
            started_ticks: identity.started_ticks + 1,
            ..identity
        };
        assert!(
            Adopted::take(another).is_none(),
            "the number alone is nothing"
        );
        assert!(!held.ends_by(Instant::now()), "it sleeps");
        held.signal(Signal::SIGKILL);
        assert!(held.ends_by(Instant::now() + std::time::Duration::from_secs(10)));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(held.ended()).unwrap();
        child.wait().unwrap();
        assert!(Adopted::take(identity).is_none());
    }

    #[test]
    fn the_start_is_found_behind_any_name() {
        let rest = "S 1 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 777 1 1";
        assert_eq!(started_in(&format!("9 (a) b) {rest}")), Some(777));
        assert_eq!(started_in("9 (a) S 1"), None);
    }
}

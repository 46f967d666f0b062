//! Ends what a desktop's programs left running.
//!
//! Programs detach themselves; as their "subreaper" this process inherits them when their parents end.
//! Only children of our own are signalled, whose pids cannot have been reused; ending those hands us
//! their children, until none is left.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use tokio::time::{Instant, timeout};

use super::reaper::Reaper;

/// How often the list of children is read again while they end.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Time in which a killed process has to be gone; one that waits for a dead disk is left alone.
const KILL_DEADLINE: Duration = Duration::from_secs(2);

/// Asks all children but those of `keep` to end, and kills those that have not after `grace`.
pub(crate) async fn end(reaper: &mut Reaper, keep: &[Pid], grace: Duration) {
    if !end_with(reaper, keep, Signal::SIGTERM, grace).await {
        end_with(reaper, keep, Signal::SIGKILL, KILL_DEADLINE).await;
    }
}

async fn end_with(reaper: &mut Reaper, keep: &[Pid], signal: Signal, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    let mut told: Vec<Pid> = Vec::new();
    loop {
        let children = children_except(keep);
        if children.is_empty() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        for &child in children.iter().filter(|child| !told.contains(child)) {
            let _ = kill(child, signal);
            // A stopped process sees no signal but this one.
            let _ = kill(child, Signal::SIGCONT);
        }
        told = children;
        let _ = timeout(LOOK_AGAIN, reaper.next()).await;
    }
}

fn children_except(keep: &[Pid]) -> Vec<Pid> {
    let own = getpid();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.map(Pid::from_raw)
        .filter(|pid| !keep.contains(pid) && parent_of(*pid) == Some(own))
        .collect()
}

/// The process that waits for `pid`.
pub(super) fn parent_of(pid: Pid) -> Option<Pid> {
    parent_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The parent in a line of proc(5) `stat`: the second field behind the name, which stands in
/// parentheses and may hold anything.
fn parent_in(stat: &str) -> Option<Pid> {
    let behind_name = &stat[stat.rfind(')')? + 1..];
    behind_name
        .split_ascii_whitespace()
        .nth(1)?
        .parse()
        .ok()
        .map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_in("12 (sh) S 7 12 12 0"), Some(Pid::from_raw(7)));
        assert_eq!(
            parent_in("12 (a) R 1 (b) S 9 12 12 0"),
            Some(Pid::from_raw(9))
        );
        assert_eq!(parent_in("12 (sh"), None);
        assert_eq!(parent_in(""), None);
    }
}

//! What proc(5) tells of a process: the time it has computed, and its memory.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::unistd::{SysconfVar, Uid, User, sysconf};

/// What a process has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// The process.
    pub(super) pid: i32,
    /// Time on all processors since it started, in clock ticks.
    pub(super) ticks: u64,
    /// Memory that it holds now, what it shares with others too, in bytes.
    pub(super) memory_bytes: u64,
}

impl Usage {
    /// What the process `pid` has used; none if there is none.
    pub(super) fn of(pid: i32) -> Option<Self> {
        Some(Self {
            pid,
            ticks: ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?,
            memory_bytes: resident_bytes(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)?,
        })
    }
}

/// Clock ticks of a second.
pub(super) fn ticks_per_second() -> u64 {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    ticks.and_then(|ticks| ticks.try_into().ok()).unwrap_or(100)
}

/// The name of the user whose process `pid` is, or the number if it has none.
pub(super) fn user(pid: i32) -> Option<String> {
    // What is not dumpable belongs to root in parts; its status names the user all the same.
    let uid = match fs::read_to_string(format!("/proc/{pid}/status")) {
        Ok(status) => field(&status, "Uid:")?.parse().ok()?,
        Err(_) => fs::metadata(format!("/proc/{pid}")).ok()?.uid(),
    };
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    Some(user.map_or_else(|| uid.to_string(), |user| user.name))
}

/// utime and stime of a line of `stat`: the 12th and 13th field behind the name, which stands in parentheses and may
/// hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let behind_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = behind_name.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    next()?.checked_add(next()?)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let kibibytes: u64 = field(status, "VmRSS:")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The first word behind `name` in a text of `status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let stat = "7 (a) R 1 (b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 9 0 0";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("7 (a) S 1 7 7"), None);
        assert_eq!(ticks("7 (a"), None);
        let status = "Name:\tx\nUid:\t1000\t1000\nVmRSS:\t    2048 kB\n";
        assert_eq!(resident_bytes(status), Some(2 * 1024 * 1024));
        assert_eq!(field(status, "Uid:"), Some("1000"));
        assert_eq!(resident_bytes("Name:\tkthread\n"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let own = i32::try_from(std::process::id()).unwrap();
        let usage = Usage::of(own).unwrap();
        assert!(1024 * 1024 < usage.memory_bytes, "{usage:?}");
        assert!(user(own).is_some());
        assert_eq!(Usage::of(-1), None);
        assert!(0 < ticks_per_second());
    }
}

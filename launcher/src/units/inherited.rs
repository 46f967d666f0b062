//! Descriptors that this process was started with: sockets of a `.socket` unit, and what a launcher before it had.
//!
//! systemd passes them from number 3 on and names them (sd_listen_fds_with_names(3)). A launcher that becomes a newer
//! program leaves them where they are and says their numbers in the handover. Either way a number is all there is; a
//! descriptor is made of it by the kernel's own means of fetching one from a process, here from this one.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{OwnedFd, RawFd};

use nix::unistd::close;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use super::handover::Handover;

/// The first number that systemd passes.
const FIRST_FD: RawFd = 3;

/// Descriptors taken at most; systemd keeps as many as the unit says.
const FDS_MAX: i32 = 1024;

/// The verb of a launcher that goes on from another: `__resume FD`.
pub(crate) const RESUME: &str = "__resume";

/// Names of descriptors that a launcher keeps; sockets of units have others.
pub(crate) const KEPT: &str = "caraway-kept-";

/// All of them, by their names.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// What a launcher before this one kept.
    pub(crate) kept: BTreeMap<String, OwnedFd>,
    /// Sockets of units.
    pub(crate) sockets: Vec<OwnedFd>,
    /// What the launcher before this one was at, if there was one.
    pub(crate) handover: Option<Handover>,
}

impl Inherited {
    /// Takes what `words`, the command line, and the environment tell of. Has to be called before anything is opened.
    pub(crate) fn take(words: &[OsString]) -> io::Result<Self> {
        let mut inherited = Self::default();
        if words.get(1).map(OsString::as_os_str) == Some(OsStr::new(RESUME)) {
            inherited.take_from_ourselves(words.get(2))?;
            return Ok(inherited);
        }
        for (name, number) in passed(|name| env::var(name).ok()) {
            let fd = adopt(number)?;
            match name.strip_prefix(KEPT) {
                Some(name) => drop(inherited.kept.insert(name.to_owned(), fd)),
                None => inherited.sockets.push(fd),
            }
        }
        inherited.handover = Handover::newest(&inherited.kept);
        Ok(inherited)
    }

    fn take_from_ourselves(&mut self, number: Option<&OsString>) -> io::Result<()> {
        let number = number.and_then(|number| number.to_str()?.parse().ok());
        let memory = adopt(number.ok_or(io::ErrorKind::InvalidInput)?)?;
        let handover = Handover::read(&memory)?;
        for (name, number) in &handover.numbers {
            self.kept.insert(name.clone(), adopt(*number)?);
        }
        self.handover = Some(handover);
        Ok(())
    }
}

/// Whether descriptors can be taken by their numbers here: some containers forbid it.
pub(crate) fn is_possible() -> bool {
    own_fd(FIRST_FD - 1).is_ok()
}

/// The descriptor `number`, which nobody else in this process knows of; closed under the old number.
fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    if number < FIRST_FD {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let fd = own_fd(number)?;
    close(number)?;
    Ok(fd)
}

fn own_fd(number: RawFd) -> io::Result<OwnedFd> {
    let ourselves = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(ourselves, number, PidfdGetfdFlags::empty())?)
}

/// Names and numbers of what systemd passes to this process.
fn passed(variable: impl Fn(&str) -> Option<String>) -> Vec<(String, RawFd)> {
    let number = |name: &str| variable(name)?.parse::<i32>().ok();
    if number("LISTEN_PID") != i32::try_from(std::process::id()).ok() {
        return Vec::new();
    }
    let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, FDS_MAX);
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').map(str::to_owned);
    let names = names.chain(std::iter::repeat_with(String::new));
    names.zip(FIRST_FD..FIRST_FD + count).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::IntoRawFd;

    use super::*;

    #[test]
    fn only_what_is_meant_for_this_process_is_taken() {
        let own = std::process::id().to_string();
        let of = |pid: &str| {
            let pid = pid.to_owned();
            passed(move |name| match name {
                "LISTEN_PID" => Some(pid.clone()),
                "LISTEN_FDS" => Some("3".into()),
                "LISTEN_FDNAMES" => Some("caraway.socket:caraway-kept-lock".into()),
                _ => None,
            })
        };
        assert!(of("1").is_empty());
        let names = ["caraway.socket", "caraway-kept-lock", ""].map(str::to_owned);
        assert!(of(&own).into_iter().eq(names.into_iter().zip(3..)));
        assert!(passed(|_| None).is_empty());
    }

    #[test]
    fn a_number_becomes_a_descriptor() {
        let number = File::open("/dev/null").unwrap().into_raw_fd();
        let fd = adopt(number).unwrap();
        let read = std::fs::read_link(format!("/proc/self/fd/{}", fd.into_raw_fd()));
        assert_eq!(read.unwrap().to_str(), Some("/dev/null"));
        assert!(is_possible() && adopt(1 << 29).is_err() && adopt(0).is_err());
    }
}

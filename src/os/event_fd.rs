//! The eventfd by which the producer wakes us.
//!
//! It is watched edge-triggered and never read: each write is an edge, and the counter cannot overflow in the life
//! of a desktop. That saves a system call a wake-up, and a producer cannot make us block in a read by clearing
//! O_NONBLOCK, a flag that lies in the open file that both sides share.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// What /proc says of an eventfd.
const LINK: &str = "anon_inode:[eventfd]";

/// An eventfd of another process, owned.
#[derive(Debug)]
pub struct EventFd {
    fd: OwnedFd,
}

/// The descriptor is not what it should be: the other process's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the descriptor is no eventfd")]
pub struct NotAnEventFd;

impl EventFd {
    /// Takes the descriptor if it is an eventfd. Watching a file of a user's own file system could wait for that
    /// user, so this asks /proc, which does not.
    pub fn new(fd: OwnedFd) -> Result<Self, NotAnEventFd> {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        match link {
            Ok(target) if target.as_os_str() == LINK => Ok(Self { fd }),
            _ => Err(NotAnEventFd),
        }
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_eventfd_is_one() {
        let event = nix::sys::eventfd::EventFd::new().unwrap();
        assert!(EventFd::new(event.as_fd().try_clone_to_owned().unwrap()).is_ok());
        let (pipe, _other) = nix::unistd::pipe().unwrap();
        assert_eq!(EventFd::new(pipe).err(), Some(NotAnEventFd));
        let file = std::fs::File::open("/dev/zero").unwrap();
        assert_eq!(EventFd::new(file.into()).err(), Some(NotAnEventFd));
    }
}

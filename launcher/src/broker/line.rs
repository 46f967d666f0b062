//! The gateway's line, as a process that has nothing else to do reads and writes it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use caraway_server::gateway::broker::{DATAGRAM_BYTES_MAX, Reply, Request};
use caraway_server::os::{ReceiveError, Received, SeqPacket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use zeroize::Zeroizing;

/// Standard input, where the line is.
pub(super) struct Line(SeqPacket);

impl Line {
    /// Takes standard input.
    pub(super) fn of_stdin() -> io::Result<Self> {
        let fd = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self(SeqPacket::from_fd(fd)?))
    }

    /// The next request; none if the gateway has gone, or says nothing for so long.
    pub(super) fn hear(&self, within: Option<Duration>) -> io::Result<Option<Request>> {
        let deadline = within.map(|within| Instant::now() + within);
        let mut buffer = Zeroizing::new([0; DATAGRAM_BYTES_MAX]);
        loop {
            if !ready(self.0.as_fd(), deadline)? {
                return Ok(None);
            }
            match self.0.receive(&mut *buffer) {
                Ok(Received::Datagram { length, .. }) => {
                    let datagram = buffer.get_mut(..length).unwrap_or_default();
                    return Request::decode(datagram)
                        .map(Some)
                        .map_err(io::Error::other);
                }
                Ok(Received::Closed) => return Ok(None),
                Err(ReceiveError::WouldBlock) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    /// Says something. There is room: the gateway waits for every answer.
    pub(super) fn say(&self, reply: &Reply) -> io::Result<()> {
        self.0.send(&reply.encode())
    }

    /// Hands over a connection.
    pub(super) fn hand_over(&self, connection: BorrowedFd<'_>) -> io::Result<()> {
        self.0
            .send_with_descriptors(&Reply::Connected.encode(), &[connection])
    }

    /// The line once more, for a process that goes on in this one's place.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }
}

/// Whether something can be read before the deadline; none is never.
pub(super) fn ready(fd: BorrowedFd<'_>, deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut polled = [PollFd::new(fd, PollFlags::POLLIN)];
        match poll(&mut polled, timeout) {
            Ok(0) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                return Ok(false);
            }
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

//! What the kernel holds of a connection, and what it knows of its line.
//!
//! Bytes that wait in the socket are pixels that nothing can make newer. TCP_NOTSENT_LOWAT keeps those that were not
//! even sent to a part of what the pacer allows in flight: beyond that the socket is not writable, so the next image is
//! taken and encoded only when the line goes on. On a line that stalls this shows sooner than any fence.
//!
//! A client that sends a file writes it in messages of 2 KB. To wake this thread for each costs the client more than to
//! write it, so while a file comes the socket tells of nothing until much is there ([`Kernel::gather`]) or a moment has
//! passed ([`Kernel::let_go`]).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use tokio::time::Instant;

use crate::base::Micros;
use crate::os::TcpStatus;
use crate::os::tcp;

/// Bytes that the kernel may hold unsent on a slow line: some segments, so that it never runs dry between two turns.
const NOTSENT_MIN: u32 = 16 * 1024;

/// The same on a fast line: enough to keep it busy between two turns of the task.
const NOTSENT_MAX: u32 = 256 * 1024;

/// Bytes of a file that are gathered in the socket; what comes in a moment at 500 MB/s.
const GATHERED_BYTES: u32 = 1024 * 1024;

/// A moment: as short as the runtime's timers.
const GATHERED_FOR: Duration = Duration::from_millis(1);

/// The kernel's side of a connection; a unix socket has none of this.
#[derive(Debug)]
pub(super) struct Kernel {
    /// The socket again, beside the halves that are read and written.
    socket: Option<OwnedFd>,
    notsent_bytes: u32,
    /// Until then the socket tells of little.
    gathers_until: Option<Instant>,
}

impl Kernel {
    /// Prepares a TCP socket that was accepted.
    pub(super) fn of_tcp(socket: &impl AsFd) -> io::Result<Self> {
        tcp::send_at_once(socket, NOTSENT_MIN)?;
        Ok(Self {
            socket: Some(socket.as_fd().try_clone_to_owned()?),
            notsent_bytes: NOTSENT_MIN,
            gathers_until: None,
        })
    }

    /// A unix socket.
    pub(super) const fn of_unix() -> Self {
        Self {
            socket: None,
            notsent_bytes: 0,
            gathers_until: None,
        }
    }

    /// The shortest round trip that the kernel has seen, the client's work not included.
    pub(super) fn rtt(&self) -> Option<Micros> {
        let status = TcpStatus::of(self.socket.as_ref()?).ok()?;
        status.rtt_us_min.map(|rtt| Micros(u64::from(rtt)))
    }

    /// More of what has just been read comes at once: the next of it is told of when there is much, or a moment has
    /// passed. Whoever asks for this calls [`let_go`](Self::let_go) at [`gathers_until`](Self::gathers_until).
    pub(super) fn gather(&mut self) -> io::Result<()> {
        if let Some(socket) = &self.socket {
            if self.gathers_until.is_none() {
                tcp::wake_at(socket, GATHERED_BYTES)?;
            }
            self.gathers_until = Some(Instant::now() + GATHERED_FOR);
        }
        Ok(())
    }

    /// When what is there is to be told of, however little.
    pub(super) const fn gathers_until(&self) -> Option<Instant> {
        self.gathers_until
    }

    /// Tells of what is there, and of whatever comes.
    pub(super) fn let_go(&mut self) -> io::Result<()> {
        match (&self.socket, self.gathers_until.take()) {
            (Some(socket), Some(_)) => tcp::wake_at(socket, 1),
            _ => Ok(()),
        }
    }

    /// Lets the kernel hold what suits a pacer that allows so many bytes in flight. Costs a system call only
    /// when that has about doubled or halved.
    pub(super) fn hold_unsent_for(&mut self, in_flight_bytes: u64) -> io::Result<()> {
        let share = u32::try_from(in_flight_bytes / 4).unwrap_or(u32::MAX);
        let wanted = share.clamp(NOTSENT_MIN, NOTSENT_MAX);
        let close = wanted / 2 < self.notsent_bytes && self.notsent_bytes / 2 < wanted;
        match &self.socket {
            Some(socket) if !close => {
                self.notsent_bytes = wanted;
                tcp::send_at_once(socket, wanted)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    fn unsent_when_full(kernel: &Kernel, server: &mut TcpStream) -> u32 {
        while server.write(&[0; 65536]).is_ok() {}
        let socket = kernel.socket.as_ref().unwrap();
        TcpStatus::of(socket).unwrap().notsent_bytes
    }

    #[test]
    fn what_the_kernel_holds_follows_the_pacer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pair = || {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let server = listener.accept().unwrap().0;
            server.set_nonblocking(true).unwrap();
            (client, server)
        };
        let (_client, mut server) = pair();
        let slow = Kernel::of_tcp(&server).unwrap();
        assert!(slow.rtt().unwrap() < Micros::from_secs(1));
        // One segment of loopback may pass the mark.
        let unsent = unsent_when_full(&slow, &mut server);
        assert!(unsent <= NOTSENT_MIN + 64 * 1024, "{unsent}");
        let (_client, mut server) = pair();
        let mut fast = Kernel::of_tcp(&server).unwrap();
        fast.hold_unsent_for(4 * 1024 * 1024).unwrap();
        let unsent = unsent_when_full(&fast, &mut server);
        assert!(NOTSENT_MAX / 2 < unsent, "{unsent}");
        assert!(Kernel::of_unix().rtt().is_none());
    }
}

//! One client's line to the broker: the first answer is about the user, and every later one is a connection to the
//! user's desktop.
//!
//! Once the user is known, the user's own process answers, so a descriptor is looked at before it is used.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, SockType, SockaddrLike, SockaddrStorage, getpeername, getsockopt, sockopt,
};
use std::os::fd::AsRawFd;
use tokio::net::UnixStream;

use crate::base::Access;
use crate::gateway::broker::{DATAGRAM_BYTES_MAX, NotAMessage, Reply, Request};
use crate::os::{ReceiveError, Received, SeqPacket, Watched};

/// Between two tries while the broker has more to do than it can.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Why the broker gives no answer; not the client's fault.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("the broker cannot be asked: {0}")]
    Socket(#[from] io::Error),
    #[error("the broker has gone, or has given up waiting for PAM or the desktop")]
    Closed,
    #[error(transparent)]
    NotAMessage(#[from] NotAMessage),
    #[error("the broker cannot be heard: {0}")]
    Receive(ReceiveError),
    #[error("what the broker hands over is no connection to a desktop")]
    NotADesktop,
}

/// An open line.
#[derive(Debug)]
pub(super) struct BrokerLine {
    socket: Watched<SeqPacket>,
    /// What the user may do in the desktop, once the user is known.
    pub(super) access: Access,
}

impl BrokerLine {
    /// Opens one. May be dropped at any time; the caller has a deadline.
    pub(super) async fn open(path: &Path) -> Result<Self, LineError> {
        loop {
            match SeqPacket::connect(path) {
                Ok(socket) => return Self::on(socket),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn on(socket: SeqPacket) -> Result<Self, LineError> {
        Ok(Self {
            socket: Watched::new(socket)?,
            access: Access::ViewOnly,
        })
    }

    /// Says something. There is room: nothing is said before the last answer has come.
    pub(super) fn say(&self, request: &Request) -> Result<(), LineError> {
        Ok(self.socket.get_ref().send(&request.encode())?)
    }

    /// The next answer, with the connection that came with it.
    pub(super) async fn hear(&self) -> Result<(Reply, Option<UnixStream>), LineError> {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        loop {
            let mut ready = self.socket.readable().await?;
            match self.socket.get_ref().receive(&mut buffer) {
                Ok(Received::Datagram {
                    length,
                    descriptors,
                }) => {
                    let reply = Reply::decode(buffer.get(..length).unwrap_or_default())?;
                    let stream = match reply {
                        Reply::Connected => Some(desktop(descriptors)?),
                        _ => None,
                    };
                    return Ok((reply, stream));
                }
                Ok(Received::Closed) => return Err(LineError::Closed),
                Err(ReceiveError::WouldBlock) => ready.clear_ready(),
                Err(error) => return Err(LineError::Receive(error)),
            }
        }
    }
}

/// A connected unix stream socket, and nothing else.
fn desktop(mut descriptors: Vec<OwnedFd>) -> Result<UnixStream, LineError> {
    let fd = descriptors
        .pop()
        .filter(|_| descriptors.is_empty())
        .ok_or(LineError::NotADesktop)?;
    let is_stream = getsockopt(&fd, sockopt::SockType).is_ok_and(|kind| kind == SockType::Stream);
    let is_unix = getpeername::<SockaddrStorage>(fd.as_raw_fd())
        .is_ok_and(|peer| peer.family() == Some(AddressFamily::Unix));
    if !is_stream || !is_unix {
        return Err(LineError::NotADesktop);
    }
    let stream = std::os::unix::net::UnixStream::from(fd);
    stream.set_nonblocking(true)?;
    Ok(UnixStream::from_std(stream)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    async fn heard(fds: &[&dyn AsFd]) -> Result<(Reply, Option<UnixStream>), LineError> {
        let (ours, theirs) = SeqPacket::pair().unwrap();
        let line = BrokerLine::on(ours).unwrap();
        let borrowed: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        theirs
            .send_with_descriptors(&Reply::Connected.encode(), &borrowed)
            .unwrap();
        line.hear().await
    }

    #[tokio::test]
    async fn only_a_connected_unix_stream_is_a_desktop() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(matches!(
            heard(&[&one]).await,
            Ok((Reply::Connected, Some(_)))
        ));
        let file = std::fs::File::open("/dev/null").unwrap();
        let datagram = std::os::unix::net::UnixDatagram::pair().unwrap().0;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        for wrong in [
            &[][..],
            &[&file as &dyn AsFd],
            &[&datagram],
            &[&tcp],
            &[&one, &one],
        ] {
            assert!(matches!(heard(wrong).await, Err(LineError::NotADesktop)));
        }
    }

    #[tokio::test]
    async fn a_line_that_ends_or_talks_nonsense_is_an_error() {
        let (ours, theirs) = SeqPacket::pair().unwrap();
        let line = BrokerLine::on(ours).unwrap();
        theirs.send(b"\xffnonsense").unwrap();
        assert!(matches!(line.hear().await, Err(LineError::NotAMessage(_))));
        drop(theirs);
        assert!(matches!(line.hear().await, Err(LineError::Closed)));
        assert!(line.say(&Request::Connect).is_err());
    }
}

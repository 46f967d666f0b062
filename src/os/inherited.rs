//! Listening sockets that the launcher opened and passes by number (`--listen-fd N`).
//!
//! The number comes from a command line, so it may be anything: it is checked, and duplicated rather than owned,
//! so that no mistake can close a descriptor that this process uses for something else. The original is kept from
//! children too.

#![expect(unsafe_code, reason = "descriptors by number")]

use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

use nix::errno::Errno;
use nix::sys::socket::{SockType, getsockopt, sockopt};
use socket2::SockRef;

/// A listener of the two kinds that clients come in by.
#[derive(Debug)]
pub enum InheritedListener {
    /// An IPv4 or IPv6 address.
    Tcp(TcpListener),
    /// A path.
    Unix(UnixListener),
}

/// Why a number is no listener. Whoever wrote the command line is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InheritError {
    /// Standard input, output and error are not taken, nor negative numbers.
    #[error("descriptor {0} cannot be a listener")]
    Reserved(RawFd),
    /// Nothing is open under this number.
    #[error("descriptor {0} is not open")]
    NotOpen(RawFd),
    /// It is open but does not listen, or for something else than stream connections.
    #[error("descriptor {0} is no listening stream socket")]
    NotAListener(RawFd),
}

/// A descriptor of its own for what is open under `number`, close-on-exec.
pub fn adopt(number: RawFd) -> Result<OwnedFd, InheritError> {
    if number <= 2 {
        return Err(InheritError::Reserved(number));
    }
    // SAFETY: any number may be asked; F_SETFD changes a flag at most.
    let marked = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    Errno::result(marked).map_err(|_| InheritError::NotOpen(number))?;
    // SAFETY: any number may be asked; the call makes a new descriptor or fails.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    let copy = Errno::result(copy).map_err(|_| InheritError::NotOpen(number))?;
    // SAFETY: the call above has just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// The listener open under `number`, non-blocking.
pub fn adopt_listener(number: RawFd) -> Result<InheritedListener, InheritError> {
    let fd = adopt(number)?;
    let refused = InheritError::NotAListener(number);
    let is_unix = listening_family(fd.as_fd()).ok_or(refused)?;
    SockRef::from(&fd)
        .set_nonblocking(true)
        .map_err(|_| refused)?;
    Ok(if is_unix {
        InheritedListener::Unix(fd.into())
    } else {
        InheritedListener::Tcp(fd.into())
    })
}

/// Whether it is a unix socket, else TCP; `None` unless it is a listening stream socket of either.
fn listening_family(fd: BorrowedFd<'_>) -> Option<bool> {
    let listens = getsockopt(&fd, sockopt::AcceptConn).ok()?;
    let stream = getsockopt(&fd, sockopt::SockType).ok()? == SockType::Stream;
    let address = SockRef::from(&fd).local_addr().ok()?;
    let known = address.is_unix() || address.as_socket().is_some();
    (listens && stream && known).then(|| address.is_unix())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use std::net::{TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;

    #[test]
    fn a_listener_is_adopted_beside_the_original() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let InheritedListener::Tcp(adopted) = adopt_listener(tcp.as_raw_fd()).unwrap() else {
            panic!("not TCP");
        };
        let address = tcp.local_addr().unwrap();
        assert_eq!(adopted.local_addr().unwrap(), address);
        assert_eq!(
            adopted.accept().unwrap_err().kind(),
            std::io::ErrorKind::WouldBlock
        );
        let _client = TcpStream::connect(address).unwrap();
        assert!(adopted.accept().is_ok());
        for fd in [tcp.as_fd(), adopted.as_fd()] {
            let flags = FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD).unwrap());
            assert!(flags.contains(FdFlag::FD_CLOEXEC));
        }
        let directory = tempfile::tempdir().unwrap();
        let unix = UnixListener::bind(directory.path().join("socket")).unwrap();
        let adopted = adopt_listener(unix.as_raw_fd()).unwrap();
        assert!(matches!(adopted, InheritedListener::Unix(_)));
    }

    #[test]
    fn anything_else_is_refused() {
        for number in [-1, 0, 1, 2] {
            assert_eq!(adopt(number).err(), Some(InheritError::Reserved(number)));
        }
        assert_eq!(adopt(1 << 29).err(), Some(InheritError::NotOpen(1 << 29)));
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        for fd in [udp.as_raw_fd(), stream.as_raw_fd(), file.as_raw_fd()] {
            assert_eq!(
                adopt_listener(fd).err(),
                Some(InheritError::NotAListener(fd))
            );
        }
    }
}

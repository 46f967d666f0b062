//! SOCK_SEQPACKET sockets: one datagram a message, with file descriptors.
//!
//! Nothing here waits: every call passes MSG_DONTWAIT, because O_NONBLOCK belongs to the open file, which the other
//! side may share. Descriptors that arrive are owned from the first moment, so whatever is wrong with the message,
//! none leaks; those that did not fit the kernel has closed already.

#![expect(unsafe_code, reason = "recvmsg with control messages")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind,
    connect, getsockopt, listen, sendmsg, socket, socketpair, sockopt,
};

/// Descriptors that one message may carry; a hello has five.
pub const DESCRIPTORS_MAX: usize = 8;

/// Connections that wait to be accepted: a burst of clients.
const LISTEN_BACKLOG: i32 = 64;

/// A connected SOCK_SEQPACKET unix socket.
#[derive(Debug)]
pub struct SeqPacket {
    fd: OwnedFd,
}

/// What a receive found.
#[derive(Debug)]
pub enum Received {
    /// A datagram, in the first `length` bytes of the buffer.
    Datagram {
        /// Bytes of it; never 0.
        length: usize,
        /// The descriptors that came with it, close-on-exec.
        descriptors: Vec<OwnedFd>,
    },
    /// The other side has closed.
    Closed,
}

/// Why a datagram could not be received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// None is there now.
    #[error("no message is waiting")]
    WouldBlock,
    /// It is longer than the buffer: the other side's fault.
    #[error("the message is longer than {0} bytes")]
    TooLong(usize),
    /// More descriptors than [`DESCRIPTORS_MAX`], or this process has no room for them.
    #[error("the message carries more descriptors than can be taken")]
    TooManyDescriptors,
    /// The connection broke.
    #[error("receiving: {0}")]
    System(io::Error),
}

impl SeqPacket {
    /// Connects to the socket at `path`; `WouldBlock` while the listener's backlog is full.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let address = UnixAddr::new(path)?;
        let fd = new_socket()?;
        connect(fd.as_raw_fd(), &address)?;
        Ok(Self { fd })
    }

    /// Two that are connected to each other.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        Ok((Self { fd: one }, Self { fd: other }))
    }

    /// Takes a descriptor that came from elsewhere, if it is a SOCK_SEQPACKET socket.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        if getsockopt(&fd, sockopt::SockType)? != SockType::SeqPacket {
            return Err(io::Error::from(Errno::EPROTOTYPE));
        }
        Ok(Self { fd })
    }

    /// To be watched for room while sends are refused.
    pub fn outlet(&self) -> io::Result<Outlet> {
        Ok(Outlet {
            fd: self.fd.try_clone()?,
        })
    }

    /// Sends one datagram whole; `WouldBlock` while the other side's buffer is full.
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.send_with_descriptors(datagram, &[])
    }

    /// Sends one datagram with descriptors, at most [`DESCRIPTORS_MAX`].
    pub fn send_with_descriptors(
        &self,
        datagram: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        if DESCRIPTORS_MAX < descriptors.len() {
            return Err(io::Error::from(Errno::EINVAL));
        }
        let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let control = if numbers.is_empty() {
            &[]
        } else {
            rights.as_slice()
        };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let parts = [io::IoSlice::new(datagram)];
        sendmsg::<()>(self.fd.as_raw_fd(), &parts, control, flags, None)?;
        Ok(())
    }

    /// Receives one datagram into `buffer`.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Received, ReceiveError> {
        // In words of 8 bytes, as aligned as `cmsghdr` asks for.
        let mut control = [0u64; CONTROL_WORDS];
        let mut part = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: `msghdr` is plain numbers and pointers, for which zero is a value.
        let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        let fd = self.fd.as_raw_fd();
        // SAFETY: the header points to a buffer and a control buffer that outlive the call, with their sizes.
        let received = unsafe { libc::recvmsg(fd, &raw mut header, flags) };
        let received = Errno::result(received).map_err(|errno| match errno {
            Errno::EAGAIN | Errno::EINTR => ReceiveError::WouldBlock,
            other => ReceiveError::System(other.into()),
        })?;
        let descriptors = take_descriptors(&header);
        if header.msg_flags & libc::MSG_TRUNC != 0 {
            return Err(ReceiveError::TooLong(buffer.len()));
        }
        if header.msg_flags & libc::MSG_CTRUNC != 0 {
            return Err(ReceiveError::TooManyDescriptors);
        }
        match usize::try_from(received) {
            Ok(length) if 0 < length => Ok(Received::Datagram {
                length,
                descriptors,
            }),
            _ => Ok(Received::Closed),
        }
    }
}

/// A listening SOCK_SEQPACKET socket: what a producer has.
#[derive(Debug)]
pub struct SeqPacketListener {
    fd: OwnedFd,
}

impl SeqPacketListener {
    /// Listens at `path`, which must not exist yet.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let address = UnixAddr::new(path)?;
        let fd = new_socket()?;
        bind(fd.as_raw_fd(), &address)?;
        listen(&fd, Backlog::new(LISTEN_BACKLOG)?)?;
        Ok(Self { fd })
    }

    /// The next connection; `WouldBlock` while there is none.
    pub fn accept(&self) -> io::Result<SeqPacket> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let number = accept4(self.fd.as_raw_fd(), flags)?;
        // SAFETY: accept4 has just made this descriptor, and nobody else knows of it.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        Ok(SeqPacket { fd })
    }
}

/// The sending side of a [`SeqPacket`], to wait for room in it.
#[derive(Debug)]
pub struct Outlet {
    fd: OwnedFd,
}

impl AsRawFd for Outlet {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsRawFd for SeqPacket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for SeqPacket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for SeqPacketListener {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        flags,
        None,
    )?)
}

/// Bytes of descriptors in a control message.
const DESCRIPTOR_BYTES: u32 = (DESCRIPTORS_MAX * size_of::<RawFd>()) as u32;

/// Words of a control buffer with room for one message of [`DESCRIPTORS_MAX`] descriptors.
// SAFETY: CMSG_SPACE only computes.
const CONTROL_WORDS: usize = (unsafe { libc::CMSG_SPACE(DESCRIPTOR_BYTES) } as usize).div_ceil(8);

/// Owns every descriptor that recvmsg has put into the control buffer.
fn take_descriptors(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    // SAFETY: recvmsg has filled the header and the control buffer it points to, which is alive.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return null or a whole, aligned header in the control buffer.
        let head = unsafe { message.read() };
        if head.cmsg_level == libc::SOL_SOCKET && head.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: CMSG_DATA only adds to the pointer.
            let data = unsafe { libc::CMSG_DATA(message) };
            let before = data as usize - message as usize;
            let count = (head.cmsg_len as usize).saturating_sub(before) / size_of::<RawFd>();
            for index in 0..count.min(DESCRIPTORS_MAX) {
                let place = data.cast::<RawFd>().wrapping_add(index);
                // SAFETY: the kernel wrote `cmsg_len` bytes into the control buffer, and this is one of them.
                let number = unsafe { place.read_unaligned() };
                // SAFETY: the kernel has just installed this descriptor for us, and it is taken once.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
        // SAFETY: `message` is a header of this control buffer.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    descriptors
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    fn datagram(received: Received) -> (usize, Vec<OwnedFd>) {
        match received {
            Received::Datagram {
                length,
                descriptors,
            } => (length, descriptors),
            Received::Closed => panic!("closed"),
        }
    }

    #[test]
    fn datagrams_keep_their_borders() {
        let (one, other) = SeqPacket::pair().unwrap();
        let mut buffer = [0; 16];
        assert!(matches!(
            other.receive(&mut buffer),
            Err(ReceiveError::WouldBlock)
        ));
        one.send(b"one").unwrap();
        one.send(b"second").unwrap();
        assert_eq!(datagram(other.receive(&mut buffer).unwrap()).0, 3);
        assert_eq!(datagram(other.receive(&mut buffer).unwrap()).0, 6);
        assert_eq!(&buffer[..6], b"second");
        drop(one);
        assert!(matches!(other.receive(&mut buffer), Ok(Received::Closed)));
        assert!(other.send(b"x").is_err());
    }

    #[test]
    fn descriptors_arrive_in_order_and_close_on_exec() {
        let (one, other) = SeqPacket::pair().unwrap();
        let (mut first, second) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        one.send_with_descriptors(b"x", &[first.1.as_fd(), second.1.as_fd()])
            .unwrap();
        let (_, descriptors) = datagram(other.receive(&mut [0; 4]).unwrap());
        drop((first.1, second.1));
        let [a, b] = <[OwnedFd; 2]>::try_from(descriptors).unwrap();
        let flags = FdFlag::from_bits_retain(fcntl(&a, FcntlArg::F_GETFD).unwrap());
        assert!(flags.contains(FdFlag::FD_CLOEXEC));
        let mut sent = UnixStream::from(a);
        io::Write::write_all(&mut sent, b"first").unwrap();
        drop((sent, b));
        let mut text = String::new();
        first.0.read_to_string(&mut text).unwrap();
        assert_eq!(text, "first");
    }

    /// A pipe of which only the message holds the writing end: it reads end-of-file once that is closed.
    fn probe() -> (File, OwnedFd) {
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_NONBLOCK).unwrap();
        (read.into(), write)
    }

    #[test]
    fn refused_messages_leak_no_descriptors() {
        let (one, other) = SeqPacket::pair().unwrap();
        let (mut read, write) = probe();
        one.send_with_descriptors(b"too long", &[write.as_fd()])
            .unwrap();
        drop(write);
        assert_eq!(
            read.read(&mut [0]).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        assert!(matches!(
            other.receive(&mut [0; 3]),
            Err(ReceiveError::TooLong(3))
        ));
        assert_eq!(read.read(&mut [0]).unwrap(), 0, "the descriptor was closed");

        let (mut read, write) = probe();
        let numbers = [write.as_raw_fd(); DESCRIPTORS_MAX + 3];
        let parts = [io::IoSlice::new(b"x")];
        let control = [ControlMessage::ScmRights(&numbers)];
        sendmsg::<()>(one.as_raw_fd(), &parts, &control, MsgFlags::empty(), None).unwrap();
        drop(write);
        let refused = other.receive(&mut [0; 3]);
        assert!(
            matches!(refused, Err(ReceiveError::TooManyDescriptors)),
            "{refused:?}"
        );
        assert_eq!(read.read(&mut [0]).unwrap(), 0, "all were closed");
    }

    #[test]
    fn other_descriptors_are_no_seqpacket() {
        let (stream, _other) = UnixStream::pair().unwrap();
        assert!(SeqPacket::from_fd(stream.into()).is_err());
        assert!(SeqPacket::from_fd(File::open("/dev/zero").unwrap().into()).is_err());
        let (one, _other) = SeqPacket::pair().unwrap();
        assert!(SeqPacket::from_fd(one.fd).is_ok());
    }

    #[test]
    fn a_full_listener_never_waits() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        assert!(SeqPacket::connect(&path).is_err());
        let listener = SeqPacketListener::bind(&path).unwrap();
        assert!(listener.accept().is_err());
        let clients: Vec<_> = (0..2 * LISTEN_BACKLOG)
            .map(|_| SeqPacket::connect(&path))
            .collect();
        let full = clients
            .iter()
            .find_map(|client| client.as_ref().err())
            .unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let accepted = listener.accept().unwrap();
        accepted.send(b"hello").unwrap();
        let first = clients[0].as_ref().unwrap();
        assert_eq!(datagram(first.receive(&mut [0; 8]).unwrap()).0, 5);
    }
}

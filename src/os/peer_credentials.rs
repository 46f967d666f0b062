//! Who is at the other end of a unix socket, as the kernel says.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixCredentials, getsockopt, recvmsg, setsockopt, sockopt,
};
use nix::unistd::Uid;

/// SO_PEERCRED: the process that connected or listened, at that moment. Its pid may be reused since, so only the
/// user counts as identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Process; for messages only.
    pub pid: i32,
}

impl PeerCredentials {
    /// Asks for the peer of a connected unix socket.
    pub fn of(socket: &impl AsFd) -> io::Result<Self> {
        let credentials = getsockopt(socket, sockopt::PeerCredentials)?;
        let (uid, gid, pid) = (credentials.uid(), credentials.gid(), credentials.pid());
        Ok(Self { uid, gid, pid })
    }

    /// Whether the peer is this process's own user.
    pub fn is_own_user(&self) -> bool {
        self.uid == Uid::effective().as_raw()
    }

    /// Whether the peer is root, who may do anything to us anyway.
    pub const fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// Has the kernel note, on every connection of this listening unix socket, who writes what (SO_PASSCRED). A connection
/// that is handed on is written to by others than who has made it.
///
/// # Errors
/// The socket's.
pub fn note_writers(listener: &impl AsFd) -> io::Result<()> {
    Ok(setsockopt(listener, sockopt::PassCred, &true)?)
}

/// Looks at the first bytes that wait, and leaves them there: how many of `buffer`, and the user who has written all of
/// them; none where the kernel has not noted it.
///
/// # Errors
/// `WouldBlock` while there is nothing, and the socket's.
pub fn first_writer(stream: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<(usize, Option<u32>)> {
    // Room for credentials and nothing else: descriptors that come with them are not taken.
    let mut control = nix::cmsg_space!(UnixCredentials);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let peeked = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let noted = peeked.cmsgs().ok().and_then(|mut messages| {
        messages.find_map(|message| match message {
            ControlMessageOwned::ScmCredentials(writer) => Some(writer.uid()),
            _ => None,
        })
    });
    Ok((peeked.bytes, noted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn who_writes_first_is_known_and_nothing_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        note_writers(&listener).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        let mut buffer = [0; 64];
        let (mut early, _) = listener.accept().unwrap();
        let empty = first_writer(&early, &mut buffer).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        client.write_all(b"first").unwrap();
        for _ in 0..2 {
            let (count, writer) = first_writer(&early, &mut buffer).unwrap();
            assert_eq!(&buffer[..count], b"first");
            assert_eq!(writer, Some(Uid::effective().as_raw()));
        }
        early.read_exact(&mut buffer[..5]).unwrap();
        // What was written before it was accepted.
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"x").unwrap();
        let (late, _) = listener.accept().unwrap();
        let own = Uid::effective().as_raw();
        assert_eq!(first_writer(&late, &mut buffer).unwrap(), (1, Some(own)));
        // Where nobody asked for it.
        let (mut one, other) = UnixStream::pair().unwrap();
        one.write_all(b"x").unwrap();
        assert_eq!(first_writer(&other, &mut buffer).unwrap(), (1, None));
    }

    #[test]
    fn our_own_socket_is_ours() {
        let (one, _other) = UnixStream::pair().unwrap();
        let credentials = PeerCredentials::of(&one).unwrap();
        assert!(credentials.is_own_user());
        assert_eq!(u32::try_from(credentials.pid), Ok(std::process::id()));
    }

    #[test]
    fn a_tcp_socket_has_no_user() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = PeerCredentials::of(&listener);
        assert!(peer.is_err() || peer.is_ok_and(|peer| peer.uid == u32::MAX));
    }
}

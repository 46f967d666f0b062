//! Who is at the other end of a unix socket, as the kernel says.

use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt};
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
    pub fn of(socket: &impl AsFd) -> std::io::Result<Self> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

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

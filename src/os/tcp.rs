//! TCP socket options, and what the kernel knows of a connection.

#![expect(
    unsafe_code,
    reason = "getsockopt(TCP_INFO) and setsockopt(SO_RCVLOWAT)"
)]

use std::io;
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::errno::Errno;
use socket2::{SockRef, TcpKeepalive};

/// States of a connection (net/tcp_states.h).
const TCP_CLOSE: u8 = 7;
const TCP_CLOSE_WAIT: u8 = 8;

/// What TCP_INFO tells of a connection, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpStatus {
    /// Smoothed round-trip time, microseconds; 0 before the first sample.
    pub rtt_us: u32,
    /// Bytes in the socket that were not sent yet; 0 on kernels before 4.6.
    pub notsent_bytes: u32,
    /// Shortest round trip seen, microseconds, where the kernel tells (4.6).
    pub rtt_us_min: Option<u32>,
}

impl TcpStatus {
    /// Asks for the state of a TCP socket.
    pub fn of(socket: &impl AsFd) -> io::Result<Self> {
        let (info, length) = tcp_info(socket)?;
        let known = |end: usize| end <= length;
        Ok(Self {
            rtt_us: info.tcpi_rtt,
            notsent_bytes: info.tcpi_notsent_bytes,
            rtt_us_min: (known(offset_of!(libc::tcp_info, tcpi_min_rtt) + 4)
                && info.tcpi_min_rtt != u32::MAX)
                .then_some(info.tcpi_min_rtt),
        })
    }
}

/// Whether the peer has closed its side already (CLOSE_WAIT), or reset the connection. False where the kernel does
/// not tell.
pub fn has_hung_up(socket: &impl AsFd) -> bool {
    let state = tcp_info(socket).map(|(info, _)| info.tcpi_state);
    matches!(state, Ok(TCP_CLOSE | TCP_CLOSE_WAIT))
}

/// TCP_NODELAY, and TCP_NOTSENT_LOWAT: the socket is writable only while less than `notsent_bytes` wait in it, so
/// that what is written is sent soon and newer pixels are never behind older ones in the kernel.
pub fn send_at_once(socket: &impl AsFd, notsent_bytes: u32) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(notsent_bytes)
}

/// SO_RCVLOWAT: whoever waits for the socket is woken when so many bytes are there, or its end. The kernel makes room
/// for them, within `net.ipv4.tcp_rmem`. Lowering it wakes at once if enough is there then.
pub fn wake_at(socket: &impl AsFd, bytes: u32) -> io::Result<()> {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let number = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads one int from the pointer, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            number,
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// TCP_USER_TIMEOUT and keepalive: a peer that vanished is known after `timeout` when bytes wait for it, and after
/// `idle` plus a few probes when none do.
pub fn notice_vanished_peer(
    socket: &impl AsFd,
    timeout: Duration,
    idle: Duration,
) -> io::Result<()> {
    let socket = SockRef::from(socket);
    let probes = TcpKeepalive::new()
        .with_time(idle)
        .with_interval(idle / 3)
        .with_retries(3);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(timeout))
}

/// TCP_INFO, zero where the kernel told nothing, and the bytes that it told.
fn tcp_info(socket: &impl AsFd) -> io::Result<(libc::tcp_info, usize)> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    let number = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most `length` bytes to the pointer; both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            number,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    Errno::result(result)?;
    // SAFETY: the struct is plain numbers, and what the kernel did not write is zero.
    Ok((unsafe { info.assume_init() }, length as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn little_is_told_of_when_that_is_asked_for() {
        let (mut client, server) = pair();
        let is_told = |wait: PollTimeout| {
            let mut asked = [PollFd::new(server.as_fd(), PollFlags::POLLIN)];
            poll(&mut asked, wait).unwrap() == 1
        };
        wake_at(&server, 3000).unwrap();
        client.write_all(&[0; 2000]).unwrap();
        assert!(!is_told(PollTimeout::ZERO));
        wake_at(&server, 1).unwrap();
        assert!(is_told(PollTimeout::from(10_000_u16)));
        wake_at(&server, 3000).unwrap();
        assert!(!is_told(PollTimeout::ZERO));
        client.write_all(&[0; 1000]).unwrap();
        assert!(is_told(PollTimeout::from(10_000_u16)));
        // Its end is told of in any case.
        wake_at(&server, 1 << 20).unwrap();
        drop(client);
        assert!(is_told(PollTimeout::from(10_000_u16)));
    }

    #[test]
    fn status_tells_of_a_connection_that_was_used() {
        let (mut client, mut server) = pair();
        server.write_all(&[0; 1000]).unwrap();
        client.read_exact(&mut [0; 1000]).unwrap();
        client.write_all(b"x").unwrap();
        server.read_exact(&mut [0]).unwrap();
        let status = TcpStatus::of(&server).unwrap();
        assert!(0 < status.rtt_us && status.rtt_us < 1_000_000, "{status:?}");
        assert_eq!(status.notsent_bytes, 0);
    }

    #[test]
    fn who_hung_up_is_known_and_who_waits_has_not() {
        let (mut client, server) = pair();
        client.write_all(b"hello").unwrap();
        assert!(!has_hung_up(&server));
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(has_hung_up(&server));
        let (client, server) = pair();
        let client = socket2::Socket::from(client);
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        assert!(has_hung_up(&server));
        let (unix, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(!has_hung_up(&unix));
    }

    #[test]
    fn bytes_that_nobody_reads_are_counted() {
        let (client, mut server) = pair();
        server.set_nonblocking(true).unwrap();
        while server.write(&[0; 65536]).is_ok() {}
        let status = TcpStatus::of(&server).unwrap();
        assert!(0 < status.notsent_bytes, "{status:?}");
        drop(client);
    }

    #[test]
    fn options_take_and_other_sockets_are_refused() {
        let (client, _server) = pair();
        send_at_once(&client, 16384).unwrap();
        notice_vanished_peer(&client, Duration::from_secs(30), Duration::from_secs(15)).unwrap();
        let socket = SockRef::from(&client);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 16384);
        assert_eq!(
            socket.tcp_user_timeout().unwrap(),
            Some(Duration::from_secs(30))
        );
        let (unix, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(TcpStatus::of(&unix).is_err());
        assert!(send_at_once(&unix, 1).is_err());
    }
}

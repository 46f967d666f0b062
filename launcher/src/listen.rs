//! The sockets on which clients come in.
//!
//! The launcher binds them itself and hands them to each caraway-server: ports are settled once, before
//! anything else starts, and a server that crashed takes over where the one before it stopped.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::sys::socket::{SockType, getsockopt, sockopt};
use nix::sys::stat::{Mode, umask};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The first port tried when the user names none: what SPICE clients expect.
const FIRST_PORT: u16 = 5900;

/// Ports tried before giving up: as many desktops as that on one host by default.
const PORTS_TRIED_MAX: u16 = 1000;

/// Bytes of a unix socket's path (`sun_path` without its NUL).
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;

/// An `ADDR:PORT` of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress(pub(crate) SocketAddr);

/// An address that is none.
#[derive(Debug, Error)]
#[error("write ADDR:PORT, such as 127.0.0.1:5900 or [::1]:5900")]
pub(crate) struct NotAnAddress;

impl FromStr for ListenAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        // The one host name taken: others would need a resolver, and may mean several addresses.
        let numeric = text
            .strip_prefix("localhost:")
            .map(|port| format!("127.0.0.1:{port}"));
        numeric
            .as_deref()
            .unwrap_or(text)
            .parse()
            .map(Self)
            .map_err(|_| NotAnAddress)
    }
}

/// Why a socket could not be had.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    #[error("{0} is taken by another program; choose another port with --listen ADDR:PORT")]
    Taken(SocketAddr),
    #[error("{0} needs privileges; choose a port from 1024 up with --listen ADDR:PORT")]
    Denied(SocketAddr),
    #[error("{0} is no address of this host; choose another with --listen ADDR:PORT")]
    Foreign(SocketAddr),
    #[error("all ports from {FIRST_PORT} to {last} are taken; choose one with --listen ADDR:PORT",
        last = FIRST_PORT + PORTS_TRIED_MAX - 1)]
    NoFreePort,
    #[error("cannot listen on {address}: {source}")]
    Tcp {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("{} is in use; choose another path with --unix PATH", .0.display())]
    UnixTaken(PathBuf),
    #[error("{} is longer than the {SOCKET_PATH_BYTES_MAX} bytes of a socket's path", .0.display())]
    UnixTooLong(PathBuf),
    #[error("cannot listen on {}: {source}", path.display())]
    Unix { path: PathBuf, source: io::Error },
    #[error(
        "a socket that systemd passed does not listen for stream connections; see: systemctl --user cat caraway.socket"
    )]
    NotAListener,
    #[error(
        "others can reach {0}, which systemd passed, and --auth none is for loopback and unix sockets \
         only; leave it out"
    )]
    OpenToAnybody(SocketAddr),
}

/// A bound socket. A unix socket's file goes with it.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp {
        socket: TcpListener,
        address: SocketAddr,
        /// Plain bytes are refused.
        tls_only: bool,
    },
    Unix {
        socket: UnixListener,
        file: SocketFile,
        /// Whose it is to remove the file.
        owner: Owner,
    },
}

/// Whose a socket's file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This launcher's.
    Launcher,
    /// That of the service manager who bound it.
    Manager,
}

/// The file of a unix socket that was bound here.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// The file that stands at `path` now.
    pub(crate) fn at(path: PathBuf) -> io::Result<Self> {
        let file = fs::symlink_metadata(&path)?;
        Ok(Self {
            path,
            device: file.dev(),
            inode: file.ino(),
        })
    }

    /// Removes the file unless another stands in its place.
    pub(crate) fn remove(&self) {
        if Self::at(self.path.clone()).is_ok_and(|now| now == *self) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Listener {
    /// How a client names this socket.
    pub(crate) fn uri(&self) -> String {
        match self {
            Self::Tcp {
                address,
                tls_only: false,
                ..
            } => format!("spice://{}", reachable(*address)),
            Self::Tcp { address, .. } => {
                let (address, port) = (reachable(*address), address.port());
                let host = match address.ip() {
                    IpAddr::V4(ip) => ip.to_string(),
                    IpAddr::V6(ip) => format!("[{ip}]"),
                };
                format!("spice://{host}?tls-port={port}")
            }
            Self::Unix { file, .. } => format!("spice+unix://{}", file.path.display()),
        }
    }

    /// Whether plain bytes are refused on it.
    pub(crate) fn is_tls_only(&self) -> bool {
        matches!(self, Self::Tcp { tls_only: true, .. })
    }

    /// The file that goes with this socket.
    pub(crate) fn file(&self) -> Option<&SocketFile> {
        match self {
            Self::Unix {
                file,
                owner: Owner::Launcher,
                ..
            } => Some(file),
            _ => None,
        }
    }

    /// A socket that a service manager has bound. One that others than this host can reach takes TLS alone, unless
    /// plain bytes were allowed by `insecure`.
    pub(crate) fn of_manager(socket: OwnedFd, insecure: bool) -> Result<Self, ListenError> {
        let listens = getsockopt(&socket, sockopt::AcceptConn).unwrap_or(false);
        let is_stream = getsockopt(&socket, sockopt::SockType) == Ok(SockType::Stream);
        if !listens || !is_stream {
            return Err(ListenError::NotAListener);
        }
        let mut listener = Self::of_kind(socket, None).map_err(|_| ListenError::NotAListener)?;
        if let Self::Tcp {
            address, tls_only, ..
        } = &mut listener
        {
            *tls_only = !is_loopback(*address) && !insecure;
        }
        Ok(listener)
    }

    /// A socket that another launcher has bound, with the file that was this launcher's.
    pub(crate) fn resume(
        socket: OwnedFd,
        is_tls_only: bool,
        file: Option<SocketFile>,
    ) -> io::Result<Self> {
        let mut listener = Self::of_kind(socket, file)?;
        if let Self::Tcp { tls_only, .. } = &mut listener {
            *tls_only = is_tls_only;
        }
        Ok(listener)
    }

    fn of_kind(socket: OwnedFd, file: Option<SocketFile>) -> io::Result<Self> {
        let tcp = TcpListener::from(socket.try_clone()?);
        if let Ok(address) = tcp.local_addr() {
            return Ok(Self::Tcp {
                socket: tcp,
                address,
                tls_only: false,
            });
        }
        let socket = UnixListener::from(socket);
        let address = socket.local_addr()?;
        let path = address.as_pathname().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self::Unix {
            owner: match &file {
                Some(_) => Owner::Launcher,
                None => Owner::Manager,
            },
            file: match file {
                Some(file) => file,
                None => SocketFile::at(path.into())?,
            },
            socket,
        })
    }

    /// The address that others can reach, if that is one.
    pub(crate) fn open_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { address, .. } if !is_loopback(*address) => Some(*address),
            _ => None,
        }
    }

    /// The same socket once more, to hand to a server.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp { socket, .. } => socket.try_clone().map(Into::into),
            Self::Unix { socket, .. } => socket.try_clone().map(Into::into),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(file) = self.file() {
            file.remove();
        }
    }
}

/// Whether only programs of this host can reach `address`.
pub(crate) fn is_loopback(address: SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
        }
    }
}

/// Binds all that was asked for; the first free port from 5900 up on 127.0.0.1 where nothing was.
pub(crate) fn bind_all(
    addresses: &[ListenAddress],
    tls_addresses: &[ListenAddress],
    unix: Option<&Path>,
) -> Result<Vec<Listener>, ListenError> {
    if addresses.is_empty() && tls_addresses.is_empty() && unix.is_none() {
        return Ok(vec![bind_free(FIRST_PORT, PORTS_TRIED_MAX)?]);
    }
    let plain = addresses.iter().map(|address| bind_tcp(address.0, false));
    let tls = tls_addresses
        .iter()
        .map(|address| bind_tcp(address.0, true));
    plain.chain(tls).chain(unix.map(bind_unix)).collect()
}

fn bind_free(first: u16, count: u16) -> Result<Listener, ListenError> {
    for port in first..first.saturating_add(count) {
        match bind_tcp((Ipv4Addr::LOCALHOST, port).into(), false) {
            Err(ListenError::Taken(_)) => {}
            bound => return bound,
        }
    }
    Err(ListenError::NoFreePort)
}

fn bind_tcp(address: SocketAddr, tls_only: bool) -> Result<Listener, ListenError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken(address),
        io::ErrorKind::PermissionDenied => ListenError::Denied(address),
        io::ErrorKind::AddrNotAvailable => ListenError::Foreign(address),
        _ => ListenError::Tcp { address, source },
    };
    let socket = TcpListener::bind(address).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    Ok(Listener::Tcp {
        socket,
        address,
        tls_only,
    })
}

/// Binds one for clients. A socket file that nobody listens on any more is replaced.
fn bind_unix(path: &Path) -> Result<Listener, ListenError> {
    let failed = |source| ListenError::Unix {
        path: path.into(),
        source,
    };
    let path = &std::path::absolute(path).map_err(failed)?;
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Err(ListenError::UnixTooLong(path.clone()));
    }
    remove_dead_socket(path)?;
    let socket = bind_private(path).map_err(failed)?;
    Ok(Listener::Unix {
        socket,
        file: SocketFile::at(path.clone()).map_err(failed)?,
        owner: Owner::Launcher,
    })
}

/// Binds a unix socket at the free `path`, with mode 0600.
pub(crate) fn bind_private(path: &Path) -> io::Result<UnixListener> {
    // The mode has to hold from the first moment on, so it cannot be set after the bind.
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    umask(before);
    bound
}

fn remove_dead_socket(path: &Path) -> Result<(), ListenError> {
    let Ok(file) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let taken = || ListenError::UnixTaken(path.into());
    let ours = file.file_type().is_socket() && file.uid() == nix::unistd::geteuid().as_raw();
    match UnixStream::connect(path) {
        Err(error) if ours && error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| ListenError::Unix {
                path: path.into(),
                source,
            })
        }
        _ => Err(taken()),
    }
}

/// An address that a client on this host can connect to: "any" is no destination.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_judged() {
        let address = |text: &str| text.parse::<ListenAddress>().map(|a| a.0);
        assert!(is_loopback(address("localhost:1").unwrap()));
        assert!(is_loopback(address("[::1]:1").unwrap()));
        assert!(is_loopback(address("[::ffff:127.0.0.1]:1").unwrap()));
        assert!(!is_loopback(address("0.0.0.0:1").unwrap()));
        assert!(!is_loopback(address("[::]:1").unwrap()));
        for bad in [
            "",
            "5900",
            ":5900",
            "127.0.0.1",
            "127.0.0.1:70000",
            "host:1",
            "::1:2:x",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_taken_port_is_refused_when_named_and_passed_over_when_not() {
        let taken = bind_tcp("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let Listener::Tcp { address, .. } = &taken else {
            panic!("a TCP socket was asked for")
        };
        assert!(matches!(bind_tcp(*address, true), Err(ListenError::Taken(a)) if a == *address));
        assert!(matches!(
            bind_free(address.port(), 1),
            Err(ListenError::NoFreePort)
        ));
        assert_eq!(taken.uri(), format!("spice://{address}"));
    }

    #[test]
    fn a_socket_for_tls_alone_is_named_so() {
        for (text, host) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]")] {
            let Ok(listener) = bind_tcp(text.parse().unwrap(), true) else {
                continue; // A host without IPv6.
            };
            let Listener::Tcp { address, .. } = &listener else {
                panic!("a TCP socket was asked for")
            };
            let port = address.port();
            assert_eq!(listener.uri(), format!("spice://{host}?tls-port={port}"));
            assert!(listener.is_tls_only());
        }
    }

    #[test]
    fn any_address_is_shown_as_one_that_can_be_reached() {
        let shown = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(shown("0.0.0.0:7"), "127.0.0.1:7");
        assert_eq!(shown("[::]:7"), "[::1]:7");
        assert_eq!(shown("10.0.0.1:7"), "10.0.0.1:7");
    }

    #[test]
    fn a_unix_socket_is_private_and_goes_with_its_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = bind_unix(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(bind_unix(&path), Err(ListenError::UnixTaken(_))));
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn sockets_of_a_manager_are_taken_as_they_are_and_stay_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let unix = UnixListener::bind(&path).unwrap();
        let listener = Listener::of_manager(unix.into(), false).unwrap();
        assert_eq!(listener.uri(), format!("spice+unix://{}", path.display()));
        drop(listener);
        assert!(path.exists(), "it is not ours to remove");
        let open = || TcpListener::bind("0.0.0.0:0").unwrap();
        let listener = Listener::of_manager(open().into(), false).unwrap();
        assert!(listener.is_tls_only() && listener.open_address().is_some());
        let listener = Listener::of_manager(open().into(), true).unwrap();
        assert!(!listener.is_tls_only());
        let (stream, _other) = UnixStream::pair().unwrap();
        assert!(matches!(
            Listener::of_manager(stream.into(), false),
            Err(ListenError::NotAListener)
        ));
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        drop(bind_unix(&path).unwrap());
        fs::write(&path, "precious").unwrap();
        assert!(matches!(bind_unix(&path), Err(ListenError::UnixTaken(_))));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        let long = dir.path().join("x".repeat(108));
        assert!(matches!(bind_unix(&long), Err(ListenError::UnixTooLong(_))));
    }
}

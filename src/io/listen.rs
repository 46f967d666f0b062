//! Listening sockets to connections.

use std::os::fd::RawFd;
use std::rc::Rc;

use socket2::SockRef;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::connection::{self, Arrival, ConnectionError};
use super::door::{Turned, WaitingPlace, canonical, make_queue, notice_vanished};
use super::host::Host;
use super::kernel::Kernel;
use super::tls::Encryption;
use super::transport::Transport;
use crate::auth::doorkeeper::Source;
use crate::display::Path;
use crate::os::inherited::{InheritError, InheritedListener, adopt_listener};
use crate::os::peer_credentials::{self, PeerCredentials};
use crate::session::Origin;

/// Bytes that the kernel may hold between this server and a gateway.
const GATEWAY_BUFFER_BYTES: usize = 64 * 1024;

/// How the log names a client that has no address.
const UNIX_PEER: &str = "unix";

/// A socket that clients connect to.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener, Encryption),
    /// Unix stream: only the desktop's own user is served, directly or through a gateway that has let the user in.
    Unix(UnixListener, Way),
}

/// How clients come to a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From this host.
    Direct,
    /// Through a gateway from a network; the user whose word on a client's address is believed, if any.
    Gateway(Option<u32>),
}

/// Why a listening socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The inherited descriptor is not one.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// The runtime cannot watch it.
    #[error("cannot watch the listening socket: {0}")]
    Watch(#[from] std::io::Error),
}

impl Listener {
    /// Adopts an inherited listening socket. What passes over a unix socket stays in the host and is never encrypted.
    /// To be called inside a runtime.
    ///
    /// # Errors
    /// When the descriptor is not a listening TCP or unix stream socket.
    pub fn adopt(number: RawFd, encryption: Encryption) -> Result<Self, ListenError> {
        Ok(match adopt_listener(number)? {
            InheritedListener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                make_queue(&listener)?;
                Self::Tcp(listener, encryption)
            }
            InheritedListener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                Self::Unix(UnixListener::from_std(listener)?, Way::Direct)
            }
        })
    }

    /// The same, where clients of a unix socket come through a gateway from a network. The gateway runs as the user
    /// `gateway`, if that is known.
    ///
    /// # Errors
    /// The socket's.
    pub fn behind_gateway(self, gateway: Option<u32>) -> Result<Self, ListenError> {
        Ok(match self {
            Self::Unix(listener, _) => {
                if gateway.is_some() {
                    peer_credentials::note_writers(&listener)?;
                }
                Self::Unix(listener, Way::Gateway(gateway))
            }
            other => other,
        })
    }

    /// Accepts clients for ever; each becomes a task of the current `LocalSet`.
    pub async fn serve(self, host: Rc<Host>) {
        loop {
            let accepted = match &self {
                Self::Tcp(listener, encryption) => accept_tcp(listener, encryption, &host).await,
                Self::Unix(listener, way) => accept_unix(listener, *way, &host).await,
            };
            if let Err(error) = accepted {
                host.door.not_accepted(error).await;
            }
        }
    }
}

/// # Errors
/// When no client can be accepted. What befalls one that was is its own end, and holds up nobody.
async fn accept_tcp(
    listener: &TcpListener,
    encryption: &Encryption,
    host: &Rc<Host>,
) -> std::io::Result<()> {
    let (stream, address) = listener.accept().await?;
    let address = canonical(address);
    if host.door.has_left(&stream, &address) {
        return Ok(());
    }
    let source = Source::of(address.ip());
    let Some(place) = host.door.knock(&address, source) else {
        return Ok(());
    };
    let prepared = notice_vanished(&stream).and_then(|()| Ok((Kernel::of_tcp(&stream)?, stream)));
    let (kernel, stream) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            host.door.ended(&address, &error.into());
            return Ok(());
        }
    };
    let path = if address.ip().is_loopback() {
        Path::Loopback
    } else {
        Path::Network
    };
    let arrival = Arrival {
        stream: Transport::Tcp(stream),
        source,
        gateway: None,
        encryption: encryption.clone(),
        kernel,
        origin: Origin {
            peer: address.to_string(),
            user: None,
            path,
        },
    };
    spawn(host, arrival, place);
    Ok(())
}

/// # Errors
/// The same.
async fn accept_unix(listener: &UnixListener, way: Way, host: &Rc<Host>) -> std::io::Result<()> {
    let (stream, _) = listener.accept().await?;
    let prepared = prepare_unix(&stream, way);
    match prepared {
        Ok(peer) if peer.is_own_user() => {}
        Ok(peer) => {
            if let Some(held_back) = host.door.line(Turned::Stranger(peer.uid)) {
                tracing::warn!(?peer, held_back, "refused another user on the unix socket");
            }
            return Ok(());
        }
        Err(error) => {
            host.door.ended(&UNIX_PEER, &error.into());
            return Ok(());
        }
    }
    let Some(place) = host.door.knock(&UNIX_PEER, None) else {
        return Ok(());
    };
    let (path, gateway) = match way {
        Way::Direct => (Path::Unix, None),
        Way::Gateway(gateway) => (Path::Network, gateway),
    };
    let arrival = Arrival {
        stream: Transport::Unix(stream),
        source: None,
        gateway,
        encryption: Encryption::None,
        kernel: Kernel::of_unix(),
        origin: Origin {
            peer: UNIX_PEER.into(),
            user: None,
            path,
        },
    };
    spawn(host, arrival, place);
    Ok(())
}

fn prepare_unix(stream: &UnixStream, way: Way) -> std::io::Result<PeerCredentials> {
    if matches!(way, Way::Gateway(_)) {
        // What waits here nothing can make newer.
        SockRef::from(stream).set_send_buffer_size(GATEWAY_BUFFER_BYTES)?;
    }
    PeerCredentials::of(stream)
}

fn spawn(host: &Rc<Host>, arrival: Arrival, place: WaitingPlace) {
    let mut peer = arrival.origin.peer.clone();
    let host = Rc::clone(host);
    tokio::task::spawn_local(async move {
        match connection::serve(&host, arrival, place, &mut peer).await {
            Ok(()) => tracing::info!(%peer, "connection closed"),
            Err(ConnectionError::Opening(error)) => host.door.ended(&peer, &error),
            Err(error) => tracing::info!(%peer, %error, "connection ended"),
        }
    });
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::LocalSet;

    use super::*;
    use crate::auth::ticket::TicketPolicy;
    use crate::base::Size;
    use crate::base::limits::UNAUTHENTICATED_MAX;
    use crate::channel::Identity;
    use crate::io::key_pool::KeyPool;
    use crate::session::Session;

    /// A new client's main channel, without capabilities.
    fn link() -> Vec<u8> {
        let mut bytes = b"REDQ".to_vec();
        bytes.extend([2_u32, 2, 18, 0].map(u32::to_le_bytes).concat());
        bytes.extend([1, 0]);
        bytes.extend([0_u32, 0, 18].map(u32::to_le_bytes).concat());
        bytes
    }

    fn host() -> Rc<Host> {
        let identity = Identity {
            name: "a desktop".to_owned(),
            uuid: [7; 16],
        };
        let session = Session::new(identity, Size::new(640, 480));
        let keys = KeyPool::start().unwrap();
        Rc::new(Host::new(session, TicketPolicy::Anybody, keys))
    }

    /// A flood while the server has no time: all find room in the queue, and those who have gone since push out nobody.
    #[tokio::test]
    async fn who_has_left_takes_no_place_from_who_stays() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener::adopt(socket.as_raw_fd(), Encryption::None).unwrap();
        let mut good = TcpStream::connect(address).await.unwrap();
        for _ in 0..UNAUTHENTICATED_MAX * 8 {
            let wait = Duration::from_millis(500);
            let passing = std::net::TcpStream::connect_timeout(&address, wait);
            let _ = passing.expect("room in the queue").write_all(&link());
        }
        let talk = async {
            good.write_all(&link()).await.unwrap();
            let mut reply = [0; 4];
            good.read_exact(&mut reply).await.unwrap();
            reply
        };
        let tasks = LocalSet::new();
        tasks.spawn_local(listener.serve(host()));
        let reply = tasks.run_until(tokio::time::timeout(Duration::from_secs(20), talk));
        assert_eq!(&reply.await.unwrap(), b"REDQ");
    }
}

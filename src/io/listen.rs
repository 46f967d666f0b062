//! Listening sockets to connections.

use std::os::fd::RawFd;
use std::rc::Rc;

use socket2::SockRef;
use tokio::net::{TcpListener, UnixListener};

use super::connection::{self, Arrival, ConnectionError};
use super::door::{Turned, canonical, notice_vanished};
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
                Self::Tcp(TcpListener::from_std(listener)?, encryption)
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

async fn accept_tcp(
    listener: &TcpListener,
    encryption: &Encryption,
    host: &Rc<Host>,
) -> std::io::Result<()> {
    let (stream, address) = listener.accept().await?;
    let kernel = Kernel::of_tcp(&stream)?;
    notice_vanished(&stream)?;
    let address = canonical(address);
    let path = if address.ip().is_loopback() {
        Path::Loopback
    } else {
        Path::Network
    };
    spawn(
        host,
        Arrival {
            stream: Transport::Tcp(stream),
            source: Source::of(address.ip()),
            gateway: None,
            encryption: encryption.clone(),
            kernel,
            origin: Origin {
                peer: address.to_string(),
                user: None,
                path,
            },
        },
    );
    Ok(())
}

async fn accept_unix(listener: &UnixListener, way: Way, host: &Rc<Host>) -> std::io::Result<()> {
    let (stream, _) = listener.accept().await?;
    let (path, gateway) = match way {
        Way::Direct => (Path::Unix, None),
        Way::Gateway(gateway) => {
            // What waits here nothing can make newer.
            SockRef::from(&stream).set_send_buffer_size(GATEWAY_BUFFER_BYTES)?;
            (Path::Network, gateway)
        }
    };
    let peer = PeerCredentials::of(&stream)?;
    if peer.is_own_user() {
        spawn(
            host,
            Arrival {
                stream: Transport::Unix(stream),
                source: None,
                gateway,
                encryption: Encryption::None,
                kernel: Kernel::of_unix(),
                origin: Origin {
                    peer: "unix".into(),
                    user: None,
                    path,
                },
            },
        );
    } else if let Some(held_back) = host.door.line(Turned::Stranger(peer.uid)) {
        tracing::warn!(?peer, held_back, "refused another user on the unix socket");
    }
    Ok(())
}

fn spawn(host: &Rc<Host>, arrival: Arrival) {
    let mut peer = arrival.origin.peer.clone();
    let Some(place) = host.door.knock(&peer, arrival.source) else {
        return;
    };
    let host = Rc::clone(host);
    tokio::task::spawn_local(async move {
        match connection::serve(&host, arrival, place, &mut peer).await {
            Ok(()) => tracing::info!(%peer, "connection closed"),
            Err(ConnectionError::Opening(error)) => host.door.ended(&peer, &error),
            Err(error) => tracing::info!(%peer, %error, "connection ended"),
        }
    });
}

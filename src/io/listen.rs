//! Listening sockets to connections.

use std::mem::{Discriminant, discriminant};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, UnixListener};

use super::connection::{self, Arrival, ConnectionError};
use super::host::Host;
use super::kernel::Kernel;
use super::tls::Tls;
use super::transport::Transport;
use crate::auth::doorkeeper::{Refusal, Source};
use crate::display::Path;
use crate::os::inherited::{InheritError, InheritedListener, adopt_listener};
use crate::os::{peer_credentials::PeerCredentials, tcp};
use crate::session::Origin;

/// A client that takes no byte for so long is gone: its keys are released and its place is free.
const VANISHED_AFTER: Duration = Duration::from_secs(120);

/// With nothing to send, the kernel asks a client that has been silent for so long.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// Bytes that the kernel may hold between this server and a gateway.
const GATEWAY_BUFFER_BYTES: usize = 64 * 1024;

/// After accept fails (no descriptors, no memory) it is not tried again for this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Kinds of lines about those who did not get as far as a login: a flood of them fills no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// The doorkeeper has refused.
    Refused(Discriminant<Refusal>),
    /// Another user on the unix socket.
    Stranger(u32),
    /// Accepting has failed.
    NotAccepted,
    /// The handshake has.
    Ended(Discriminant<ConnectionError>),
}

/// What is taken on a TCP socket.
#[derive(Clone, Debug)]
pub enum Encryption {
    /// Plain bytes; a client that begins TLS is not understood.
    None,
    /// Both, by the first byte.
    Offered(Rc<Tls>),
    /// TLS; a plain client is told to come again with it.
    Required(Rc<Tls>),
}

impl Encryption {
    /// For the handshake of a connection that begins with one.
    pub(super) fn tls(&self) -> Option<&Tls> {
        match self {
            Self::None => None,
            Self::Offered(tls) | Self::Required(tls) => Some(tls),
        }
    }

    /// Whether plain bytes are refused.
    pub(super) const fn is_required(&self) -> bool {
        matches!(self, Self::Required(_))
    }
}

/// A socket that clients connect to.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener, Encryption),
    /// Unix stream: only the desktop's own user is served, directly or through a gateway that has let the user in.
    Unix(UnixListener, Path),
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
                Self::Unix(UnixListener::from_std(listener)?, Path::Unix)
            }
        })
    }

    /// The same, where clients of a unix socket come through a gateway from a network.
    #[must_use]
    pub fn behind_gateway(self) -> Self {
        match self {
            Self::Unix(listener, _) => Self::Unix(listener, Path::Network),
            other => other,
        }
    }

    /// Accepts clients for ever; each becomes a task of the current `LocalSet`.
    pub async fn serve(self, host: Rc<Host>) {
        loop {
            let accepted = match &self {
                Self::Tcp(listener, encryption) => accept_tcp(listener, encryption, &host).await,
                Self::Unix(listener, path) => accept_unix(listener, *path, &host).await,
            };
            if let Err(error) = accepted {
                let line = turned(&host, Turned::NotAccepted);
                if let Some(held_back) = line {
                    tracing::warn!(%error, held_back, "cannot accept a client");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
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
    tcp::notice_vanished_peer(&stream, VANISHED_AFTER, KEEPALIVE_IDLE)?;
    let path = if address.ip().to_canonical().is_loopback() {
        Path::Loopback
    } else {
        Path::Network
    };
    spawn(
        host,
        Arrival {
            stream: Transport::Tcp(stream),
            source: Source::of(address.ip()),
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

async fn accept_unix(listener: &UnixListener, path: Path, host: &Rc<Host>) -> std::io::Result<()> {
    let (stream, _) = listener.accept().await?;
    if path == Path::Network {
        // What waits here nothing can make newer.
        SockRef::from(&stream).set_send_buffer_size(GATEWAY_BUFFER_BYTES)?;
    }
    let peer = PeerCredentials::of(&stream)?;
    if peer.is_own_user() {
        spawn(
            host,
            Arrival {
                stream: Transport::Unix(stream),
                source: None,
                encryption: Encryption::None,
                kernel: Kernel::of_unix(),
                origin: Origin {
                    peer: "unix".into(),
                    user: None,
                    path,
                },
            },
        );
    } else if let Some(held_back) = turned(host, Turned::Stranger(peer.uid)) {
        tracing::warn!(?peer, held_back, "refused another user on the unix socket");
    }
    Ok(())
}

fn spawn(host: &Rc<Host>, arrival: Arrival) {
    let place = match host.waiting_place(arrival.source) {
        Ok(place) => place,
        Err(refusal) => {
            host.refused.set(host.refused.get() + 1);
            let peer = &arrival.origin.peer;
            if let Some(held_back) = turned(host, Turned::Refused(discriminant(&refusal))) {
                tracing::warn!(%peer, %refusal, held_back, "connection refused");
            }
            return;
        }
    };
    let host = Rc::clone(host);
    tokio::task::spawn_local(async move {
        let peer = arrival.origin.peer.clone();
        match connection::serve(&host, arrival, place).await {
            Ok(()) => tracing::info!(%peer, "connection closed"),
            Err(error) if error.is_before_login() => {
                if let Some(held_back) = turned(&host, Turned::Ended(discriminant(&error))) {
                    tracing::info!(%peer, %error, held_back, "connection ended");
                }
            }
            Err(error) => tracing::info!(%peer, %error, "connection ended"),
        }
    });
}

/// Whether a line of the kind is to be written now, and what it is to tell of others.
fn turned(host: &Host, kind: Turned) -> Option<Option<u64>> {
    let line = host.turned_away.borrow_mut().admit(host.now(), kind)?;
    Some(line.held_back())
}

//! The gateway's sockets: clients on one side, broker and desktops on the other.
//!
//! A task per connection. Until its client has authenticated it has a place at the door as in a desktop's own server,
//! and a deadline. → `docs/gateway.md`

mod broker_line;
mod connection;
mod notice;
mod relay;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify};

use self::broker_line::BrokerLine;
use super::complaints::Complaints;
use super::tls::Tls;
use crate::auth::doorkeeper::{Doorkeeper, Place, Refusal, Source};
use crate::auth::sasl::Credentials;
use crate::base::Micros;
use crate::gateway::logins::{LoginKey, Logins, Proof};
use crate::os::tcp;

/// A client that takes no byte for so long is gone.
const VANISHED_AFTER: Duration = Duration::from_secs(120);

/// With nothing to send, the kernel asks a client that has been silent for so long.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// After accept fails (no descriptors, no memory) it is not tried again for this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Connections at a time, of clients that have authenticated or not: each takes two descriptors.
const CONNECTIONS_MAX: usize = 8192;

/// Bytes that the kernel may hold unsent for a client: what waits there nothing can make newer.
const NOTSENT_BYTES: u32 = 64 * 1024;

/// What all connections share.
#[derive(Debug)]
pub struct Gateway {
    tls: Rc<Tls>,
    broker: PathBuf,
    started: Instant,
    /// Proofs are made with it; it lives as long as this process.
    proof_key: [u8; 32],
    decodes_opus: bool,
    logins: RefCell<Logins>,
    lines: RefCell<BTreeMap<LoginKey, Rc<Mutex<BrokerLine>>>>,
    /// What users read who were refused, as long as they are connected.
    notices: RefCell<BTreeMap<LoginKey, Rc<str>>>,
    door: RefCell<Doorkeeper>,
    /// Rung when the place of one who has not authenticated is taken away.
    places: RefCell<BTreeMap<Place, Rc<Notify>>>,
    refusals: RefCell<Complaints>,
    connections: RefCell<usize>,
}

impl Gateway {
    /// A gateway that offers this certificate and asks the broker at this socket; `decodes_opus` says what desktops of
    /// this host do.
    ///
    /// # Errors
    /// No random numbers.
    pub fn new(
        tls: Rc<Tls>,
        broker: PathBuf,
        decodes_opus: bool,
    ) -> Result<Self, getrandom::Error> {
        let mut proof_key = [0; 32];
        getrandom::fill(&mut proof_key)?;
        Ok(Self {
            tls,
            broker,
            started: Instant::now(),
            proof_key,
            decodes_opus,
            logins: RefCell::new(Logins::new()),
            lines: RefCell::default(),
            notices: RefCell::default(),
            door: RefCell::new(Doorkeeper::new()),
            places: RefCell::default(),
            refusals: RefCell::default(),
            connections: RefCell::new(0),
        })
    }

    /// Accepts clients for ever; each becomes a task of the current `LocalSet`.
    pub async fn serve(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => self.receive(stream, address),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a client");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn receive(self: &Rc<Self>, stream: TcpStream, address: SocketAddr) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let source = Source::of(address.ip());
        let place = match self.waiting_place(source) {
            Ok(place) => place,
            Err(refusal) => {
                self.complain(address, &refusal);
                return;
            }
        };
        let Some(seat) = Seat::take(self) else {
            self.complain(
                address,
                &format_args!("{CONNECTIONS_MAX} connections are open"),
            );
            return;
        };
        let prepared = tcp::send_at_once(&stream, NOTSENT_BYTES)
            .and_then(|()| tcp::notice_vanished_peer(&stream, VANISHED_AFTER, KEEPALIVE_IDLE));
        if prepared.is_err() {
            // It has closed already.
            return;
        }
        let gateway = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let arrival = connection::Arrival {
                stream,
                address,
                source,
            };
            match connection::serve(&gateway, arrival, place).await {
                Ok(()) => tracing::info!(peer = %address, "connection closed"),
                Err(error) => tracing::info!(peer = %address, %error, "connection ended"),
            }
            drop(seat);
        });
    }

    fn complain(&self, peer: SocketAddr, refusal: &impl std::fmt::Display) {
        // The words without their numbers: a flood fills no log.
        let kind: String = refusal
            .to_string()
            .chars()
            .filter(|c| !c.is_ascii_digit())
            .collect();
        if self.refusals.borrow_mut().admit(self.now(), &kind) {
            tracing::warn!(%peer, %refusal, "connection refused");
        }
    }

    fn now(&self) -> Micros {
        Micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// What name and password come to; who knows it without the key knows nothing.
    fn proof(&self, credentials: &Credentials) -> Proof {
        let mut hasher = blake3::Hasher::new_keyed(&self.proof_key);
        hasher.update(credentials.user.as_bytes());
        // No name holds one.
        hasher.update(&[0]);
        hasher.update(&credentials.password);
        *hasher.finalize().as_bytes()
    }

    fn waiting_place(self: &Rc<Self>, source: Option<Source>) -> Result<WaitingPlace, Refusal> {
        let knock = self.door.borrow_mut().knock(self.now(), source)?;
        let evicted = Rc::new(Notify::new());
        let mut places = self.places.borrow_mut();
        if let Some(other) = knock.evicted.and_then(|place| places.remove(&place)) {
            other.notify_one();
        }
        places.insert(knock.place, Rc::clone(&evicted));
        Ok(WaitingPlace {
            gateway: Rc::clone(self),
            place: knock.place,
            evicted,
        })
    }
}

/// Holds a place among those who have not authenticated until it is dropped.
#[derive(Debug)]
struct WaitingPlace {
    gateway: Rc<Gateway>,
    place: Place,
    evicted: Rc<Notify>,
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        self.gateway.door.borrow_mut().leave(self.place);
        self.gateway.places.borrow_mut().remove(&self.place);
    }
}

/// One of all connections.
struct Seat(Rc<Gateway>);

impl Seat {
    fn take(gateway: &Rc<Gateway>) -> Option<Self> {
        let mut connections = gateway.connections.borrow_mut();
        if CONNECTIONS_MAX <= *connections {
            return None;
        }
        *connections += 1;
        Some(Self(Rc::clone(gateway)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut connections = self.0.connections.borrow_mut();
        *connections = connections.saturating_sub(1);
    }
}

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

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use self::broker_line::BrokerLine;
use self::connection::ConnectionError;
use super::clock::Clock;
use super::door::{Door, Turned, canonical, notice_vanished};
use super::tls::Tls;
use crate::auth::doorkeeper::Source;
use crate::auth::sasl::Credentials;
use crate::gateway::logins::{LoginKey, Logins, Proof};
use crate::os::tcp;

/// Connections at a time, of clients that have authenticated or not: each takes two descriptors.
const CONNECTIONS_MAX: usize = 8192;

/// Bytes that the kernel may hold unsent for a client: what waits there nothing can make newer.
const NOTSENT_BYTES: u32 = 64 * 1024;

/// What all connections share.
#[derive(Debug)]
pub struct Gateway {
    tls: Rc<Tls>,
    broker: PathBuf,
    /// Proofs are made with it; it lives as long as this process.
    proof_key: [u8; 32],
    decodes_opus: bool,
    logins: RefCell<Logins>,
    lines: RefCell<BTreeMap<LoginKey, Rc<Mutex<BrokerLine>>>>,
    /// What users read who were refused, as long as they are connected.
    notices: RefCell<BTreeMap<LoginKey, Rc<str>>>,
    door: Rc<Door>,
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
            proof_key,
            decodes_opus,
            logins: RefCell::new(Logins::new()),
            lines: RefCell::default(),
            notices: RefCell::default(),
            door: Door::new(Clock::start()),
            connections: RefCell::new(0),
        })
    }

    /// Accepts clients for ever; each becomes a task of the current `LocalSet`.
    pub async fn serve(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => self.receive(stream, address),
                Err(error) => self.door.not_accepted(error).await,
            }
        }
    }

    fn receive(self: &Rc<Self>, stream: TcpStream, address: SocketAddr) {
        let address = canonical(address);
        if self.door.has_left(&stream, &address) {
            return;
        }
        let source = Source::of(address.ip());
        let Some(place) = self.door.knock(&address, source) else {
            return;
        };
        let Some(seat) = Seat::take(self) else {
            let refusal = format_args!("{CONNECTIONS_MAX} connections are open");
            self.door.refuse(Turned::Full, &address, &refusal);
            return;
        };
        let prepared =
            tcp::send_at_once(&stream, NOTSENT_BYTES).and_then(|()| notice_vanished(&stream));
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
                Err(ConnectionError::Opening(error)) => gateway.door.ended(&address, &error),
                Err(error) => tracing::info!(peer = %address, %error, "connection ended"),
            }
            drop(seat);
        });
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

//! The door of a program that clients connect to, a desktop's server or the gateway: who waits at it, who is turned
//! away, and what the log tells of them.
//!
//! What is refused is counted, and written as often as `refusals` allows, so that nobody fills the log by knocking.
//! The words of the lines about failed logins and refused connections are a promise: tools that shut addresses out
//! look for them (`caraway-server(8)`), and they are the same in every program.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::mem::{Discriminant, discriminant};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::clock::Clock;
use super::refusals::Refusals;
use crate::auth::doorkeeper::{Doorkeeper, Place, Refusal, Source, Tried};
use crate::base::limits::{
    FAILURE_ANSWERED_AFTER, HANDSHAKE_DEADLINE, LOGIN_LINE_INTERVAL, LOGIN_LINES_MAX,
};
use crate::channel::link::LinkError;
use crate::os::tcp;

/// A client that takes no byte for so long is gone: its keys are released and its place is free.
const VANISHED_AFTER: Duration = Duration::from_secs(120);

/// Connections that wait for `accept`. When the queue is full the kernel forgets who knocks, and a client's kernel
/// tries again after a second: it has to hold what a flood of this host brings while the server's thread is busy or
/// does not get the processor, some ten thousand a second for some ten milliseconds. More would only make those behind
/// them wait.
const QUEUE: i32 = 1024;

/// With nothing to send, the kernel asks a client that has been silent for so long.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// After accept fails (no descriptors, no memory) it is not tried again for this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Why a connection ended before its client had logged in.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpeningError {
    /// The socket failed, or the TLS handshake did.
    #[error("link: {0}")]
    Socket(#[from] io::Error),
    /// The handshake failed.
    #[error("link: {0}")]
    Link(#[from] LinkError),
    /// It did not finish its handshake in time.
    #[error("link: not finished after {} s", HANDSHAKE_DEADLINE.as_millis() / 1000)]
    Deadline,
    /// It waited longest when too many waited.
    #[error("link: given up for a newer one, too many have not authenticated")]
    Evicted,
    /// The client closed while it linked.
    #[error("link: closed by the client")]
    ClosedEarly,
    /// No ticket key or random number can be made.
    #[error("this server cannot make keys")]
    NoKeys,
    /// Nobody can be asked whether the password is right: no fault of the client's.
    #[error("link: nobody can judge its password")]
    NotJudged,
}

/// Kinds of lines about those who did not get as far as a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// The doorkeeper has refused.
    Refused(Discriminant<Refusal>),
    /// There is no room for one more.
    Full,
    /// Another user on the unix socket.
    Stranger(u32),
    /// Accepting has failed.
    NotAccepted,
    /// A channel that belongs to no client that is known.
    ChannelDenied,
    /// Nobody can say whose passwords are right.
    NotJudged,
    /// The handshake has failed.
    Ended(Discriminant<OpeningError>),
}

/// The limits and the log of all who have not authenticated.
#[derive(Debug)]
pub(super) struct Door {
    clock: Clock,
    keeper: RefCell<Doorkeeper>,
    /// Rung when the place of one who has not authenticated is taken away.
    places: RefCell<BTreeMap<Place, Rc<Notify>>>,
    wrong_passwords: Cell<u64>,
    refused: Cell<u64>,
    /// Lines about who was turned away before a login.
    turned_away: RefCell<Refusals<Turned>>,
    /// Lines about failed logins, by address.
    failed_logins: RefCell<Refusals<String>>,
}

impl Door {
    /// Nobody has come yet.
    pub(super) fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            clock,
            keeper: RefCell::new(Doorkeeper::new()),
            places: RefCell::default(),
            wrong_passwords: Cell::new(0),
            refused: Cell::new(0),
            turned_away: RefCell::default(),
            failed_logins: RefCell::new(Refusals::every(LOGIN_LINE_INTERVAL, LOGIN_LINES_MAX)),
        })
    }

    /// Wrong passwords until now.
    pub(super) const fn wrong_passwords(&self) -> u64 {
        self.wrong_passwords.get()
    }

    /// Connections until now that were refused before they said a word.
    pub(super) const fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// A place among those who have not authenticated, perhaps one that is taken from another; `source` is none for
    /// this host's own. None: the connection is refused, and is to be closed.
    pub(super) fn knock(
        self: &Rc<Self>,
        peer: &impl Display,
        source: Option<Source>,
    ) -> Option<WaitingPlace> {
        let knock = self.keeper.borrow_mut().knock(self.clock.now(), source);
        let knock = knock
            .map_err(|refusal| self.refuse(Turned::Refused(discriminant(&refusal)), peer, &refusal))
            .ok()?;
        let evicted = Rc::new(Notify::new());
        let mut places = self.places.borrow_mut();
        if let Some(other) = knock.evicted.and_then(|place| places.remove(&place)) {
            other.notify_one();
        }
        places.insert(knock.place, Rc::clone(&evicted));
        Some(WaitingPlace {
            door: Rc::clone(self),
            place: knock.place,
            evicted,
        })
    }

    /// Counts a connection that is closed before its first byte, and tells of it.
    pub(super) fn refuse(&self, kind: Turned, peer: &impl Display, refusal: &impl Display) {
        self.refused.set(self.refused.get() + 1);
        if let Some(held_back) = self.line(kind) {
            tracing::warn!(%peer, %refusal, held_back, "connection refused");
        }
    }

    /// Whether the address has been shut out while its connection waited: its password counts for nothing.
    pub(super) fn is_shut(&self, source: Option<Source>) -> bool {
        self.keeper.borrow().is_shut(self.clock.now(), source)
    }

    /// A password was right.
    pub(super) fn succeeded(&self, source: Option<Source>, tried: Tried) {
        self.keeper.borrow_mut().succeeded(source, tried);
    }

    /// Counts a wrong password that came at `asked`, tells of it, and holds its answer back. It is told of at once:
    /// who does not wait for the answer has guessed all the same.
    pub(super) async fn failed(
        &self,
        peer: &impl Display,
        source: Option<Source>,
        tried: Tried,
        asked: Instant,
    ) {
        self.tell_failed_login(peer);
        self.wrong_passwords.set(self.wrong_passwords.get() + 1);
        let shut = self
            .keeper
            .borrow_mut()
            .failed(self.clock.now(), source, tried);
        if let Some(time) = shut {
            let seconds = time.0 / 1_000_000;
            tracing::warn!(seconds, "an address is shut out for its wrong passwords");
        }
        hold_back(asked).await;
    }

    /// Whether a line of the kind is to be written now, and what it is to tell of others.
    pub(super) fn line(&self, kind: Turned) -> Option<Option<u64>> {
        let line = self
            .turned_away
            .borrow_mut()
            .admit(self.clock.now(), kind)?;
        Some(line.held_back())
    }

    /// Whether the client has hung up before anybody looked at it: it takes no place, and costs no more than this. A
    /// flood of such connections would push out those who mean to stay.
    pub(super) fn has_left(&self, stream: &TcpStream, peer: &impl Display) -> bool {
        let has_left = tcp::has_hung_up(stream);
        if has_left {
            self.ended(peer, &OpeningError::ClosedEarly);
        }
        has_left
    }

    /// Tells of a socket that gave no client, and waits before it is tried again, unless only that one client is gone.
    pub(super) async fn not_accepted(&self, error: io::Error) {
        if is_of_one_client(&error) {
            return tokio::task::yield_now().await;
        }
        if let Some(held_back) = self.line(Turned::NotAccepted) {
            tracing::warn!(%error, held_back, "cannot accept a client");
        }
        sleep(ACCEPT_PAUSE).await;
    }

    /// Tells why a connection ended before its client had logged in.
    pub(super) fn ended(&self, peer: &impl Display, error: &OpeningError) {
        if let Some(held_back) = self.line(Turned::Ended(discriminant(error))) {
            tracing::info!(%peer, %error, held_back, "connection ended");
        }
    }

    fn tell_failed_login(&self, peer: &impl Display) {
        let peer = peer.to_string();
        // Each connection has a port of its own; the address is what counts.
        let address = peer.rsplit_once(':').map_or(&*peer, |(address, _)| address);
        let mut failed = self.failed_logins.borrow_mut();
        if let Some(line) = failed.admit(self.clock.now(), address.to_owned()) {
            tracing::warn!(%peer, held_back = line.held_back(), "authentication failed");
        }
    }
}

/// Holds a place among those who have not authenticated until it is dropped.
#[derive(Debug)]
pub(super) struct WaitingPlace {
    door: Rc<Door>,
    place: Place,
    evicted: Rc<Notify>,
}

impl WaitingPlace {
    /// Drives a client's handshake to its end, its deadline, or the loss of this place.
    ///
    /// # Errors
    /// The handshake's, and [`OpeningError::Evicted`] and [`OpeningError::Deadline`].
    pub(super) async fn open<T>(
        self,
        handshake: impl Future<Output = Result<T, OpeningError>>,
    ) -> Result<T, OpeningError> {
        tokio::select! {
            opened = handshake => opened,
            () = self.evicted.notified() => Err(OpeningError::Evicted),
            () = sleep(Duration::from_micros(HANDSHAKE_DEADLINE.0)) => Err(OpeningError::Deadline),
        }
    }
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        self.door.keeper.borrow_mut().leave(self.place);
        self.door.places.borrow_mut().remove(&self.place);
    }
}

/// Whether accepting failed by what befell that one connection (accept(2)): nobody else is to wait for it.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
    )
}

/// Waits until a password that came at `asked` may be answered with no.
pub(super) async fn hold_back(asked: Instant) {
    sleep_until(asked + Duration::from_micros(FAILURE_ANSWERED_AFTER.0)).await;
}

/// The address as it is told: an IPv4 client of a socket for both kinds is one of IPv4.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Makes room for those who wait at a listening TCP socket, as many as the host allows (`net.core.somaxconn`).
///
/// # Errors
/// The socket's, if it is none that listens.
pub(super) fn make_queue(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).listen(QUEUE)
}

/// Sees to it that a client that has gone without a word is noticed.
///
/// # Errors
/// The socket's, if the client has gone already.
pub(super) fn notice_vanished(stream: &TcpStream) -> io::Result<()> {
    tcp::notice_vanished_peer(stream, VANISHED_AFTER, KEEPALIVE_IDLE)
}

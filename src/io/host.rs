//! The session as the tasks share it: one thread, a clock, and a bell for each task.
//!
//! Tasks call the session through [`Host::with`], never across an await. What a call leaves to be done for others
//! (a channel that has something to send, input for the driver, a frame that is wanted) rings their bells.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;

use tokio::sync::Notify;

use super::clock::Clock;
use super::door::Door;
use super::driver::InputDoor;
use super::key_pool::KeyPool;
use super::sasl::Sasl;
use crate::agent::resize_layout::ScreenLayout;
use crate::auth::ticket::{Ticket, TicketPolicy};
use crate::auth::tickets::Tickets;
use crate::base::limits::INPUT_WAITING_MAX;
use crate::base::{Access, Micros};
use crate::metrics::Exposition;
use crate::ring::InputRecord;
use crate::session::{ChannelKey, Event, FolderStream, Session, Status, Visit};

/// A connection's bell.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// Rung when the channel should be looked at.
    pub(super) rung: Notify,
    /// The channel's client is gone.
    pub(super) closed: Cell<bool>,
}

/// Where programs of the desktop find a client's shared folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FolderAddress {
    /// Of 127.0.0.1.
    pub(super) port: u16,
    /// The same as a unix socket.
    pub(super) socket: Option<PathBuf>,
}

impl FolderAddress {
    /// What programs are told.
    pub(super) fn uri(&self) -> String {
        format!("dav://{}:{}/", std::net::Ipv4Addr::LOCALHOST, self.port)
    }
}

/// The session with its bells; shared by all tasks of the thread.
#[derive(Debug)]
pub struct Host {
    session: RefCell<Session>,
    clock: Clock,
    tickets: RefCell<Tickets>,
    /// In place of tickets on TCP; a unix socket's clients are known by their credentials.
    pub(super) sasl: Option<Sasl>,
    /// Passwords that were used up, until the launcher is told.
    spent: RefCell<Vec<Access>>,
    password_spent: Notify,
    /// Rung when a client has come or gone.
    visits: Notify,
    pub(super) keys: KeyPool,
    bells: RefCell<BTreeMap<ChannelKey, Rc<Bell>>>,
    input: RefCell<VecDeque<InputRecord>>,
    /// What the X server is to show, until the driver is told.
    layout: RefCell<Option<ScreenLayout>>,
    /// The short way for it, while a driver is attached.
    input_door: RefCell<Option<InputDoor>>,
    /// Rung when the driver has taken input: channels that waited for it go on.
    pub(super) input_taken: Notify,
    /// Rung when a frame or input is there for the driver.
    pub(super) driver: Notify,
    pub(super) door: Rc<Door>,
    /// Rung when the agent has orders, or another deadline.
    pub(super) agent: Notify,
    /// Rung when a client has begun or ceased to share a folder.
    pub(super) folders: Notify,
    folder_bells: RefCell<BTreeMap<FolderStream, Rc<Notify>>>,
    folder_addresses: RefCell<BTreeMap<ChannelKey, FolderAddress>>,
    folder_addresses_changed: Notify,
    /// Rung when clients that listen or have a microphone come or go.
    pub(super) sound: Notify,
}

impl Host {
    /// A host for `session`, whose clock starts now.
    pub fn new(session: Session, policy: TicketPolicy, keys: KeyPool) -> Self {
        let clock = Clock::start();
        Self {
            session: RefCell::new(session),
            clock,
            tickets: RefCell::new(Tickets::new(policy)),
            sasl: None,
            spent: RefCell::default(),
            password_spent: Notify::new(),
            visits: Notify::new(),
            keys,
            bells: RefCell::new(BTreeMap::new()),
            input: RefCell::new(VecDeque::new()),
            layout: RefCell::new(None),
            input_door: RefCell::new(None),
            input_taken: Notify::new(),
            driver: Notify::new(),
            door: Door::new(clock),
            agent: Notify::new(),
            folders: Notify::new(),
            folder_bells: RefCell::default(),
            folder_addresses: RefCell::default(),
            folder_addresses_changed: Notify::new(),
            sound: Notify::new(),
        }
    }

    /// The same with SASL in place of tickets on every TCP socket.
    pub fn with_sasl(mut self, sasl: Sasl) -> Self {
        self.sasl = Some(sasl);
        self
    }

    /// The time as the session knows it.
    pub fn now(&self) -> Micros {
        self.clock.now()
    }

    /// The moment of a session time, for timers.
    pub(super) fn instant(&self, at: Micros) -> tokio::time::Instant {
        self.clock.instant(at)
    }

    /// Calls the session and rings whoever has something to do then.
    pub fn with<R>(&self, call: impl FnOnce(&mut Session) -> R) -> R {
        let mut events = Vec::new();
        let result = {
            let mut session = self.session.borrow_mut();
            let result = call(&mut session);
            session.take_events(&mut events);
            let records = session.take_input();
            self.pass_input(&records);
            result
        };
        for event in events {
            match event {
                Event::Wake(key) => self.ring(key, false),
                Event::Close(key) => self.ring(key, true),
                Event::FrameWanted => self.driver.notify_one(),
                Event::Agent => self.agent.notify_one(),
                Event::Folders => self.folders.notify_one(),
                Event::FolderStream(stream) => {
                    if let Some(bell) = self.folder_bells.borrow().get(&stream) {
                        bell.notify_one();
                    }
                }
                Event::Sound => self.sound.notify_one(),
                Event::Visits => self.visits.notify_one(),
            }
        }
        result
    }

    /// From now on this lets clients in that get this access. Who is connected stays, and opens no further channel.
    pub fn set_ticket(&self, access: Access, ticket: Ticket) {
        self.tickets.borrow_mut().set(access, ticket);
        self.spent.borrow_mut().retain(|spent| *spent != access);
    }

    /// What a decrypted ticket gives a channel with this connection id now.
    pub(super) fn access(&self, plaintext: Option<&[u8]>, connection_id: u32) -> Option<Access> {
        let tickets = self.tickets.borrow();
        tickets.access(self.now(), plaintext, connection_id)
    }

    /// A new client got in under this connection id.
    pub(super) fn let_in(&self, access: Access, connection_id: u32) {
        if self.tickets.borrow_mut().spend(access, connection_id) {
            self.spent.borrow_mut().push(access);
            self.password_spent.notify_one();
        }
    }

    /// Waits until a password has been used up; gives what those gave that have been since. One waits at a time.
    pub(super) async fn spent(&self) -> Vec<Access> {
        self.password_spent.notified().await;
        self.spent.take()
    }

    /// Waits until clients have come or gone; gives which. One waits at a time.
    pub(super) async fn visits(&self) -> Vec<Visit> {
        self.visits.notified().await;
        self.session.borrow_mut().take_visits()
    }

    /// A snapshot for people.
    pub fn status(&self) -> Status {
        let session = self.session.borrow();
        let mut status = session.status(self.now());
        let addresses = self.folder_addresses.borrow();
        for ((key, _), folder) in session.folders().zip(&mut status.shared_folders) {
            if let Some(address) = addresses.get(&key) {
                folder.uri = address.uri();
                let socket = address.socket.as_ref();
                folder.socket = socket.map(|path| path.display().to_string());
            }
        }
        status
    }

    /// Figures for monitoring.
    pub(super) fn expose(&self, exposition: &mut Exposition) {
        self.session.borrow().expose(self.now(), exposition);
        let help = "Wrong passwords.";
        let denied = self.door.wrong_passwords();
        exposition.counter("caraway_authentication_failures_total", help, denied);
        let help = "Connections refused for what their address did before.";
        let refused = self.door.refused();
        exposition.counter("caraway_connections_refused_total", help, refused);
    }

    /// Where the folders that are shared now are to be found.
    pub(super) fn set_folder_addresses(
        &self,
        addresses: impl IntoIterator<Item = (ChannelKey, FolderAddress)>,
    ) {
        let addresses: BTreeMap<_, _> = addresses.into_iter().collect();
        let told: Vec<(ChannelKey, String)> = addresses
            .iter()
            .map(|(key, address)| (*key, address.uri().trim_end_matches('/').to_owned()))
            .collect();
        *self.folder_addresses.borrow_mut() = addresses;
        self.with(|session| session.set_folder_addresses(&told));
        self.folder_addresses_changed.notify_one();
    }

    /// Waits until folders are shared at other addresses than before; gives their ports. One waits at a time.
    pub async fn folder_ports(&self) -> Vec<u16> {
        self.folder_addresses_changed.notified().await;
        let addresses = self.folder_addresses.borrow();
        addresses.values().map(|address| address.port).collect()
    }

    /// A bell for a new connection to a shared folder.
    pub(super) fn hang_folder_bell(&self, stream: FolderStream) -> Rc<Notify> {
        let bell = Rc::new(Notify::new());
        let bells = &mut self.folder_bells.borrow_mut();
        bells.insert(stream, Rc::clone(&bell));
        bell
    }

    /// A connection to a shared folder has ended.
    pub(super) fn take_folder_bell(&self, stream: FolderStream) {
        self.folder_bells.borrow_mut().remove(&stream);
    }

    /// The X server is to show this; the newest counts.
    pub(super) fn set_layout(&self, layout: ScreenLayout) {
        self.layout.replace(Some(layout));
        self.driver.notify_one();
    }

    /// What the driver is to be told, once.
    pub(super) fn take_layout(&self) -> Option<ScreenLayout> {
        self.layout.take()
    }

    /// From now on input takes the short way to this driver.
    pub(super) fn open_input_door(&self, door: InputDoor) {
        *self.input_door.borrow_mut() = Some(door);
    }

    /// Sends input to the driver, or keeps it for the driver's task if it has to wait.
    fn pass_input(&self, records: &[InputRecord]) {
        let mut waiting = self.input.borrow_mut();
        let taken = match &*self.input_door.borrow() {
            Some(door) if waiting.is_empty() => door.pass(records),
            _ => 0,
        };
        let rest = records.get(taken..).unwrap_or_default();
        if !rest.is_empty() {
            waiting.extend(rest);
            self.driver.notify_one();
        }
    }

    /// At most `room` records of the input that waits for the driver, in order.
    pub(super) fn take_input(&self, room: usize) -> Vec<InputRecord> {
        let mut waiting = self.input.borrow_mut();
        let room = room.min(waiting.len());
        let taken = waiting.drain(..room).collect();
        if waiting.len() < INPUT_WAITING_MAX {
            self.input_taken.notify_waiters();
        }
        taken
    }

    /// Whether so much input waits for the driver that inputs channels are not read until it has taken some. A client
    /// that types faster than X takes it is slowed down by its own connection, and loses no key.
    pub(super) fn input_is_full(&self) -> bool {
        INPUT_WAITING_MAX <= self.input.borrow().len()
    }

    /// A bell for a new channel.
    pub(super) fn hang_bell(&self, key: ChannelKey) -> Rc<Bell> {
        let bell = Rc::new(Bell::default());
        self.bells.borrow_mut().insert(key, Rc::clone(&bell));
        bell
    }

    /// The channel has ended.
    pub(super) fn take_bell(&self, key: ChannelKey) {
        self.bells.borrow_mut().remove(&key);
    }

    fn ring(&self, key: ChannelKey, close: bool) {
        if let Some(bell) = self.bells.borrow().get(&key) {
            if close {
                bell.closed.set(true);
            }
            bell.rung.notify_one();
        }
    }
}

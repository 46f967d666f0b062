//! One server, its driver and its clients, in virtual time.
//!
//! Everything takes turns at one moment until nobody has anything to do; then time goes on to the next moment at which
//! something arrives or a timer runs out. Connections are driven as `io::connection` drives them, so a wake-up that
//! the session forgets is a client that hangs here too.

use std::collections::BTreeSet;

use caraway_server::base::limits::{IMAGE_PIXELS_MAX, OUTPUT_BYTES_MAX, PING_INTERVAL};
use caraway_server::base::{Micros, Point, Size};
use caraway_server::channel::link::LinkError;
use caraway_server::display::Path;
use caraway_server::display::pace::IN_FLIGHT_MAX;
use caraway_server::ring::{CursorState, Monitors};
use caraway_server::session::Origin;
use caraway_server::wire::display::Head as WireHead;
use caraway_server::wire::inputs::{ClientMessage, MouseButtons};
use caraway_server::wire::link::{ChannelType, LinkCode};
use caraway_server::wire::main::MouseModes;

use crate::attachment::{Attachment, Devices};
use crate::client::handshake::link;
use crate::client::inputs::HeldSet;
use crate::client::{Client, Connection, Habits, Profile, Said};
use crate::host::Host;
use crate::line::Line;
use crate::producer::{Op, Producer};

/// Turns at one moment after which somebody must be spinning.
const TURNS_MAX: u32 = 200_000;

/// Bytes of the largest message: an image of raw pixels.
const MESSAGE_BYTES_MAX: usize = IMAGE_PIXELS_MAX as usize * 4 + 128;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Micros,
    pub(crate) producer: Producer,
    pub(crate) devices: Devices,
    pub(crate) attachment: Attachment,
    pub(crate) host: Host,
    /// Everybody who ever came; who has gone has no connections.
    pub(crate) clients: Vec<Client>,
    /// X has served its clients after each drawing.
    pub(crate) x_is_quick: bool,
    entropy: u32,
}

/// Bytes of a PING with the longer header.
const PING_BYTES_MAX: u64 = 18 + 4 + 8;

/// What a turn of a connection's task came to.
enum Turn {
    Idle,
    Busy,
    Closed,
}

impl World {
    pub(crate) fn new(size: Size) -> Self {
        let now = Micros::from_secs(1);
        let mut host = Host::new(now);
        let producer = Producer::new(size);
        let attachment = Attachment::new(&mut host, &producer);
        let mut world = Self {
            now,
            producer,
            devices: Devices::default(),
            attachment,
            host,
            clients: Vec::new(),
            x_is_quick: true,
            entropy: 1,
        };
        world.producer.idle();
        world
    }

    /// A client comes.
    pub(crate) fn join(&mut self, profile: Profile, line: Line) -> usize {
        self.join_with(profile, line, Habits::default())
    }

    pub(crate) fn join_with(&mut self, profile: Profile, line: Line, habits: Habits) -> usize {
        self.clients.push(Client::new(profile, line, habits));
        self.clients.len() - 1
    }

    /// A client goes: all its connections end.
    pub(crate) fn leave(&mut self, client: usize) {
        for connection in self.clients[client].connections.drain(..) {
            self.host.close(connection.key);
        }
        self.clients[client].wanted.clear();
    }

    /// A client that has gone comes back.
    pub(crate) fn rejoin(&mut self, client: usize) {
        let client = &mut self.clients[client];
        assert!(client.connections.is_empty(), "it has gone");
        client.come_back();
    }

    /// The server is killed and another one attaches; clients find their connections closed.
    pub(crate) fn restart_server(&mut self) {
        self.host = Host::new(self.now);
        self.attachment = Attachment::new(&mut self.host, &self.producer);
        for client in &mut self.clients {
            client.connections.clear();
            client.wanted.clear();
        }
        // The driver lets go of what the server held.
        self.devices.keys.clear();
        self.devices.buttons.clear();
    }

    pub(crate) fn draw(&mut self, op: &Op) {
        self.producer.draw(op);
        if self.x_is_quick {
            self.producer.idle();
        }
    }

    /// Nothing happens for a moment. When the server would tidy up again.
    pub(crate) fn tidy(&mut self) -> Option<Micros> {
        let now = self.now;
        self.host.with(|session| session.tidy(now))
    }

    /// Time goes by.
    pub(crate) fn run_for(&mut self, span: Micros) {
        let end = self.now + span;
        self.settle();
        while let Some(next) = self.next_wake().filter(|next| *next <= end) {
            assert!(self.now < next, "somebody spins");
            self.go_to(next);
        }
        self.go_to(end);
    }

    /// Runs until these clients show what is on the screen; gives the time that it took.
    pub(crate) fn run_until_exact(&mut self, clients: &[usize], limit: Micros) -> Micros {
        let start = self.now;
        self.settle();
        while !clients.iter().all(|client| self.is_exact(*client)) {
            let next = self.next_wake().unwrap_or(Micros(u64::MAX));
            let spent = next.since(start);
            assert!(spent <= limit, "{clients:?} {}", self.describe());
            self.go_to(next);
        }
        self.now.since(start)
    }

    /// The next moment at which anybody does anything.
    pub(crate) fn next_wake(&self) -> Option<Micros> {
        let connections = self.clients.iter().flat_map(|client| &client.connections);
        let wakes = connections.flat_map(|one| {
            let written = one.written == one.output.len();
            let deadline = self.host.session().deadline(one.key);
            let is_held = self.host.session().is_held(one.key);
            [
                one.to_server.next_at().filter(|_| !is_held),
                deadline.filter(|_| written),
            ]
        });
        let clients = self.clients.iter().map(Client::next_at);
        let all = wakes.chain(clients).chain([self.attachment.next_at()]);
        all.flatten().min()
    }

    pub(crate) fn is_exact(&self, client: usize) -> bool {
        let shown = self.clients[client].display.shown();
        shown.is_some_and(|shown| {
            shown.size == self.producer.size() && shown.pixels == self.producer.snapshot()
        })
    }

    /// Bytes that the session gave on a channel.
    pub(crate) fn given_bytes(&self, client: usize, kind: ChannelType) -> u64 {
        let connection = self.clients[client].connection(kind);
        connection.map_or(0, |one| one.given_bytes)
    }

    /// Bytes of a channel that the session gave and the client has not read.
    pub(crate) fn behind_bytes(&self, client: usize, kind: ChannelType) -> usize {
        let connection = self.clients[client].connection(kind);
        connection.map_or(0, Connection::behind_bytes)
    }

    fn describe(&self) -> String {
        let clients = self.clients.iter().map(|client| {
            let display = &client.display;
            format!(
                "{:?} connected {} reads {} marked {} {:?} behind {:?}",
                client.profile,
                client.is_connected(),
                client.reads,
                display.marked,
                display.counts,
                client
                    .connection(ChannelType::DISPLAY)
                    .map(Connection::behind_bytes),
            )
        });
        clients.collect::<Vec<_>>().join("\n")
    }

    fn go_to(&mut self, next: Micros) {
        self.now = self.now.max(next);
        self.host.now = self.now;
        self.settle();
    }

    /// Everybody takes turns until nobody has anything to do at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut busy = self
                .attachment
                .turn(&mut self.host, &self.producer, &mut self.devices);
            for client in 0..self.clients.len() {
                busy |= self.turn(client);
            }
            if !busy {
                return;
            }
        }
        unreachable!("does not come to rest: {}", self.describe());
    }

    /// A turn of a client and of the tasks of its connections.
    fn turn(&mut self, number: usize) -> bool {
        let mut busy = self.link_wanted(number);
        let Self {
            now, host, clients, ..
        } = self;
        let client = &mut clients[number];
        let shared = &mut client.shared;
        client.connections.retain_mut(|connection| {
            let turn = serve(host, connection, *now, |bytes, unread, pipe| {
                shared.write(*now, bytes, unread, pipe)
            });
            busy |= !matches!(turn, Turn::Idle);
            if matches!(turn, Turn::Closed) {
                host.close(connection.key);
            }
            !matches!(turn, Turn::Closed)
        });
        busy | client.read(*now)
    }

    fn link_wanted(&mut self, number: usize) -> bool {
        let wanted = std::mem::take(&mut self.clients[number].wanted);
        for kind in &wanted {
            let linked = self.connect(number, *kind);
            assert!(
                linked.is_ok() || *kind == ChannelType::MAIN,
                "a channel of the list is linked: {linked:?}"
            );
        }
        !wanted.is_empty()
    }

    /// Links one channel of a client.
    pub(crate) fn connect(&mut self, number: usize, kind: ChannelType) -> Result<(), LinkCode> {
        self.entropy = self.entropy.wrapping_mul(0x9e37_79b1).wrapping_add(7);
        let (entropy, now, client) = (self.entropy, self.now, &mut self.clients[number]);
        let (message, access) = (client.link_message(kind), client.access);
        let (host, mut key) = (&mut self.host, None);
        let piece = 1 + entropy as usize % 400;
        let linked = link(&message, piece, |asked| {
            assert_eq!(*asked, message);
            let admitted = host.with(|session| session.admit(asked, access, entropy));
            key = Some(admitted.map_err(|_| LinkError::Refused)?);
            Ok(())
        })?;
        let key = key.expect("an admitted channel");
        host.hang_bell(key);
        let origin = Origin {
            peer: format!("client {number}"),
            user: None,
            path: if client.shared.line.rate.is_none() {
                Path::Unix
            } else {
                Path::Network
            },
        };
        let started = host.with(|session| session.start(key, now, linked, origin));
        started.expect("nothing came with the ticket");
        client.linked(now, key, kind);
        Ok(())
    }

    /// Every client that is all there, and sees what it should see in the end.
    pub(crate) fn watching(&self) -> Vec<usize> {
        let linked = |client: &Client| {
            let display = client.connection(ChannelType::DISPLAY);
            display.is_some() && client.is_connected() && client.habits == Habits::default()
        };
        let all = 0..self.clients.len();
        all.filter(|client| linked(&self.clients[*client]))
            .collect()
    }

    /// What holds when everything has arrived: all show the same.
    pub(crate) fn verify_rest(&self) {
        let (memory, size) = (self.producer.memory(), self.producer.size());
        let cursor = CursorState::read(&memory).expect("a cursor");
        let image = cursor.read_image(&memory).expect("a cursor");
        let shape = image.map(|image| {
            let bytes = image.pixels.iter().flat_map(|pixel| pixel.to_le_bytes());
            bytes.collect::<Vec<u8>>()
        });
        let monitors = Monitors::read(&memory, size).expect("monitors");
        let heads: Vec<WireHead> = monitors
            .heads
            .iter()
            .map(|head| WireHead::new(head.id, &head.rect))
            .collect();
        for number in self.watching() {
            let client = &self.clients[number];
            assert!(self.is_exact(number));
            if client.profile == Profile::Gtk {
                let told = client.display.monitors.as_ref().expect("monitors");
                assert_eq!(told.heads, heads);
            }
            if client.connection(ChannelType::CURSOR).is_some() {
                assert_eq!(client.cursor.hidden, !cursor.visible);
                if cursor.visible {
                    assert_eq!(client.cursor.shape, shape);
                }
                if cursor.visible && client.main.mode == MouseModes::SERVER {
                    let place = client.cursor.place.expect("a place");
                    let place = Point::new(place.x.into(), place.y.into());
                    assert_eq!(place, cursor.position);
                }
            }
            if client.connection(ChannelType::INPUTS).is_some() {
                let lights = u16::from(self.devices.leds.bits());
                assert_eq!(client.inputs.lights.0, lights);
            }
        }
    }

    fn first_ping(&self) -> Option<Micros> {
        let connections = self.clients.iter().flat_map(|client| &client.connections);
        let pings = connections.filter_map(|one| self.host.session().deadline(one.key));
        pings.min()
    }

    /// Nothing runs but the pings of the connections.
    pub(crate) fn verify_idle(&mut self) {
        self.settle();
        assert!(!self.attachment.has_timer(), "{:?}", self.attachment);
        // A ping may just be on its way.
        for _ in 0..100 {
            let next = self
                .next_wake()
                .filter(|_| self.next_wake() != self.first_ping());
            next.into_iter().for_each(|next| self.go_to(next));
        }
        let first_ping = self.first_ping();
        let connections = || self.clients.iter().flat_map(|client| &client.connections);
        assert_eq!(self.next_wake(), first_ping, "{}", self.describe());
        let before: u64 = connections().map(|one| one.given_bytes).sum();
        let (looks, frames) = (self.attachment.looks, self.attachment.frames.len());
        let channels = connections().count() as u64;
        let spans = 4;
        self.run_for(Micros(PING_INTERVAL.0 * spans));
        let connections = || self.clients.iter().flat_map(|client| &client.connections);
        let after: u64 = connections().map(|one| one.given_bytes).sum();
        let each = PING_BYTES_MAX * (spans + 1);
        assert!(after - before <= each * channels, "{}", after - before);
        let new_looks = self.attachment.looks - looks;
        assert!(new_looks <= 4 * spans * channels, "{new_looks} looks");
        assert_eq!(self.attachment.frames.len(), frames, "nothing was drawn");
    }

    /// What holds at any moment.
    pub(crate) fn verify_invariants(&self) {
        let connections = || self.clients.iter().flat_map(|client| &client.connections);
        for connection in connections() {
            let output = connection.output.len();
            assert!(output <= OUTPUT_BYTES_MAX + MESSAGE_BYTES_MAX, "{output}");
            let behind = connection.behind_bytes() as u64;
            assert!(behind <= IN_FLIGHT_MAX + MESSAGE_BYTES_MAX as u64);
        }
        let (mut keys, mut buttons) = (BTreeSet::new(), BTreeSet::new());
        for connection in connections() {
            keys.extend(&connection.heard.keys);
            buttons.extend(&connection.heard.buttons);
        }
        assert_eq!(self.devices.keys, keys, "held by the driver and by clients");
        assert_eq!(self.devices.buttons, buttons);
        let status = self.host.session().status(self.now);
        let connected = self.clients.iter().filter(|client| client.is_connected());
        assert_eq!(status.clients.len(), connected.count());
    }
}

/// One turn of a connection's task: one way through the loop of `io::connection::run`.
fn serve(
    host: &mut Host,
    one: &mut Connection,
    now: Micros,
    write: impl FnOnce(&[u8], usize, &mut crate::line::Pipe<Vec<u8>>) -> usize,
) -> Turn {
    let rest = one.output.len() - one.written;
    let mut active = std::mem::take(&mut one.fresh);
    let deadline = host.session().deadline(one.key);
    let is_held = host.session().is_held(one.key);
    let said = (!is_held).then(|| one.to_server.take(now));
    if let Some(said) = said.flatten() {
        let Said::Bytes(bytes) = said else {
            return Turn::Closed;
        };
        note_held(one.kind, &mut one.heard, &bytes, one.stream.is_mini());
        let received = host.with(|session| session.receive(one.key, now, &bytes));
        if received.is_err() {
            return Turn::Closed;
        }
        active = true;
    } else if !active && 0 < rest {
        let taken = write(&one.output[one.written..], one.unread, &mut one.to_client);
        one.written += taken;
        one.unread += taken;
        active = 0 < taken;
    }
    let bell = host.bell(one.key);
    if bell.closed {
        return Turn::Closed;
    }
    active |= std::mem::take(&mut bell.rung);
    active |= rest == 0 && (one.more || deadline.is_some_and(|at| at <= now));
    if !active {
        return Turn::Idle;
    }
    one.more = false;
    if one.written == one.output.len() {
        one.output.clear();
        one.written = 0;
        let output = &mut one.output;
        one.more = host.with(|session| session.transmit(one.key, now, output));
        one.given_bytes += one.output.len() as u64;
        if one.output.is_empty() && !one.more {
            one.output = Vec::new();
        }
    }
    Turn::Busy
}

/// Keeps what the server hears being pressed and released; messages come whole here.
fn note_held(kind: ChannelType, held: &mut HeldSet, bytes: &[u8], mini: bool) {
    if kind != ChannelType::INPUTS {
        return;
    }
    let (number_at, body_at) = if mini { (0, 6) } else { (8, 18) };
    let number = u16::from_le_bytes([bytes[number_at], bytes[number_at + 1]]);
    let told = match ClientMessage::decode(number, &bytes[body_at..]) {
        Ok(ClientMessage::KeyDown(key)) => {
            held.keys.insert(u16::try_from(key.code).expect("a key"));
            return;
        }
        Ok(ClientMessage::KeyUp(key)) => {
            let code = u16::try_from(key.code & 0x7f).expect("a key");
            held.keys.remove(&code);
            return;
        }
        Ok(ClientMessage::MousePress(press)) => press.buttons,
        Ok(ClientMessage::MouseRelease(release)) => release.buttons,
        _ => return,
    };
    let all = [
        (MouseButtons::LEFT, 1),
        (MouseButtons::MIDDLE, 2),
        (MouseButtons::RIGHT, 3),
    ];
    held.buttons = all
        .iter()
        .filter(|(bit, _)| told.contains(*bit))
        .map(|(_, button)| *button)
        .collect();
}

//! The clipboard between two X programs and two clients, with every message delayed as chance has it.
//!
//! The X side and the clients are models: the X server's selection with programs that may hang and a clipboard manager
//! that takes over what it reads; and spice-gtk's half of the protocol as its source has it (serials, answers without
//! numbers, a paste that waits without end), with a clipboard manager on the client's desktop. Whatever happens, once
//! all messages have arrived: every paste was answered, grabs are not many more than copies were made, all name the
//! same owner, and what the last one copied is what everybody pastes.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::base::SharedBytes;
use crate::wire::agent::{ClipboardData, ClipboardRequest};

const SELECTION: Selection = Selection::Clipboard;
const TEXT: ClipboardType = ClipboardType::Utf8Text;

/// Content is told apart by a number.
type Content = u32;

fn bytes(content: Content) -> SharedBytes {
    content.to_le_bytes().to_vec().into()
}

fn content(bytes: &SharedBytes) -> Option<Content> {
    Some(u32::from_le_bytes((**bytes).try_into().ok()?))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum XOwner {
    Nobody,
    Program { content: Content, hangs: bool },
    Us,
}

/// The X server, its programs and the thread that talks to it.
struct X {
    owner: XOwner,
    turn: u64,
    orders: VecDeque<ClipboardOrder>,
    news: VecDeque<ClipboardNews>,
    /// What pastes wait for: number, and whether the manager asked.
    pastes: Vec<(PasteId, bool)>,
    pasted: Vec<Option<Content>>,
    delivered: Option<Content>,
    has_manager: bool,
    paste_count: u64,
}

impl X {
    fn own(&mut self, owner: XOwner) {
        let is_echo = matches!(owner, XOwner::Program { content, .. } if self.owner == XOwner::Us
            && self.delivered == Some(content));
        self.owner = owner;
        let (selection, turn, types) = (SELECTION, self.turn, vec![TEXT]);
        self.news.push_back(match owner {
            XOwner::Nobody => ClipboardNews::Unowned { selection, turn },
            _ if is_echo => ClipboardNews::Echoed { selection, turn },
            _ => ClipboardNews::Owned {
                selection,
                turn,
                types,
            },
        });
    }

    fn paste(&mut self, by_manager: bool) {
        match self.owner {
            XOwner::Us => {
                self.paste_count += 1;
                let paste = PasteId(self.paste_count);
                self.pastes.push((paste, by_manager));
                self.news.push_back(ClipboardNews::Paste {
                    paste,
                    selection: SELECTION,
                    kind: TEXT,
                });
            }
            XOwner::Program { content, hangs } if !by_manager => {
                self.pasted.push((!hangs).then_some(content));
            }
            _ => {}
        }
    }

    fn obey_one(&mut self) {
        match self.orders.pop_front() {
            Some(ClipboardOrder::Own { turn, .. }) => {
                self.turn = turn;
                self.owner = XOwner::Us;
                self.delivered = None;
                if self.has_manager {
                    self.paste(true);
                }
            }
            Some(ClipboardOrder::Disown { turn, .. }) => {
                self.turn = turn;
                match self.owner {
                    XOwner::Us => self.owner = XOwner::Nobody,
                    owner => self.own(owner),
                }
            }
            Some(ClipboardOrder::Fetch { transfer, .. }) => {
                let result = match self.owner {
                    XOwner::Program { content, hangs } if !hangs => Ok(bytes(content)),
                    // The fetch of one that hangs ends when the clipboard's patience does.
                    XOwner::Program { .. } => return,
                    _ => Err(Refusal::NotGiven),
                };
                self.news
                    .push_back(ClipboardNews::Fetched { transfer, result });
            }
            Some(ClipboardOrder::Deliver { paste, data }) => {
                let at = self.pastes.iter().position(|(id, _)| *id == paste);
                let (_, by_manager) = self.pastes.swap_remove(at.expect("answered twice"));
                let got = data.as_ref().and_then(content);
                self.delivered = got.or(self.delivered);
                if !by_manager {
                    self.pasted.push(got);
                } else if let Some(content) = got.filter(|_| self.owner == XOwner::Us) {
                    self.own(XOwner::Program {
                        content,
                        hangs: false,
                    });
                }
            }
            _ => {}
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Local {
    Nobody,
    /// Something on the client's own desktop.
    Own(Content),
    /// What the server offers.
    Guest,
}

/// spice-gtk's half and the desktop that it runs on.
struct Peer {
    id: ClientId,
    is_connected: bool,
    has_serials: bool,
    serial: u32,
    local: Local,
    hangs: bool,
    has_manager: bool,
    to_server: VecDeque<AgentMessage>,
    to_client: VecDeque<AgentMessage>,
    /// Requests without an answer: whether the manager asked.
    requests: VecDeque<bool>,
    pasted: Vec<Option<Content>>,
    grabs_received: usize,
}

impl Peer {
    fn copy(&mut self, content: Content) {
        self.local = Local::Own(content);
        let serial = self.serial;
        self.serial += u32::from(self.has_serials);
        self.to_server
            .push_back(AgentMessage::ClipboardGrab(ClipboardGrab {
                selection: SELECTION,
                serial,
                types: vec![TEXT],
            }));
    }

    fn release(&mut self) {
        if matches!(self.local, Local::Own(_)) {
            self.local = Local::Nobody;
            let selection = SELECTION;
            self.to_server
                .push_back(AgentMessage::ClipboardRelease(ClipboardRelease {
                    selection,
                }));
        }
    }

    fn paste(&mut self, by_manager: bool) {
        match self.local {
            Local::Guest if self.is_connected => {
                self.requests.push_back(by_manager);
                self.to_server
                    .push_back(AgentMessage::ClipboardRequest(ClipboardRequest {
                        selection: SELECTION,
                        kind: TEXT,
                    }));
            }
            Local::Own(content) if !by_manager => self.pasted.push(Some(content)),
            _ if !by_manager => self.pasted.push(None),
            _ => {}
        }
    }

    fn receive_one(&mut self) {
        match self.to_client.pop_front() {
            Some(AgentMessage::ClipboardGrab(grab)) => {
                self.grabs_received += 1;
                if self.has_serials {
                    if grab.serial != self.serial {
                        return;
                    }
                    self.serial += 1;
                }
                self.local = Local::Guest;
                if self.has_manager {
                    self.paste(true);
                }
            }
            Some(AgentMessage::ClipboardRelease(_)) if self.local == Local::Guest => {
                self.local = Local::Nobody;
            }
            Some(AgentMessage::ClipboardRequest(_)) => {
                // Where the library has a g_return_val_if_fail, nothing is ever answered.
                if let Local::Own(content) = self.local
                    && !self.hangs
                {
                    self.to_server
                        .push_back(AgentMessage::ClipboardData(ClipboardData {
                            selection: SELECTION,
                            kind: TEXT,
                            data: bytes(content),
                        }));
                }
            }
            Some(AgentMessage::ClipboardData(data)) => {
                let by_manager = self.requests.pop_front().expect("an answer to nothing");
                let got = content(&data.data);
                if !by_manager {
                    self.pasted.push(got);
                } else if let Some(content) = got.filter(|_| self.local == Local::Guest) {
                    self.copy(content);
                }
            }
            _ => {}
        }
    }
}

struct World {
    clipboard: Clipboard,
    x: X,
    peers: Vec<Peer>,
    now: Micros,
    copies: usize,
    /// Grabs that went out, of connections that have ended too.
    grabs: usize,
    next_client: u64,
}

impl World {
    fn new(managers: u8, serials: bool) -> Self {
        let x = X {
            owner: XOwner::Nobody,
            turn: 0,
            orders: VecDeque::new(),
            news: VecDeque::new(),
            pastes: Vec::new(),
            pasted: Vec::new(),
            delivered: None,
            has_manager: managers & 1 != 0,
            paste_count: 0,
        };
        let peer = |number: u8| Peer {
            id: ClientId::new(number.into()),
            is_connected: false,
            has_serials: serials,
            serial: 0,
            local: Local::Nobody,
            hangs: false,
            has_manager: managers & (2 << number) != 0,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            requests: VecDeque::new(),
            pasted: Vec::new(),
            grabs_received: 0,
        };
        let mut world = Self {
            clipboard: Clipboard::new(ClipboardPolicy::default()),
            x,
            peers: vec![peer(0), peer(1)],
            now: Micros::from_secs(1),
            copies: 0,
            grabs: 0,
            next_client: 2,
        };
        world.connect(0);
        world.connect(1);
        world
    }

    fn connect(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        if peer.is_connected {
            self.clipboard.client_gone(peer.id, self.now);
            peer.to_client.clear();
            peer.to_server.clear();
            // The library takes the agent's end for the end of what it waits for.
            peer.requests.clear();
            if peer.local == Local::Guest {
                peer.local = Local::Nobody;
            }
        }
        peer.id = ClientId::new(self.next_client);
        self.next_client += 1;
        peer.serial = 0;
        peer.is_connected = true;
        let abilities = ClientAbilities {
            selections: true,
            grab_serials: peer.has_serials,
            no_release_on_regrab: peer.has_serials,
        };
        self.clipboard.client_ready(peer.id, abilities);
        self.collect();
    }

    fn collect(&mut self) {
        let mut orders = Vec::new();
        self.clipboard.take_orders(&mut orders);
        self.x.orders.extend(orders);
        let mut messages = Vec::new();
        self.clipboard.take_messages(&mut messages);
        for (client, message) in messages {
            self.grabs += usize::from(matches!(message, AgentMessage::ClipboardGrab(_)));
            if let Some(peer) = self.peers.iter_mut().find(|peer| peer.id == client) {
                peer.to_client.push_back(message);
            }
        }
    }

    fn step(&mut self, step: u8, argument: u8) {
        let at = usize::from(argument & 1);
        self.now = self.now + Micros::from_millis(u64::from(argument));
        match step {
            0 => {
                self.copies += 1;
                let content = self.copies as Content;
                let hangs = argument & 6 == 6;
                self.x.own(XOwner::Program { content, hangs });
            }
            1 => {
                self.copies += 1;
                let content = self.copies as Content;
                self.peers[at].hangs = argument & 6 == 6;
                self.peers[at].copy(content);
            }
            2 => self.x.paste(false),
            3 => self.peers[at].paste(false),
            4 if matches!(self.x.owner, XOwner::Program { .. }) => self.x.own(XOwner::Nobody),
            5 => self.peers[at].release(),
            6 if argument & 14 == 0 => self.connect(at),
            7 | 8 => self.x.obey_one(),
            9 | 10 => self.hear_x(),
            11 | 12 => self.peers[at].receive_one(),
            13 | 14 => self.hear_peer(at),
            _ => self.clipboard.do_due(self.now),
        }
        self.collect();
    }

    fn hear_x(&mut self) {
        if let Some(news) = self.x.news.pop_front() {
            self.clipboard.handle_news(news, self.now);
        }
    }

    fn hear_peer(&mut self, at: usize) {
        if let Some(message) = self.peers[at].to_server.pop_front() {
            self.clipboard.handle(self.peers[at].id, message, self.now);
        }
    }

    fn is_quiet(&self) -> bool {
        let peers_are = |peer: &Peer| peer.to_server.is_empty() && peer.to_client.is_empty();
        self.x.orders.is_empty() && self.x.news.is_empty() && self.peers.iter().all(peers_are)
    }

    /// Lets everything arrive, and time pass up to every deadline.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            for at in 0..2 {
                self.hear_peer(at);
                self.collect();
                self.peers[at].receive_one();
            }
            self.x.obey_one();
            self.hear_x();
            self.collect();
            if self.is_quiet() {
                let Some(deadline) = self.clipboard.next_deadline() else {
                    return;
                };
                self.now = self.now.max(deadline);
                self.clipboard.do_due(self.now);
                self.collect();
            }
        }
        panic!("it never comes to rest");
    }

    /// What everybody gets who pastes now: the desktop, then the clients.
    fn paste_everywhere(&mut self) -> Vec<Option<Content>> {
        self.x.pasted.clear();
        self.x.paste(false);
        for peer in &mut self.peers {
            peer.pasted.clear();
            peer.paste(false);
        }
        self.settle();
        let x = self.x.pasted.first().copied().flatten();
        let peers = self.peers.iter();
        std::iter::once(x)
            .chain(peers.map(|peer| peer.pasted.first().copied().flatten()))
            .collect()
    }

    fn check_at_rest(&self) {
        assert_eq!(self.clipboard.transfers_under_way(), 0);
        assert!(self.x.pastes.is_empty(), "a paste was not answered");
        for peer in &self.peers {
            assert!(peer.requests.is_empty(), "a request was not answered");
        }
        // A copy is told to two clients; a manager may take it over; each connection is told once. A program's end
        // leaves its manager's copy, which is told again.
        let bound = 2 * 3 * (self.copies + self.next_client as usize);
        assert!(
            self.grabs <= bound,
            "{} grabs for {} copies",
            self.grabs,
            self.copies
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn whatever_crosses_every_paste_is_answered_and_the_last_copy_arrives(
        steps in prop::collection::vec((0..16_u8, any::<u8>()), 1..120),
        managers in 0..8_u8,
        has_serials in any::<bool>(),
        last in 0..3_usize,
    ) {
        let mut world = World::new(managers, has_serials);
        for (step, argument) in steps {
            world.step(step, argument);
        }
        world.settle();
        world.check_at_rest();

        world.copies += 1;
        let content = world.copies as Content;
        if last == 0 {
            world.x.own(XOwner::Program { content, hangs: false });
        } else {
            world.peers[last - 1].hangs = false;
            world.peers[last - 1].copy(content);
        }
        // Managers of clients read and take over too; theirs hang no more either.
        world.peers.iter_mut().for_each(|peer| peer.hangs = false);
        world.settle();
        world.check_at_rest();
        let believes: Vec<Local> = world.peers.iter().map(|peer| peer.local).collect();
        let pasted = world.paste_everywhere();
        prop_assert_eq!(pasted[0], Some(content));
        for (at, local) in believes.into_iter().enumerate() {
            // What another client copied at home is not pushed to this one's home; but where it pastes what the
            // desktop has, it is that.
            if last == 0 || last - 1 == at || local == Local::Guest {
                prop_assert_eq!(pasted[1 + at], Some(content));
            }
        }
        world.check_at_rest();
    }
}

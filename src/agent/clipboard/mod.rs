//! The desktop's clipboard and its clients': who owns a selection, and whose content a paste gets.
//!
//! Between one X desktop and any number of SPICE clients stands one owner per selection: nobody, a program of the
//! desktop, or a client. Owning is an offer of types; content travels when somebody pastes. `docs/clipboard.md` has the
//! states, the crossings and why they end well; in short:
//!
//! - a client's grab becomes an X ownership ([`ClipboardOrder::Own`]); other clients are not told of it, so that what
//!   one person copies at home is fetched by no other's clipboard manager, and managers of two cannot play ball;
//! - a program's ownership ([`ClipboardNews::Owned`]) is offered to all clients;
//! - a paste becomes a [`Transfers`] entry, which is answered once, whatever happens: with content, or with none when
//!   the owner refuses, goes away, or does not answer in time;
//! - whatever X tells is judged by the turn it was told in: news from before the last order is old.
//!
//! Nothing here does I/O: calls come in; [`ClipboardOrder`]s for the X side and [`AgentMessage`]s for clients go out.

mod asks;
mod exchange;
pub mod files;
mod grabs;
#[cfg(test)]
mod interleavings;
mod offer;
mod pace;
mod part;
mod policy;
pub mod text;
mod transfers;

pub use exchange::{ClientAbilities, ClipboardNews, ClipboardOrder, PasteId, Refusal, TransferId};
pub use policy::{ClipboardDirection, ClipboardPolicy};

use std::collections::BTreeMap;

use crate::base::{ClientId, Micros};
use crate::wire::agent::{AgentMessage, ClipboardGrab, ClipboardRelease};
use crate::wire::agent::{ClipboardType, Selection};
use grabs::{Grab, Serials};
use pace::Pace;
use transfers::Transfers;

/// A client without `VD_AGENT_CAP_CLIPBOARD_NO_RELEASE_ON_REGRAB` releases before it grabs anew: a release of its
/// counts when no grab has followed by then (spice-gtk's own figure, `CLIPBOARD_RELEASE_DELAY`).
pub const RELEASE_PAUSE: Micros = Micros::from_millis(500);

/// Selections that are shared. SECONDARY is not: no program of today shows it.
const SELECTIONS: [Selection; 2] = [Selection::Clipboard, Selection::Primary];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Owner {
    #[default]
    Nobody,
    /// A program of the desktop, with the types that it offers.
    Desktop(Vec<ClipboardType>),
    /// A client, with the types that it offers.
    Client(ClientId, Vec<ClipboardType>),
}

impl Owner {
    fn is_client(&self, client: ClientId) -> bool {
        matches!(self, Self::Client(owner, _) if *owner == client)
    }

    fn types(&self) -> &[ClipboardType] {
        match self {
            Self::Nobody => &[],
            Self::Desktop(types) | Self::Client(_, types) => types,
        }
    }
}

/// One selection.
#[derive(Debug, Default)]
struct Shared {
    owner: Owner,
    /// Number of the last order to the X side about this selection.
    turn: u64,
    pace: Pace,
    /// When the owning client's release counts.
    release_at: Option<Micros>,
}

/// One selection as one client sees it.
#[derive(Debug, Default)]
struct Seat {
    serials: Serials,
    /// The client believes that the desktop owns it.
    told: bool,
}

#[derive(Debug)]
struct Client {
    abilities: ClientAbilities,
    /// Bytes that it takes.
    bytes_max: usize,
    seats: [Seat; SELECTIONS.len()],
}

/// The clipboard of one desktop. See the module.
#[derive(Debug)]
pub struct Clipboard {
    policy: ClipboardPolicy,
    shared: [Shared; SELECTIONS.len()],
    clients: BTreeMap<ClientId, Client>,
    transfers: Transfers,
    /// Addresses in the desktop of the folders that clients share.
    shared_folders: BTreeMap<ClientId, String>,
    orders: Vec<ClipboardOrder>,
    messages: Vec<(ClientId, AgentMessage)>,
    /// Of the last call as a part of the agent, for what comes without a time.
    last_now: Micros,
}

/// Place of a selection in arrays; none for SECONDARY.
fn place(selection: Selection) -> Option<usize> {
    SELECTIONS.iter().position(|shared| *shared == selection)
}

impl Clipboard {
    /// A clipboard that nobody owns.
    pub fn new(policy: ClipboardPolicy) -> Self {
        Self {
            policy,
            shared: Default::default(),
            clients: BTreeMap::new(),
            transfers: Transfers::default(),
            shared_folders: BTreeMap::new(),
            orders: Vec::new(),
            messages: Vec::new(),
            last_now: Micros::default(),
        }
    }

    /// Its rules.
    pub const fn policy(&self) -> &ClipboardPolicy {
        &self.policy
    }

    /// Where the folders that clients share are to be had in the desktop (addresses without a slash at their ends).
    /// Lists of files are offered by and to these clients only.
    pub fn set_shared_folders(&mut self, addresses: BTreeMap<ClientId, String>) {
        let before = std::mem::replace(&mut self.shared_folders, addresses);
        let changed: Vec<ClientId> = self
            .clients
            .keys()
            .filter(|client| {
                before.contains_key(client) != self.shared_folders.contains_key(client)
            })
            .copied()
            .collect();
        for client in changed {
            for at in 0..SELECTIONS.len() {
                if self.shared[at]
                    .owner
                    .types()
                    .contains(&ClipboardType::FileList)
                {
                    self.tell(client, at);
                }
            }
        }
    }

    /// The client has told what it can: it hears of what can be pasted now.
    pub fn client_ready(&mut self, client: ClientId, abilities: ClientAbilities) {
        if let Some(known) = self.clients.get_mut(&client) {
            known.abilities = abilities;
            return;
        }
        let seats = Default::default();
        let bytes_max = self.policy.bytes_max;
        self.clients.insert(
            client,
            Client {
                abilities,
                bytes_max,
                seats,
            },
        );
        for at in 0..SELECTIONS.len() {
            self.tell(client, at);
        }
    }

    /// The client's connection has ended: what it owned is gone, and who waits for it gets nothing.
    pub fn client_gone(&mut self, client: ClientId, now: Micros) {
        self.clients.remove(&client);
        self.abandon(client, now);
        for at in 0..SELECTIONS.len() {
            if self.shared[at].owner.is_client(client) {
                self.set_owner(at, Owner::Nobody, now);
            }
        }
    }

    /// A clipboard message of the client.
    pub fn handle(&mut self, client: ClientId, message: AgentMessage, now: Micros) {
        if !self.clients.contains_key(&client) {
            return;
        }
        match message {
            AgentMessage::ClipboardGrab(grab) => self.handle_grab(client, grab, now),
            AgentMessage::ClipboardRelease(release) => {
                self.handle_release(client, release.selection, now);
            }
            AgentMessage::ClipboardRequest(request) => {
                self.handle_request(client, request.selection, request.kind, now);
            }
            AgentMessage::ClipboardData(data) => self.handle_data(client, data, now),
            AgentMessage::MaxClipboard(limit) => {
                let own = usize::try_from(limit.max).unwrap_or(usize::MAX);
                if let Some(client) = self.clients.get_mut(&client) {
                    client.bytes_max = own.min(self.policy.bytes_max);
                }
            }
            _ => {}
        }
    }

    /// Something that the X side tells.
    pub fn handle_news(&mut self, news: ClipboardNews, now: Micros) {
        match news {
            ClipboardNews::Owned {
                selection,
                turn,
                types,
            } => {
                let owner = Owner::Desktop(self.offered_by_desktop(types));
                self.owner_changed(selection, turn, owner, now);
            }
            // The client still has the content, so that it stays the owner; the desktop has a copy.
            ClipboardNews::Echoed { .. } => {}
            ClipboardNews::Unowned { selection, turn } => {
                self.owner_changed(selection, turn, Owner::Nobody, now);
            }
            ClipboardNews::Paste {
                paste,
                selection,
                kind,
            } => self.handle_paste(paste, selection, kind, now),
            ClipboardNews::PasteGone { paste } => self.paste_gone(paste, now),
            ClipboardNews::Fetched { transfer, result } => self.fetched(transfer, result, now),
            ClipboardNews::Converted { transfer, result } => self.converted(transfer, result, now),
        }
    }

    /// When [`Self::do_due`] has something to do.
    pub fn next_deadline(&self) -> Option<Micros> {
        let shared = self
            .shared
            .iter()
            .flat_map(|shared| [shared.release_at, shared.pace.deadline()])
            .flatten();
        shared.chain(self.transfers.deadline()).min()
    }

    /// Does what is due.
    pub fn do_due(&mut self, now: Micros) {
        for at in 0..SELECTIONS.len() {
            if self.shared[at].release_at.is_some_and(|due| due <= now) {
                self.set_owner(at, Owner::Nobody, now);
            }
            if self.shared[at].pace.is_due(now) {
                self.tell_all(at);
            }
        }
        self.poll_transfers(now);
    }

    /// Moves the orders for the X side to `orders`.
    pub fn take_orders(&mut self, orders: &mut Vec<ClipboardOrder>) {
        orders.append(&mut self.orders);
    }

    /// Moves the messages for clients to `messages`, in order.
    pub fn take_messages(&mut self, messages: &mut Vec<(ClientId, AgentMessage)>) {
        messages.append(&mut self.messages);
    }

    fn handle_grab(&mut self, client: ClientId, grab: ClipboardGrab, now: Micros) {
        let (Some(at), Some(known)) = (place(grab.selection), self.clients.get_mut(&client)) else {
            return;
        };
        let Some(seat) = known.seats.get_mut(at) else {
            return;
        };
        let judged = if known.abilities.grab_serials {
            seat.serials.receive(grab.serial)
        } else {
            Grab::Believe
        };
        match judged {
            Grab::Believe => seat.told = false,
            Grab::Superseded => return,
            Grab::Wrong => {
                self.refuse(Refusal::WrongSerial);
                return;
            }
        }
        if !self.policy.lets_in() {
            self.refuse(Refusal::Direction);
            return;
        }
        let types = self.offered_by_client(client, grab.types);
        if !types.is_empty() {
            self.set_owner(at, Owner::Client(client, types), now);
        } else if self.shared[at].owner.is_client(client) {
            // What it has now is of no kind that the desktop knows; what it had is gone.
            self.set_owner(at, Owner::Nobody, now);
        }
    }

    fn handle_release(&mut self, client: ClientId, selection: Selection, now: Micros) {
        let Some(at) = place(selection) else { return };
        if !self.shared[at].owner.is_client(client) {
            return;
        }
        let regrabs_after_release = self
            .clients
            .get(&client)
            .is_some_and(|known| !known.abilities.no_release_on_regrab);
        if regrabs_after_release {
            self.shared[at].release_at = Some(now + RELEASE_PAUSE);
        } else {
            self.set_owner(at, Owner::Nobody, now);
        }
    }

    /// X says that the selection has another owner. What it says of the time before our last order is old.
    fn owner_changed(&mut self, selection: Selection, turn: u64, owner: Owner, now: Micros) {
        if let Some(at) = place(selection)
            && turn == self.shared[at].turn
            && !(owner == Owner::Nobody && self.shared[at].owner == Owner::Nobody)
        {
            self.set_owner(at, owner, now);
        }
    }

    /// Makes `owner` the owner, has X know of it, and has clients hear of it.
    fn set_owner(&mut self, at: usize, owner: Owner, now: Micros) {
        let selection = SELECTIONS[at];
        let shared = &mut self.shared[at];
        shared.release_at = None;
        if let (Owner::Desktop(_), Owner::Client(..)) = (&shared.owner, &owner) {
            shared.pace.taken_over(now);
        }
        let before = std::mem::replace(&mut shared.owner, owner);
        match (&before, &shared.owner) {
            (_, Owner::Client(client, types)) => {
                shared.turn += 1;
                self.orders.push(ClipboardOrder::Own {
                    selection,
                    turn: shared.turn,
                    types: offer::expanded(types),
                    shared_folder: self.shared_folders.get(client).cloned(),
                });
            }
            (Owner::Client(..), Owner::Nobody) => {
                shared.turn += 1;
                let turn = shared.turn;
                self.orders.push(ClipboardOrder::Disown { selection, turn });
            }
            _ => {}
        }
        shared.pace.announce(now);
        let is_due = shared.pace.is_due(now);
        if let Owner::Client(client, _) = before
            && !self.shared[at].owner.is_client(client)
        {
            self.forget_unsent(client, selection, now);
        }
        if is_due {
            self.tell_all(at);
        }
    }

    fn tell_all(&mut self, at: usize) {
        let clients: Vec<ClientId> = self.clients.keys().copied().collect();
        for client in clients {
            self.tell(client, at);
        }
    }

    /// Tells a client who owns the selection: by a grab when it can paste something, or by a release when it believes
    /// that it can and cannot. There is no release before a grab, nor because of another client's: it would only invite
    /// the client's clipboard manager to take over. Who pastes then gets what a program of the desktop would get.
    fn tell(&mut self, client: ClientId, at: usize) {
        let selection = SELECTIONS[at];
        let types = match &self.shared[at].owner {
            Owner::Client(..) => return,
            owner => self.offered_to_client(client, owner.types()),
        };
        let Some(known) = self.clients.get_mut(&client) else {
            return;
        };
        let can_have = known.abilities.selections || selection == Selection::Clipboard;
        if !can_have || !self.policy.lets_out() {
            return;
        }
        let seat = &mut known.seats[at];
        if !types.is_empty() {
            seat.told = true;
            let serial = seat.serials.send();
            let grab = ClipboardGrab {
                selection,
                serial,
                types,
            };
            self.messages
                .push((client, AgentMessage::ClipboardGrab(grab)));
        } else if std::mem::take(&mut seat.told) {
            let release = ClipboardRelease { selection };
            self.messages
                .push((client, AgentMessage::ClipboardRelease(release)));
        }
    }

    fn refuse(&mut self, why: Refusal) {
        self.orders.push(ClipboardOrder::Refused(why));
    }
}

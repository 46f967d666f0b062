//! What happens to the two selections, and what is told of it.
//!
//! An owner is told of with its types, so that a new one is first asked for its TARGETS; with the hint of a password
//! manager among them it is asked for that too, and a secret is told of as an owner that offers nothing. An owner
//! that has read our offer before is asked for its content, and told of as an echo if that is the same.

use std::time::Instant;

use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::ReplyError;
use x11rb::protocol::xfixes::{
    ConnectionExt as _, SelectionEventMask, SelectionNotifyEvent as OwnerEvent,
};
use x11rb::protocol::xproto::{
    Atom, ConnectionExt as _, CreateWindowAux, SelectionRequestEvent, Window, WindowClass,
};
use x11rb::protocol::{ErrorKind, Event};
use x11rb::rust_connection::RustConnection;

use super::incoming::{Content, Incoming, Read};
use super::outgoing::{Offer, Outgoing};
use super::targets::{Atoms, STRING};
use super::watched::Watched;
use super::{Connected, DisplayError, Purpose, X11ClipboardError};
use crate::agent::clipboard::{ClipboardNews, ClipboardOrder, Refusal, TransferId};
use crate::base::SharedBytes;
use crate::wire::agent::{ClipboardType, Selection};

/// Bytes of a list of targets, and of a hint.
const TARGETS_BYTES_MAX: usize = 4 * 1024;

/// Bytes beyond those of our own content that are read to compare: an owner that is stopped in the middle of its
/// content may be of no use to others any more (xclip).
const ECHO_SLACK_BYTES: usize = 1 << 20;

/// What the hint of a password manager says of a secret.
const SECRET: &[u8] = b"secret";

/// The selections of one desktop.
pub(super) struct Selections {
    pub(super) x: Connected,
    watched: [Watched; 2],
    incoming: Incoming,
    outgoing: Outgoing,
    tell: Box<dyn Fn(ClipboardNews) -> bool + Send>,
    is_heard: bool,
}

impl Selections {
    /// Watches both selections, beginning with who owns them now.
    pub(super) fn open(
        connection: RustConnection,
        screen: usize,
        tell: Box<dyn Fn(ClipboardNews) -> bool + Send>,
    ) -> Result<Self, X11ClipboardError> {
        connection.prefetch_maximum_request_bytes();
        let atoms = Atoms::new(&connection)?.reply()?;
        connection.xfixes_query_version(5, 0)?.reply()?;
        let window = connection.generate_id()?;
        let screens = &connection.setup().roots;
        let root = screens.get(screen).ok_or(DisplayError::NoScreen)?;
        let root = root.root;
        let id_mask = connection.setup().resource_id_mask;
        let (class, look) = (WindowClass::INPUT_ONLY, CreateWindowAux::new());
        connection.create_window(0, window, root, -1, -1, 1, 1, 0, class, 0, &look)?;
        let x = Connected {
            connection,
            atoms,
            root,
            window,
            id_mask,
        };
        let mut selections = Self {
            x,
            watched: [
                Watched::new(Selection::Clipboard),
                Watched::new(Selection::Primary),
            ],
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            tell,
            is_heard: true,
        };
        for at in 0..selections.watched.len() {
            let atom = selections.x.selection_atom(at);
            let events = SelectionEventMask::SET_SELECTION_OWNER
                | SelectionEventMask::SELECTION_WINDOW_DESTROY
                | SelectionEventMask::SELECTION_CLIENT_CLOSE;
            let connection = &selections.x.connection;
            connection.xfixes_select_selection_input(window, atom, events)?;
            let owner = connection.get_selection_owner(atom)?.reply()?.owner;
            if owner != x11rb::NONE {
                selections.owner_is(at, owner)?;
            }
        }
        selections.x.connection.flush()?;
        Ok(selections)
    }

    /// Whether anybody listens.
    pub(super) const fn is_heard(&self) -> bool {
        self.is_heard
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.incoming.deadline(), self.outgoing.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Ends what has taken too long.
    pub(super) fn expire(&mut self, now: Instant) -> Result<(), X11ClipboardError> {
        for read in self.incoming.expire(&self.x, now) {
            self.ended(read)?;
        }
        for paste in self.outgoing.expire(&self.x, now)? {
            self.tell(ClipboardNews::PasteGone { paste });
        }
        Ok(())
    }

    /// Carries out an order.
    pub(super) fn obey(&mut self, order: ClipboardOrder) -> Result<(), X11ClipboardError> {
        match order {
            ClipboardOrder::Own {
                selection,
                turn,
                types,
                shared_folder,
            } => {
                let Some(at) = self.place(selection) else {
                    return Ok(());
                };
                self.watched[at].turn = turn;
                self.watched[at].begin(Offer {
                    types,
                    shared_folder,
                    acquired: x11rb::CURRENT_TIME,
                });
                let atom = self.x.selection_atom(at);
                let (connection, window) = (&self.x.connection, self.x.window);
                connection.set_selection_owner(window, atom, x11rb::CURRENT_TIME)?;
            }
            ClipboardOrder::Disown { selection, turn } => {
                if let Some(at) = self.place(selection) {
                    self.disown(at, turn)?;
                }
            }
            ClipboardOrder::Fetch {
                transfer,
                selection,
                kind,
                bytes_max,
            } => self.fetch(transfer, selection, kind, bytes_max)?,
            ClipboardOrder::Cancel { transfer } => {
                let unwanted = Purpose::Fetch(transfer);
                self.incoming.cancel(&self.x, |one| *one == unwanted);
            }
            ClipboardOrder::Deliver { paste, data } => {
                let content = data.clone();
                let delivered = self.outgoing.deliver(&self.x, paste, data)?;
                if let (Some(delivered), Some(content)) = (delivered, content)
                    && let Some(at) = self.place_of_atom(delivered.selection)
                    && let Some(kind) = self.x.atoms.kind_of(delivered.target)
                {
                    self.watched[at].delivered(delivered.requestor, kind, &content);
                }
            }
            // For others.
            ClipboardOrder::Convert { .. } | ClipboardOrder::Refused(_) => {}
        }
        Ok(())
    }

    /// Something that X tells.
    pub(super) fn handle(&mut self, event: Event) -> Result<(), X11ClipboardError> {
        match event {
            Event::XfixesSelectionNotify(event) => self.note_owner(&event)?,
            Event::SelectionRequest(event) => self.requested(&event)?,
            Event::SelectionNotify(event) => {
                if let Some(read) = self.incoming.answered(&self.x, &event)? {
                    self.ended(read)?;
                }
            }
            Event::PropertyNotify(event) => {
                self.outgoing.property_changed(&self.x, &event)?;
                if let Some(read) = self.incoming.property_changed(&self.x, &event)? {
                    self.ended(read)?;
                }
            }
            Event::DestroyNotify(event) => self.window_gone(event.window)?,
            // It went before its end could be watched.
            Event::Error(error) if error.error_kind == ErrorKind::Window => {
                self.window_gone(error.bad_value)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn window_gone(&mut self, window: Window) -> Result<(), X11ClipboardError> {
        self.watched
            .iter_mut()
            .for_each(|one| one.window_gone(window));
        for paste in self.outgoing.window_gone(window) {
            self.tell(ClipboardNews::PasteGone { paste });
        }
        for read in self.incoming.window_gone(&self.x, window) {
            self.ended(read)?;
        }
        Ok(())
    }

    fn tell(&mut self, news: ClipboardNews) {
        self.is_heard = self.is_heard && (self.tell)(news);
    }

    fn place(&self, selection: Selection) -> Option<usize> {
        let mut watched = self.watched.iter();
        watched.position(|one| one.selection == selection)
    }

    fn place_of_atom(&self, atom: Atom) -> Option<usize> {
        (0..self.watched.len()).find(|at| self.x.selection_atom(*at) == atom)
    }

    fn disown(&mut self, at: usize, turn: u64) -> Result<(), X11ClipboardError> {
        let atom = self.x.selection_atom(at);
        let watched = &mut self.watched[at];
        watched.turn = turn;
        let acquired = watched.offer.take().map(|offer| offer.acquired);
        if watched.is_ours || watched.awaited != 0 {
            // With the time of our own ownership: X leaves a later owner alone.
            let time = acquired.unwrap_or(x11rb::CURRENT_TIME);
            self.x
                .connection
                .set_selection_owner(x11rb::NONE, atom, time)?;
        } else if watched.owner != x11rb::NONE {
            // A program's copy of what was offered: from now on that is what there is.
            let owner = watched.owner;
            self.owner_is(at, owner)?;
        }
        Ok(())
    }

    /// Acts on the last change of owner of each selection. To be called when all events are handled that have come:
    /// a program that changes owners faster than they can be asked would have its changes wait in our memory.
    pub(super) fn follow_owners(&mut self) -> Result<(), X11ClipboardError> {
        (0..self.watched.len()).try_for_each(|at| self.follow_owner(at))
    }

    fn note_owner(&mut self, event: &OwnerEvent) -> Result<(), X11ClipboardError> {
        let Some(at) = self.place_of_atom(event.selection) else {
            return Ok(());
        };
        if event.owner != self.x.window {
            self.watched[at].changed = Some(event.owner);
            return Ok(());
        }
        self.follow_owner(at)?;
        let watched = &mut self.watched[at];
        watched.awaited = watched.awaited.saturating_sub(1);
        watched.is_ours = true;
        watched.owner = x11rb::NONE;
        if let Some(offer) = &mut watched.offer {
            offer.acquired = event.selection_timestamp;
        }
        self.forget_questions(at);
        Ok(())
    }

    fn follow_owner(&mut self, at: usize) -> Result<(), X11ClipboardError> {
        let watched = &mut self.watched[at];
        let Some(owner) = watched.changed.take().filter(|_| watched.awaited == 0) else {
            return Ok(());
        };
        watched.follows_us = watched.is_ours;
        watched.is_ours = false;
        if owner == x11rb::NONE {
            watched.owner = x11rb::NONE;
            let (selection, turn) = (watched.selection, watched.turn);
            self.forget_questions(at);
            self.tell(ClipboardNews::Unowned { selection, turn });
            return Ok(());
        }
        self.owner_is(at, owner)
    }

    fn forget_questions(&mut self, at: usize) {
        self.incoming.cancel(&self.x, |purpose| {
            matches!(purpose, Purpose::Targets(of) | Purpose::Hint(of) | Purpose::Echo(of) if *of == at)
        });
    }

    /// A program owns the selection: what does it offer?
    fn owner_is(&mut self, at: usize, owner: Window) -> Result<(), X11ClipboardError> {
        self.forget_questions(at);
        self.watched[at].owner = owner;
        self.watched[at].targets.clear();
        let targets = self.x.atoms.TARGETS;
        self.ask(at, Purpose::Targets(at), targets, TARGETS_BYTES_MAX)
    }

    fn ask(
        &mut self,
        at: usize,
        purpose: Purpose,
        target: Atom,
        bytes_max: usize,
    ) -> Result<(), X11ClipboardError> {
        let whom = (self.watched[at].owner, self.x.selection_atom(at), target);
        if !self.incoming.begin(&self.x, purpose, whom, bytes_max)? {
            let result = Err(Refusal::TooMany);
            self.ended(Read { purpose, result })?;
        }
        Ok(())
    }

    fn fetch(
        &mut self,
        transfer: TransferId,
        selection: Selection,
        kind: ClipboardType,
        bytes_max: usize,
    ) -> Result<(), X11ClipboardError> {
        let known = self.place(selection).and_then(|at| {
            let target = self.x.atoms.best(kind, &self.watched[at].targets);
            target.map(|target| (at, target))
        });
        let Some((at, target)) = known.filter(|(at, _)| self.watched[*at].owner != x11rb::NONE)
        else {
            let result = Err(Refusal::NotGiven);
            self.tell(ClipboardNews::Fetched { transfer, result });
            return Ok(());
        };
        self.ask(at, Purpose::Fetch(transfer), target, bytes_max)
    }

    /// A reading has ended.
    fn ended(&mut self, read: Read) -> Result<(), X11ClipboardError> {
        match read.purpose {
            Purpose::Targets(at) => self.targets_are(at, read.result),
            Purpose::Hint(at) => {
                // Who hints and then does not say has something to hide.
                let is_secret = read.result.map_or(true, |hint| hint.data == SECRET);
                if is_secret {
                    self.watched[at].targets.clear();
                }
                self.compare(at)
            }
            Purpose::Echo(at) => {
                let content = read.result.and_then(|content| self.of_program(content));
                let is_echo = content.is_ok_and(|data| self.watched[at].is_echo(&data));
                self.tell_owner(at, is_echo);
                Ok(())
            }
            Purpose::Fetch(transfer) => {
                let content = read.result.and_then(|content| self.of_program(content));
                let result = content.map(SharedBytes::from);
                self.tell(ClipboardNews::Fetched { transfer, result });
                Ok(())
            }
        }
    }

    fn of_program(&self, content: Content) -> Result<Vec<u8>, Refusal> {
        let Content {
            target,
            kind,
            format,
            data,
        } = content;
        self.x.atoms.of_program(target, kind, format, data)
    }

    fn targets_are(
        &mut self,
        at: usize,
        result: Result<Content, Refusal>,
    ) -> Result<(), X11ClipboardError> {
        self.watched[at].targets = match result {
            Ok(list) if list.format == 32 => list
                .data
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| Atom::from_ne_bytes(*bytes))
                .collect(),
            Ok(_) => Vec::new(),
            // From before TARGETS was invented.
            Err(Refusal::NotGiven) => vec![STRING],
            Err(_) => Vec::new(),
        };
        let hint = self.x.atoms.PASSWORD_HINT;
        if self.watched[at].targets.contains(&hint) {
            return self.ask(at, Purpose::Hint(at), hint, TARGETS_BYTES_MAX);
        }
        self.compare(at)
    }

    /// Looks whether the new owner has what we had offered, and tells of it.
    fn compare(&mut self, at: usize) -> Result<(), X11ClipboardError> {
        let kinds = self.x.atoms.kinds_of(&self.watched[at].targets);
        if let Some((kind, size)) = self.watched[at].suspect(self.x.id_mask, &kinds)
            && let Some(target) = self.x.atoms.best(kind, &self.watched[at].targets)
        {
            return self.ask(at, Purpose::Echo(at), target, size + ECHO_SLACK_BYTES);
        }
        self.tell_owner(at, false);
        Ok(())
    }

    fn tell_owner(&mut self, at: usize, is_echo: bool) {
        let watched = &self.watched[at];
        let (selection, turn) = (watched.selection, watched.turn);
        let types = self.x.atoms.kinds_of(&watched.targets);
        self.tell(if is_echo {
            ClipboardNews::Echoed { selection, turn }
        } else {
            ClipboardNews::Owned {
                selection,
                turn,
                types,
            }
        });
    }

    fn requested(&mut self, event: &SelectionRequestEvent) -> Result<(), ReplyError> {
        let Some(at) = self.place_of_atom(event.selection) else {
            return Ok(());
        };
        let watched = &self.watched[at];
        let offer = watched.offer.as_ref().filter(|_| watched.is_ours);
        let selection = watched.selection;
        for (paste, kind) in self.outgoing.requested(&self.x, event, offer)? {
            self.tell(ClipboardNews::Paste {
                paste,
                selection,
                kind,
            });
        }
        Ok(())
    }
}

//! Content that programs read from us: ICCCM's SelectionRequest, with MULTIPLE, in one piece or by INCR, several at
//! once.
//!
//! A paste waits here until its content comes from a client. Every request is answered by one SelectionNotify; a
//! requestor that goes away or stops reading is forgotten.

use std::time::{Duration, Instant};

use x11rb::connection::RequestConnection;
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, EventMask, PropMode, Property,
    PropertyNotifyEvent, SELECTION_NOTIFY_EVENT, SelectionNotifyEvent, SelectionRequestEvent,
    Timestamp, Window,
};
use x11rb::wrapper::ConnectionExt as _;

use super::Connected;
use crate::agent::clipboard::PasteId;
use crate::base::SharedBytes;
use crate::wire::agent::ClipboardType;

/// A requestor that does not take the next piece for so long is forgotten.
const REQUESTOR_DEADLINE: Duration = Duration::from_secs(10);

/// A paste has its content by then: longer than the clipboard waits for it.
const CONTENT_DEADLINE: Duration = Duration::from_secs(180);

/// Bytes that go into a property at once.
const PIECE_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a request beside its data.
const REQUEST_BYTES: usize = 64;

/// Pastes that wait, and pastes that are written, at once.
const PASTES_MAX: usize = 64;

/// Bytes that are being written at once, content that is shared counted each time.
const WRITTEN_BYTES_MAX: usize = 512 << 20;

/// Targets of one MULTIPLE request.
const PAIRS_MAX: usize = 32;

/// What is offered while we own a selection.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) types: Vec<ClipboardType>,
    pub(super) shared_folder: Option<String>,
    pub(super) acquired: Timestamp,
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug)]
struct Slot {
    requestor: Window,
    selection: Atom,
    target: Atom,
    property: Atom,
    time: Timestamp,
    /// The MULTIPLE request that it is a part of.
    part_of: Option<u64>,
}

#[derive(Debug)]
struct Waiting {
    paste: PasteId,
    slot: Slot,
    shared_folder: Option<String>,
    deadline: Instant,
}

#[derive(Debug)]
struct Writing {
    requestor: Window,
    property: Atom,
    kind: Atom,
    rest: SharedBytes,
    deadline: Instant,
}

/// A MULTIPLE request: answered when all its parts are.
#[derive(Debug)]
struct Multiple {
    number: u64,
    slot: Slot,
    pairs: Vec<[Atom; 2]>,
    open: usize,
}

/// A paste of ours that was answered: who has it, and what.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) requestor: Window,
    pub(super) selection: Atom,
    pub(super) target: Atom,
}

/// Everything that programs want of us.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    waiting: Vec<Waiting>,
    writing: Vec<Writing>,
    multiples: Vec<Multiple>,
    last: u64,
}

impl Outgoing {
    /// A program wants what we own; `offer` is none if we do not. Returns the pastes to ask for.
    pub(super) fn requested(
        &mut self,
        x: &Connected,
        event: &SelectionRequestEvent,
        offer: Option<&Offer>,
    ) -> Result<Vec<(PasteId, ClipboardType)>, ReplyError> {
        let mut slot = Slot {
            requestor: event.requestor,
            selection: event.selection,
            target: event.target,
            // Clients of before ICCCM give none.
            property: if event.property == x11rb::NONE {
                event.target
            } else {
                event.property
            },
            time: event.time,
            part_of: None,
        };
        let mut pastes = Vec::new();
        let Some(offer) = offer else {
            self.answer(x, &slot, false)?;
            return Ok(pastes);
        };
        if event.target != x.atoms.MULTIPLE {
            self.request_one(x, &slot, offer, &mut pastes)?;
            return Ok(pastes);
        }
        let pairs = read_pairs(x, event)?;
        if pairs.is_empty() {
            self.answer(x, &slot, false)?;
            return Ok(pastes);
        }
        self.last += 1;
        let number = self.last;
        self.multiples.push(Multiple {
            number,
            slot,
            open: pairs.len(),
            pairs: pairs.clone(),
        });
        slot.part_of = Some(number);
        for [target, property] in pairs {
            let part = Slot {
                target,
                property,
                ..slot
            };
            self.request_one(x, &part, offer, &mut pastes)?;
        }
        Ok(pastes)
    }

    fn request_one(
        &mut self,
        x: &Connected,
        slot: &Slot,
        offer: &Offer,
        pastes: &mut Vec<(PasteId, ClipboardType)>,
    ) -> Result<(), ReplyError> {
        let (target, property, requestor) = (slot.target, slot.property, slot.requestor);
        let connection = &x.connection;
        let replace = PropMode::REPLACE;
        if target == x.atoms.TARGETS {
            let mut targets = vec![x.atoms.TARGETS, x.atoms.MULTIPLE, x.atoms.TIMESTAMP];
            targets.extend(offer.types.iter().flat_map(|kind| x.atoms.of(*kind)));
            connection.change_property32(replace, requestor, property, AtomEnum::ATOM, &targets)?;
            return self.answer(x, slot, true);
        }
        if target == x.atoms.TIMESTAMP {
            let time = [offer.acquired];
            connection.change_property32(replace, requestor, property, AtomEnum::INTEGER, &time)?;
            return self.answer(x, slot, true);
        }
        let kind = x.atoms.kind_of(target);
        let Some(kind) = kind.filter(|kind| offer.types.contains(kind)) else {
            return self.answer(x, slot, false);
        };
        if PASTES_MAX <= self.waiting.len() + self.writing.len() {
            return self.answer(x, slot, false);
        }
        // Its end is watched from now on, and the reading of pieces.
        let events = EventMask::PROPERTY_CHANGE | EventMask::STRUCTURE_NOTIFY;
        let watched = ChangeWindowAttributesAux::new().event_mask(events);
        connection.change_window_attributes(requestor, &watched)?;
        self.last += 1;
        let paste = PasteId(self.last);
        self.waiting.push(Waiting {
            paste,
            slot: *slot,
            shared_folder: offer.shared_folder.clone(),
            deadline: Instant::now() + CONTENT_DEADLINE,
        });
        pastes.push((paste, kind));
        Ok(())
    }

    /// The content of a paste has come, or there is none.
    pub(super) fn deliver(
        &mut self,
        x: &Connected,
        paste: PasteId,
        data: Option<SharedBytes>,
    ) -> Result<Option<Delivered>, ReplyError> {
        let Some(at) = self.waiting.iter().position(|one| one.paste == paste) else {
            return Ok(None);
        };
        let Waiting {
            slot,
            shared_folder,
            ..
        } = self.waiting.swap_remove(at);
        let folder = shared_folder.as_deref();
        let content = data.and_then(|data| x.atoms.for_program(slot.target, data, folder));
        let written: usize = self.writing.iter().map(|one| one.rest.len()).sum();
        let content = content.filter(|(_, data)| written + data.len() <= WRITTEN_BYTES_MAX);
        let Some((kind, data)) = content else {
            self.answer(x, &slot, false)?;
            return Ok(None);
        };
        let (requestor, property) = (slot.requestor, slot.property);
        let replace = PropMode::REPLACE;
        if data.len() <= piece_bytes(x) {
            x.connection
                .change_property8(replace, requestor, property, kind, &data)?;
        } else {
            let size = [u32::try_from(data.len()).unwrap_or(u32::MAX)];
            x.connection
                .change_property32(replace, requestor, property, x.atoms.INCR, &size)?;
            self.writing
                .retain(|one| (one.requestor, one.property) != (requestor, property));
            self.writing.push(Writing {
                requestor,
                property,
                kind,
                rest: data,
                deadline: Instant::now() + REQUESTOR_DEADLINE,
            });
        }
        self.answer(x, &slot, true)?;
        Ok(Some(Delivered {
            requestor,
            selection: slot.selection,
            target: slot.target,
        }))
    }

    /// A property of a window has changed: one that was deleted asks for the next piece.
    pub(super) fn property_changed(
        &mut self,
        x: &Connected,
        event: &PropertyNotifyEvent,
    ) -> Result<(), ConnectionError> {
        let place = (event.window, event.atom);
        let mut all = self.writing.iter_mut();
        let found = all.find(|one| (one.requestor, one.property) == place);
        let Some(one) = found.filter(|_| event.state == Property::DELETE) else {
            return Ok(());
        };
        let piece = one.rest.clone().first(piece_bytes(x));
        one.rest = one.rest.clone().skip(piece.len());
        one.deadline = Instant::now() + REQUESTOR_DEADLINE;
        x.connection.change_property8(
            PropMode::REPLACE,
            one.requestor,
            one.property,
            one.kind,
            &piece,
        )?;
        if piece.is_empty() {
            // The piece of no bytes is the end.
            self.writing
                .retain(|one| (one.requestor, one.property) != place);
        }
        Ok(())
    }

    /// Somebody's window is gone. Returns the pastes that nobody waits for any more.
    pub(super) fn window_gone(&mut self, window: Window) -> Vec<PasteId> {
        self.writing.retain(|one| one.requestor != window);
        self.multiples.retain(|one| one.slot.requestor != window);
        let gone = self
            .waiting
            .extract_if(.., |one| one.slot.requestor == window);
        gone.map(|one| one.paste).collect()
    }

    /// Forgets who has taken too long. Returns the pastes that nobody waits for any more.
    pub(super) fn expire(
        &mut self,
        x: &Connected,
        now: Instant,
    ) -> Result<Vec<PasteId>, ReplyError> {
        self.writing.retain(|one| now < one.deadline);
        let late: Vec<Waiting> = self
            .waiting
            .extract_if(.., |one| one.deadline <= now)
            .collect();
        let mut pastes = Vec::new();
        for one in late {
            self.answer(x, &one.slot, false)?;
            pastes.push(one.paste);
        }
        Ok(pastes)
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().map(|one| one.deadline);
        waiting
            .chain(self.writing.iter().map(|one| one.deadline))
            .min()
    }

    /// Tells the requestor how it went; a part of a MULTIPLE request only counts.
    fn answer(&mut self, x: &Connected, slot: &Slot, is_given: bool) -> Result<(), ReplyError> {
        let Some(number) = slot.part_of else {
            return Ok(notify(x, slot, is_given)?);
        };
        let Some(at) = self.multiples.iter().position(|one| one.number == number) else {
            return Ok(());
        };
        let multiple = &mut self.multiples[at];
        multiple.open = multiple.open.saturating_sub(1);
        if !is_given {
            let wanted = [slot.target, slot.property];
            let pair = multiple.pairs.iter_mut().find(|pair| **pair == wanted);
            if let Some(pair) = pair {
                *pair = [slot.target, x11rb::NONE];
            }
        }
        if multiple.open == 0 {
            let Multiple { slot, pairs, .. } = self.multiples.swap_remove(at);
            x.connection.change_property32(
                PropMode::REPLACE,
                slot.requestor,
                slot.property,
                x.atoms.ATOM_PAIR,
                pairs.as_flattened(),
            )?;
            notify(x, &slot, true)?;
        }
        Ok(())
    }
}

fn piece_bytes(x: &Connected) -> usize {
    PIECE_BYTES_MAX.min(
        x.connection
            .maximum_request_bytes()
            .saturating_sub(REQUEST_BYTES),
    )
}

/// The targets and properties of a MULTIPLE request. A requestor that is gone has none.
fn read_pairs(x: &Connected, event: &SelectionRequestEvent) -> Result<Vec<[Atom; 2]>, ReplyError> {
    let (requestor, property) = (event.requestor, event.property);
    let any = Atom::from(AtomEnum::ANY);
    let words = u32::try_from(2 * PAIRS_MAX).unwrap_or(u32::MAX);
    let cookie = x
        .connection
        .get_property(false, requestor, property, any, 0, words)?;
    let reply = match cookie.reply() {
        Ok(reply) => reply,
        Err(ReplyError::X11Error(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let atoms: Vec<Atom> = reply.value32().into_iter().flatten().collect();
    Ok(atoms.as_chunks::<2>().0.to_vec())
}

fn notify(x: &Connected, slot: &Slot, is_given: bool) -> Result<(), ConnectionError> {
    let event = SelectionNotifyEvent {
        response_type: SELECTION_NOTIFY_EVENT,
        sequence: 0,
        time: slot.time,
        requestor: slot.requestor,
        selection: slot.selection,
        target: slot.target,
        property: if is_given { slot.property } else { x11rb::NONE },
    };
    x.connection
        .send_event(false, slot.requestor, EventMask::NO_EVENT, event)?;
    Ok(())
}

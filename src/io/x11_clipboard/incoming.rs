//! Content that is read from programs: ICCCM's ConvertSelection, in one piece or by INCR, several at once.
//!
//! Each reading has a window of its own, so that an answer that comes too late cannot be taken for another's. One whose
//! owner still has something to write is not destroyed at once: a program that writes to a window that is gone may
//! end of it (Xlib's way with errors).

use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::errors::ReplyOrIdError;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateWindowAux, EventMask,
    Property, PropertyNotifyEvent, SelectionNotifyEvent, Window, WindowClass,
};

use super::{Connected, Purpose};
use crate::agent::clipboard::Refusal;

/// An owner that does nothing for so long has no more to say.
pub(super) const OWNER_DEADLINE: Duration = Duration::from_secs(5);

/// Readings at once; further ones are refused.
pub(super) const READINGS_MAX: usize = 16;

/// Words of a property that are read at a time: 1 MB.
const PIECE_WORDS: u32 = 256 * 1024;

/// How long a window that somebody may still write to is kept, and how many.
const ABANDONED_SPAN: Duration = Duration::from_secs(60);
const ABANDONED_MAX: usize = 32;

/// What was read.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) target: Atom,
    /// The type that the owner gave it.
    pub(super) kind: Atom,
    /// Bits of its items.
    pub(super) format: u8,
    pub(super) data: Vec<u8>,
}

/// A reading that has ended.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) purpose: Purpose,
    pub(super) result: Result<Content, Refusal>,
}

#[derive(Debug)]
struct Reading {
    purpose: Purpose,
    window: Window,
    owner: Window,
    content: Content,
    is_incremental: bool,
    bytes_max: usize,
    deadline: Instant,
}

/// All readings under way.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    readings: Vec<Reading>,
    abandoned: Vec<(Window, Instant)>,
}

impl Incoming {
    /// Asks `owner` for `target` of the selection. False when there are too many already.
    pub(super) fn begin(
        &mut self,
        x: &Connected,
        purpose: Purpose,
        (owner, selection, target): (Window, Atom, Atom),
        bytes_max: usize,
    ) -> Result<bool, ReplyOrIdError> {
        if READINGS_MAX <= self.readings.len() {
            return Ok(false);
        }
        let window = x.connection.generate_id()?;
        let events = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        let class = WindowClass::INPUT_ONLY;
        let connection = &x.connection;
        connection.create_window(0, window, x.root, -1, -1, 1, 1, 0, class, 0, &events)?;
        // The owner's end ends the reading.
        let watched = ChangeWindowAttributesAux::new()
            .event_mask(EventMask::PROPERTY_CHANGE | EventMask::STRUCTURE_NOTIFY);
        connection.change_window_attributes(owner, &watched)?;
        let property = x.atoms.CARAWAY_CONTENT;
        connection.convert_selection(window, selection, target, property, x11rb::CURRENT_TIME)?;
        self.readings.push(Reading {
            purpose,
            window,
            owner,
            content: Content {
                target,
                kind: 0,
                format: 8,
                data: Vec::new(),
            },
            is_incremental: false,
            bytes_max,
            deadline: Instant::now() + OWNER_DEADLINE,
        });
        Ok(true)
    }

    /// The owner has answered.
    pub(super) fn answered(
        &mut self,
        x: &Connected,
        event: &SelectionNotifyEvent,
    ) -> Result<Option<Read>, ReplyOrIdError> {
        let Some(at) = self.reading_at(event.requestor) else {
            return Ok(None);
        };
        if event.property == x11rb::NONE {
            let is_its = self.readings[at].content.target == event.target;
            return Ok(is_its.then(|| self.end(x, at, Some(Refusal::NotGiven))));
        }
        self.take_property(x, at)
    }

    /// A property of a window has changed.
    pub(super) fn property_changed(
        &mut self,
        x: &Connected,
        event: &PropertyNotifyEvent,
    ) -> Result<Option<Read>, ReplyOrIdError> {
        let is_new = event.state == Property::NEW_VALUE && event.atom == x.atoms.CARAWAY_CONTENT;
        match self.reading_at(event.window) {
            // A property that comes before the answer is the answer's.
            Some(at) if is_new && self.readings[at].is_incremental => self.take_property(x, at),
            _ => Ok(None),
        }
    }

    /// Somebody's window is gone: it answers no more.
    pub(super) fn window_gone(&mut self, x: &Connected, window: Window) -> Vec<Read> {
        self.end_those(x, Refusal::OwnerSilent, |reading| reading.owner == window)
    }

    /// Nobody wants these any more.
    pub(super) fn cancel(&mut self, x: &Connected, is_unwanted: impl Fn(&Purpose) -> bool) {
        self.end_those(x, Refusal::OwnerSilent, |one| is_unwanted(&one.purpose));
    }

    /// Ends what has taken too long.
    pub(super) fn expire(&mut self, x: &Connected, now: Instant) -> Vec<Read> {
        while let Some((window, until)) = self.abandoned.first()
            && (*until <= now || ABANDONED_MAX < self.abandoned.len())
        {
            // Should the connection be gone, the next wait tells.
            let _ = x.connection.destroy_window(*window);
            self.abandoned.remove(0);
        }
        self.end_those(x, Refusal::OwnerSilent, |reading| reading.deadline <= now)
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let readings = self.readings.iter().map(|reading| reading.deadline);
        let abandoned = self.abandoned.first().map(|(_, until)| *until);
        readings.chain(abandoned).min()
    }

    fn reading_at(&self, window: Window) -> Option<usize> {
        self.readings.iter().position(|one| one.window == window)
    }

    fn end_those(
        &mut self,
        x: &Connected,
        why: Refusal,
        is_one: impl Fn(&Reading) -> bool,
    ) -> Vec<Read> {
        let mut ended = Vec::new();
        while let Some(at) = self.readings.iter().position(&is_one) {
            ended.push(self.end(x, at, Some(why)));
        }
        ended
    }

    fn end(&mut self, x: &Connected, at: usize, why: Option<Refusal>) -> Read {
        let reading = self.readings.swap_remove(at);
        match why {
            // The owner has said all that it will.
            None | Some(Refusal::NotGiven) => {
                let _ = x.connection.destroy_window(reading.window);
            }
            Some(_) => self
                .abandoned
                .push((reading.window, Instant::now() + ABANDONED_SPAN)),
        }
        Read {
            purpose: reading.purpose,
            result: why.map_or(Ok(reading.content), Err),
        }
    }

    /// Reads what the owner has put into the property and deletes it, which asks for the next piece.
    fn take_property(&mut self, x: &Connected, at: usize) -> Result<Option<Read>, ReplyOrIdError> {
        let (window, property) = (self.readings[at].window, x.atoms.CARAWAY_CONTENT);
        let any = Atom::from(AtomEnum::ANY);
        let connection = &x.connection;
        let seen = connection.get_property(false, window, property, any, 0, 0)?;
        let seen = seen.reply()?;
        let reading = &mut self.readings[at];
        reading.deadline = Instant::now() + OWNER_DEADLINE;
        if seen.type_ == x.atoms.INCR && !reading.is_incremental {
            reading.is_incremental = true;
            connection.delete_property(window, property)?;
            return Ok(None);
        }
        if seen.type_ == x11rb::NONE {
            // It said that it had written, and has not.
            let is_over = !reading.is_incremental;
            return Ok(is_over.then(|| self.end(x, at, Some(Refusal::NotGiven))));
        }
        let size = seen.bytes_after as usize;
        if size != 0 || !reading.is_incremental {
            reading.content.kind = seen.type_;
            reading.content.format = seen.format;
        }
        let mut is_too_large = reading.bytes_max < reading.content.data.len() + size;
        let mut offset_words = 0;
        while !is_too_large {
            let piece =
                connection.get_property(true, window, property, any, offset_words, PIECE_WORDS)?;
            let piece = piece.reply()?;
            let content = &mut self.readings[at].content;
            content.data.extend_from_slice(&piece.value);
            offset_words += PIECE_WORDS;
            // One that grew meanwhile is of no owner that means well.
            is_too_large = self.readings[at].bytes_max < self.readings[at].content.data.len();
            if piece.bytes_after == 0 || piece.value.is_empty() {
                break;
            }
        }
        let reading = &self.readings[at];
        if is_too_large {
            let why = Refusal::TooLarge(reading.bytes_max);
            return Ok(Some(self.end(x, at, Some(why))));
        }
        let is_done = size == 0 || !reading.is_incremental;
        Ok(is_done.then(|| self.end(x, at, None)))
    }
}

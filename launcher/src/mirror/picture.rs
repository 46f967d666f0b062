//! What the display shows, its cursor, its size and its locks, brought to the desktop's own display.
//!
//! DAMAGE tells that something was drawn, and once it has been told nothing more until the damage is taken. Then both
//! servers work on one piece of shared memory: the one writes what its screen shows at that moment, the other paints
//! it; no pixel is looked at here. However much is drawn meanwhile, there is one more look at the newest.

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::errors::{ReplyError, ReplyOrIdError};
use x11rb::protocol::damage::{ConnectionExt as _, Damage, ReportLevel};
use x11rb::protocol::shm::{ConnectionExt as _, Seg};
use x11rb::protocol::xfixes::{ConnectionExt as _, CursorNotifyMask, Region};
use x11rb::protocol::xkb::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, ImageFormat, ModMask, Rectangle,
};
use x11rb::protocol::{ErrorKind, Event};

use super::Failure;
use super::own::{CORE_KEYBOARD, Own, locks_of, offset_bytes, shared_memory};
use super::pieces::{Piece, batches};
use crate::join::Foreign;

/// Before the next look, at least: 250 a second.
const REST_MIN: Duration = Duration::from_millis(4);

/// And at most; below it the rest is as long as the look was, so that a display is copied half of the time at most.
const REST_MAX: Duration = Duration::from_millis(100);

/// All planes.
const ALL_PLANES: u32 = !0;

/// Both displays, and what has changed since the last look.
pub(super) struct Picture {
    foreign: Foreign,
    segment: Seg,
    damage: Damage,
    region: Region,
    own: Own,
    /// Everything is to be fetched anew.
    is_stale: bool,
    is_damaged: bool,
    has_cursor: bool,
    /// The locks as they have to become.
    locks: Option<ModMask>,
    last_locks: ModMask,
}

impl Picture {
    /// Prepares both; nothing is shown yet.
    pub(super) fn new(foreign: Foreign) -> Result<Self, Failure> {
        let memory = shared_memory().map_err(Failure::System)?;
        let for_own: OwnedFd = memory.try_clone().map_err(Failure::System)?;
        let own = Own::connect(for_own)?;
        let (segment, damage, region, locks) =
            watch(&foreign, memory).map_err(Failure::of_foreign)?;
        Ok(Self {
            foreign,
            segment,
            damage,
            region,
            own,
            is_stale: true,
            is_damaged: true,
            has_cursor: true,
            locks: Some(locks),
            last_locks: locks,
        })
    }

    /// Shows until one of the two displays ends.
    pub(super) fn show(&mut self) -> Result<Infallible, Failure> {
        let mut rest_until = Instant::now();
        loop {
            self.wait().map_err(Failure::of_foreign)?;
            sleep(rest_until.saturating_duration_since(Instant::now()));
            self.hear().map_err(Failure::of_foreign)?;
            let begun = Instant::now();
            self.look()?;
            // One that has changed under the look needs no haste.
            let rest = match self.is_stale {
                true => REST_MAX,
                false => begun.elapsed().clamp(REST_MIN, REST_MAX),
            };
            rest_until = Instant::now() + rest;
        }
    }

    fn has_work(&self) -> bool {
        self.is_stale || self.is_damaged || self.has_cursor || self.locks.is_some()
    }

    /// Waits until there is something to do.
    fn wait(&mut self) -> Result<(), ReplyError> {
        while !self.has_work() {
            let event = self.foreign.connection.wait_for_event()?;
            self.note(&event);
        }
        Ok(())
    }

    /// All that was told by now.
    fn hear(&mut self) -> Result<(), ReplyError> {
        while let Some(event) = self.foreign.connection.poll_for_event()? {
            self.note(&event);
        }
        Ok(())
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::DamageNotify(_) => self.is_damaged = true,
            Event::XfixesCursorNotify(_) => self.has_cursor = true,
            Event::ConfigureNotify(change) if change.window == self.foreign.root => {
                (self.foreign.width, self.foreign.height) = (change.width, change.height);
                self.is_stale = true;
            }
            Event::XkbStateNotify(state) => {
                let locks = locks_of(state.locked_mods);
                // Keys that are pressed are told here, too.
                if locks != self.last_locks {
                    self.last_locks = locks;
                    self.locks = Some(locks);
                }
            }
            _ => {}
        }
    }

    fn look(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.has_cursor) {
            let asked = self.foreign.connection.xfixes_get_cursor_image();
            match asked.map_err(ReplyError::from).and_then(|one| one.reply()) {
                Ok(image) => self.own.set_cursor(&image)?,
                // There may be none.
                Err(ReplyError::X11Error(_)) => {}
                Err(error) => return Err(Failure::of_foreign(error)),
            }
        }
        if let Some(locks) = self.locks.take() {
            self.own.set_locks(locks)?;
        }
        if self.is_stale {
            self.own.resize(self.foreign.width, self.foreign.height)?;
        }
        if self.is_stale || self.is_damaged {
            self.bring()?;
        }
        Ok(())
    }

    /// Brings what was damaged, as it is now.
    fn bring(&mut self) -> Result<(), Failure> {
        let damaged = self.take_damage().map_err(Failure::of_foreign)?;
        let (width, height) = (self.foreign.width, self.foreign.height);
        self.is_damaged = false;
        let damaged = match std::mem::take(&mut self.is_stale) {
            true => vec![Rectangle {
                x: 0,
                y: 0,
                width,
                height,
            }],
            false => damaged,
        };
        for batch in batches(&damaged, width, height) {
            match self.fetch(&batch) {
                Ok(()) => self.own.paint(&batch)?,
                Err(ReplyError::X11Error(error)) if error.error_kind == ErrorKind::Match => {
                    // It has become smaller, and says so next.
                    self.is_stale = true;
                    let size = self.ask_size().map_err(Failure::of_foreign)?;
                    (self.foreign.width, self.foreign.height) = size;
                    return Ok(());
                }
                Err(error) => return Err(Failure::of_foreign(error)),
            }
        }
        Ok(())
    }

    /// What was damaged; from here on more is told again.
    fn take_damage(&self) -> Result<Vec<Rectangle>, ReplyError> {
        let x = &self.foreign.connection;
        x.damage_subtract(self.damage, x11rb::NONE, self.region)?;
        Ok(x.xfixes_fetch_region(self.region)?.reply()?.rectangles)
    }

    fn ask_size(&self) -> Result<(u16, u16), ReplyError> {
        let foreign = &self.foreign;
        let geometry = foreign.connection.get_geometry(foreign.root)?.reply()?;
        Ok((geometry.width, geometry.height))
    }

    /// Has the pieces written into the memory.
    fn fetch(&self, pieces: &[Piece]) -> Result<(), ReplyError> {
        let foreign = &self.foreign;
        let mut asked = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let place = |at: u16| i16::try_from(at).unwrap_or(i16::MAX);
            asked.push(foreign.connection.shm_get_image(
                foreign.root,
                place(piece.x),
                place(piece.y),
                piece.width,
                piece.height,
                ALL_PLANES,
                ImageFormat::Z_PIXMAP.into(),
                self.segment,
                offset_bytes(piece),
            )?);
        }
        for one in asked {
            one.reply()?;
        }
        Ok(())
    }
}

/// Asks to be told of all that changes, and gives the memory where pixels are to be written. Gives the names of both
/// and of a region, and the locks as they are.
fn watch(
    foreign: &Foreign,
    memory: OwnedFd,
) -> Result<(Seg, Damage, Region, ModMask), ReplyOrIdError> {
    let x = &foreign.connection;
    let segment = x.generate_id()?;
    x.shm_attach_fd(segment, memory, false)?.check()?;
    let sizes = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
    x.change_window_attributes(foreign.root, &sizes)?;
    x.xfixes_select_cursor_input(foreign.root, CursorNotifyMask::DISPLAY_CURSOR)?;
    x.xkb_select_events(
        CORE_KEYBOARD,
        xkb::EventType::default(),
        xkb::EventType::STATE_NOTIFY,
        xkb::MapPart::default(),
        xkb::MapPart::default(),
        &xkb::SelectEventsAux::new(),
    )?;
    let locked = x.xkb_get_state(CORE_KEYBOARD)?.reply()?.locked_mods;
    let (damage, region) = (x.generate_id()?, x.generate_id()?);
    x.xfixes_create_region(region, &[])?;
    x.damage_create(damage, foreign.root, ReportLevel::NON_EMPTY)?
        .check()?;
    Ok((segment, damage, region, locks_of(locked)))
}

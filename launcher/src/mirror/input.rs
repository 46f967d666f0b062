//! What the desktop's clients type and point, given to the display that is shown by XTEST.
//!
//! One thread hears the desktop's own display and waits for nobody else; the other gives it on and waits for each
//! answer, so that no more is under way than the display can take.

use std::convert::Infallible;

use x11rb::connection::Connection;
use x11rb::errors::{ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::xkb::ConnectionExt as _;
use x11rb::protocol::xproto::{
    AutoRepeatMode, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ChangeKeyboardControlAux,
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, KEY_PRESS_EVENT, KEY_RELEASE_EVENT,
    MOTION_NOTIFY_EVENT,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use super::Failure;
use super::keys::{KeyMap, Names};
use super::waiting::{Act, Held, Waiting};
use crate::join::Foreign;

/// No delay, and no device in particular.
const AT_ONCE: u32 = 0;
const NO_DEVICE: u8 = 0;

/// The desktop's own display, heard.
pub(super) struct Hearing {
    connection: RustConnection,
    map: KeyMap,
}

impl Hearing {
    /// Asks for all keys, buttons and motion; `foreign` tells how its keys are called.
    pub(super) fn start(foreign: &Foreign) -> Result<Self, Failure> {
        let (connection, screen) = RustConnection::connect(None).map_err(Failure::OwnConnect)?;
        let screen = connection.setup().roots.get(screen);
        let root = screen.ok_or(Failure::OwnEnded)?.root;
        connection.xkb_use_extension(1, 0)?.reply()?;
        let theirs = Names::of(&foreign.connection).map_err(Failure::of_foreign)?;
        let map = KeyMap::between(&Names::of(&connection)?, &theirs);
        // The other display repeats what is held.
        let quiet = ChangeKeyboardControlAux::new().auto_repeat_mode(AutoRepeatMode::OFF);
        connection.change_keyboard_control(&quiet)?;
        let events = EventMask::KEY_PRESS
            | EventMask::KEY_RELEASE
            | EventMask::BUTTON_PRESS
            | EventMask::BUTTON_RELEASE
            | EventMask::POINTER_MOTION;
        let heard = ChangeWindowAttributesAux::new().event_mask(events);
        connection.change_window_attributes(root, &heard)?.check()?;
        Ok(Self { connection, map })
    }

    /// Hears until the display ends.
    pub(super) fn hear(&self, waiting: &Waiting) -> Result<Infallible, Failure> {
        loop {
            let event = self.connection.wait_for_event()?;
            let key = |code: u8, pressed| {
                let code = self.map.get(code)?;
                Some(Act::Key { code, pressed })
            };
            let button = |number, pressed| Some(Act::Button { number, pressed });
            let act = match &event {
                Event::KeyPress(event) => key(event.detail, true),
                Event::KeyRelease(event) => key(event.detail, false),
                Event::ButtonPress(event) => button(event.detail, true),
                Event::ButtonRelease(event) => button(event.detail, false),
                Event::MotionNotify(event) => Some(Act::Motion {
                    x: event.root_x,
                    y: event.root_y,
                }),
                _ => None,
            };
            if let Some(act) = act {
                waiting.add(act);
            }
        }
    }
}

/// Gives on what waits until there is no more, then releases what is held.
pub(super) fn give(foreign: &Foreign, waiting: &Waiting) -> Result<(), Failure> {
    let mut held = Held::default();
    while let Some(acts) = waiting.take() {
        for act in acts {
            if held.changes(act) {
                let acts = match act {
                    Act::ReleaseAll => held.release_all(),
                    _ => vec![act],
                };
                send(foreign, &acts).map_err(Failure::of_foreign)?;
            }
        }
        settle(foreign).map_err(Failure::of_foreign)?;
    }
    send(foreign, &held.release_all()).map_err(Failure::of_foreign)?;
    settle(foreign).map_err(Failure::of_foreign)
}

fn send(foreign: &Foreign, acts: &[Act]) -> Result<(), ReplyOrIdError> {
    for act in acts {
        let (kind, detail, x, y) = match *act {
            Act::Key { code, pressed } => match pressed {
                true => (KEY_PRESS_EVENT, code, 0, 0),
                false => (KEY_RELEASE_EVENT, code, 0, 0),
            },
            Act::Button { number, pressed } => match pressed {
                true => (BUTTON_PRESS_EVENT, number, 0, 0),
                false => (BUTTON_RELEASE_EVENT, number, 0, 0),
            },
            Act::Motion { x, y } => (MOTION_NOTIFY_EVENT, 0, x, y),
            Act::ReleaseAll => continue,
        };
        let root = match act {
            Act::Motion { .. } => foreign.root,
            _ => x11rb::NONE,
        };
        foreign
            .connection
            .xtest_fake_input(kind, detail, AT_ONCE, root, x, y, NO_DEVICE)?;
    }
    Ok(())
}

/// Waits until it has been taken; a key or button that the display does not have is nothing there.
fn settle(foreign: &Foreign) -> Result<(), ReplyError> {
    foreign.connection.get_input_focus()?.reply()?;
    while foreign.connection.poll_for_event()?.is_some() {}
    Ok(())
}

//! The inputs channel of a model client.

use std::collections::BTreeSet;

use caraway_server::wire::inputs::{ClientKeyModifiers, Modifiers, MouseButtons, ServerMessage};

use super::stream::assert_same;

/// Motions that spice-gtk lets be without acknowledgement.
pub(crate) const MOTIONS_OPEN_MAX: u32 = 8;

/// Keys by their code and buttons by their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldSet {
    pub(crate) keys: BTreeSet<u16>,
    pub(crate) buttons: BTreeSet<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct InputsModel {
    initialised: bool,
    /// The lights of the desktop as told.
    pub(crate) lights: Modifiers,
    /// The lights of the client's own keyboard, which it insists on.
    pub(crate) own_lights: Option<Modifiers>,
    /// Motions sent and not acknowledged.
    pub(crate) motions_open: u32,
    /// Buttons that its user holds.
    pub(crate) buttons: MouseButtons,
}

impl InputsModel {
    /// The channel is linked (again).
    pub(crate) fn relinked(&mut self) {
        (self.initialised, self.motions_open) = (false, 0);
        self.buttons = MouseButtons::NONE;
    }

    /// Takes in a message; gives what spice-gtk says to it.
    pub(crate) fn hear(&mut self, number: u16, body: &[u8]) -> Option<ClientKeyModifiers> {
        let message = ServerMessage::decode(number, body).expect("a message of the channel");
        assert_same(&message, body);
        let first = matches!(message, ServerMessage::Init(_));
        assert_eq!(!self.initialised, first, "INIT comes first and once");
        self.initialised = true;
        match message {
            ServerMessage::Init(init) => self.lights = init.modifiers,
            ServerMessage::KeyModifiers(told) => {
                assert_ne!(self.lights, told.modifiers, "nothing new");
                self.lights = told.modifiers;
            }
            ServerMessage::MouseMotionAck(_) => {
                let left = self.motions_open.checked_sub(4);
                self.motions_open = left.expect("an acknowledgement of four motions");
                return None;
            }
        }
        self.own_lights
            .map(|modifiers| ClientKeyModifiers { modifiers })
    }
}

//! The inputs channel: keys, pointer and lock lights.
//!
//! Keys are XT set-1 codes: up to four bytes in a little-endian u32 (KEY_DOWN, KEY_UP), or as many bytes as there
//! are (KEY_SCANCODE). The server says [`MouseMotionAck`] after every fourth motion or position.

use super::field::{message_enum, wire_enum, wire_flags, wire_struct};
use super::{Decode, Encode, Message, WireError};
use crate::base::{ByteReader, ByteWriter};

/// Motions and positions for one [`MouseMotionAck`]; spice-gtk holds its own back at twice as many
/// (`SPICE_INPUT_MOTION_ACK_BUNCH`).
pub const MOTION_ACK_BUNCH: u32 = 4;

wire_flags! {
    /// `SpiceKeyboardModifierFlags`: the lock lights.
    Modifiers(u16) {
        /// Scroll Lock.
        SCROLL_LOCK = 0,
        /// Num Lock.
        NUM_LOCK = 1,
        /// Caps Lock.
        CAPS_LOCK = 2,
    }
}

wire_enum! {
    /// `SpiceMouseButton`.
    MouseButton(u8) {
        /// Left.
        LEFT = 1,
        /// Middle.
        MIDDLE = 2,
        /// Right.
        RIGHT = 3,
        /// One wheel click away from the user.
        UP = 4,
        /// One wheel click towards the user.
        DOWN = 5,
        /// The first side button.
        SIDE = 6,
        /// The second side button.
        EXTRA = 7,
    }
}

wire_flags! {
    /// `SpiceMouseButtonMask`: what is held.
    MouseButtons(u16) {
        /// Left.
        LEFT = 0,
        /// Middle.
        MIDDLE = 1,
        /// Right.
        RIGHT = 2,
        /// Wheel.
        UP = 3,
        /// Wheel.
        DOWN = 4,
        /// The first side button.
        SIDE = 5,
        /// The second side button.
        EXTRA = 6,
    }
}

wire_struct! {
    /// `SPICE_MSG_INPUTS_INIT` (101).
    Init = 101 {
        /// The lock lights of the desktop.
        modifiers: Modifiers,
    }
}

wire_struct! {
    /// `SPICE_MSG_INPUTS_KEY_MODIFIERS` (102): the lock lights have changed.
    ServerKeyModifiers = 102 {
        /// The lock lights of the desktop.
        modifiers: Modifiers,
    }
}

wire_struct! {
    /// `SPICE_MSG_INPUTS_MOUSE_MOTION_ACK` (111).
    MouseMotionAck = 111 {}
}

message_enum! {
    /// What a server says on the inputs channel.
    ServerMessage {
        Init(Init),
        KeyModifiers(ServerKeyModifiers),
        MouseMotionAck(MouseMotionAck),
    }
}

wire_struct! {
    /// `SPICE_MSGC_INPUTS_KEY_DOWN` (101).
    KeyDown = 101 {
        /// Up to four bytes of scan code, the lowest first.
        code: u32,
    }
}

wire_struct! {
    /// `SPICE_MSGC_INPUTS_KEY_UP` (102).
    KeyUp = 102 {
        /// Up to four bytes of scan code, the lowest first.
        code: u32,
    }
}

wire_struct! {
    /// `SPICE_MSGC_INPUTS_KEY_MODIFIERS` (103): the lock lights of the client's keyboard.
    ClientKeyModifiers = 103 {
        /// The lights.
        modifiers: Modifiers,
    }
}

/// `SPICE_MSGC_INPUTS_KEY_SCANCODE` (104), if the server announced `KEY_SCANCODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyScancode<'a>(
    /// Make and break codes as a keyboard would send them.
    pub &'a [u8],
);

impl Message for KeyScancode<'_> {
    const TYPE: u16 = 104;
}

impl Encode for KeyScancode<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.bytes(self.0);
    }
}

impl<'a> Decode<'a> for KeyScancode<'a> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self(reader.rest()))
    }
}

wire_struct! {
    /// `SPICE_MSGC_INPUTS_MOUSE_MOTION` (111), in server mouse mode.
    MouseMotion = 111 {
        /// Pixels to the right.
        dx: i32,
        /// Pixels down.
        dy: i32,
        /// What is held.
        buttons: MouseButtons,
    }
}

wire_struct! {
    /// `SPICE_MSGC_INPUTS_MOUSE_POSITION` (112), in client mouse mode.
    MousePosition = 112 {
        /// Column in the display's surface.
        x: u32,
        /// Row in the display's surface.
        y: u32,
        /// What is held.
        buttons: MouseButtons,
        /// Which display channel.
        display_id: u8,
    }
}

wire_struct! {
    /// `SPICE_MSGC_INPUTS_MOUSE_PRESS` (113).
    MousePress = 113 {
        /// Which.
        button: MouseButton,
        /// What is held, this one included.
        buttons: MouseButtons,
    }
}

wire_struct! {
    /// `SPICE_MSGC_INPUTS_MOUSE_RELEASE` (114).
    MouseRelease = 114 {
        /// Which.
        button: MouseButton,
        /// What is still held.
        buttons: MouseButtons,
    }
}

message_enum! {
    /// What a client says on the inputs channel.
    ClientMessage<'a> {
        KeyDown(KeyDown),
        KeyUp(KeyUp),
        KeyModifiers(ClientKeyModifiers),
        KeyScancode(KeyScancode<'a>),
        MouseMotion(MouseMotion),
        MousePosition(MousePosition),
        MousePress(MousePress),
        MouseRelease(MouseRelease),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message_tests;

    const LEFT: MouseButtons = MouseButtons::LEFT;

    message_tests! {
        init: Init = 101, Init { modifiers: Modifiers::CAPS_LOCK }, [[4, 0]];
        key_modifiers: ServerKeyModifiers = 102,
            ServerKeyModifiers { modifiers: Modifiers::NUM_LOCK }, [[2, 0]];
        motion_ack: MouseMotionAck = 111, MouseMotionAck {}, [];
        key_down: KeyDown = 101, KeyDown { code: 0x48e0 }, [[0xe0, 0x48, 0, 0]];
        key_up: KeyUp = 102, KeyUp { code: 0x9e }, [[0x9e, 0, 0, 0]];
        client_modifiers: ClientKeyModifiers = 103,
            ClientKeyModifiers { modifiers: Modifiers::SCROLL_LOCK }, [[1, 0]];
        scancode: KeyScancode<'_> = 104, KeyScancode(&[]), [];
        motion: MouseMotion = 111, MouseMotion { dx: -1, dy: 2, buttons: LEFT },
            [vec![0xff; 4], vec![2, 0, 0, 0], vec![1, 0]];
        position: MousePosition = 112, MousePosition { x: 3, y: 4, buttons: LEFT, display_id: 7 },
            [vec![3, 0, 0, 0], vec![4, 0, 0, 0], vec![1, 0], vec![7]];
        press: MousePress = 113, MousePress { button: MouseButton::UP, buttons: MouseButtons::UP },
            [vec![4], vec![8, 0]];
        release: MouseRelease = 114, MouseRelease { button: MouseButton::EXTRA, buttons: LEFT },
            [vec![7], vec![1, 0]];
    }

    #[test]
    fn scan_codes_are_the_whole_body() {
        let message = ClientMessage::decode(104, &[0xe0, 0x48]);
        assert_eq!(
            message,
            Ok(ClientMessage::KeyScancode(KeyScancode(&[0xe0, 0x48])))
        );
    }
}

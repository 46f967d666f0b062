//! The inputs channel of one client: messages to records for the driver, and lock lights to the client.
//!
//! Keyboard and pointer are the desktop's, so all clients share them ([`SharedInput`]); what a client holds is its own,
//! and goes up when its channel does ([`SharedInput::release_all`]).
//!
//! A client stops sending motion while it waits for two acknowledgements, so these go out at receipt, before anything
//! is done with the motion. One that never reads is owed them as a number, not as bytes.

use super::held::Holder;
use super::keyboard::Keyboard;
use super::outbox::Outbox;
use super::pointer::{MouseMode, Pointer, Screen};
use super::scancode::{KeyAction, Scancodes};
use crate::base::Micros;
use crate::ring::{InputRecord, Leds};
use crate::wire::inputs::{
    ClientMessage, Init, KeyDown, KeyScancode, MOTION_ACK_BUNCH, Modifiers, MouseMotionAck,
    MousePress, ServerKeyModifiers,
};
use crate::wire::{Message, WireError};

/// Why a message ends the connection; the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputsError {
    /// Not a message of this channel.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// The devices of a desktop.
#[derive(Clone, Debug)]
pub struct SharedInput {
    /// Keys and lock lights.
    pub keyboard: Keyboard,
    /// Pointer and buttons.
    pub pointer: Pointer,
}

impl SharedInput {
    /// Devices with nothing pressed.
    pub const fn new(leds: Leds) -> Self {
        Self {
            keyboard: Keyboard::new(leds),
            pointer: Pointer::new(),
        }
    }

    /// A client goes, and lets go of what it holds. To be called for a client of any kind, however it goes.
    pub fn release_all(&mut self, holder: Holder, records: &mut Vec<InputRecord>) {
        self.keyboard.release_all(holder, records);
        self.pointer.release_all(holder, records);
    }
}

/// Whether a client's message of this number is somebody's doing: a key or a button that goes down. The pointer may go
/// over a window that nobody uses.
pub fn is_deed(number: u16) -> bool {
    [KeyDown::TYPE, KeyScancode::TYPE, MousePress::TYPE].contains(&number)
}

/// What a message of a client acts on.
#[derive(Debug)]
pub struct Seat<'a> {
    /// The devices.
    pub shared: &'a mut SharedInput,
    /// The mouse mode that holds.
    pub mode: MouseMode,
    /// What positions refer to.
    pub screen: Screen<'a>,
    /// For the driver: records are appended, in order.
    pub records: &'a mut Vec<InputRecord>,
}

/// The channel of one client.
#[derive(Debug)]
pub struct InputsChannel {
    holder: Holder,
    scancodes: Scancodes,
    leds: Leds,
    leds_told: Leds,
    motions: u32,
    acks_owed: u32,
}

impl InputsChannel {
    /// A channel that was linked just now; sends INIT with the lights of the desktop.
    pub fn new(holder: Holder, leds: Leds, outbox: &mut Outbox) -> Self {
        let modifiers = modifiers(leds);
        outbox.send(&Init { modifiers });
        Self {
            holder,
            scancodes: Scancodes::new(),
            leds,
            leds_told: leds,
            motions: 0,
            acks_owed: 0,
        }
    }

    /// Takes in a message of this channel (numbers above [`crate::wire::common::LAST_TYPE`]).
    ///
    /// # Errors
    /// [`InputsError`] ends the connection.
    pub fn handle(
        &mut self,
        now: Micros,
        number: u16,
        body: &[u8],
        outbox: &mut Outbox,
        seat: &mut Seat<'_>,
    ) -> Result<(), InputsError> {
        let (holder, mode) = (self.holder, seat.mode);
        let (pointer, records) = (&mut seat.shared.pointer, &mut *seat.records);
        match ClientMessage::decode(number, body)? {
            ClientMessage::KeyDown(key) => self.scan(now, packed(&key.code.to_le_bytes()), seat),
            ClientMessage::KeyUp(key) => self.scan_up(now, packed(&key.code.to_le_bytes()), seat),
            ClientMessage::KeyScancode(codes) => self.scan(now, codes.0, seat),
            ClientMessage::KeyModifiers(message) => {
                let wanted = Leds::from_bits(u32::from(message.modifiers.0));
                let keyboard = &mut seat.shared.keyboard;
                keyboard.client_modifiers(now, holder, wanted, records);
            }
            ClientMessage::MouseMotion(message) => {
                self.count_motion(outbox);
                pointer.motion(holder, mode, message, records);
            }
            ClientMessage::MousePosition(message) => {
                self.count_motion(outbox);
                pointer.position(holder, mode, seat.screen, message, records);
            }
            ClientMessage::MousePress(message) => pointer.press(holder, message, records),
            ClientMessage::MouseRelease(message) => pointer.release(holder, message, records),
        }
        Ok(())
    }

    /// As [`handle`](Self::handle) for a client that only watches: its motions are acknowledged, or it would wait, and
    /// nothing else comes of what it does.
    ///
    /// # Errors
    /// [`InputsError`] ends the connection.
    pub fn pass_over(
        &mut self,
        number: u16,
        body: &[u8],
        outbox: &mut Outbox,
    ) -> Result<(), InputsError> {
        match ClientMessage::decode(number, body)? {
            ClientMessage::MouseMotion(_) | ClientMessage::MousePosition(_) => {
                self.count_motion(outbox);
            }
            _ => {}
        }
        Ok(())
    }

    /// The lights of the desktop have changed; [`transmit`](Self::transmit) tells the newest.
    pub const fn leds_changed(&mut self, leds: Leds) {
        self.leds = leds;
    }

    /// Sends what waits. To be polled when the socket can take bytes. Whether anything was sent.
    pub fn transmit(&mut self, outbox: &mut Outbox) -> bool {
        let mut sent = self.send_acks(outbox);
        if self.leds != self.leds_told && !outbox.is_full() {
            let modifiers = modifiers(self.leds);
            outbox.send(&ServerKeyModifiers { modifiers });
            self.leds_told = self.leds;
            sent = true;
        }
        sent
    }

    fn scan(&mut self, now: Micros, bytes: &[u8], seat: &mut Seat<'_>) {
        for byte in bytes {
            if let Some(event) = self.scancodes.push(*byte) {
                let keyboard = &mut seat.shared.keyboard;
                keyboard.key(now, self.holder, event, seat.records);
            }
        }
    }

    /// As [`scan`](Self::scan), for a message that presses no key: a late release of Hangeul is not a tap of it.
    fn scan_up(&mut self, now: Micros, bytes: &[u8], seat: &mut Seat<'_>) {
        for byte in bytes {
            let event = self.scancodes.push(*byte);
            if let Some(event) = event.filter(|event| event.action == KeyAction::Release) {
                let keyboard = &mut seat.shared.keyboard;
                keyboard.key(now, self.holder, event, seat.records);
            }
        }
    }

    fn count_motion(&mut self, outbox: &mut Outbox) {
        self.motions += 1;
        if MOTION_ACK_BUNCH <= self.motions {
            self.motions = 0;
            self.acks_owed = self.acks_owed.saturating_add(1);
            self.send_acks(outbox);
        }
    }

    fn send_acks(&mut self, outbox: &mut Outbox) -> bool {
        let owed = self.acks_owed;
        while 0 < self.acks_owed && !outbox.is_full() {
            outbox.send(&MouseMotionAck {});
            self.acks_owed -= 1;
        }
        self.acks_owed < owed
    }
}

/// The bytes of a packed scan code: up to the first zero.
fn packed(code: &[u8]) -> &[u8] {
    code.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The same bits on the wire and in the ring.
fn modifiers(leds: Leds) -> Modifiers {
    Modifiers(u16::from(leds.bits()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::OUTPUT_BYTES_MAX;
    use crate::base::{ByteWriter, Size};
    use crate::wire::Message;
    use crate::wire::inputs::{
        ClientKeyModifiers, KeyDown, KeyScancode, KeyUp, MouseButton, MouseButtons, MouseMotion,
        MousePosition, MousePress, ServerMessage,
    };

    use super::super::inbox::Inbox;

    const ANNA: Holder = Holder(7);
    const DARK: Leds = Leds::from_bits(0);
    const NONE: MouseButtons = MouseButtons::NONE;

    struct Client {
        channel: InputsChannel,
        outbox: Outbox,
        shared: SharedInput,
        mode: MouseMode,
    }

    impl Client {
        fn new(leds: Leds) -> Self {
            let mut outbox = Outbox::new(true, Micros(0));
            Self {
                channel: InputsChannel::new(ANNA, leds, &mut outbox),
                outbox,
                shared: SharedInput::new(leds),
                mode: MouseMode::Client,
            }
        }

        fn raw(&mut self, number: u16, body: &[u8]) -> Result<Vec<InputRecord>, InputsError> {
            let mut records = Vec::new();
            let size = Size::new(100, 100);
            let mut seat = Seat {
                shared: &mut self.shared,
                mode: self.mode,
                screen: Screen { size, heads: &[] },
                records: &mut records,
            };
            let outbox = &mut self.outbox;
            self.channel
                .handle(Micros(0), number, body, outbox, &mut seat)?;
            Ok(records)
        }

        fn say<M: Message>(&mut self, message: &M) -> Vec<InputRecord> {
            let mut body = Vec::new();
            message.encode(&mut ByteWriter::new(&mut body));
            self.raw(M::TYPE, &body).unwrap()
        }

        /// What the server has said since, without SET_ACK.
        fn heard(&mut self) -> Vec<ServerMessage> {
            let (mut bytes, mut inbox) = (Vec::new(), Inbox::new(true, 64));
            self.outbox.take_into(&mut bytes);
            inbox.push(&bytes);
            let mut messages = Vec::new();
            while let Some((number, body)) = inbox.next_message().unwrap() {
                if 100 < number {
                    messages.push(ServerMessage::decode(number, body).unwrap());
                }
            }
            messages
        }
    }

    fn key(code: u16, down: bool) -> InputRecord {
        InputRecord::Key { code, down }
    }

    fn code(bytes: [u8; 4]) -> u32 {
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn keys_come_packed_or_as_bytes() {
        let mut client = Client::new(DARK);
        let up = code([0xe0, 0x48, 0, 0]);
        assert_eq!(client.say(&KeyDown { code: up }), [key(103, true)]);
        assert_eq!(client.say(&KeyDown { code: up }), []);
        let released = client.say(&KeyUp {
            code: code([0xe0, 0xc8, 0, 0]),
        });
        assert_eq!(released, [key(103, false)]);
        let typed = client.say(&KeyScancode(&[0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8]));
        let expected = [
            key(30, true),
            key(30, false),
            key(103, true),
            key(103, false),
        ];
        assert_eq!(typed, expected);
        let whole = client.say(&KeyDown {
            code: code([0xe1, 0x1d, 0x45, 0]),
        });
        assert_eq!(whole, [key(119, true)]);
    }

    #[test]
    fn pause_comes_in_two_messages() {
        let mut client = Client::new(DARK);
        let control = code([0xe1, 0x1d, 0, 0]);
        assert_eq!(client.say(&KeyDown { code: control }), []);
        assert_eq!(client.say(&KeyDown { code: 0x45 }), [key(119, true)]);
        let control = code([0xe1, 0x9d, 0, 0]);
        assert_eq!(client.say(&KeyUp { code: control }), []);
        assert_eq!(client.say(&KeyUp { code: 0xc5 }), [key(119, false)]);
        assert_eq!(client.say(&KeyDown { code: 0x45 }), [key(69, true)]);
    }

    #[test]
    fn a_release_message_presses_nothing() {
        let mut client = Client::new(DARK);
        assert_eq!(client.say(&KeyUp { code: 0xf2 }), []);
        assert_eq!(client.say(&KeyUp { code: 0x1e }), []);
        let tap = [key(122, true), key(122, false)];
        assert_eq!(client.say(&KeyDown { code: 0xf2 }), tap);
        assert!(client.shared.keyboard.is_at_rest());
    }

    #[test]
    fn lights_are_told_at_the_start_and_then_the_newest() {
        let mut client = Client::new(Leds::NUM);
        let modifiers = Modifiers::NUM_LOCK;
        assert_eq!(client.heard(), [ServerMessage::Init(Init { modifiers })]);
        assert!(!client.channel.transmit(&mut client.outbox));
        client.channel.leds_changed(DARK);
        client.channel.leds_changed(Leds::CAPS);
        assert!(client.channel.transmit(&mut client.outbox));
        assert!(!client.channel.transmit(&mut client.outbox));
        let modifiers = Modifiers::CAPS_LOCK;
        let told = ServerMessage::KeyModifiers(ServerKeyModifiers { modifiers });
        assert_eq!(client.heard(), [told]);
        let modifiers = Modifiers::SCROLL_LOCK;
        let pressed = client.say(&ClientKeyModifiers { modifiers });
        let scroll_and_num = [key(70, true), key(70, false), key(69, true), key(69, false)];
        assert_eq!(pressed, scroll_and_num);
    }

    #[test]
    fn every_fourth_motion_is_acknowledged_in_either_mode() {
        let mut client = Client::new(DARK);
        client.heard();
        let motion = MouseMotion {
            dx: 1,
            dy: 1,
            buttons: NONE,
        };
        let position = MousePosition {
            x: 1,
            y: 2,
            buttons: NONE,
            display_id: 9,
        };
        let mut acks = 0;
        for count in 1..=40 {
            if count % 3 == 0 {
                client.say(&motion);
            } else {
                client.say(&position);
            }
            let heard = client.heard();
            acks += heard.len();
            assert_eq!(acks, count / 4);
            let ack = ServerMessage::MouseMotionAck(MouseMotionAck {});
            assert!(heard.iter().all(|message| *message == ack));
        }
    }

    #[test]
    fn a_client_that_does_not_read_is_owed_a_number() {
        let mut client = Client::new(DARK);
        client.heard();
        let position = MousePosition {
            x: 1,
            y: 2,
            buttons: NONE,
            display_id: 0,
        };
        let bunches = OUTPUT_BYTES_MAX / 6 + 1000;
        for _ in 0..bunches * 4 {
            client.say(&position);
        }
        assert!(client.outbox.is_full());
        let mut bytes = Vec::new();
        client.outbox.take_into(&mut bytes);
        assert!(bytes.len() < OUTPUT_BYTES_MAX + 6);
        assert!(client.channel.transmit(&mut client.outbox));
        client.outbox.take_into(&mut bytes);
        assert_eq!(bytes.len(), bunches * 6);
    }

    #[test]
    fn who_goes_leaves_nothing_down() {
        let mut client = Client::new(DARK);
        client.say(&KeyDown { code: 0x1d });
        client.say(&MousePress {
            button: MouseButton::LEFT,
            buttons: MouseButtons::LEFT,
        });
        let mut records = Vec::new();
        client.shared.release_all(ANNA, &mut records);
        let button = InputRecord::Button {
            button: 1,
            down: false,
        };
        assert_eq!(records, [key(29, false), button]);
    }

    #[test]
    fn what_is_no_message_is_the_clients_fault() {
        let mut client = Client::new(DARK);
        let error = client.raw(105, &[0; 8]);
        assert_eq!(error, Err(InputsError::Wire(WireError::UnknownType(105))));
        for number in [101, 102, 103, 111, 112, 113, 114] {
            let error = client.raw(number, &[0]);
            assert!(matches!(
                error,
                Err(InputsError::Wire(WireError::Truncated(_)))
            ));
        }
        assert_eq!(client.raw(104, &[]), Ok(Vec::new()));
    }
}

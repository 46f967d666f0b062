//! The pointer of a desktop, shared by its clients.
//!
//! **Places.** In client mouse mode a client tells where its pointer is, in pixels of the monitor whose window it is
//! in; in server mouse mode how far it went. A message of the other mode was sent before the client heard of the
//! change, and is dropped.
//!
//! **Buttons.** Every message says in `buttons` what the client holds, which makes good for presses and releases that
//! it never sent: spice-gtk swallows a release outside of its window. That holds for the left, middle and right button.
//! GTK knows no side buttons in its state, and spice-gtk 0.42 sends their bits never or, after a release, wrongly. So
//! these go down and up by their own messages; and as a lost release must not leave them down for ever, a press of
//! another button without their bit lets them go.
//!
//! **Wheel.** Buttons 4 and 5 are clicks of the wheel, one for each press.

use super::held::{Held, Holder};
use crate::base::limits::SCREEN_SIDE_MAX;
use crate::base::{Point, Size};
use crate::ring::{Head, InputRecord};
use crate::wire::inputs::{
    MouseButton, MouseButtons, MouseMotion, MousePosition, MousePress, MouseRelease,
};

/// One click of the wheel in [`InputRecord::Scroll`]'s units.
pub const WHEEL_CLICK: i32 = 120;

/// Who draws the pointer (`SpiceMouseMode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MouseMode {
    /// The server: clients send relative motion.
    #[default]
    Server,
    /// The client: it sends positions.
    Client,
}

/// What positions refer to.
#[derive(Clone, Copy, Debug)]
pub struct Screen<'a> {
    /// Of the whole screen.
    pub size: Size,
    /// Its monitors. Display 0 is the whole screen where no head has that id.
    pub heads: &'a [Head],
}

/// The pointer and its buttons.
#[derive(Clone, Debug, Default)]
pub struct Pointer {
    held: Held,
}

/// What `buttons` of every message tells the truth about: its bit, and the X button.
const TOLD_BUTTONS: [(MouseButtons, u8); 3] = [
    (MouseButtons::LEFT, 1),
    (MouseButtons::MIDDLE, 2),
    (MouseButtons::RIGHT, 3),
];

/// What it does not: its bit, and the X button.
const SIDE_BUTTONS: [(MouseButtons, u8); 2] = [(MouseButtons::SIDE, 8), (MouseButtons::EXTRA, 9)];

impl Pointer {
    /// A pointer with no button pressed.
    pub const fn new() -> Self {
        Self { held: Held::new() }
    }

    /// `SPICE_MSGC_INPUTS_MOUSE_POSITION`.
    pub fn position(
        &mut self,
        holder: Holder,
        mode: MouseMode,
        screen: Screen<'_>,
        message: MousePosition,
        records: &mut Vec<InputRecord>,
    ) {
        if mode != MouseMode::Client {
            return;
        }
        let Some(Point { x, y }) = screen.place(message) else {
            return;
        };
        records.push(InputRecord::Absolute { x, y });
        self.hold(holder, message.buttons, records);
    }

    /// `SPICE_MSGC_INPUTS_MOUSE_MOTION`.
    pub fn motion(
        &mut self,
        holder: Holder,
        mode: MouseMode,
        message: MouseMotion,
        records: &mut Vec<InputRecord>,
    ) {
        if mode != MouseMode::Server {
            return;
        }
        let far = i32::try_from(SCREEN_SIDE_MAX).unwrap_or(i32::MAX);
        let (dx, dy) = (message.dx.clamp(-far, far), message.dy.clamp(-far, far));
        if (dx, dy) != (0, 0) {
            records.push(InputRecord::Relative { dx, dy });
        }
        self.hold(holder, message.buttons, records);
    }

    /// `SPICE_MSGC_INPUTS_MOUSE_PRESS`.
    pub fn press(&mut self, holder: Holder, message: MousePress, records: &mut Vec<InputRecord>) {
        match message.button {
            MouseButton::UP => scroll(-WHEEL_CLICK, records),
            MouseButton::DOWN => scroll(WHEEL_CLICK, records),
            MouseButton::SIDE => self.set(holder, 8, true, records),
            MouseButton::EXTRA => self.set(holder, 9, true, records),
            MouseButton::LEFT | MouseButton::MIDDLE | MouseButton::RIGHT => {
                self.let_go_of_sides(holder, message.buttons, records);
            }
            _ => {}
        }
        let bit = told_bit(message.button);
        self.hold(holder, message.buttons.with(bit), records);
    }

    /// `SPICE_MSGC_INPUTS_MOUSE_RELEASE`.
    pub fn release(
        &mut self,
        holder: Holder,
        message: MouseRelease,
        records: &mut Vec<InputRecord>,
    ) {
        match message.button {
            MouseButton::SIDE => self.set(holder, 8, false, records),
            MouseButton::EXTRA => self.set(holder, 9, false, records),
            _ => {}
        }
        let bit = told_bit(message.button);
        self.hold(holder, message.buttons.without(bit), records);
    }

    /// A client goes, and lets go of its buttons.
    pub fn release_all(&mut self, holder: Holder, records: &mut Vec<InputRecord>) {
        for code in self.held.release_all(holder) {
            let button = u8::try_from(code).unwrap_or(u8::MAX);
            let down = false;
            records.push(InputRecord::Button { button, down });
        }
    }

    /// Whether no button is down.
    pub fn is_at_rest(&self) -> bool {
        self.held.is_empty()
    }

    fn hold(&mut self, holder: Holder, buttons: MouseButtons, records: &mut Vec<InputRecord>) {
        for (bit, button) in TOLD_BUTTONS {
            self.set(holder, button, buttons.contains(bit), records);
        }
    }

    fn let_go_of_sides(
        &mut self,
        holder: Holder,
        buttons: MouseButtons,
        records: &mut Vec<InputRecord>,
    ) {
        for (bit, button) in SIDE_BUTTONS {
            if !buttons.contains(bit) {
                self.set(holder, button, false, records);
            }
        }
    }

    fn set(&mut self, holder: Holder, button: u8, down: bool, records: &mut Vec<InputRecord>) {
        let changes = if down {
            self.held.press(holder, u16::from(button))
        } else {
            self.held.release(holder, u16::from(button))
        };
        if changes {
            records.push(InputRecord::Button { button, down });
        }
    }
}

impl Screen<'_> {
    /// Where a position is on the screen; `None` if there is no such display, or no screen.
    fn place(&self, message: MousePosition) -> Option<Point> {
        let id = u32::from(message.display_id);
        let head = self.heads.iter().find(|head| head.id == id);
        let origin = match head {
            Some(head) => head.rect.origin(),
            None if id == 0 => Point::default(),
            None => return None,
        };
        let area = self.size.rect();
        if area.is_empty() {
            return None;
        }
        let within = Point::new(
            i32::try_from(message.x).unwrap_or(i32::MAX),
            i32::try_from(message.y).unwrap_or(i32::MAX),
        );
        let Point { x, y } = origin.plus(within);
        Some(Point::new(
            x.clamp(0, area.right - 1),
            y.clamp(0, area.bottom - 1),
        ))
    }
}

fn scroll(vertical: i32, records: &mut Vec<InputRecord>) {
    records.push(InputRecord::Scroll {
        vertical,
        horizontal: 0,
    });
}

/// The bit of a button whose bit is to be believed.
fn told_bit(button: MouseButton) -> MouseButtons {
    match button {
        MouseButton::LEFT => MouseButtons::LEFT,
        MouseButton::MIDDLE => MouseButtons::MIDDLE,
        MouseButton::RIGHT => MouseButtons::RIGHT,
        _ => MouseButtons::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rect;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const ANNA: Holder = Holder(1);
    const BERT: Holder = Holder(2);
    const NONE: MouseButtons = MouseButtons::NONE;
    const LEFT: MouseButtons = MouseButtons::LEFT;
    const SCREEN: Screen<'_> = Screen {
        size: Size::new(640, 480),
        heads: &[],
    };

    fn at(x: i32, y: i32) -> InputRecord {
        InputRecord::Absolute { x, y }
    }

    fn button(button: u8, down: bool) -> InputRecord {
        InputRecord::Button { button, down }
    }

    fn position(x: u32, y: u32, buttons: MouseButtons, display_id: u8) -> MousePosition {
        MousePosition {
            x,
            y,
            buttons,
            display_id,
        }
    }

    fn records_of(act: impl FnOnce(&mut Vec<InputRecord>)) -> Vec<InputRecord> {
        let mut records = Vec::new();
        act(&mut records);
        records
    }

    fn move_to(pointer: &mut Pointer, message: MousePosition) -> Vec<InputRecord> {
        records_of(|records| pointer.position(ANNA, MouseMode::Client, SCREEN, message, records))
    }

    fn press(pointer: &mut Pointer, button: u8, buttons: MouseButtons) -> Vec<InputRecord> {
        let button = MouseButton(button);
        records_of(|records| pointer.press(ANNA, MousePress { button, buttons }, records))
    }

    fn release(pointer: &mut Pointer, button: u8, buttons: MouseButtons) -> Vec<InputRecord> {
        let button = MouseButton(button);
        records_of(|records| pointer.release(ANNA, MouseRelease { button, buttons }, records))
    }

    #[test]
    fn positions_are_clamped_to_the_screen() {
        let mut pointer = Pointer::new();
        assert_eq!(move_to(&mut pointer, position(3, 4, NONE, 0)), [at(3, 4)]);
        let far = position(u32::MAX, 480, NONE, 0);
        assert_eq!(move_to(&mut pointer, far), [at(639, 479)]);
        let elsewhere = position(3, 4, LEFT, 1);
        assert_eq!(move_to(&mut pointer, elsewhere), []);
        let nowhere = Screen {
            size: Size::default(),
            heads: &[],
        };
        let moved = records_of(|records| {
            pointer.position(ANNA, MouseMode::Client, nowhere, far, records);
        });
        assert_eq!(moved, []);
    }

    #[test]
    fn a_position_counts_from_its_monitor() {
        let heads = [
            (0, Rect::at(320, 0, 320, 480)),
            (2, Rect::at(0, 0, 320, 480)),
        ];
        let heads = heads.map(|(id, rect)| Head { id, rect });
        let screen = Screen {
            size: SCREEN.size,
            heads: &heads,
        };
        let expected = [(0, Some(at(325, 6))), (1, None), (2, Some(at(5, 6)))];
        for (display_id, place) in expected {
            let message = position(5, 6, NONE, display_id);
            let moved = records_of(|records| {
                Pointer::new().position(ANNA, MouseMode::Client, screen, message, records);
            });
            assert_eq!(moved.first().copied(), place);
        }
    }

    #[test]
    fn messages_of_the_other_mode_are_dropped() {
        let mut pointer = Pointer::new();
        let motion = |dx, dy| MouseMotion {
            dx,
            dy,
            buttons: LEFT,
        };
        let records = records_of(|records| {
            pointer.motion(ANNA, MouseMode::Client, motion(1, 2), records);
            let message = position(1, 2, LEFT, 0);
            pointer.position(ANNA, MouseMode::Server, SCREEN, message, records);
        });
        assert_eq!(records, []);
        let records = records_of(|records| {
            pointer.motion(ANNA, MouseMode::Server, motion(1, -2), records);
            pointer.motion(ANNA, MouseMode::Server, motion(0, 0), records);
            pointer.motion(ANNA, MouseMode::Server, motion(i32::MIN, i32::MAX), records);
        });
        let (step, leap) = (
            InputRecord::Relative { dx: 1, dy: -2 },
            InputRecord::Relative {
                dx: -8192,
                dy: 8192,
            },
        );
        assert_eq!(records, [step, button(1, true), leap]);
    }

    #[test]
    fn buttons_have_the_numbers_of_x() {
        let mut pointer = Pointer::new();
        for (spice, x) in [(1, 1), (2, 2), (3, 3), (6, 8), (7, 9)] {
            // Whether or not the state tells of the button itself.
            for buttons in [NONE, MouseButtons(1 << (spice - 1))] {
                assert_eq!(press(&mut pointer, spice, buttons), [button(x, true)]);
                assert_eq!(press(&mut pointer, spice, buttons), []);
                assert_eq!(release(&mut pointer, spice, buttons), [button(x, false)]);
                assert_eq!(release(&mut pointer, spice, buttons), []);
            }
        }
        for unknown in [0, 8, 255] {
            assert_eq!(press(&mut pointer, unknown, NONE), []);
            assert_eq!(release(&mut pointer, unknown, NONE), []);
        }
    }

    #[test]
    fn the_wheel_turns_once_for_each_press() {
        let mut pointer = Pointer::new();
        let turn = |vertical| InputRecord::Scroll {
            vertical,
            horizontal: 0,
        };
        for (wheel, vertical) in [(4, -120), (5, 120)] {
            let state = MouseButtons(1 << (wheel - 1));
            assert_eq!(press(&mut pointer, wheel, state), [turn(vertical)]);
            let moved = move_to(&mut pointer, position(1, 1, state, 0));
            assert_eq!(moved, [at(1, 1)]);
            assert_eq!(press(&mut pointer, wheel, state), [turn(vertical)]);
            assert_eq!(release(&mut pointer, wheel, state), []);
        }
        assert!(pointer.is_at_rest());
    }

    #[test]
    fn the_state_makes_good_for_what_was_not_sent() {
        let mut pointer = Pointer::new();
        press(&mut pointer, 1, LEFT);
        // Released outside of the window.
        let moved = move_to(&mut pointer, position(1, 1, NONE, 0));
        assert_eq!(moved, [at(1, 1), button(1, false)]);
        let moved = move_to(&mut pointer, position(2, 2, MouseButtons(6), 0));
        assert_eq!(moved, [at(2, 2), button(2, true), button(3, true)]);
        let released = release(&mut pointer, 2, NONE);
        assert_eq!(released, [button(2, false), button(3, false)]);
    }

    #[test]
    fn side_buttons_outlive_motion_but_not_the_next_click() {
        let mut pointer = Pointer::new();
        press(&mut pointer, 6, MouseButtons::SIDE);
        let moved = move_to(&mut pointer, position(1, 1, NONE, 0));
        assert_eq!(moved, [at(1, 1)]);
        assert_eq!(
            press(&mut pointer, 1, LEFT),
            [button(8, false), button(1, true)]
        );
        release(&mut pointer, 1, NONE);
        // spice-gtk's state after the release of a side button.
        move_to(&mut pointer, position(1, 1, MouseButtons::SIDE, 0));
        assert!(pointer.is_at_rest());
        press(&mut pointer, 7, MouseButtons::EXTRA);
        let both = LEFT.with(MouseButtons::EXTRA);
        assert_eq!(press(&mut pointer, 1, both), [button(1, true)]);
    }

    #[test]
    fn who_goes_lets_go() {
        let mut pointer = Pointer::new();
        for pressed in [1, 3, 6] {
            press(&mut pointer, pressed, MouseButtons(0x25));
        }
        let message = MousePress {
            button: MouseButton::RIGHT,
            buttons: MouseButtons::RIGHT,
        };
        assert_eq!(
            records_of(|records| pointer.press(BERT, message, records)),
            []
        );
        let records = records_of(|records| pointer.release_all(ANNA, records));
        assert_eq!(records, [button(1, false), button(8, false)]);
        let records = records_of(|records| pointer.release_all(BERT, records));
        assert_eq!(records, [button(3, false)]);
        assert!(pointer.is_at_rest());
    }

    proptest! {
        #[test]
        fn whatever_is_sent_the_driver_hears_only_changes(
            steps in prop::collection::vec((0u64..4, 0u8..5, 0u8..10, 0u16..256), 0..200),
        ) {
            let (mut pointer, mut driver) = (Pointer::new(), BTreeSet::new());
            let leave = (0..4).map(|holder| (holder, 4, 0, 0));
            for (holder, kind, button, buttons) in steps.into_iter().chain(leave) {
                let (holder, buttons) = (Holder(holder), MouseButtons(buttons));
                let button = MouseButton(button);
                let mode = MouseMode::Client;
                let records = records_of(|records| match kind {
                    0 => pointer.press(holder, MousePress { button, buttons }, records),
                    1 => pointer.release(holder, MouseRelease { button, buttons }, records),
                    2 => pointer.position(holder, mode, SCREEN, position(0, 0, buttons, 0), records),
                    3 => {
                        let message = MouseMotion { dx: 0, dy: 0, buttons };
                        pointer.motion(holder, MouseMode::Server, message, records);
                    }
                    _ => pointer.release_all(holder, records),
                });
                for record in records {
                    if let InputRecord::Button { button, down } = record {
                        prop_assert!([1, 2, 3, 8, 9].contains(&button));
                        let changed =
                            if down { driver.insert(button) } else { driver.remove(&button) };
                        prop_assert!(changed, "{:?}", record);
                    }
                }
                prop_assert_eq!(driver.is_empty(), pointer.is_at_rest());
            }
            prop_assert!(driver.is_empty());
        }
    }
}

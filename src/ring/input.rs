//! Input records, server to producer: `struct caraway_input` of `shim_abi.h`.

/// One input event for the producer's devices. Encoded it takes [`InputRecord::SIZE`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InputRecord {
    /// `CARAWAY_INPUT_KEY`: a key by its evdev code (`KEY_*` of linux/input-event-codes.h, 1 to 247).
    Key {
        /// evdev code.
        code: u16,
        /// Pressed, else released.
        down: bool,
    },
    /// `CARAWAY_INPUT_ABS`: the pointer's place in screen pixels.
    Absolute {
        /// Column.
        x: i32,
        /// Row.
        y: i32,
    },
    /// `CARAWAY_INPUT_REL`: a way of the pointer in pixels, not accelerated.
    Relative {
        /// Columns to the right.
        dx: i32,
        /// Rows down.
        dy: i32,
    },
    /// `CARAWAY_INPUT_BUTTON`: X button 1 left, 2 middle, 3 right, 8 back, 9 forward, up to 16; never 4 to 7.
    Button {
        /// X button number.
        button: u8,
        /// Pressed, else released.
        down: bool,
    },
    /// `CARAWAY_INPUT_SCROLL`: wheel turns in 1/120 detents, positive down and right.
    Scroll {
        /// Down.
        vertical: i32,
        /// To the right.
        horizontal: i32,
    },
}

impl InputRecord {
    /// Bytes of an encoded record.
    pub const SIZE: usize = 16;

    /// The record as the producer reads it.
    pub fn encode(self) -> [u8; Self::SIZE] {
        let (kind, a, b): (u32, i32, i32) = match self {
            Self::Key { code, down } => (1, i32::from(code), i32::from(down)),
            Self::Absolute { x, y } => (2, x, y),
            Self::Relative { dx, dy } => (3, dx, dy),
            Self::Button { button, down } => (4, i32::from(button), i32::from(down)),
            Self::Scroll {
                vertical,
                horizontal,
            } => (5, vertical, horizontal),
        };
        let mut bytes = [0; Self::SIZE];
        bytes[0..4].copy_from_slice(&kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&a.to_le_bytes());
        bytes[8..12].copy_from_slice(&b.to_le_bytes());
        bytes
    }
}

//! The layout of the shared memory and of the socket messages: the Rust mirror of `shim_abi.h`.
//!
//! Everything is little-endian at fixed offsets. Nothing here is a Rust struct over foreign memory: readers copy
//! bytes out and pick the fields by these offsets. `cargo test --test abi` compares every constant, size and
//! offset with what a C compiler makes of the header; `docs/ring.md` explains them.

use crate::base::limits;

/// `CARAWAY_MAGIC`: "CRWY", the first word of the ring and the second of a hello.
pub const MAGIC: u32 = 0x5957_5243;
/// `CARAWAY_ABI_VERSION`: the version of the contract that this server speaks.
pub const ABI_VERSION: u32 = 2;

/// `CARAWAY_SIDE_MAX`: width and height of a screen, pixels.
pub const SIDE_MAX: u32 = 8192;
/// `CARAWAY_HEADS_MAX`: RandR outputs.
pub const HEADS_MAX: u32 = 4;
/// `CARAWAY_CURSOR_SIDE_MAX`: side of a cursor image, pixels.
pub const CURSOR_SIDE_MAX: u32 = 256;
/// `CARAWAY_CURSOR_SLOTS`: cursor images kept in the ring memory.
pub const CURSOR_SLOTS: u32 = 4;
/// `CARAWAY_RING_SLOTS`: records of the ring, a power of two.
pub const RING_SLOTS: u32 = 65536;
/// `CARAWAY_GROUP_MAX`: rectangles of one operation.
pub const GROUP_MAX: u32 = 256;
/// `CARAWAY_STRIDE_ALIGN`: bytes.
pub const STRIDE_ALIGN: u32 = 64;

/// `CARAWAY_DAMAGE`: the rectangle holds new pixels in the frame buffer.
pub const DAMAGE: u8 = 3;
/// `CARAWAY_FILL`: every pixel of the rectangle has one colour.
pub const FILL: u8 = 1;
/// `CARAWAY_COPY_BITS`: the rectangle holds what lay elsewhere on the screen before.
pub const COPY_BITS: u8 = 4;
/// `CARAWAY_MODE`: the mode block changed.
pub const MODE: u8 = 0x80;

/// `CARAWAY_PROGRESS_OFFSET`.
pub const PROGRESS_OFFSET: usize = 64;
/// `CARAWAY_STATE_OFFSET`.
pub const STATE_OFFSET: usize = 128;
/// `CARAWAY_MODE_OFFSET`.
pub const MODE_OFFSET: usize = 192;
/// `CARAWAY_MONITORS_OFFSET`.
pub const MONITORS_OFFSET: usize = 256;
/// `CARAWAY_CURSOR_OFFSET`.
pub const CURSOR_OFFSET: usize = 512;
/// `CARAWAY_CURSOR_IMAGES_OFFSET`.
pub const CURSOR_IMAGES_OFFSET: usize = 4096;
/// `CARAWAY_CURSOR_SLOT_SIZE`: bytes.
pub const CURSOR_SLOT_SIZE: usize = 256 * 256 * 4;
/// `CARAWAY_RING_OFFSET`.
pub const RING_OFFSET: usize = CURSOR_IMAGES_OFFSET + CURSOR_SLOTS as usize * CURSOR_SLOT_SIZE;
/// `CARAWAY_RING_MEMFD_SIZE`: bytes.
pub const RING_MEMFD_SIZE: usize = RING_OFFSET + RING_SLOTS as usize * record::SIZE;
/// `CARAWAY_PEER_MEMFD_SIZE`: bytes.
pub const PEER_MEMFD_SIZE: usize = 4096;

/// `CARAWAY_WAIT_NONE`: the server looks by itself.
pub const WAIT_NONE: u32 = 0;
/// `CARAWAY_WAIT_RECORD`: the server wants to hear of the next change of anything.
pub const WAIT_RECORD: u32 = 1;
/// `CARAWAY_WAIT_IDLE`: the server wants to hear when the producer has run out of client requests.
pub const WAIT_IDLE: u32 = 2;

/// `CARAWAY_MSG_HELLO`.
pub const MSG_HELLO: u32 = 1;
/// `CARAWAY_MSG_FRAMEBUFFER`.
pub const MSG_FRAMEBUFFER: u32 = 2;
/// `CARAWAY_MSG_REFUSED`.
pub const MSG_REFUSED: u32 = 3;
/// `CARAWAY_MSG_SET_MONITORS`.
pub const MSG_SET_MONITORS: u32 = 4;

/// `CARAWAY_INPUT_KEY`.
pub const INPUT_KEY: u32 = 1;
/// `CARAWAY_INPUT_ABS`.
pub const INPUT_ABS: u32 = 2;
/// `CARAWAY_INPUT_REL`.
pub const INPUT_REL: u32 = 3;
/// `CARAWAY_INPUT_BUTTON`.
pub const INPUT_BUTTON: u32 = 4;
/// `CARAWAY_INPUT_SCROLL`.
pub const INPUT_SCROLL: u32 = 5;
/// `CARAWAY_INPUT_LEDS`.
pub const INPUT_LEDS: u32 = 6;
/// `CARAWAY_INPUT_BATCH_MAX`: records of one datagram.
pub const INPUT_BATCH_MAX: usize = 64;

/// `SPICE_SURFACE_FMT_32_xRGB`: the only format of a mode in this version.
pub const FORMAT_32_XRGB: u32 = 32;

/// Offsets in `struct caraway_rect`.
pub mod rect {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 16;
    pub const TOP: usize = 0;
    pub const LEFT: usize = 4;
    pub const BOTTOM: usize = 8;
    pub const RIGHT: usize = 12;
}

/// Offsets in `struct caraway_point`.
pub mod point {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 8;
    pub const X: usize = 0;
    pub const Y: usize = 4;
}

/// Offsets in `struct caraway_head`.
pub mod head {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 28;
    pub const ID: usize = 0;
    pub const SURFACE_ID: usize = 4;
    pub const WIDTH: usize = 8;
    pub const HEIGHT: usize = 12;
    pub const X: usize = 16;
    pub const Y: usize = 20;
    pub const FLAGS: usize = 24;
}

/// Offsets in `struct caraway_monitors_config`.
pub mod monitors_config {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = HEADS + super::HEADS_MAX as usize * super::head::SIZE;
    pub const COUNT: usize = 0;
    pub const MAX_ALLOWED: usize = 2;
    pub const HEADS: usize = 4;
}

/// Offsets in `struct caraway_record`.
pub mod record {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 32;
    pub const SEQUENCE: usize = 0;
    pub const TYPE: usize = 4;
    pub const FLAGS: usize = 5;
    pub const MORE: usize = 6;
    pub const BBOX: usize = 8;
    pub const SRC_POS: usize = 24;
    pub const COLOR: usize = 24;
}

/// Offsets in `struct caraway_header`, which begins the ring memory.
pub mod header {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 64;
    pub const MAGIC: usize = 0;
    pub const ABI_VERSION: usize = 4;
    pub const RING_OFFSET: usize = 8;
    pub const RING_SLOTS: usize = 12;
    pub const RECORD_SIZE: usize = 16;
    pub const CURSOR_OFFSET: usize = 20;
    pub const CURSOR_SLOT_SIZE: usize = 24;
    pub const CURSOR_SLOTS: usize = 28;
    pub const CURSOR_SIDE_MAX: usize = 32;
    pub const SIDE_MAX: usize = 36;
    pub const HEADS_MAX: usize = 40;
    pub const TOTAL_SIZE: usize = 44;
}

/// Offsets in `struct caraway_progress`.
pub mod progress {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 64;
    pub const BEGUN: usize = 0;
    pub const DONE: usize = 8;
    pub const IDLE_DONE: usize = 16;
}

/// Offsets in `struct caraway_state`.
pub mod state {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 64;
    pub const LEDS: usize = 0;
    pub const BLANKED: usize = 4;
}

/// Offsets in `struct caraway_mode`.
pub mod mode {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 64;
    pub const LOCK: usize = 0;
    pub const GENERATION: usize = 4;
    pub const WIDTH: usize = 8;
    pub const HEIGHT: usize = 12;
    pub const STRIDE: usize = 16;
    pub const FORMAT: usize = 20;
    pub const FRAMEBUFFER_ID: usize = 24;
    pub const FRAMEBUFFER_OFFSET: usize = 32;
    pub const FRAMEBUFFER_SIZE: usize = 40;
}

/// Offsets in `struct caraway_monitors`.
pub mod monitors {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 256;
    pub const LOCK: usize = 0;
    pub const CONFIG: usize = 4;
}

/// Offsets in `struct caraway_cursor`.
pub mod cursor {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 64;
    pub const LOCK: usize = 0;
    pub const SHAPE: usize = 4;
    pub const X: usize = 8;
    pub const Y: usize = 12;
    pub const VISIBLE: usize = 16;
    pub const WIDTH: usize = 20;
    pub const HEIGHT: usize = 22;
    pub const HOT_X: usize = 24;
    pub const HOT_Y: usize = 26;
    pub const SLOT: usize = 28;
}

/// Offsets in `struct caraway_peer`, which begins the peer page.
pub mod peer {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 64;
    pub const WAITING: usize = 0;
}

/// Offsets in `struct caraway_hello`.
pub mod hello {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 24;
    pub const TYPE: usize = 0;
    pub const MAGIC: usize = 4;
    pub const ABI_VERSION: usize = 8;
    pub const RING_SIZE: usize = 12;
    pub const FRAMEBUFFER_ID: usize = 16;
}

/// Offsets in `struct caraway_framebuffer`.
pub mod framebuffer {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 16;
    pub const TYPE: usize = 0;
    pub const FRAMEBUFFER_ID: usize = 4;
    /// The field `size`.
    pub const BYTES: usize = 8;
}

/// Offsets in `struct caraway_refused`.
pub mod refused {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 256;
    pub const TYPE: usize = 0;
    pub const LENGTH: usize = 4;
    pub const TEXT: usize = 8;
    /// Bytes of the field `text`.
    pub const TEXT_MAX: usize = 248;
}

/// Offsets in `struct caraway_set_monitors`.
pub mod set_monitors {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = DPI + 4;
    pub const TYPE: usize = 0;
    pub const CONFIG: usize = 4;
    pub const DPI: usize = CONFIG + super::monitors_config::SIZE;
}

/// Offsets in `struct caraway_input`.
pub mod input {
    #![expect(missing_docs, reason = "the names are those of the C fields")]
    pub const SIZE: usize = 16;
    pub const TYPE: usize = 0;
    pub const A: usize = 4;
    pub const B: usize = 8;
}

const _: () = assert!(RING_SLOTS.is_power_of_two());
const _: () = assert!(
    GROUP_MAX < RING_SLOTS / 4,
    "a group never covers what is being read"
);
const _: () = assert!(SIDE_MAX == limits::SCREEN_SIDE_MAX);
const _: () = assert!(HEADS_MAX as usize == limits::MONITORS_MAX);
const _: () = assert!(CURSOR_SIDE_MAX == limits::CURSOR_SIDE_MAX);
const _: () = assert!(
    RING_OFFSET.is_multiple_of(record::SIZE),
    "no record crosses a cache line"
);

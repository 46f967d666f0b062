//! The cursor channel: shape and place of the pointer.
//!
//! [`Init`] comes once, before anything else; [`Reset`] allows another. Shapes of type ALPHA are rows of B, G, R, A
//! bytes, top first, and spice-gtk takes them as *not* premultiplied.

use super::field::{message_enum, wire_enum, wire_flags, wire_struct};
use super::{Decode, Encode, Message, WireError};
use crate::base::{ByteReader, ByteWriter};

wire_enum! {
    /// `SpiceCursorType`. spice-gtk shows its default for COLOR8 and COLOR24, spice-html5 for all but ALPHA.
    CursorType(u8) {
        /// 32 bits with alpha.
        ALPHA = 0,
        /// An AND mask, then an XOR mask, rows padded to bytes.
        MONO = 1,
        /// 4-bit palette.
        COLOR4 = 2,
        /// 8-bit palette.
        COLOR8 = 3,
        /// 16 bits.
        COLOR16 = 4,
        /// 24 bits.
        COLOR24 = 5,
        /// 32 bits and a mask.
        COLOR32 = 6,
    }
}

wire_flags! {
    /// `SpiceCursorFlags`.
    CursorFlags(u16) {
        /// There is no shape, and no header of one.
        NO_SHAPE = 0,
        /// Keep the shape under its id.
        CACHE_ME = 1,
        /// Take the shape of this id; there is no data.
        FROM_CACHE = 2,
    }
}

wire_struct! {
    /// `Point16`: a place on the screen.
    CursorPosition {
        /// Column.
        x: i16,
        /// Row.
        y: i16,
    }
}

wire_struct! {
    /// `CursorHeader`: what a shape is.
    CursorHeader {
        /// Id in the client's cache; 0 is none.
        unique: u64,
        /// Form of the data.
        cursor_type: CursorType,
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
        /// Column of the pixel that points.
        hot_x: u16,
        /// Row of the pixel that points.
        hot_y: u16,
    }
}

/// `Cursor`: a shape, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor<'a> {
    /// Cache flags; `NO_SHAPE` goes with a header of `None`.
    pub flags: CursorFlags,
    /// What the shape is.
    pub header: Option<CursorHeader>,
    /// Its pixels, to the end of the message.
    pub data: &'a [u8],
}

impl Cursor<'_> {
    /// No shape.
    pub const NONE: Self = Self {
        flags: CursorFlags::NO_SHAPE,
        header: None,
        data: &[],
    };
}

impl Encode for Cursor<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        match self.header {
            Some(header) => {
                self.flags.without(CursorFlags::NO_SHAPE).encode(writer);
                header.encode(writer);
            }
            None => self.flags.with(CursorFlags::NO_SHAPE).encode(writer),
        }
        writer.bytes(self.data);
    }
}

impl<'a> Decode<'a> for Cursor<'a> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let flags = CursorFlags::decode(reader)?;
        let bare = flags.contains(CursorFlags::NO_SHAPE);
        let header = if bare {
            None
        } else {
            Some(CursorHeader::decode(reader)?)
        };
        Ok(Self {
            flags,
            header,
            data: reader.rest(),
        })
    }
}

/// `SPICE_MSG_CURSOR_INIT` (101).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init<'a> {
    /// Where the pointer is.
    pub position: CursorPosition,
    /// Length of the trail behind it; clients draw none.
    pub trail_length: u16,
    /// Pace of the trail.
    pub trail_frequency: u16,
    /// 0 hides it.
    pub visible: u8,
    /// Its shape. spice-html5 ignores it here.
    pub cursor: Cursor<'a>,
}

impl Message for Init<'_> {
    const TYPE: u16 = 101;
}

impl Encode for Init<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        self.position.encode(writer);
        writer.u16(self.trail_length);
        writer.u16(self.trail_frequency);
        writer.u8(self.visible);
        self.cursor.encode(writer);
    }
}

impl<'a> Decode<'a> for Init<'a> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            position: CursorPosition::decode(reader)?,
            trail_length: reader.u16()?,
            trail_frequency: reader.u16()?,
            visible: reader.u8()?,
            cursor: Cursor::decode(reader)?,
        })
    }
}

wire_struct! {
    /// `SPICE_MSG_CURSOR_RESET` (102): forget the shape and the cache.
    Reset = 102 {}
}

/// `SPICE_MSG_CURSOR_SET` (103).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set<'a> {
    /// Where the pointer is.
    pub position: CursorPosition,
    /// 0 hides it; spice-gtk does not look, [`Hide`] it is heard.
    pub visible: u8,
    /// Its shape.
    pub cursor: Cursor<'a>,
}

impl Message for Set<'_> {
    const TYPE: u16 = 103;
}

impl Encode for Set<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        self.position.encode(writer);
        writer.u8(self.visible);
        self.cursor.encode(writer);
    }
}

impl<'a> Decode<'a> for Set<'a> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            position: CursorPosition::decode(reader)?,
            visible: reader.u8()?,
            cursor: Cursor::decode(reader)?,
        })
    }
}

wire_struct! {
    /// `SPICE_MSG_CURSOR_MOVE` (104): only in server mouse mode, else the client fights its own pointer.
    Move = 104 {
        /// Where the pointer is.
        position: CursorPosition,
    }
}

wire_struct! {
    /// `SPICE_MSG_CURSOR_HIDE` (105): show no pointer until the next SET.
    Hide = 105 {}
}

wire_struct! {
    /// `SPICE_MSG_CURSOR_INVAL_ONE` (107).
    InvalOne = 107 {
        /// Id that the cache forgets.
        id: u64,
    }
}

wire_struct! {
    /// `SPICE_MSG_CURSOR_INVAL_ALL` (108).
    InvalAll = 108 {}
}

message_enum! {
    /// What a server says on the cursor channel.
    ServerMessage<'a> {
        Init(Init<'a>),
        Reset(Reset),
        Set(Set<'a>),
        Move(Move),
        Hide(Hide),
        InvalOne(InvalOne),
        InvalAll(InvalAll),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message_tests;

    const AT: CursorPosition = CursorPosition { x: -1, y: 2 };
    const HEADER: CursorHeader = CursorHeader {
        unique: 5,
        cursor_type: CursorType::ALPHA,
        width: 1,
        height: 2,
        hot_x: 3,
        hot_y: 4,
    };
    const HEADER_BYTES: [u8; 17] = [5, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0];

    message_tests! {
        init: Init<'_> = 101,
            Init { position: AT, trail_length: 6, trail_frequency: 7, visible: 1, cursor: Cursor::NONE },
            [vec![0xff, 0xff, 2, 0], vec![6, 0, 7, 0], vec![1], vec![1, 0]];
        reset: Reset = 102, Reset {}, [];
        set: Set<'_> = 103,
            Set {
                position: AT,
                visible: 1,
                cursor: Cursor { flags: CursorFlags::CACHE_ME, header: Some(HEADER), data: &[] },
            },
            [vec![0xff, 0xff, 2, 0], vec![1], vec![2, 0], HEADER_BYTES.to_vec()];
        cursor_move: Move = 104, Move { position: AT }, [[0xff, 0xff, 2, 0]];
        hide: Hide = 105, Hide {}, [];
        inval_one: InvalOne = 107, InvalOne { id: 9 }, [[9, 0, 0, 0, 0, 0, 0, 0]];
        inval_all: InvalAll = 108, InvalAll {}, [];
    }

    #[test]
    fn data_is_the_rest() {
        let cursor = Cursor {
            flags: CursorFlags::NONE,
            header: Some(HEADER),
            data: &[1, 2, 3, 4],
        };
        let set = Set {
            position: AT,
            visible: 1,
            cursor,
        };
        let mut out = Vec::new();
        set.encode(&mut ByteWriter::new(&mut out));
        assert_eq!(
            ServerMessage::decode(103, &out),
            Ok(ServerMessage::Set(set))
        );
        assert_eq!(out.len(), 4 + 1 + 2 + 17 + 4);
    }
}

//! How plain fields lie on the wire, and the three forms that nearly all of the protocol is made of:
//! integers with names, sets of bits, and messages that are fixed sequences of fields.
//!
//! The forms are macros because the protocol has some sixty of them, and hand-written twins of encode and decode
//! drift apart. What has pointers or lists is written by hand in its channel's file.

use super::{Decode, Encode, WireError};
use crate::base::{ByteReader, ByteWriter, Point, Rect};

macro_rules! integer_fields {
    ($($integer:ident: $read:ident, $write:ident;)*) => {
        $(
            impl Encode for $integer {
                fn encode(&self, writer: &mut ByteWriter<'_>) {
                    writer.$write(*self);
                }
            }

            impl<'a> Decode<'a> for $integer {
                fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
                    Ok(reader.$read()?)
                }
            }
        )*
    };
}

integer_fields! {
    u8: u8, u8;
    u16: u16, u16;
    u32: u32, u32;
    u64: u64, u64;
    i32: i32, i32;
}

impl Encode for i16 {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u16(self.cast_unsigned());
    }
}

impl<'a> Decode<'a> for i16 {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(reader.u16()?.cast_signed())
    }
}

impl Encode for i64 {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u64(self.cast_unsigned());
    }
}

impl<'a> Decode<'a> for i64 {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(reader.i64()?)
    }
}

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.bytes(self);
    }
}

impl<'a, const N: usize> Decode<'a> for [u8; N] {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(reader.array()?)
    }
}

/// `Point`: x, y as i32.
impl Encode for Point {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.i32(self.x);
        writer.i32(self.y);
    }
}

impl<'a> Decode<'a> for Point {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self::new(reader.i32()?, reader.i32()?))
    }
}

/// `Rect`: top, left, bottom, right as i32, in this order.
impl Encode for Rect {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.i32(self.top);
        writer.i32(self.left);
        writer.i32(self.bottom);
        writer.i32(self.right);
    }
}

impl<'a> Decode<'a> for Rect {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let (top, left) = (reader.i32()?, reader.i32()?);
        let (bottom, right) = (reader.i32()?, reader.i32()?);
        Ok(Self::new(left, top, right, bottom))
    }
}

/// Reads `count` values one after another. Nothing is reserved ahead: a count is only a claim.
pub(super) fn decode_list<'a, T: Decode<'a>>(
    reader: &mut ByteReader<'a>,
    count: usize,
) -> Result<Vec<T>, WireError> {
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(T::decode(reader)?);
    }
    Ok(list)
}

/// The part of `list` that a count field of at most `most` can tell. Our own lists are far shorter.
pub(super) fn countable<T>(list: &[T], most: usize) -> &[T] {
    debug_assert!(list.len() <= most, "list fits its count field");
    list.get(..most).unwrap_or(list)
}

/// An integer whose values have names; unknown values survive.
macro_rules! wire_enum {
    (
        $(#[$doc:meta])*
        $name:ident($integer:ident) {
            $($(#[$value_doc:meta])* $value_name:ident = $value:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $integer);

        impl $name {
            $($(#[$value_doc])* pub const $value_name: Self = Self($value);)*
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.0 {
                    $($value => f.write_str(stringify!($value_name)),)*
                    unknown => write!(f, concat!(stringify!($name), "({})"), unknown),
                }
            }
        }

        impl $crate::wire::Encode for $name {
            fn encode(&self, writer: &mut $crate::base::ByteWriter<'_>) {
                self.0.encode(writer);
            }
        }

        impl<'a> $crate::wire::Decode<'a> for $name {
            fn decode(
                reader: &mut $crate::base::ByteReader<'a>,
            ) -> Result<Self, $crate::wire::WireError> {
                Ok(Self($integer::decode(reader)?))
            }
        }
    };
}
pub(super) use wire_enum;

/// A set of named bits; unknown bits survive.
macro_rules! wire_flags {
    (
        $(#[$doc:meta])*
        $name:ident($integer:ident) {
            $($(#[$bit_doc:meta])* $bit_name:ident = $bit:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name(pub $integer);

        impl $name {
            /// No bit.
            pub const NONE: Self = Self(0);
            $($(#[$bit_doc])* pub const $bit_name: Self = Self(1 << $bit);)*

            /// All bits of `other` are set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// The bits of both.
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The bits that `other` has not.
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }
        }

        impl $crate::wire::Encode for $name {
            fn encode(&self, writer: &mut $crate::base::ByteWriter<'_>) {
                self.0.encode(writer);
            }
        }

        impl<'a> $crate::wire::Decode<'a> for $name {
            fn decode(
                reader: &mut $crate::base::ByteReader<'a>,
            ) -> Result<Self, $crate::wire::WireError> {
                Ok(Self($integer::decode(reader)?))
            }
        }
    };
}
pub(super) use wire_flags;

/// A structure of plain fields in wire order; with `= number` it is a message.
macro_rules! wire_struct {
    (
        $(#[$doc:meta])*
        $name:ident $(= $number:literal)? {
            $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $crate::wire::Encode for $name {
            fn encode(&self, _writer: &mut $crate::base::ByteWriter<'_>) {
                $(self.$field.encode(_writer);)*
            }
        }

        impl<'a> $crate::wire::Decode<'a> for $name {
            fn decode(
                _reader: &mut $crate::base::ByteReader<'a>,
            ) -> Result<Self, $crate::wire::WireError> {
                Ok(Self { $($field: <$type>::decode(_reader)?,)* })
            }
        }

        $(
            impl $crate::wire::Message for $name {
                const TYPE: u16 = $number;
            }
        )?
    };
}
pub(super) use wire_struct;

/// All messages of one channel in one direction.
macro_rules! message_enum {
    (
        $(#[$doc:meta])*
        $name:ident $(<$life:lifetime>)? {
            $($variant:ident($type:ty),)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name $(<$life>)? {
            $(
                #[doc = concat!("A `", stringify!($variant), "` message.")]
                $variant($type),
            )*
        }

        impl $(<$life>)? $name $(<$life>)? {
            /// The message of number `message_type` with the body `body`.
            pub fn decode(
                message_type: u16,
                body: &$($life)? [u8],
            ) -> Result<Self, $crate::wire::WireError> {
                use $crate::wire::{Decode, Message};
                let mut reader = $crate::base::ByteReader::new(body);
                match message_type {
                    $(<$type>::TYPE => Ok(Self::$variant(<$type>::decode(&mut reader)?)),)*
                    unknown => Err($crate::wire::WireError::UnknownType(unknown)),
                }
            }

            /// Number of the message.
            pub const fn message_type(&self) -> u16 {
                match self {
                    $(Self::$variant(_) => <$type as $crate::wire::Message>::TYPE,)*
                }
            }
        }

        impl $(<$life>)? $crate::wire::Encode for $name $(<$life>)? {
            fn encode(&self, writer: &mut $crate::base::ByteWriter<'_>) {
                match self {
                    $(Self::$variant(message) => message.encode(writer),)*
                }
            }
        }
    };
}
pub(super) use message_enum;

#[cfg(test)]
#[expect(
    unreachable_pub,
    reason = "the macros write the public types of the protocol"
)]
mod tests {
    use super::*;

    wire_enum! {
        /// A letter.
        Letter(u8) {
            /// The first.
            A = 1,
        }
    }

    wire_flags! {
        /// Some letters.
        Letters(u16) {
            /// The first.
            A = 0,
            /// The second.
            B = 1,
        }
    }

    #[test]
    fn unknown_values_survive_and_show() {
        let mut out = Vec::new();
        Letter(9).encode(&mut ByteWriter::new(&mut out));
        assert_eq!(Letter::decode(&mut ByteReader::new(&out)), Ok(Letter(9)));
        assert_eq!(format!("{:?} {:?}", Letter::A, Letter(9)), "A Letter(9)");
    }

    #[test]
    fn flags_are_sets() {
        let both = Letters::A.with(Letters::B);
        assert!(both.contains(Letters::B));
        assert_eq!(both.without(Letters::A), Letters::B);
        assert!(!Letters::A.contains(both));
        assert_eq!(both.without(both), Letters::NONE);
    }

    #[test]
    fn rectangles_go_top_first() {
        let mut out = Vec::new();
        let rect = Rect::new(1, 2, 3, 4);
        rect.encode(&mut ByteWriter::new(&mut out));
        assert_eq!(out, [2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(Rect::decode(&mut ByteReader::new(&out)), Ok(rect));
    }

    #[test]
    fn a_count_that_lies_reserves_nothing() {
        let mut reader = ByteReader::new(&[1, 2, 3]);
        assert!(decode_list::<u64>(&mut reader, usize::MAX).is_err());
    }
}

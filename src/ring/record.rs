//! Drawing records: what the producer tells of each change, validated and clipped to the screen.
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 4 | `sequence` | low 32 bits of the record's position + 1 |
//! | 4 | 1 | `type` | DAMAGE 3, FILL 1, COPY_BITS 4, MODE 0x80 |
//! | 5 | 1 | `flags` | 0 |
//! | 6 | 2 | `more` | rectangles of the same operation that follow |
//! | 8 | 16 | `bbox` | top, left, bottom, right; half-open |
//! | 24 | 8 | `src_pos` or `color` | COPY_BITS: source of `bbox`'s top left corner; FILL: 0x00RRGGBB |
//!
//! `more` is not handed on: what is published is drained before pixels are read, so a group is taken in whole or
//! checked against pixels.

use super::layout;
use crate::base::{ByteReader, Point, Rect, Size, Truncated};

/// One change of the screen. INVARIANT: every rectangle, and a copy's source, lies inside the screen and is not
/// empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// `CARAWAY_DAMAGE`: new pixels are in the frame buffer.
    Damage(Rect),
    /// `CARAWAY_FILL`: all pixels of `rect` are `color`.
    Fill {
        /// Where.
        rect: Rect,
        /// 0x00RRGGBB.
        color: u32,
    },
    /// `CARAWAY_COPY_BITS`: `rect` holds what lay at `source` before. A hint, to be checked against the
    /// pixels unless these were settled ([`super::settled`]).
    CopyBits {
        /// The destination.
        rect: Rect,
        /// The source of the destination's top left corner.
        source: Point,
    },
    /// `CARAWAY_MODE`: the mode block is to be read again.
    Mode,
}

impl Record {
    /// Decodes a private copy of a record; `None` where nothing of it lies on the screen. A type or flag that this
    /// version does not know may have changed anything, so it is damage of the whole screen.
    pub(super) fn decode(bytes: &[u8; layout::record::SIZE], screen: Size) -> Option<Self> {
        let whole = Self::damage(screen.rect());
        Self::parse(bytes, screen).unwrap_or(whole)
    }

    fn parse(bytes: &[u8; layout::record::SIZE], screen: Size) -> Result<Option<Self>, Truncated> {
        let mut reader = ByteReader::new(bytes);
        let _sequence = reader.u32()?;
        let (kind, flags, _more) = (reader.u8()?, reader.u8()?, reader.u16()?);
        let (top, left, bottom, right) =
            (reader.i32()?, reader.i32()?, reader.i32()?, reader.i32()?);
        let bbox = Rect::new(left, top, right, bottom);
        let rect = bbox.intersect(&screen.rect());
        Ok(match (kind, flags) {
            (layout::MODE, _) => Some(Self::Mode),
            (layout::DAMAGE, 0) => Self::damage(rect),
            (layout::FILL, 0) => {
                let color = reader.u32()? & 0x00ff_ffff;
                (!rect.is_empty()).then_some(Self::Fill { rect, color })
            }
            (layout::COPY_BITS, 0) => {
                let source = Point::new(reader.i32()?, reader.i32()?);
                Self::copy_bits(rect, bbox, source, screen)
            }
            _ => Self::damage(screen.rect()),
        })
    }

    fn damage(rect: Rect) -> Option<Self> {
        (!rect.is_empty()).then_some(Self::Damage(rect))
    }

    /// `rect` is the part of `bbox` on the screen. A copy from outside of the screen is not one that a client
    /// could repeat, so it is damage.
    fn copy_bits(rect: Rect, bbox: Rect, source: Point, screen: Size) -> Option<Self> {
        if rect.is_empty() {
            return None;
        }
        let shift = |from: i32, to: i32, start: i32| {
            i32::try_from(i64::from(start) + i64::from(to) - i64::from(from)).ok()
        };
        let whole_source = shift(bbox.left, rect.left, source.x)
            .zip(shift(bbox.top, rect.top, source.y))
            .map(|(x, y)| Point::new(x, y))
            .filter(|source| {
                let area = rect.translate(source.minus(rect.origin()));
                area.size() == rect.size() && screen.rect().contains(&area)
            });
        Some(match whole_source {
            Some(source) => Self::CopyBits { rect, source },
            None => Self::Damage(rect),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ByteWriter;
    use proptest::prelude::*;

    const SCREEN: Size = Size::new(1920, 1080);

    fn encode(kind: u8, flags: u8, bbox: Rect, words: [i32; 2]) -> [u8; 32] {
        let mut out = Vec::new();
        let mut writer = ByteWriter::new(&mut out);
        writer.u32(1);
        writer.u8(kind);
        writer.u8(flags);
        writer.u16(0);
        for value in [
            bbox.top,
            bbox.left,
            bbox.bottom,
            bbox.right,
            words[0],
            words[1],
        ] {
            writer.i32(value);
        }
        out.try_into().unwrap()
    }

    #[test]
    fn each_type_decodes() {
        let bbox = Rect::new(10, 20, 30, 40);
        let cases = [
            (encode(3, 0, bbox, [0, 0]), Record::Damage(bbox)),
            (
                encode(1, 0, bbox, [-1, 0]),
                Record::Fill {
                    rect: bbox,
                    color: 0x00ff_ffff,
                },
            ),
            (
                encode(4, 0, bbox, [5, 6]),
                Record::CopyBits {
                    rect: bbox,
                    source: Point::new(5, 6),
                },
            ),
            (encode(0x80, 0, bbox, [0, 0]), Record::Mode),
            (encode(9, 0, bbox, [0, 0]), Record::Damage(SCREEN.rect())),
            (encode(3, 1, bbox, [0, 0]), Record::Damage(SCREEN.rect())),
        ];
        for (bytes, record) in cases {
            assert_eq!(Record::decode(&bytes, SCREEN), Some(record));
        }
    }

    #[test]
    fn a_clipped_copy_keeps_its_way() {
        let bytes = encode(4, 0, Rect::new(-10, -20, 30, 40), [90, 80]);
        let record = Record::CopyBits {
            rect: Rect::new(0, 0, 30, 40),
            source: Point::new(100, 100),
        };
        assert_eq!(Record::decode(&bytes, SCREEN), Some(record));
    }

    #[test]
    fn a_copy_from_outside_is_damage() {
        let bbox = Rect::new(0, 0, 30, 40);
        for source in [[-1, 0], [0, -1], [1891, 0], [0, 1041], [i32::MAX, i32::MIN]] {
            let decoded = Record::decode(&encode(4, 0, bbox, source), SCREEN);
            assert_eq!(decoded, Some(Record::Damage(bbox)), "{source:?}");
        }
    }

    #[test]
    fn nothing_on_the_screen_is_nothing() {
        let far = Rect::new(i32::MAX - 1, 0, i32::MAX, 10);
        let inverted = Rect::new(30, 30, 10, 10);
        for kind in [layout::DAMAGE, layout::FILL, layout::COPY_BITS] {
            assert_eq!(Record::decode(&encode(kind, 0, far, [0, 0]), SCREEN), None);
            assert_eq!(
                Record::decode(&encode(kind, 0, inverted, [0, 0]), SCREEN),
                None
            );
            let bytes = encode(kind, 0, SCREEN.rect(), [0, 0]);
            assert_eq!(Record::decode(&bytes, Size::default()), None);
        }
    }

    /// Whether the invariant of [`Record`] holds.
    fn inside(record: &Record, screen: Size) -> bool {
        let fits = |rect: &Rect| !rect.is_empty() && screen.rect().contains(rect);
        match record {
            Record::Damage(rect) => fits(rect),
            Record::Fill { rect, color } => fits(rect) && *color <= 0x00ff_ffff,
            Record::CopyBits { rect, source } => {
                let way = source.minus(rect.origin());
                fits(rect) && fits(&rect.translate(way))
            }
            Record::Mode => true,
        }
    }

    fn edge() -> impl Strategy<Value = i32> {
        prop_oneof![-20..2000i32, Just(i32::MIN), Just(i32::MAX), any::<i32>()]
    }

    proptest! {
        #[test]
        fn any_bytes_stay_on_the_screen(
            kind in prop_oneof![Just(1u8), Just(3), Just(4), any::<u8>()],
            edges in prop::array::uniform4(edge()),
            words in prop::array::uniform2(edge()),
            width in 0u32..2000, height in 0u32..2000,
        ) {
            let screen = Size::new(width, height);
            let bbox = Rect::new(edges[0], edges[1], edges[2], edges[3]);
            if let Some(record) = Record::decode(&encode(kind, 0, bbox, words), screen) {
                prop_assert!(inside(&record, screen), "{record:?}");
            }
        }

        /// A clipped copy says of each pixel the same as the whole one.
        #[test]
        fn clipping_keeps_every_source_pixel(
            edges in prop::array::uniform4(-20..60i32), words in prop::array::uniform2(-20..60i32),
        ) {
            let screen = Size::new(40, 40);
            let bbox = Rect::new(edges[0], edges[1], edges[2], edges[3]);
            let bytes = encode(4, 0, bbox, words);
            if let Some(Record::CopyBits { rect, source }) = Record::decode(&bytes, screen) {
                prop_assert_eq!(rect, bbox.intersect(&screen.rect()));
                prop_assert_eq!(source.x - rect.left, words[0] - bbox.left);
                prop_assert_eq!(source.y - rect.top, words[1] - bbox.top);
            }
        }
    }
}

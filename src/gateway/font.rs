//! Letters for a sentence, 8 dots wide and high: the gateway needs no fonts of the host.

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts};

/// Dots of a glyph, each way.
pub(super) const SIDE: i32 = 8;

/// What stands for a character that is not there: a box.
const UNKNOWN: [u8; 8] = [0x00, 0x7e, 0x42, 0x42, 0x42, 0x42, 0x7e, 0x00];

/// The rows of a character from top to bottom; the lowest bit of a row is its left dot.
pub(super) fn rows(character: char) -> [u8; 8] {
    let glyph = BASIC_FONTS.get(character);
    glyph
        .or_else(|| LATIN_FONTS.get(character))
        .unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_differ_and_unknown_ones_are_boxes() {
        let all: std::collections::BTreeSet<[u8; 8]> = ('!'..='~').map(rows).collect();
        assert_eq!(all.len(), 94);
        assert_eq!(rows(' '), [0; 8]);
        assert_eq!(rows('\u{4e2d}'), UNKNOWN);
        assert_ne!(rows('ä'), UNKNOWN);
    }

    /// The bar of an L is on the left, and its foot below.
    #[test]
    fn letters_stand_upright() {
        let rows = rows('L');
        let dots = |part: &[u8]| part.iter().map(|row| row.count_ones()).sum::<u32>();
        assert!(dots(&rows[..4]) < dots(&rows[4..]), "{rows:x?}");
        assert_eq!(rows[0] & 0xf0, 0, "{rows:x?}");
    }
}

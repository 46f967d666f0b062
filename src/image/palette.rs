//! Pictures of few colours: finds the colours and replaces pixels by their indices, or says early
//! that there are too many.
//!
//! Text, terminals and most windows have fewer than 256 colours in an area of the size that one
//! image has. A palette index takes a third of a pixel's bytes as a literal, and a byte compares
//! faster than a pixel.

use super::pixels::{Pixels, RGB};

/// Colours of the largest palette: what a byte counts.
pub const COLORS_MAX: usize = 256;

/// Slots of the colour table as a power of two; eight times the colours, so nearly every colour has
/// its own.
const SLOTS_LOG2: u32 = 11;
const SLOTS: usize = 1 << SLOTS_LOG2;

/// Pixels that are compared at once with the first of them.
const BLOCK: usize = 8;

/// Rows that a first look at a picture takes, spread over its height.
const SAMPLED_ROWS: usize = 8;

/// The colours of a picture, `0x00RRGGBB`, in the order in which they appear from the top left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Palette {
    /// 1 to [`COLORS_MAX`] colours.
    pub colors: Vec<u32>,
}

/// The colour of all pixels, where there is but one.
pub fn flat_color(pixels: &Pixels<'_>) -> Option<u32> {
    let first = *pixels.row(0).first()? & RGB;
    // No early exit inside a row: the compiler makes vectors of it.
    let flat = |row: &[u32]| row.iter().fold(0, |bits, pixel| bits | (pixel ^ first)) & RGB == 0;
    pixels.rows().all(flat).then_some(first)
}

/// Finds palettes; keeps its table.
#[derive(Debug)]
pub struct PaletteFinder {
    /// Colour << 8 | index. A free slot looks like the first colour, whose index is 0 wherever it
    /// is found.
    slots: Box<[u32; SLOTS]>,
    colors: Vec<u32>,
}

impl PaletteFinder {
    /// A finder.
    pub fn new() -> Self {
        Self {
            slots: Box::new([0; SLOTS]),
            colors: Vec::with_capacity(COLORS_MAX),
        }
    }

    /// The palette of `pixels` and, in `indices`, the index of each pixel row by row; `None` when
    /// there are more than [`COLORS_MAX`] colours, whatever is in `indices` then.
    pub fn find(&mut self, pixels: &Pixels<'_>, indices: &mut Vec<u8>) -> Option<Palette> {
        self.begin(pixels);
        indices.clear();
        indices.resize(pixels.area(), 0);
        let width = pixels.width() as usize;
        for (row, places) in pixels.rows().zip(indices.chunks_mut(width)) {
            self.find_row(row, places)?;
        }
        Some(Palette {
            colors: self.colors.clone(),
        })
    }

    /// Whether pixels spread over the picture already have too many colours: a cheap look before
    /// [`Self::find`].
    pub fn exceeded_by_sample(&mut self, pixels: &Pixels<'_>) -> bool {
        self.begin(pixels);
        let step = (pixels.height() as usize / SAMPLED_ROWS).max(1);
        let mut rows = pixels.rows().step_by(step);
        rows.any(|row| {
            row.iter()
                .step_by(3)
                .any(|pixel| self.index_of(pixel & RGB).is_none())
        })
    }

    /// Forgets all colours but the first of these pixels.
    fn begin(&mut self, pixels: &Pixels<'_>) {
        let first = pixels.row(0).first().map_or(0, |pixel| pixel & RGB);
        self.slots.fill(first << 8);
        self.colors.clear();
        self.colors.push(first);
    }

    fn find_row(&mut self, row: &[u32], places: &mut [u8]) -> Option<()> {
        let (blocks, tail) = row.as_chunks::<BLOCK>();
        let (place_blocks, place_tail) = places.as_chunks_mut::<BLOCK>();
        for (block, places) in blocks.iter().zip(place_blocks) {
            let first = block[0] & RGB;
            if block.iter().fold(0, |bits, pixel| bits | (pixel ^ first)) & RGB == 0 {
                *places = [self.index_of(first)?; BLOCK];
                continue;
            }
            // The table is asked even for a pixel like the one before it: in text that branch would
            // be missed often.
            for (pixel, place) in block.iter().zip(places) {
                *place = self.index_of(pixel & RGB)?;
            }
        }
        for (pixel, place) in tail.iter().zip(place_tail) {
            *place = self.index_of(pixel & RGB)?;
        }
        Some(())
    }

    /// The index of `color`, a new one if need be; `None` when all are taken.
    #[inline]
    fn index_of(&mut self, color: u32) -> Option<u8> {
        let slot = self.slots[home(color)];
        if slot >> 8 == color {
            Some(slot.to_le_bytes()[0])
        } else {
            self.index_elsewhere(color)
        }
    }

    /// [`Self::index_of`] a colour whose first slot has another one.
    fn index_elsewhere(&mut self, color: u32) -> Option<u8> {
        let mut at = home(color);
        // The table is never full, so the chain ends at a free slot, which looks like the first
        // colour.
        while self.slots[at] >> 8 != self.colors[0] {
            at = (at + 1) % SLOTS;
            if self.slots[at] >> 8 == color {
                return Some(self.slots[at].to_le_bytes()[0]);
            }
        }
        let index = u8::try_from(self.colors.len()).ok()?;
        self.colors.push(color);
        self.slots[at] = color << 8 | u32::from(index);
        Some(index)
    }
}

/// The slot where a colour is looked for first.
fn home(color: u32) -> usize {
    (color.wrapping_mul(0x9e37_79b1) >> (32 - SLOTS_LOG2)) as usize
}

const _: () = assert!(COLORS_MAX < SLOTS, "chains end");

impl Default for PaletteFinder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::image::pictures::picture;

    #[test]
    fn colors_are_numbered_as_they_appear() {
        let data = [0xff00_0005, 7, 0x8000_0005, 0, 7];
        let mut indices = vec![9; 100];
        let pixels = Pixels::packed(&data, 5, 1).unwrap();
        let palette = PaletteFinder::new().find(&pixels, &mut indices).unwrap();
        assert_eq!(palette.colors, [5, 7, 0]);
        assert_eq!(indices, [0, 1, 0, 2, 1]);
    }

    #[test]
    fn a_byte_of_colors_is_the_limit() {
        let data: Vec<u32> = (0..257).map(|n| n * 0x01_0101).collect();
        let mut finder = PaletteFinder::new();
        let mut indices = Vec::new();
        let fits = Pixels::packed(&data[..256], 256, 1).unwrap();
        assert_eq!(finder.find(&fits, &mut indices).unwrap().colors.len(), 256);
        let exceeds = Pixels::packed(&data, 257, 1).unwrap();
        assert_eq!(finder.find(&exceeds, &mut indices), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn the_palette_is_the_set_of_colors(picture in picture()) {
            let (pixels, colors) = (picture.pixels(), picture.colors());
            let distinct: HashSet<u32> = colors.iter().copied().collect();
            let mut finder = PaletteFinder::new();
            let mut indices = Vec::new();
            if finder.exceeded_by_sample(&pixels) {
                prop_assert!(COLORS_MAX < distinct.len());
            }
            let Some(palette) = finder.find(&pixels, &mut indices) else {
                prop_assert!(COLORS_MAX < distinct.len());
                return Ok(());
            };
            prop_assert_eq!(palette.colors.len(), distinct.len());
            let back: Vec<u32> = indices.iter().map(|i| palette.colors[usize::from(*i)]).collect();
            prop_assert_eq!(&back, &colors);
            prop_assert_eq!(flat_color(&pixels), (distinct.len() == 1).then_some(colors[0]));
        }
    }
}

//! Photograph or drawing: what the differences between neighbouring pixels say.
//!
//! In photographs nearly all neighbours differ, and little. In text and drawings most neighbours are equal and the rest
//! differ by the whole contrast between two colours. Noise differs as much as text does and is none of the two; no
//! lossy encoder makes it small.

use super::shadow::Shadow;
use crate::base::Rect;

/// Two colours are near each other when no channel differs by more than this.
const NEAR_MAX: u8 = 40;

/// Rows of a rectangle that are sampled.
const ROWS: u32 = 4;

/// Of the pairs of a photograph, at least one in this many is near and not equal.
const NEAR_PART: u32 = 5;

/// Sampled pairs of neighbours in a row of pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contrast {
    pairs: u32,
    /// Different, but near each other.
    near: u32,
    far: u32,
}

impl Contrast {
    /// Of `rect` of the shadow, in a few of its rows.
    pub(super) fn of(shadow: &Shadow, rect: &Rect) -> Self {
        let mut contrast = Self::default();
        let Some(pixels) = shadow.pixels(rect) else {
            return contrast;
        };
        let rows = pixels.height().min(ROWS);
        for row in 0..rows {
            // The middles of as many equal strips.
            contrast.row(pixels.row((2 * row + 1) * pixels.height() / (2 * rows)));
        }
        contrast
    }

    fn row(&mut self, row: &[u32]) {
        for pair in row.windows(2) {
            let &[one, other] = pair else {
                continue;
            };
            self.pairs += 1;
            if one == other {
                continue;
            }
            if difference(one, other) <= NEAR_MAX {
                self.near += 1;
            } else {
                self.far += 1;
            }
        }
    }

    /// The pairs of both.
    pub(super) const fn add(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.near += other.near;
        self.far += other.far;
    }

    /// Like a photograph.
    pub(super) const fn is_photographic(&self) -> bool {
        0 < self.near && self.pairs <= self.near * NEAR_PART && self.far * 2 <= self.near
    }

    /// Text, lines or noise: edges, and hardly anything between them. Flat pixels are not.
    pub(super) const fn is_drawn(&self) -> bool {
        self.near < self.far && self.pairs <= self.far * 16
    }
}

/// The largest difference in a channel of two colours `0x00RRGGBB`.
fn difference(one: u32, other: u32) -> u8 {
    let (one, other) = (one.to_le_bytes(), other.to_le_bytes());
    let channels = one.iter().zip(&other).take(3);
    channels.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

//! What QUIC codes of a pixel: how far each channel lies from what its neighbours let expect.
//!
//! Expected is the mean of the pixels to the left and above, rounded down; in the first row the one
//! to the left, in the first column the one above, of the first pixel 0. The distance, modulo 256,
//! is folded so that near ones become small: 0, -1, 1, -2, ... are 0, 1, 2, 3, ...
//!
//! The four bytes of a pixel are computed at once within a `u32`, and the loops over rows become
//! vector instructions.

use super::pixels::RGB;

/// In the top byte of a residual: around this pixel the picture repeats, so a run may begin here.
pub(super) const REPEATS: u32 = 0xff00_0000;

const LOW_BITS: u32 = 0x0101_0101;
const HIGH_BIT: u32 = 0x8080_8080;

/// Pixels of a row with something to the left that can repeat; no run begins before them.
const FIRST_PIXELS: usize = 3;

/// Replaces `residuals` by those of the first row of an image.
pub(super) fn first_row(row: &[u32], residuals: &mut Vec<u32>) {
    residuals.clear();
    residuals.extend(row.first().map(|pixel| residual(*pixel, 0) & RGB));
    let pairs = row.iter().zip(row.iter().skip(1));
    residuals.extend(pairs.map(|(left, pixel)| residual(*pixel, *left) & RGB));
}

/// Replaces `residuals` by those of `row`, which lies below `above` and is as long; marks those
/// where a run may begin with [`REPEATS`].
pub(super) fn row(above: &[u32], row: &[u32], residuals: &mut Vec<u32>) {
    residuals.clear();
    let Some(((first, first_above), width)) = row.first().zip(above.first()).zip(
        // Both are as long, which the compiler does not know.
        Some(row.len().min(above.len())),
    ) else {
        return;
    };
    residuals.push(residual(*first, *first_above) & RGB);
    for at in 1..width.min(FIRST_PIXELS) {
        residuals.push(residual(row[at], mean(row[at - 1], above[at])) & RGB);
    }
    let Some(count) = width.checked_sub(FIRST_PIXELS) else {
        return;
    };
    let (pixels, left, far_left) = (&row[3..][..count], &row[2..][..count], &row[1..][..count]);
    let (above, above_left) = (&above[3..][..count], &above[2..][..count]);
    residuals.extend((0..count).map(|at| {
        let changes = (above[at] ^ above_left[at]) | (left[at] ^ far_left[at]);
        let mark = if changes & RGB == 0 { REPEATS } else { 0 };
        residual(pixels[at], mean(left[at], above[at])) & RGB | mark
    }));
}

/// The mean of each byte of both, rounded down.
#[inline]
pub(super) const fn mean(a: u32, b: u32) -> u32 {
    (a & b) + ((a ^ b) >> 1 & !HIGH_BIT)
}

/// Each byte's distance from the expected one, folded.
#[inline]
const fn residual(pixel: u32, expected: u32) -> u32 {
    // A borrow stops at a high bit that was set for it; then that bit is put right.
    let distance = ((pixel | HIGH_BIT) - (expected & !HIGH_BIT)) ^ ((pixel ^ !expected) & HIGH_BIT);
    let negative = distance >> 7 & LOW_BITS;
    (distance << 1 & !LOW_BITS) ^ (negative << 8).wrapping_sub(negative)
}

/// The byte whose residual this is.
pub(super) const fn byte(residual: u8, expected: u8) -> u8 {
    let distance = residual >> 1 ^ (residual & 1).wrapping_neg();
    expected.wrapping_add(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_expected_and_folded_by_itself() {
        for pixel in 0..=255_u8 {
            for expected in 0..=255_u8 {
                let distance = i32::from(pixel.wrapping_sub(expected) as i8);
                let folded = if distance < 0 {
                    -2 * distance - 1
                } else {
                    2 * distance
                };
                let neighbours = [expected, !pixel, pixel, expected];
                let got = residual(
                    u32::from_le_bytes([pixel, !expected, pixel, 7]),
                    u32::from_le_bytes(neighbours),
                );
                let bytes = got.to_le_bytes();
                assert_eq!(i32::from(bytes[0]), folded, "{pixel} for {expected}");
                assert_eq!(bytes[2], 0, "{pixel} for itself");
                for (at, pixel) in [(0, pixel), (1, !expected), (2, pixel), (3, 7)] {
                    assert_eq!(byte(bytes[at], neighbours[at]), pixel);
                }
                let mean = mean(
                    u32::from_le_bytes([pixel, 255, 0, pixel]),
                    u32::from_le_bytes([expected, 0, expected, 255]),
                );
                let halves = [(pixel, expected), (255, 0), (0, expected), (pixel, 255)]
                    .map(|(a, b)| ((u32::from(a) + u32::from(b)) / 2) as u8);
                assert_eq!(mean.to_le_bytes(), halves);
            }
        }
    }

    #[test]
    fn rows_are_expected_from_the_left_and_from_above() {
        let mut residuals = vec![9; 40];
        first_row(&[0xaa03_0201, 0x0004_0100], &mut residuals);
        assert_eq!(residuals, [0x06_0402, 0x02_0101]);
        let above = [0x10_2030, 0x20_3040, 0x20_3040, 0xff20_3040, 0x20_3040];
        let below = [0x11_2030, 0x18_2838, 0x18_2838, 0xee18_2838, 0x1c_2c3c];
        row(&above, &below, &mut residuals);
        // Rounded down: 18 lies between 11 and 20, 1c and 1c between 18 and 20.
        assert_eq!(
            residuals,
            [0x02_0000, 0x00_0000, 0x07_0707, 0xff07_0707, 0xff00_0000]
        );
        let mut below = below;
        below[2] ^= 1;
        row(&above, &below, &mut residuals);
        assert_eq!(residuals[3] & REPEATS, 0, "the left ones differ");
        let mut above = above;
        above[2] ^= 1 << 16;
        row(&above, &[7; 5], &mut residuals);
        assert_eq!(
            residuals[3..]
                .iter()
                .map(|mark| mark & REPEATS)
                .sum::<u32>(),
            REPEATS
        );
        for width in 0..5 {
            row(&above[..width], &below[..width], &mut residuals);
            assert_eq!(residuals.len(), width);
        }
    }
}

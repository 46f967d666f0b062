//! A borrowed rectangle of pixels: what every encoder reads.
//!
//! A pixel is `0x00RRGGBB` in a `u32`; whatever lies in its top byte is ignored ([`RGB`] masks it),
//! because an X server leaves anything there. Rows may lie further apart than they are wide, so a
//! rectangle of a screen is a view and not a copy.
//!
//! INVARIANT: there is at least one pixel, no side exceeds `SCREEN_SIDE_MAX`, and every row lies
//! inside the data. Areas in pixels and in bytes therefore fit in 32 bits.

use crate::base::limits::SCREEN_SIDE_MAX;
use crate::base::{Rect, Size};

/// The bits of a pixel that carry colour.
pub const RGB: u32 = 0x00ff_ffff;

const _: () = assert!(
    (SCREEN_SIDE_MAX as u64).pow(2) * 4 <= u32::MAX as u64,
    "bytes fit in 32 bits"
);

/// Why a slice is no picture; each of them is a mistake of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PixelsError {
    /// A side is 0 or exceeds `SCREEN_SIDE_MAX`.
    #[error("pixels of {width}x{height}: sides are 1 to {SCREEN_SIDE_MAX}")]
    Side {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Rows overlap, or the last one ends outside the data.
    #[error("{len} pixels do not hold {width}x{height} at a stride of {stride}")]
    Short {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Pixels from one row to the next.
        stride: usize,
        /// Pixels that were given.
        len: usize,
    },
}

/// A view of `width` x `height` pixels, each `0x00RRGGBB`.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    data: &'a [u32],
    width: u32,
    height: u32,
    stride: usize,
}

impl<'a> Pixels<'a> {
    /// A view of `data` from its first pixel on; rows start `stride` pixels apart.
    pub fn new(
        data: &'a [u32],
        width: u32,
        height: u32,
        stride: usize,
    ) -> Result<Self, PixelsError> {
        let sides = 1..=SCREEN_SIDE_MAX;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(PixelsError::Side { width, height });
        }
        let short = PixelsError::Short {
            width,
            height,
            stride,
            len: data.len(),
        };
        let end = stride
            .checked_mul(height as usize - 1)
            .and_then(|last_row| last_row.checked_add(width as usize));
        if stride < width as usize || end.is_none_or(|end| data.len() < end) {
            return Err(short);
        }
        Ok(Self {
            data,
            width,
            height,
            stride,
        })
    }

    /// A view of rows without gaps between them.
    pub fn packed(data: &'a [u32], width: u32, height: u32) -> Result<Self, PixelsError> {
        Self::new(data, width, height, width as usize)
    }

    /// Columns.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// Columns and rows.
    pub const fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }

    /// Pixels in it.
    pub const fn area(&self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Pixels from the start of one row to the start of the next.
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// From the first pixel of the first row to the last one of the last row, the gaps between
    /// rows included: `(height - 1) * stride + width` pixels.
    pub fn span(&self) -> &'a [u32] {
        &self.data[..self.stride * (self.height as usize - 1) + self.width as usize]
    }

    /// Row `y`, `width` pixels; empty below the last one.
    pub fn row(&self, y: u32) -> &'a [u32] {
        if self.height <= y {
            return &[];
        }
        let start = y as usize * self.stride;
        &self.data[start..start + self.width as usize]
    }

    /// The rows from top to bottom.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u32]> + use<'a> {
        let width = self.width as usize;
        self.data
            .chunks(self.stride)
            .take(self.height as usize)
            .map(move |row| &row[..width])
    }

    /// What lies inside of `rect`, whose origin is this view's top left pixel; nothing where no
    /// pixel does.
    pub fn part(&self, rect: Rect) -> Option<Self> {
        let inside = rect.intersect(&self.size().rect());
        if inside.is_empty() {
            return None;
        }
        let left = usize::try_from(inside.left).ok()?;
        let top = usize::try_from(inside.top).ok()?;
        let data = self.data.get(top * self.stride + left..)?;
        Self::new(data, inside.width(), inside.height(), self.stride).ok()
    }

    /// Replaces `packed` by the pixels without gaps and without top bytes.
    pub fn pack_into(&self, packed: &mut Vec<u32>) {
        packed.clear();
        packed.reserve(self.area());
        for row in self.rows() {
            packed.extend(row.iter().map(|pixel| pixel & RGB));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_shows_the_same_pixels() {
        let data: Vec<u32> = (0..60).map(|n| n | 0xab00_0000).collect();
        let whole = Pixels::new(&data, 8, 6, 10).unwrap();
        let part = whole.part(Rect::new(-5, 2, 3, 40)).unwrap();
        assert_eq!(part.size(), Size::new(3, 4));
        assert_eq!(part.rows().count(), 4);
        assert_eq!(part.row(3), &data[50..53]);
        assert_eq!(part.span(), &data[20..53]);
        assert_eq!(part.row(4), &[] as &[u32]);
        let mut packed = vec![7; 100];
        part.pack_into(&mut packed);
        assert_eq!(packed, [20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52]);
        assert!(whole.part(Rect::new(8, 0, 9, 1)).is_none());
        assert!(whole.part(Rect::new(3, 3, 3, 4)).is_none());
    }

    #[test]
    fn views_that_leave_their_data_are_refused() {
        let data = [0; 20];
        assert!(
            Pixels::new(&data, 4, 4, 5).is_ok(),
            "the last row needs no gap behind it"
        );
        assert!(Pixels::new(&data[..19], 4, 4, 5).is_ok());
        assert!(Pixels::new(&data[..18], 4, 4, 5).is_err());
        assert!(Pixels::new(&data, 6, 2, 5).is_err());
        assert!(Pixels::new(&data, 2, 3, usize::MAX).is_err());
        assert!(Pixels::new(&data, 0, 3, 5).is_err());
        assert!(Pixels::new(&data, 1, 0, 5).is_err());
        assert!(Pixels::packed(&[0; 8193], 8193, 1).is_err());
        assert!(Pixels::packed(&[0; 8192], 8192, 1).is_ok());
    }
}

//! How the pointer looks, as SPICE shows it.
//!
//! X gives premultiplied pixels; a SPICE cursor of type ALPHA is B, G, R, A bytes that are *not* premultiplied
//! (spice-gtk hands them to GdkPixbuf). That is worked out once per shape, for all clients.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::base::limits::CURSOR_SIDE_MAX;
use crate::ring::CursorImage;
use crate::wire::cursor::{CursorHeader, CursorType};

/// A look. INVARIANT: at least one pixel, sides of at most [`CURSOR_SIDE_MAX`], four bytes for each pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorShape {
    header: CursorHeader,
    pixels: Vec<u8>,
}

impl CursorShape {
    /// The shape of an image. An image larger than allowed is cropped at the right and bottom; one that has no
    /// pixels, or fewer than its size tells, is [`blank`](Self::blank).
    pub fn new(image: &CursorImage) -> Self {
        let (columns, rows) = (side(image.size.width), side(image.size.height));
        let (Some(right), Some(bottom)) = (columns.checked_sub(1), rows.checked_sub(1)) else {
            return Self::blank();
        };
        let stride = usize::try_from(image.size.width).unwrap_or(usize::MAX);
        let mut pixels = Vec::with_capacity(usize::from(columns) * usize::from(rows) * 4);
        let lines = image.pixels.chunks_exact(stride).take(usize::from(rows));
        if lines.len() < usize::from(rows) {
            return Self::blank();
        }
        for line in lines {
            let line = line.iter().take(usize::from(columns));
            pixels.extend(line.flat_map(|pixel| straight(*pixel)));
        }
        let within = |at: i32, last: u16| u16::try_from(at.max(0)).map_or(last, |at| at.min(last));
        let hot_x = within(image.hot_spot.x, right);
        let hot_y = within(image.hot_spot.y, bottom);
        Self::with_id(columns, rows, hot_x, hot_y, pixels)
    }

    /// One transparent pixel.
    pub fn blank() -> Self {
        Self::with_id(1, 1, 0, 0, vec![0; 4])
    }

    /// What it is; `unique` depends on nothing but the look.
    pub const fn header(&self) -> CursorHeader {
        self.header
    }

    /// Rows of B, G, R, A bytes from the top; never empty.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    fn with_id(width: u16, height: u16, hot_x: u16, hot_y: u16, pixels: Vec<u8>) -> Self {
        let mut hasher = DefaultHasher::new();
        (width, height, hot_x, hot_y, &pixels).hash(&mut hasher);
        let header = CursorHeader {
            // 0 is no id.
            unique: hasher.finish().max(1),
            cursor_type: CursorType::ALPHA,
            width,
            height,
            hot_x,
            hot_y,
        };
        Self { header, pixels }
    }

    /// The same look under another id, as if the hash were a bad one.
    #[cfg(test)]
    pub(super) fn with_unique(mut self, unique: u64) -> Self {
        self.header.unique = unique;
        self
    }
}

fn side(pixels: u32) -> u16 {
    u16::try_from(pixels.min(CURSOR_SIDE_MAX)).unwrap_or(u16::MAX)
}

/// B, G, R, A of a premultiplied 0xAARRGGBB. A colour above its alpha, which is none, becomes the brightest there is.
fn straight(pixel: u32) -> [u8; 4] {
    let [blue, green, red, alpha] = pixel.to_le_bytes();
    if alpha == 0 {
        return [0; 4];
    }
    let whole = u32::from(alpha);
    let divide = |colour: u8| {
        let value = (u32::from(colour) * 255 + whole / 2) / whole;
        u8::try_from(value).unwrap_or(u8::MAX)
    };
    [divide(blue), divide(green), divide(red), alpha]
}

const _: () = assert!(CURSOR_SIDE_MAX <= i16::MAX as u32);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Point, Size};

    fn image(width: u32, height: u32, hot: Point, pixels: Vec<u32>) -> CursorImage {
        CursorImage {
            shape_serial: 1,
            size: Size::new(width, height),
            hot_spot: hot,
            pixels,
        }
    }

    #[test]
    fn colours_are_divided_by_their_alpha() {
        assert_eq!(straight(0xff12_3456), [0x56, 0x34, 0x12, 0xff]);
        assert_eq!(straight(0x8080_4000), [0, 0x80, 0xff, 0x80]);
        assert_eq!(straight(0x00ff_ffff), [0; 4]);
        assert_eq!(straight(0x01ff_0100), [0, 0xff, 0xff, 1]);
        // Multiplied again, every pixel is what it was.
        for alpha in 1..=255u32 {
            for colour in 0..=alpha {
                let [blue, _, _, _] = straight((alpha << 24) | colour);
                assert_eq!((u32::from(blue) * alpha + 127) / 255, colour);
            }
        }
    }

    #[test]
    fn a_shape_is_its_image() {
        let pixels = vec![0xff00_0001, 0xff00_0002, 0xff00_0003, 0xff00_0004];
        let shape = CursorShape::new(&image(2, 2, Point::new(1, 0), pixels));
        let header = shape.header();
        assert_eq!((header.width, header.height), (2, 2));
        assert_eq!((header.hot_x, header.hot_y), (1, 0));
        let blues: Vec<u8> = shape.pixels().iter().step_by(4).copied().collect();
        assert_eq!(blues, [1, 2, 3, 4]);
    }

    #[test]
    fn what_cannot_be_shown_is_blank() {
        let blank = CursorShape::blank();
        assert_eq!(blank.pixels(), [0; 4]);
        let origin = Point::default();
        for (width, height, count) in [(0, 0, 0), (0, 9, 9), (9, 0, 9), (3, 3, 8), (2, 2, 0)] {
            let shape = CursorShape::new(&image(width, height, origin, vec![1 << 31; count]));
            assert_eq!(shape, blank, "{width}x{height} of {count} pixels");
        }
    }

    #[test]
    fn large_images_and_far_hot_spots_are_cut() {
        let (width, height) = (CURSOR_SIDE_MAX + 3, CURSOR_SIDE_MAX + 2);
        let pixels = (0..width * height).map(|at| 0xff00_0000 | (at / width));
        let far = Point::new(i32::MAX, -4);
        let shape = CursorShape::new(&image(width, height, far, pixels.collect()));
        let header = shape.header();
        assert_eq!((header.width, header.height), (256, 256));
        assert_eq!((header.hot_x, header.hot_y), (255, 0));
        assert_eq!(shape.pixels().len(), 256 * 256 * 4);
        assert_eq!(shape.pixels().last_chunk(), Some(&[255, 0, 0, 255]));
    }

    #[test]
    fn the_id_is_of_the_look_alone() {
        let make = |serial, hot, blue: u32| {
            let pixels = vec![0xff00_0000 | blue];
            CursorShape::new(&CursorImage {
                shape_serial: serial,
                ..image(1, 1, Point::new(hot, 0), pixels)
            })
        };
        assert_eq!(make(1, 0, 5), make(2, 0, 5));
        assert_ne!(make(1, 0, 5).header().unique, make(1, 0, 6).header().unique);
        let wide = |hot| CursorShape::new(&image(2, 1, Point::new(hot, 0), vec![0; 2]));
        assert_ne!(wide(0).header().unique, wide(1).header().unique);
    }
}

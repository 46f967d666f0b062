//! The cursor: where it is, and what it looks like.
//!
//! Its place changes in the producer's input thread, thousands of times a second; its shape seldom. A shape lies in
//! one of a few slots and stays there while [`CursorState::shape_serial`] is the newest: the producer writes the next
//! one elsewhere. So an image counts when the serial is still the same after it was copied.

use super::layout::{self, cursor};
use super::memory::{SharedMemory, copies_before_later_loads};
use super::seqlock::{self, Busy};
use crate::base::{ByteReader, Point, Size, Truncated};

/// `struct caraway_cursor`, validated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CursorState {
    /// Counts shapes; 0 before the first, when there is no image.
    pub shape_serial: u32,
    /// Where the hot spot is, screen pixels, within [`layout::SIDE_MAX`] of the origin.
    pub position: Point,
    /// Whether it is shown. Never without an image.
    pub visible: bool,
    /// Of the image; each side at most [`layout::CURSOR_SIDE_MAX`].
    pub size: Size,
    /// The pixel of the image that points; inside of it.
    pub hot_spot: Point,
    /// Which slot holds the image.
    pub slot: u32,
}

/// A cursor's look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorImage {
    /// [`CursorState::shape_serial`] of this image.
    pub shape_serial: u32,
    /// Columns and rows.
    pub size: Size,
    /// The pixel that points.
    pub hot_spot: Point,
    /// Premultiplied 0xAARRGGBB, row by row, `size.area()` of them.
    pub pixels: Vec<u32>,
}

/// Why there is no cursor to work with. All but `Busy` are the driver's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Try again later.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The shape changed meanwhile: read the state again.
    #[error("the cursor's shape changed while it was read")]
    Changed,
    /// `width`, `height`, `hot_x` or `hot_y`.
    #[error(
        "the driver published a cursor of {width}x{height} pixels with its hot spot at ({hot_x}, {hot_y}), \
         largest side {}",
        layout::CURSOR_SIDE_MAX
    )]
    Shape {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
        /// Column of the hot spot.
        hot_x: u16,
        /// Row of the hot spot.
        hot_y: u16,
    },
    /// `slot`.
    #[error("the driver published cursor slot {0} of {slots}", slots = layout::CURSOR_SLOTS)]
    Slot(u32),
}

impl CursorState {
    /// Reads and validates the cursor block.
    pub fn read(memory: &(impl SharedMemory + ?Sized)) -> Result<Self, CursorError> {
        let block: [u8; cursor::SIZE] = seqlock::read(memory, layout::CURSOR_OFFSET)?;
        let fields = Fields::parse(&block).map_err(|Truncated { .. }| Busy)?;
        fields.validate()
    }

    /// Copies the image of this state; `None` while there is none.
    pub fn read_image(
        &self,
        memory: &(impl SharedMemory + ?Sized),
    ) -> Result<Option<CursorImage>, CursorError> {
        let area = usize::try_from(self.size.area()).unwrap_or(usize::MAX);
        if self.shape_serial == 0 || area == 0 {
            return Ok(None);
        }
        let slot = usize::try_from(self.slot).unwrap_or(usize::MAX);
        if layout::CURSOR_SLOTS as usize <= slot || layout::CURSOR_SLOT_SIZE / 4 < area {
            return Err(CursorError::Slot(self.slot));
        }
        let offset = layout::CURSOR_IMAGES_OFFSET + slot * layout::CURSOR_SLOT_SIZE;
        let mut bytes = vec![0; area * 4];
        if !memory.copy_out(offset, &mut bytes) {
            return Err(CursorError::Slot(self.slot));
        }
        copies_before_later_loads();
        if memory.load_u32(layout::CURSOR_OFFSET + cursor::SHAPE) != Some(self.shape_serial) {
            return Err(CursorError::Changed);
        }
        let words = bytes
            .chunks_exact(4)
            .filter_map(|word| word.first_chunk::<4>());
        Ok(Some(CursorImage {
            shape_serial: self.shape_serial,
            size: self.size,
            hot_spot: self.hot_spot,
            pixels: words.map(|word| u32::from_le_bytes(*word)).collect(),
        }))
    }
}

/// The block as it was copied.
struct Fields {
    shape: u32,
    x: i32,
    y: i32,
    visible: u32,
    width: u16,
    height: u16,
    hot_x: u16,
    hot_y: u16,
    slot: u32,
}

impl Fields {
    fn parse(block: &[u8; cursor::SIZE]) -> Result<Self, Truncated> {
        let mut reader = ByteReader::new(block);
        let (_lock, shape) = (reader.u32()?, reader.u32()?);
        let (x, y, visible) = (reader.i32()?, reader.i32()?, reader.u32()?);
        let (width, height) = (reader.u16()?, reader.u16()?);
        let (hot_x, hot_y, slot) = (reader.u16()?, reader.u16()?, reader.u32()?);
        Ok(Self {
            shape,
            x,
            y,
            visible,
            width,
            height,
            hot_x,
            hot_y,
            slot,
        })
    }

    fn validate(self) -> Result<CursorState, CursorError> {
        let Self {
            shape,
            width,
            height,
            hot_x,
            hot_y,
            slot,
            ..
        } = self;
        let far = i32::try_from(layout::SIDE_MAX).unwrap_or(i32::MAX);
        let position = Point::new(self.x.clamp(-far, far), self.y.clamp(-far, far));
        let size = Size::new(u32::from(width), u32::from(height));
        if shape == 0 || size.area() == 0 {
            return Ok(CursorState {
                shape_serial: shape,
                position,
                ..CursorState::default()
            });
        }
        let largest = size.width.max(size.height) <= layout::CURSOR_SIDE_MAX;
        if !largest || width <= hot_x || height <= hot_y {
            return Err(CursorError::Shape {
                width,
                height,
                hot_x,
                hot_y,
            });
        }
        if layout::CURSOR_SLOTS <= slot {
            return Err(CursorError::Slot(slot));
        }
        Ok(CursorState {
            shape_serial: shape,
            position,
            visible: self.visible != 0,
            size,
            hot_spot: Point::new(i32::from(hot_x), i32::from(hot_y)),
            slot,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::PlainMemory;
    use super::*;

    /// (shape, x, y, visible), (width, height, hot x, hot y), slot
    fn memory_with(words: [i32; 4], sides: [u16; 4], slot: u32) -> PlainMemory {
        let memory = PlainMemory::new(layout::RING_MEMFD_SIZE);
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(sides.iter().flat_map(|side| side.to_le_bytes()));
        bytes.extend(slot.to_le_bytes());
        memory.write(layout::CURSOR_OFFSET + cursor::SHAPE, &bytes);
        memory
    }

    #[test]
    fn state_and_image_read_as_written() {
        let memory = memory_with([7, -3, 50, 1], [2, 3, 1, 2], 3);
        let pixels = [1u32, 2, 3, 4, 5, 0xffff_ffff];
        let bytes: Vec<u8> = pixels
            .iter()
            .flat_map(|pixel| pixel.to_le_bytes())
            .collect();
        memory.write(
            layout::CURSOR_IMAGES_OFFSET + 3 * layout::CURSOR_SLOT_SIZE,
            &bytes,
        );
        let state = CursorState::read(&memory).unwrap();
        let expected = CursorState {
            shape_serial: 7,
            position: Point::new(-3, 50),
            visible: true,
            size: Size::new(2, 3),
            hot_spot: Point::new(1, 2),
            slot: 3,
        };
        assert_eq!(state, expected);
        let image = state.read_image(&memory).unwrap().unwrap();
        assert_eq!(
            (image.size, image.pixels.as_slice()),
            (state.size, pixels.as_slice())
        );
        memory.write(layout::CURSOR_OFFSET + cursor::SHAPE, &8u32.to_le_bytes());
        assert_eq!(state.read_image(&memory), Err(CursorError::Changed));
    }

    #[test]
    fn the_largest_cursor_fits_its_slot() {
        let memory = memory_with([1, 0, 0, 1], [256, 256, 255, 255], 3);
        let state = CursorState::read(&memory).unwrap();
        let image = state.read_image(&memory).unwrap().unwrap();
        assert_eq!(image.pixels.len(), 65536);
    }

    #[test]
    fn without_a_shape_nothing_is_visible() {
        for (shape, sides) in [(0, [9, 9, 0, 0]), (4, [0, 9, 0, 0]), (4, [9, 0, 7, 7])] {
            let memory = memory_with([shape, 1, 2, 1], sides, 0);
            let state = CursorState::read(&memory).unwrap();
            assert!(!state.visible);
            assert_eq!(state.position, Point::new(1, 2));
            assert_eq!(state.read_image(&memory), Ok(None));
        }
    }

    #[test]
    fn each_lie_is_named() {
        for [width, height, hot_x, hot_y] in [
            [257, 1, 0, 0],
            [1, u16::MAX, 0, 0],
            [8, 8, 8, 0],
            [8, 8, 0, 8],
        ] {
            let memory = memory_with([1, 0, 0, 1], [width, height, hot_x, hot_y], 0);
            let error = CursorError::Shape {
                width,
                height,
                hot_x,
                hot_y,
            };
            assert_eq!(CursorState::read(&memory), Err(error));
        }
        for slot in [4, u32::MAX] {
            let memory = memory_with([1, 0, 0, 1], [8, 8, 0, 0], slot);
            assert_eq!(CursorState::read(&memory), Err(CursorError::Slot(slot)));
            let forged = CursorState {
                shape_serial: 1,
                size: Size::new(u32::MAX, u32::MAX),
                slot,
                ..CursorState::default()
            };
            assert_eq!(forged.read_image(&memory), Err(CursorError::Slot(slot)));
        }
        let memory = memory_with([1, i32::MIN, i32::MAX, 1], [8, 8, 0, 0], 0);
        assert_eq!(
            CursorState::read(&memory).unwrap().position,
            Point::new(-8192, 8192)
        );
    }
}

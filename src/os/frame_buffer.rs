//! The frame buffer: pixels that Xorg draws while we read them.
//!
//! Pixels are copied with plain memory copies: torn pixels are allowed, since whoever drew them tells of it
//! afterwards, and nothing is ever decided from the live memory after the copy. The copies stand in functions that
//! are not inlined, so that the compiler cannot read the live memory again in place of the copy.

#![expect(
    unsafe_code,
    reason = "raw pointers into memory that another process writes"
)]

use std::sync::Arc;

use super::shared_memory::ReadOnlyMapping;
use crate::base::{Rect, Size};
use crate::ring::memory::{PixelSource, SharedMemory};
use crate::ring::{Mode, ModeError};

/// The pixels of one mode. INVARIANT: `offset + stride * height` lies in the mapping and a row in its stride.
#[derive(Clone, Debug)]
pub struct FrameBuffer {
    mapping: Arc<ReadOnlyMapping>,
    size: Size,
    stride_bytes: usize,
    offset_bytes: usize,
}

impl FrameBuffer {
    /// The pixels of `mode` in the frame buffer that it names.
    pub fn new(mapping: Arc<ReadOnlyMapping>, mode: &Mode) -> Result<Self, ModeError> {
        let size = mapping.len() as u64;
        mode.check_frame_buffer(size)?;
        let unfit = ModeError::FrameBuffer {
            needed: mode.frame_buffer_bytes(),
            size,
        };
        let offset_bytes = usize::try_from(mode.offset_bytes).map_err(|_| unfit)?;
        let stride_bytes = usize::try_from(mode.stride_bytes).map_err(|_| unfit)?;
        Ok(Self {
            mapping,
            size: mode.size,
            stride_bytes,
            offset_bytes,
        })
    }

    /// Width and height.
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Copies the pixels of `rect`, row by row without gaps; `false`, and nothing done, where `rect` leaves the
    /// screen or `out` has another length than `rect.area()`.
    pub fn read_rect(&self, rect: &Rect, out: &mut [u32]) -> bool {
        let fits = self.size.rect().contains(rect) && rect.area() == out.len() as u64;
        if !fits || rect.is_empty() {
            return fits;
        }
        let (left, width) = (rect.left.cast_unsigned(), rect.width() as usize);
        for (y, row) in (rect.top.cast_unsigned()..).zip(out.chunks_exact_mut(width)) {
            self.read_row(y, left, row);
        }
        true
    }

    /// Whether the pixels of row `y` from column `x` on are `known` at this moment, without copying them. `false`
    /// where they leave the screen.
    pub fn row_equals(&self, y: u32, x: u32, known: &[u32]) -> bool {
        self.pixels(y, x, known.len())
            .is_some_and(|source| bytes_equal(source, known))
    }

    /// Where the `count` pixels of row `y` from column `x` on lie; `None` where they leave the screen.
    fn pixels(&self, y: u32, x: u32, count: usize) -> Option<*const u8> {
        let (row, column) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
        let width = usize::try_from(self.size.width).ok()?;
        if self.size.height <= y || width < column.checked_add(count)? {
            return None;
        }
        self.mapping.pointer(
            self.offset_bytes + row * self.stride_bytes + column * 4,
            count * 4,
        )
    }
}

impl PixelSource for FrameBuffer {
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
        let inside = if y < self.size.height {
            self.size.width.saturating_sub(x)
        } else {
            0
        };
        let count = out.len().min(inside as usize);
        let (shown, outside) = out.split_at_mut(count);
        outside.fill(0);
        match self.pixels(y, x, count) {
            Some(source) => copy_bytes(source, shown),
            None => shown.fill(0),
        }
    }
}

/// Copies `out.len()` pixels. INVARIANT: called with pointers from [`FrameBuffer::pixels`] for that many pixels.
#[inline(never)]
fn copy_bytes(source: *const u8, out: &mut [u32]) {
    let target = out.as_mut_ptr().cast::<u8>();
    // SAFETY: `source` has `out.len()` pixels inside a live mapping of other memory than `out`. Another process may
    // write them meanwhile; every bit pattern is a pixel.
    unsafe { std::ptr::copy_nonoverlapping(source, target, size_of_val(out)) };
}

/// Compares `known.len()` pixels, under the same invariant.
#[inline(never)]
fn bytes_equal(source: *const u8, known: &[u32]) -> bool {
    // SAFETY: both have `known.len()` pixels; the C function reads each byte of the live side and returns a number.
    let order = unsafe { libc::memcmp(source.cast(), known.as_ptr().cast(), size_of_val(known)) };
    order == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::unistd::ftruncate;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    const STRIDE: u32 = 20 * 4;

    fn mode(width: u32, height: u32, offset_bytes: u64) -> Mode {
        let size = Size::new(width, height);
        Mode {
            generation: 1,
            size,
            stride_bytes: STRIDE,
            framebuffer_id: 0,
            offset_bytes,
        }
    }

    /// 16 x 10 pixels, each its row * 100 + column, behind `offset` bytes.
    fn frame_buffer(offset: u64) -> (File, FrameBuffer) {
        let length = offset + u64::from(STRIDE) * 10;
        let fd = memfd_create(c"fb", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
        ftruncate(&fd, i64::try_from(length).unwrap()).unwrap();
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals)).unwrap();
        let mapping = Arc::new(ReadOnlyMapping::new(&fd, length).unwrap());
        let file = File::from(fd);
        for y in 0..10u32 {
            for x in 0..20u32 {
                let at = offset + u64::from(y * STRIDE + x * 4);
                file.write_at(&(y * 100 + x).to_ne_bytes(), at).unwrap();
            }
        }
        let pixels = FrameBuffer::new(Arc::clone(&mapping), &mode(16, 10, offset)).unwrap();
        assert!(FrameBuffer::new(mapping, &mode(16, 11, offset)).is_err());
        (file, pixels)
    }

    #[test]
    fn rows_and_rectangles_are_those_drawn() {
        for offset in [0, 64] {
            let (_file, pixels) = frame_buffer(offset);
            let mut row = [0; 5];
            pixels.read_row(9, 11, &mut row);
            assert_eq!(row, [911, 912, 913, 914, 915]);
            let mut rect = [0; 6];
            assert!(pixels.read_rect(&Rect::at(3, 2, 2, 3), &mut rect));
            assert_eq!(rect, [203, 204, 303, 304, 403, 404]);
        }
    }

    #[test]
    fn outside_of_the_screen_is_zero() {
        let (_file, pixels) = frame_buffer(0);
        for (y, x, expected) in [(9, 14, [914, 915, 0, 0]), (10, 0, [0; 4]), (0, 16, [0; 4])] {
            let mut row = [7; 4];
            pixels.read_row(y, x, &mut row);
            assert_eq!(row, expected);
        }
        let mut row = [7; 4];
        pixels.read_row(u32::MAX, u32::MAX, &mut row);
        assert_eq!(row, [0; 4]);
        for rect in [
            Rect::at(-1, 0, 2, 2),
            Rect::at(15, 0, 2, 2),
            Rect::at(0, 9, 2, 2),
        ] {
            assert!(!pixels.read_rect(&rect, &mut row));
        }
        assert!(!pixels.read_rect(&Rect::at(0, 0, 2, 1), &mut row));
        assert!(pixels.read_rect(&Rect::default(), &mut []));
    }

    #[test]
    fn equal_rows_are_equal_until_drawn_over() {
        let (file, pixels) = frame_buffer(0);
        let known = [502, 503, 504];
        assert!(pixels.row_equals(5, 2, &known));
        assert!(!pixels.row_equals(5, 3, &known));
        assert!(!pixels.row_equals(5, 14, &known), "leaves the screen");
        file.write_at(&[1], u64::from(5 * STRIDE + 4 * 4)).unwrap();
        assert!(!pixels.row_equals(5, 2, &known));
    }
}

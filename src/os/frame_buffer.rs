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
use crate::base::Size;
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
    fn rows_are_those_drawn() {
        for offset in [0, 64] {
            let (_file, pixels) = frame_buffer(offset);
            let mut row = [0; 5];
            pixels.read_row(9, 11, &mut row);
            assert_eq!(row, [911, 912, 913, 914, 915]);
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
    }
}

//! The screen's mode: its size, and where its pixels lie.

use super::layout::{self, mode};
use super::memory::SharedMemory;
use super::seqlock::{self, Busy};
use crate::base::{ByteReader, Size, Truncated};

/// `struct caraway_mode`, validated but for the frame buffer's real size ([`Mode::check_frame_buffer`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Counts modes; differs from the last one after each change.
    pub generation: u32,
    /// The screen, 1 to [`layout::SIDE_MAX`] on each side.
    pub size: Size,
    /// Bytes from a row to the next; a multiple of 4, at least 4 times the width.
    pub stride_bytes: u32,
    /// Which frame buffer the pixels are in (`caraway_hello` and `caraway_framebuffer` name it).
    pub framebuffer_id: u32,
    /// Bytes before the first row; a multiple of 4.
    pub offset_bytes: u64,
}

/// Why there is no mode to work with. All but `Busy` are the driver's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// Try again later.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// No mode was set yet.
    #[error("the driver has set no mode")]
    Unset,
    /// `width` or `height`.
    #[error(
        "the driver set a mode of {width}x{height} pixels, largest side {}",
        layout::SIDE_MAX
    )]
    Size {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// `stride` or `framebuffer_offset`.
    #[error(
        "the driver set a stride of {stride_bytes} bytes at {offset_bytes} for {width} columns"
    )]
    Stride {
        /// Bytes of a row.
        stride_bytes: u32,
        /// Bytes before the first.
        offset_bytes: u64,
        /// Columns.
        width: u32,
    },
    /// `format`.
    #[error(
        "the driver set pixel format {0}, this server knows {known}",
        known = layout::FORMAT_32_XRGB
    )]
    Format(u32),
    /// The mode does not fit its frame buffer.
    #[error("the driver's mode needs {needed} bytes of frame buffer and has {size}")]
    FrameBuffer {
        /// Bytes up to the end of the last row.
        needed: u64,
        /// Bytes of the mapping.
        size: u64,
    },
}

impl Mode {
    /// Reads and validates the mode block.
    pub fn read(memory: &(impl SharedMemory + ?Sized)) -> Result<Self, ModeError> {
        let block: [u8; mode::SIZE] = seqlock::read(memory, layout::MODE_OFFSET)?;
        let fields = Fields::parse(&block).map_err(|Truncated { .. }| ModeError::Unset)?;
        fields.validate()
    }

    /// Bytes of frame buffer that the mode reaches over.
    pub fn frame_buffer_bytes(&self) -> u64 {
        let rows = u64::from(self.stride_bytes) * u64::from(self.size.height);
        self.offset_bytes.saturating_add(rows)
    }

    /// Whether the mode fits a frame buffer of `size` bytes, as mapped (not as the block claims).
    pub fn check_frame_buffer(&self, size: u64) -> Result<(), ModeError> {
        let needed = self.frame_buffer_bytes();
        if size < needed {
            return Err(ModeError::FrameBuffer { needed, size });
        }
        Ok(())
    }
}

/// The block as it was copied.
struct Fields {
    generation: u32,
    width: u32,
    height: u32,
    stride: u32,
    format: u32,
    framebuffer_id: u32,
    offset: u64,
}

impl Fields {
    fn parse(block: &[u8; mode::SIZE]) -> Result<Self, Truncated> {
        let mut reader = ByteReader::new(block);
        let _lock = reader.u32()?;
        let generation = reader.u32()?;
        let (width, height) = (reader.u32()?, reader.u32()?);
        let (stride, format) = (reader.u32()?, reader.u32()?);
        let (framebuffer_id, _reserved) = (reader.u32()?, reader.u32()?);
        let offset = reader.u64()?;
        Ok(Self {
            generation,
            width,
            height,
            stride,
            format,
            framebuffer_id,
            offset,
        })
    }

    fn validate(self) -> Result<Mode, ModeError> {
        let Self {
            generation,
            width,
            height,
            ..
        } = self;
        if generation == 0 {
            return Err(ModeError::Unset);
        }
        let sides = 1..=layout::SIDE_MAX;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(ModeError::Size { width, height });
        }
        let (stride_bytes, offset_bytes) = (self.stride, self.offset);
        let aligned = stride_bytes.is_multiple_of(4) && offset_bytes.is_multiple_of(4);
        if !aligned || stride_bytes < width * 4 {
            return Err(ModeError::Stride {
                stride_bytes,
                offset_bytes,
                width,
            });
        }
        if self.format != layout::FORMAT_32_XRGB {
            return Err(ModeError::Format(self.format));
        }
        Ok(Mode {
            generation,
            size: Size::new(width, height),
            stride_bytes,
            framebuffer_id: self.framebuffer_id,
            offset_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::PlainMemory;
    use super::*;

    /// generation, width, height, stride, format, frame buffer
    fn memory_with(words: [u32; 6], offset: u64) -> PlainMemory {
        let memory = PlainMemory::new(layout::RING_MEMFD_SIZE);
        for (index, word) in words.iter().enumerate() {
            memory.write(layout::MODE_OFFSET + 4 + index * 4, &word.to_le_bytes());
        }
        memory.write(
            layout::MODE_OFFSET + mode::FRAMEBUFFER_OFFSET,
            &offset.to_le_bytes(),
        );
        memory
    }

    #[test]
    fn a_mode_reads_as_written() {
        let memory = memory_with([3, 1024, 768, 4160, 32, 9], 8);
        let mode = Mode {
            generation: 3,
            size: Size::new(1024, 768),
            stride_bytes: 4160,
            framebuffer_id: 9,
            offset_bytes: 8,
        };
        assert_eq!(Mode::read(&memory), Ok(mode));
        let needed = 8 + 4160 * 768;
        assert_eq!(mode.check_frame_buffer(needed), Ok(()));
        let error = ModeError::FrameBuffer {
            needed,
            size: needed - 1,
        };
        assert_eq!(mode.check_frame_buffer(needed - 1), Err(error));
    }

    #[test]
    fn each_lie_is_named() {
        let size = |width, height| ModeError::Size { width, height };
        let stride = |stride_bytes, offset_bytes, width| ModeError::Stride {
            stride_bytes,
            offset_bytes,
            width,
        };
        let cases = [
            ([0, 1024, 768, 4160, 32, 9], 0, ModeError::Unset),
            ([1, 0, 768, 4160, 32, 9], 0, size(0, 768)),
            ([1, 8193, 768, 40000, 32, 9], 0, size(8193, 768)),
            ([1, 1024, u32::MAX, 4160, 32, 9], 0, size(1024, u32::MAX)),
            ([1, 1024, 768, 4095, 32, 9], 0, stride(4095, 0, 1024)),
            ([1, 1024, 768, 4092, 32, 9], 0, stride(4092, 0, 1024)),
            ([1, 1024, 768, 4160, 32, 9], 2, stride(4160, 2, 1024)),
            ([1, 1024, 768, 4160, 8, 9], 0, ModeError::Format(8)),
        ];
        for (words, offset, error) in cases {
            assert_eq!(Mode::read(&memory_with(words, offset)), Err(error));
        }
    }

    #[test]
    fn huge_strides_and_offsets_do_not_wrap() {
        let memory = memory_with([1, 8192, 8192, u32::MAX - 3, 32, 0], u64::MAX - 3);
        let mode = Mode::read(&memory).unwrap();
        assert_eq!(mode.frame_buffer_bytes(), u64::MAX);
        assert!(mode.check_frame_buffer(1 << 40).is_err());
    }
}

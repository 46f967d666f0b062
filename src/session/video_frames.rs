//! Encoded frames of what plays, shared by all clients that want them at the same quality.

use std::collections::VecDeque;
use std::fmt;

use crate::base::limits::VIDEOS_MAX;
use crate::display::{Shadow, Video};
use crate::image::jpeg::{JpegBackend, JpegError, JpegSettings, PureJpeg, Sampling};

/// Frames that are kept: two qualities of every video.
const FRAMES_MAX: usize = 2 * VIDEOS_MAX;

/// A frame is known by its video, the count of the video's changes, and its quality.
type Key = (u64, u64, u8);

/// The encoder of video frames with its newest results.
pub(super) struct VideoFrames {
    backend: Box<dyn JpegBackend>,
    frames: VecDeque<(Key, Vec<u8>)>,
}

impl VideoFrames {
    /// With the encoder that is always there.
    pub(super) fn new() -> Self {
        Self::with(Box::new(PureJpeg))
    }

    /// With the system's encoder, say.
    pub(super) const fn with(backend: Box<dyn JpegBackend>) -> Self {
        Self {
            backend,
            frames: VecDeque::new(),
        }
    }

    /// Bytes of the frames.
    pub(super) fn held_bytes(&self) -> usize {
        self.frames.iter().map(|(_, data)| data.capacity()).sum()
    }

    /// The newest frame of `video`, at a JPEG quality of 1 to 100.
    ///
    /// # Errors
    /// [`JpegError`]: the encoder failed.
    pub(super) fn frame(
        &mut self,
        video: &Video,
        quality: u8,
        shadow: &Shadow,
    ) -> Result<&[u8], JpegError> {
        let key = (video.id, video.serial, quality);
        if let Some(known) = self.frames.iter().position(|(known, _)| *known == key) {
            return Ok(&self.frames[known].1);
        }
        let Some(pixels) = shadow.pixels(&video.rect) else {
            let size = video.rect.size();
            return Err(JpegError {
                backend: self.backend.name(),
                width: size.width,
                height: size.height,
            });
        };
        let oldest = if self.frames.len() < FRAMES_MAX {
            None
        } else {
            self.frames.pop_front()
        };
        let mut data = oldest.map_or_else(Vec::new, |(_, data)| data);
        data.clear();
        let settings = JpegSettings::new(quality, Sampling::Quarter);
        self.backend.encode(&pixels, settings, &mut data)?;
        self.frames.push_back((key, data));
        Ok(self.frames.back().map_or(&[], |(_, data)| data))
    }
}

impl fmt::Debug for VideoFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VideoFrames")
            .field("backend", &self.backend.name())
            .field("frames", &self.frames.len())
            .finish()
    }
}

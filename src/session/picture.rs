//! What all display channels show: the screen and the monitors on it.

use crate::base::Size;
use crate::base::limits::MONITORS_MAX;
use crate::channel::pointer;
use crate::display::{Screen, Shadow, Video, VideoDetector};
use crate::ring::Monitors;
use crate::wire::display::{Head, MonitorsConfig};

/// The screen with its monitors.
#[derive(Debug)]
pub(super) struct Picture {
    /// Reads the frame buffer.
    pub screen: Screen,
    /// Watches its frames.
    pub detector: VideoDetector,
    monitors: Monitors,
}

impl Picture {
    /// A screen of this size, all of it one monitor.
    pub(super) fn new(size: Size) -> Self {
        Self {
            screen: Screen::new(size),
            detector: VideoDetector::new(size),
            monitors: Monitors::single(size),
        }
    }

    /// Width and height in pixels.
    pub(super) const fn size(&self) -> Size {
        self.screen.size()
    }

    /// The newest pixels that were read.
    pub(super) const fn shadow(&self) -> &Shadow {
        self.screen.shadow()
    }

    /// What plays on it.
    pub(super) fn videos(&self) -> &[Video] {
        self.detector.videos()
    }

    /// Monitors moved. Returns whether anything changed.
    pub(super) fn set_monitors(&mut self, monitors: Monitors) -> bool {
        let changed = self.monitors != monitors;
        self.monitors = monitors;
        changed
    }

    /// What pointer positions refer to.
    pub(super) fn pointer_screen(&self) -> pointer::Screen<'_> {
        pointer::Screen {
            size: self.size(),
            heads: &self.monitors.heads,
        }
    }

    /// The monitors as clients are told; never an empty list, which they would ignore.
    pub(super) fn monitors_config(&self) -> MonitorsConfig {
        let whole = Monitors::single(self.size());
        let heads = if self.monitors.heads.is_empty() {
            &whole
        } else {
            &self.monitors
        };
        MonitorsConfig {
            max_allowed: MONITORS_MAX as u16,
            heads: heads
                .heads
                .iter()
                .map(|head| Head::new(head.id, &head.rect))
                .collect(),
        }
    }
}

const _: () = assert!(
    0 < MONITORS_MAX && MONITORS_MAX <= 256,
    "what spice-gtk allows"
);

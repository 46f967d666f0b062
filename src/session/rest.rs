//! What a session gives back when nothing happens: memory that work has left behind and more work would take again.
//!
//! - *Scratch* (codecs, payloads, frames of videos, the old pixels of the search for moves) is given up
//!   [`SCRATCH_UNUSED_AFTER`] behind the last large images, behind small ones in the next rest;
//! - save-unders and dictionaries when they have been of no use for [`UNUSED_AFTER`].
//!
//! The shadow stays, also while nobody watches: the first picture of who comes would else be one in which everything
//! has changed, which is searched for moves.
//!
//! A rest is `io`'s word (`io::tidiness`); here is no timer.
//!
//! [`UNUSED_AFTER`]: crate::display::saved::UNUSED_AFTER

use super::channel::{Channel, Role};
use super::desktop::Session;
use super::video_frames::VideoFrames;
use crate::base::Micros;

/// Large images come in bursts: a film that pauses, pages that are read one by one. To take memory anew costs a page
/// of 4 KiB about a microsecond.
const SCRATCH_UNUSED_AFTER: Micros = Micros::from_secs(30);

/// Bytes of one turn of a display that has taken much scratch.
const LARGE_BYTES_MIN: u64 = 16 * 1024;

/// Whether there is scratch to give up.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    is_there: bool,
    large_at: Option<Micros>,
}

impl Scratch {
    /// A display was sent so many bytes.
    pub(super) fn used(&mut self, now: Micros, bytes: u64) {
        self.is_there |= 0 < bytes;
        if LARGE_BYTES_MIN <= bytes {
            self.large_at = Some(now);
        }
    }

    /// When it may go, if there is any.
    fn due(&self) -> Option<Micros> {
        let large = self.large_at.map(|at| at + SCRATCH_UNUSED_AFTER);
        self.is_there.then(|| large.unwrap_or_default())
    }
}

/// Bytes that a session keeps, by what it keeps them for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The newest pixels of the screen.
    pub shadow: usize,
    /// What a search for moves compares them with.
    pub before: usize,
    /// Save-unders.
    pub saved: usize,
    /// Earlier images, of all clients.
    pub dictionaries: usize,
    /// Payloads of images, kept for the next ones.
    pub payloads: usize,
    /// Frames of videos.
    pub video_frames: usize,
    /// Outboxes of all channels.
    pub outboxes: usize,
    /// There are codecs with their memory: one to two megabytes for each processor.
    pub has_codecs: bool,
}

impl Session {
    /// Nothing happens for a moment: gives up what has not been of use for long. When to come again, if at all.
    pub fn tidy(&mut self, now: Micros) -> Option<Micros> {
        let mut again = vec![self.picture.screen.tidy(now)];
        for channel in self.channels.values_mut() {
            if let Role::Display(display) = &mut channel.role {
                again.push(display.tidy(now));
            }
        }
        match self.scratch.due() {
            Some(due) if now < due => again.push(Some(due)),
            Some(_) => self.give_up_scratch(),
            None => {}
        }
        again.into_iter().flatten().min()
    }

    /// What it keeps now.
    pub fn held(&self) -> Held {
        let [shadow, before, saved] = self.picture.screen.held_bytes();
        let dictionary = |channel: &Channel| match &channel.role {
            Role::Display(display) => display.held_bytes(),
            _ => 0,
        };
        let channels = || self.channels.values();
        Held {
            shadow,
            before,
            saved,
            dictionaries: channels().map(dictionary).sum(),
            payloads: self.content.held_bytes(),
            video_frames: self.video_frames.held_bytes(),
            outboxes: channels().map(|one| one.outbox.held_bytes()).sum(),
            has_codecs: self.content.holds_codecs(),
        }
    }

    fn give_up_scratch(&mut self) {
        self.scratch = Scratch::default();
        self.picture.screen.give_up_scratch();
        self.content.give_up();
        // Its JPEG encoder has a buffer, too.
        self.video_frames = VideoFrames::with(self.content.jpeg_backend());
        for channel in self.channels.values_mut() {
            channel.outbox.give_up_scratch();
        }
    }
}

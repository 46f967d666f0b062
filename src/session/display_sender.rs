//! One client's display channel: what it has, and the next thing it gets.
//!
//! ```text
//!  AwaitingInit ──INIT──▶ AwaitingFrame ──▶ Creating ──SURFACE_CREATE──▶ Painting ──every pixel sent once──▶ Live
//!                              ▲                                                  MONITORS_CONFIG, MARK        │
//!                              └──────────────────── SURFACE_DESTROY ◀── mode change ──────────────────────────┘
//! ```
//!
//! Whoever joins waits for the next frame, which is made at once: what was read last may be hours old.
//!
//! The first picture is painted on a surface aside and comes to the screen by one copy: whoever looks at the screen
//! meanwhile (spicy-screenshot takes its first update for the whole) sees all of it or nothing. MARK makes spice-gtk
//! show the surface, so it comes when there is a whole picture to show.

use super::image_sender::{ImageEncoders, ImageSender, Target};
use super::picture::Picture;
use super::stage::{self, PRIMARY, STAGING, Stage};
use super::stream_sender::StreamSender;
use super::tally::Tally;
use super::video_frames::VideoFrames;
use crate::base::limits::IMAGE_PIXELS_MAX;
use crate::base::{Micros, Rect, Region};
use crate::channel::Outbox;
use crate::display::{ExactOp, Frame, Line, Pacer, Path, Save, Update, View};
use crate::wire::WireError;
use crate::wire::caps::{Caps, display as cap};
use crate::wire::display::{ClientMessage, InvalAllPalettes, Mark, SurfaceCreate, SurfaceDestroy};
use crate::wire::draw::{CopyBits, DrawFill, SurfaceCopy};

/// The surface of the first slot of remembered content; the others follow.
const FIRST_SAVED: u32 = 2;
/// What all displays encode with.
#[derive(Debug)]
pub(super) struct Encoders<'a> {
    /// Images.
    pub(super) images: ImageEncoders<'a>,
    /// Frames of streams.
    pub(super) video: &'a mut VideoFrames,
}

#[derive(Debug)]
enum Phase {
    AwaitingInit,
    AwaitingFrame,
    Creating,
    Painting { unseen: Region },
    Live,
}

/// The sending side of a display channel.
#[derive(Debug)]
pub(super) struct DisplaySender {
    phase: Phase,
    view: View,
    pacer: Pacer,
    streams: StreamSender,
    /// The last pixels were those of a stream: it is the turn of images.
    streamed_last: bool,
    images: ImageSender,
    stage: Stage,
    /// A frame came of which nothing has been sent.
    is_new_frame: bool,
    /// When the first image behind the last frame was sent.
    images_since: Option<Micros>,
    wants_monitors: bool,
    monitors_stale: bool,
    /// Pixels were sent since the last frame: what is sent next should be newer.
    sent_since_frame: bool,
    /// For people.
    pub(super) tally: Tally,
}

impl DisplaySender {
    /// For a client that announced `caps` on its display channel and comes by `path`.
    pub(super) fn new(caps: &Caps, path: Path, picture: &Picture) -> Self {
        Self {
            phase: Phase::AwaitingInit,
            view: View::new(picture.size()),
            pacer: Pacer::new(path),
            streams: StreamSender::new(caps),
            streamed_last: false,
            images: ImageSender::new(caps, path),
            stage: Stage::default(),
            is_new_frame: false,
            images_since: None,
            wants_monitors: caps.has(cap::MONITORS_CONFIG),
            monitors_stale: false,
            sent_since_frame: false,
            tally: Tally::default(),
        }
    }

    /// Takes in a message of this channel. After the client's INIT it may be sent pictures;
    /// preferences about video codecs, of which there is one, are ignored.
    ///
    /// # Errors
    /// [`WireError`] ends the connection.
    pub(super) fn handle(&mut self, number: u16, body: &[u8]) -> Result<(), WireError> {
        let message = ClientMessage::decode(number, body)?;
        if let (ClientMessage::Init(init), Phase::AwaitingInit) = (&message, &self.phase) {
            self.images.init(init);
            self.phase = Phase::AwaitingFrame;
        }
        match message {
            ClientMessage::StreamReport(report) => {
                self.streams.reported(&report, &mut self.view);
            }
            ClientMessage::PreferredCompression(preferred) => {
                self.images.prefer(preferred.image_compression);
            }
            _ => {}
        }
        Ok(())
    }

    /// The shadow went on by one frame.
    pub(super) fn frame(&mut self, now: Micros, frame: &Frame, picture: &Picture) {
        self.tally.frame();
        self.view.frame(frame);
        if matches!(self.phase, Phase::Live) {
            self.streams.frame(picture.videos());
            self.streams.follow(now, picture.videos(), &mut self.view);
        }
        self.sent_since_frame = false;
        self.is_new_frame = true;
        self.images_since = None;
        self.images.frame();
        if matches!(self.phase, Phase::AwaitingFrame) {
            self.phase = Phase::Creating;
        }
    }

    /// See [`ImageSender::tidy`].
    pub(super) fn tidy(&mut self, now: Micros) -> Option<Micros> {
        self.images.tidy(now)
    }

    /// Bytes of the client's dictionary.
    pub(super) fn held_bytes(&self) -> usize {
        self.images.held_bytes()
    }

    /// Whether it waits for a frame to begin with.
    pub(super) fn awaits_frame(&self) -> bool {
        matches!(self.phase, Phase::AwaitingFrame)
    }

    /// Whether the client has a picture that is kept up to date.
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    /// The screen has another size: the surface is made anew, at the next frame, for the shadow of the new screen holds
    /// nothing yet.
    pub(super) fn resize(&mut self, picture: &Picture, outbox: &mut Outbox) {
        for slot in self.view.surfaces() {
            let surface_id = FIRST_SAVED + slot;
            outbox.send(&SurfaceDestroy { surface_id });
        }
        self.view = View::new(picture.size());
        // Clients draw frames by way of their surface.
        self.streams.destroy_all(outbox);
        self.stage.destroy(outbox);
        if matches!(self.phase, Phase::Painting { .. } | Phase::Live) {
            outbox.send(&SurfaceDestroy {
                surface_id: PRIMARY,
            });
        }
        if !matches!(self.phase, Phase::AwaitingInit) {
            self.phase = Phase::AwaitingFrame;
        }
    }

    /// Monitors moved while the screen kept its size. The newest are sent when the client takes something.
    pub(super) const fn monitors_changed(&mut self) {
        self.monitors_stale = true;
    }

    /// A PONG came back.
    pub(super) fn answered(&mut self, now: Micros, ping_id: u32) {
        self.pacer.answered(now, ping_id);
    }

    /// The shortest round trip lately, in microseconds.
    pub(super) fn rtt_us(&self) -> Option<u64> {
        self.pacer.rtt_us()
    }

    /// When [`transmit`](Self::transmit) is to be called though nothing happens: what played is still then.
    pub(super) fn deadline(&self) -> Option<Micros> {
        self.streams.deadline()
    }

    /// The kernel's shortest round trip, before any fence was answered.
    pub(super) fn kernel_rtt(&mut self, rtt: Micros) {
        self.pacer.kernel_rtt(rtt);
    }

    /// Bytes a second that the client takes, once known.
    pub(super) fn rate_bytes_per_s(&self) -> Option<u64> {
        self.pacer.rate_bytes_per_s()
    }

    /// Bytes that the client has not been seen to handle.
    pub(super) const fn in_flight_bytes(&self) -> u64 {
        self.pacer.in_flight_bytes()
    }

    /// Bytes that may be in flight.
    pub(super) const fn in_flight_max(&self) -> u64 {
        self.pacer.limit_bytes()
    }

    /// Whether the client could take a frame now: then it is worth reading one.
    pub(super) fn is_ready(&self, outbox: &Outbox) -> bool {
        !matches!(self.phase, Phase::AwaitingInit)
            && outbox.is_empty()
            && outbox.takes_drawings()
            && (self.pacer.allows() || self.sent_since_frame)
    }

    /// Appends the next message, at most one image. Returns whether there is more to send right now.
    pub(super) fn transmit(
        &mut self,
        now: Micros,
        picture: &Picture,
        encoders: &mut Encoders<'_>,
        outbox: &mut Outbox,
    ) -> bool {
        match self.phase {
            Phase::AwaitingInit | Phase::AwaitingFrame => return false,
            Phase::Creating | Phase::Painting { .. } => {}
            Phase::Live => self.streams.follow(now, picture.videos(), &mut self.view),
        }
        self.fence(now, false, outbox);
        let before = outbox.written_bytes();
        let room = outbox.takes_drawings() && self.pacer.allows() && !outbox.is_full();
        let sent = room && self.send_next(now, picture, encoders, outbox);
        if sent {
            self.tally.sent(now);
        }
        // A client that has to read first is not shown a part of it: it will not come to that part any sooner.
        self.stage.end_if(now, room && !sent, outbox);
        let bytes = outbox.written_bytes() - before;
        if 0 < bytes {
            self.pacer.sent(now, bytes);
        }
        self.fence(now, sent && self.streamed_last, outbox);
        sent
    }

    /// A fence where it tells something new, behind video always.
    fn fence(&mut self, now: Micros, streamed: bool, outbox: &mut Outbox) {
        if self.pacer.wants_fence() || (streamed && self.pacer.may_fence()) {
            let id = outbox.ping(now);
            self.pacer.fence(now, id);
        }
    }

    fn send_next(
        &mut self,
        now: Micros,
        picture: &Picture,
        encoders: &mut Encoders<'_>,
        outbox: &mut Outbox,
    ) -> bool {
        if matches!(self.phase, Phase::Creating) {
            outbox.send(&InvalAllPalettes {});
            let primary = SurfaceCreate::primary(picture.size());
            outbox.send(&primary);
            self.stage.create(picture.size(), outbox);
            self.phase = Phase::Painting {
                unseen: Region::from(picture.size().rect()),
            };
            return true;
        }
        if std::mem::take(&mut self.monitors_stale) && matches!(self.phase, Phase::Live) {
            self.send_monitors(picture, outbox);
            return true;
        }
        if self.streams.send_ends(outbox) {
            return true;
        }
        if self.is_new_frame && !self.view.is_remembering() {
            self.is_new_frame = false;
            self.begin_scene(now, picture, outbox);
        }
        if let Some(update) = self.view.next_exact() {
            self.send_one(now, &update, picture, encoders, outbox);
            return true;
        }
        // Video and the rest take turns, so that neither starves the other.
        let streams_first = !std::mem::take(&mut self.streamed_last);
        streams_first && self.send_stream(now, picture, encoders, outbox)
            || self.send_update(now, picture, encoders, outbox)
            || !streams_first && self.send_stream(now, picture, encoders, outbox)
    }

    /// Draws a frame of several updates aside. On a slow line each of them is shown as it comes; in a browser, where
    /// spice-html5 copies surfaces through the page's memory, drawing aside takes longer than it saves.
    fn begin_scene(&mut self, now: Micros, picture: &Picture, outbox: &mut Outbox) {
        let is_slow = matches!(self.pacer.line(), Line::Wan { .. });
        if !matches!(self.phase, Phase::Live) || is_slow || !self.wants_monitors {
            return;
        }
        if let Some(scene) = self.view.scene() {
            let covered = self.view.covered_first();
            self.stage
                .begin(now, picture.size(), &scene, covered, outbox);
        }
    }

    fn send_stream(
        &mut self,
        now: Micros,
        picture: &Picture,
        encoders: &mut Encoders<'_>,
        outbox: &mut Outbox,
    ) -> bool {
        if self.streams.is_empty() {
            return false;
        }
        self.stage.end(outbox);
        let (shadow, view) = (picture.shadow(), &mut self.view);
        let frames = &mut *encoders.video;
        let sent = self
            .streams
            .send_frame(now, shadow, &self.pacer, frames, view, outbox);
        self.streamed_last |= sent;
        self.sent_since_frame |= sent;
        sent
    }

    fn send_update(
        &mut self,
        now: Micros,
        picture: &Picture,
        encoders: &mut Encoders<'_>,
        outbox: &mut Outbox,
    ) -> bool {
        let pixels_max = self.images.images_at_once() * IMAGE_PIXELS_MAX;
        let pixels_max = self.pacer.image_pixels_max(pixels_max);
        let Some(update) = self.view.next_update(pixels_max) else {
            return false;
        };
        self.send_one(now, &update, picture, encoders, outbox);
        true
    }

    fn send_one(
        &mut self,
        now: Micros,
        update: &Update,
        picture: &Picture,
        encoders: &mut Encoders<'_>,
        outbox: &mut Outbox,
    ) {
        let surface_id = self.target(update, outbox);
        match update {
            Update::Exact(op) => {
                send_exact(surface_id, op, outbox);
                self.seen(&op.rect(), picture, outbox);
            }
            Update::Image(rect) => {
                self.send_image(now, surface_id, rect, picture, encoders, outbox);
                self.seen(rect, picture, outbox);
            }
            Update::Save(save) => send_save(save, outbox),
            Update::Restore(restore) => outbox.send(&SurfaceCopy {
                surface_id,
                rect: restore.rect,
                source_id: FIRST_SAVED + restore.slot,
                source: restore.source,
            }),
            Update::Forget(slot) => outbox.send(&SurfaceDestroy {
                surface_id: FIRST_SAVED + slot,
            }),
        }
    }

    /// The surface that is painted on.
    fn target(&mut self, update: &Update, outbox: &mut Outbox) -> u32 {
        if matches!(self.phase, Phase::Painting { .. }) {
            STAGING
        } else {
            self.stage.target(update, outbox)
        }
    }

    fn send_image(
        &mut self,
        now: Micros,
        surface_id: u32,
        rect: &Rect,
        picture: &Picture,
        encoders: &mut Encoders<'_>,
        outbox: &mut Outbox,
    ) {
        let Some(pixels) = picture.shadow().pixels(rect) else {
            return;
        };
        self.sent_since_frame = true;
        let target = Target {
            surface_id,
            line: self.pacer.line(),
            now,
            elapsed: now.since(*self.images_since.get_or_insert(now)),
            exact: self.view.is_sharpening(),
        };
        let sent = self
            .images
            .send(rect, &pixels, target, &mut encoders.images, outbox);
        if 0 < sent.payload_bytes {
            // What went by name or as a fill says nothing about the next image.
            self.pacer.encoded(rect.area(), sent.payload_bytes);
        }
        for rect in sent.lossy {
            self.view.mark_lossy(rect);
        }
    }

    fn send_monitors(&self, picture: &Picture, outbox: &mut Outbox) {
        if self.wants_monitors {
            outbox.send(&picture.monitors_config());
        }
    }

    /// Counts towards the first whole picture.
    fn seen(&mut self, rect: &Rect, picture: &Picture, outbox: &mut Outbox) {
        let Phase::Painting { unseen } = &mut self.phase else {
            return;
        };
        unseen.remove(*rect);
        if unseen.is_empty() {
            stage::show(&picture.size().rect(), outbox);
            self.stage.destroy(outbox);
            self.send_monitors(picture, outbox);
            outbox.send(&Mark {});
            self.phase = Phase::Live;
            self.view.remember();
        }
    }
}

/// A view remembers only behind its first picture, so it is the screen that is copied.
fn send_save(save: &Save, outbox: &mut Outbox) {
    let surface_id = FIRST_SAVED + save.slot;
    if let Some(size) = save.new {
        outbox.send(&SurfaceCreate::aside(surface_id, size));
    }
    let size = save.rect.size();
    outbox.send(&SurfaceCopy {
        surface_id,
        rect: size.rect().translate(save.target),
        source_id: PRIMARY,
        source: save.rect.origin(),
    });
}

fn send_exact(surface_id: u32, op: &ExactOp, outbox: &mut Outbox) {
    match *op {
        ExactOp::Copy { rect, delta } => {
            let source = rect.origin().minus(delta);
            outbox.send(&CopyBits {
                surface_id,
                rect,
                source,
            });
        }
        ExactOp::Fill { rect, color } => outbox.send(&DrawFill {
            surface_id,
            rect,
            color,
        }),
    }
}

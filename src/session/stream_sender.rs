//! One client's video streams: which of the screen's videos it is shown as a stream, and the next frame of each.
//!
//! ```text
//!  moves ──▶ STREAM_CREATE, STREAM_DATA ... ──▶ still, gone or another rectangle ──▶ STREAM_DESTROY ──▶ exact pixels
//! ```
//!
//! While a stream lives, its rectangle is held back from images and counts as lossy. The end of the stream comes before
//! the exact pixels: a client forgets the frames that it has not shown yet, which would else be shown over them.
//! A frame is made when the client can take one, of the newest pixels: frames are skipped, never queued.

use super::video_frames::VideoFrames;
use crate::base::limits::VIDEOS_MAX;
use crate::base::{Micros, Rect, Region};
use crate::channel::Outbox;
use crate::display::{Pacer, Shadow, StreamClock, StreamQuality, Video, View};
use crate::wire::caps::{Caps, display as cap};
use crate::wire::display::StreamReport;
use crate::wire::stream::{
    StreamActivateReport, StreamClip, StreamCreate, StreamData, StreamDestroy, StreamFlags,
    VideoCodec,
};

/// A report is asked for after this many frames ...
const REPORT_FRAMES: u32 = 5;

/// ... or this long.
const REPORT_TIMEOUT: Micros = Micros::from_millis(500);

/// Frames wait for a line on which other bytes would keep them back for longer than this.
const QUEUE_MAX: Micros = Micros::from_millis(40);

/// spice-html5 decodes frames on the side, and shows them even after the stream's end: that long they may take.
const LATE_FRAMES: Micros = Micros::from_millis(120);

/// A stream of the client.
#[derive(Clone, Copy, Debug)]
struct Stream {
    /// Its number on the wire.
    id: u32,
    unique_id: u32,
    video: Video,
    /// The client has been told of it.
    created: bool,
    /// The change of the video that was sent last.
    sent_serial: u64,
}

/// All streams of one display channel.
#[derive(Debug)]
pub(super) struct StreamSender {
    /// The client plays MJPEG, and has not said that it cannot.
    plays: bool,
    reports: bool,
    shows_late: bool,
    streams: Vec<Stream>,
    /// Numbers of streams whose end the client is to be told.
    ended: Vec<u32>,
    /// Where frames of ended streams may still be shown, and until when.
    settling: Vec<(Rect, Micros)>,
    clock: StreamClock,
    quality: StreamQuality,
    next_unique_id: u32,
    /// The stream whose frame was sent last.
    last_id: u32,
}

impl StreamSender {
    /// For a client that announced `caps` on its display channel.
    pub(super) fn new(caps: &Caps) -> Self {
        Self {
            plays: !caps.has(cap::MULTI_CODEC) || caps.has(cap::CODEC_MJPEG),
            reports: caps.has(cap::STREAM_REPORT),
            // spice-html5 is the client without MONITORS_CONFIG.
            shows_late: !caps.has(cap::MONITORS_CONFIG),
            streams: Vec::new(),
            ended: Vec::new(),
            settling: Vec::new(),
            clock: StreamClock::new(),
            quality: StreamQuality::new(),
            next_unique_id: 1,
            last_id: 0,
        }
    }

    /// Counts frames that were overtaken before they could be sent; to be called with each frame of the screen.
    pub(super) fn frame(&mut self, videos: &[Video]) {
        for stream in &self.streams {
            let newer =
                |video: &&Video| video.id == stream.video.id && video.serial != stream.video.serial;
            let overtaken = stream.sent_serial != stream.video.serial;
            if stream.created && overtaken && videos.iter().any(|video| newer(&video)) {
                self.quality.missed(1);
            }
        }
    }

    /// Begins streams of what moves and ends those of what does not; sends nothing yet.
    pub(super) fn follow(&mut self, now: Micros, videos: &[Video], view: &mut View) {
        if !self.plays {
            return;
        }
        let before = self.streams.len() + self.settling.len();
        let mut going_on = Vec::with_capacity(self.streams.len());
        for mut stream in std::mem::take(&mut self.streams) {
            match videos.iter().find(|video| video.id == stream.video.id) {
                Some(video) if video.is_moving(now) => {
                    stream.video = *video;
                    going_on.push(stream);
                }
                _ => self.end(now, &stream, view),
            }
        }
        self.streams = going_on;
        self.settling.retain(|(_, until)| now < *until);
        let mut changed = before != self.streams.len() + self.settling.len();
        for video in videos.iter().filter(|video| video.is_moving(now)) {
            let known = |stream: &Stream| stream.video.id == video.id;
            if !self.streams.iter().any(known) && self.streams.len() < VIDEOS_MAX {
                self.begin(video);
                changed = true;
            }
        }
        if changed {
            view.hold(self.held());
        }
    }

    /// When [`follow`](Self::follow) is to be called though nothing happens.
    pub(super) fn deadline(&self) -> Option<Micros> {
        let still = self.streams.iter().map(|stream| stream.video.still_at());
        let settled = self.settling.iter().map(|(_, until)| *until);
        still.chain(settled).min()
    }

    /// Whether nothing plays.
    pub(super) const fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// All streams end, now: their surface goes.
    pub(super) fn destroy_all(&mut self, outbox: &mut Outbox) {
        let created = self.streams.drain(..).filter(|stream| stream.created);
        self.ended.extend(created.map(|stream| stream.id));
        self.settling.clear();
        self.send_ends(outbox);
    }

    /// Tells the client which streams have ended. Returns whether there were any.
    pub(super) fn send_ends(&mut self, outbox: &mut Outbox) -> bool {
        let any = !self.ended.is_empty();
        for id in self.ended.drain(..) {
            outbox.send(&StreamDestroy { id });
        }
        any
    }

    /// Sends a frame of the next stream whose pixels have changed. Exact operations and ends of streams have been sent
    /// before. Returns whether there was one.
    pub(super) fn send_frame(
        &mut self,
        now: Micros,
        shadow: &Shadow,
        pacer: &Pacer,
        frames: &mut VideoFrames,
        view: &mut View,
        outbox: &mut Outbox,
    ) -> bool {
        let Some(index) = self.next_stale(view) else {
            return false;
        };
        if QUEUE_MAX < pacer.queued(0) {
            return false;
        }
        let stream = &mut self.streams[index];
        let video = stream.video;
        let Ok(data) = frames.frame(&video, self.quality.quality(), shadow) else {
            self.refuse(view);
            return false;
        };
        if !std::mem::replace(&mut stream.created, true) {
            create(stream, self.reports, outbox);
        }
        let queued = pacer.queued(data.len() as u64);
        outbox.send(&StreamData {
            id: stream.id,
            multi_media_time: self.clock.stamp(now, queued),
            data,
        });
        stream.sent_serial = video.serial;
        self.last_id = stream.id;
        if queued <= QUEUE_MAX {
            self.quality.sent();
        } else {
            self.quality.missed(1);
        }
        view.streamed(video.rect);
        true
    }

    /// The client reports on a stream.
    pub(super) fn reported(&mut self, report: &StreamReport, view: &mut View) {
        if report.num_frames == 0 && report.num_drops == u32::MAX {
            self.refuse(view);
            return;
        }
        let known =
            |stream: &Stream| stream.id == report.stream_id && stream.unique_id == report.unique_id;
        if self.streams.iter().any(known) {
            let (stamp, early_ms) = (report.end_frame_mm_time, report.last_frame_delay);
            self.clock.reported(stamp, early_ms, report.num_drops);
            self.quality.missed(report.num_drops);
        }
    }

    fn begin(&mut self, video: &Video) {
        let free = |id: &u32| !self.streams.iter().any(|stream| stream.id == *id);
        let Some(id) = (0..).find(free) else {
            return;
        };
        self.streams.push(Stream {
            id,
            unique_id: self.next_unique_id,
            video: *video,
            created: false,
            sent_serial: 0,
        });
        self.next_unique_id = self.next_unique_id.wrapping_add(1);
    }

    fn end(&mut self, now: Micros, stream: &Stream, view: &mut View) {
        if !stream.created {
            return;
        }
        self.ended.push(stream.id);
        view.mark_lossy(stream.video.rect);
        if self.shows_late {
            self.settling.push((stream.video.rect, now + LATE_FRAMES));
        }
    }

    /// No streams any more for this client.
    fn refuse(&mut self, view: &mut View) {
        self.plays = false;
        for stream in std::mem::take(&mut self.streams) {
            self.end(Micros(0), &stream, view);
        }
        self.settling.clear();
        view.hold(Region::new());
    }

    fn held(&self) -> Region {
        let streams = self.streams.iter().map(|stream| stream.video.rect);
        let settling = self.settling.iter().map(|(rect, _)| *rect);
        Region::from_rects(&streams.chain(settling).collect::<Vec<_>>())
    }

    /// The next one by number behind the last one that was sent, so that each gets its turn.
    fn next_stale(&self, view: &View) -> Option<usize> {
        let stale = |index: &usize| view.is_stale(&self.streams[*index].video.rect);
        let turn = |index: &usize| {
            let id = self.streams[*index].id;
            (id <= self.last_id, id)
        };
        (0..self.streams.len()).filter(stale).min_by_key(turn)
    }
}

fn create(stream: &Stream, reports: bool, outbox: &mut Outbox) {
    let size = stream.video.rect.size();
    outbox.send(&StreamCreate {
        surface_id: 0,
        id: stream.id,
        flags: StreamFlags::TOP_DOWN,
        codec: VideoCodec::MJPEG,
        stamp: 0,
        stream_size: size,
        source_size: size,
        rect: stream.video.rect,
        clip: StreamClip::None,
    });
    if reports {
        outbox.send(&StreamActivateReport {
            stream_id: stream.id,
            unique_id: stream.unique_id,
            max_window_size: REPORT_FRAMES,
            timeout_ms: u32::try_from(REPORT_TIMEOUT.as_millis()).unwrap_or(u32::MAX),
        });
    }
}

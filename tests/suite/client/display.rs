//! The display channel of a model client: surfaces, and everything that is drawn on them.

use std::collections::{BTreeMap, BTreeSet};

use caraway_server::base::limits::SCREEN_SIDE_MAX;
use caraway_server::base::{Point, Rect, Size};
use caraway_server::wire::Message;
use caraway_server::wire::display::{
    InvalAllPalettes, InvalList, Mark, MonitorsConfig, SurfaceCreate, SurfaceDestroy, SurfaceFlags,
    SurfaceFormat,
};
use caraway_server::wire::draw::{
    CopyBits, DrawCopy, DrawFill, ImageFlags, ImageType, ReceivedCopy,
};
use caraway_server::wire::stream::{
    StreamActivateReport, StreamClip, StreamCreate, StreamData, StreamDestroy, StreamFlags,
    VideoCodec,
};

use super::Profile;
use super::images::{Images, jpeg};
use super::stream::exactly;

/// Pixels that it keeps, as its INIT tells.
pub(crate) const CACHE_PIXELS: usize = 40_000;

/// Pixels of all surfaces off the screen, in screens, that any client can be asked for.
const SAVED_SCREENS_MAX: u64 = 4;

/// Number of the surface that is the screen.
const PRIMARY: u32 = 0;

/// Number of the surface on which frames are drawn before they are shown.
const STAGING: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Surface {
    pub(crate) size: Size,
    /// 0x00RRGGBB, row by row.
    pub(crate) pixels: Vec<u32>,
}

/// What came, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) fills: u32,
    pub(crate) copies: u32,
    pub(crate) images: u32,
    pub(crate) bitmaps: u32,
    pub(crate) palettes: u32,
    pub(crate) lz: u32,
    pub(crate) lz4: u32,
    pub(crate) quic: u32,
    pub(crate) glz: u32,
    pub(crate) jpeg: u32,
    /// Images by name.
    pub(crate) cached: u32,
    /// Copies from a surface off the screen to the screen.
    pub(crate) restores: u32,
    /// Copies from the screen to a surface off it.
    pub(crate) saves: u32,
    /// Pixels of images.
    pub(crate) image_pixels: u64,
    pub(crate) marks: u32,
    pub(crate) monitors: u32,
    /// Streams that began, and frames of streams.
    pub(crate) streams: u32,
    pub(crate) frames: u32,
    pub(crate) frame_bytes: u64,
    /// Drawings on surface 0 before its MARK, since it was made last.
    pub(crate) unmarked: u32,
    /// Drawings on surface 0 after its MARK: each may be seen by itself.
    pub(crate) seen: u32,
}

#[derive(Debug)]
pub(crate) struct DisplayModel {
    profile: Profile,
    pub(crate) surfaces: BTreeMap<u32, Surface>,
    pub(crate) marked: bool,
    pub(crate) monitors: Option<MonitorsConfig>,
    image_ids: BTreeSet<u64>,
    cache: BTreeMap<u64, Vec<u32>>,
    images: Images,
    pub(crate) counts: Counts,
    /// By their numbers.
    pub(crate) streams: BTreeMap<u32, StreamCreate>,
    last_frame_time: u32,
}

impl DisplayModel {
    pub(crate) const fn new(profile: Profile) -> Self {
        Self {
            profile,
            surfaces: BTreeMap::new(),
            marked: false,
            monitors: None,
            image_ids: BTreeSet::new(),
            cache: BTreeMap::new(),
            images: Images::new(profile),
            counts: Counts {
                fills: 0,
                copies: 0,
                images: 0,
                bitmaps: 0,
                palettes: 0,
                lz: 0,
                lz4: 0,
                quic: 0,
                glz: 0,
                jpeg: 0,
                cached: 0,
                restores: 0,
                saves: 0,
                image_pixels: 0,
                marks: 0,
                monitors: 0,
                unmarked: 0,
                seen: 0,
                streams: 0,
                frames: 0,
                frame_bytes: 0,
            },
            streams: BTreeMap::new(),
            last_frame_time: 0,
        }
    }

    /// Earlier images in the dictionary.
    pub(crate) fn images_held(&self) -> usize {
        self.images.held()
    }

    /// What the user sees.
    pub(crate) fn shown(&self) -> Option<&Surface> {
        self.surfaces.get(&PRIMARY).filter(|_| self.marked)
    }

    pub(crate) fn hear(&mut self, number: u16, body: &[u8]) {
        match number {
            InvalList::TYPE => self.forget_images(&exactly(body)),
            InvalAllPalettes::TYPE => {
                exactly::<InvalAllPalettes>(body);
            }
            SurfaceCreate::TYPE => self.create(&exactly(body)),
            SurfaceDestroy::TYPE => self.destroy(exactly::<SurfaceDestroy>(body).surface_id),
            MonitorsConfig::TYPE => self.configure(exactly(body)),
            Mark::TYPE => self.mark(exactly(body)),
            DrawFill::TYPE => {
                let fill: DrawFill = exactly(body);
                assert_eq!(fill.color >> 24, 0, "a colour of 24 bits");
                self.counts.fills += 1;
                let area = usize::try_from(fill.rect.area()).expect("a screen");
                self.paint(fill.surface_id, &fill.rect, &vec![fill.color; area]);
            }
            CopyBits::TYPE => {
                let copy: CopyBits = exactly(body);
                self.counts.copies += 1;
                let way = copy.source.minus(copy.rect.origin());
                let pixels = self.pixels(copy.surface_id, &copy.rect.translate(way));
                self.paint(copy.surface_id, &copy.rect, &pixels);
            }
            DrawCopy::TYPE => self.draw_copy(body),
            StreamCreate::TYPE => self.create_stream(exactly(body)),
            StreamActivateReport::TYPE => {
                let activate: StreamActivateReport = exactly(body);
                assert_ne!(self.profile, Profile::Old, "it does not know reports");
                assert!(self.streams.contains_key(&activate.stream_id));
            }
            StreamData::TYPE => self.show_frame(&exactly(body)),
            StreamDestroy::TYPE => {
                // spice-html5 throws at one that is not there.
                let gone = self.streams.remove(&exactly::<StreamDestroy>(body).id);
                assert!(gone.is_some(), "a stream that is there");
            }
            other => unreachable!("the server has no reason to say {other}"),
        }
    }

    fn create(&mut self, create: &SurfaceCreate) {
        let sides = 1..=SCREEN_SIDE_MAX;
        assert!(sides.contains(&create.width) && sides.contains(&create.height));
        assert_eq!(create.format, SurfaceFormat::XRGB_32);
        let primary = create.surface_id == PRIMARY;
        assert_eq!(primary, create.flags == SurfaceFlags::PRIMARY);
        let size = Size::new(create.width, create.height);
        let area = usize::try_from(size.area()).expect("a screen");
        // Some colour that nobody would paint: what is not drawn must not be right by chance.
        let pixels = vec![0x00ba_dbad; area];
        let surface = Surface { size, pixels };
        let before = self.surfaces.insert(create.surface_id, surface);
        assert!(before.is_none(), "surface {} is there", create.surface_id);
        if self.marked {
            let screen = self.surfaces[&PRIMARY].size.area();
            let all: u64 = self.surfaces.values().map(|one| one.size.area()).sum();
            // Besides the screen there is one on which frames are drawn.
            assert!(all <= screen * (2 + SAVED_SCREENS_MAX), "{all} pixels");
        }
        if primary {
            (self.marked, self.monitors) = (false, None);
            self.counts.unmarked = 0;
        }
    }

    fn destroy(&mut self, surface_id: u32) {
        let gone = self.surfaces.remove(&surface_id);
        assert!(gone.is_some(), "surface {surface_id} is not there");
        // spice-gtk's streams point to their surface.
        let drawn_on = |stream: &StreamCreate| stream.surface_id == surface_id;
        assert!(!self.streams.values().any(drawn_on), "streams end first");
        if surface_id == PRIMARY {
            self.marked = false;
        }
    }

    fn configure(&mut self, config: MonitorsConfig) {
        assert_eq!(self.profile, Profile::Gtk, "nobody else asked for it");
        let screen = &self.surfaces[&PRIMARY];
        assert!(!config.heads.is_empty() && config.heads.len() <= config.max_allowed.into());
        for head in &config.heads {
            assert!(0 < head.width && 0 < head.height && head.surface_id == PRIMARY);
            let (right, bottom) = (head.x + head.width, head.y + head.height);
            assert!(
                right <= screen.size.width && bottom <= screen.size.height,
                "{head:?} on {:?}",
                screen.size
            );
        }
        assert_ne!(self.monitors.as_ref(), Some(&config), "nothing new");
        self.monitors = Some(config);
        self.counts.monitors += 1;
    }

    fn mark(&mut self, Mark {}: Mark) {
        assert!(!self.marked, "one MARK");
        let only: Vec<_> = self.surfaces.keys().collect();
        assert_eq!(only, [&PRIMARY], "nothing but the screen is left");
        let told = self.monitors.is_some();
        assert_eq!(told, self.profile == Profile::Gtk, "monitors come first");
        assert_eq!(self.counts.unmarked, 1, "one drawing brings the picture");
        self.marked = true;
        self.counts.marks += 1;
    }

    fn create_stream(&mut self, create: StreamCreate) {
        assert!(self.marked, "there is a picture");
        assert_eq!(create.codec, VideoCodec::MJPEG);
        assert_eq!(create.flags, StreamFlags::TOP_DOWN);
        assert_eq!(create.clip, StreamClip::None);
        assert_eq!(create.stream_size, create.rect.size());
        self.counts.streams += 1;
        let before = self.streams.insert(create.id, create);
        assert!(before.is_none(), "spice-gtk would ignore it: {before:?}");
    }

    fn show_frame(&mut self, frame: &StreamData<'_>) {
        let stream = &self.streams[&frame.id];
        let (surface_id, rect) = (stream.surface_id, stream.rect);
        let time = frame.multi_media_time;
        assert!(self.last_frame_time.max(1) <= time, "time goes on: {time}");
        self.last_frame_time = time;
        self.counts.frames += 1;
        self.counts.frame_bytes += frame.data.len() as u64;
        let pixels = jpeg(frame.data, rect.size());
        self.paint(surface_id, &rect, &pixels);
    }

    fn draw_copy(&mut self, body: &[u8]) {
        let copy = ReceivedCopy::decode(body).expect("an image");
        if copy.image_type == ImageType::SURFACE {
            let id = u32::from_le_bytes(copy.data.try_into().expect("a number of a surface"));
            assert_ne!(id, copy.surface_id);
            // Neither is what is drawn aside and shown.
            let is_staged = [id, copy.surface_id].contains(&STAGING);
            if !is_staged {
                self.counts.restores += u32::from(copy.surface_id == PRIMARY && self.marked);
                self.counts.saves += u32::from(id == PRIMARY);
            }
            let pixels = self.pixels(id, &copy.size.rect().translate(copy.source));
            self.paint(copy.surface_id, &copy.rect, &pixels);
            return;
        }
        if copy.image_type == ImageType::FROM_CACHE {
            assert!(copy.flags == ImageFlags::NONE && copy.data.is_empty());
            self.counts.cached += 1;
            // A real client would wait for ever.
            let pixels = self
                .cache
                .get(&copy.image_id)
                .expect("an image that it has");
            let pixels = pixels.clone();
            self.paint(copy.surface_id, &copy.rect, &pixels);
            return;
        }
        // spice-html5 keeps 31 bits apart.
        assert!(copy.image_id < 1 << 31 && self.image_ids.insert(copy.image_id));
        let pixels = self.images.decode(&copy, &mut self.counts);
        self.paint(copy.surface_id, &copy.rect, &pixels);
        if copy.flags != ImageFlags::NONE {
            assert_eq!(copy.flags, ImageFlags::CACHE_ME);
            assert_ne!(copy.image_type, ImageType::JPEG, "only what is exact");
            // That the id is new was seen above.
            self.cache.insert(copy.image_id, pixels);
            let kept: usize = self.cache.values().map(Vec::len).sum();
            assert!(kept <= CACHE_PIXELS, "{kept} pixels, and it frees none");
        }
    }

    fn forget_images(&mut self, list: &InvalList) {
        assert!(!list.image_ids.is_empty(), "a message about nothing");
        for id in &list.image_ids {
            assert!(self.cache.remove(id).is_some(), "image {id} is not there");
        }
    }

    fn pixels(&self, surface_id: u32, rect: &Rect) -> Vec<u32> {
        let surface = &self.surfaces[&surface_id];
        assert!(!rect.is_empty() && surface.size.rect().contains(rect));
        let rows = (rect.top..rect.bottom).map(|y| surface.row(rect, y));
        rows.flat_map(|row| surface.pixels[row].to_vec()).collect()
    }

    fn paint(&mut self, surface_id: u32, rect: &Rect, pixels: &[u32]) {
        assert_eq!(rect.area(), pixels.len() as u64);
        if surface_id == PRIMARY {
            self.counts.unmarked += u32::from(!self.marked);
            self.counts.seen += u32::from(self.marked);
        }
        let surface = self.surfaces.get_mut(&surface_id);
        let surface = surface.expect("a surface that was created");
        assert!(
            !rect.is_empty() && surface.size.rect().contains(rect),
            "{rect:?} on {:?}",
            surface.size
        );
        let width = rect.width() as usize;
        for (y, row) in (rect.top..).zip(pixels.chunks(width)) {
            let place = surface.row(rect, y);
            let target = &mut surface.pixels[place];
            for (pixel, new) in target.iter_mut().zip(row) {
                *pixel = new & 0x00ff_ffff;
            }
        }
    }
}

impl Surface {
    fn row(&self, rect: &Rect, y: i32) -> std::ops::Range<usize> {
        let at = |x: i32| Point::new(x, y);
        let index = |point: Point| {
            let (x, y) = (point.x.cast_unsigned(), point.y.cast_unsigned());
            y as usize * self.size.width as usize + x as usize
        };
        index(at(rect.left))..index(at(rect.right))
    }
}

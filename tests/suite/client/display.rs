//! The display channel of a model client: surfaces, and everything that is drawn on them.

use std::collections::{BTreeMap, BTreeSet};

use zune_jpeg::zune_core::bytestream::ZCursor;

use caraway_server::base::limits::SCREEN_SIDE_MAX;
use caraway_server::base::{Point, Rect, Size};
use caraway_server::image::{bitmap, lz, lz_palette, lz4};
use caraway_server::wire::Message;
use caraway_server::wire::display::{
    InvalAllPalettes, Mark, MonitorsConfig, SurfaceCreate, SurfaceDestroy, SurfaceFlags,
    SurfaceFormat,
};
use caraway_server::wire::draw::{CopyBits, DrawCopy, DrawFill, ImageType, ReceivedCopy};
use caraway_server::wire::stream::{
    StreamActivateReport, StreamClip, StreamCreate, StreamData, StreamDestroy, StreamFlags,
    VideoCodec,
};

use super::Profile;
use super::stream::exactly;

/// Number of the surface that is the screen.
const PRIMARY: u32 = 0;

/// Bytes of an LZ_PLT image in front of its LZ data: flags, size, and the palette's offset.
const PALETTE_PREFIX: usize = 1 + 4 + 4;

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
}

#[derive(Debug)]
pub(crate) struct DisplayModel {
    profile: Profile,
    pub(crate) surfaces: BTreeMap<u32, Surface>,
    pub(crate) marked: bool,
    pub(crate) monitors: Option<MonitorsConfig>,
    image_ids: BTreeSet<u64>,
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
            counts: Counts {
                fills: 0,
                copies: 0,
                images: 0,
                bitmaps: 0,
                palettes: 0,
                lz: 0,
                lz4: 0,
                image_pixels: 0,
                marks: 0,
                monitors: 0,
                unmarked: 0,
                streams: 0,
                frames: 0,
                frame_bytes: 0,
            },
            streams: BTreeMap::new(),
            last_frame_time: 0,
        }
    }

    /// What the user sees.
    pub(crate) fn shown(&self) -> Option<&Surface> {
        self.surfaces.get(&PRIMARY).filter(|_| self.marked)
    }

    pub(crate) fn hear(&mut self, number: u16, body: &[u8]) {
        match number {
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
        let mut decoder = zune_jpeg::JpegDecoder::new(ZCursor::new(frame.data));
        let bytes = decoder.decode().expect("a JPEG file");
        let info = decoder.info().expect("a size");
        let size = Size::new(info.width.into(), info.height.into());
        assert_eq!(size, rect.size());
        let rgb = bytes.chunks_exact(3);
        let pixels: Vec<u32> = rgb
            .map(|rgb| u32::from_be_bytes([0, rgb[0], rgb[1], rgb[2]]))
            .collect();
        self.paint(surface_id, &rect, &pixels);
    }

    fn draw_copy(&mut self, body: &[u8]) {
        let copy = ReceivedCopy::decode(body).expect("an image");
        if copy.image_type == ImageType::SURFACE {
            let id = u32::from_le_bytes(copy.data.try_into().expect("a number of a surface"));
            assert_ne!(id, copy.surface_id);
            let pixels = self.pixels(id, &copy.size.rect());
            self.paint(copy.surface_id, &copy.rect, &pixels);
            return;
        }
        // spice-html5 keeps 31 bits apart.
        assert!(copy.image_id < 1 << 31 && self.image_ids.insert(copy.image_id));
        self.counts.images += 1;
        self.counts.image_pixels += copy.rect.area();
        let pixels = match copy.image_type {
            ImageType::BITMAP => {
                self.counts.bitmaps += 1;
                bitmap::decode(copy.data, copy.size)
            }
            ImageType::LZ_RGB => {
                self.counts.lz += 1;
                lz::decode(copy.data, copy.size)
            }
            ImageType::LZ4 => {
                assert_eq!(self.profile, Profile::Gtk, "nobody else decodes LZ4");
                self.counts.lz4 += 1;
                lz4::decode(copy.data, copy.size)
            }
            ImageType::LZ_PLT => {
                assert_eq!(self.profile, Profile::Gtk, "spice-html5 decodes none");
                self.counts.palettes += 1;
                let palette = copy
                    .palette(lz_palette::PALETTE_OFFSET_AT)
                    .expect("a palette");
                assert!((2..=256).contains(&palette.len()));
                let behind = 8 + 2 + 4 * palette.len();
                let image = &copy.data[..copy.data.len() - behind];
                let told: [u8; 4] = image[1..5].try_into().expect("a size");
                assert_eq!(
                    u32::from_le_bytes(told) as usize,
                    image.len() - PALETTE_PREFIX
                );
                lz_palette::decode(image, &palette, copy.size)
            }
            other => unreachable!("the server has no reason to send {other:?}"),
        };
        self.paint(
            copy.surface_id,
            &copy.rect,
            &pixels.expect("an image of its type"),
        );
    }

    fn pixels(&self, surface_id: u32, rect: &Rect) -> Vec<u32> {
        let surface = &self.surfaces[&surface_id];
        assert!(!rect.is_empty() && surface.size.rect().contains(rect));
        let rows = (rect.top..rect.bottom).map(|y| surface.row(rect, y));
        rows.flat_map(|row| surface.pixels[row].to_vec()).collect()
    }

    fn paint(&mut self, surface_id: u32, rect: &Rect, pixels: &[u32]) {
        assert_eq!(rect.area(), pixels.len() as u64);
        if surface_id == PRIMARY && !self.marked {
            self.counts.unmarked += 1;
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

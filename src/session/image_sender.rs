//! The way of pixels to one client: by name if it has them, else in the codec of their kind, at what its line is worth.

use super::image_cache::{DATA_BYTES_MIN, ImageCache};
use crate::base::limits::IMAGE_PIXELS_MAX;
use crate::base::{Micros, Rect, Workers};
use crate::channel::Outbox;
use crate::display::saved::UNUSED_AFTER;
use crate::display::{Line, Path};
use crate::image::choose::{Capabilities, Encoded, Wish};
use crate::image::content::{ContentEncoder, Piece};
use crate::image::dictionary::{Dictionary, Thrift};
use crate::image::jpeg::{JpegSettings, Sampling};
use crate::image::lz_palette::PALETTE_OFFSET_AT;
use crate::image::pixels::Pixels;
use crate::wire::caps::{Caps, display as cap};
use crate::wire::display::{ImageCompression, Init, InvalList};
use crate::wire::draw::{DrawCopy, DrawFill, ImageFlags, ImageType, Palette};

/// Photographs on a slow line at first: above this quality a line's time buys nothing that one sees
/// (`docs/decisions/0008-jpeg.md`).
const SLOW_LINE_JPEG: JpegSettings = JpegSettings::new(75, Sampling::Quarter);

/// A frame whose images are not all encoded by then goes on with codecs that cost next to nothing, where the line
/// takes that: the next frame is due.
pub(super) const ENCODE_DEADLINE: Micros = Micros::from_millis(12);

/// Pixels of an image that makes a dictionary worth its memory: a clock and a cursor that blinks are none.
const DICTIONARY_USE_MIN: usize = 4096;

/// Images of a photograph that are encoded in one go where several processors are free. Input waits for as long: half a
/// millisecond, and a whole one where the other processor turns out to have other work.
const IMAGES_AT_ONCE: u32 = 2;

/// Pixels of a rectangle behind which more of its kind may come.
const PHOTOGRAPH_AREA_MIN: usize = IMAGE_PIXELS_MAX as usize / 2;

/// What all clients encode images with.
#[derive(Debug)]
pub(super) struct ImageEncoders<'a> {
    /// The codecs.
    pub(super) content: &'a mut ContentEncoder,
    /// Who encodes.
    pub(super) workers: &'a dyn Workers,
}

/// Where images go, and what is known of the way there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// The surface that is painted on.
    pub(super) surface_id: u32,
    /// The kind of line.
    pub(super) line: Line,
    /// The time.
    pub(super) now: Micros,
    /// Since the first image of this frame.
    pub(super) elapsed: Micros,
    /// What is sent replaces what was lossy: it has to be exact.
    pub(super) exact: bool,
}

/// What became of a rectangle.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Bytes of images.
    pub(super) payload_bytes: u64,
    /// Where the client's pixels only resemble the picture now.
    pub(super) lossy: Vec<Rect>,
}

/// The images of one client.
#[derive(Debug)]
pub(super) struct ImageSender {
    capabilities: Capabilities,
    path: Path,
    /// The client paints images in the order in which they come; spice-html5 decodes JPEG on the side.
    in_order: bool,
    cache: ImageCache,
    window_pixels: u32,
    /// Made with the first image that may go there.
    dictionary: Option<Box<Dictionary>>,
    /// What the client calls the first image of the next dictionary.
    next_glz_id: u64,
    /// When the dictionary was of use last.
    dictionary_used: Micros,
    pieces: Vec<Piece>,
    /// See [`Self::images_at_once`].
    images_at_once: u32,
}

impl ImageSender {
    /// For a client that announced `caps` on its display channel and comes by `path`.
    pub(super) fn new(caps: &Caps, path: Path) -> Self {
        // spice-html5 decodes no palettes; it is the client without MONITORS_CONFIG.
        let is_native = caps.has(cap::MONITORS_CONFIG);
        Self {
            capabilities: Capabilities {
                lz4: caps.has(cap::LZ4_COMPRESSION),
                lz_palette: is_native,
                ..Capabilities::default()
            },
            path,
            in_order: is_native,
            cache: ImageCache::default(),
            window_pixels: 0,
            dictionary: None,
            next_glz_id: 0,
            dictionary_used: Micros(0),
            pieces: Vec::new(),
            images_at_once: 1,
        }
    }

    /// Another frame begins.
    pub(super) const fn frame(&mut self) {
        self.images_at_once = 1;
    }

    /// How many images the next rectangle may become: some behind a piece of a photograph, where several processors
    /// were free before it.
    pub(super) const fn images_at_once(&self) -> u32 {
        self.images_at_once
    }

    /// What the client keeps.
    pub(super) fn init(&mut self, init: &Init) {
        self.cache.set_size(init.pixmap_cache_size);
        self.window_pixels = u32::try_from(init.glz_dictionary_window_size).unwrap_or(0);
    }

    /// What the client's user chose.
    pub(super) const fn prefer(&mut self, compression: ImageCompression) {
        self.capabilities.wish = match compression {
            ImageCompression::OFF => Wish::Off,
            ImageCompression::QUIC => Wish::Quic,
            ImageCompression::LZ | ImageCompression::GLZ => Wish::Lz,
            ImageCompression::LZ4 => Wish::Lz4,
            _ => Wish::Auto,
        };
    }

    /// Nothing is sent for a moment: gives up a dictionary that is large and was of no use lately. The client frees its
    /// own with the next image that it is sent by one. When to come again, if there is one still.
    pub(super) fn tidy(&mut self, now: Micros) -> Option<Micros> {
        self.pieces = Vec::new();
        self.cache.give_up_scratch();
        let dictionary = self.dictionary.as_ref()?;
        let until = self.dictionary_used + UNUSED_AFTER;
        if now < until {
            return Some(until);
        }
        self.next_glz_id = dictionary.next_id();
        self.dictionary = None;
        None
    }

    /// Bytes of the client's dictionary.
    pub(super) fn held_bytes(&self) -> usize {
        self.dictionary.as_ref().map_or(0, |one| one.held_bytes())
    }

    /// Appends what brings `pixels` to `rect`.
    pub(super) fn send(
        &mut self,
        rect: &Rect,
        pixels: &Pixels<'_>,
        target: Target,
        encoders: &mut ImageEncoders<'_>,
        outbox: &mut Outbox,
    ) -> Sent {
        let mut sent = Sent::default();
        let key = self.cache.key(pixels);
        if let Some(image_id) = key.as_ref().and_then(|key| self.cache.find(key)) {
            outbox.send(&DrawCopy::from_cache(target.surface_id, *rect, image_id));
            return sent;
        }
        let capabilities = self.capabilities_for(&target);
        let is_slow = matches!(target.line, Line::Wan { .. });
        let is_worth = !capabilities.local && capabilities.wish == Wish::Auto;
        if is_worth {
            if self.dictionary.is_none() {
                let made = Dictionary::continuing(self.window_pixels, self.next_glz_id);
                self.dictionary = made.map(Box::new);
            }
            if DICTIONARY_USE_MIN <= pixels.area() {
                self.dictionary_used = target.now;
            }
        }
        let mut dictionary = self.dictionary.as_deref_mut().filter(|_| is_worth);
        if let Some(dictionary) = &mut dictionary {
            dictionary.thrift = if is_slow { Thrift::Far } else { Thrift::Near };
        }
        // To be asked before anything is sent that wakes others.
        let is_large = PHOTOGRAPH_AREA_MIN <= pixels.area();
        let free = if is_large { encoders.workers.free() } else { 1 };
        let mut pieces = std::mem::take(&mut self.pieces);
        encoders.content.encode(
            pixels,
            capabilities,
            dictionary,
            encoders.workers,
            &mut pieces,
        );
        let is_photograph = |piece: &Piece| piece.encoded == Encoded::Quic;
        let goes_on = 1 < free && pieces.iter().all(is_photograph);
        self.images_at_once = if goes_on { IMAGES_AT_ONCE } else { 1 };
        // The name is that of the whole.
        let mut key = key.filter(|_| pieces.len() == 1);
        for piece in pieces.drain(..) {
            let place = piece.rect.translate(rect.origin());
            sent.payload_bytes += piece.payload.len() as u64;
            if piece.encoded.is_lossy() {
                sent.lossy.push(place);
                key = None;
            }
            let image_id = self.cache.next_id();
            let mut flags = ImageFlags::NONE;
            let is_worth = DATA_BYTES_MIN <= piece.payload.len();
            if let Some(key) = key.take().filter(|_| is_worth) {
                let image_ids = self.cache.keep(key, image_id, pixels.area());
                if !image_ids.is_empty() {
                    outbox.send(&InvalList { image_ids });
                }
                flags = ImageFlags::CACHE_ME;
            }
            send_piece(target.surface_id, place, &piece, (image_id, flags), outbox);
            encoders.content.recycle(piece.payload);
        }
        self.pieces = pieces;
        sent
    }

    fn capabilities_for(&self, target: &Target) -> Capabilities {
        let hurries = target.line == Line::Local && ENCODE_DEADLINE < target.elapsed;
        let is_slow = matches!(target.line, Line::Wan { .. });
        Capabilities {
            local: self.path == Path::Unix || hurries,
            jpeg: (is_slow && self.in_order && !target.exact).then_some(SLOW_LINE_JPEG),
            ..self.capabilities
        }
    }
}

fn send_piece(
    surface_id: u32,
    rect: Rect,
    piece: &Piece,
    (image_id, flags): (u64, ImageFlags),
    outbox: &mut Outbox,
) {
    let (image_type, colors) = match &piece.encoded {
        Encoded::Solid(color) => {
            let color = *color;
            outbox.send(&DrawFill {
                surface_id,
                rect,
                color,
            });
            return;
        }
        Encoded::Bitmap => (ImageType::BITMAP, None),
        Encoded::Quic => (ImageType::QUIC, None),
        Encoded::LzPalette { palette } => (ImageType::LZ_PLT, Some(palette)),
        Encoded::LzRgb => (ImageType::LZ_RGB, None),
        Encoded::Glz => (ImageType::GLZ_RGB, None),
        Encoded::ZlibGlz => (ImageType::ZLIB_GLZ_RGB, None),
        Encoded::Jpeg => (ImageType::JPEG, None),
        Encoded::Lz4 => (ImageType::LZ4, None),
    };
    outbox.send(&DrawCopy {
        surface_id,
        rect,
        image_id,
        image_type,
        flags,
        data: &piece.payload,
        palette: colors.map(|colors| Palette {
            colors,
            offset_at: PALETTE_OFFSET_AT,
        }),
    });
}

//! The encoding of a picture by what it holds, by what the client decodes and by what bytes cost.
//!
//! 1. One colour is no image at all: the caller fills.
//! 2. Drawn content of few colours goes as palette indices through LZ: 0.6 of LZ_RGB's bytes on text, in less time.
//!    The rest of it goes through LZ_RGB, which takes 0.3 to 0.7 of LZ4's bytes on screens in about the same time.
//! 3. Photographs go through QUIC, which takes half of LZ's bytes there, and on a line that asks for it through JPEG.
//! 4. Only to a client on this host, where bytes cost less than time, it is otherwise: photographs go raw (a tenth of
//!    the time), and LZ4 takes the place of LZ_RGB (up to a fifth less time of server and client together).
//! 5. Raw where all of that is not shorter (a few pixels).
//!
//! A client that says what it prefers (`SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION`) gets that instead of the choice
//! by content, as far as it decodes it.

use std::fmt;

use super::bitmap;
use super::classify::Kind;
use super::dictionary::{Dictionary, Thrift};
use super::jpeg::{self, JpegBackend, JpegSettings, PureJpeg};
use super::lz::LzEncoder;
use super::lz_palette;
use super::lz4::Lz4Encoder;
use super::palette::{PaletteFinder, flat_color};
use super::pixels::Pixels;
use super::quic::QuicEncoder;

/// What a client decodes besides BITMAP, LZ_RGB and QUIC, which all of them do, what bytes to it cost, and what it
/// wishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// LZ4: the client announced `SPICE_DISPLAY_CAP_LZ4_COMPRESSION` (5).
    pub lz4: bool,
    /// LZ_PLT: no capability says so; every client but spice-html5 does.
    pub lz_palette: bool,
    /// The client is on this host (unix socket): bytes cost less than the time to spare them.
    pub local: bool,
    /// Photographs may be lossy, like this; none where they may not.
    pub jpeg: Option<JpegSettings>,
    /// What the client asked for.
    pub wish: Wish,
}

/// `SpiceImageCompression` of a client's PREFERRED_COMPRESSION, as far as it changes what is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// AUTO_GLZ, AUTO_LZ, or nothing said: by content.
    #[default]
    Auto,
    /// OFF: raw pixels.
    Off,
    /// QUIC for everything.
    Quic,
    /// LZ or GLZ for everything.
    Lz,
    /// LZ4 for everything.
    Lz4,
}

/// What [`Encoder::encode`] appended: the image type and what the wire layer has to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// Nothing: every pixel has this colour, `0x00RRGGBB`; to be sent as DRAW_FILL.
    Solid(u32),
    /// `BitmapData`, image type BITMAP (0).
    Bitmap,
    /// `BinaryData`, image type QUIC (1).
    Quic,
    /// `LZPLTData`, image type LZ_PLT (100), whose palette is to be placed in the message: its
    /// offset belongs at [`lz_palette::PALETTE_OFFSET_AT`] of what was appended.
    LzPalette {
        /// The colours, `0x00RRGGBB`; 2 to 256.
        palette: Vec<u32>,
    },
    /// `BinaryData`, image type LZ_RGB (101).
    LzRgb,
    /// `BinaryData`, image type GLZ_RGB (102); it must be sent.
    Glz,
    /// `BinaryData`, image type JPEG (105): it only resembles the pixels.
    Jpeg,
    /// `ZlibGLZRGBData`, image type ZLIB_GLZ_RGB (107); it must be sent.
    ZlibGlz,
    /// `BinaryData`, image type LZ4 (109).
    Lz4,
}

impl Encoded {
    /// Whether the client's pixels will only resemble the picture.
    pub const fn is_lossy(&self) -> bool {
        matches!(self, Self::Jpeg)
    }
}

/// Pixels of the smallest image that is lossy: below, a header weighs more than what is saved.
const JPEG_AREA_MIN: usize = 1024;

/// Pixels of an image that is encoded in all ways there are.
const SMALL_AREA_MAX: usize = 2048;

/// Pixels of an image of few colours that is tried with the dictionary of a client that is near: five lines of a
/// terminal. Larger ones are strips of whole windows, of which most is new, and palettes take half of the bytes there.
const BOTH_AREA_MAX: usize = 96 * 1024;

/// An image of few colours goes into the dictionary if it takes more bytes by no more than one part in so many. What is
/// to come again has to have been there.
const DICTIONARY_PRICE: usize = 4;

/// Pixels for each byte of GLZ, from which on an image is so short by the dictionary that the next one is tried there
/// first, and with nothing else if it is as short: lines that scroll in look like the ones before. New text takes more.
const LEADING_PIXELS_PER_BYTE: usize = 8;

/// Sides of the smallest image for QUIC, whose model learns from the row above.
const QUIC_SIDE_MIN: u32 = 3;

/// The encoders with their memory; one serves any number of pictures, one after the other.
pub struct Encoder {
    lz: LzEncoder,
    lz4: Lz4Encoder,
    quic: QuicEncoder,
    jpeg: Box<dyn JpegBackend>,
    palette: PaletteFinder,
    indices: Vec<u8>,
    small: Vec<u8>,
}

impl Encoder {
    /// Encoders without memory of any picture, with the JPEG encoder that is always there.
    pub fn new() -> Self {
        Self::with_jpeg(Box::new(PureJpeg))
    }

    /// The same with another JPEG encoder.
    pub fn with_jpeg(jpeg: Box<dyn JpegBackend>) -> Self {
        Self {
            lz: LzEncoder::new(),
            lz4: Lz4Encoder::new(),
            quic: QuicEncoder::new(),
            jpeg,
            palette: PaletteFinder::new(),
            indices: Vec::new(),
            small: Vec::new(),
        }
    }

    /// Appends to `out` what follows the image descriptor of `pixels`, which are mostly of this `kind`, and says what
    /// it is. It never appends more than [`bitmap::encoded_len`] of the picture.
    pub fn encode(
        &mut self,
        pixels: &Pixels<'_>,
        kind: Kind,
        capabilities: Capabilities,
        out: &mut Vec<u8>,
    ) -> Encoded {
        if let Some(color) = flat_color(pixels) {
            return Encoded::Solid(color);
        }
        let start = out.len();
        let encoded = match capabilities.wish {
            Wish::Auto if kind == Kind::Photo => self.compress_photo(pixels, capabilities, out),
            Wish::Auto => self.compress_drawn(pixels, capabilities, out),
            Wish::Off => raw(pixels, out),
            Wish::Quic => self.compress_quic(pixels, out),
            Wish::Lz4 if capabilities.lz4 => self.compress_lz4(pixels, out),
            Wish::Lz | Wish::Lz4 => self.compress_lz(pixels, capabilities, out),
        };
        let raw_len = bitmap::encoded_len(pixels.area());
        if encoded != Encoded::Bitmap && raw_len <= out.len() - start {
            out.truncate(start);
            return raw(pixels, out);
        }
        encoded
    }

    /// [`Self::encode`] for what is drawn, with the dictionary of the client. On a slow line nearly everything goes
    /// there. On a fast one letters and few colours go as ever, unless few colours take about as much by the
    /// dictionary, or less: then what comes next finds its like there.
    pub fn encode_with(
        &mut self,
        dictionary: &mut Dictionary,
        pixels: &Pixels<'_>,
        capabilities: Capabilities,
        out: &mut Vec<u8>,
    ) -> Encoded {
        let area = pixels.area();
        let is_near = dictionary.thrift == Thrift::Near;
        if is_near && (area <= SMALL_AREA_MAX || flat_color(pixels).is_some()) {
            return self.encode(pixels, Kind::Drawn, capabilities, out);
        }
        let short_max = area / LEADING_PIXELS_PER_BYTE;
        if is_near && area <= BOTH_AREA_MAX && dictionary.leads {
            if let Some(encoded) = dictionary.encode(pixels, short_max, out) {
                return encoded;
            }
            dictionary.leads = false;
        }
        let start = out.len();
        let mut bytes_max = bitmap::encoded_len(area);
        let few = is_near.then(|| self.compress_palette(pixels, capabilities, out));
        if let Some(Some(Encoded::LzPalette { palette })) = few {
            let len = out.len() - start + lz_palette::palette_len(palette.len());
            bytes_max = len + len / DICTIONARY_PRICE;
            let mut other = std::mem::take(&mut self.small);
            other.clear();
            let encoded = match area <= BOTH_AREA_MAX {
                true => dictionary.encode(pixels, bytes_max, &mut other),
                false => None,
            };
            if encoded.is_some() {
                dictionary.leads = dictionary.plain_len <= short_max;
                out.truncate(start);
                out.extend_from_slice(&other);
            }
            self.small = other;
            return encoded.unwrap_or(Encoded::LzPalette { palette });
        }
        let Some(encoded) = dictionary.encode(pixels, bytes_max, out) else {
            return self.encode(pixels, Kind::Drawn, capabilities, out);
        };
        dictionary.leads = dictionary.plain_len <= short_max;
        encoded
    }

    fn compress_photo(
        &mut self,
        pixels: &Pixels<'_>,
        capabilities: Capabilities,
        out: &mut Vec<u8>,
    ) -> Encoded {
        if let Some(settings) = capabilities.jpeg
            && JPEG_AREA_MIN <= pixels.area()
            && jpeg::encode_image(&mut *self.jpeg, pixels, settings, out).is_ok()
        {
            return Encoded::Jpeg;
        }
        if capabilities.local {
            return raw(pixels, out);
        }
        self.compress_quic(pixels, out)
    }

    fn compress_drawn(
        &mut self,
        pixels: &Pixels<'_>,
        capabilities: Capabilities,
        out: &mut Vec<u8>,
    ) -> Encoded {
        if !capabilities.local && pixels.area() <= SMALL_AREA_MAX {
            return self.compress_small(pixels, capabilities, out);
        }
        if let Some(encoded) = self.compress_palette(pixels, capabilities, out) {
            return encoded;
        }
        if capabilities.local && capabilities.lz4 {
            return self.compress_lz4(pixels, out);
        }
        self.compress_rgb(pixels, out)
    }

    /// A letter, a button: whatever is shortest, for all of it takes microseconds.
    fn compress_small(
        &mut self,
        pixels: &Pixels<'_>,
        capabilities: Capabilities,
        out: &mut Vec<u8>,
    ) -> Encoded {
        let start = out.len();
        let mut best = self.compress_rgb(pixels, out);
        let mut best_len = out.len() - start;
        let mut other = std::mem::take(&mut self.small);
        other.clear();
        if let Some(encoded) = self.compress_palette(pixels, capabilities, &mut other)
            && let Encoded::LzPalette { palette } = &encoded
            && other.len() + lz_palette::palette_len(palette.len()) < best_len
        {
            best_len = other.len() + lz_palette::palette_len(palette.len());
            out.truncate(start);
            out.extend_from_slice(&other);
            best = encoded;
        }
        other.clear();
        let encoded = self.compress_quic(pixels, &mut other);
        if other.len() < best_len {
            out.truncate(start);
            out.extend_from_slice(&other);
            best = encoded;
        }
        self.small = other;
        best
    }

    fn compress_lz(
        &mut self,
        pixels: &Pixels<'_>,
        capabilities: Capabilities,
        out: &mut Vec<u8>,
    ) -> Encoded {
        self.compress_palette(pixels, capabilities, out)
            .unwrap_or_else(|| self.compress_rgb(pixels, out))
    }

    /// `None`, and nothing appended, where there are too many colours, or the client knows no palettes.
    fn compress_palette(
        &mut self,
        pixels: &Pixels<'_>,
        capabilities: Capabilities,
        out: &mut Vec<u8>,
    ) -> Option<Encoded> {
        if !capabilities.lz_palette || self.palette.exceeded_by_sample(pixels) {
            return None;
        }
        let palette = self.palette.find(pixels, &mut self.indices)?;
        let colors = palette.colors.len();
        lz_palette::encode(&mut self.lz, &self.indices, colors, pixels.size(), out);
        Some(Encoded::LzPalette {
            palette: palette.colors,
        })
    }

    fn compress_rgb(&mut self, pixels: &Pixels<'_>, out: &mut Vec<u8>) -> Encoded {
        self.lz.encode(pixels, out);
        Encoded::LzRgb
    }

    fn compress_lz4(&mut self, pixels: &Pixels<'_>, out: &mut Vec<u8>) -> Encoded {
        self.lz4.encode(pixels, out);
        Encoded::Lz4
    }

    fn compress_quic(&mut self, pixels: &Pixels<'_>, out: &mut Vec<u8>) -> Encoded {
        if pixels.width() < QUIC_SIDE_MIN || pixels.height() < QUIC_SIDE_MIN {
            return self.compress_rgb(pixels, out);
        }
        self.quic.encode(pixels, out);
        Encoded::Quic
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("jpeg", &self.jpeg.name())
            .finish_non_exhaustive()
    }
}

fn raw(pixels: &Pixels<'_>, out: &mut Vec<u8>) -> Encoded {
    bitmap::encode(pixels, out);
    Encoded::Bitmap
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::{ByteWriter, Size};
    use crate::image::pictures::picture;
    use crate::image::pixels::RGB;
    use crate::image::shown::decode;
    use crate::image::{lz, lz4};

    const ALL: Capabilities = Capabilities {
        lz4: true,
        lz_palette: true,
        local: false,
        jpeg: None,
        wish: Wish::Auto,
    };
    const LOCAL: Capabilities = Capabilities { local: true, ..ALL };

    #[test]
    fn who_was_short_by_the_dictionary_is_tried_there_first() {
        let noise = |at: u32| (at + 1).wrapping_mul(0x9e37_79b1).rotate_left(7) & RGB;
        let repeats: Vec<u32> = (0..128 * 64).map(|at| noise(at % 97)).collect();
        let fresh = |seed: u32| {
            let mut random = seed;
            let mut next = move || {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                noise(random >> 28)
            };
            (0..128 * 64).map(|_| next()).collect::<Vec<u32>>()
        };
        let mut dictionary = Dictionary::new(1 << 20).unwrap();
        dictionary.thrift = Thrift::Near;
        let mut encoder = Encoder::new();
        let mut goes = |data: &[u32], leads: bool| {
            let pixels = Pixels::packed(data, 128, 64).unwrap();
            let mut out = Vec::new();
            let encoded = encoder.encode_with(&mut dictionary, &pixels, ALL, &mut out);
            assert_eq!(dictionary.leads, leads);
            encoded
        };
        for _ in 0..3 {
            assert_eq!(goes(&repeats, true), Encoded::ZlibGlz);
        }
        for seed in [3, 5] {
            assert_ne!(goes(&fresh(seed), false), Encoded::ZlibGlz);
        }
        assert_eq!(goes(&repeats, true), Encoded::ZlibGlz);
    }

    fn choice(data: &[u32], kind: Kind, capabilities: Capabilities) -> (Encoded, usize) {
        let mut out = Vec::new();
        let pixels = Pixels::packed(data, 64, data.len() as u32 / 64).unwrap();
        let encoded = Encoder::new().encode(&pixels, kind, capabilities, &mut out);
        (encoded, out.len())
    }

    #[test]
    fn content_and_client_choose() {
        let noise = |at: u32| (at + 1).wrapping_mul(0x9e37_79b1).rotate_left(7) & RGB;
        let photo: Vec<u32> = (0..64 * 64).map(noise).collect();
        let text: Vec<u32> = (0..64 * 64).map(|at| noise(at * 3 / 7 % 90)).collect();
        let many: Vec<u32> = (0..64 * 64).map(|at| noise(at / 9)).collect();

        let drawn = |data, capabilities| choice(data, Kind::Drawn, capabilities).0;
        assert_eq!(
            choice(&[0xff00_0009; 640], Kind::Drawn, ALL),
            (Encoded::Solid(9), 0)
        );
        assert!(matches!(drawn(&text, ALL), Encoded::LzPalette { .. }));
        assert!(matches!(drawn(&text, LOCAL), Encoded::LzPalette { .. }));
        assert_eq!(drawn(&text, Capabilities::default()), Encoded::LzRgb);
        assert_eq!(drawn(&many, ALL), Encoded::LzRgb);
        assert_eq!(drawn(&many, LOCAL), Encoded::Lz4);
        let without_lz4 = Capabilities {
            lz4: false,
            ..LOCAL
        };
        assert_eq!(drawn(&many, without_lz4), Encoded::LzRgb);

        let smooth: Vec<u32> = (0..64 * 64)
            .map(|at| at % 64 * 3 + at / 64 * 0x0002_0100)
            .collect();
        let (encoded, len) = choice(&smooth, Kind::Photo, ALL);
        assert_eq!(encoded, Encoded::Quic);
        assert!(
            len < smooth.len() * 3 / 2,
            "{len}: half of what LZ makes of it"
        );
        let lossy = Capabilities {
            jpeg: Some(JpegSettings::new(75, jpeg::Sampling::Quarter)),
            ..ALL
        };
        assert_eq!(choice(&photo, Kind::Photo, lossy).0, Encoded::Jpeg);
        assert_eq!(choice(&photo[..512], Kind::Photo, lossy).0, Encoded::Quic);
        assert_eq!(
            choice(&photo, Kind::Photo, LOCAL),
            (Encoded::Bitmap, bitmap::encoded_len(64 * 64))
        );
    }

    #[test]
    fn a_wish_is_granted() {
        let data: Vec<u32> = (0..64 * 64).map(|at| at / 9 * 0x0001_0307).collect();
        let wished = |wish, lz4| {
            let capabilities = Capabilities { wish, lz4, ..ALL };
            choice(&data, Kind::Drawn, capabilities).0
        };
        assert_eq!(wished(Wish::Off, true), Encoded::Bitmap);
        assert_eq!(wished(Wish::Quic, true), Encoded::Quic);
        assert_eq!(wished(Wish::Lz, true), Encoded::LzRgb);
        assert_eq!(wished(Wish::Lz4, true), Encoded::Lz4);
        assert_eq!(wished(Wish::Lz4, false), Encoded::LzRgb);
    }

    #[test]
    fn a_dictionary_is_for_what_it_makes_short() {
        let noise = |at: u32| (at + 1).wrapping_mul(0x9e37_79b1).rotate_left(7) & RGB;
        let many: Vec<u32> = (0..64 * 64).map(|at| noise(at / 9)).collect();
        // Its indices take half a byte each and its pixels three.
        let mut state = 7_u32;
        let few = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            noise(state >> 9 & 15)
        });
        let few: Vec<u32> = few.take(64 * 64).collect();
        let words: Vec<u32> = (0..64 * 64).map(|at| noise(at % 640 / 4 % 90)).collect();
        let mut encoder = Encoder::new();
        let mut dictionary = Dictionary::new(1 << 20).unwrap();
        let mut choice = |thrift, data: &[u32]| {
            dictionary.thrift = thrift;
            let pixels = Pixels::packed(data, 64, data.len() as u32 / 64).unwrap();
            let mut out = Vec::new();
            let encoded = encoder.encode_with(&mut dictionary, &pixels, ALL, &mut out);
            (encoded, out.len())
        };
        assert_eq!(choice(Thrift::Near, &many).0, Encoded::ZlibGlz);
        assert_eq!(choice(Thrift::Near, &words).0, Encoded::ZlibGlz);
        for _ in 0..2 {
            let (encoded, _) = choice(Thrift::Near, &few);
            assert!(matches!(encoded, Encoded::LzPalette { .. }), "{encoded:?}");
        }
        assert_eq!(choice(Thrift::Near, &[5; 4096]), (Encoded::Solid(5), 0));
        let (letter, _) = choice(Thrift::Near, &many[..640]);
        assert!(!matches!(letter, Encoded::Glz | Encoded::ZlibGlz));
        assert_eq!(choice(Thrift::Far, &few).0, Encoded::ZlibGlz);
        let (again, len) = choice(Thrift::Near, &few);
        assert_eq!(again, Encoded::ZlibGlz, "now it is there");
        assert!(len < 100, "{len}");
    }

    #[test]
    fn a_few_pixels_go_raw() {
        let pixels = Pixels::packed(&[1, 2], 2, 1).unwrap();
        let mut out = Vec::new();
        assert_eq!(
            Encoder::new().encode(&pixels, Kind::Drawn, ALL, &mut out),
            Encoded::Bitmap
        );
        assert_eq!(bitmap::decode(&out, pixels.size()), Ok(vec![1, 2]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn pictures_come_back(
            pictures in prop::collection::vec(picture(), 1..4),
            lz4: bool,
            lz_palette: bool,
            local: bool,
            photo: bool,
        ) {
            let capabilities = Capabilities { lz4, lz_palette, local, ..Capabilities::default() };
            let kind = if photo { Kind::Photo } else { Kind::Drawn };
            let mut encoder = Encoder::new();
            for picture in pictures {
                let pixels = picture.pixels();
                let mut out = vec![0xaa; 5];
                let encoded = encoder.encode(&pixels, kind, capabilities, &mut out);
                let allowed = match encoded {
                    Encoded::Lz4 => lz4,
                    Encoded::LzPalette { .. } => lz_palette,
                    Encoded::Quic => photo || pixels.area() <= SMALL_AREA_MAX,
                    Encoded::Jpeg | Encoded::Glz | Encoded::ZlibGlz => false,
                    Encoded::Solid(_) | Encoded::Bitmap | Encoded::LzRgb => true,
                };
                prop_assert!(allowed, "{:?}", encoded);
                prop_assert_eq!(&out[..5], [0xaa; 5]);
                prop_assert!(out.len() - 5 <= bitmap::encoded_len(pixels.area()));
                let decoded = decode(&encoded, &out[5..], &pixels);
                prop_assert_eq!(decoded.as_deref(), Ok(&picture.colors()[..]));
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            head in prop::collection::vec(any::<u8>(), 0..60),
            width in 0_u32..9000,
            height in 0_u32..9000,
        ) {
            let size = Size::new(width, height);
            let mut payload = Vec::new();
            // Plain noise does not get past a header, so some of it follows a good one.
            for kind in 0..5 {
                payload.clear();
                let mut writer = ByteWriter::new(&mut payload);
                match kind {
                    0 => writer.bytes(&head),
                    1 => for value in [8, 4] { writer.u8(value); },
                    2 => writer.u32(bytes.len() as u32 + 28),
                    3 => { writer.u8(4); writer.u32(bytes.len() as u32 + 28); writer.u32(0); },
                    _ => { writer.u32(bytes.len() as u32 + 2); writer.u8(1); writer.u8(8); },
                }
                if kind == 2 || kind == 3 {
                    let (format, stride) = if kind == 2 { (8, 4 * width) } else { (5, width) };
                    for value in [0x2020_5a4c, 0x1_0001, format, width, height, stride, 1] {
                        writer.u32_be(value);
                    }
                }
                writer.bytes(&bytes);
                let area = width as usize * height as usize;
                for decoded in [
                    bitmap::decode(&payload, size),
                    lz::decode(&payload, size),
                    lz4::decode(&payload, size),
                    lz_palette::decode(&payload, &[0; 200], size),
                ].into_iter().flatten() {
                    prop_assert_eq!(decoded.len(), area);
                }
            }
        }
    }
}

//! SPICE GLZ of pixels: `SPICE_IMAGE_TYPE_GLZ_RGB` (102), LZ that refers to earlier images, too.
//!
//! Behind the descriptor lies `BinaryData`: a little-endian u32 of the bytes that follow, then this
//! header, big-endian, and the segments (`glz_stream`):
//!
//! ```text
//! OFFSET SIZE
//!      0    4  magic "  ZL"
//!      4    4  version: major 1, minor 1
//!      8    1  lower half: 8 = RGB32; upper half: 1 = top-down
//!      9    4  width
//!     13    4  height
//!     17    4  stride in bytes
//!     21    8  id of the image: 0 for the first of a dictionary, then one more each
//!     29    4  how many ids back the oldest image lies that is still referred to
//! ```
//!
//! Server and client each keep the latest images, the *window*. The client frees what the last
//! field says; it waits for ever for an image that it does not have. So the rules of this encoder:
//!
//! - One encoder for each client, all images of it on one channel, in the order in which they were
//!   encoded, none left out; one that is not to be sent is taken back before the next. Clients share
//!   one dictionary among their display channels: a second channel must not use it, or images cross
//!   on their way and clients wait.
//! - The window never exceeds what the client offered (`SpiceMsgcDisplayInit`, field
//!   `glz_dictionary_window_size`, in pixels; 0 means that it has none, as spice-html5) nor
//!   [`GLZ_WINDOW_PIXELS_MAX`].
//! - A client that connects again has an empty dictionary: a new encoder. Nothing else resets it;
//!   surfaces come and go without.
//! - The window may be given up at any time: an encoder that goes on with the ids, [`continuing`], refers to no image
//!   before its own, and its first one says so, upon which the client frees all others. Ids that began again at 0
//!   would be those of images that the client keeps.
//!
//! [`continuing`]: GlzEncoder::continuing

use crate::base::limits::{GLZ_WINDOW_PIXELS_MAX, GLZ_WINDOW_PIXELS_MIN};
use crate::base::{ByteWriter, Size};

use super::glz_search::GlzCompressor;
use super::glz_window::Window;
use super::lz::{LzType, MAGIC, VERSION};
use super::lz_stream::compressed_len_max;
use super::pixels::Pixels;

/// Bytes of the header.
pub const HEADER_LEN: usize = 33;

/// The byte of the header that says RGB32 and top-down.
pub(super) const RGB32_TOP_DOWN: u8 = LzType::Rgb32 as u8 | 1 << 4;

/// Most bytes that [`GlzEncoder::encode`] appends for this many pixels.
pub const fn encoded_len_max(area: usize) -> usize {
    4 + HEADER_LEN + compressed_len_max::<u32>(area)
}

/// The image has as many pixels as the window or more, and was not encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("image of {area} pixels for a window of {window}")]
pub struct TooLarge {
    /// Pixels of the image.
    pub area: usize,
    /// Pixels of the window.
    pub window: usize,
}

/// Encodes the images of one client to GLZ, and keeps the latest of them to refer to.
///
/// It takes 4 bytes for each pixel of the window, when images come to fill it, and 256 KiB.
#[derive(Debug)]
pub struct GlzEncoder {
    window: Window,
    compressor: GlzCompressor,
}

impl GlzEncoder {
    /// An encoder for a client that keeps `window_pixels`; nothing for one that keeps too few to be
    /// of use.
    pub fn new(window_pixels: u32) -> Option<Self> {
        Self::continuing(window_pixels, 0)
    }

    /// The same for a client whose last image of another encoder was the one before `next_id`.
    pub fn continuing(window_pixels: u32, next_id: u64) -> Option<Self> {
        let pixels = window_pixels.min(GLZ_WINDOW_PIXELS_MAX);
        if pixels < GLZ_WINDOW_PIXELS_MIN {
            return None;
        }
        Some(Self {
            window: Window::new(pixels as usize, next_id),
            compressor: GlzCompressor::new(),
        })
    }

    /// An encoder with a window of this many pixels, however few.
    #[cfg(any(test, fuzzing))]
    pub(super) fn with_window(pixels: usize) -> Self {
        Self {
            window: Window::new(pixels, 0),
            compressor: GlzCompressor::new(),
        }
    }

    /// The id of the next image.
    pub const fn next_id(&self) -> u64 {
        self.window.next_id()
    }

    /// Bytes of the window.
    pub fn held_bytes(&self) -> usize {
        self.window.held_bytes()
    }

    /// Whether an image of this size can be encoded.
    pub fn fits(&self, size: Size) -> bool {
        self.window.fits(size.area() as usize)
    }

    /// Appends `BinaryData` of a GLZ_RGB image, which has to be sent, and enters it into the
    /// window.
    ///
    /// # Errors
    ///
    /// Nothing is appended and no id is taken where the image does not fit ([`Self::fits`]).
    pub fn encode(&mut self, pixels: &Pixels<'_>, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        let area = pixels.area();
        if !self.window.fits(area) {
            let window = self.window.capacity();
            return Err(TooLarge { area, window });
        }
        let id = self.window.push(pixels);
        let mut writer = ByteWriter::new(out);
        writer.u32(0);
        writer.u32_be(MAGIC);
        writer.u32_be(VERSION);
        writer.u8(RGB32_TOP_DOWN);
        writer.u32_be(pixels.width());
        writer.u32_be(pixels.height());
        writer.u32_be(4 * pixels.width());
        writer.bytes(&id.to_be_bytes());
        writer.u32_be(self.window.head_distance());
        self.compressor.compress(&self.window, writer.buffer());
        let data_size = writer.written() - 4;
        writer.patch_u32(0, u32::try_from(data_size).unwrap_or(u32::MAX));
        Ok(())
    }

    /// The image that was encoded last will not be sent: its id goes to the next one.
    pub fn take_back(&mut self) {
        self.window.take_back();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::DecodeError;
    use crate::image::glz_decode::GlzDecoder;
    use crate::image::pictures::{Picture, changes, picture, spoil};
    use crate::image::zlib_glz::{self, ZlibWrapper};

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        // Two literals, a run of 2, the row above; then the same with one pixel changed.
        let row = [0xff01_0203, 0x0004_0506, 0x0004_0506, 0x0004_0506];
        let mut rows = row.repeat(3);
        let mut encoder = GlzEncoder::with_window(24);
        let mut out = Vec::new();
        let pixels = Pixels::packed(&rows, 4, 3).unwrap();
        assert_eq!(encoder.encode(&pixels, &mut out), Ok(()));
        #[rustfmt::skip]
        assert_eq!(out, [
            47, 0, 0, 0,
            0x20, 0x20, 0x5a, 0x4c, 0, 1, 0, 1, 0x18,
            0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 16,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            1, 3, 2, 1, 6, 5, 4,
            2 << 5, 0, 0,
            7 << 5 | 3, 1, 0, 0,
        ]);
        rows[0] = 7;
        out.clear();
        let pixels = Pixels::packed(&rows, 4, 3).unwrap();
        assert_eq!(encoder.encode(&pixels, &mut out), Ok(()));
        assert_eq!(out[25..37], [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn windows_are_bounded_by_both_sides() {
        assert!(GlzEncoder::new(0).is_none());
        assert!(GlzEncoder::new(GLZ_WINDOW_PIXELS_MIN - 1).is_none());
        let encoder = GlzEncoder::new(GLZ_WINDOW_PIXELS_MIN).unwrap();
        assert!(encoder.fits(Size::new(GLZ_WINDOW_PIXELS_MIN - 1, 1)));
        assert!(!encoder.fits(Size::new(GLZ_WINDOW_PIXELS_MIN, 1)));
        let encoder = GlzEncoder::new(u32::MAX).unwrap();
        assert!(!encoder.fits(Size::new(GLZ_WINDOW_PIXELS_MAX, 1)));
    }

    #[test]
    fn images_that_do_not_fit_leave_no_trace() {
        let mut encoder = GlzEncoder::with_window(6);
        let mut decoder = GlzDecoder::new(6);
        let data = [1, 2, 3, 4, 5, 6];
        let mut out = Vec::new();
        let (area, window) = (6, 6);
        assert_eq!(
            encoder.encode(&Pixels::packed(&data, 3, 2).unwrap(), &mut out),
            Err(TooLarge { area, window })
        );
        assert!(out.is_empty());
        let fitting = Pixels::packed(&data, 5, 1).unwrap();
        assert_eq!(encoder.encode(&fitting, &mut out), Ok(()));
        let decoded = decoder.decode(&out, fitting.size());
        assert_eq!(decoded, Ok(data[..5].to_vec()), "the first id is 0");
    }

    /// Noise in runs of three, so that only an earlier image can be a source of more.
    fn noise(seed: u32, len: usize) -> Vec<u32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
        let next = std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state >> 8
        });
        next.take(len.div_ceil(3))
            .flat_map(|pixel| [pixel; 3])
            .take(len)
            .collect()
    }

    fn encoded_len(encoder: &mut GlzEncoder, pixels: &[u32], width: u32) -> usize {
        let mut out = Vec::new();
        let height = pixels.len() as u32 / width;
        let pixels = Pixels::packed(pixels, width, height).unwrap();
        encoder.encode(&pixels, &mut out).unwrap();
        out.len()
    }

    #[test]
    fn what_comes_again_costs_little_until_the_window_forgets_it() {
        let mut encoder = GlzEncoder::with_window(100_000);
        let image = noise(1, 20_000);
        let whole = encoded_len(&mut encoder, &image, 200);
        assert!(40_000 < whole);
        assert!(encoded_len(&mut encoder, &image, 200) < 200, "again");
        let mut changed = image.clone();
        for at in (1000..20_000).step_by(1003) {
            changed[at] ^= 0x33;
        }
        assert!(encoded_len(&mut encoder, &changed, 200) < 400, "19 pixels");
        let part: Vec<u32> = image
            .chunks(200)
            .skip(9)
            .flat_map(|row| row[50..150].to_vec())
            .collect();
        assert!(encoded_len(&mut encoder, &part, 100) < 1500, "91 rows");
        // 69100 pixels are in use now; what does not fit behind them begins at the front.
        let other = noise(2, 40_000);
        assert!(80_000 < encoded_len(&mut encoder, &other, 200));
        assert_eq!(
            encoder.window.head_distance(),
            2,
            "the changed one, the part"
        );
        assert!(encoded_len(&mut encoder, &other, 200) < 300, "again");
        assert!(encoded_len(&mut encoder, &noise(3, 99_000), 200) > 198_000);
        assert!(40_000 < encoded_len(&mut encoder, &image, 200), "forgotten");
    }

    /// What happens between the images of a sequence.
    #[derive(Clone, Debug)]
    enum Step {
        New(Picture),
        /// It is encoded and not sent.
        TakenBack(Picture),
        /// Another encoder goes on.
        GivenUp,
        /// One of the pictures before, or a part of it.
        Again(prop::sample::Index, u32, u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let again = (any::<prop::sample::Index>(), 0_u32..40, 0_u32..40)
            .prop_map(|(index, left, top)| Step::Again(index, left, top));
        let step = prop_oneof![
            4 => picture().prop_map(Step::New),
            1 => picture().prop_map(Step::TakenBack),
            1 => Just(Step::GivenUp),
            6 => again,
        ];
        prop::collection::vec(step, 1..16)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn sequences_come_back(
            steps in steps(),
            window in prop_oneof![Just(1_usize << 20), 2_usize..300_000, 2_usize..9000],
        ) {
            let mut encoder = GlzEncoder::with_window(window);
            let mut decoder = GlzDecoder::new(window);
            let mut wrapper = ZlibWrapper::new(1);
            let mut shown: Vec<Picture> = Vec::new();
            for (at, step) in steps.into_iter().enumerate() {
                let (picture, left, top) = match step {
                    Step::Again(index, left, top) if !shown.is_empty() => {
                        (index.get(&shown).clone(), left, top)
                    }
                    Step::Again(..) => continue,
                    Step::TakenBack(picture) => {
                        if encoder.encode(&picture.pixels(), &mut Vec::new()).is_ok() {
                            encoder.take_back();
                        }
                        continue;
                    }
                    Step::GivenUp => {
                        let next_id = encoder.next_id();
                        encoder = GlzEncoder::with_window(window);
                        encoder.window = Window::new(window, next_id);
                        continue;
                    }
                    Step::New(picture) => (picture, 0, 0),
                };
                let whole = picture.pixels();
                let (width, height) = (whole.width() as i32, whole.height() as i32);
                let (left, top) = (left as i32 % width, top as i32 % height);
                let part = crate::base::Rect::new(left, top, width, height);
                let pixels = whole.part(part).unwrap();
                let mut out = vec![0x77];
                let encoded = encoder.encode(&pixels, &mut out);
                prop_assert_eq!(encoded.is_ok(), pixels.area() < window);
                if encoded.is_err() {
                    continue;
                }
                let payload = &out[1..];
                prop_assert!(payload.len() <= encoded_len_max(pixels.area()));
                let mut deflated = Vec::new();
                let decoded = if at % 3 == 0 && wrapper.wrap(payload, &mut deflated) {
                    prop_assert!(deflated.len() < payload.len());
                    zlib_glz::decode(&deflated, pixels.size(), &mut decoder)
                } else {
                    decoder.decode(payload, pixels.size())
                };
                let colors: Vec<u32> = pixels.rows().flatten().map(|pixel| pixel & 0xff_ffff).collect();
                prop_assert_eq!(decoded, Ok(colors));
                shown.push(picture);
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            pictures in prop::collection::vec(picture(), 2..4),
            changes in changes(),
        ) {
            let mut encoder = GlzEncoder::with_window(1 << 20);
            let mut decoder = GlzDecoder::new(1 << 20);
            for picture in pictures {
                let size = picture.pixels().size();
                let mut out = Vec::new();
                encoder.encode(&picture.pixels(), &mut out).unwrap();
                spoil(&mut out, &changes);
                let decoded: Result<_, DecodeError> = decoder.decode(&out, size);
                if let Ok(pixels) = decoded {
                    prop_assert_eq!(pixels.len() as u64, size.area());
                }
            }
        }
    }
}

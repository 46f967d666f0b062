//! What a model client makes of the images that it is sent: it decodes those of its profile and no others.

use zune_jpeg::zune_core::bytestream::ZCursor;

use caraway_server::base::Size;
use caraway_server::image::glz_decode::GlzDecoder;
use caraway_server::image::{bitmap, lz, lz_palette, lz4, quic, zlib_glz};
use caraway_server::wire::draw::{ImageType, ReceivedCopy};

use super::Profile;
use super::display::Counts;

/// Pixels of earlier images that a client keeps, as its INIT tells; spice-html5 keeps none.
pub(crate) const fn window_pixels(profile: Profile) -> i32 {
    match profile {
        Profile::Html5 => 0,
        Profile::Gtk | Profile::Old => 12 << 18,
    }
}

/// Bytes of an LZ_PLT image in front of its LZ data: flags, size, and the palette's offset.
const PALETTE_PREFIX: usize = 1 + 4 + 4;

/// The decoders of one display channel.
#[derive(Debug)]
pub(crate) struct Images {
    profile: Profile,
    dictionary: GlzDecoder,
}

impl Images {
    pub(crate) const fn new(profile: Profile) -> Self {
        Self {
            profile,
            dictionary: GlzDecoder::new(window_pixels(profile) as usize),
        }
    }

    /// Earlier images in its dictionary.
    pub(crate) fn held(&self) -> usize {
        self.dictionary.held()
    }

    /// The pixels of an image that carries some.
    pub(crate) fn decode(&mut self, copy: &ReceivedCopy<'_>, counts: &mut Counts) -> Vec<u32> {
        let native = self.profile == Profile::Gtk;
        let (count, pixels) = match copy.image_type {
            ImageType::BITMAP => (&mut counts.bitmaps, bitmap::decode(copy.data, copy.size)),
            ImageType::QUIC => (&mut counts.quic, quic::decode(copy.data, copy.size)),
            ImageType::LZ_RGB => (&mut counts.lz, lz::decode(copy.data, copy.size)),
            ImageType::LZ4 => {
                assert!(native, "nobody else decodes LZ4");
                (&mut counts.lz4, lz4::decode(copy.data, copy.size))
            }
            ImageType::LZ_PLT => {
                assert!(native, "spice-html5 decodes none");
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
                (
                    &mut counts.palettes,
                    lz_palette::decode(image, &palette, copy.size),
                )
            }
            // A dictionary that lacks an image is an error here; a real client would wait for ever.
            ImageType::GLZ_RGB => {
                assert_ne!(self.profile, Profile::Html5);
                (
                    &mut counts.glz,
                    self.dictionary.decode(copy.data, copy.size),
                )
            }
            ImageType::ZLIB_GLZ_RGB => {
                assert_ne!(self.profile, Profile::Html5);
                let pixels = zlib_glz::decode(copy.data, copy.size, &mut self.dictionary);
                (&mut counts.glz, pixels)
            }
            ImageType::JPEG => {
                assert!(native, "spice-html5 would paint it late");
                let told: [u8; 4] = copy.data[..4].try_into().expect("a size");
                assert_eq!(u32::from_le_bytes(told) as usize, copy.data.len() - 4);
                (&mut counts.jpeg, Ok(jpeg(&copy.data[4..], copy.size)))
            }
            other => unreachable!("the server has no reason to send {other:?}"),
        };
        *count += 1;
        counts.images += 1;
        counts.image_pixels += copy.rect.area();
        pixels.expect("an image of its type")
    }
}

/// The pixels of a JPEG file, which has to be of this size.
pub(crate) fn jpeg(file: &[u8], expected: Size) -> Vec<u32> {
    let mut decoder = zune_jpeg::JpegDecoder::new(ZCursor::new(file));
    let bytes = decoder.decode().expect("a JPEG file");
    let info = decoder.info().expect("a size");
    assert_eq!(Size::new(info.width.into(), info.height.into()), expected);
    let rgb = bytes.chunks_exact(3);
    rgb.map(|rgb| u32::from_be_bytes([0, rgb[0], rgb[1], rgb[2]]))
        .collect()
}

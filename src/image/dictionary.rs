//! One client's memory of earlier images, for lines on which bytes are dear: GLZ, and deflate around it.
//!
//! What comes again (a window that was covered, a list that goes back and forth) costs a hundredth, what is new a tenth
//! less than palettes and LZ, for three milliseconds of a processor a screen (`docs/decisions/0013`). Client and server
//! count images, so one dictionary belongs to one connection, and what was encoded must be sent.

use super::choose::Encoded;
use super::glz::GlzEncoder;
use super::pixels::Pixels;
use super::zlib_glz::ZlibWrapper;

/// Deflate's level: the first one that is worth its name here, 1 % larger than the next.
const LEVEL: u32 = 2;

/// Pixels of the smallest image: smaller ones refer to nothing.
const AREA_MIN: usize = 64;

/// The dictionary of one connection.
#[derive(Debug)]
pub struct Dictionary {
    glz: GlzEncoder,
    zlib: ZlibWrapper,
    plain: Vec<u8>,
}

impl Dictionary {
    /// For a client that keeps so many pixels (`SpiceMsgcDisplayInit`, field `glz_dictionary_window_size`); `None`
    /// where that is too little to be of use.
    pub fn new(window_pixels: u32) -> Option<Self> {
        Self::continuing(window_pixels, 0)
    }

    /// The same in place of one that was given up, whose [`next_id`](Self::next_id) this was.
    pub fn continuing(window_pixels: u32, next_id: u64) -> Option<Self> {
        Some(Self {
            glz: GlzEncoder::continuing(window_pixels, next_id)?,
            zlib: ZlibWrapper::new(LEVEL),
            plain: Vec::new(),
        })
    }

    /// What the client calls the next image.
    pub const fn next_id(&self) -> u64 {
        self.glz.next_id()
    }

    /// Bytes of the images that it remembers.
    pub fn held_bytes(&self) -> usize {
        self.glz.held_bytes()
    }

    /// Appends an image, which has to be sent; `None`, and nothing appended, where it is not for the dictionary.
    pub fn encode(&mut self, pixels: &Pixels<'_>, out: &mut Vec<u8>) -> Option<Encoded> {
        if pixels.area() < AREA_MIN || !self.glz.fits(pixels.size()) {
            return None;
        }
        self.plain.clear();
        self.glz.encode(pixels, &mut self.plain).ok()?;
        if self.zlib.wrap(&self.plain, out) {
            return Some(Encoded::ZlibGlz);
        }
        out.extend_from_slice(&self.plain);
        Some(Encoded::Glz)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::glz_decode::GlzDecoder;
    use crate::image::pictures::picture;
    use crate::image::zlib_glz;

    const WINDOW: u32 = 1 << 20;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        #[test]
        fn a_client_that_decodes_all_of_it_sees_the_pictures(
            pictures in prop::collection::vec(picture(), 1..6),
        ) {
            let mut dictionary = Dictionary::new(WINDOW).unwrap();
            let mut client = GlzDecoder::new(WINDOW as usize);
            for picture in pictures {
                let (pixels, mut out) = (picture.pixels(), vec![7]);
                let decoded = match dictionary.encode(&pixels, &mut out) {
                    Some(Encoded::Glz) => client.decode(&out[1..], pixels.size()),
                    Some(Encoded::ZlibGlz) => {
                        zlib_glz::decode(&out[1..], pixels.size(), &mut client)
                    }
                    other => {
                        prop_assert_eq!(other, None);
                        prop_assert_eq!(&out, &[7]);
                        continue;
                    }
                };
                prop_assert_eq!(decoded, Ok(picture.colors()));
            }
        }
    }

    #[test]
    fn what_comes_again_costs_next_to_nothing() {
        let data: Vec<u32> = (0..300 * 200_u32)
            .map(|at| (at / 7).wrapping_mul(0x9e37_79b1) >> 12)
            .collect();
        let pixels = Pixels::packed(&data, 300, 200).unwrap();
        let mut dictionary = Dictionary::new(WINDOW).unwrap();
        let mut len = || {
            let mut out = Vec::new();
            assert!(dictionary.encode(&pixels, &mut out).is_some());
            out.len()
        };
        let (first, again) = (len(), len());
        assert!(again * 20 < first, "{first}, then {again}");
        assert!(Dictionary::new(0).is_none(), "spice-html5 keeps none");
    }
}

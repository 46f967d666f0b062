//! One client's memory of earlier images: GLZ, and deflate around it.
//!
//! Text that scrolls takes a third of what LZ makes of it in the same time, because its words were there before; what
//! comes again whole (a window that was covered, a list that goes back and forth) costs a hundredth
//! (`docs/decisions/0013`). Client and server count images, so one dictionary belongs to one connection, and
//! what was encoded must be sent.

use super::choose::Encoded;
use super::glz::GlzEncoder;
use super::pixels::Pixels;
use super::zlib_glz::ZlibWrapper;

/// Deflate's level: the first one that is worth its name here, 1 % larger than the next.
const LEVEL: u32 = 2;

/// Pixels of the smallest image: smaller ones refer to nothing.
const AREA_MIN: usize = 64;

/// Bytes of GLZ that are deflated for a client that is near: a fifth to a third less, for a tenth of a millisecond at
/// most. More than that is on its way on a LAN sooner than it is deflated.
const NEAR_DEFLATED_MAX: usize = 8 * 1024;

/// What bytes are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thrift {
    /// The line is fast: only what is small is deflated.
    Near,
    /// The line is slow: everything is deflated.
    Far,
}

/// The dictionary of one connection.
#[derive(Debug)]
pub struct Dictionary {
    glz: GlzEncoder,
    zlib: Option<ZlibWrapper>,
    plain: Vec<u8>,
    /// What bytes are worth now.
    pub thrift: Thrift,
    /// Bytes of the last image before it was deflated.
    pub(super) plain_len: usize,
    /// The last image was short: the next one is tried here first.
    pub(super) leads: bool,
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
            zlib: None,
            plain: Vec::new(),
            thrift: Thrift::Far,
            plain_len: 0,
            leads: false,
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

    /// Appends an image, which has to be sent; `None`, and nothing appended, where it is not for the dictionary, or
    /// takes more than `bytes_max` before it is deflated.
    pub fn encode(
        &mut self,
        pixels: &Pixels<'_>,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Option<Encoded> {
        if pixels.area() < AREA_MIN || !self.glz.fits(pixels.size()) {
            return None;
        }
        self.plain.clear();
        self.glz.encode(pixels, &mut self.plain).ok()?;
        if bytes_max < self.plain.len() {
            self.glz.take_back();
            return None;
        }
        self.plain_len = self.plain.len();
        let deflates = self.thrift == Thrift::Far || self.plain.len() <= NEAR_DEFLATED_MAX;
        if deflates {
            let zlib = self.zlib.get_or_insert_with(|| ZlibWrapper::new(LEVEL));
            if zlib.wrap(&self.plain, out) {
                return Some(Encoded::ZlibGlz);
            }
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
            pictures in prop::collection::vec((picture(), 0..40_000_usize, any::<bool>()), 1..6),
        ) {
            let mut dictionary = Dictionary::new(WINDOW).unwrap();
            let mut client = GlzDecoder::new(WINDOW as usize);
            for (picture, bytes_max, is_near) in pictures {
                let (pixels, mut out) = (picture.pixels(), vec![7]);
                dictionary.thrift = if is_near { Thrift::Near } else { Thrift::Far };
                let encoded = dictionary.encode(&pixels, bytes_max, &mut out);
                prop_assert!(out.len() <= 1 + bytes_max);
                let decoded = match encoded {
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
            assert!(dictionary.encode(&pixels, usize::MAX, &mut out).is_some());
            out.len()
        };
        let (first, again) = (len(), len());
        assert!(again * 20 < first, "{first}, then {again}");
        assert!(Dictionary::new(0).is_none(), "spice-html5 keeps none");
    }

    #[test]
    fn what_takes_too_much_is_not_in_the_dictionary() {
        let data: Vec<u32> = (0..4096_u32)
            .map(|at| at.wrapping_mul(0x9e37_79b1) >> 8)
            .collect();
        let pixels = Pixels::packed(&data, 64, 64).unwrap();
        let mut dictionary = Dictionary::new(WINDOW).unwrap();
        let mut client = GlzDecoder::new(WINDOW as usize);
        let mut out = Vec::new();
        assert_eq!(dictionary.encode(&pixels, 9000, &mut out), None);
        assert!(out.is_empty());
        dictionary.thrift = Thrift::Near;
        let encoded = dictionary.encode(&pixels, usize::MAX, &mut out);
        assert_eq!(encoded, Some(Encoded::Glz), "12 KB are not deflated");
        assert_eq!(client.decode(&out, pixels.size()), Ok(data.clone()));
        out.clear();
        let encoded = dictionary.encode(&pixels, 9000, &mut out);
        assert_ne!(encoded, None, "this time it is there");
    }

    #[test]
    fn one_that_goes_on_refers_to_nothing_before_it() {
        let data: Vec<u32> = (0..4096_u32)
            .map(|at| (at / 7).wrapping_mul(0x9e37_79b1) >> 8)
            .collect();
        let pixels = Pixels::packed(&data, 64, 64).unwrap();
        let mut dictionary = Dictionary::new(WINDOW).unwrap();
        let mut client = GlzDecoder::new(WINDOW as usize);
        let mut draw = |dictionary: &mut Dictionary| {
            let mut out = Vec::new();
            let encoded = dictionary.encode(&pixels, usize::MAX, &mut out);
            assert_eq!(encoded, Some(Encoded::ZlibGlz));
            let decoded = zlib_glz::decode(&out, pixels.size(), &mut client);
            assert!(decoded.is_ok_and(|decoded| decoded == data));
            out.len()
        };
        let first = draw(&mut dictionary);
        assert!(draw(&mut dictionary) * 4 < first);
        assert_ne!(dictionary.held_bytes(), 0);
        let mut dictionary = Dictionary::continuing(WINDOW, dictionary.next_id()).unwrap();
        assert_eq!(dictionary.held_bytes(), 0);
        assert!(draw(&mut dictionary).abs_diff(first) < first / 10);
    }
}

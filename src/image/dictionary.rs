//! One client's memory of earlier images: GLZ, and deflate around it.
//!
//! Text that scrolls takes a third of what LZ makes of it in the same time, because its words were there before; what
//! comes again whole (a window that was covered, a list that goes back and forth) costs a hundredth
//! (`docs/decisions/0013`). Client and server count images, so one dictionary belongs to one connection, and
//! what was encoded must be sent.

use crate::base::Micros;

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

/// Images that were of no use for so long are forgotten.
const UNUSED_AFTER: Micros = Micros::from_secs(120);

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
    /// Images so far, and as many as there were at a rest and when that was.
    images: u64,
    rested: Option<(u64, Micros)>,
}

impl Dictionary {
    /// For a client that keeps so many pixels (`SpiceMsgcDisplayInit`, field `glz_dictionary_window_size`); `None`
    /// where that is too little to be of use.
    pub fn new(window_pixels: u32) -> Option<Self> {
        Some(Self {
            glz: GlzEncoder::new(window_pixels)?,
            zlib: None,
            plain: Vec::new(),
            thrift: Thrift::Far,
            images: 0,
            rested: None,
        })
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
        self.images += 1;
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

    /// Nothing happens for a moment: forgets what has not been of use for [`UNUSED_AFTER`]. When to come again, if
    /// something is remembered still.
    pub fn tidy(&mut self, now: Micros) -> Option<Micros> {
        if self.images == 0 {
            return None;
        }
        let since = match self.rested {
            Some((images, since)) if images == self.images => since,
            _ => now,
        };
        self.rested = Some((self.images, since));
        if now < since + UNUSED_AFTER {
            return Some(since + UNUSED_AFTER);
        }
        self.glz.forget();
        (self.zlib, self.plain) = (None, Vec::new());
        (self.images, self.rested) = (0, None);
        None
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
    fn what_is_not_used_is_forgotten_in_a_rest() {
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
        let (start, later) = (Micros::from_secs(7), Micros::from_secs(100));
        assert_eq!(dictionary.tidy(start), None, "nothing to forget");
        let first = draw(&mut dictionary);
        assert_eq!(dictionary.tidy(start), Some(start + UNUSED_AFTER));
        assert!(draw(&mut dictionary) * 4 < first);
        assert_eq!(dictionary.tidy(later), Some(later + UNUSED_AFTER));
        assert_eq!(dictionary.tidy(later + start), Some(later + UNUSED_AFTER));
        assert_eq!(dictionary.tidy(later + UNUSED_AFTER), None);
        assert!(draw(&mut dictionary).abs_diff(first) < first / 10);
    }
}

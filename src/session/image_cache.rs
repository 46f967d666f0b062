//! The images that one client keeps: pixels that it has seen in a rectangle of the same size are named, not sent.
//!
//! Unlike save-unders (`display::saved`) it serves what is small and comes back anywhere: buttons and entries under
//! the pointer, letters, the pictures of a busy sign. The unit is the rectangle of one update, which is what changed
//! between two states, so the same change makes the same rectangle again.
//!
//! An image is known by the BLAKE3 hash of its size and pixels, cut to 128 bits: no drawing in the session, however
//! hostile, finds two pictures of one hash. Its id is a plain number, new for each image, because spice-html5 keeps 31
//! bits apart.
//!
//! The client frees nothing by itself, waits for ever for an image that it has not got, and complains of an id that it
//! has: so INVAL_LIST goes out before its size is exceeded, and this list is exactly what it has. Only lossless images
//! belong here.

use std::collections::BTreeMap;

use crate::base::limits::{CACHED_IMAGES_MAX, CACHED_PIXELS_MAX};
use crate::image::palette::flat_color;
use crate::image::pixels::Pixels;

/// Pixels of the smallest image that is looked up: below that the message is most of its bytes.
const AREA_MIN: usize = 48;

/// Pixels of the largest image: larger ones are photographs, videos and pages, and hardly come back whole.
const AREA_MAX: usize = 64 * 1024;

/// Bytes of an image's data from which on it is kept: an image by name has none.
pub(super) const DATA_BYTES_MIN: usize = 64;

/// Of everything that is kept one part in so many goes at once when there is no room, so that few messages say so.
const EVICTED_SHARE: u64 = 8;

/// What makes two images the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key([u8; 16]);

/// What is known of an image that the client has.
#[derive(Clone, Copy, Debug)]
struct Kept {
    id: u64,
    used: u64,
    area: u64,
}

/// What a client has in its image cache.
#[derive(Debug, Default)]
pub(super) struct ImageCache {
    images: BTreeMap<Key, Kept>,
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    pixels: u64,
    pixels_max: u64,
    last_id: u64,
    /// Reused from image to image.
    bytes: Vec<u8>,
}

impl ImageCache {
    /// Gives up what the next image takes again.
    pub(super) fn give_up_scratch(&mut self) {
        self.bytes = Vec::new();
    }

    /// The client's INIT tells how many pixels it keeps; before, it keeps none.
    pub(super) fn set_size(&mut self, pixels: i64) {
        let told = u64::try_from(pixels).unwrap_or(0);
        self.pixels_max = told.min(CACHED_PIXELS_MAX);
    }

    /// What identifies an image; none if it is not worth keeping.
    pub(super) fn key(&mut self, pixels: &Pixels<'_>) -> Option<Key> {
        let area = pixels.area();
        let worth = (AREA_MIN..=AREA_MAX).contains(&area) && area as u64 <= self.pixels_max / 2;
        if !worth || flat_color(pixels).is_some() {
            return None;
        }
        let mut hasher = blake3::Hasher::new();
        let size = u64::from(pixels.width()) << 32 | u64::from(pixels.height());
        hasher.update(&size.to_le_bytes());
        self.bytes.clear();
        self.bytes.resize(area * 4, 0);
        let places = self.bytes.chunks_exact_mut(4 * pixels.width() as usize);
        for (place, row) in places.zip(pixels.rows()) {
            for (bytes, pixel) in place.chunks_exact_mut(4).zip(row) {
                bytes.copy_from_slice(&pixel.to_le_bytes());
            }
        }
        hasher.update(&self.bytes);
        let (key, _) = hasher
            .finalize()
            .as_bytes()
            .split_first_chunk()
            .map(|(a, b)| (*a, b))?;
        Some(Key(key))
    }

    /// The id of an image that the client has.
    pub(super) fn find(&mut self, key: &Key) -> Option<u64> {
        let kept = self.images.get_mut(key)?;
        self.by_use.remove(&kept.used);
        self.uses += 1;
        kept.used = self.uses;
        self.by_use.insert(kept.used, *key);
        Some(kept.id)
    }

    /// An id for another image. Ids begin again after two milliards of images.
    pub(super) fn next_id(&mut self) -> u64 {
        loop {
            self.last_id = self.last_id % 0x7fff_ffff + 1;
            let last = self.last_id;
            // Once round, an image of this id may still be there.
            if self.uses < 0x7fff_ffff || self.images.values().all(|kept| kept.id != last) {
                return last;
            }
        }
    }

    /// The client keeps this image of `area` pixels from now on. Gives the ids that it has to forget before.
    pub(super) fn keep(&mut self, key: Key, id: u64, area: usize) -> Vec<u64> {
        let area = area as u64;
        let mut evicted = Vec::new();
        if self.pixels_max < self.pixels + area || CACHED_IMAGES_MAX <= self.images.len() {
            let pixels = self.pixels_max - self.pixels_max / EVICTED_SHARE;
            let images = CACHED_IMAGES_MAX - CACHED_IMAGES_MAX / EVICTED_SHARE as usize;
            while pixels < self.pixels + area || images <= self.images.len() {
                let Some((_, oldest)) = self.by_use.pop_first() else {
                    break;
                };
                if let Some(kept) = self.images.remove(&oldest) {
                    self.pixels -= kept.area;
                    evicted.push(kept.id);
                }
            }
        }
        self.uses += 1;
        let used = self.uses;
        self.by_use.insert(used, key);
        self.images.insert(key, Kept { id, used, area });
        self.pixels += area;
        evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn picture(seed: u32, area: usize) -> Vec<u32> {
        let pixel = |at: usize| (at as u32 ^ seed << 16).wrapping_mul(0x9e37_79b1) >> 8;
        (0..area).map(pixel).collect()
    }

    #[test]
    fn the_same_pixels_in_another_size_are_another_image() {
        let mut cache = ImageCache::default();
        let data = picture(1, 96);
        let key = |cache: &mut ImageCache, width, height| {
            cache.key(&Pixels::packed(&data, width, height).unwrap())
        };
        assert_eq!(key(&mut cache, 12, 8), None, "before INIT");
        cache.set_size(20 << 20);
        let wide = key(&mut cache, 12, 8).unwrap();
        assert_eq!(key(&mut cache, 12, 8), Some(wide));
        assert_ne!(key(&mut cache, 8, 12), Some(wide));
        let part = Pixels::new(&data, 6, 8, 12).unwrap();
        let mut packed = Vec::new();
        part.pack_into(&mut packed);
        let packed = Pixels::packed(&packed, 6, 8).unwrap();
        assert_eq!(cache.key(&part), cache.key(&packed));
        assert_eq!(
            cache.key(&Pixels::packed(&[7; 96], 12, 8).unwrap()),
            None,
            "a fill"
        );
        assert_eq!(key(&mut cache, 1, 2), None, "too small");
        cache.set_size(-1);
        assert_eq!(key(&mut cache, 12, 8), None);
    }

    #[test]
    fn any_pixel_makes_another_image() {
        let mut cache = ImageCache::default();
        cache.set_size(20 << 20);
        let data = picture(1, 96);
        let key = cache.key(&Pixels::packed(&data, 12, 8).unwrap());
        assert!(key.is_some());
        for at in 0..data.len() {
            let mut other = data.clone();
            other[at] ^= 1;
            let other = cache.key(&Pixels::packed(&other, 12, 8).unwrap());
            assert_ne!(other, key, "pixel {at}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// A client that does what it is told has every image that is named, and never more than it can hold.
        #[test]
        fn the_list_is_what_the_client_has(
            images in prop::collection::vec((0u32..400, 7usize..60), 1..600),
            size in 2_000i64..90_000,
        ) {
            let mut cache = ImageCache::default();
            cache.set_size(size);
            let mut client: BTreeMap<u64, usize> = BTreeMap::new();
            for (seed, side) in images {
                let data = picture(seed, side * side);
                let Some(key) = cache.key(&Pixels::packed(&data, side as u32, side as u32).unwrap())
                else {
                    continue;
                };
                match cache.find(&key) {
                    Some(id) => prop_assert_eq!(client.get(&id), Some(&data.len())),
                    None => {
                        let id = cache.next_id();
                        for gone in cache.keep(key, id, data.len()) {
                            prop_assert!(client.remove(&gone).is_some());
                        }
                        prop_assert!(client.insert(id, data.len()).is_none());
                    }
                }
                prop_assert!(client.values().sum::<usize>() as i64 <= size);
                prop_assert!(client.len() <= CACHED_IMAGES_MAX);
                prop_assert_eq!(client.len(), cache.by_use.len());
            }
        }
    }
}

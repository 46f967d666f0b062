//! A rectangle of the screen becomes images, each of one kind and in the codec of its kind, on the processors that are
//! free.
//!
//! What is drawn goes through a client's dictionary, one image after the other: that takes a fraction of a millisecond.
//! Photographs are what takes time: a rectangle of more pixels than one image has becomes several images, which several
//! processors encode at once. A single image is not cut up for that: to wake another processor takes as long as half
//! of it, and what a codec has learnt would be lost.

use super::choose::{Capabilities, Encoded, Encoder};
use super::classify::{Classifier, Kind, Part};
use super::dictionary::Dictionary;
use super::jpeg::{JpegBackend, PureJpeg};
use super::pixels::Pixels;
use crate::base::limits::IMAGE_PIXELS_MAX;
use crate::base::{Job, Rect, Workers};

/// An image that was made, or a fill.
#[derive(Debug)]
pub struct Piece {
    /// Where it belongs; its origin is the top left pixel of what was encoded.
    pub rect: Rect,
    /// Its image type.
    pub encoded: Encoded,
    /// What follows its image descriptor.
    pub payload: Vec<u8>,
}

/// Makes JPEG encoders, one for each thread.
pub type JpegBackends = Box<dyn Fn() -> Box<dyn JpegBackend>>;

/// Encodes rectangles of any content; serves all clients, one after the other.
pub struct ContentEncoder {
    classifier: Classifier,
    parts: Vec<Part>,
    /// The first is for what the caller does alone, all of them for a batch.
    encoders: Vec<Encoder>,
    backends: JpegBackends,
    /// Payloads of pieces that were taken back.
    spare: Vec<Vec<u8>>,
}

/// Payloads that are kept for the next pieces.
const SPARE_MAX: usize = 16;

impl ContentEncoder {
    /// An encoder with the JPEG encoder that is always there.
    pub fn new() -> Self {
        Self::with_jpeg(Box::new(|| Box::new(PureJpeg)))
    }

    /// The same with other JPEG encoders.
    pub fn with_jpeg(backends: JpegBackends) -> Self {
        Self {
            classifier: Classifier::new(),
            parts: Vec::new(),
            encoders: Vec::new(),
            backends,
            spare: Vec::new(),
        }
    }

    /// Appends pieces that together cover `pixels`, each pixel once, to be sent in this order. What is drawn goes
    /// through the client's dictionary where one is given.
    pub fn encode(
        &mut self,
        pixels: &Pixels<'_>,
        capabilities: Capabilities,
        mut dictionary: Option<&mut Dictionary>,
        workers: &dyn Workers,
        pieces: &mut Vec<Piece>,
    ) {
        let mut parts = std::mem::take(&mut self.parts);
        self.classifier.split(pixels, &mut parts);
        for part in &parts {
            if let (Kind::Drawn, Some(dictionary)) = (part.kind, &mut dictionary) {
                for rect in bands(part) {
                    let Some(band) = pixels.part(rect) else {
                        continue;
                    };
                    let mut payload = self.spare.pop().unwrap_or_default();
                    self.provide(1);
                    let encoder = &mut self.encoders[0];
                    let encoded =
                        encoder.encode_with(dictionary, &band, capabilities, &mut payload);
                    pieces.push(Piece {
                        rect,
                        encoded,
                        payload,
                    });
                }
                continue;
            }
            let first = pieces.len();
            for rect in bands(part) {
                let payload = self.spare.pop().unwrap_or_default();
                let encoded = Encoded::Bitmap;
                pieces.push(Piece {
                    rect,
                    encoded,
                    payload,
                });
            }
            let batch = &mut pieces[first..];
            self.provide(batch.len());
            let jobs = batch.iter_mut().zip(&mut self.encoders);
            let jobs = jobs.filter_map(|(piece, encoder)| -> Option<Job<'_>> {
                let band = pixels.part(piece.rect)?;
                Some(Box::new(move || {
                    let payload = &mut piece.payload;
                    piece.encoded = encoder.encode(&band, part.kind, capabilities, payload);
                }))
            });
            workers.run(jobs.collect());
        }
        self.parts = parts;
    }

    /// Gives up all memory; the next picture takes what it needs.
    pub fn give_up(&mut self) {
        self.classifier = Classifier::new();
        self.parts = Vec::new();
        self.encoders = Vec::new();
        self.spare = Vec::new();
    }

    /// Whether it has memory of its codecs, whose bytes follow the largest picture.
    pub fn holds_codecs(&self) -> bool {
        !self.encoders.is_empty()
    }

    /// Bytes of payloads that are kept for the next pieces.
    pub fn held_bytes(&self) -> usize {
        self.spare.iter().map(Vec::capacity).sum()
    }

    /// A JPEG encoder like those that it uses.
    pub fn jpeg_backend(&self) -> Box<dyn JpegBackend> {
        (self.backends)()
    }

    /// Takes a piece's memory back.
    pub fn recycle(&mut self, mut payload: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            payload.clear();
            self.spare.push(payload);
        }
    }

    fn provide(&mut self, count: usize) {
        while self.encoders.len() < count {
            self.encoders.push(Encoder::with_jpeg((self.backends)()));
        }
    }
}

impl Default for ContentEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ContentEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContentEncoder")
            .field("encoders", &self.encoders)
            .finish_non_exhaustive()
    }
}

/// Cuts what is more than one image has into bands of about the same height; a fill is none.
fn bands(part: &Part) -> impl Iterator<Item = Rect> + use<> {
    let rect = part.rect;
    let count = match part.kind {
        Kind::Flat(_) => 1,
        Kind::Drawn | Kind::Photo => rect.area().div_ceil(u64::from(IMAGE_PIXELS_MAX)),
    };
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let count = count.clamp(1, rect.height().max(1));
    let edge = move |band: u32| {
        let rows = u64::from(rect.height()) * u64::from(band) / u64::from(count);
        rect.top + i32::try_from(rows).unwrap_or(i32::MAX)
    };
    (0..count).map(move |band| Rect {
        top: edge(band),
        bottom: edge(band + 1),
        ..rect
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::{Alone, Region, Size};
    use crate::image::choose::Wish;
    use crate::image::dictionary::Thrift;
    use crate::image::glz_decode::GlzDecoder;
    use crate::image::jpeg::{JpegSettings, Sampling};
    use crate::image::pictures::picture;
    use crate::image::shown::decode;
    use crate::image::zlib_glz;

    /// Three that do jobs in an order of their own.
    #[derive(Debug)]
    struct Backwards;

    impl Workers for Backwards {
        fn free(&self) -> usize {
            3
        }

        fn run(&self, jobs: Vec<Job<'_>>) {
            for job in jobs.into_iter().rev() {
                job();
            }
        }
    }

    fn check(pixels: &Pixels<'_>, pieces: &[Piece]) -> Result<(), TestCaseError> {
        let rects: Vec<Rect> = pieces.iter().map(|piece| piece.rect).collect();
        let area: u64 = rects.iter().map(Rect::area).sum();
        prop_assert_eq!(area, pixels.area() as u64);
        prop_assert_eq!(
            Region::from_rects(&rects),
            Region::from(pixels.size().rect())
        );
        for piece in pieces {
            let band = pixels.part(piece.rect).unwrap();
            if piece.encoded.is_lossy() {
                continue;
            }
            let mut packed = Vec::new();
            band.pack_into(&mut packed);
            let decoded = decode(&piece.encoded, &piece.payload, &band);
            prop_assert_eq!(decoded.as_ref(), Ok(&packed));
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn pieces_are_the_picture(
            pictures in prop::collection::vec(picture(), 1..3),
            lz4: bool, lz_palette: bool, local: bool, alone: bool, lossy: bool,
            wish in prop::sample::select(vec![Wish::Auto, Wish::Off, Wish::Quic, Wish::Lz, Wish::Lz4]),
        ) {
            let jpeg = lossy.then(|| JpegSettings::new(80, Sampling::Quarter));
            let capabilities = Capabilities { lz4, lz_palette, local, jpeg, wish };
            let mut encoder = ContentEncoder::new();
            let workers: &dyn Workers = if alone { &Alone } else { &Backwards };
            for picture in pictures {
                let mut pieces = Vec::new();
                encoder.encode(&picture.pixels(), capabilities, None, workers, &mut pieces);
                check(&picture.pixels(), &pieces)?;
                for piece in pieces {
                    prop_assert!(lossy || !piece.encoded.is_lossy());
                    encoder.recycle(piece.payload);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

        #[test]
        fn pieces_are_the_picture_with_a_dictionary(
            pictures in prop::collection::vec(picture(), 1..4),
            steps in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..9),
            lz_palette: bool,
        ) {
            const WINDOW: u32 = 1 << 20;
            let capabilities = Capabilities { lz_palette, ..Capabilities::default() };
            let mut encoder = ContentEncoder::new();
            let mut dictionary = Dictionary::new(WINDOW).unwrap();
            let mut client = GlzDecoder::new(WINDOW as usize);
            for (index, is_near) in steps {
                let picture = index.get(&pictures);
                dictionary.thrift = if is_near { Thrift::Near } else { Thrift::Far };
                let mut pieces = Vec::new();
                let given = Some(&mut dictionary);
                encoder.encode(&picture.pixels(), capabilities, given, &Alone, &mut pieces);
                for Piece { rect, encoded, payload } in pieces {
                    let whole = picture.pixels();
                    let part = whole.part(rect).unwrap();
                    let mut packed = Vec::new();
                    part.pack_into(&mut packed);
                    let decoded = match encoded {
                        Encoded::Glz => client.decode(&payload, rect.size()),
                        Encoded::ZlibGlz => zlib_glz::decode(&payload, rect.size(), &mut client),
                        other => decode(&other, &payload, &part),
                    };
                    prop_assert_eq!(decoded, Ok(packed));
                }
            }
        }
    }

    #[test]
    fn more_than_one_image_has_becomes_several() {
        let size = Size::new(700, 500);
        let noise = |at: u32| at.wrapping_mul(0x9e37_79b1) >> 8;
        let areas = |data: &[u32], dictionary: Option<&mut Dictionary>| {
            let pixels = Pixels::packed(data, size.width, size.height).unwrap();
            let mut pieces = Vec::new();
            let capabilities = Capabilities::default();
            let mut encoder = ContentEncoder::new();
            let is_plain = dictionary.is_none();
            encoder.encode(&pixels, capabilities, dictionary, &Backwards, &mut pieces);
            if is_plain {
                check(&pixels, &pieces).unwrap();
            }
            let areas = pieces.iter().map(|piece| piece.rect.area());
            areas.collect::<Vec<u64>>()
        };
        let photograph: Vec<u32> = (0..350_000).map(noise).collect();
        let drawing: Vec<u32> = (0..350_000).map(|at| noise(at / 7)).collect();
        let mut dictionary = Dictionary::new(1 << 20).unwrap();
        for areas in [
            areas(&photograph, None),
            areas(&drawing, None),
            areas(&drawing, Some(&mut dictionary)),
        ] {
            assert_eq!(areas.len(), 3);
            let image_max = u64::from(IMAGE_PIXELS_MAX);
            assert!(areas.iter().all(|area| *area <= image_max), "{areas:?}");
        }
        assert_eq!(areas(&[5; 350_000], None), [350_000], "a fill is one");
    }
}

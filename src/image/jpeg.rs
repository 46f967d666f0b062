//! JPEG: `SPICE_IMAGE_TYPE_JPEG` (105) for lossy images, and the frames of MJPEG streams
//! (`SPICE_VIDEO_CODEC_TYPE_MJPEG`, 1).
//!
//! An image's payload behind the descriptor is `BinaryData`, a little-endian u32 of the bytes that
//! follow and then a whole JFIF file ([`encode_image`]); a frame of a stream is the file alone
//! ([`JpegBackend::encode`]). Clients take the file's size for the image's, so the two have to
//! agree: a file is always exactly as large as the pixels given.
//!
//! There are two backends: [`PureJpeg`], which is always there, and the system's libturbojpeg
//! (`os::turbojpeg`), which is two to three times as fast. `docs/decisions/0008-jpeg.md` has the
//! figures.
//!
//! Chroma at 4:2:0 is the average of two by two pixels, as libjpeg makes it; one of the four alone,
//! as encoders in a hurry take it, gives thin lines the colour of their neighbours. The average is
//! taken while rows are converted, which costs less than converting every pixel's colour.

use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor};

use crate::base::ByteWriter;

use super::pixels::Pixels;

/// How much of the colour is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// 4:2:0: one colour for two by two pixels, each with its own brightness. For moving and
    /// photographic content.
    Quarter,
    /// 4:4:4: every pixel has its own colour. For edges of colour: text, drawings.
    Full,
}

/// IJG quality, from 1, nothing left, to 100, nearly lossless; values outside are brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quality(u8);

impl Quality {
    /// The nearest quality there is.
    pub const fn new(quality: u8) -> Self {
        Self(match quality {
            0 => 1,
            1..=100 => quality,
            _ => 100,
        })
    }

    /// 1 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// What an encoder is to make of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JpegSettings {
    /// Size against likeness.
    pub quality: Quality,
    /// Which colours are kept.
    pub sampling: Sampling,
}

impl JpegSettings {
    /// A quality, brought into 1..=100, and a sampling.
    pub const fn new(quality: u8, sampling: Sampling) -> Self {
        Self {
            quality: Quality::new(quality),
            sampling,
        }
    }
}

/// A backend failed; no input is known that makes one, memory that ran out would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{backend} failed on an image of {width}x{height}")]
pub struct JpegError {
    /// [`JpegBackend::name`].
    pub backend: &'static str,
    /// Columns of the image.
    pub width: u32,
    /// Rows of the image.
    pub height: u32,
}

impl JpegError {
    /// Of a backend on these pixels.
    pub const fn of(backend: &'static str, pixels: &Pixels<'_>) -> Self {
        Self {
            backend,
            width: pixels.width(),
            height: pixels.height(),
        }
    }
}

/// Encodes pixels to JPEG; one for each thread that does, for it may keep buffers.
pub trait JpegBackend: Send {
    /// What it is, for logs.
    fn name(&self) -> &'static str;

    /// Appends a JFIF file of exactly the size of `pixels`, whose top bytes are ignored. Where it
    /// fails, `out` is as it was.
    fn encode(
        &mut self,
        pixels: &Pixels<'_>,
        settings: JpegSettings,
        out: &mut Vec<u8>,
    ) -> Result<(), JpegError>;
}

/// Appends the payload of a JPEG image: `BinaryData` with a JFIF file. Where the backend fails,
/// `out` is as it was.
pub fn encode_image(
    backend: &mut dyn JpegBackend,
    pixels: &Pixels<'_>,
    settings: JpegSettings,
    out: &mut Vec<u8>,
) -> Result<(), JpegError> {
    let start = out.len();
    ByteWriter::new(out).u32(0);
    let file = out.len();
    if let Err(error) = backend.encode(pixels, settings, out) {
        out.truncate(start);
        return Err(error);
    }
    let data_size = u32::try_from(out.len() - file).unwrap_or(u32::MAX);
    out[start..file].copy_from_slice(&data_size.to_le_bytes());
    Ok(())
}

/// The backend in Rust alone.
#[derive(Debug, Default)]
pub struct PureJpeg;

impl JpegBackend for PureJpeg {
    fn name(&self) -> &'static str {
        "jpeg-encoder"
    }

    fn encode(
        &mut self,
        pixels: &Pixels<'_>,
        settings: JpegSettings,
        out: &mut Vec<u8>,
    ) -> Result<(), JpegError> {
        let start = out.len();
        let mut encoder = Encoder::new(&mut *out, settings.quality.get());
        encoder.set_sampling_factor(match settings.sampling {
            Sampling::Quarter => SamplingFactor::R_4_2_0,
            Sampling::Full => SamplingFactor::R_4_4_4,
        });
        let rows = YcbcrRows {
            pixels: *pixels,
            sampling: settings.sampling,
        };
        encoder.encode_image(rows).map_err(|_| {
            out.truncate(start);
            JpegError::of("jpeg-encoder", pixels)
        })
    }
}

/// Hands the rows of a picture to the encoder as brightness and colour.
///
/// The encoder asks for rows from top to bottom and for the last one again until its blocks are
/// full, fills up each row with its last sample, and at 4:2:0 takes of the colours only the first
/// of every two by two. So the average of those four goes to the places of the upper row, and what
/// goes to those of the lower row does not matter, unless it is the picture's last.
struct YcbcrRows<'a> {
    pixels: Pixels<'a>,
    sampling: Sampling,
}

/// Pixels that are converted in one go, so that the compiler makes vector code of it.
const LANES: usize = 16;

impl ImageBuffer for YcbcrRows<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        u16::try_from(self.pixels.width()).unwrap_or(u16::MAX)
    }

    fn height(&self) -> u16 {
        u16::try_from(self.pixels.height()).unwrap_or(u16::MAX)
    }

    fn fill_buffers(&self, y: u16, [luma, blue, red, _]: &mut [Vec<u8>; 4]) {
        let y = u32::from(y);
        let row = self.pixels.row(y);
        append_luma(row, luma);
        let last = self.pixels.height() - 1;
        match self.sampling {
            Sampling::Full => append_chroma(row, blue, red),
            Sampling::Quarter if y.is_multiple_of(2) || y == last => {
                append_halved_chroma(row, self.pixels.row(last.min(y + 1)), blue, red);
            }
            Sampling::Quarter => {
                blue.resize(blue.len() + row.len(), 0);
                red.resize(red.len() + row.len(), 0);
            }
        }
    }
}

/// Weights of red, green and blue in 1/32768, of ITU-R BT.601 as JFIF has it. They fit in 16 bits,
/// which keeps the products cheap.
const LUMA: [i16; 3] = [9798, 19235, 3735];
const CHROMA_BLUE: [i16; 3] = [-5529, -10855, 16384];
const CHROMA_RED: [i16; 3] = [16384, -13720, -2664];
const WEIGHT_BITS: u32 = 15;

/// Red, green and blue of a pixel.
#[inline(always)]
const fn channels(pixel: u32) -> [i16; 3] {
    [
        (pixel >> 16 & 0xff) as i16,
        (pixel >> 8 & 0xff) as i16,
        (pixel & 0xff) as i16,
    ]
}

#[inline(always)]
const fn weighed(channels: [i16; 3], weights: [i16; 3]) -> i32 {
    channels[0] as i32 * weights[0] as i32
        + channels[1] as i32 * weights[1] as i32
        + channels[2] as i32 * weights[2] as i32
}

#[inline(always)]
const fn luma_of(pixel: u32) -> u8 {
    ((weighed(channels(pixel), LUMA) + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS) as u8
}

/// A chroma sample of the sum of `1 << count_bits` pixels. Half is rounded down, so that 255.5
/// stays inside the byte.
#[inline(always)]
const fn chroma_of(sum: [i16; 3], weights: [i16; 3], count_bits: u32) -> u8 {
    let bits = WEIGHT_BITS + count_bits;
    ((weighed(sum, weights) + (128 << bits) + (1 << (bits - 1)) - 1) >> bits) as u8
}

fn append_luma(row: &[u32], luma: &mut Vec<u8>) {
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        luma.extend_from_slice(&chunk.map(luma_of));
    }
    luma.extend(rest.iter().map(|pixel| luma_of(*pixel)));
}

fn append_chroma(row: &[u32], blue: &mut Vec<u8>, red: &mut Vec<u8>) {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let blue_of = |pixel: u32| chroma_of(channels(pixel), CHROMA_BLUE, 0);
    let red_of = |pixel: u32| chroma_of(channels(pixel), CHROMA_RED, 0);
    for chunk in chunks {
        blue.extend_from_slice(&chunk.map(blue_of));
        red.extend_from_slice(&chunk.map(red_of));
    }
    blue.extend(rest.iter().map(|pixel| blue_of(*pixel)));
    red.extend(rest.iter().map(|pixel| red_of(*pixel)));
}

/// Appends the average chroma of two by two pixels of two rows, once for each column.
fn append_halved_chroma(upper: &[u32], lower: &[u32], blue: &mut Vec<u8>, red: &mut Vec<u8>) {
    let (upper_chunks, upper_rest) = upper.as_chunks::<LANES>();
    let (lower_chunks, lower_rest) = lower.as_chunks::<LANES>();
    for (upper, lower) in upper_chunks.iter().zip(lower_chunks) {
        let (mut blues, mut reds) = ([0; LANES], [0; LANES]);
        for at in 0..LANES / 2 {
            let left = 2 * at;
            let sum = sum_of([upper[left], upper[left + 1], lower[left], lower[left + 1]]);
            let sample = chroma_of(sum, CHROMA_BLUE, 2);
            (blues[left], blues[left + 1]) = (sample, sample);
            let sample = chroma_of(sum, CHROMA_RED, 2);
            (reds[left], reds[left + 1]) = (sample, sample);
        }
        blue.extend_from_slice(&blues);
        red.extend_from_slice(&reds);
    }
    for (upper, lower) in upper_rest.chunks(2).zip(lower_rest.chunks(2)) {
        let last = upper.len() - 1;
        let sum = sum_of([upper[0], upper[last], lower[0], lower[last]]);
        for _ in upper {
            blue.push(chroma_of(sum, CHROMA_BLUE, 2));
            red.push(chroma_of(sum, CHROMA_RED, 2));
        }
    }
}

#[inline(always)]
const fn sum_of(pixels: [u32; 4]) -> [i16; 3] {
    let mut sum = [0; 3];
    let mut at = 0;
    while at < 4 {
        let [red, green, blue] = channels(pixels[at]);
        sum = [sum[0] + red, sum[1] + green, sum[2] + blue];
        at += 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::jpeg_check::{self, smooth};

    #[test]
    fn files_show_the_picture() {
        jpeg_check::check(&mut PureJpeg);
    }

    /// The conversion against the formula of JFIF in floating point, at every corner and in
    /// between.
    #[test]
    fn colours_are_those_of_jfif() {
        let levels = [0_u32, 1, 2, 77, 127, 128, 129, 200, 254, 255];
        for index in 0..1000 {
            let [red, green, blue] =
                [index / 100, index / 10 % 10, index % 10].map(|at| levels[at]);
            let pixel = 0xab00_0000 | red << 16 | green << 8 | blue;
            let (r, g, b) = (f64::from(red), f64::from(green), f64::from(blue));
            let near = |sample: u8, exact: f64| {
                let off = f64::from(sample) - exact.min(255.0);
                assert!(off.abs() < 0.52, "{pixel:x}: {sample} for {exact}");
            };
            near(luma_of(pixel), 0.299 * r + 0.587 * g + 0.114 * b);
            let chroma_blue = 128.0 - 0.168_736 * r - 0.331_264 * g + 0.5 * b;
            let chroma_red = 128.0 + 0.5 * r - 0.418_688 * g - 0.081_312 * b;
            let sum = sum_of([pixel; 4]);
            near(chroma_of(channels(pixel), CHROMA_BLUE, 0), chroma_blue);
            near(chroma_of(channels(pixel), CHROMA_RED, 0), chroma_red);
            near(chroma_of(sum, CHROMA_BLUE, 2), chroma_blue);
            near(chroma_of(sum, CHROMA_RED, 2), chroma_red);
        }
    }

    struct Broken;

    impl JpegBackend for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }

        fn encode(
            &mut self,
            pixels: &Pixels<'_>,
            _: JpegSettings,
            _: &mut Vec<u8>,
        ) -> Result<(), JpegError> {
            Err(JpegError::of("broken", pixels))
        }
    }

    #[test]
    fn an_image_is_its_size_and_a_file() {
        let data = smooth(40, 30, 40);
        let pixels = Pixels::packed(&data, 40, 30).unwrap();
        let settings = JpegSettings::new(75, Sampling::Full);
        let (mut file, mut image) = (Vec::new(), vec![1, 2, 3]);
        PureJpeg.encode(&pixels, settings, &mut file).unwrap();
        encode_image(&mut PureJpeg, &pixels, settings, &mut image).unwrap();
        assert_eq!(image[..3], [1, 2, 3]);
        assert_eq!(
            image[3..7],
            u32::try_from(file.len()).unwrap().to_le_bytes()
        );
        assert!(image[7..] == file);

        let before = image.clone();
        let error = encode_image(&mut Broken, &pixels, settings, &mut image).unwrap_err();
        assert_eq!(error.to_string(), "broken failed on an image of 40x30");
        assert!(image == before);
    }

    #[test]
    fn quality_stays_in_its_range() {
        assert_eq!(
            [0, 1, 100, 255].map(|q| Quality::new(q).get()),
            [1, 1, 100, 100]
        );
    }
}

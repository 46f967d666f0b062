//! What every JPEG backend has to do, checked through a decoder that is neither's.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::jpeg::{JpegBackend, JpegSettings, Sampling};
use super::pixels::{Pixels, RGB};
use crate::base::Size;

/// All that a backend has to fulfil; panics where it does not.
pub(crate) fn check(backend: &mut dyn JpegBackend) {
    strange_sizes_come_back(backend);
    the_loudest_pictures_come_back(backend);
    likeness_grows_with_quality(backend);
    flat_colours_come_back(backend);
    colours_at_quarter_are_averages(backend);
    edges_of_odd_sizes_keep_their_colour(backend);
    top_bytes_and_gaps_do_not_matter(backend);
}

/// The pixels of a JFIF file and its size.
pub(crate) fn decode(file: &[u8]) -> (Vec<u32>, Size) {
    let options = DecoderOptions::new_fast().jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    let bytes = decoder.decode().unwrap();
    let (width, height) = decoder.dimensions().unwrap();
    let (pixels, rest) = bytes.as_chunks::<3>();
    assert!(rest.is_empty() && pixels.len() == width * height);
    let pixels = pixels.iter().map(|[red, green, blue]| {
        u32::from(*red) << 16 | u32::from(*green) << 8 | u32::from(*blue)
    });
    let side = |pixels: usize| u32::try_from(pixels).unwrap();
    (pixels.collect(), Size::new(side(width), side(height)))
}

/// Peak signal to noise ratio over red, green and blue, in decibels.
pub(crate) fn psnr_db(pixels: &Pixels<'_>, decoded: &[u32]) -> f64 {
    assert_eq!(pixels.area(), decoded.len());
    let mut squares = 0;
    for (source, shown) in pixels.rows().flatten().zip(decoded) {
        for shift in [0, 8, 16] {
            let off = (source >> shift & 255).abs_diff(shown >> shift & 255);
            squares += u64::from(off * off);
        }
    }
    let mean = squares as f64 / (3 * decoded.len()) as f64;
    10.0 * (255.0 * 255.0 / mean).log10()
}

/// Soft shades of all colours, random top bytes and gaps between the rows.
pub(crate) fn smooth(width: u32, height: u32, stride: usize) -> Vec<u32> {
    let mut data = Vec::with_capacity(stride * height as usize);
    for y in 0..height {
        for x in 0..stride {
            let gap = width as usize <= x;
            let wave = |across: f32, down: f32| {
                let height = (x as f32 / across).sin() + (y as f32 / down).cos();
                (127.0 + 60.0 * height) as u32
            };
            let color = wave(31.0, 23.0) << 16 | wave(19.0, 47.0) << 8 | wave(61.0, 29.0);
            let noise = (x as u32 ^ y.wrapping_mul(77)).wrapping_mul(0x9e37_79b9);
            data.push(if gap { noise } else { color | noise & !RGB });
        }
    }
    data
}

fn encoded(
    backend: &mut dyn JpegBackend,
    pixels: &Pixels<'_>,
    quality: u8,
    sampling: Sampling,
) -> Vec<u8> {
    let mut out = vec![0xaa; 5];
    let settings = JpegSettings::new(quality, sampling);
    backend.encode(pixels, settings, &mut out).unwrap();
    assert_eq!(out[..5], [0xaa; 5], "what was there stays");
    let file = out.split_off(5);
    assert_eq!(file[..4], [0xff, 0xd8, 0xff, 0xe0], "a JFIF file's start");
    assert_eq!(file[6..11], *b"JFIF\0");
    assert_eq!(file[file.len() - 2..], [0xff, 0xd9], "and its end");
    file
}

fn round_trip(
    backend: &mut dyn JpegBackend,
    pixels: &Pixels<'_>,
    quality: u8,
    sampling: Sampling,
) -> Vec<u32> {
    let (decoded, size) = decode(&encoded(backend, pixels, quality, sampling));
    assert_eq!(size, pixels.size());
    decoded
}

fn strange_sizes_come_back(backend: &mut dyn JpegBackend) {
    let sizes = [
        (1, 1, 1),
        (1, 8192, 1),
        (1, 8192, 7),
        (8192, 1, 8192),
        (8192, 3, 8200),
        (17, 9, 31),
        (9, 17, 9),
        (2, 2, 2),
        (15, 33, 16),
        (16, 16, 16),
        (640, 360, 1920),
    ];
    for (width, height, stride) in sizes {
        let data = smooth(width, height, stride);
        let pixels = Pixels::new(&data, width, height, stride).unwrap();
        for sampling in [Sampling::Quarter, Sampling::Full] {
            for quality in [1, 50, 90, 100] {
                let decoded = round_trip(backend, &pixels, quality, sampling);
                let floor_db = match quality {
                    1 => 12.0,
                    50 => 28.0,
                    _ => 33.0,
                };
                let got = psnr_db(&pixels, &decoded);
                assert!(
                    floor_db <= got,
                    "{}: {width}x{height} {sampling:?} {quality}: {got:.1} dB",
                    backend.name()
                );
            }
        }
    }
}

/// The largest coefficients there can be: black and white by chance, and in the patterns of which
/// a transform makes one single number.
fn the_loudest_pictures_come_back(backend: &mut dyn JpegBackend) {
    let by_chance = |at: u32| (at.wrapping_mul(0x9e37_79b1) >> 7).wrapping_mul(0x85eb_ca6b) >> 31;
    let columns = |at: u32| u32::from(matches!(at % 8, 0 | 3 | 4 | 7)) ^ ((at / 8) & 1);
    let cells = |at: u32| columns(at % 64) ^ columns(at / 64);
    let whole_blocks = |at: u32| ((at / 8) ^ (at / 512)) & 1;
    let patterns: [&dyn Fn(u32) -> u32; 4] = [&by_chance, &columns, &cells, &whole_blocks];
    for (number, pattern) in patterns.into_iter().enumerate() {
        let data: Vec<u32> = (0..64 * 48).map(|at| RGB * pattern(at)).collect();
        let pixels = Pixels::packed(&data, 64, 48).unwrap();
        for (quality, floor_db) in [(1, 4.0), (100, 45.0)] {
            let decoded = round_trip(backend, &pixels, quality, Sampling::Full);
            let got = psnr_db(&pixels, &decoded);
            assert!(
                floor_db <= got,
                "{}: pattern {number} at {quality}: {got:.1} dB",
                backend.name()
            );
        }
    }
}

fn likeness_grows_with_quality(backend: &mut dyn JpegBackend) {
    let data = smooth(320, 200, 320);
    let pixels = Pixels::packed(&data, 320, 200).unwrap();
    for (sampling, floors_db) in [
        (Sampling::Quarter, [36.0, 39.0, 40.0]),
        (Sampling::Full, [36.0, 41.0, 46.0]),
    ] {
        let mut before = (0, 0.0);
        for (quality, floor_db) in [30, 75, 95].into_iter().zip(floors_db) {
            let file = encoded(backend, &pixels, quality, sampling);
            let got = psnr_db(&pixels, &decode(&file).0);
            assert!(
                floor_db <= got && before.0 < file.len() && before.1 < got,
                "{}: {sampling:?} {quality}: {got:.1} dB in {} bytes",
                backend.name(),
                file.len()
            );
            before = (file.len(), got);
        }
    }
}

fn near(source: u32, shown: u32, off: u32) -> bool {
    [0, 8, 16]
        .iter()
        .all(|shift| (source >> shift & 255).abs_diff(shown >> shift & 255) <= off)
}

fn flat_colours_come_back(backend: &mut dyn JpegBackend) {
    for color in [
        0, 0xff_ffff, 0xff_0000, 0xff00, 0xff, 0xff_ff00, 0xff00ff, 0xffff, 0x80_8080, 0x12_3456,
    ] {
        let data = [color; 24 * 20];
        let pixels = Pixels::packed(&data, 24, 20).unwrap();
        for sampling in [Sampling::Quarter, Sampling::Full] {
            for shown in round_trip(backend, &pixels, 95, sampling) {
                assert!(
                    near(color, shown, 3),
                    "{}: {shown:06x} for {color:06x}",
                    backend.name()
                );
            }
        }
    }
}

/// Columns, and rows, of red and blue in turn: one sample of four, or of two, would show all of
/// them in one colour.
fn colours_at_quarter_are_averages(backend: &mut dyn JpegBackend) {
    for turn in [1, 64] {
        let color = |at: u32| [0xb0_4040, 0x40_4ab0][(at / turn % 2) as usize];
        let data: Vec<u32> = (0..64 * 64).map(color).collect();
        let pixels = Pixels::packed(&data, 64, 64).unwrap();
        let decoded = round_trip(backend, &pixels, 95, Sampling::Quarter);
        let mean = |shift: u32| {
            let sum: u32 = decoded.iter().map(|pixel| pixel >> shift & 255).sum();
            sum / (64 * 64)
        };
        let shown = mean(16) << 16 | mean(8) << 8 | mean(0);
        assert!(
            near(0x78_4578, shown, 4),
            "{}: {shown:06x} where every {turn} change",
            backend.name()
        );
    }
}

/// The last rows and columns in a colour of their own, where blocks are filled up.
fn edges_of_odd_sizes_keep_their_colour(backend: &mut dyn JpegBackend) {
    for (width, height) in [(18, 18), (19, 19), (34, 19), (18, 35)] {
        let edge = |at: u32| at / 16 * 16;
        let data: Vec<u32> = (0..width * height)
            .map(|at| match (at % width, at / width) {
                (_, y) if edge(height) <= y => 0x20_c030,
                (x, _) if edge(width) <= x => 0x30_20d0,
                _ => 0xd0_3020,
            })
            .collect();
        let pixels = Pixels::packed(&data, width, height).unwrap();
        for sampling in [Sampling::Quarter, Sampling::Full] {
            let decoded = round_trip(backend, &pixels, 95, sampling);
            // Decoders blend a colour with its neighbours, so the seam itself is left out.
            for (at, (source, shown)) in data.iter().zip(decoded).enumerate() {
                let (x, y) = (at as u32 % width, at as u32 / width);
                let is_seam = |at: u32, side: u32| at.abs_diff(edge(side)) <= 1 && at + 1 < side;
                assert!(
                    is_seam(x, width) || is_seam(y, height) || near(*source, shown, 12),
                    "{}: {sampling:?} {width}x{height} at {x},{y}: {shown:06x} for {source:06x}",
                    backend.name()
                );
            }
        }
    }
}

fn top_bytes_and_gaps_do_not_matter(backend: &mut dyn JpegBackend) {
    let data = smooth(37, 21, 50);
    let pixels = Pixels::new(&data, 37, 21, 50).unwrap();
    let mut packed = Vec::new();
    pixels.pack_into(&mut packed);
    let packed = Pixels::packed(&packed, 37, 21).unwrap();
    for sampling in [Sampling::Quarter, Sampling::Full] {
        let file = encoded(backend, &pixels, 80, sampling);
        assert!(file == encoded(backend, &packed, 80, sampling));
    }
}

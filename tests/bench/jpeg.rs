//! JPEG: time of both backends, and what qualities make of pictures: bytes, milliseconds, likeness.

use std::time::Instant;

use caraway_server::image::jpeg::{JpegBackend, JpegSettings, PureJpeg, Sampling};
use caraway_server::image::pixels::Pixels;
use caraway_server::os::turbojpeg::TurboJpeg;
use divan::Bencher;
use divan::counter::BytesCount;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::pictures;

const QUALITIES: [u8; 8] = [60, 65, 70, 75, 80, 85, 90, 95];

/// Encodings of which the fastest counts.
const ROUNDS: usize = 5;

const CASES: [Case; 4] = [
    Case(Subject::Film, 80, Sampling::Quarter),
    Case(Subject::Photograph, 85, Sampling::Quarter),
    Case(Subject::Photograph, 90, Sampling::Full),
    Case(Subject::Page, 90, Sampling::Full),
];

#[divan::bench(args = CASES)]
fn jpeg_pure(bencher: Bencher<'_, '_>, case: Case) {
    run(bencher, &mut PureJpeg, case);
}

/// Nothing where the library is not installed (Debian: libturbojpeg0).
#[divan::bench(args = CASES)]
fn jpeg_turbo(bencher: Bencher<'_, '_>, case: Case) {
    if let Ok(Ok(mut encoder)) = TurboJpeg::load().map(|library| library.encoder()) {
        run(bencher, &mut encoder, case);
    }
}

fn run(
    bencher: Bencher<'_, '_>,
    backend: &mut dyn JpegBackend,
    Case(subject, quality, sampling): Case,
) {
    let (data, width, height) = subject.paint();
    let pixels = Pixels::packed(&data, width, height).expect("a picture");
    let settings = JpegSettings::new(quality, sampling);
    let mut out = Vec::new();
    bencher
        .counter(BytesCount::of_slice(&data))
        .bench_local(|| {
            out.clear();
            backend.encode(&pixels, settings, &mut out).expect("a file");
        });
}

/// Says for each picture, backend and sampling what qualities give.
#[expect(clippy::print_stdout, reason = "this is what the bench is for")]
pub(crate) fn print_table() {
    let mut backends: Vec<Box<dyn JpegBackend>> = vec![Box::new(PureJpeg)];
    match TurboJpeg::load().and_then(|library| library.encoder()) {
        Ok(encoder) => backends.push(Box::new(encoder)),
        Err(error) => println!("jpeg: {error}: install Debian's package libturbojpeg0"),
    }
    println!("jpeg: kB / ms / dB at qualities {QUALITIES:?}");
    for subject in [
        Subject::Film,
        Subject::SmallPhotograph,
        Subject::SmallPage,
        Subject::Photograph,
        Subject::Page,
    ] {
        let (data, width, height) = subject.paint();
        let pixels = Pixels::packed(&data, width, height).expect("a picture");
        for sampling in [Sampling::Quarter, Sampling::Full] {
            for backend in &mut backends {
                let cells = QUALITIES.map(|quality| {
                    let settings = JpegSettings::new(quality, sampling);
                    cell(&mut **backend, &pixels, settings)
                });
                println!(
                    "{subject:?} {width}x{height} {sampling:?} {}: {}",
                    backend.name(),
                    cells.join(" | ")
                );
            }
        }
    }
}

fn cell(backend: &mut dyn JpegBackend, pixels: &Pixels<'_>, settings: JpegSettings) -> String {
    let mut out = Vec::new();
    let mut fastest_ms = f64::MAX;
    for _ in 0..ROUNDS {
        out.clear();
        let start = Instant::now();
        backend.encode(pixels, settings, &mut out).expect("a file");
        fastest_ms = fastest_ms.min(start.elapsed().as_secs_f64() * 1e3);
    }
    let db = psnr_db(pixels, &out);
    format!("{:.1} / {fastest_ms:.2} / {db:.1}", out.len() as f64 / 1e3)
}

/// Of all three channels, through a decoder that smoothes colours at 4:2:0.
fn psnr_db(pixels: &Pixels<'_>, file: &[u8]) -> f64 {
    let options = DecoderOptions::new_fast().jpeg_set_out_colorspace(ColorSpace::RGB);
    let decoded = JpegDecoder::new_with_options(ZCursor::new(file), options)
        .decode()
        .expect("a file");
    let (decoded, _) = decoded.as_chunks::<3>();
    let mut squares = 0;
    for (source, shown) in pixels.rows().flatten().zip(decoded) {
        let [_, red, green, blue] = source.to_be_bytes();
        for (source, shown) in [red, green, blue].into_iter().zip(shown) {
            squares += u64::from(source.abs_diff(*shown)).pow(2);
        }
    }
    10.0 * (255.0 * 255.0 * 3.0 * decoded.len() as f64 / squares as f64).log10()
}

#[derive(Clone, Copy, Debug)]
enum Subject {
    /// A frame of a film: little noise is left of what the camera had.
    Film,
    SmallPhotograph,
    SmallPage,
    Photograph,
    Page,
}

impl Subject {
    fn paint(self) -> (Vec<u32>, u32, u32) {
        match self {
            Self::Film => (pictures::photograph(640, 360, 1), 640, 360),
            Self::SmallPhotograph => (pictures::photograph(640, 360, 3), 640, 360),
            Self::SmallPage => (pictures::page(640, 360), 640, 360),
            Self::Photograph => (pictures::photograph(1920, 1080, 3), 1920, 1080),
            Self::Page => (pictures::page(1920, 1080), 1920, 1080),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Case(Subject, u8, Sampling);

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(subject, quality, sampling) = self;
        write!(f, "{subject:?} {quality} {sampling:?}")
    }
}

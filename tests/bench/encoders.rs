//! Throughput and ratio of the image encoders on fixed pictures of 1920 x 1080, encoded as the
//! server does: in strips of at most `IMAGE_PIXELS_MAX` pixels. `cargo bench --bench encoders`.

mod jpeg;
mod pictures;

use caraway_server::base::Rect;
use caraway_server::base::limits::{GLZ_WINDOW_PIXELS_MAX, IMAGE_PIXELS_MAX};
use caraway_server::image::choose::{Capabilities, Encoded, Encoder, Wish};
use caraway_server::image::classify::Kind;
use caraway_server::image::glz::GlzEncoder;
use caraway_server::image::lz::LzEncoder;
use caraway_server::image::lz4::Lz4Encoder;
use caraway_server::image::palette::{PaletteFinder, flat_color};
use caraway_server::image::pixels::Pixels;
use caraway_server::image::quic::{self, QuicEncoder};
use caraway_server::image::zlib_glz::ZlibWrapper;
use divan::Bencher;
use divan::counter::BytesCount;

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;

const ALL: Capabilities = Capabilities {
    lz4: true,
    lz_palette: true,
    local: false,
    jpeg: None,
    wish: Wish::Auto,
};

const PICTURES: [Picture; 9] = [
    Picture::Flat,
    Picture::Terminal,
    Picture::Window,
    Picture::Desktop,
    Picture::Photo,
    Picture::Grain,
    Picture::Noise,
    Picture::Page,
    Picture::Photograph,
];

fn main() {
    print_ratios();
    jpeg::print_table();
    print_sequences();
    divan::main();
}

#[divan::bench(args = PICTURES)]
fn choose(bencher: Bencher<'_, '_>, picture: Picture) {
    let mut encoder = Encoder::new();
    strips(bencher, picture, |pixels, out| {
        divan::black_box(encoder.encode(pixels, Kind::Drawn, ALL, out));
    });
}

#[divan::bench(args = PICTURES)]
fn choose_for_html5(bencher: Bencher<'_, '_>, picture: Picture) {
    let mut encoder = Encoder::new();
    strips(bencher, picture, |pixels, out| {
        divan::black_box(encoder.encode(pixels, Kind::Drawn, Capabilities::default(), out));
    });
}

#[divan::bench(args = PICTURES)]
fn lz(bencher: Bencher<'_, '_>, picture: Picture) {
    let mut encoder = LzEncoder::new();
    strips(bencher, picture, |pixels, out| encoder.encode(pixels, out));
}

/// Two pictures in turn, so that what there was before is alike and not the same.
#[divan::bench(args = PICTURES)]
fn glz(bencher: Bencher<'_, '_>, picture: Picture) {
    let (data, other) = (picture.paint(), picture.paint_other());
    let (strips, others) = (cut(&data), cut(&other));
    let mut encoder = glz_encoder();
    let mut out = Vec::new();
    bencher
        .counter(BytesCount::new(2 * size_of_val(&data[..])))
        .bench_local(|| {
            for strip in strips.iter().chain(&others) {
                out.clear();
                encoder.encode(strip, &mut out).expect("a strip fits");
            }
        });
}

/// The same picture again and again.
#[divan::bench(args = PICTURES)]
fn glz_again(bencher: Bencher<'_, '_>, picture: Picture) {
    let mut encoder = glz_encoder();
    strips(bencher, picture, |pixels, out| {
        encoder.encode(pixels, out).expect("a strip fits");
    });
}

/// Deflates the GLZ of a picture that was not there before; bytes are those of the pixels.
#[divan::bench(args = PICTURES)]
fn zlib_1(bencher: Bencher<'_, '_>, picture: Picture) {
    let data = picture.paint();
    let mut encoder = glz_encoder();
    let payloads: Vec<Vec<u8>> = cut(&data)
        .iter()
        .map(|strip| {
            let mut out = Vec::new();
            encoder.encode(strip, &mut out).expect("a strip fits");
            out
        })
        .collect();
    let mut wrapper = ZlibWrapper::new(1);
    let mut out = Vec::new();
    bencher
        .counter(BytesCount::of_slice(&data))
        .bench_local(|| {
            for payload in &payloads {
                out.clear();
                divan::black_box(wrapper.wrap(payload, &mut out));
            }
        });
}

fn glz_encoder() -> GlzEncoder {
    GlzEncoder::new(GLZ_WINDOW_PIXELS_MAX).expect("a window")
}

#[divan::bench(args = PICTURES)]
fn lz4(bencher: Bencher<'_, '_>, picture: Picture) {
    let mut encoder = Lz4Encoder::new();
    strips(bencher, picture, |pixels, out| encoder.encode(pixels, out));
}

#[divan::bench(args = PICTURES)]
fn quic(bencher: Bencher<'_, '_>, picture: Picture) {
    let mut encoder = QuicEncoder::new();
    strips(bencher, picture, |pixels, out| encoder.encode(pixels, out));
}

/// Beside the encoder, as bytes of pixels too.
#[divan::bench(args = [Picture::Window, Picture::Photo, Picture::Grain])]
fn quic_decode(bencher: Bencher<'_, '_>, picture: Picture) {
    let data = picture.paint();
    let images: Vec<_> = cut(&data)
        .iter()
        .map(|strip| {
            let mut image = Vec::new();
            QuicEncoder::new().encode(strip, &mut image);
            (image, strip.size())
        })
        .collect();
    let bytes = BytesCount::of_slice(&data);
    bencher.counter(bytes).bench_local(|| {
        for (image, size) in &images {
            divan::black_box(quic::decode(image, *size)).expect("an image");
        }
    });
}

#[divan::bench(args = PICTURES)]
fn palette(bencher: Bencher<'_, '_>, picture: Picture) {
    let mut finder = PaletteFinder::new();
    let mut indices = Vec::new();
    strips(bencher, picture, |pixels, _| {
        divan::black_box(finder.find(pixels, &mut indices));
    });
}

#[divan::bench(args = [Picture::Flat])]
fn flat(bencher: Bencher<'_, '_>, picture: Picture) {
    strips(bencher, picture, |pixels, _| {
        divan::black_box(flat_color(pixels));
    });
}

/// Measures `encode` over all strips of a picture.
fn strips(
    bencher: Bencher<'_, '_>,
    picture: Picture,
    mut encode: impl FnMut(&Pixels<'_>, &mut Vec<u8>),
) {
    let data = picture.paint();
    let strips = cut(&data);
    let mut out = Vec::new();
    bencher
        .counter(BytesCount::of_slice(&data))
        .bench_local(|| {
            for strip in &strips {
                out.clear();
                encode(strip, &mut out);
            }
        });
}

fn cut(data: &[u32]) -> Vec<Pixels<'_>> {
    cut_rect(data, Rect::new(0, 0, WIDTH as i32, HEIGHT as i32))
}

/// What is inside of `rect`, in strips.
fn cut_rect(data: &[u32], rect: Rect) -> Vec<Pixels<'_>> {
    let side = |pixels: usize| u32::try_from(pixels).expect("a screen's side");
    let whole = Pixels::packed(data, side(WIDTH), side(HEIGHT)).expect("a screen");
    let inside = whole.part(rect).expect("pixels");
    let rows = IMAGE_PIXELS_MAX / inside.width();
    let mut strips = Vec::new();
    for top in (0..inside.height()).step_by(rows as usize) {
        let (top, bottom) = (top as i32, (top + rows) as i32);
        let rect = Rect::new(0, top, inside.width() as i32, bottom);
        strips.push(inside.part(rect).expect("rows"));
    }
    strips
}

/// Says for each picture what an encoder makes of its 8294400 bytes.
#[expect(clippy::print_stdout, reason = "this is what the bench is for")]
fn print_ratios() {
    println!(
        "bytes of {}: lz, lz4, quic, choose and its choices",
        WIDTH * HEIGHT * 4
    );
    for picture in PICTURES {
        let data = picture.paint();
        let (mut lz, mut lz4, mut chosen) = (Vec::new(), Vec::new(), Vec::new());
        let (mut quic, mut quic_encoder) = (Vec::new(), QuicEncoder::new());
        let (mut lz_encoder, mut lz4_encoder) = (LzEncoder::new(), Lz4Encoder::new());
        let mut encoder = Encoder::new();
        let mut choices = String::new();
        for strip in cut(&data) {
            lz_encoder.encode(&strip, &mut lz);
            lz4_encoder.encode(&strip, &mut lz4);
            quic_encoder.encode(&strip, &mut quic);
            choices.push(
                match encoder.encode(&strip, Kind::Drawn, ALL, &mut chosen) {
                    Encoded::Solid(_) => 's',
                    Encoded::Bitmap => 'b',
                    Encoded::LzPalette { .. } => 'p',
                    Encoded::LzRgb => 'z',
                    Encoded::Lz4 => '4',
                    _ => '?',
                },
            );
        }
        println!(
            "{picture:?}: {} {} {} {} {choices}",
            lz.len(),
            lz4.len(),
            quic.len(),
            chosen.len()
        );
    }
}

/// Says for each picture what encoders make of it and of what comes after it on a screen.
#[expect(clippy::print_stdout, reason = "this is what the bench is for")]
fn print_sequences() {
    println!("bytes of what comes after a picture: lz, choose, glz, zlib_glz level 1, level 3");
    for picture in PICTURES {
        let data = picture.paint();
        let before = cut(&data);
        let other = picture.paint_other();
        let mut scrolled = data[48 * WIDTH..].to_vec();
        scrolled.extend_from_slice(&other[..48 * WIDTH]);
        let moved: Vec<u32> = [&other[..37 * WIDTH + 111], &data[..]].concat();
        let clock: Vec<u32> = data
            .iter()
            .enumerate()
            .map(|(at, pixel)| {
                if at % 99_991 < 8 {
                    !pixel & 0xff_ffff
                } else {
                    *pixel
                }
            })
            .collect();
        let window = Rect::new(700, 300, 1800, 1000);
        let after = [
            ("nothing before", cut(&data)),
            ("another one", cut(&other)),
            ("the same again", cut(&data)),
            ("a few pixels changed", cut(&clock)),
            ("a window of it", cut_rect(&data, window)),
            ("scrolled", cut(&scrolled)),
            ("elsewhere", cut(&moved[..WIDTH * HEIGHT])),
        ];
        for (index, (name, strips)) in after.iter().enumerate() {
            let mut sums = [0; 5];
            let (mut lz, mut choose, mut glz) = (LzEncoder::new(), Encoder::new(), glz_encoder());
            let mut wrappers = [ZlibWrapper::new(1), ZlibWrapper::new(3)];
            let mut out = Vec::new();
            for strip in before.iter().filter(|_| 0 < index) {
                glz.encode(strip, &mut out).expect("a strip fits");
            }
            for strip in strips {
                out.clear();
                lz.encode(strip, &mut out);
                sums[0] += out.len();
                out.clear();
                let _ = choose.encode(strip, Kind::Drawn, ALL, &mut out);
                sums[1] += out.len();
                let mut payload = Vec::new();
                glz.encode(strip, &mut payload).expect("a strip fits");
                sums[2] += payload.len();
                for (wrapper, sum) in wrappers.iter_mut().zip(&mut sums[3..]) {
                    out.clear();
                    let shorter = wrapper.wrap(&payload, &mut out);
                    *sum += if shorter { out.len() } else { payload.len() };
                }
            }
            println!("{picture:?}, {name}: {sums:?}");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Picture {
    /// One colour.
    Flat,
    /// 16 colours, bitmap glyphs.
    Terminal,
    /// Anti-aliased text in lines on white, a side bar, buttons.
    Window,
    /// A gradient with two windows over it.
    Desktop,
    /// Smooth shades with noise in the lowest bits.
    Photo,
    /// A picture of a camera: shades of all sizes, some edges, grain in brightness and less in colour.
    Grain,
    /// Random bits.
    Noise,
    /// A web page: anti-aliased text, controls, a photograph.
    Page,
    /// Soft shades of every scale with a camera's noise.
    Photograph,
}

impl Picture {
    fn paint(self) -> Vec<u32> {
        self.paint_with(88_172_645_463_325)
    }

    /// The same kind of picture with other words.
    fn paint_other(self) -> Vec<u32> {
        self.paint_with(46_332_588_172_645)
    }

    fn paint_with(self, random: u64) -> Vec<u32> {
        let mut canvas = Canvas {
            data: vec![0x2e_3436; WIDTH * HEIGHT],
            random,
        };
        match self {
            Self::Flat => {}
            Self::Terminal => canvas.terminal(0, 0, WIDTH, HEIGHT),
            Self::Window => canvas.window(0, 0, WIDTH, HEIGHT),
            Self::Desktop => {
                canvas.gradient();
                canvas.terminal(60, 90, 810, 520);
                canvas.window(700, 300, 1100, 700);
            }
            Self::Photo => canvas.photo(),
            Self::Grain => canvas.grain(),
            Self::Noise => canvas.noise(),
            Self::Page => canvas.data = pictures::page(WIDTH, HEIGHT),
            Self::Photograph => canvas.data = pictures::photograph(WIDTH, HEIGHT, 2),
        }
        canvas.data
    }
}

impl std::fmt::Display for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

struct Canvas {
    data: Vec<u32>,
    random: u64,
}

impl Canvas {
    /// The next number of a xorshift generator, below `end`.
    fn next(&mut self, end: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as u32 % end
    }

    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, color: u32) {
        for row in y..(y + height).min(HEIGHT) {
            self.data[row * WIDTH + x..row * WIDTH + (x + width).min(WIDTH)].fill(color);
        }
    }

    /// Draws one of 90 made-up glyphs in a cell; `levels` shades between the two colours.
    fn glyph(&mut self, x: usize, y: usize, which: u32, levels: u32, back: u32, fore: u32) {
        let mix = |level: u32| {
            let part = |shift: u32| {
                let (from, to) = (back >> shift & 255, fore >> shift & 255);
                ((from * (levels - level) + to * level) / levels) << shift
            };
            part(0) | part(8) | part(16)
        };
        let mut state = which.wrapping_mul(0x9e37_79b9) | 1;
        for row in 3..13 {
            for column in 1..7 {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                // Strokes: most pixels are paper or ink, a third of the ink's rim is a shade.
                let level = match state >> 24 {
                    0..150 => 0,
                    150..215 => levels,
                    other => other % (levels + 1),
                };
                if y + row < HEIGHT && x + column < WIDTH {
                    self.data[(y + row) * WIDTH + x + column] = mix(level);
                }
            }
        }
    }

    /// Words of random letters in lines from `x`, `y`.
    fn text(&mut self, x: usize, y: usize, width: usize, levels: u32, back: u32, fore: u32) {
        let mut column = 0;
        let end = width * (1 + self.next(8) as usize) / 8 / 8;
        while column < end {
            for _ in 0..2 + self.next(8) {
                let which = self.next(30) * self.next(4);
                self.glyph(
                    x + 8 * column.min(width / 8 - 1),
                    y,
                    which,
                    levels,
                    back,
                    fore,
                );
                column += 1;
            }
            column += 1;
        }
    }

    fn terminal(&mut self, x: usize, y: usize, width: usize, height: usize) {
        self.fill(x, y, width, height, 0x30_0a24);
        for line in 0..height / 16 {
            let ink = [0xff_ffff, 0xd3_d7cf, 0x8a_e234, 0x72_9fcf][self.next(4) as usize];
            self.text(x, y + 16 * line, width, 1, 0x30_0a24, ink);
        }
    }

    fn window(&mut self, x: usize, y: usize, width: usize, height: usize) {
        self.fill(x, y, width, height, 0xff_ffff);
        for row in 0..40 {
            self.fill(x, y + row, width, 1, 0x01_0101 * (0xf0 - row as u32));
        }
        self.fill(x, y + 40, 200, height - 40, 0xee_eeec);
        for line in 0..(height - 60) / 20 {
            self.text(x + 8, y + 50 + 20 * line, 180, 16, 0xee_eeec, 0x2e_3436);
            self.text(
                x + 220,
                y + 50 + 20 * line,
                width - 240,
                16,
                0xff_ffff,
                0x2e_3436,
            );
        }
        for button in 0..6 {
            self.fill(x + 300 + 90 * button, y + 6, 80, 28, 0xcc_d0d4);
            self.text(x + 304 + 90 * button, y + 12, 70, 16, 0xcc_d0d4, 0);
        }
    }

    fn gradient(&mut self) {
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let (red, green) = (40 + y * 60 / HEIGHT, 60 + (x + y) * 90 / (WIDTH + HEIGHT));
                self.data[y * WIDTH + x] = ((red << 16) | (green << 8) | (120 - red / 2)) as u32;
            }
        }
    }

    fn photo(&mut self) {
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let wave = |scale: f32, shift: f32| {
                    let height = (x as f32 / scale + shift).sin() + (y as f32 / scale).cos();
                    (height * 55.0 + 120.0) as u32
                };
                let grain = self.next(512);
                let red = wave(211.0, 0.0) + (grain & 7);
                let green = wave(97.0, 1.0) + (grain >> 3 & 7);
                let blue = wave(157.0, 2.0) + (grain >> 6 & 7);
                self.data[y * WIDTH + x] = red << 16 | green << 8 | blue;
            }
        }
    }

    fn grain(&mut self) {
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let (column, row) = (x as f32, y as f32);
                let (mut shade, mut scale, mut contrast) = (118.0, 230.0, 60.0);
                for octave in 0..6 {
                    let shift = octave as f32;
                    let wave = (1.3 * column / scale + shift).sin();
                    shade += wave * (row / scale + 2.0 * shift).cos() * contrast;
                    (scale, contrast) = (scale / 1.9, contrast / 2.0);
                }
                if 0.3 < (column / 133.0).sin() * (row / 90.0).cos() {
                    shade += 30.0;
                }
                let grain = self.next(5) + self.next(5) + self.next(5);
                shade += grain as f32 - 6.0;
                let mut channel = |tint: f32| {
                    let level = shade + tint + self.next(3) as f32;
                    level.clamp(0.0, 255.0) as u32
                };
                let red = channel(12.0 * (column / 300.0).sin());
                let (green, blue) = (channel(0.0), channel(9.0 * (row / 200.0).cos()));
                self.data[y * WIDTH + x] = red << 16 | green << 8 | blue;
            }
        }
    }

    fn noise(&mut self) {
        for index in 0..self.data.len() {
            self.data[index] = self.next(1 << 24);
        }
    }
}

//! What remembering costs beside the work of a frame, at 1920x1080. `cargo bench --bench memory`.

use caraway_server::base::{Micros, Rect, Size};
use caraway_server::display::Screen;
use caraway_server::ring::{PixelSource, Record};
use divan::Bencher;
use divan::counter::BytesCount;

const SIZE: Size = Size::new(1920, 1080);

/// A frame buffer.
struct Picture(Vec<u32>);

impl PixelSource for Picture {
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
        let start = (y * SIZE.width + x) as usize;
        out.copy_from_slice(&self.0[start..start + out.len()]);
    }
}

impl Picture {
    fn paint(&mut self, rect: &Rect, seed: u32) {
        for y in rect.top..rect.bottom {
            for x in rect.left..rect.right {
                let (x, y) = (x.cast_unsigned(), y.cast_unsigned());
                let pixel = ((x / 3) << 12 ^ y ^ seed << 22).wrapping_mul(0x9e37_79b1) >> 8;
                self.0[(y * SIZE.width + x) as usize] = pixel;
            }
        }
    }
}

fn main() {
    divan::main();
}

/// Frames of `rect`, `pause` apart, each of the next of `seeds` pictures.
fn frames(bencher: Bencher<'_, '_>, rect: Rect, seeds: u32, pause: Micros) {
    let mut pictures: Vec<Picture> = Vec::new();
    for seed in 0..seeds {
        let mut picture = Picture(vec![0; SIZE.area() as usize]);
        picture.paint(&SIZE.rect(), 99);
        picture.paint(&rect, seed);
        pictures.push(picture);
    }
    let mut screen = Screen::new(SIZE);
    let (mut now, mut next) = (Micros::from_secs(1), 0);
    let mut frame = || {
        now = now + pause;
        next = (next + 1) % pictures.len();
        screen.record(&Record::Damage(rect));
        divan::black_box(screen.refresh(now, &pictures[next]));
    };
    // All that there is to see was seen.
    (0..2 * seeds).for_each(|_| frame());
    bencher
        .counter(BytesCount::new(rect.area() * 4))
        .bench_local(frame);
}

/// A letter every 100 ms.
#[divan::bench]
fn typing(bencher: Bencher<'_, '_>) {
    frames(
        bencher,
        Rect::at(500, 500, 9, 16),
        7,
        Micros::from_millis(100),
    );
}

#[divan::bench]
fn video(bencher: Bencher<'_, '_>) {
    frames(
        bencher,
        Rect::at(500, 300, 640, 360),
        7,
        Micros::from_millis(33),
    );
}

/// As the video, but each frame stays for a while: everything is remembered and brought back.
#[divan::bench]
fn menus(bencher: Bencher<'_, '_>) {
    frames(
        bencher,
        Rect::at(500, 300, 640, 360),
        7,
        Micros::from_millis(500),
    );
}

/// Other photographs than any before, in a slide show.
#[divan::bench]
fn slides(bencher: Bencher<'_, '_>) {
    frames(
        bencher,
        Rect::at(100, 100, 1600, 900),
        7,
        Micros::from_millis(500),
    );
}

#[divan::bench]
fn workspaces(bencher: Bencher<'_, '_>) {
    frames(bencher, SIZE.rect(), 2, Micros::from_millis(500));
}

#[divan::bench]
fn workspaces_in_motion(bencher: Bencher<'_, '_>) {
    frames(bencher, SIZE.rect(), 2, Micros::from_millis(16));
}

/// What knows an image again, by its bytes.
#[divan::bench(args = [1 << 10, 16 << 10, 256 << 10])]
fn hash(bencher: Bencher<'_, '_>, bytes: usize) {
    let data = vec![7; bytes];
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| blake3::hash(divan::black_box(&data)));
}

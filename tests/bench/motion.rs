//! What a frame costs before anything is encoded: reading, comparing, and finding moves in content that applications
//! drew again. One `Screen::refresh` each; `cargo bench --bench motion`.

use std::cell::RefCell;

use caraway_server::base::{Micros, Rect, Size};
use caraway_server::display::{Frame, Screen};
use caraway_server::ring::{PixelSource, Record};
use divan::Bencher;

const FULL_HD: Size = Size::new(1920, 1080);
const ULTRA_HD: Size = Size::new(3840, 2160);
/// The window that scrolls, is dragged, and shows photographs.
const WINDOW: Rect = Rect::at(320, 24, 1280, 1032);
const VIDEO: Rect = Rect::at(700, 300, 640, 360);

fn main() {
    print_finds();
    divan::main();
}

struct Picture {
    width: usize,
    pixels: Vec<u32>,
}

impl PixelSource for Picture {
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
        let start = y as usize * self.width + x as usize;
        if let Some(row) = self.pixels.get(start..start + out.len()) {
            out.copy_from_slice(row);
        }
    }
}

fn mixed(a: i32, b: i32) -> u32 {
    let sum =
        a.cast_unsigned().wrapping_mul(0x9e37_79b1) ^ b.cast_unsigned().wrapping_mul(0x85eb_ca6b);
    (sum ^ (sum >> 15)).wrapping_mul(0x2c1b_3c6d) >> 8
}

/// Letters in lines, every sixth line a photograph's height apart.
fn page(x: i32, y: i32) -> u32 {
    if y.rem_euclid(900) < 200 && (200..600).contains(&x) {
        return photo(x, y);
    }
    let (line, row) = (y.div_euclid(18), y.rem_euclid(18));
    let (letter, column) = (x.div_euclid(8), x.rem_euclid(8));
    let glyph = mixed(line, letter) % 48;
    let ends = 90 + mixed(line, -3).cast_signed() % 60;
    if !(3..15).contains(&row) || column == 7 || 40 <= glyph || ends < letter || line % 9 == 8 {
        return 0x00ff_ffff;
    }
    if mixed(glyph.cast_signed() * 64 + column, row / 2).is_multiple_of(3) {
        0x0020_2020
    } else {
        0x00ff_ffff
    }
}

/// No pixel is like its neighbour.
fn photo(x: i32, y: i32) -> u32 {
    let light = (x / 3 + y / 2).cast_unsigned() & 0xff;
    (light << 16 | light << 8 | light) ^ (mixed(x, y) & 0x0007_0707)
}

fn draw(picture: &mut Picture, rect: Rect, paint: impl Fn(i32, i32) -> u32) {
    for y in rect.top..rect.bottom {
        for x in rect.left..rect.right {
            let index = y as usize * picture.width + x as usize;
            if let Some(pixel) = picture.pixels.get_mut(index) {
                *pixel = paint(x, y);
            }
        }
    }
}

fn background(size: Size) -> Picture {
    let mut picture = Picture {
        width: size.width as usize,
        pixels: vec![0; (size.width * size.height) as usize],
    };
    draw(&mut picture, size.rect(), |x, y| mixed(x / 4, y / 3));
    picture
}

/// What a scene shows one after the other, again and again, and the damage of each step.
struct Scene {
    size: Size,
    damage: Rect,
    pictures: Vec<Picture>,
}

const SCENES: [&str; 11] = [
    "unchanged",
    "letter",
    "page scroll, even",
    "page scroll, uneven",
    "page scroll sideways",
    "drag, uneven",
    "photographs",
    "video",
    "4k unchanged",
    "4k page scroll, uneven",
    "4k photographs",
];

fn scene(name: &str) -> Scene {
    let (size, window) = if name.starts_with("4k") {
        let rect = ULTRA_HD.rect();
        (
            ULTRA_HD,
            Rect::new(
                rect.left + 64,
                rect.top + 64,
                rect.right - 64,
                rect.bottom - 64,
            ),
        )
    } else {
        (FULL_HD, WINDOW)
    };
    let ways: &[i32] = if name.ends_with("even") && !name.ends_with("uneven") {
        &[0, 40, 80, 120, 160, 200, 240, 280]
    } else {
        &[0, 24, 84, 121, 181, 210, 255, 290]
    };
    let steps = if name.contains("scroll") || name.contains("drag") {
        ways
    } else {
        &[0, 1][..]
    };
    let mut damage = window;
    let pictures = steps
        .iter()
        .map(|&step| {
            let mut picture = background(size);
            match name.trim_start_matches("4k ") {
                "unchanged" => draw(&mut picture, window, page),
                "letter" => {
                    draw(&mut picture, window, page);
                    draw(&mut picture, Rect::at(500, 500, 8, 12), |x, y| {
                        mixed(x + step, y)
                    });
                }
                "page scroll sideways" => draw(&mut picture, window, |x, y| page(x + step, y)),
                "photographs" => draw(&mut picture, window, |x, y| photo(x + step * 5000, y)),
                "video" => {
                    damage = VIDEO;
                    draw(&mut picture, VIDEO, |x, y| photo(x + step * 5000, y));
                }
                "drag, uneven" => {
                    damage = FULL_HD.rect();
                    let place = Rect::at(50 + step, 30 + step / 2, 900, 700);
                    draw(&mut picture, place, |x, y| {
                        page(x - place.left, y - place.top)
                    });
                }
                _ => {
                    draw(&mut picture, window, |x, y| page(x, y + step));
                    let header = Rect {
                        bottom: window.top + 60,
                        ..window
                    };
                    draw(&mut picture, header, |x, y| page(x, y / 2));
                }
            }
            picture
        })
        .collect();
    Scene {
        size,
        damage,
        pictures,
    }
}

struct Player {
    scene: Scene,
    screen: Screen,
    next: usize,
}

impl Player {
    fn new(name: &str) -> Self {
        let scene = scene(name);
        let screen = Screen::new(scene.size);
        let mut player = Self {
            scene,
            screen,
            next: 0,
        };
        for _ in 0..3 {
            player.frame();
        }
        player
    }

    fn frame(&mut self) -> Frame {
        let picture = &self.scene.pictures[self.next % self.scene.pictures.len()];
        self.next += 1;
        self.screen.record(&Record::Damage(self.scene.damage));
        self.screen.refresh(Micros(1), picture)
    }
}

#[divan::bench(args = SCENES, sample_size = 1)]
fn refresh(bencher: Bencher<'_, '_>, name: &str) {
    let player = RefCell::new(Player::new(name));
    bencher.bench_local(|| player.borrow_mut().frame());
}

/// Copies and changed pixels of each scene, the mean of a round.
#[expect(clippy::print_stdout, reason = "the finds belong beside the times")]
fn print_finds() {
    for name in SCENES {
        let mut player = Player::new(name);
        let frames = player.scene.pictures.len() - 1;
        player.next = 1;
        let (mut copies, mut changed, mut boxes) = (0, 0, 0);
        for _ in 0..frames {
            let frame = player.frame();
            copies += frame.ops.len();
            changed += frame.changed.area();
            boxes += frame.changed.rects().len();
        }
        let damage = player.scene.damage.area();
        let frames_64 = frames as u64;
        println!(
            "{name:24} {:5} copies, {:8} of {damage:8} pixels changed in {} boxes",
            copies / frames,
            changed / frames_64,
            boxes / frames,
        );
    }
}

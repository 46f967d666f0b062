//! Content, not images: a picture is split into rectangles of one kind, so that each takes the codec of its kind.
//!
//! The kinds are what codecs differ in: large areas of one colour need no image, text and user interfaces repeat
//! themselves (LZ finds that), photographs hardly ever do but change smoothly (QUIC and JPEG use that). The unit is a
//! tile of [`TILE`] x [`TILE`] pixels; tiles of a kind are joined to rectangles, and where that gives many small ones
//! the picture stays whole: a message costs about a hundred bytes and ends what a codec has learnt.

use super::pixels::{Pixels, RGB};
use crate::base::Rect;

/// Side of a tile in pixels: an icon is no photograph.
pub const TILE: u32 = 32;

/// Pixels of the smallest fill that is cut out of a picture. Smaller ones cost an LZ codec less than a message.
pub const FLAT_AREA_MIN: u64 = 16 * 1024;

/// Pixels of the smallest photograph that is cut out of text, or text out of a photograph.
pub const PHOTO_AREA_MIN: u64 = 4 * 1024;

/// Rectangles of one picture; if there would be more it stays whole.
pub const PARTS_MAX: usize = 8;

/// Of eight pixels, fewer than this many repeat a neighbour in a photograph, a soft shade or noise; in text and user
/// interfaces it is more than half of them.
const REPEATS_OF_8: u32 = 3;

/// What a rectangle holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One colour, `0x00RRGGBB`.
    Flat(u32),
    /// Text, lines, flat surfaces: pixels repeat their neighbours.
    Drawn,
    /// A photograph, a smooth gradient or noise: pixels hardly repeat.
    Photo,
}

/// A rectangle of one kind; its origin is the picture's top left pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it lies.
    pub rect: Rect,
    /// What is there.
    pub kind: Kind,
}

/// Splits pictures; keeps its memory.
#[derive(Debug, Default)]
pub struct Classifier {
    kinds: Vec<Kind>,
    open: Vec<Part>,
}

impl Classifier {
    /// A classifier without memory of any picture.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces `parts` by rectangles that cover `pixels`, each pixel once, from top to bottom.
    pub fn split(&mut self, pixels: &Pixels<'_>, parts: &mut Vec<Part>) {
        let columns = pixels.width().div_ceil(TILE) as usize;
        self.look(pixels);
        self.join(pixels, columns, parts);
        if parts.iter().any(is_too_small) {
            self.absorb(pixels, columns, parts);
            self.join(pixels, columns, parts);
        }
        if PARTS_MAX < parts.len() {
            let area = |parts: &[Part], photo: bool| -> u64 {
                let wanted = parts
                    .iter()
                    .filter(|part| (part.kind == Kind::Photo) == photo);
                wanted.map(|part| part.rect.area()).sum()
            };
            let kind = if area(parts, false) < area(parts, true) {
                Kind::Photo
            } else {
                Kind::Drawn
            };
            parts.clear();
            parts.push(Part {
                rect: pixels.size().rect(),
                kind,
            });
        }
    }

    /// The kind of every tile, row by row.
    fn look(&mut self, pixels: &Pixels<'_>) {
        self.kinds.clear();
        let (width, height) = (pixels.width(), pixels.height());
        for top in (0..height).step_by(TILE as usize) {
            for left in (0..width).step_by(TILE as usize) {
                let bottom = (top + TILE).min(height);
                let right = (left + TILE).min(width);
                self.kinds.push(tile_kind(
                    pixels,
                    left as usize..right as usize,
                    top..bottom,
                ));
            }
        }
    }

    /// Joins tiles of a kind: runs of each tile row, and equal runs below each other.
    fn join(&mut self, pixels: &Pixels<'_>, columns: usize, parts: &mut Vec<Part>) {
        parts.clear();
        self.open.clear();
        let whole = pixels.size().rect();
        let side = TILE.cast_signed();
        for (row, kinds) in (0i32..).zip(self.kinds.chunks(columns)) {
            let mut runs: Vec<Part> = Vec::new();
            for (column, kind) in (0i32..).zip(kinds) {
                let tile = Rect::at(column * side, row * side, side, side).intersect(&whole);
                match runs.last_mut() {
                    Some(run) if run.kind == *kind => run.rect.right = tile.right,
                    _ => runs.push(Part {
                        rect: tile,
                        kind: *kind,
                    }),
                }
            }
            for run in &mut runs {
                let same = |above: &Part| {
                    above.kind == run.kind
                        && (above.rect.left, above.rect.right) == (run.rect.left, run.rect.right)
                };
                if let Some(index) = self.open.iter().position(same) {
                    run.rect.top = self.open.swap_remove(index).rect.top;
                }
            }
            // What did not go on ends here.
            parts.append(&mut self.open);
            self.open.append(&mut runs);
        }
        parts.append(&mut self.open);
        parts.sort_by_key(|part| (part.rect.top, part.rect.left));
    }

    /// Tiles of rectangles too small for a message of their own take the kind of what surrounds them.
    fn absorb(&mut self, pixels: &Pixels<'_>, columns: usize, parts: &[Part]) {
        let photo: u64 = parts
            .iter()
            .filter(|part| part.kind == Kind::Photo)
            .map(|part| part.rect.area())
            .sum();
        let mostly_photo = pixels.area() as u64 / 2 < photo;
        for part in parts.iter().filter(|part| is_too_small(part)) {
            // A flat patch of a drawing is a drawing, and one of a photograph belongs to that.
            let kind = if mostly_photo {
                Kind::Photo
            } else {
                Kind::Drawn
            };
            let tile = |edge: i32| edge.cast_unsigned().div_ceil(TILE) as usize;
            let rows = tile(part.rect.top)..tile(part.rect.bottom);
            for row in rows {
                let from = row * columns;
                self.kinds[from + tile(part.rect.left)..from + tile(part.rect.right)].fill(kind);
            }
        }
    }
}

const fn is_too_small(part: &Part) -> bool {
    match part.kind {
        Kind::Flat(_) => part.rect.area() < FLAT_AREA_MIN,
        Kind::Photo => part.rect.area() < PHOTO_AREA_MIN,
        Kind::Drawn => false,
    }
}

fn tile_kind(
    pixels: &Pixels<'_>,
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<u32>,
) -> Kind {
    let first = pixels.row(rows.start)[columns.start] & RGB;
    let mut flat = true;
    let (mut sampled, mut repeated) = (0, 0);
    // Without early exits inside a row, so that the compiler makes vectors of it.
    for y in rows.clone() {
        let row = &pixels.row(y)[columns.clone()];
        if flat {
            flat = row.iter().fold(0, |bits, pixel| bits | (pixel ^ first)) & RGB == 0;
        }
        let is_sample = !flat && y != rows.start && y % 2 == 1;
        if is_sample {
            let above = &pixels.row(y - 1)[columns.clone()];
            let neighbours = row[1..].iter().zip(row).zip(&above[1..]);
            let repeats = |((pixel, left), above): ((&u32, &u32), &u32)| {
                u32::from(((pixel ^ left) & RGB == 0) | ((pixel ^ above) & RGB == 0))
            };
            repeated += neighbours.map(repeats).sum::<u32>();
            sampled += u32::try_from(row.len()).unwrap_or(u32::MAX) - 1;
        }
    }
    if flat {
        Kind::Flat(first)
    } else if 0 < sampled && repeated * 8 < sampled * REPEATS_OF_8 {
        Kind::Photo
    } else {
        Kind::Drawn
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::{Region, Size};
    use crate::image::pictures::picture;

    fn split(data: &[u32], size: Size) -> Vec<Part> {
        let mut parts = Vec::new();
        let pixels = Pixels::packed(data, size.width, size.height).unwrap();
        Classifier::new().split(&pixels, &mut parts);
        parts
    }

    fn painted(size: Size, color: impl Fn(i32, i32) -> u32) -> Vec<u32> {
        let (width, height) = (size.width.cast_signed(), size.height.cast_signed());
        (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| color(x, y))
            .collect()
    }

    const fn noise(x: i32, y: i32) -> u32 {
        let at = (x + 1) * 7919 + (y + 3) * 104_729;
        at.cast_unsigned().wrapping_mul(0x9e37_79b1) >> 8
    }

    const fn letters(x: i32, y: i32) -> u32 {
        if (x / 2 * 7 + y / 3 * 5) % 11 < 4 {
            0x0010_1010
        } else {
            0x00ff_ffff
        }
    }

    const SIZE: Size = Size::new(512, 256);

    #[test]
    fn a_photograph_in_a_page_is_cut_out() {
        let photo = Rect::at(128, 64, 256, 128);
        let parts = split(
            &painted(SIZE, |x, y| {
                if photo.contains(&Rect::at(x, y, 1, 1)) {
                    noise(x, y)
                } else {
                    letters(x, y)
                }
            }),
            SIZE,
        );
        let of = |kind: Kind| {
            let rects = parts.iter().filter(|part| part.kind == kind);
            Region::from_rects(&rects.map(|part| part.rect).collect::<Vec<_>>())
        };
        assert_eq!(of(Kind::Photo), Region::from(photo), "{parts:?}");
        assert!(parts.len() <= 5, "{parts:?}");
    }

    #[test]
    fn a_large_flat_area_is_cut_out_and_a_small_one_is_not() {
        let page = |flat: Rect| {
            split(
                &painted(SIZE, |x, y| {
                    if flat.contains(&Rect::at(x, y, 1, 1)) {
                        0x0012_3456
                    } else {
                        letters(x, y)
                    }
                }),
                SIZE,
            )
        };
        let parts = page(Rect::at(0, 64, 512, 128));
        assert!(
            parts.contains(&Part {
                rect: Rect::at(0, 64, 512, 128),
                kind: Kind::Flat(0x0012_3456)
            }),
            "{parts:?}"
        );
        let whole = Part {
            rect: SIZE.rect(),
            kind: Kind::Drawn,
        };
        assert_eq!(page(Rect::at(64, 64, 96, 96)), [whole]);
    }

    #[test]
    fn scattered_kinds_stay_one_picture() {
        let chess = |x: i32, y: i32| (x / 64 + y / 64) % 2 == 0;
        let parts = split(
            &painted(SIZE, |x, y| {
                if chess(x, y) {
                    noise(x, y)
                } else {
                    letters(x, y)
                }
            }),
            SIZE,
        );
        assert_eq!(parts.len(), 1, "{parts:?}");
    }

    #[test]
    fn a_sky_belongs_to_its_photograph() {
        let parts = split(
            &painted(SIZE, |x, y| {
                if y < 32 && x < 320 {
                    0x0080_b0ff
                } else {
                    noise(x, y)
                }
            }),
            SIZE,
        );
        let whole = Part {
            rect: SIZE.rect(),
            kind: Kind::Photo,
        };
        assert_eq!(parts, [whole]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn parts_cover_each_pixel_once_and_flat_ones_are_flat(
            picture in picture(), other in picture(),
        ) {
            let mut classifier = Classifier::new();
            let mut parts = Vec::new();
            for picture in [picture, other] {
                let pixels = picture.pixels();
                classifier.split(&pixels, &mut parts);
                prop_assert!((1..=PARTS_MAX).contains(&parts.len()));
                let area: u64 = parts.iter().map(|part| part.rect.area()).sum();
                prop_assert_eq!(area, pixels.area() as u64);
                let rects: Vec<Rect> = parts.iter().map(|part| part.rect).collect();
                prop_assert_eq!(Region::from_rects(&rects), Region::from(pixels.size().rect()));
                for part in &parts {
                    if let Kind::Flat(color) = part.kind {
                        let inside = pixels.part(part.rect).unwrap();
                        prop_assert!(inside.rows().flatten().all(|pixel| pixel & RGB == color));
                    }
                }
            }
        }
    }
}

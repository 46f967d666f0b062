//! Which rectangles of a screen are fetched together: each batch fits into the shared memory, one rectangle behind the
//! other, so that work and memory have an end whatever was drawn.

use x11rb::protocol::xproto::Rectangle;

/// Pixels that the shared memory holds: half of a screen of 1920x1080, a few milliseconds of copying.
pub(super) const PIXELS_MAX: u32 = 1 << 20;

/// Rectangles that are fetched one by one; of more it is what surrounds them.
const RECTANGLES_MAX: usize = 64;

/// A rectangle with its place in the shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) x: u16,
    pub(super) y: u16,
    pub(super) width: u16,
    pub(super) height: u16,
    /// Pixels before it.
    pub(super) offset: u32,
}

/// Batches of pieces that cover `damaged` within a screen of this size.
pub(super) fn batches(damaged: &[Rectangle], width: u16, height: u16) -> Vec<Vec<Piece>> {
    let clipped = damaged
        .iter()
        .filter_map(|rectangle| clip(rectangle, width, height));
    let mut clipped: Vec<[u16; 4]> = clipped.collect();
    if RECTANGLES_MAX < clipped.len() {
        clipped = surrounding(&clipped).into_iter().collect();
    }
    let mut batches: Vec<Vec<Piece>> = Vec::new();
    let mut used = PIXELS_MAX;
    for [x, y, width, height] in clipped {
        let mut top = 0;
        while top < height {
            let mut free = (PIXELS_MAX - used) / u32::from(width);
            if free == 0 {
                batches.push(Vec::new());
                used = 0;
                free = PIXELS_MAX / u32::from(width);
            }
            let rows = u16::try_from(free).unwrap_or(u16::MAX).min(height - top);
            let piece = Piece {
                x,
                y: y + top,
                width,
                height: rows,
                offset: used,
            };
            if let Some(batch) = batches.last_mut() {
                batch.push(piece);
            }
            used += u32::from(width) * u32::from(rows);
            top += rows;
        }
    }
    batches
}

/// Left, top, width and height of what lies on the screen.
fn clip(rectangle: &Rectangle, width: u16, height: u16) -> Option<[u16; 4]> {
    let span = |start: i16, length: u16, side: u16| {
        let end = (i32::from(start) + i32::from(length)).min(i32::from(side));
        let start = i32::from(start).max(0);
        let length = u16::try_from(end - start)
            .ok()
            .filter(|length| *length != 0)?;
        Some((u16::try_from(start).ok()?, length))
    };
    let (x, width) = span(rectangle.x, rectangle.width, width)?;
    let (y, height) = span(rectangle.y, rectangle.height, height)?;
    Some([x, y, width, height])
}

fn surrounding(all: &[[u16; 4]]) -> Option<[u16; 4]> {
    let left = all.iter().map(|one| one[0]).min()?;
    let top = all.iter().map(|one| one[1]).min()?;
    let right = all.iter().map(|one| one[0] + one[2]).max()?;
    let bottom = all.iter().map(|one| one[1] + one[3]).max()?;
    Some([left, top, right - left, bottom - top])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rectangle(x: i16, y: i16, width: u16, height: u16) -> Rectangle {
        Rectangle {
            x,
            y,
            width,
            height,
        }
    }

    /// Every pixel of the screen that is to be fetched is in one piece, and no two pieces share memory.
    fn hold(damaged: &[Rectangle], width: u16, height: u16) -> usize {
        let batches = batches(damaged, width, height);
        let mut covered = vec![false; usize::from(width) * usize::from(height)];
        for batch in &batches {
            let mut end = 0;
            for piece in batch {
                assert_eq!(piece.offset, end);
                end += u32::from(piece.width) * u32::from(piece.height);
                assert!(piece.x + piece.width <= width && piece.y + piece.height <= height);
                for y in piece.y..piece.y + piece.height {
                    for x in piece.x..piece.x + piece.width {
                        covered[usize::from(y) * usize::from(width) + usize::from(x)] = true;
                    }
                }
            }
            assert!(0 < end && end <= PIXELS_MAX);
        }
        for one in damaged {
            for y in one.y.max(0)..one.y.saturating_add_unsigned(one.height) {
                for x in one.x.max(0)..one.x.saturating_add_unsigned(one.width) {
                    let (Ok(x), Ok(y)) = (u16::try_from(x), u16::try_from(y)) else {
                        continue;
                    };
                    let is_inside = x < width && y < height;
                    assert!(
                        !is_inside || covered[usize::from(y) * usize::from(width) + usize::from(x)]
                    );
                }
            }
        }
        batches.len()
    }

    #[test]
    fn a_whole_screen_goes_in_as_few_batches_as_fit() {
        assert_eq!(hold(&[rectangle(0, 0, 1920, 1080)], 1920, 1080), 2);
        assert_eq!(hold(&[rectangle(0, 0, 8192, 300)], 8192, 300), 3);
        assert_eq!(hold(&[rectangle(0, 0, 1, 1)], 1, 1), 1);
    }

    #[test]
    fn what_lies_outside_is_left_out() {
        assert_eq!(hold(&[rectangle(-5, -5, 10, 10)], 100, 100), 1);
        assert_eq!(hold(&[rectangle(95, 95, 10, 10)], 100, 100), 1);
        assert_eq!(hold(&[rectangle(100, 0, 10, 10)], 100, 100), 0);
        assert_eq!(hold(&[rectangle(-20, 0, 10, 10)], 100, 100), 0);
        assert_eq!(hold(&[rectangle(3, 3, 0, 9)], 100, 100), 0);
        assert_eq!(hold(&[], 100, 100), 0);
    }

    #[test]
    fn many_rectangles_become_one() {
        let many: Vec<Rectangle> = (0..100).map(|at| rectangle(at, at, 3, 3)).collect();
        assert_eq!(hold(&many, 200, 200), 1);
        assert_eq!(batches(&many, 200, 200)[0].len(), 1);
        let few: Vec<Rectangle> = (0..60).map(|at| rectangle(at * 3, at, 3, 3)).collect();
        hold(&few, 200, 200);
        assert_eq!(batches(&few, 200, 200)[0].len(), 60);
        let wide: Vec<Rectangle> = (0..9).map(|_| rectangle(0, 0, 900, 900)).collect();
        assert!(5 < hold(&wide, 900, 900));
    }
}

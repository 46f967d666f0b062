//! When each part of the screen changed last: what moves all the time is not worth remembering.
//!
//! Time is kept for tiles, so a whole screen of 1920x1080 takes 16 KB.

use super::shadow::{TILE_HEIGHT, TILE_WIDTH};
use crate::base::{Micros, Rect, Region, Size};

/// Content that did not change for so long is still. Shorter than anybody looks at a menu, longer than the frames
/// of a video or of an animation take.
pub const STILL_AFTER: Micros = Micros::from_millis(120);

/// The last change of every tile.
#[derive(Debug, Default)]
pub struct Stillness {
    screen: Rect,
    columns: usize,
    changed_at: Vec<Micros>,
}

impl Stillness {
    /// A screen on which nothing has changed yet.
    pub fn new(size: Size) -> Self {
        let columns = (size.width as usize).div_ceil(TILE_WIDTH);
        let rows = (size.height as usize).div_ceil(TILE_HEIGHT as usize);
        Self {
            screen: size.rect(),
            columns,
            changed_at: vec![Micros::default(); columns * rows],
        }
    }

    /// Pixels of `rect` change at `now`.
    pub fn change(&mut self, rect: &Rect, now: Micros) {
        let tiles = self.tiles(rect);
        for row in tiles.rows {
            let line = row * self.columns;
            let tiles = line + tiles.columns.start..line + tiles.columns.end;
            if let Some(tiles) = self.changed_at.get_mut(tiles) {
                tiles.fill(now);
            }
        }
    }

    /// Whether most tiles under `region` have been still at `now`.
    pub fn is_still(&self, region: &Region, now: Micros) -> bool {
        let (mut still, mut moving) = (0_usize, 0_usize);
        for rect in region.rects() {
            let tiles = self.tiles(rect);
            for row in tiles.rows {
                let line = row * self.columns;
                let tiles = line + tiles.columns.start..line + tiles.columns.end;
                for at in self.changed_at.get(tiles).unwrap_or_default() {
                    if STILL_AFTER <= now.since(*at) {
                        still += 1;
                    } else {
                        moving += 1;
                    }
                }
            }
        }
        moving < still
    }

    fn tiles(&self, rect: &Rect) -> Tiles {
        let rect = rect.intersect(&self.screen);
        if rect.is_empty() {
            return Tiles {
                rows: 0..0,
                columns: 0..0,
            };
        }
        // Inside of the screen nothing is negative.
        let place = |edge: i32| usize::try_from(edge).unwrap_or(0);
        let height = TILE_HEIGHT as usize;
        Tiles {
            rows: place(rect.top) / height..place(rect.bottom).div_ceil(height),
            columns: place(rect.left) / TILE_WIDTH..place(rect.right).div_ceil(TILE_WIDTH),
        }
    }
}

/// Rows and columns of tiles.
struct Tiles {
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_all_the_time_is_never_still() {
        let mut stillness = Stillness::new(Size::new(1000, 700));
        let (video, page) = (Rect::at(300, 100, 320, 240), Rect::new(0, 400, 1000, 700));
        let at = |frame: u64| Micros::from_millis(1000 + frame * 33);
        stillness.change(&page, at(0));
        for frame in 0..30 {
            stillness.change(&video, at(frame));
            assert!(!stillness.is_still(&Region::from(video), at(frame + 1)));
        }
        assert!(stillness.is_still(&Region::from(page), at(30)));
        // A pointer that crosses a page leaves the rest of it still.
        stillness.change(&Rect::at(500, 500, 20, 20), at(30));
        assert!(stillness.is_still(&Region::from(page), at(30)));
        assert!(stillness.is_still(&Region::from(video), at(29) + STILL_AFTER));
    }

    #[test]
    fn the_edges_of_the_screen_and_beyond_are_no_harm() {
        let mut stillness = Stillness::new(Size::new(65, 17));
        stillness.change(&Rect::new(-50, -50, 5000, 5000), Micros(5));
        assert!(!stillness.is_still(&Region::from(Rect::at(64, 16, 1, 1)), Micros(6)));
        assert!(!stillness.is_still(&Region::from(Rect::at(900, 900, 9, 9)), Micros(6)));
        assert!(!stillness.is_still(&Region::new(), Micros(6)));
    }
}

//! Scrolls go on: the moves of one frame are most likely those of the next, and to check that costs a sample, where to
//! search for them costs a look at every pixel, old and new.
//!
//! What goes on is handled like a copy that the driver's records told of: applied to the shadow, then every touched
//! pixel is compared. A wrong guess costs bytes, and the next frame is searched again.

use super::changes::ExactOp;
use super::motion::Found;
use super::shadow::Shadow;
use crate::base::{Rect, Region};
use crate::ring::PixelSource;

/// Pixels of the smallest area that is worth a guess.
const AREA_MIN: u64 = 64 * 1024;

/// Copies of one frame that are guessed again.
const COPIES_MAX: usize = 4;

/// Of what was touched, all but one part in so many lies in the copies; else something else goes on, too.
const REST_SHARE: u64 = 4;

/// The moves that may go on.
#[derive(Debug, Default)]
pub(super) struct Trend {
    copies: Vec<ExactOp>,
}

impl Trend {
    /// The copies of the last frame.
    pub(super) fn copies(&self) -> &[ExactOp] {
        &self.copies
    }

    /// Whether `source` shows in `touched` what these copies make of `shadow`, but for a rest.
    pub(super) fn goes_on(
        &self,
        shadow: &mut Shadow,
        source: &dyn PixelSource,
        touched: &Region,
    ) -> bool {
        let area: u64 = self.copies.iter().map(|copy| copy.rect().area()).sum();
        let all = touched.area();
        AREA_MIN <= area
            && all - all / REST_SHARE <= area
            && self.copies.iter().all(|copy| match copy {
                ExactOp::Copy { rect, delta } => {
                    touched.contains_rect(rect) && shadow.is_copy(source, rect, *delta)
                }
                ExactOp::Fill { .. } => false,
            })
    }

    /// What came of a frame in which the copies went on, or not.
    pub(super) fn learn(&mut self, went_on: bool, found: &Found, touched: &Region) {
        if went_on {
            if touched.area() / REST_SHARE < found.changed.area() {
                self.copies.clear();
            }
            return;
        }
        self.copies.clear();
        if found.ops.len() <= COPIES_MAX && moved(&found.ops) {
            self.copies.extend_from_slice(&found.ops);
        }
    }
}

fn moved(ops: &[ExactOp]) -> bool {
    let area = ops.iter().map(ExactOp::rect).map(|rect: Rect| rect.area());
    AREA_MIN <= area.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Micros, Point, Size};
    use crate::display::Screen;
    use crate::ring::Record;

    const SIZE: Size = Size::new(512, 400);

    /// Lines of text of which each is different, seen from a row.
    struct Page {
        top: u32,
        film: u32,
    }

    impl PixelSource for Page {
        fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
            let seed = if y < 40 {
                40_000 + self.film
            } else {
                y + self.top
            };
            for (column, pixel) in (x..).zip(out) {
                *pixel = (seed * 7919 + column / 3).wrapping_mul(0x9e37_79b1) >> 8;
            }
        }
    }

    #[test]
    fn a_scroll_goes_on_until_it_does_not() {
        let mut screen = Screen::new(SIZE);
        let mut page = Page { top: 0, film: 0 };
        let mut frame = |page: &Page, top: i32| {
            screen.record(&Record::Damage(Rect { top, ..SIZE.rect() }));
            screen.refresh(Micros(1), page)
        };
        frame(&page, 0);
        for _ in 0..5 {
            page.top += 12;
            let told = frame(&page, 40);
            let rect = Rect::new(0, 40, 512, 388);
            let delta = Point::new(0, -12);
            assert_eq!(told.ops, [ExactOp::Copy { rect, delta }]);
            assert!(told.changed.area() <= 12 * 512, "{:?}", told.changed);
        }
        // Another step, another direction, and something else above: each is found for what it is.
        for step in [30, -12] {
            page.top = page.top.wrapping_add_signed(step);
            page.film += 1;
            let told = frame(&page, 0);
            let delta = Point::new(0, -step);
            let is_step =
                |op: &ExactOp| matches!(op, ExactOp::Copy { delta: by, .. } if *by == delta);
            assert!(told.ops.iter().any(is_step), "{told:?}");
            assert!(told.changed.area() <= (40 + 32) * 512, "{told:?}");
        }
        page.film += 1;
        assert_eq!(frame(&page, 0).changed.bounds(), Rect::new(0, 0, 512, 40));
    }
}

//! Small changes go before the rest of big ones: a typed letter does not wait for the page that scrolls beside it.
//!
//! What a frame changed falls into islands, groups of rectangles with nothing changed around them. The small ones are
//! what people wait for: letters, a blinking cursor, a button that lights up. They are cheap, so they go first, but
//! never two of them without an image of the rest between, if there is a rest: whatever is small and never ends takes
//! at most half of the line's images.

use std::collections::VecDeque;

use crate::base::{Rect, Region};

/// Rectangles nearer than this are one island: letters of a line, lines of a paragraph.
const ISLAND_GAP: i32 = 16;

/// Pixels of the bounding box of a small island: a line of text.
const ISLAND_PIXELS_MAX: u64 = 8 * 1024;

/// Islands of one frame; in a frame with more nothing is small.
const ISLANDS_MAX: usize = 32;

/// Small islands that wait; beyond them the oldest goes with the rest.
const WAITING_MAX: usize = 16;

/// The small changes of one client.
#[derive(Debug, Default)]
pub(super) struct Urgent {
    waiting: VecDeque<Rect>,
    /// The last image was a small one: the rest is next.
    rest_is_next: bool,
}

impl Urgent {
    /// A frame changed this.
    pub(super) fn note(&mut self, changed: &Region) {
        for island in islands(changed) {
            let small = island.area() <= ISLAND_PIXELS_MAX;
            if small && !self.waiting.iter().any(|known| known.contains(&island)) {
                self.waiting.push_back(island);
            }
        }
        let excess = self.waiting.len().saturating_sub(WAITING_MAX);
        self.waiting.drain(..excess);
    }

    /// The next small rectangle of what is `dirty`, of at most `pixels_max` pixels or one row. `None`: it is the
    /// turn of the rest.
    pub(super) fn take(&mut self, dirty: &Region, pixels_max: u64) -> Option<Rect> {
        if std::mem::take(&mut self.rest_is_next) {
            return None;
        }
        while let Some(island) = self.waiting.pop_front() {
            let rect = dirty.clip(&island).bounds();
            if rect.is_empty() {
                continue;
            }
            let rows = (pixels_max / u64::from(rect.width()).max(1)).max(1);
            let rows = i32::try_from(rows).unwrap_or(i32::MAX);
            let bottom = rect.bottom.min(rect.top.saturating_add(rows));
            if bottom < rect.bottom {
                self.waiting.push_front(Rect {
                    top: bottom,
                    ..rect
                });
            }
            self.rest_is_next = true;
            return Some(Rect { bottom, ..rect });
        }
        None
    }
}

/// Bounding boxes of rectangles that lie near each other; none when there are too many.
fn islands(changed: &Region) -> Vec<Rect> {
    let mut islands: Vec<Rect> = Vec::new();
    for rect in changed.rects() {
        let mut island = *rect;
        while let Some(near) = islands.iter().position(|other| is_near(other, &island)) {
            island = island.union_bounds(&islands.swap_remove(near));
        }
        if islands.len() == ISLANDS_MAX {
            return Vec::new();
        }
        islands.push(island);
    }
    islands
}

const fn is_near(one: &Rect, other: &Rect) -> bool {
    one.left < other.right.saturating_add(ISLAND_GAP)
        && other.left < one.right.saturating_add(ISLAND_GAP)
        && one.top < other.bottom.saturating_add(ISLAND_GAP)
        && other.top < one.bottom.saturating_add(ISLAND_GAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Rect = Rect::new(0, 0, 600, 800);
    const LETTER: Rect = Rect::new(700, 300, 708, 312);

    #[test]
    fn a_letter_beside_a_page_goes_first_and_then_the_page() {
        let mut urgent = Urgent::default();
        let dirty = Region::from_rects(&[PAGE, LETTER]);
        urgent.note(&dirty);
        assert_eq!(urgent.take(&dirty, 1000), Some(LETTER));
        urgent.note(&Region::from(LETTER));
        assert_eq!(urgent.take(&dirty, 1000), None, "the page's turn");
        assert_eq!(urgent.take(&dirty, 1000), Some(LETTER));
    }

    #[test]
    fn what_was_sent_meanwhile_is_not_sent_again() {
        let mut urgent = Urgent::default();
        urgent.note(&Region::from(LETTER));
        assert_eq!(urgent.take(&Region::from(PAGE), 1000), None);
    }

    #[test]
    fn an_island_of_many_rows_goes_in_parts() {
        let mut urgent = Urgent::default();
        let island = Rect::new(0, 0, 100, 60);
        let mut dirty = Region::from(island);
        urgent.note(&dirty);
        let mut rows = 0;
        while rows < 60 {
            if let Some(part) = urgent.take(&dirty, 2000) {
                assert!(part.area() <= 2000);
                rows += part.height();
                dirty.remove(part);
            }
        }
        assert!(dirty.is_empty());
    }

    #[test]
    fn lines_of_a_page_are_one_island_whatever_their_order() {
        let lines = (0..40).map(|line| Rect::at(line % 7, line * 20, 300, 12));
        let page: Vec<Rect> = lines.collect();
        assert_eq!(islands(&Region::from_rects(&page)).len(), 1);
    }

    #[test]
    fn confetti_is_not_urgent_and_nothing_grows() {
        let mut urgent = Urgent::default();
        let dots = (0..400).map(|dot| Rect::at(dot % 20 * 50, dot / 20 * 50, 4, 4));
        urgent.note(&Region::from_rects(&dots.collect::<Vec<_>>()));
        assert!(urgent.waiting.is_empty());
        for dot in 0..400 {
            urgent.note(&Region::from(Rect::at(dot * 50, 0, 4, 4)));
        }
        assert_eq!(urgent.waiting.len(), WAITING_MAX);
    }
}

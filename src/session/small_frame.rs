//! How a frame of a few small drawings comes to a client's screen at once (see [`super::stage`] for why it would not
//! by itself, and for what each way costs).

use crate::base::{Rect, Region};
use crate::display::{ExactOp, Update};

/// Drawings of a small frame; more are a scene, or go as they come.
pub(super) const DRAWINGS_MAX: usize = 8;

/// Pixels of the box around all of it, which the client paints: 4 MB, about a millisecond.
pub(super) const BOUNDS_AREA_MAX: u64 = 1024 * 1024;

/// Pixels of the largest fill that goes as a part of the image beside it. As a fill it takes a message of 47 bytes, in
/// an image a few.
const JOINED_FILL_MAX: u64 = 512;

/// Pixels that are sent again for that.
const JOIN_WASTE_MAX: u64 = 64;

/// The way to the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Showing {
    /// One drawing needs no help.
    Plain,
    /// The first of two drawings has this repainted.
    Announced(Rect),
    /// All are drawn aside and these places are shown.
    Patched(Region),
}

/// Joins fills and images of one frame, whose pixels are not read yet, and says how they are best shown.
pub(super) fn plan(updates: &mut Vec<Update>) -> Showing {
    join_fills(updates);
    let places: Vec<Rect> = updates.iter().map(place).collect();
    let region = Region::from_rects(&places);
    match places.len() {
        0 | 1 => Showing::Plain,
        2 => Showing::Announced(region.bounds()),
        _ => Showing::Patched(region),
    }
}

/// What an update of a small frame draws on. None of the others is one of a small frame.
fn place(update: &Update) -> Rect {
    match update {
        Update::Image(rect) => *rect,
        Update::Exact(op) => op.rect(),
        Update::Save(_) | Update::Restore(_) | Update::Forget(_) => Rect::default(),
    }
}

/// A caret behind a letter, a line under a word: small fills become a part of the image that they touch.
fn join_fills(updates: &mut Vec<Update>) {
    let mut index = 0;
    while index < updates.len() {
        let fill = match updates.get(index) {
            Some(Update::Exact(ExactOp::Fill { rect, .. })) if rect.area() <= JOINED_FILL_MAX => {
                *rect
            }
            _ => {
                index += 1;
                continue;
            }
        };
        let image = updates.iter_mut().find_map(|update| match update {
            Update::Image(rect) if is_joined(&fill, rect) => Some(rect),
            _ => None,
        });
        match image {
            Some(rect) => {
                *rect = rect.union_bounds(&fill);
                updates.remove(index);
            }
            None => index += 1,
        }
    }
}

fn is_joined(fill: &Rect, image: &Rect) -> bool {
    let covered = fill.area() + image.area();
    image.union_bounds(fill).area() <= covered + JOIN_WASTE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTER: Rect = Rect::new(100, 50, 109, 68);
    const CARET: Rect = Rect::new(109, 50, 111, 68);
    const LAMP: Rect = Rect::new(10, 500, 18, 508);

    const fn fill(rect: Rect) -> Update {
        Update::Exact(ExactOp::Fill { rect, color: 7 })
    }

    #[test]
    fn a_caret_goes_with_its_letter() {
        let mut updates = vec![fill(CARET), Update::Image(LETTER)];
        assert_eq!(plan(&mut updates), Showing::Plain);
        assert_eq!(updates, [Update::Image(LETTER.union_bounds(&CARET))]);
    }

    #[test]
    fn the_first_of_two_announces_the_other() {
        let mut updates = vec![fill(CARET), fill(LAMP), Update::Image(LETTER)];
        let bounds = Rect::new(10, 50, 111, 508);
        assert_eq!(plan(&mut updates), Showing::Announced(bounds));
        let letter = Update::Image(LETTER.union_bounds(&CARET));
        assert_eq!(updates, [fill(LAMP), letter]);
    }

    #[test]
    fn more_are_patches() {
        let far = Rect::at(400, 400, 20, 20);
        let mut updates = vec![fill(LAMP), Update::Image(LETTER), Update::Image(far)];
        let region = Region::from_rects(&[LAMP, LETTER, far]);
        assert_eq!(plan(&mut updates), Showing::Patched(region));
        assert_eq!(updates.len(), 3);
    }

    #[test]
    fn what_is_large_stays_a_fill() {
        let bar = Rect::at(100, 68, 400, 30);
        let mut updates = vec![fill(bar), Update::Image(LETTER)];
        assert!(matches!(plan(&mut updates), Showing::Announced(_)));
        assert_eq!(updates.len(), 2);
    }
}

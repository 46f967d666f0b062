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
    join(updates);
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

/// A caret behind a letter, a line under a word: small fills and images that touch each other become one image. Images
/// come last: they show what is there in the end.
fn join(updates: &mut Vec<Update>) {
    while let Some((first, second, joined)) = neighbours(updates) {
        updates.remove(second);
        updates.remove(first);
        updates.push(Update::Image(joined));
    }
}

/// Two updates that are worth joining, the first before the second, and what they become.
fn neighbours(updates: &[Update]) -> Option<(usize, usize, Rect)> {
    updates.iter().enumerate().find_map(|(second, update)| {
        let rect = joinable(update)?;
        let others = updates.iter().take(second).enumerate();
        let mut others = others.filter_map(|(first, other)| Some((first, joinable(other)?)));
        others.find_map(|(first, other)| {
            is_joined(&rect, &other).then(|| (first, second, rect.union_bounds(&other)))
        })
    })
}

/// The place of an image or a small fill.
fn joinable(update: &Update) -> Option<Rect> {
    match update {
        Update::Image(rect) => Some(*rect),
        Update::Exact(ExactOp::Fill { rect, .. }) if rect.area() <= JOINED_FILL_MAX => Some(*rect),
        _ => None,
    }
}

fn is_joined(one: &Rect, other: &Rect) -> bool {
    let covered = one.area() + other.area();
    one.union_bounds(other).area() <= covered + JOIN_WASTE_MAX
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
    fn a_space_behind_which_the_caret_goes_is_one_image() {
        let mut updates = vec![fill(LETTER), fill(LAMP), fill(CARET)];
        assert!(matches!(plan(&mut updates), Showing::Announced(_)));
        let space = Update::Image(LETTER.union_bounds(&CARET));
        assert_eq!(updates, [fill(LAMP), space]);
    }

    #[test]
    fn a_letter_in_its_cell_is_one_image() {
        let ink = Rect::new(102, 54, 107, 64);
        let mut updates = vec![fill(LETTER), fill(CARET), Update::Image(ink)];
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

//! Points, sizes and rectangles in pixels.
//!
//! Rectangles are half-open: `right` and `bottom` are the first column and row outside. Coordinates are `i32`
//! as on the wire (`SpiceRect`) and in `QXLRect`; whoever reads them from outside clips them to a screen first,
//! so that widths and areas cannot overflow.

/// A position in pixels, origin top left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    /// Column.
    pub x: i32,
    /// Row.
    pub y: i32,
}

impl Point {
    /// The point at column `x`, row `y`.
    pub const fn new(x: i32, y: i32) -> Self {
        Self { x, y }
    }

    /// This point moved by `delta`; saturates at the ends of `i32`.
    pub const fn plus(self, delta: Self) -> Self {
        Self::new(
            self.x.saturating_add(delta.x),
            self.y.saturating_add(delta.y),
        )
    }

    /// The way from `other` to this point; saturates.
    pub const fn minus(self, other: Self) -> Self {
        Self::new(
            self.x.saturating_sub(other.x),
            self.y.saturating_sub(other.y),
        )
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    /// A size of `width` columns and `height` rows.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// The rectangle of this size at the origin; sides beyond `i32::MAX` are cut.
    pub fn rect(self) -> Rect {
        Rect::new(
            0,
            0,
            i32::try_from(self.width).unwrap_or(i32::MAX),
            i32::try_from(self.height).unwrap_or(i32::MAX),
        )
    }

    /// Pixels in it.
    pub const fn area(self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

/// A half-open rectangle; empty when `right <= left` or `bottom <= top`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rect {
    /// First column.
    pub left: i32,
    /// First row.
    pub top: i32,
    /// First column behind it.
    pub right: i32,
    /// First row below it.
    pub bottom: i32,
}

impl Rect {
    /// The rectangle between two corners: `left`, `top` inside, `right`, `bottom` outside.
    pub const fn new(left: i32, top: i32, right: i32, bottom: i32) -> Self {
        Self {
            left,
            top,
            right,
            bottom,
        }
    }

    /// The rectangle of `width` x `height` at (`x`, `y`); saturates.
    pub const fn at(x: i32, y: i32, width: i32, height: i32) -> Self {
        Self::new(x, y, x.saturating_add(width), y.saturating_add(height))
    }

    /// Whether no pixel lies in it.
    pub const fn is_empty(&self) -> bool {
        self.right <= self.left || self.bottom <= self.top
    }

    /// Columns; 0 when empty.
    pub const fn width(&self) -> u32 {
        if self.right <= self.left {
            0
        } else {
            self.right.abs_diff(self.left)
        }
    }

    /// Rows; 0 when empty.
    pub const fn height(&self) -> u32 {
        if self.bottom <= self.top {
            0
        } else {
            self.bottom.abs_diff(self.top)
        }
    }

    /// Width and height.
    pub const fn size(&self) -> Size {
        Size::new(self.width(), self.height())
    }

    /// Pixels in it.
    pub const fn area(&self) -> u64 {
        self.width() as u64 * self.height() as u64
    }

    /// The top left corner.
    pub const fn origin(&self) -> Point {
        Point::new(self.left, self.top)
    }

    /// What lies in both; the empty default where nothing does.
    pub fn intersect(&self, other: &Self) -> Self {
        let both = Self::new(
            self.left.max(other.left),
            self.top.max(other.top),
            self.right.min(other.right),
            self.bottom.min(other.bottom),
        );
        if both.is_empty() {
            Self::default()
        } else {
            both
        }
    }

    /// Whether a pixel lies in both.
    pub fn intersects(&self, other: &Self) -> bool {
        !self.intersect(other).is_empty()
    }

    /// Whether every pixel of `other` lies in this one. Nothing lies in an empty rectangle but the empty one.
    pub const fn contains(&self, other: &Self) -> bool {
        other.is_empty()
            || (self.left <= other.left
                && self.top <= other.top
                && other.right <= self.right
                && other.bottom <= self.bottom)
    }

    /// Whether the pixel at `point` lies in it.
    pub const fn contains_point(&self, point: Point) -> bool {
        self.left <= point.x && point.x < self.right && self.top <= point.y && point.y < self.bottom
    }

    /// The smallest rectangle around both; an empty one adds nothing.
    pub fn union_bounds(&self, other: &Self) -> Self {
        if self.is_empty() {
            return *other;
        }
        if other.is_empty() {
            return *self;
        }
        Self::new(
            self.left.min(other.left),
            self.top.min(other.top),
            self.right.max(other.right),
            self.bottom.max(other.bottom),
        )
    }

    /// This rectangle moved by `delta`; saturates.
    pub const fn translate(&self, delta: Point) -> Self {
        Self::new(
            self.left.saturating_add(delta.x),
            self.top.saturating_add(delta.y),
            self.right.saturating_add(delta.x),
            self.bottom.saturating_add(delta.y),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_rectangles_contain_and_cover_nothing() {
        let empty = Rect::new(5, 5, 5, 9);
        assert!(empty.is_empty());
        assert_eq!(empty.area(), 0);
        assert_eq!(Rect::new(9, 0, 3, 4).width(), 0);
        assert!(Rect::at(0, 0, 10, 10).contains(&empty));
        assert!(!empty.contains(&Rect::at(5, 5, 1, 1)));
        assert_eq!(
            empty.union_bounds(&Rect::at(1, 1, 2, 2)),
            Rect::at(1, 1, 2, 2)
        );
    }

    #[test]
    fn extremes_saturate() {
        let all = Rect::new(i32::MIN, i32::MIN, i32::MAX, i32::MAX);
        assert_eq!(all.width(), u32::MAX);
        assert_eq!(all.area(), u64::from(u32::MAX) * u64::from(u32::MAX));
        assert_eq!(Rect::at(i32::MAX - 1, 0, 50, 1).right, i32::MAX);
        assert_eq!(all.intersect(&Rect::at(3, 4, 5, 6)), Rect::at(3, 4, 5, 6));
    }
}

//! The encoder's window: the pixels of the latest images in one ring.
//!
//! Every pixel has a *position* that goes on growing; its *place* in the ring is the position
//! modulo the ring's length. An image lies in one piece: where it would cross the
//! ring's end it begins at the front, and the places behind stay unused for a round. A new image
//! drops the oldest ones where it overwrites them.
//!
//! INVARIANT: the images' positions ascend without overlap and none is older than the ring is long,
//! so all pixels of all images are there, and together they are no more than the ring is long.

use std::collections::VecDeque;
use std::ops::Range;

use crate::base::limits::GLZ_WINDOW_IMAGES_MAX;

use super::pixels::{Pixels, RGB};

/// An image that can be referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// How many images before the newest one.
    pub(super) distance: u32,
    /// Where its pixels begin and end in the ring.
    pub(super) begin: usize,
    pub(super) end: usize,
    /// Pixels of a row.
    pub(super) width: usize,
}

impl Held {
    /// Whether a place in the ring is one of its pixels.
    pub(super) const fn contains(&self, place: usize) -> bool {
        self.begin <= place && place < self.end
    }
}

#[derive(Debug)]
struct Image {
    positions: Range<u64>,
    width: usize,
}

/// The latest images.
#[derive(Debug)]
pub(super) struct Window {
    ring: Vec<u32>,
    capacity: usize,
    /// The oldest first.
    images: VecDeque<Image>,
    next_id: u64,
}

impl Window {
    /// An empty window of so many pixels, whose first image has the id `next_id`; memory is taken when images come.
    pub(super) fn new(capacity: usize, next_id: u64) -> Self {
        Self {
            ring: Vec::new(),
            capacity,
            images: VecDeque::new(),
            next_id,
        }
    }

    /// The id of the next image.
    pub(super) const fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Bytes that it takes.
    pub(super) fn held_bytes(&self) -> usize {
        self.ring.capacity() * size_of::<u32>() + self.images.capacity() * size_of::<Image>()
    }

    /// Pixels that it can hold.
    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether it can hold an image of so many pixels.
    pub(super) const fn fits(&self, area: usize) -> bool {
        area < self.capacity
    }

    /// Copies an image that fits to the end of the window; returns its id.
    pub(super) fn push(&mut self, pixels: &Pixels<'_>) -> u64 {
        let area = pixels.area();
        let mut start = self.images.back().map_or(0, |newest| newest.positions.end);
        let left = self.capacity - self.place(start);
        if left < area {
            start += left as u64;
        }
        let end = start + area as u64;
        let full = GLZ_WINDOW_IMAGES_MAX <= self.images.len();
        let kept = end.saturating_sub(self.capacity as u64);
        let overwritten = |image: &Image| image.positions.start < kept;
        while self.images.front().is_some_and(overwritten) {
            self.images.pop_front();
        }
        if full && GLZ_WINDOW_IMAGES_MAX <= self.images.len() {
            self.images.pop_front();
        }
        let place = self.place(start);
        self.grow(place + area);
        let mut rest = &mut self.ring[place..place + area];
        for row in pixels.rows() {
            let (front, behind) = rest.split_at_mut(row.len());
            for (to, from) in front.iter_mut().zip(row) {
                *to = from & RGB;
            }
            rest = behind;
        }
        self.images.push_back(Image {
            positions: start..end,
            width: pixels.width() as usize,
        });
        self.next_id += 1;
        self.next_id - 1
    }

    /// Takes the newest image back, which nobody is told of; its id goes to the next one. What it has pushed out stays
    /// away.
    pub(super) fn take_back(&mut self) {
        if self.images.pop_back().is_some() {
            self.next_id -= 1;
        }
    }

    /// How many ids before the newest image the oldest one lies.
    pub(super) fn head_distance(&self) -> u32 {
        u32::try_from(self.images.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// All places, in use or not.
    pub(super) fn ring(&self) -> &[u32] {
        &self.ring
    }

    /// Position of the newest image's first pixel.
    pub(super) fn newest_position(&self) -> u64 {
        self.images
            .back()
            .map_or(0, |newest| newest.positions.start)
    }

    /// Where the pixel of a position lies in the ring.
    const fn place(&self, position: u64) -> usize {
        (position % self.capacity as u64) as usize
    }

    /// The image that a position belongs to.
    pub(super) fn image_at(&self, position: u64) -> Option<Held> {
        let images = &self.images;
        let behind = images.partition_point(|image| image.positions.start <= position);
        let held = self.image(images.len().checked_sub(behind)?)?;
        held.contains(self.place(position)).then_some(held)
    }

    /// The image so many before the newest one.
    pub(super) fn image(&self, distance: usize) -> Option<Held> {
        let index = self.images.len().checked_sub(distance + 1)?;
        let image = self.images.get(index)?;
        let begin = self.place(image.positions.start);
        Some(Held {
            distance: u32::try_from(distance).ok()?,
            begin,
            end: begin + (image.positions.end - image.positions.start) as usize,
            width: image.width,
        })
    }

    /// Makes the ring at least `len` long: in doubling steps, and never beyond the capacity.
    fn grow(&mut self, len: usize) {
        if self.ring.len() < len {
            let len = len.max(2 * self.ring.len()).min(self.capacity);
            self.ring.reserve_exact(len - self.ring.len());
            self.ring.resize(len, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(window: &mut Window, area: usize) -> u64 {
        let id = window.next_id;
        let pixels = vec![id as u32 | 0xff00_0000; area];
        window.push(&Pixels::packed(&pixels, area as u32, 1).unwrap())
    }

    /// Distances and lengths of the images, the oldest first.
    fn held(window: &Window) -> Vec<(u32, usize)> {
        let images = window.images.iter();
        images
            .map(|image| {
                let held = window.image_at(image.positions.start).unwrap();
                assert_eq!(window.image_at(image.positions.end - 1), Some(held));
                let pixels = &window.ring[held.begin..held.end];
                let id = window.next_id as u32 - 1 - held.distance;
                assert!(pixels.iter().all(|pixel| *pixel == id), "image {id}");
                (held.distance, pixels.len())
            })
            .collect()
    }

    #[test]
    fn images_lie_in_one_piece_and_push_out_the_oldest() {
        let mut window = Window::new(16, 0);
        assert!(window.fits(15) && !window.fits(16));
        for id in 0..3 {
            assert_eq!(push(&mut window, 5), id);
        }
        assert_eq!(held(&window), [(2, 5), (1, 5), (0, 5)]);
        // One place is left; the next begins at the front and overwrites the first.
        push(&mut window, 3);
        assert_eq!(window.newest_position(), 16);
        assert_eq!(held(&window), [(2, 5), (1, 5), (0, 3)]);
        assert_eq!(window.image_at(15), None, "unused");
        assert_eq!(window.image_at(19), None, "not yet");
        assert_eq!(window.image_at(4), None, "dropped");
        push(&mut window, 15);
        assert_eq!(held(&window), [(0, 15)]);
        assert_eq!(window.head_distance(), 0);
        push(&mut window, 1);
        assert_eq!(held(&window), [(1, 15), (0, 1)]);
        assert_eq!(window.head_distance(), 1);
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let mut window = Window::new(16, 0);
        push(&mut window, 6);
        push(&mut window, 5);
        push(&mut window, 6);
        assert_eq!(window.head_distance(), 1, "the first is pushed out");
        window.take_back();
        assert_eq!(held(&window), [(0, 5)]);
        assert_eq!(push(&mut window, 4), 2, "the id is free again");
        assert_eq!(held(&window), [(1, 5), (0, 4)]);
    }

    #[test]
    fn small_images_are_bounded_in_number() {
        let mut window = Window::new(1 << 16, 0);
        for _ in 0..GLZ_WINDOW_IMAGES_MAX + 10 {
            push(&mut window, 1);
        }
        assert_eq!(held(&window).len(), GLZ_WINDOW_IMAGES_MAX);
        assert!(
            window.ring.len() < 3 * GLZ_WINDOW_IMAGES_MAX,
            "memory as needed"
        );
    }

    #[test]
    fn memory_does_not_exceed_the_window() {
        let mut window = Window::new(1000, 0);
        for area in (1..1000).step_by(13) {
            push(&mut window, area);
            held(&window);
            assert!(window.ring.capacity() <= 1000);
        }
    }
}

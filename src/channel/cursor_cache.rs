//! Which cursor shapes a client keeps.
//!
//! A client keeps every shape that it was told to (spice-gtk without bound), until it is told to forget it. So its
//! cache is whatever stands here, and what is forgotten here is forgotten there first.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cursor_shape::CursorShape;
use super::outbox::Outbox;
use crate::wire::cursor::{CursorFlags, InvalOne};

/// Shapes that one client keeps. An animated cursor has some 60.
pub const CACHE_SHAPES_MAX: usize = 128;

/// Bytes of pixels that one client keeps.
pub const CACHE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The cache of one client. INVARIANT: its ids differ, and it is within both limits.
#[derive(Clone, Debug, Default)]
pub struct CursorCache {
    /// The one that was used last is at the end.
    shapes: VecDeque<Arc<CursorShape>>,
    bytes: usize,
}

impl CursorCache {
    /// An empty cache.
    pub const fn new() -> Self {
        Self {
            shapes: VecDeque::new(),
            bytes: 0,
        }
    }

    /// How to send `shape` in the next message: `FROM_CACHE` without its pixels, or `CACHE_ME`. Makes room for it.
    pub fn place(&mut self, shape: &Arc<CursorShape>, outbox: &mut Outbox) -> CursorFlags {
        let unique = shape.header().unique;
        let same_id = |kept: &Arc<CursorShape>| kept.header().unique == unique;
        if let Some(index) = self.shapes.iter().position(same_id) {
            // The id is a hash: two looks may share it.
            let is_same = self.shapes.get(index).is_some_and(|kept| kept == shape);
            if is_same {
                let kept = self.shapes.remove(index);
                self.shapes.extend(kept);
                return CursorFlags::FROM_CACHE;
            }
            self.forget(index, outbox);
        }
        let size = shape.pixels().len();
        while CACHE_SHAPES_MAX <= self.shapes.len() || CACHE_BYTES_MAX < self.bytes + size {
            if !self.forget(0, outbox) {
                return CursorFlags::NONE;
            }
        }
        self.bytes += size;
        self.shapes.push_back(Arc::clone(shape));
        CursorFlags::CACHE_ME
    }

    /// Whether there was such a shape.
    fn forget(&mut self, index: usize, outbox: &mut Outbox) -> bool {
        let Some(shape) = self.shapes.remove(index) else {
            return false;
        };
        self.bytes -= shape.pixels().len();
        outbox.send(&InvalOne {
            id: shape.header().unique,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Micros, Point, Size};
    use crate::ring::CursorImage;
    use std::collections::BTreeSet;

    fn shape(side: u32, blue: u32) -> Arc<CursorShape> {
        Arc::new(CursorShape::new(&CursorImage {
            shape_serial: 0,
            size: Size::new(side, side),
            hot_spot: Point::default(),
            pixels: vec![0xff00_0000 | blue; (side * side) as usize],
        }))
    }

    /// Ids that the client is told to forget.
    fn forgotten(outbox: &mut Outbox) -> Vec<u64> {
        let mut bytes = Vec::new();
        outbox.take_into(&mut bytes);
        let ids = bytes.chunks_exact(6 + 8).map(|message| {
            assert_eq!(message[..6], [107, 0, 8, 0, 0, 0]);
            u64::from_le_bytes(*message.last_chunk().unwrap())
        });
        ids.collect()
    }

    fn outbox() -> Outbox {
        let mut outbox = Outbox::new(true, Micros(0));
        outbox.take_into(&mut Vec::new());
        outbox
    }

    #[test]
    fn repeated_shapes_come_from_the_cache() {
        let (mut cache, mut outbox) = (CursorCache::new(), outbox());
        for expected in [CursorFlags::CACHE_ME, CursorFlags::FROM_CACHE] {
            for blue in 0..10 {
                assert_eq!(cache.place(&shape(8, blue), &mut outbox), expected);
            }
        }
        assert!(outbox.is_empty());
    }

    #[test]
    fn both_limits_hold_and_the_client_forgets_first() {
        for (side, most) in [(8, CACHE_SHAPES_MAX), (256, 16)] {
            let (mut cache, mut outbox) = (CursorCache::new(), outbox());
            let mut client = BTreeSet::new();
            let pinned = shape(side, 1000);
            cache.place(&pinned, &mut outbox);
            client.insert(pinned.header().unique);
            for blue in 0..200 {
                let shape = shape(side, blue);
                let flags = cache.place(&shape, &mut outbox);
                assert_eq!(flags, CursorFlags::CACHE_ME);
                for id in forgotten(&mut outbox) {
                    assert!(client.remove(&id));
                }
                assert!(client.insert(shape.header().unique));
                assert!(client.len() <= most);
                // What is in use stays.
                let flags = cache.place(&pinned, &mut outbox);
                assert_eq!(flags, CursorFlags::FROM_CACHE);
            }
            assert_eq!(client.len(), most);
            let kept: usize = cache.shapes.iter().map(|shape| shape.pixels().len()).sum();
            assert!(cache.bytes == kept && kept <= CACHE_BYTES_MAX);
        }
    }

    #[test]
    fn two_looks_of_one_id_are_told_apart() {
        let (mut cache, mut outbox) = (CursorCache::new(), outbox());
        let make = |blue| Arc::new(CursorShape::clone(&shape(1, blue)).with_unique(5));
        let (first, second) = (make(1), make(2));
        for shape in [&first, &second, &first] {
            assert_eq!(cache.place(shape, &mut outbox), CursorFlags::CACHE_ME);
        }
        assert_eq!(forgotten(&mut outbox), [5, 5]);
        assert_eq!(cache.shapes.len(), 1);
    }
}

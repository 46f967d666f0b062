//! Changes that belong together: the boxes that a menu or a window makes, as one rectangle around them.
//!
//! A comparison reports many boxes for one menu: each line of text, each border. What lies near each other came or
//! went together.

use crate::base::{Rect, Region};

/// Boxes that lie at most so many pixels apart belong together: about two lines of text.
pub const CLUSTER_GAP: i32 = 32;

/// Boxes that are looked at one by one; of more, neighbours are joined first.
const BOXES_MAX: usize = 256;

/// Boxes that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Around all of them.
    pub bounds: Rect,
    /// Pixels in the boxes.
    pub area: u64,
}

/// The clusters of a region, in no order. Their bounds do not overlap.
pub fn clusters(region: &Region) -> Vec<Cluster> {
    let mut boxes = region.clone();
    boxes.simplify(BOXES_MAX);
    let mut clusters: Vec<Cluster> = Vec::new();
    for rect in boxes.rects() {
        let mut joined = Cluster {
            bounds: *rect,
            area: rect.area(),
        };
        // What has grown may reach another one.
        while let Some(near) = (0..clusters.len()).find(|&index| {
            clusters
                .get(index)
                .is_some_and(|other| grown(&joined.bounds).intersects(&other.bounds))
        }) {
            let other = clusters.swap_remove(near);
            joined.bounds = joined.bounds.union_bounds(&other.bounds);
            joined.area += other.area;
        }
        clusters.push(joined);
    }
    clusters
}

const fn grown(rect: &Rect) -> Rect {
    Rect::new(
        rect.left.saturating_sub(CLUSTER_GAP),
        rect.top.saturating_sub(CLUSTER_GAP),
        rect.right.saturating_add(CLUSTER_GAP),
        rect.bottom.saturating_add(CLUSTER_GAP),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_of_a_menu_are_one_and_the_clock_is_another() {
        let lines = (0..10).map(|line| Rect::at(100, 100 + line * 24, 40 + line * 7, 12));
        let clock = Rect::at(900, 700, 60, 12);
        let boxes: Vec<Rect> = lines.chain([clock]).collect();
        let mut found = clusters(&Region::from_rects(&boxes));
        found.sort_by_key(|cluster| cluster.bounds.top);
        let bounds: Vec<Rect> = found.iter().map(|cluster| cluster.bounds).collect();
        assert_eq!(bounds, [Rect::new(100, 100, 203, 328), clock]);
        assert_eq!(found[1].area, 60 * 12);
    }

    proptest! {
        #[test]
        fn every_box_is_in_one_cluster_and_clusters_lie_apart(
            boxes in prop::collection::vec((0..2000i32, 0..1000i32, 1..90i32, 1..90i32), 0..60),
        ) {
            let boxes: Vec<Rect> = boxes.iter().map(|&(x, y, w, h)| Rect::at(x, y, w, h)).collect();
            let region = Region::from_rects(&boxes);
            let found = clusters(&region);
            for rect in region.rects() {
                let homes = found.iter().filter(|cluster| cluster.bounds.contains(rect));
                prop_assert_eq!(homes.count(), 1);
            }
            for (index, cluster) in found.iter().enumerate() {
                let apart = |other: &Cluster| !grown(&cluster.bounds).intersects(&other.bounds);
                prop_assert!(found[index + 1..].iter().all(apart));
            }
            prop_assert!(region.area() <= found.iter().map(|cluster| cluster.area).sum::<u64>());
        }
    }
}

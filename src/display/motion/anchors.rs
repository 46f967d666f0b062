//! Guesses at how content moved: offsets by which many pieces of old rows turn up again.
//!
//! Patches of the new picture ([`PATCH_ROWS`] rows of one segment) are spread over what changed. Each row of a patch
//! has two windows of [`WINDOW`] pixels; their hashes go into a table. Then the old picture is read in every
//! `PATCH_ROWS`-th row only, with a rolling hash over all columns: a patch that came from anywhere, in either
//! direction, has crossed exactly one of these rows. Every window found again votes for an offset. Windows of one
//! colour do not vote, nor do those that occur in many places; a few places (rows doubled for a fine screen, repeated
//! lines) vote for several offsets, of which the true one gets most.
//!
//! The same can be asked before anything has been read ([`Anchors::promise`]): from patches of what is drawn now, and
//! the old picture as it still is.
//!
//! All work is bounded by [`WINDOWS_MAX`], [`VOTES_MAX`] and a sixteenth of the pixels that changed.

use std::ops::Range;

use super::before::{Pair, SEGMENT};
use crate::base::{Point, Rect, Region};
use crate::display::shadow::{Shadow, read_line};
use crate::ring::PixelSource;

/// Pixels of a window: three to five letters, few enough to fit into a narrow column.
const WINDOW: usize = 32;

/// Rows of a patch, and the way from one old row that is read to the next.
const PATCH_ROWS: usize = 16;

/// The same where much changed: what moves there is not flat.
const PATCH_ROWS_LARGE: usize = 32;

/// Changed pixels from which on patches are large: half of a full-HD screen.
const LARGE_AREA: u64 = 1 << 20;

/// Windows in the table: 256 patches, of which a tenth would do for one moving area.
const WINDOWS_MAX: usize = 8 * 1024;

/// New places of equal windows, and old places that one of them may vote with: more of them are a pattern.
const SAME_MAX: u8 = 8;

/// Votes of one search.
const VOTES_MAX: usize = 16 * 1024;

/// Votes that make an offset worth a comparison.
const VOTES_MIN: usize = 3;

/// Offsets that are tried, the best first.
const CANDIDATES_MAX: usize = 8;

/// Windows of a polynomial hash: the pixel that comes last has factor 1.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// `FACTOR` to the power of `WINDOW`: what the pixel that leaves has become.
const FACTOR_LEAVING: u64 = power(WINDOW);

const FACTORS: [u64; WINDOW] = {
    let mut factors = [0; WINDOW];
    let mut index = 0;
    while index < WINDOW {
        factors[index] = power(WINDOW - 1 - index);
        index += 1;
    }
    factors
};

const fn power(exponent: usize) -> u64 {
    let (mut product, mut index) = (1u64, 0);
    while index < exponent {
        product = product.wrapping_mul(FACTOR);
        index += 1;
    }
    product
}

/// A window of the new picture; `hash` is 0 in empty slots.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u64,
    x: u16,
    y: u16,
    /// Old windows found for it.
    hits: u8,
    /// In the first slot of a hash: further windows that have it.
    same: u8,
}

/// The table of windows and the votes; memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    slots: Vec<Slot>,
    /// One bit for each possible top 16 bits of a hash that is in the table: nearly all old windows end here.
    known: Vec<u64>,
    votes: Vec<(i16, i16)>,
}

impl Anchors {
    /// Offsets from old to new places, those with most votes first.
    pub(super) fn offsets(&mut self, pair: Pair<'_>, differing: &Region) -> Vec<Point> {
        let patch_rows = patch_rows(differing);
        let bounds = differing.bounds();
        let rows =
            usize::try_from(bounds.top).unwrap_or(0)..usize::try_from(bounds.bottom).unwrap_or(0);
        let patches = patches(pair, rows.clone(), patch_rows);
        self.start(patches.len() * patch_rows * SEGMENT / WINDOW);
        for (top, segment) in patches {
            for y in top..(top + patch_rows).min(rows.end) {
                let row = pair.new_row(y);
                let end = ((segment + 1) * SEGMENT).min(row.len());
                if pair.differing(y).get(segment) == Some(&true)
                    && let Some(pixels) = row.get(segment * SEGMENT..end)
                {
                    self.insert_windows(segment * SEGMENT, y, pixels);
                }
            }
        }
        let first = rows.start.next_multiple_of(patch_rows);
        for y in (first..rows.end).step_by(patch_rows) {
            for (left, old) in pair.old_runs(y) {
                self.look_up_run(left, y, old);
            }
        }
        self.count()
    }

    /// Whether [`offsets`](Self::offsets) may find any once `shadow` has been refreshed from `source` in `region`.
    /// Takes a small part of the time that it takes to keep the old pixels for that.
    pub(super) fn promise(
        &mut self,
        shadow: &Shadow,
        source: &dyn PixelSource,
        region: &Region,
    ) -> bool {
        let region = region.clip(&shadow.size().rect());
        let patch_rows = patch_rows(&region);
        let patches = region_patches(&region, patch_rows);
        self.start(patches.len() * patch_rows * SEGMENT / WINDOW);
        let mut line = [0; SEGMENT];
        for patch in patches {
            for y in patch.top..patch.bottom {
                if let (Some(now), Some(old)) = (
                    read_line(source, &mut line, &patch, y),
                    shadow.span(&patch, y),
                ) && now != old
                    && let (Ok(left), Ok(y)) = (usize::try_from(patch.left), usize::try_from(y))
                {
                    self.insert_windows(left, y, now);
                }
            }
        }
        let bounds = region.bounds();
        let step = i32::try_from(patch_rows).unwrap_or(1);
        let first = bounds.top + (step - bounds.top % step) % step;
        for y in (first..bounds.bottom).step_by(patch_rows) {
            if let (Some(old), Ok(left), Ok(y)) = (
                shadow.span(&bounds, y),
                usize::try_from(bounds.left),
                usize::try_from(y),
            ) {
                self.look_up_run(left, y, old);
            }
        }
        !self.count().is_empty()
    }

    fn start(&mut self, windows: usize) {
        self.slots.clear();
        self.slots
            .resize((windows * 2).next_power_of_two(), Slot::default());
        self.known.clear();
        self.known.resize(1 << 10, 0);
        self.votes.clear();
    }

    /// The windows of new pixels of row `y` from column `left` on.
    fn insert_windows(&mut self, left: usize, y: usize, pixels: &[u32]) {
        for (window, x) in pixels.chunks_exact(WINDOW).zip((left..).step_by(WINDOW)) {
            if window.iter().all(|pixel| Some(pixel) == window.first()) {
                continue;
            }
            let hash = finish(hash(window));
            let (Ok(x), Ok(y)) = (u16::try_from(x), u16::try_from(y)) else {
                return;
            };
            insert(
                &mut self.slots,
                Slot {
                    hash,
                    x,
                    y,
                    hits: 0,
                    same: 0,
                },
            );
            mark(&mut self.known, hash);
        }
    }

    /// All windows of a run of old pixels.
    fn look_up_run(&mut self, left: usize, y: usize, old: &[u32]) {
        let Some((first, rest)) = old.split_at_checked(WINDOW) else {
            return;
        };
        let mut hash = hash(first);
        self.look_up(left, y, hash);
        for (index, (leaving, coming)) in old.iter().zip(rest).enumerate() {
            hash = hash
                .wrapping_mul(FACTOR)
                .wrapping_sub(u64::from(*leaving).wrapping_mul(FACTOR_LEAVING))
                .wrapping_add(u64::from(*coming));
            self.look_up(left + index + 1, y, hash);
        }
    }

    #[inline]
    fn look_up(&mut self, x: usize, y: usize, hash: u64) {
        let hash = finish(hash);
        if !is_marked(&self.known, hash) || VOTES_MAX <= self.votes.len() {
            return;
        }
        let way = |to: u16, from: usize| i16::try_from(i64::from(to) - from as i64).ok();
        for index in probes(&self.slots, hash) {
            let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.hash != 0) else {
                return;
            };
            if slot.hash != hash {
                continue;
            }
            if SAME_MAX <= slot.same {
                return;
            }
            if slot.hits < SAME_MAX {
                slot.hits += 1;
                if let (Some(dx), Some(dy)) = (way(slot.x, x), way(slot.y, y)) {
                    self.votes.push((dx, dy));
                }
            }
        }
    }

    fn count(&mut self) -> Vec<Point> {
        self.votes.sort_unstable();
        let mut counted: Vec<(usize, Point)> = self
            .votes
            .chunk_by(|a, b| a == b)
            .filter(|votes| VOTES_MIN <= votes.len())
            .filter_map(|votes| {
                let (dx, dy) = *votes.first()?;
                Some((votes.len(), Point::new(dx.into(), dy.into())))
            })
            .filter(|(_, offset)| *offset != Point::default())
            .collect();
        counted.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        counted.truncate(CANDIDATES_MAX);
        counted.into_iter().map(|(_, offset)| offset).collect()
    }
}

/// First row and segment of the patches that are indexed: those with a change, thinned out to [`WINDOWS_MAX`].
fn patches(pair: Pair<'_>, rows: Range<usize>, patch_rows: usize) -> Vec<(usize, usize)> {
    let mut patches = Vec::new();
    for top in rows.clone().step_by(patch_rows) {
        let mut differing = vec![false; pair.differing(top).len()];
        for y in top..(top + patch_rows).min(rows.end) {
            for (any, differs) in differing.iter_mut().zip(pair.differing(y)) {
                *any |= differs;
            }
        }
        let changed = differing.iter().enumerate().filter(|(_, any)| **any);
        patches.extend(changed.map(|(segment, _)| (top, segment)));
    }
    thin_out(&mut patches, patch_rows);
    patches
}

/// The patches of a region of which nothing is known but that it was drawn on: whole segments, thinned out likewise.
fn region_patches(region: &Region, patch_rows: usize) -> Vec<Rect> {
    let (columns, rows) = (SEGMENT as i32, i32::try_from(patch_rows).unwrap_or(1));
    let mut patches = Vec::new();
    for rect in region.rects() {
        let first = rect.left + (columns - rect.left % columns) % columns;
        for top in (rect.top..rect.bottom).step_by(patch_rows) {
            let bottom = rect.bottom.min(top + rows);
            let lefts = (first..=rect.right - columns).step_by(SEGMENT);
            patches.extend(lefts.map(|left| Rect::new(left, top, left + columns, bottom)));
        }
    }
    thin_out(&mut patches, patch_rows);
    patches
}

fn patch_rows(region: &Region) -> usize {
    if region.area() < LARGE_AREA {
        PATCH_ROWS
    } else {
        PATCH_ROWS_LARGE
    }
}

fn thin_out<T>(patches: &mut Vec<T>, patch_rows: usize) {
    let patches_max = WINDOWS_MAX / (patch_rows * SEGMENT / WINDOW);
    if patches_max < patches.len() {
        // Scattered, so that no column is left out as a whole.
        let share = u32::try_from(patches_max * 0x1_0000 / patches.len()).unwrap_or(0);
        let mut number = 0u32;
        patches.retain(|_| {
            number = number.wrapping_add(1);
            number.wrapping_mul(0x9e37_79b1) >> 16 < share
        });
    }
}

fn hash(window: &[u32]) -> u64 {
    window
        .iter()
        .zip(FACTORS)
        .fold(0, |sum: u64, (pixel, factor)| {
            sum.wrapping_add(u64::from(*pixel).wrapping_mul(factor))
        })
}

/// Spreads the last pixels, whose factors are small, over the top bits. Never 0.
#[inline]
fn finish(hash: u64) -> u64 {
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1
}

/// Where `hash` may lie, in the order in which slots are taken.
fn probes(slots: &[Slot], hash: u64) -> impl Iterator<Item = usize> + use<> {
    let (count, mask) = (slots.len(), slots.len().saturating_sub(1));
    let start = (hash >> 32) as usize;
    (0..count).map(move |step| (start + step) & mask)
}

/// Puts a window behind those with the same hash; the ninth and later ones are only counted.
fn insert(slots: &mut [Slot], new: Slot) {
    let mut is_first = true;
    for index in probes(slots, new.hash) {
        let Some(slot) = slots.get_mut(index) else {
            return;
        };
        if slot.hash == 0 {
            *slot = new;
            break;
        }
        if slot.hash == new.hash {
            if is_first {
                slot.same = slot.same.saturating_add(1);
                if SAME_MAX <= slot.same {
                    return;
                }
            }
            is_first = false;
        }
    }
}

fn mark(known: &mut [u64], hash: u64) {
    let bit = hash >> 48;
    if let Some(word) = known.get_mut((bit >> 6) as usize) {
        *word |= 1 << (bit & 63);
    }
}

#[inline]
fn is_marked(known: &[u64], hash: u64) -> bool {
    let bit = hash >> 48;
    known
        .get((bit >> 6) as usize)
        .is_some_and(|word| word >> (bit & 63) & 1 == 1)
}

//! Finds what plays: rectangles that change at video rate and hold photographic pixels.
//!
//! The screen is watched in the tiles of the shadow's comparison. A tile that changes [`STREAK_MIN`] times with gaps of
//! at most [`GAP_MAX`] is active. Active tiles whose changes touch each other make one rectangle, the bounds of
//! what changed in them, which is the video's window to the pixel. It is a video when it is large enough, mostly
//! covered by activity, and looks like a photograph: neighbouring pixels differ, but little. Typing and blinking are
//! too small or too slow, scrolls that were recognised as copies leave too little, text and drawings look otherwise.
//!
//! A video stays while it moves and [`END_AFTER`] longer. It grows when activity reaches beyond it, and shrinks
//! when activity has left much of it for a while; either makes it another video with an identity of its own.

use super::changes::ExactOp;
use super::screen::Frame;
use super::shadow::{Shadow, TILE_HEIGHT, TILE_WIDTH};
use super::video_content::Contrast;
use crate::base::limits::VIDEOS_MAX;
use crate::base::{Micros, Point, Rect, Region, Size};

/// Changes of a tile in a row that make it active.
pub const STREAK_MIN: u8 = 4;

/// The longest gap between two changes of a row: 5 a second are a slow video, 2 a second a cursor or a clock.
pub const GAP_MAX: Micros = Micros::from_millis(200);

/// The smallest side of a video in pixels: what is smaller costs little as it is.
pub const SIDE_MIN: u32 = 96;

/// A video that has not moved for this long is none any more.
pub const END_AFTER: Micros = Micros::from_secs(1);

/// A video is still when nothing moved in it for two and a half of its intervals, within these bounds: then it
/// is worth the exact pixels. The upper bound leaves the rest of 0.3 s to sending them.
const STILL_AFTER: (Micros, Micros) = (Micros::from_millis(110), Micros::from_millis(220));

/// A change of less than this part of a video is no motion: a cursor blinks in a paused one.
const MOTION_PART: u64 = 16;

/// Changes of a tile after which its oldest extent is forgotten.
const EXTENT_CHANGES: u8 = 8;

/// Changes this far apart, in pixels, are one picture.
const TOUCHING: i32 = 8;

/// Percent of a rectangle that activity must cover.
const COVERED_MIN: u64 = 60;

/// Activity that covers less than this percent of a video lets it shrink ...
const SHRUNK_MAX: u64 = 70;

/// ... when that is seen at this interval.
const SHRINK_INTERVAL: Micros = Micros::from_millis(1500);

/// A rectangle that plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Video {
    /// Never used again: another rectangle is another video.
    pub id: u64,
    /// Where on the screen.
    pub rect: Rect,
    /// Counts the changes of its pixels.
    pub serial: u64,
    /// When it moved last.
    moved_at: Micros,
    /// Mean time from motion to motion.
    interval: Micros,
    /// When it was last looked at whether it should shrink.
    measured_at: Micros,
}

impl Video {
    /// When it counts as still unless it moves before.
    pub fn still_at(&self) -> Micros {
        let (least, most) = STILL_AFTER;
        self.moved_at + Micros(self.interval.0 * 5 / 2).clamp(least, most)
    }

    /// Whether it moves at `now`.
    pub fn is_moving(&self, now: Micros) -> bool {
        now < self.still_at()
    }
}

/// One tile's changes.
#[derive(Clone, Copy, Debug, Default)]
struct Tile {
    frame: u64,
    changed_at: Micros,
    streak: u8,
    /// Bounds of the last changes, at most [`EXTENT_CHANGES`] of them, and of as many before them.
    recent: Rect,
    recent_changes: u8,
    older: Rect,
    /// Of its pixels when it was last asked for in the recent changes.
    contrast: Option<Contrast>,
}

impl Tile {
    fn change(&mut self, now: Micros, frame: u64, part: &Rect) {
        if self.frame == frame {
            self.recent = self.recent.union_bounds(part);
            return;
        }
        if GAP_MAX < now.since(self.changed_at) {
            *self = Self::default();
        }
        self.streak = self.streak.saturating_add(1);
        if self.recent_changes < EXTENT_CHANGES {
            self.recent = self.recent.union_bounds(part);
            self.recent_changes += 1;
        } else {
            (self.older, self.recent) = (self.recent, *part);
            self.recent_changes = 1;
            self.contrast = None;
        }
        (self.frame, self.changed_at) = (frame, now);
    }

    fn is_active(&self, now: Micros) -> bool {
        STREAK_MIN <= self.streak && now.since(self.changed_at) <= GAP_MAX
    }

    fn extent(&self) -> Rect {
        self.recent.union_bounds(&self.older)
    }
}

/// Active tiles that touch each other.
#[derive(Debug, Default)]
struct Component {
    bounds: Rect,
    covered: u64,
    contrast: Contrast,
}

impl Component {
    fn is_video(&self) -> bool {
        SIDE_MIN <= self.bounds.width()
            && SIDE_MIN <= self.bounds.height()
            && self.bounds.area() * COVERED_MIN <= self.covered * 100
            && self.contrast.is_photographic()
    }
}

/// Watches the frames of one screen.
#[derive(Debug)]
pub struct VideoDetector {
    columns: usize,
    tiles: Vec<Tile>,
    frame: u64,
    videos: Vec<Video>,
    next_id: u64,
}

impl VideoDetector {
    /// For a screen of `size` on which nothing has changed.
    pub fn new(size: Size) -> Self {
        let columns = (size.width as usize).div_ceil(TILE_WIDTH);
        let rows = (size.height as usize).div_ceil(TILE_HEIGHT as usize);
        Self {
            columns,
            tiles: vec![Tile::default(); columns * rows],
            frame: 0,
            videos: Vec::new(),
            next_id: 1,
        }
    }

    /// What plays, as of the last frame; at most [`VIDEOS_MAX`]. None overlaps another one.
    pub fn videos(&self) -> &[Video] {
        &self.videos
    }

    /// Takes in a frame that was read at `now`; `shadow` has its pixels.
    pub fn observe(&mut self, now: Micros, frame: &Frame, shadow: &Shadow) {
        self.frame += 1;
        self.videos
            .retain(|video| now.since(video.moved_at) <= END_AFTER);
        self.follow_moves(&frame.ops, shadow.size());
        let news = self.note_changes(now, &frame.changed);
        self.note_motion(now, frame);
        let measure = |video: &Video| SHRINK_INTERVAL <= now.since(video.measured_at);
        if news || self.videos.iter().any(measure) {
            self.search(now, shadow);
        }
    }

    /// A window that is dragged takes its video along.
    fn follow_moves(&mut self, ops: &[ExactOp], size: Size) {
        for op in ops {
            let ExactOp::Copy { rect, delta } = *op else {
                continue;
            };
            let source = rect.translate(Point::new(-delta.x, -delta.y));
            for index in 0..self.videos.len() {
                let from = self.videos[index].rect;
                let to = from.translate(delta);
                let fits = size.rect().contains(&to) && self.is_free(&to, index);
                if source.contains(&from) && fits {
                    self.replace(index, to);
                }
            }
        }
    }

    /// Whether tiles outside of all videos are active, enough of them for a video.
    fn note_changes(&mut self, now: Micros, changed: &Region) -> bool {
        let mut active = 0;
        for rect in changed.rects() {
            for (index, cell) in cells(self.columns, rect) {
                let Some(tile) = self.tiles.get_mut(index) else {
                    continue;
                };
                let part = rect.intersect(&cell);
                tile.change(now, self.frame, &part);
                let known = |video: &Video| video.rect.contains(&part);
                if tile.is_active(now) && !self.videos.iter().any(known) {
                    active += part.area();
                }
            }
        }
        let enough = u64::from(SIDE_MIN) * u64::from(SIDE_MIN);
        enough <= active
    }

    fn note_motion(&mut self, now: Micros, frame: &Frame) {
        for video in &mut self.videos {
            let changed = frame.changed.clip(&video.rect).area();
            let drawn = |op: &ExactOp| op.rect().intersect(&video.rect).area();
            let moved = changed + frame.ops.iter().map(drawn).sum::<u64>();
            if 0 < moved {
                video.serial += 1;
            }
            if video.rect.area() <= moved * MOTION_PART {
                let gap = now.since(video.moved_at);
                video.interval = Micros((video.interval.0 * 3 + gap.0) / 4);
                video.moved_at = now;
            }
        }
    }

    /// Looks for videos among the active tiles, new ones and those that are there.
    fn search(&mut self, now: Micros, shadow: &Shadow) {
        for component in self.components(now, shadow) {
            let touched = |video: &Video| video.rect.intersects(&component.bounds);
            let known: Vec<usize> = (0..self.videos.len())
                .filter(|&index| touched(&self.videos[index]))
                .collect();
            match known[..] {
                [] if component.is_video() => self.add(now, component.bounds),
                [index] => self.adapt(now, index, &component),
                // What joins two videos is no better than what they are.
                _ => {}
            }
        }
        for video in &mut self.videos {
            if SHRINK_INTERVAL <= now.since(video.measured_at) {
                video.measured_at = now;
            }
        }
    }

    fn adapt(&mut self, now: Micros, index: usize, component: &Component) {
        let video = self.videos[index];
        if !component.is_video() {
            return;
        }
        // Activity that only reaches into it is a video of its own, as soon as this one has ended.
        let shared = component.bounds.intersect(&video.rect).area();
        let grown = !video.rect.contains(&component.bounds) && video.rect.area() <= 2 * shared;
        let left = component.bounds.area() * 100 < video.rect.area() * SHRUNK_MAX;
        let measured = SHRINK_INTERVAL <= now.since(video.measured_at);
        if grown || (left && measured) {
            self.replace(index, component.bounds);
        }
    }

    fn add(&mut self, now: Micros, rect: Rect) {
        if VIDEOS_MAX <= self.videos.len() {
            return;
        }
        self.videos.push(Video {
            id: self.next_id,
            rect,
            serial: 1,
            moved_at: now,
            interval: Micros::from_millis(40),
            measured_at: now,
        });
        self.next_id += 1;
    }

    fn replace(&mut self, index: usize, rect: Rect) {
        let id = self.next_id;
        if let Some(video) = self.videos.get_mut(index) {
            self.next_id += 1;
            (video.id, video.rect, video.serial) = (id, rect, 1);
        }
    }

    fn is_free(&self, rect: &Rect, but: usize) -> bool {
        let mut others = self.videos.iter().enumerate();
        others.all(|(index, other)| index == but || !other.rect.intersects(rect))
    }

    /// Groups of active tiles that touch each other and are not text.
    fn components(&mut self, now: Micros, shadow: &Shadow) -> Vec<Component> {
        let mut seen = vec![false; self.tiles.len()];
        let (mut found, mut waiting) = (Vec::new(), Vec::new());
        for start in 0..self.tiles.len() {
            let mut component = Component::default();
            if self.admit(start, now, shadow, &mut seen, &mut component) {
                waiting.push(start);
            }
            while let Some(index) = waiting.pop() {
                let near = self.tiles[index].extent();
                for next in self.neighbours(index) {
                    if touch(&near, &self.tiles[next].extent())
                        && self.admit(next, now, shadow, &mut seen, &mut component)
                    {
                        waiting.push(next);
                    }
                }
            }
            if !component.bounds.is_empty() {
                found.push(component);
            }
        }
        found
    }

    /// Takes a tile into `component` if it is active, no text, and was not looked at before.
    fn admit(
        &mut self,
        index: usize,
        now: Micros,
        shadow: &Shadow,
        seen: &mut [bool],
        component: &mut Component,
    ) -> bool {
        let tile = &mut self.tiles[index];
        if !tile.is_active(now) || std::mem::replace(&mut seen[index], true) {
            return false;
        }
        let extent = tile.extent();
        let contrast = *tile
            .contrast
            .get_or_insert_with(|| Contrast::of(shadow, &extent));
        if contrast.is_drawn() {
            return false;
        }
        component.bounds = component.bounds.union_bounds(&extent);
        component.covered += extent.area();
        component.contrast.add(&contrast);
        true
    }

    fn neighbours(&self, index: usize) -> impl Iterator<Item = usize> + use<> {
        let (columns, count) = (self.columns, self.tiles.len());
        let (row, column) = (index / columns, index % columns);
        let rows = row.saturating_sub(1)..=row + 1;
        let around = move |row| {
            let in_row = column.saturating_sub(1)..=(column + 1).min(columns - 1);
            in_row.map(move |column| row * columns + column)
        };
        rows.flat_map(around)
            .filter(move |&next| next != index && next < count)
    }
}

/// Numbers and places of the tiles that `rect` reaches.
fn cells(columns: usize, rect: &Rect) -> impl Iterator<Item = (usize, Rect)> + use<> {
    let (width, height) = (signed(TILE_WIDTH), TILE_HEIGHT.cast_signed());
    let across = rect.left.max(0) / width..=(rect.right - 1).max(0) / width;
    let down = rect.top.max(0) / height..=(rect.bottom - 1).max(0) / height;
    down.flat_map(move |row| {
        across.clone().map(move |column| {
            let index = usize::try_from(row).unwrap_or(0) * columns;
            let cell = Rect::at(column * width, row * height, width, height);
            (index + usize::try_from(column).unwrap_or(0), cell)
        })
    })
}

fn touch(one: &Rect, other: &Rect) -> bool {
    let (left, top) = (one.left - TOUCHING, one.top - TOUCHING);
    Rect::new(left, top, one.right + TOUCHING, one.bottom + TOUCHING).intersects(other)
}

fn signed(columns: usize) -> i32 {
    i32::try_from(columns).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;

//! From the monitors that a client asks for to outputs that the X server can show.
//!
//! Clients ask for anything: windows of a few pixels, monitors a screen's width apart or on top of one another, more
//! than there are. What comes out holds whatever came in: at most [`MONITORS_MAX`] outputs of sensible sides that do
//! not overlap, without empty columns or rows between them, from the origin on and within the largest screen. What had
//! to be changed for that is told in [`LayoutNote`]s, for the log.

use crate::base::limits::{
    ASKED_SIDE_MAX, MONITOR_HEIGHT_MIN, MONITOR_WIDTH_MIN, MONITORS_MAX, SCREEN_SIDE_MAX,
};
use crate::base::{Rect, Size};
use crate::ring::Head;
use crate::wire::agent::{MonitorConfig, MonitorsConfig, MonitorsFlags};

/// Dots per inch of a screen of which nothing else is known: what X servers and desktops take for normal.
pub const DPI_DEFAULT: u16 = 96;

/// Dots per inch that a real screen has; what is outside was made up.
const DPI_BELIEVED: std::ops::RangeInclusive<u64> = 48..=480;

/// Where the dots per inch of the desktop come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DpiPolicy {
    /// [`DPI_DEFAULT`], whatever clients say.
    #[default]
    Fixed,
    /// The physical size of the client's monitor, where it is believable.
    Client,
}

/// Outputs for the X server. INVARIANT: one to [`MONITORS_MAX`] heads in order of id, each id once and below
/// [`MONITORS_MAX`], sides from [`MONITOR_WIDTH_MIN`] and [`MONITOR_HEIGHT_MIN`], not overlapping, the smallest left
/// and top 0, everything within [`SCREEN_SIDE_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScreenLayout {
    heads: Vec<Head>,
    dpi: u16,
}

/// Why nothing of a request can be done. The client's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// No monitor, or none with a size.
    #[error("it asks for no monitor at all")]
    Empty,
    /// A side that no window has.
    #[error("it asks for a monitor of {}x{}, largest side {ASKED_SIDE_MAX}", .0.width, .0.height)]
    Side(Size),
}

/// What was done otherwise than asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutNote {
    /// Sides below the smallest or beyond the largest.
    #[error(
        "monitor {id} of {}x{} becomes {}x{}",
        asked.width, asked.height, given.width, given.height
    )]
    Cut {
        /// Number of the monitor, from 0.
        id: u32,
        /// As the client wants it.
        asked: Size,
        /// As it gets it.
        given: Size,
    },
    /// More monitors than outputs.
    #[error("monitor {0} is left out: there are {MONITORS_MAX} outputs")]
    TooMany(usize),
    /// Monitors on top of one another, or further to the right or the bottom than a screen goes.
    #[error("monitors overlap or reach beyond the largest screen: they stand side by side instead")]
    Rearranged,
    /// No room is left on the largest screen.
    #[error(
        "monitor {0} is left out: it does not fit on a screen of {SCREEN_SIDE_MAX}x{SCREEN_SIDE_MAX}"
    )]
    DoesNotFit(u32),
    /// Millimetres that no monitor of so many pixels has.
    #[error("monitor {id}, {width_mm} mm by {height_mm} mm: not believed")]
    PhysicalSize {
        /// Number of the monitor, from 0.
        id: u32,
        /// As the client says.
        width_mm: u16,
        /// As the client says.
        height_mm: u16,
    },
}

impl ScreenLayout {
    /// Arranges what a client wants. Without `VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS` monitors stand side by side, in
    /// order. What is done otherwise is appended to `notes`.
    ///
    /// # Errors
    /// [`LayoutError`]: nothing of it can be done.
    pub fn arrange(
        wanted: &MonitorsConfig,
        policy: DpiPolicy,
        notes: &mut Vec<LayoutNote>,
    ) -> Result<Self, LayoutError> {
        let mut places = Vec::new();
        for (index, monitor) in wanted.monitors.iter().enumerate() {
            if monitor.width == 0 || monitor.height == 0 {
                continue;
            }
            if MONITORS_MAX <= index {
                notes.push(LayoutNote::TooMany(index));
                break;
            }
            let id = u32::try_from(index).unwrap_or(u32::MAX);
            places.push(Place::new(id, monitor, notes)?);
        }
        let first = places.first().ok_or(LayoutError::Empty)?;
        let dpi = match policy {
            DpiPolicy::Fixed => DPI_DEFAULT,
            DpiPolicy::Client => first.dpi(wanted, notes).unwrap_or(DPI_DEFAULT),
        };
        if !wanted.flags.contains(MonitorsFlags::USE_POSITION) {
            side_by_side(&mut places, notes);
        } else if !close_up(&mut places) {
            notes.push(LayoutNote::Rearranged);
            places.sort_by_key(|place| (place.x, place.id));
            side_by_side(&mut places, notes);
            places.sort_by_key(|place| place.id);
        }
        let heads = places.iter().map(Place::head).collect();
        Ok(Self { heads, dpi })
    }

    /// The outputs that are to be on, in order of id.
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// Dots per inch of the whole screen: that of the first monitor, for X knows one.
    pub const fn dpi(&self) -> u16 {
        self.dpi
    }

    /// The screen around all outputs.
    pub fn size(&self) -> Size {
        let far = |edge: fn(&Rect) -> i32| {
            let edges = self.heads.iter().map(|head| edge(&head.rect));
            edges
                .max()
                .and_then(|far| u32::try_from(far).ok())
                .unwrap_or(0)
        };
        Size::new(far(|rect| rect.right), far(|rect| rect.bottom))
    }
}

/// A monitor whose place is not decided yet. Sides are at most [`SCREEN_SIDE_MAX`].
#[derive(Clone, Copy, Debug)]
struct Place {
    id: u32,
    size: Size,
    x: i64,
    y: i64,
}

impl Place {
    fn new(
        id: u32,
        monitor: &MonitorConfig,
        notes: &mut Vec<LayoutNote>,
    ) -> Result<Self, LayoutError> {
        let asked = Size::new(monitor.width, monitor.height);
        if ASKED_SIDE_MAX < asked.width.max(asked.height) {
            return Err(LayoutError::Side(asked));
        }
        let given = Size::new(
            asked.width.clamp(MONITOR_WIDTH_MIN, SCREEN_SIDE_MAX),
            asked.height.clamp(MONITOR_HEIGHT_MIN, SCREEN_SIDE_MAX),
        );
        if given != asked {
            notes.push(LayoutNote::Cut { id, asked, given });
        }
        let (x, y) = (i64::from(monitor.x), i64::from(monitor.y));
        Ok(Self {
            id,
            size: given,
            x,
            y,
        })
    }

    /// What the physical size of this monitor comes to, as the mean of both directions.
    fn dpi(&self, wanted: &MonitorsConfig, notes: &mut Vec<LayoutNote>) -> Option<u16> {
        let monitor = wanted.monitors.get(usize::try_from(self.id).ok()?)?;
        let (width_mm, height_mm) = monitor.physical_mm?;
        let dots = |pixels: u32, mm: u16| {
            let mm = u64::from(mm);
            (u64::from(pixels) * 254 + mm * 5).checked_div(mm * 10)
        };
        let both = dots(monitor.width, width_mm).zip(dots(monitor.height, height_mm));
        let believed = both
            .filter(|(across, down)| DPI_BELIEVED.contains(across) && DPI_BELIEVED.contains(down));
        let Some((across, down)) = believed else {
            let id = self.id;
            notes.push(LayoutNote::PhysicalSize {
                id,
                width_mm,
                height_mm,
            });
            return None;
        };
        u16::try_from((across + down).div_ceil(2)).ok()
    }

    const fn right(&self) -> i64 {
        self.x + self.size.width as i64
    }

    const fn bottom(&self) -> i64 {
        self.y + self.size.height as i64
    }

    const fn overlaps(&self, other: &Self) -> bool {
        self.x < other.right()
            && other.x < self.right()
            && self.y < other.bottom()
            && other.y < self.bottom()
    }

    fn head(&self) -> Head {
        let number = |value: i64| i32::try_from(value).unwrap_or(0);
        let rect = Rect::new(
            number(self.x),
            number(self.y),
            number(self.right()),
            number(self.bottom()),
        );
        Head { id: self.id, rect }
    }
}

/// Moves everything to the origin and takes out the columns and rows in which no monitor is. Returns whether the places
/// can be used then.
fn close_up(places: &mut [Place]) -> bool {
    let columns: Vec<_> = places
        .iter()
        .map(|place| (place.x, place.right()))
        .collect();
    let rows: Vec<_> = places
        .iter()
        .map(|place| (place.y, place.bottom()))
        .collect();
    let starts = without_gaps(&columns).into_iter().zip(without_gaps(&rows));
    for (place, (x, y)) in places.iter_mut().zip(starts) {
        (place.x, place.y) = (x, y);
    }
    let far = i64::from(SCREEN_SIDE_MAX);
    let fits = places
        .iter()
        .all(|place| place.right() <= far && place.bottom() <= far);
    let overlap = places.iter().enumerate().any(|(index, place)| {
        places
            .iter()
            .skip(index + 1)
            .any(|other| place.overlaps(other))
    });
    fits && !overlap
}

/// The starts of half-open spans once what none of them covers is cut out, the first at 0.
fn without_gaps(spans: &[(i64, i64)]) -> Vec<i64> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|index| spans[*index].0);
    let mut starts = vec![0; spans.len()];
    let (mut cut, mut covered) = (0, None);
    for index in order {
        let (start, end) = spans[index];
        cut += covered.map_or(start, |covered: i64| (start - covered).max(0));
        covered = Some(covered.map_or(end, |covered: i64| covered.max(end)));
        starts[index] = start - cut;
    }
    starts
}

/// From left to right, in rows where the screen ends; what has no room is taken out.
fn side_by_side(places: &mut Vec<Place>, notes: &mut Vec<LayoutNote>) {
    let far = i64::from(SCREEN_SIDE_MAX);
    let (mut x, mut y, mut next_y) = (0, 0, 0);
    places.retain_mut(|place| {
        if far < x + i64::from(place.size.width) {
            (x, y) = (0, next_y);
        }
        (place.x, place.y) = (x, y);
        let fits = place.bottom() <= far;
        if fits {
            x = place.right();
            next_y = next_y.max(place.bottom());
        } else {
            notes.push(LayoutNote::DoesNotFit(place.id));
        }
        fits
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn monitor(width: u32, height: u32, x: i32, y: i32) -> MonitorConfig {
        MonitorConfig {
            width,
            height,
            x,
            y,
            ..MonitorConfig::default()
        }
    }

    fn config(positioned: bool, monitors: Vec<MonitorConfig>) -> MonitorsConfig {
        let flags = if positioned {
            MonitorsFlags::USE_POSITION
        } else {
            MonitorsFlags::NONE
        };
        MonitorsConfig { flags, monitors }
    }

    /// Numbers and places.
    type Arranged = Result<Vec<(u32, Rect)>, LayoutError>;

    fn arranged(positioned: bool, monitors: &[MonitorConfig]) -> (Arranged, Vec<LayoutNote>) {
        let mut notes = Vec::new();
        let layout = ScreenLayout::arrange(
            &config(positioned, monitors.to_vec()),
            DpiPolicy::Fixed,
            &mut notes,
        );
        let heads = layout.map(|layout| {
            let heads = layout.heads().iter();
            heads.map(|head| (head.id, head.rect)).collect()
        });
        (heads, notes)
    }

    #[test]
    fn a_windows_size_becomes_the_screens_odd_or_not() {
        for (width, height) in [(1024, 768), (1367, 771), (320, 200), (8192, 8192)] {
            let expected = vec![(0, Rect::at(0, 0, width as i32, height as i32))];
            let (heads, notes) = arranged(true, &[monitor(width, height, -50, 3000)]);
            assert_eq!((heads, notes), (Ok(expected), vec![]));
        }
    }

    #[test]
    fn what_is_too_small_or_large_is_cut_and_what_is_absurd_refused() {
        let (heads, notes) = arranged(true, &[monitor(1, 1, 0, 0)]);
        assert_eq!(heads, Ok(vec![(0, Rect::at(0, 0, 320, 200))]));
        let (asked, given) = (Size::new(1, 1), Size::new(320, 200));
        assert_eq!(
            notes,
            [LayoutNote::Cut {
                id: 0,
                asked,
                given
            }]
        );
        let (heads, notes) = arranged(true, &[monitor(10240, 4320, 0, 0)]);
        assert_eq!(heads, Ok(vec![(0, Rect::at(0, 0, 8192, 4320))]));
        assert_eq!(notes.len(), 1);
        for size in [(100_000, 100_000), (800, 32_768), (u32::MAX, 1)] {
            let (heads, _) = arranged(true, &[monitor(size.0, size.1, 0, 0)]);
            assert_eq!(heads, Err(LayoutError::Side(Size::new(size.0, size.1))));
        }
        let nothing = [monitor(0, 0, 0, 0), monitor(0, 100, 0, 0)];
        assert_eq!(arranged(true, &nothing).0, Err(LayoutError::Empty));
        assert_eq!(arranged(true, &[]).0, Err(LayoutError::Empty));
    }

    #[test]
    fn sparse_monitors_keep_their_numbers_and_places() {
        let none = monitor(0, 0, 0, 0);
        let sparse = [
            none,
            monitor(800, 600, 1000, 0),
            none,
            monitor(1000, 700, 0, 0),
        ];
        let expected = vec![
            (1, Rect::at(1000, 0, 800, 600)),
            (3, Rect::at(0, 0, 1000, 700)),
        ];
        assert_eq!(arranged(true, &sparse), (Ok(expected), vec![]));
        let mut many = vec![monitor(400, 300, 0, 0); 16];
        many[4..].fill(none);
        let (heads, notes) = arranged(false, &many);
        assert_eq!((heads.unwrap().len(), notes), (4, vec![]));
        many[7] = monitor(400, 300, 0, 0);
        assert_eq!(arranged(false, &many).1, [LayoutNote::TooMany(7)]);
    }

    #[test]
    fn gaps_close_and_overlaps_part() {
        let apart = [
            monitor(800, 600, -5000, i32::MIN),
            monitor(800, 600, i32::MAX, 0),
        ];
        let (heads, notes) = arranged(true, &apart);
        let expected = vec![
            (0, Rect::at(0, 0, 800, 600)),
            (1, Rect::at(800, 600, 800, 600)),
        ];
        assert_eq!((heads, notes), (Ok(expected), vec![]));
        let over = [monitor(800, 600, 400, 0), monitor(1000, 700, 0, 0)];
        let (heads, notes) = arranged(true, &over);
        let expected = vec![
            (0, Rect::at(1000, 0, 800, 600)),
            (1, Rect::at(0, 0, 1000, 700)),
        ];
        assert_eq!((heads, notes), (Ok(expected), vec![LayoutNote::Rearranged]));
    }

    #[test]
    fn what_is_wider_than_a_screen_stands_in_rows() {
        let row: Vec<_> = (0..3)
            .map(|index| monitor(3840, 2160, index * 3840, 0))
            .collect();
        let (heads, notes) = arranged(true, &row);
        let expected = vec![
            (0, Rect::at(0, 0, 3840, 2160)),
            (1, Rect::at(3840, 0, 3840, 2160)),
            (2, Rect::at(0, 2160, 3840, 2160)),
        ];
        assert_eq!((heads, notes), (Ok(expected), vec![LayoutNote::Rearranged]));
        let (heads, notes) = arranged(
            false,
            &[monitor(8192, 5000, 0, 0), monitor(8192, 5000, 0, 0)],
        );
        assert_eq!(heads.unwrap().len(), 1);
        assert_eq!(notes, [LayoutNote::DoesNotFit(1)]);
    }

    #[test]
    fn dots_per_inch_are_believed_where_a_screen_could_have_them() {
        let dpi = |policy, physical_mm| {
            let monitor = MonitorConfig {
                physical_mm,
                ..monitor(3840, 2160, 0, 0)
            };
            let mut notes = Vec::new();
            let wanted = config(true, vec![monitor]);
            let layout = ScreenLayout::arrange(&wanted, policy, &mut notes).unwrap();
            (layout.dpi(), notes.len())
        };
        assert_eq!(dpi(DpiPolicy::Client, Some((597, 336))), (163, 0));
        assert_eq!(dpi(DpiPolicy::Fixed, Some((597, 336))), (96, 0));
        assert_eq!(dpi(DpiPolicy::Client, None), (96, 0));
        for odd in [
            (1, 1),
            (u16::MAX, u16::MAX),
            (597, 0),
            (0, 336),
            (0x7ff8, 0),
            (16, 9),
        ] {
            assert_eq!(dpi(DpiPolicy::Client, Some(odd)), (96, 1), "{odd:?}");
        }
    }

    fn any_monitor() -> impl Strategy<Value = MonitorConfig> {
        let side = || prop_oneof![0u32..10_000, Just(0), Just(1), any::<u32>()];
        let place = || prop_oneof![-9000i32..9000, Just(0), any::<i32>()];
        let mm = proptest::option::of(any::<(u16, u16)>());
        (side(), side(), place(), place(), mm).prop_map(|(width, height, x, y, physical_mm)| {
            MonitorConfig {
                physical_mm,
                ..monitor(width, height, x, y)
            }
        })
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_layout_holds_what_it_promises(
            positioned: bool, monitors in prop::collection::vec(any_monitor(), 0..20),
        ) {
            let mut notes = Vec::new();
            let wanted = config(positioned, monitors);
            let layout = ScreenLayout::arrange(&wanted, DpiPolicy::Client, &mut notes);
            let Ok(layout) = layout else { return Ok(()) };
            let heads = layout.heads();
            prop_assert!(!heads.is_empty() && heads.len() <= MONITORS_MAX);
            prop_assert!(heads.windows(2).all(|pair| pair[0].id < pair[1].id));
            prop_assert_eq!(heads.iter().map(|head| head.rect.left).min(), Some(0));
            prop_assert_eq!(heads.iter().map(|head| head.rect.top).min(), Some(0));
            prop_assert!((48..=480).contains(&layout.dpi()));
            let largest = Size::new(SCREEN_SIDE_MAX, SCREEN_SIDE_MAX).rect();
            for (index, head) in heads.iter().enumerate() {
                prop_assert!((head.id as usize) < MONITORS_MAX && largest.contains(&head.rect));
                let (width, height) = (head.rect.width(), head.rect.height());
                prop_assert!(MONITOR_WIDTH_MIN <= width && MONITOR_HEIGHT_MIN <= height);
                for other in &heads[index + 1..] {
                    prop_assert!(head.rect.intersect(&other.rect).is_empty());
                }
            }
            // What the X server shows, asked for again, is what it shows.
            let mut again = vec![MonitorConfig::default(); MONITORS_MAX];
            for head in heads {
                let (width, height) = (head.rect.width(), head.rect.height());
                let (x, y) = (head.rect.left, head.rect.top);
                again[head.id as usize] = monitor(width, height, x, y);
            }
            notes.clear();
            let same = ScreenLayout::arrange(&config(true, again), DpiPolicy::Fixed, &mut notes).unwrap();
            prop_assert_eq!(same.heads(), heads);
            prop_assert_eq!(&notes, &[]);
        }
    }
}

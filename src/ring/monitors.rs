//! Monitors: which parts of the screen are outputs. QXLMonitorsConfig, both ways.

use super::layout::{self, monitors, monitors_config};
use super::memory::SharedMemory;
use super::seqlock::{self, Busy};
use crate::base::{ByteReader, ByteWriter, Rect, Size, Truncated};

/// An output that is on: `struct caraway_head`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// Output number, 0 to [`layout::HEADS_MAX`] - 1.
    pub id: u32,
    /// Its part of the screen.
    pub rect: Rect,
}

/// The outputs that are on. INVARIANT: one to [`layout::HEADS_MAX`] heads, each with an id of its own, not empty
/// and inside the screen, in order of id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitors {
    /// The heads.
    pub heads: Vec<Head>,
}

/// Why there are no monitors to work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MonitorsError {
    /// Try again later.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The driver claims more heads than there are.
    #[error("the driver published {0} monitors, at most {most}", most = layout::HEADS_MAX)]
    Count(u32),
}

impl Monitors {
    /// Reads the monitors block of a screen of this size. The block and the mode change one after the other, so
    /// heads are clipped to the screen and those outside dropped; when none is left the screen is one head.
    pub fn read(
        memory: &(impl SharedMemory + ?Sized),
        screen: Size,
    ) -> Result<Self, MonitorsError> {
        let block: [u8; monitors::SIZE] = seqlock::read(memory, layout::MONITORS_OFFSET)?;
        let config = block.get(monitors::CONFIG..).unwrap_or_default();
        let all = parse_config(config).map_err(MonitorsError::Count)?;
        Ok(Self::on_screen(&all, screen))
    }

    /// One head over the whole screen.
    pub fn single(screen: Size) -> Self {
        Self {
            heads: vec![Head {
                id: 0,
                rect: screen.rect(),
            }],
        }
    }

    fn on_screen(all: &[Head], screen: Size) -> Self {
        let mut heads: Vec<Head> = all
            .iter()
            .map(|head| Head {
                id: head.id,
                rect: head.rect.intersect(&screen.rect()),
            })
            .filter(|head| head.id < layout::HEADS_MAX && !head.rect.is_empty())
            .collect();
        heads.sort_by_key(|head| head.id);
        heads.dedup_by_key(|head| head.id);
        if heads.is_empty() {
            Self::single(screen)
        } else {
            Self { heads }
        }
    }
}

/// The heads of a copied `caraway_monitors_config`, sides and places beyond the largest screen cut; the count where
/// that is larger than the block.
pub(super) fn parse_config(config: &[u8]) -> Result<Vec<Head>, u32> {
    let count = ByteReader::new(config).u16().unwrap_or(0);
    if layout::HEADS_MAX < u32::from(count) {
        return Err(u32::from(count));
    }
    let heads = config.get(monitors_config::HEADS..).unwrap_or_default();
    let parsed = heads
        .chunks_exact(layout::head::SIZE)
        .take(usize::from(count))
        .map(parse_head);
    Ok(parsed.flatten().collect())
}

fn parse_head(bytes: &[u8]) -> Result<Head, Truncated> {
    let mut reader = ByteReader::new(bytes);
    let (id, _surface) = (reader.u32()?, reader.u32()?);
    let [width, height, x, y] = [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?];
    Ok(Head {
        id,
        rect: Rect::at(cut(x), cut(y), cut(width), cut(height)),
    })
}

/// At most one pixel beyond the largest screen.
fn cut(value: u32) -> i32 {
    i32::try_from(value.min(layout::SIDE_MAX + 1)).unwrap_or(0)
}

/// Appends `heads` as a `caraway_monitors_config`; those beyond [`layout::HEADS_MAX`] are left out.
pub(super) fn write_config(writer: &mut ByteWriter<'_>, heads: &[Head]) {
    let shown = heads.len().min(layout::HEADS_MAX as usize);
    let max = u16::try_from(layout::HEADS_MAX).unwrap_or(u16::MAX);
    writer.u16(u16::try_from(shown).unwrap_or(max));
    writer.u16(max);
    for head in heads.iter().take(shown) {
        let place = |value: i32| u32::try_from(value).unwrap_or(0);
        writer.u32(head.id);
        writer.u32(0);
        writer.u32(head.rect.width());
        writer.u32(head.rect.height());
        writer.u32(place(head.rect.left));
        writer.u32(place(head.rect.top));
        writer.u32(0);
    }
    let absent = layout::HEADS_MAX as usize - shown;
    writer.bytes(
        &[0; layout::HEADS_MAX as usize * layout::head::SIZE][..absent * layout::head::SIZE],
    );
}

#[cfg(test)]
mod tests {
    use super::super::memory::PlainMemory;
    use super::*;

    const SCREEN: Size = Size::new(2000, 1000);

    fn head(id: u32, rect: Rect) -> Head {
        Head { id, rect }
    }

    fn read(heads: &[Head], count: u16) -> Result<Monitors, MonitorsError> {
        let memory = PlainMemory::new(layout::RING_MEMFD_SIZE);
        let mut config = Vec::new();
        write_config(&mut ByteWriter::new(&mut config), heads);
        assert_eq!(config.len(), monitors_config::SIZE);
        config[..2].copy_from_slice(&count.to_le_bytes());
        memory.write(layout::MONITORS_OFFSET + monitors::CONFIG, &config);
        Monitors::read(&memory, SCREEN)
    }

    #[test]
    fn heads_read_as_written() {
        let heads = [
            head(0, Rect::at(0, 0, 1000, 1000)),
            head(2, Rect::at(1000, 0, 1000, 600)),
        ];
        assert_eq!(
            read(&heads, 2),
            Ok(Monitors {
                heads: heads.to_vec()
            })
        );
        assert_eq!(
            read(&heads, 1),
            Ok(Monitors {
                heads: heads[..1].to_vec()
            })
        );
        assert_eq!(read(&heads, 5), Err(MonitorsError::Count(5)));
        assert_eq!(read(&heads, u16::MAX), Err(MonitorsError::Count(65535)));
    }

    #[test]
    fn heads_are_clipped_sorted_and_single() {
        let heads = [
            head(3, Rect::at(1900, 900, 500, 500)),
            head(1, Rect::at(0, 0, 10, 10)),
            head(1, Rect::at(5, 5, 10, 10)),
            head(4, Rect::at(0, 0, 10, 10)),
        ];
        let expected = vec![
            head(1, Rect::at(0, 0, 10, 10)),
            head(3, Rect::new(1900, 900, 2000, 1000)),
        ];
        assert_eq!(read(&heads, 4), Ok(Monitors { heads: expected }));
    }

    #[test]
    fn without_a_head_on_it_the_screen_is_one() {
        assert_eq!(read(&[], 0), Ok(Monitors::single(SCREEN)));
        let outside = [head(0, Rect::at(2000, 0, 10, 10)), head(1, Rect::default())];
        assert_eq!(read(&outside, 2), Ok(Monitors::single(SCREEN)));
    }

    #[test]
    fn huge_numbers_do_not_wrap() {
        let mut bytes = [0xff; layout::head::SIZE];
        bytes[..4].fill(0);
        let parsed = parse_head(&bytes).unwrap();
        assert!(Monitors::on_screen(&[parsed], SCREEN) == Monitors::single(SCREEN));
    }
}

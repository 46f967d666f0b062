//! Mappings of memfds that another process made and writes.
//!
//! A file that shrinks under its mapping kills the reader with SIGBUS, so only memfds sealed against that are
//! mapped: F_GET_SEALS fails on anything but a memfd (without waiting for whoever serves the file system), and
//! once F_SEAL_SHRINK and F_SEAL_GROW are set the size that fstat tells stays. Huge pages are refused: they may be
//! missing at the first touch, which is a SIGBUS again.
//!
//! Words are loaded atomically, never through a reference to the bytes; bulk copies of pixels are in
//! [`super::frame_buffer`].

#![expect(
    unsafe_code,
    reason = "raw pointers into memory that another process writes"
)]

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::stat::fstat;
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};

use crate::ring::layout;
use crate::ring::memory::{PeerWord, SharedMemory};

/// Why a descriptor cannot be mapped. All but `System` are the other process's fault.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// Not a memfd, or one without seals.
    #[error("the descriptor is no sealed memory file")]
    NotSealed,
    /// It may still shrink or grow.
    #[error("the memory file may still change its size (seals {0:#x})")]
    Resizable(i32),
    /// It has another size than agreed.
    #[error("the memory file has {actual} bytes instead of {expected}")]
    Size {
        /// Bytes it has.
        actual: u64,
        /// Bytes it should have.
        expected: u64,
    },
    /// The kernel refused.
    #[error("mapping shared memory: {0}")]
    System(#[from] std::io::Error),
}

impl From<Errno> for MemoryError {
    fn from(errno: Errno) -> Self {
        Self::System(errno.into())
    }
}

/// A sealed memfd, mapped read-only. Another process writes it at any time.
#[derive(Debug)]
pub struct ReadOnlyMapping {
    map: MmapRaw,
}

impl ReadOnlyMapping {
    /// Maps all `size` bytes of a sealed memfd; it must have exactly so many.
    pub fn new(memfd: &OwnedFd, size: u64) -> Result<Self, MemoryError> {
        let length = check(memfd, size)?;
        Ok(Self {
            map: MmapOptions::new().len(length).map_raw_read_only(memfd)?,
        })
    }

    /// Maps a sealed memfd of any size up to `size_max`.
    pub fn whole(memfd: &OwnedFd, size_max: u64) -> Result<Self, MemoryError> {
        let size = sealed_size(memfd)?;
        if size_max < size {
            return Err(MemoryError::Size {
                actual: size,
                expected: size_max,
            });
        }
        Self::new(memfd, size)
    }

    /// Where the `length` bytes from `offset` on begin; `None` when they do not all lie in the mapping.
    pub(super) fn pointer(&self, offset: usize, length: usize) -> Option<*const u8> {
        let end = offset.checked_add(length)?;
        (end <= self.map.len()).then(|| self.map.as_ptr().wrapping_add(offset))
    }

    fn word<const N: usize>(&self, offset: usize) -> Option<*mut u8> {
        offset.is_multiple_of(N).then_some(())?;
        self.pointer(offset, N).map(<*const u8>::cast_mut)
    }
}

impl SharedMemory for ReadOnlyMapping {
    fn len(&self) -> usize {
        self.map.len()
    }

    fn load_u32(&self, offset: usize) -> Option<u32> {
        let pointer = self.word::<4>(offset)?;
        // SAFETY: `word` returns aligned pointers to 4 bytes of a mapping that lives as long as `self`; all accesses
        // of this process to read-only mappings are atomic loads of at most 8 bytes or copies out.
        let word = unsafe { AtomicU32::from_ptr(pointer.cast()) };
        Some(u32::from_le(word.load(Ordering::Acquire)))
    }

    fn load_u64(&self, offset: usize) -> Option<u64> {
        let pointer = self.word::<8>(offset)?;
        // SAFETY: as in `load_u32`, for 8 bytes.
        let word = unsafe { AtomicU64::from_ptr(pointer.cast()) };
        Some(u64::from_le(word.load(Ordering::Acquire)))
    }

    fn copy_out(&self, offset: usize, out: &mut [u8]) -> bool {
        let Some(start) = self.pointer(offset, out.len()).map(<*const u8>::cast_mut) else {
            return false;
        };
        let words = if offset.is_multiple_of(8) {
            out.len() / 8 * 8
        } else {
            0
        };
        let (whole, rest) = out.split_at_mut(words);
        for (index, place) in whole.chunks_exact_mut(8).enumerate() {
            let pointer = start.wrapping_add(index * 8);
            // SAFETY: the range was checked above and mappings begin at page borders, so 8 aligned bytes.
            let word = unsafe { AtomicU64::from_ptr(pointer.cast()) };
            place.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        for (index, place) in rest.iter_mut().enumerate() {
            let pointer = start.wrapping_add(words + index);
            // SAFETY: the range was checked above.
            let byte = unsafe { AtomicU8::from_ptr(pointer) };
            *place = byte.load(Ordering::Relaxed);
        }
        true
    }
}

/// The peer page: the one page that the server writes and the producer reads.
#[derive(Debug)]
pub struct PeerPage {
    map: MmapRaw,
}

impl PeerPage {
    /// Maps a sealed memfd of [`layout::PEER_MEMFD_SIZE`] bytes.
    pub fn new(memfd: &OwnedFd) -> Result<Self, MemoryError> {
        let length = check(memfd, layout::PEER_MEMFD_SIZE as u64)?;
        Ok(Self {
            map: MmapOptions::new().len(length).map_raw(memfd)?,
        })
    }
}

impl PeerWord for PeerPage {
    fn store_waiting(&self, value: u32) {
        let pointer = self.map.as_mut_ptr().wrapping_add(layout::peer::WAITING);
        // SAFETY: the mapping has PEER_MEMFD_SIZE bytes, lives as long as `self`, and is accessed here alone.
        let word = unsafe { AtomicU32::from_ptr(pointer.cast()) };
        word.store(value.to_le(), Ordering::SeqCst);
    }
}

/// The length of a memfd that has and keeps `expected` bytes.
fn check(memfd: &OwnedFd, expected: u64) -> Result<usize, MemoryError> {
    let actual = sealed_size(memfd)?;
    let length = usize::try_from(actual)
        .ok()
        .filter(|length| 0 < *length && actual == expected);
    length.ok_or(MemoryError::Size { actual, expected })
}

/// Bytes of a memfd that keeps its size. The order matters: a call on a file of a user's own file system may
/// wait for that user, so the seals are asked first.
fn sealed_size(memfd: &OwnedFd) -> Result<u64, MemoryError> {
    let seals = fcntl(memfd, FcntlArg::F_GET_SEALS).map_err(|_| MemoryError::NotSealed)?;
    let needed = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    if !SealFlag::from_bits_retain(seals).contains(needed) {
        return Err(MemoryError::Resizable(seals));
    }
    if fstatfs(memfd)?.filesystem_type() != TMPFS_MAGIC {
        return Err(MemoryError::NotSealed);
    }
    Ok(u64::try_from(fstat(memfd)?.st_size).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::unistd::ftruncate;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    fn memfd(size: i64, seals: SealFlag) -> File {
        let fd =
            memfd_create(c"test", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
        ftruncate(&fd, size).unwrap();
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals)).unwrap();
        fd.into()
    }

    fn sealed() -> SealFlag {
        SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW
    }

    #[test]
    fn the_other_process_writes_and_we_read() {
        let file = memfd(4096, sealed());
        let mapping = ReadOnlyMapping::new(&file.try_clone().unwrap().into(), 4096).unwrap();
        let bytes: Vec<u8> = (0..=255).collect();
        file.write_at(&bytes, 8).unwrap();
        assert_eq!(mapping.len(), 4096);
        assert_eq!(mapping.load_u32(12), Some(0x0706_0504));
        assert_eq!(mapping.load_u64(8), Some(0x0706_0504_0302_0100));
        for (offset, length) in [(8, 256), (9, 255), (11, 13), (16, 7), (4096, 0)] {
            let mut out = vec![0; length];
            assert!(mapping.copy_out(offset, &mut out));
            let start = offset - 8;
            let expected = if length == 0 {
                &[]
            } else {
                &bytes[start..start + length]
            };
            assert_eq!(out, expected, "{offset} {length}");
        }
        file.write_at(&[9], 8).unwrap();
        assert_eq!(mapping.load_u32(8), Some(0x0302_0109));
    }

    #[test]
    fn nothing_lies_outside_of_a_mapping() {
        let file = memfd(4096, sealed());
        let mapping = ReadOnlyMapping::new(&file.into(), 4096).unwrap();
        assert_eq!(mapping.load_u32(4096), None);
        assert_eq!(mapping.load_u32(4093), None);
        assert_eq!(mapping.load_u64(4092), None);
        assert_eq!(mapping.load_u64(usize::MAX - 7), None);
        assert!(!mapping.copy_out(4090, &mut [0; 7]));
        assert!(!mapping.copy_out(usize::MAX, &mut [0; 7]));
    }

    #[test]
    fn the_peer_page_is_written() {
        let file = memfd(4096, sealed() | SealFlag::F_SEAL_SEAL);
        let page = PeerPage::new(&file.try_clone().unwrap().into()).unwrap();
        page.store_waiting(0x0102_0304);
        let mut word = [0; 4];
        file.read_at(&mut word, 0).unwrap();
        assert_eq!(word, [4, 3, 2, 1]);
    }

    #[test]
    fn what_could_kill_us_is_refused() {
        let open = |path: &str| -> OwnedFd { File::open(path).unwrap().into() };
        for path in ["/dev/zero", "/proc/self/exe", "/"] {
            let error = ReadOnlyMapping::new(&open(path), 4096).unwrap_err();
            assert!(matches!(error, MemoryError::NotSealed), "{path}: {error}");
        }
        let (pipe, _other) = nix::unistd::pipe().unwrap();
        assert!(matches!(
            ReadOnlyMapping::new(&pipe, 4096),
            Err(MemoryError::NotSealed)
        ));
        for seals in [
            SealFlag::empty(),
            SealFlag::F_SEAL_SHRINK,
            SealFlag::F_SEAL_GROW,
        ] {
            let file = memfd(4096, seals).into();
            assert!(matches!(
                ReadOnlyMapping::new(&file, 4096),
                Err(MemoryError::Resizable(_))
            ));
        }
        for (size, expected) in [(0, 0), (4096, 8192), (8192, 4096), (4095, 4096)] {
            let file = memfd(size, sealed()).into();
            let error = ReadOnlyMapping::new(&file, expected).unwrap_err();
            assert!(matches!(error, MemoryError::Size { .. }), "{error}");
        }
        let file = memfd(8192, sealed()).into();
        assert_eq!(ReadOnlyMapping::whole(&file, 8192).unwrap().len(), 8192);
        assert!(matches!(
            ReadOnlyMapping::whole(&file, 8191),
            Err(MemoryError::Size { .. })
        ));
    }

    #[test]
    fn huge_pages_are_refused() {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_HUGETLB;
        // A kernel without huge pages has nothing to refuse.
        let Ok(fd) = memfd_create(c"huge", flags) else {
            return;
        };
        if ftruncate(&fd, 2 << 20).is_ok() {
            fcntl(&fd, FcntlArg::F_ADD_SEALS(sealed())).unwrap();
            assert!(matches!(
                ReadOnlyMapping::new(&fd, 2 << 20),
                Err(MemoryError::NotSealed)
            ));
        }
    }

    /// Writes anything anywhere, mostly where it counts, so many times.
    fn tamper(file: &File, mut state: u64, steps: u64) {
        const BUSY: u64 = 1024;
        let mut published = 0_u64;
        for step in 0..steps {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let size = layout::RING_MEMFD_SIZE as u64 - 8;
            // Now and then a whole record is published, or nobody would read any.
            if step % 4 == 0 {
                let slot = published % u64::from(layout::RING_SLOTS);
                let at = layout::RING_OFFSET as u64 + slot * layout::record::SIZE as u64;
                published += 1;
                let mut record = published.to_le_bytes()[..4].to_vec();
                record.extend(
                    state
                        .to_le_bytes()
                        .iter()
                        .cycle()
                        .take(layout::record::SIZE - 4),
                );
                file.write_at(&record, at).unwrap();
                let progress = [published; 2].map(u64::to_le_bytes).concat();
                file.write_at(&progress, layout::PROGRESS_OFFSET as u64)
                    .unwrap();
                continue;
            }
            // The control blocks, the first records, or anything.
            let offset = match state % 8 {
                0..4 => (state >> 8) % BUSY,
                4..7 => layout::RING_OFFSET as u64 + (state >> 8) % BUSY,
                _ => (state >> 8) % size,
            };
            let value = match (state >> 40) % 4 {
                0 => state.rotate_left(17),
                1 => (state >> 48) % 300,
                2 => u64::MAX,
                _ => 0x0010_0010_0001_0001,
            };
            file.write_at(&value.to_le_bytes()[..4], offset & !3)
                .unwrap();
        }
    }

    /// Reads all that the server reads while another thread tampers with it.
    fn read_while_tampered(steps: u64) {
        use crate::base::Size;
        use crate::ring::{Consumer, CursorState, Mode, Monitors, Record};

        let file = memfd(layout::RING_MEMFD_SIZE as i64, sealed());
        let size = layout::RING_MEMFD_SIZE as u64;
        let mapping = ReadOnlyMapping::new(&file.try_clone().unwrap().into(), size).unwrap();
        let writer = std::thread::spawn(move || tamper(&file, 0x5eed, steps));
        let (screen, mut rounds, mut records) = (Size::new(1024, 768), 0_u64, 0_u64);
        let mut consumer = Consumer::begin_at_end(&mapping);
        while !writer.is_finished() {
            for _ in 0..50 {
                let drained = consumer.drain(&mapping, screen, 256, &mut |record| {
                    if let Record::Damage(rect) = record {
                        assert!(screen.rect().contains(&rect), "{rect:?}");
                    }
                });
                assert!(drained.records <= 256, "{drained:?}");
                records += u64::from(drained.records);
            }
            if let Ok(mode) = Mode::read(&mapping) {
                let sides = 1..=layout::SIDE_MAX;
                assert!(sides.contains(&mode.size.width) && sides.contains(&mode.size.height));
            }
            if let Ok(monitors) = Monitors::read(&mapping, screen) {
                let is_inside = |head: &crate::ring::Head| screen.rect().contains(&head.rect);
                assert!(monitors.heads.iter().all(is_inside), "{monitors:?}");
            }
            if let Ok(cursor) = CursorState::read(&mapping)
                && let Ok(Some(image)) = cursor.read_image(&mapping)
            {
                assert_eq!(image.pixels.len() as u64, image.size.area());
            }
            rounds += 1;
        }
        writer.join().unwrap();
        assert!(
            0 < rounds && 0 < records,
            "{rounds} rounds, {records} records"
        );
    }

    /// F1 of the catalogue: indices, descriptors, sizes and offsets that change while they are read.
    #[test]
    fn memory_that_changes_under_its_reader_breaks_no_promise() {
        read_while_tampered(300_000);
    }

    /// F1, ten million times.
    #[test]
    #[ignore = "takes some seconds"]
    fn bench_memory_that_changes_ten_million_times() {
        read_while_tampered(10_000_000);
    }
}

//! Uploads on disk: a thread of its own does the orders of [`crate::agent::uploads`], so that a disk that is slow, or
//! hangs, stops nothing else.
//!
//! What waits for the thread is counted by who orders; the queue to it has no limit of its own.

use std::collections::BTreeMap;
use std::io::Error;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use super::upload_folder::{Unnamed, UploadFolder, remove_left_behind};
use crate::agent::News;
use crate::agent::upload_name::UploadName;
use crate::agent::uploads::{UploadFailure, UploadKey, UploadNews, UploadOrder};

/// Where files go, and how large they may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPolicy {
    /// The folder.
    pub folder: PathBuf,
    /// Bytes of the largest file.
    pub size_bytes_max: u64,
}

/// The thread, as who orders sees it. The thread ends when this is dropped; what is not whole then is gone.
#[derive(Debug)]
pub struct UploadWriter {
    orders: Sender<UploadOrder>,
}

impl UploadWriter {
    /// Starts the thread, which reports to `news`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        policy: UploadPolicy,
        news: tokio::sync::mpsc::Sender<News>,
    ) -> std::io::Result<Self> {
        let (orders, to_do) = std::sync::mpsc::channel();
        let work = move || {
            let folder = policy.folder.display();
            match remove_left_behind(&policy.folder) {
                Ok(()) => tracing::info!(%folder, "files from clients are taken"),
                Err(error) => {
                    tracing::warn!(%folder, %error, "the folder for files from clients cannot be read")
                }
            }
            Disk::new(policy, news).work(&to_do);
        };
        std::thread::Builder::new()
            .name("uploads".into())
            .spawn(work)?;
        Ok(Self { orders })
    }

    /// Gives an order. Never waits.
    pub fn order(&self, order: UploadOrder) {
        // The thread ends after this only.
        let _ = self.orders.send(order);
    }
}

/// A file that is being written.
#[derive(Debug)]
struct Upload {
    file: Unnamed,
    folder: UploadFolder,
    name: UploadName,
    size_bytes: u64,
    written_bytes: u64,
    begun: Instant,
}

/// The thread's side.
#[derive(Debug)]
struct Disk {
    policy: UploadPolicy,
    uploads: BTreeMap<UploadKey, Upload>,
    news: tokio::sync::mpsc::Sender<News>,
}

impl Disk {
    const fn new(policy: UploadPolicy, news: tokio::sync::mpsc::Sender<News>) -> Self {
        Self {
            policy,
            uploads: BTreeMap::new(),
            news,
        }
    }

    fn work(&mut self, orders: &Receiver<UploadOrder>) {
        while let Ok(order) = orders.recv() {
            self.obey(order);
        }
    }

    fn obey(&mut self, order: UploadOrder) {
        match order {
            UploadOrder::Open {
                upload,
                name,
                size_bytes,
            } => self.open(upload, name, size_bytes),
            UploadOrder::Write { upload, bytes } => {
                self.write(upload, &bytes);
                let held = bytes.held_bytes() as u64;
                drop(bytes);
                self.tell(UploadNews::Written(upload, held));
            }
            UploadOrder::Finish { upload } => self.finish(upload),
            UploadOrder::Abandon { upload } => {
                if let Some(upload) = self.uploads.remove(&upload) {
                    let (name, bytes) = (&upload.name, upload.written_bytes);
                    tracing::info!(%name, bytes, "upload given up");
                }
            }
        }
    }

    fn open(&mut self, key: UploadKey, name: UploadName, size_bytes: u64) {
        let made = UploadFolder::open(&self.policy.folder).and_then(|folder| {
            let room_bytes = folder.free_bytes()?.saturating_sub(self.promised_bytes());
            Ok((
                folder.create()?,
                folder,
                room_bytes.min(self.file_bytes_max()),
            ))
        });
        match made {
            Ok((_, _, free_bytes)) if free_bytes < size_bytes => {
                tracing::warn!(%name, size_bytes, free_bytes, "upload refused: it does not fit");
                let why = UploadFailure::NoSpace { free_bytes };
                self.tell(UploadNews::Refused(key, why));
            }
            Ok((file, folder, _)) => {
                tracing::debug!(%name, size_bytes, "upload begins");
                let upload = Upload {
                    file,
                    folder,
                    name,
                    size_bytes,
                    written_bytes: 0,
                    begun: Instant::now(),
                };
                self.uploads.insert(key, upload);
                self.tell(UploadNews::Opened(key));
            }
            Err(error) => {
                let folder = self.policy.folder.display();
                tracing::warn!(%name, %folder, %error, "upload refused: no file can be made");
                self.tell(UploadNews::Refused(key, failure(&error, None)));
            }
        }
    }

    fn write(&mut self, key: UploadKey, bytes: &[u8]) {
        let Some(upload) = self.uploads.get_mut(&key) else {
            return;
        };
        match upload.file.write(bytes) {
            Ok(()) => upload.written_bytes += bytes.len() as u64,
            Err(error) => self.fail(key, &error),
        }
    }

    fn finish(&mut self, key: UploadKey) {
        let Some(upload) = self.uploads.remove(&key) else {
            return;
        };
        match upload.file.name(&upload.name) {
            Ok(file) => {
                let ms = upload.begun.elapsed().as_millis();
                let (bytes, folder) = (upload.written_bytes, self.policy.folder.display());
                tracing::info!(%file, bytes, ms, %folder, "upload complete");
                self.tell(UploadNews::Finished(key));
            }
            Err(error) => {
                tracing::warn!(name = %upload.name, %error, "upload failed: it cannot be named");
                let why = failure(&error, Some(&upload.folder));
                self.tell(UploadNews::Failed(key, why));
            }
        }
    }

    fn fail(&mut self, key: UploadKey, error: &Error) {
        let Some(upload) = self.uploads.remove(&key) else {
            return;
        };
        let (name, bytes) = (&upload.name, upload.written_bytes);
        tracing::warn!(%name, bytes, %error, "upload failed");
        let Upload { file, folder, .. } = upload;
        // Given back before it is told how much is free.
        drop(file);
        self.tell(UploadNews::Failed(key, failure(error, Some(&folder))));
    }

    /// Bytes that files which are being written will still take.
    fn promised_bytes(&self) -> u64 {
        let left = |upload: &Upload| upload.size_bytes.saturating_sub(upload.written_bytes);
        self.uploads.values().map(left).fold(0, u64::saturating_add)
    }

    /// Bytes of a file that this process may write: beyond its limit the kernel ends it with SIGXFSZ.
    fn file_bytes_max(&self) -> u64 {
        let limit = getrlimit(Resource::RLIMIT_FSIZE).map_or(u64::MAX, |(soft, _)| soft);
        limit.min(self.policy.size_bytes_max)
    }

    fn tell(&self, news: UploadNews) {
        // Whoever does not listen any more is ending.
        let _ = self.news.blocking_send(News::Upload(news));
    }
}

fn failure(error: &Error, folder: Option<&UploadFolder>) -> UploadFailure {
    let errno = error.raw_os_error().map(Errno::from_raw);
    match errno {
        Some(Errno::ENOSPC) => UploadFailure::NoSpace {
            free_bytes: folder.map_or(0, |folder| folder.free_bytes().unwrap_or(0)),
        },
        // What is free is not this user's.
        Some(Errno::EDQUOT) => UploadFailure::NoSpace { free_bytes: 0 },
        _ => UploadFailure::Disk,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::uploads::Uploads;
    use crate::agent::{Order, Outbound, Part};
    use crate::base::{ClientId, Micros};
    use crate::wire::agent::{
        AgentMessage, FileData, FileDetail, FileResult, FileStart, FileStatus, caps,
    };
    use crate::wire::caps::Caps;
    use std::path::Path;
    use std::process::Command;
    use tokio::sync::mpsc::{Receiver as Told, channel};

    const ONE: ClientId = ClientId::new(1);
    const NOW: Micros = Micros(0);

    /// More news than a test has.
    const NEWS_MAX: usize = 64;

    type Ends = Vec<(u32, FileResult, FileDetail)>;

    /// The protocol above a disk, as the server has them.
    struct Desk {
        uploads: Uploads,
        disk: Disk,
        told: Told<News>,
        out: Outbound,
    }

    impl Desk {
        fn new(folder: &Path) -> Self {
            let (news, told) = channel(NEWS_MAX);
            let mut desk = Self {
                uploads: Uploads::default(),
                disk: Disk::new(policy(folder), news),
                told,
                out: Outbound::default(),
            };
            desk.uploads.serve(true);
            let theirs = Caps::of(&[caps::FILE_XFER_DETAILED_ERRORS]);
            desk.uploads.joined(NOW, ONE, &theirs, &mut desk.out);
            desk
        }

        fn say(&mut self, message: AgentMessage) -> Ends {
            self.uploads.message(NOW, ONE, message, &mut self.out);
            self.settle()
        }

        fn start(&mut self, id: u32, name: &str, size: u64) -> Ends {
            self.say(start(id, name, size))
        }

        fn send(&mut self, id: u32, bytes: &[u8]) -> Ends {
            let data = bytes.to_vec().into();
            self.say(AgentMessage::FileData(FileData { id, data }))
        }

        fn orders(&mut self) -> Vec<UploadOrder> {
            let all = self.out.orders.drain(..);
            all.map(|order| match order {
                Order::Upload(order) => order,
                other => panic!("{other:?}"),
            })
            .collect()
        }

        fn hear(&mut self, news: News) {
            #[allow(
                irrefutable_let_patterns,
                reason = "parts that are not there have no news"
            )]
            let News::Upload(news) = news else {
                panic!("{news:?}");
            };
            self.uploads.news(NOW, news, &mut self.out);
        }

        fn settle(&mut self) -> Ends {
            while !self.out.orders.is_empty() {
                for order in self.orders() {
                    self.disk.obey(order);
                }
                while let Ok(news) = self.told.try_recv() {
                    self.hear(news);
                }
            }
            let said = self.out.messages.drain(..);
            said.map(|(_, message)| match message {
                AgentMessage::FileStatus(one) => (one.id, one.result, one.detail),
                other => panic!("{other:?}"),
            })
            .collect()
        }
    }

    fn policy(folder: &Path) -> UploadPolicy {
        UploadPolicy {
            folder: folder.into(),
            size_bytes_max: u64::MAX,
        }
    }

    fn start(id: u32, name: &str, size: u64) -> AgentMessage {
        let about = format!("[vdagent-file-xfer]\nname={name}\nsize={size}\n");
        let about = about.into_bytes().into();
        AgentMessage::FileStart(FileStart { id, about })
    }

    const GO: FileResult = FileResult::CAN_SEND_DATA;
    const DONE: FileResult = FileResult::SUCCESS;
    const NO_SPACE: FileResult = FileResult::NOT_ENOUGH_SPACE;

    fn result(id: u32, result: FileResult) -> Ends {
        vec![(id, result, FileDetail::None)]
    }

    fn entries(path: &Path) -> usize {
        path.read_dir().unwrap().count()
    }

    #[test]
    fn files_arrive_side_by_side_and_of_one_name() {
        let place = tempfile::tempdir().unwrap();
        let mut desk = Desk::new(place.path());
        assert_eq!(desk.start(1, "x.bin", 6), result(1, GO));
        assert_eq!(desk.start(2, "../../x.bin", 3), result(2, GO));
        assert_eq!(desk.send(1, b"abc"), []);
        assert_eq!(desk.send(2, b"123"), result(2, DONE));
        assert_eq!(entries(place.path()), 1);
        assert_eq!(desk.send(1, b"def"), result(1, DONE));
        assert_eq!(desk.start(3, "empty", 0), result(3, GO));
        assert_eq!(desk.send(3, b""), result(3, DONE));
        let read = |name: &str| std::fs::read(place.path().join(name)).unwrap();
        assert_eq!(read("x.bin"), b"123");
        assert_eq!(read("x (2).bin"), b"abcdef");
        assert_eq!((read("empty"), entries(place.path())), (vec![], 3));
    }

    #[test]
    fn nothing_is_left_of_what_is_given_up() {
        let place = tempfile::tempdir().unwrap();
        let mut desk = Desk::new(place.path());
        for id in 1..=3 {
            assert_eq!(desk.start(id, "x", 6), result(id, GO));
            desk.send(id, b"abc");
        }
        let given_up = FileStatus {
            id: 1,
            result: FileResult::CANCELLED,
            detail: FileDetail::None,
        };
        assert_eq!(desk.say(AgentMessage::FileStatus(given_up)), []);
        assert_eq!(desk.send(2, b"abcd"), result(2, FileResult::ERROR));
        desk.uploads.left(ONE, &mut desk.out);
        desk.settle();
        assert!(desk.disk.uploads.is_empty());
        assert_eq!(entries(place.path()), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_and_may_come_back() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("late");
        let mut desk = Desk::new(&folder);
        assert_eq!(desk.start(1, "x", 1), result(1, FileResult::ERROR));
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(desk.start(2, "x", 1), result(2, GO));
        std::fs::remove_dir(&folder).unwrap();
        assert_eq!(desk.send(2, b"x"), result(2, FileResult::ERROR));
    }

    #[test]
    fn what_does_not_fit_is_refused_before_a_byte_comes() {
        let place = tempfile::tempdir().unwrap();
        let mut desk = Desk::new(place.path());
        let free = UploadFolder::open(place.path()).unwrap().free_bytes();
        let told = desk.start(1, "x", u64::MAX);
        let [(1, NO_SPACE, FileDetail::FreeSpace(told))] = told[..] else {
            panic!("{told:?}");
        };
        assert!(told.abs_diff(free.unwrap()) < 1 << 30, "{told}");
    }

    #[test]
    fn what_is_larger_than_allowed_is_refused_with_what_is() {
        let place = tempfile::tempdir().unwrap();
        let mut desk = Desk::new(place.path());
        desk.disk.policy.size_bytes_max = 5;
        let refused = (1, NO_SPACE, FileDetail::FreeSpace(5));
        assert_eq!(desk.start(1, "x", 6), [refused]);
        assert_eq!(desk.start(2, "x", 5), result(2, GO));
    }

    /// A file system of 1 MiB, where this is allowed to mount one.
    struct SmallDisk(tempfile::TempDir);

    impl SmallDisk {
        fn mount() -> Option<Self> {
            let place = tempfile::tempdir().unwrap();
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
            let mounted = mount.arg(place.path()).output();
            let is_mounted = mounted.is_ok_and(|output| output.status.success());
            is_mounted.then(|| Self(place))
        }
    }

    impl Drop for SmallDisk {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0.path()).output();
        }
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
    fn a_disk_that_fills_up_is_told_with_what_is_free_and_keeps_no_part() {
        let Some(disk) = SmallDisk::mount() else {
            eprintln!("SKIPPED: a small file system can be mounted by root only");
            return;
        };
        let place = disk.0.path();
        let mut desk = Desk::new(place);
        let half = vec![1; 400 << 10];
        assert_eq!(desk.start(1, "a", 800 << 10), result(1, GO));
        // What the first will take is not free for the second.
        let told = desk.start(2, "b", 300 << 10);
        assert!(
            matches!(told[..], [(2, NO_SPACE, FileDetail::FreeSpace(free))] if free <= 224 << 10),
            "{told:?}"
        );
        assert_eq!(desk.send(1, &half), []);
        std::fs::write(place.join("mine"), vec![2; 500 << 10]).unwrap();
        let told = desk.send(1, &half);
        let expected = ((1 << 20) - (500 << 10)) as u64;
        assert_eq!(told, [(1, NO_SPACE, FileDetail::FreeSpace(expected))]);
        assert_eq!(entries(place), 1, "only what was there");
        assert_eq!(desk.start(3, "c", 400 << 10), result(3, GO));
        assert_eq!(desk.send(3, &half), result(3, DONE));
    }

    #[test]
    fn the_thread_answers_in_order() {
        let place = tempfile::tempdir().unwrap();
        let (news, mut told) = channel(NEWS_MAX);
        let writer = UploadWriter::start(policy(place.path()), news).unwrap();
        let mut desk = Desk::new(place.path());
        let data = b"abc".to_vec().into();
        let data = AgentMessage::FileData(FileData { id: 1, data });
        let mut next = |desk: &mut Desk, message: Option<AgentMessage>| {
            if let Some(message) = message {
                desk.uploads.message(NOW, ONE, message, &mut desk.out);
            }
            for order in desk.orders() {
                writer.order(order);
            }
            let news = told.blocking_recv().unwrap();
            let text = format!("{news:?}");
            desk.hear(news);
            text
        };
        assert!(next(&mut desk, Some(start(1, "x", 3))).contains("Opened"));
        assert!(next(&mut desk, Some(data)).contains("Written"));
        assert!(next(&mut desk, None).contains("Finished"));
        assert_eq!(std::fs::read(place.path().join("x")).unwrap(), b"abc");
    }
}

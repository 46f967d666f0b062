//! Uploads with real folders, and with the protocol above them.

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
    /// What was reported to be written, at once each.
    writes: Vec<u64>,
}

impl Desk {
    fn new(folder: &Path) -> Self {
        let (news, told) = channel(NEWS_MAX);
        let mut desk = Self {
            uploads: Uploads::default(),
            disk: Disk::new(policy(folder), news),
            told,
            out: Outbound::default(),
            writes: Vec::new(),
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
        if let UploadNews::Written(_, cost) = news {
            self.writes.push(cost);
        }
        self.uploads.news(NOW, news, &mut self.out);
    }

    fn settle(&mut self) -> Ends {
        while !self.out.orders.is_empty() {
            let (orders, to_do) = std::sync::mpsc::channel();
            for order in self.orders() {
                orders.send(order).unwrap();
            }
            drop(orders);
            self.disk.work(&to_do);
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
fn pieces_that_wait_together_are_written_together_each_to_its_file() {
    let place = tempfile::tempdir().unwrap();
    let mut desk = Desk::new(place.path());
    let piece = vec![7; 300 << 10];
    let size = 5 * piece.len() as u64;
    for id in [1, 2] {
        assert_eq!(desk.start(id, &format!("{id}"), size), result(id, GO));
    }
    let mut orders = Vec::new();
    for id in [1, 1, 1, 1, 2, 1, 2, 2, 2, 2] {
        let data = piece.clone().into();
        let message = AgentMessage::FileData(FileData { id, data });
        desk.uploads.message(NOW, ONE, message, &mut desk.out);
        orders.append(&mut desk.out.orders);
    }
    desk.out.orders = orders;
    let ends = desk.settle();
    assert_eq!(ends, [result(1, DONE), result(2, DONE)].concat());
    let whole = |name: &str| std::fs::read(place.path().join(name)).unwrap();
    assert_eq!(whole("1"), vec![7; 5 * piece.len()]);
    assert_eq!(whole("2"), whole("1"));
    let cost = queue_cost_bytes(&piece.into());
    assert_eq!(desk.writes, [4, 1, 1, 4].map(|pieces| pieces * cost));
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

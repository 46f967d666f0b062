//! Files dropped on a client's window: whole in the folder under a free name, or not there at all; and whoever sends
//! one hears how it ended.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::desktop::Desktop;
use crate::figure::at_most;
use crate::link::{MAIN, RawLink, message};
use crate::process::{cpu_time, signal, wait_until};
use crate::upload_sink::sparse;
use crate::watcher::Watcher;

const MB: u64 = 1 << 20;
const BIG_BYTES: u64 = 2048 * MB;

/// 200 MB/s.
const BIG_SECONDS_MAX: f64 = BIG_BYTES as f64 / 200e6;

const KEY_MS_MAX: f64 = 20.0;

/// No upload here takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The scan code of a letter.
const KEY: u32 = 0x1e;

/// VD_AGENT_..., main channel messages, and results of VD_AGENT_FILE_XFER_STATUS.
const ANNOUNCE: u32 = 6;
const START: u32 = 10;
const STATUS: u32 = 11;
const DATA: u32 = 12;
const INIT: u16 = 103;
const AGENT_START: u16 = 106;
const AGENT_DATA_TO_SERVER: u16 = 107;
const AGENT_DATA_TO_CLIENT: u16 = 109;
const CAN_SEND_DATA: u32 = 0;
const CANCELLED: u32 = 1;
const ERROR: u32 = 2;
const SUCCESS: u32 = 3;
const NOT_ENOUGH_SPACE: u32 = 4;
const DISABLED: u32 = 7;

/// Where INIT has agent_connected.
const AGENT_CONNECTED: usize = 16;

/// VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS.
const DETAILS: u32 = 1 << 14;

/// A desktop whose uploads go into a folder inside a folder, so that nothing can climb out unseen.
pub(crate) struct Place {
    pub(crate) outside: tempfile::TempDir,
    folder: PathBuf,
    pub(crate) desktop: Desktop,
}

impl Place {
    pub(crate) fn new() -> Self {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("got");
        std::fs::create_dir(&folder).unwrap();
        let desktop = desktop(folder.to_str().unwrap());
        Self {
            outside,
            folder,
            desktop,
        }
    }

    /// A file to send, outside of where files go.
    fn source(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.outside.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// What is in the folder, hidden things too; and nothing else may have come beside it.
    fn entries(&self) -> Vec<String> {
        entries(&self.folder)
    }
}

fn desktop(uploads: &str) -> Desktop {
    let arguments = ["--auth", "none", "-g", "640x480", "--uploads", uploads];
    Desktop::caraway_with(&arguments, |_| ())
}

fn entries(folder: &Path) -> Vec<String> {
    let all = folder.read_dir().unwrap();
    let mut names: Vec<String> = all
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Begins to send files.
pub(crate) fn begin(watcher: &mut Watcher, paths: &[&Path]) {
    let paths: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    watcher.order(&format!("upload {}", paths.join(" ")));
}

fn end(watcher: &mut Watcher) -> Value {
    let command = format!("upload-end {}", PATIENCE.as_millis());
    let answer = watcher.ask_for(&command, PATIENCE);
    assert_eq!(answer["running"], false, "{answer}");
    answer
}

fn send(watcher: &mut Watcher, paths: &[&Path]) -> Value {
    begin(watcher, paths);
    end(watcher)
}

fn are_equal(one: &Path, other: &Path) -> bool {
    let compared = Command::new("cmp").args([one, other]).status();
    compared.unwrap().success()
}

fn percentile_95(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() * 95 / 100]
}

#[test]
fn two_gigabytes_arrive_fast_and_keys_echo_meanwhile() {
    let _alone = crate::alone();
    let place = Place::new();
    let big = place.outside.path().join("big.bin");
    sparse(&big, BIG_BYTES);
    let server = place.desktop.server_pid().unwrap();
    let cpu_before = cpu_time(server);
    let mut sender = Watcher::connect(&place.desktop);
    let rate = uploaded_rate(&mut sender, &place, &big);
    let cpu = (cpu_time(server) - cpu_before).as_secs_f64();
    eprintln!("figure: upload: {rate:.0} MB/s, {cpu:.2} s of the server's CPU");
    let seconds = BIG_BYTES as f64 / 1e6 / rate;
    at_most("upload of 2 GiB", seconds, BIG_SECONDS_MAX, "s");
    let mut ages = echoes_beside(&place, &mut sender, &big);
    eprintln!("figure: {} keys beside an upload", ages.len());
    let slow = percentile_95(&mut ages);
    at_most("key to pixel beside an upload, p95", slow, KEY_MS_MAX, "ms");
}

/// MB/s of one file, which is equal when it has come, and removed then.
pub(crate) fn uploaded_rate(sender: &mut Watcher, place: &Place, file: &Path) -> f64 {
    let answer = send(sender, &[file]);
    let log = place.desktop.log();
    assert_eq!(answer["files"][0]["ok"], true, "{answer}\n{log}");
    let arrived = place.folder.join(file.file_name().unwrap());
    assert!(are_equal(file, &arrived));
    std::fs::remove_file(&arrived).unwrap();
    let bytes = file.metadata().unwrap().len();
    bytes as f64 / answer["us"].as_f64().unwrap()
}

/// Milliseconds from key to pixel of another client for as long as `sender` sends the file.
fn echoes_beside(place: &Place, sender: &mut Watcher, file: &Path) -> Vec<f64> {
    let typing = place.desktop.draw(&["typing"]);
    typing.event("ready", PATIENCE);
    let mut typist = Watcher::connect(&place.desktop);
    begin(sender, &[file]);
    let mut ages = Vec::new();
    loop {
        let answer = typist.order(&format!("key-to-pixel {KEY} 200 200 2000"));
        ages.push(answer["key_to_pixel_us"].as_f64().unwrap() / 1000.0);
        typist.idle(Duration::from_millis(40));
        let answer = sender.ask("upload-end 0");
        if answer["running"] == false {
            assert_eq!(answer["files"][0]["ok"], true, "{answer}");
            return ages;
        }
    }
}

#[test]
fn files_of_one_name_and_empty_ones_all_arrive() {
    let _others = crate::beside_others();
    let place = Place::new();
    let noise: Vec<u8> = (0..3 * MB + 17).map(|at| ((at * at) >> 7) as u8).collect();
    let file = place.source("photo of me.tar.gz", &noise);
    let empty = place.source("empty", b"");
    let other_folder = place.outside.path().join("other");
    std::fs::create_dir(&other_folder).unwrap();
    let same_name = other_folder.join("empty");
    std::fs::write(&same_name, "not empty").unwrap();
    let mut watcher = Watcher::connect(&place.desktop);
    // spice_peer's words end at spaces.
    let short = place.outside.path().join("photo.tar.gz");
    std::fs::rename(&file, &short).unwrap();
    for _ in 0..2 {
        let answer = send(&mut watcher, &[&short, &empty, &same_name]);
        for file in answer["files"].as_array().unwrap() {
            assert_eq!(file["ok"], true, "{answer}\n{}", place.desktop.log());
        }
    }
    let expected = [
        "empty",
        "empty (2)",
        "empty (3)",
        "empty (4)",
        "photo (2).tar.gz",
        "photo.tar.gz",
    ];
    assert_eq!(place.entries(), expected);
    assert!(are_equal(&short, &place.folder.join("photo (2).tar.gz")));
    let mut sizes: Vec<u64> = expected[..4]
        .iter()
        .map(|name| place.folder.join(name).metadata().unwrap().len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [0, 0, 9, 9]);
}

#[test]
fn what_is_cancelled_or_left_alone_leaves_nothing() {
    let _others = crate::beside_others();
    let place = Place::new();
    let big = place.outside.path().join("big.bin");
    File::create(&big).unwrap().set_len(BIG_BYTES).unwrap();
    let small = place.source("small", b"small");
    let part = format!("upload-sent {} {}", 50 * MB, PATIENCE.as_millis());
    let mut watcher = Watcher::connect(&place.desktop);
    begin(&mut watcher, &[&big]);
    let answer = watcher.ask_for(&part, PATIENCE);
    assert_eq!(answer["running"], true, "{answer}\n{}", place.desktop.log());
    watcher.order("upload-cancel");
    let answer = end(&mut watcher);
    assert_eq!(answer["files"][0]["ok"], false, "{answer}");
    assert_eq!(place.entries(), [""; 0]);
    // The connection is as good as before.
    let answer = send(&mut watcher, &[&small]);
    assert_eq!(answer["files"][0]["ok"], true, "{answer}");
    // The client goes in the middle.
    begin(&mut watcher, &[&big]);
    watcher.ask_for(&part, PATIENCE);
    drop(watcher);
    let server = place.desktop.server_pid().unwrap();
    let is_closed = wait_until(PATIENCE, || !has_file_in(server, &place.folder));
    assert!(is_closed, "the part of the file is still there");
    assert_eq!(place.entries(), ["small"]);
    // The server is killed in the middle.
    let mut watcher = Watcher::connect(&place.desktop);
    begin(&mut watcher, &[&big]);
    watcher.ask_for(&part, PATIENCE);
    assert!(has_file_in(server, &place.folder), "nothing was written");
    signal(server, Signal::SIGKILL);
    watcher.ask_for("wait-closed 5000", PATIENCE);
    assert_eq!(place.entries(), ["small"]);
}

/// Whether the process has a file in `folder` open that has no name.
fn has_file_in(pid: i32, folder: &Path) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let links = descriptors.into_iter().flatten().flatten();
    links
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .any(|target| target.starts_with(folder) && target != folder)
}

#[test]
fn hostile_names_stay_in_the_folder() {
    let _others = crate::beside_others();
    let place = Place::new();
    let before = entries(place.outside.path());
    let mut client = RawAgent::open(place.desktop.port());
    let long = "n".repeat(400);
    let names = [
        ("../../x", Some("x")),
        ("/etc/passwd", Some("passwd")),
        ("..\\\\..\\\\x", Some("_._.._x")),
        (".profile", Some("_profile")),
        ("a\\nb", Some("a_b")),
        (long.as_str(), Some(&long[..255])),
        ("x", Some("x (2)")),
        ("..", None),
        ("a/", None),
        ("", None),
    ];
    for (id, (name, expected)) in (1..).zip(names) {
        client.start(id, name, 3);
        let (of, result, detail) = client.status();
        assert_eq!(of, id, "{name}");
        if expected.is_none() {
            // G_IO_ERROR_INVALID_FILENAME.
            assert_eq!((result, detail), (ERROR, vec![0, 13, 0, 0, 0]), "{name}");
            continue;
        }
        assert_eq!(result, CAN_SEND_DATA, "{name}");
        client.data(id, b"abc");
        assert_eq!(client.status(), (id, SUCCESS, vec![]), "{name}");
    }
    let mut expected: Vec<&str> = names.iter().filter_map(|(_, expected)| *expected).collect();
    expected.sort_unstable();
    assert_eq!(place.entries(), expected);
    assert_eq!(entries(place.outside.path()), before, "nothing outside");
}

#[test]
fn a_client_that_breaks_the_rules_hears_of_it_once_and_leaves_nothing() {
    let _others = crate::beside_others();
    let place = Place::new();
    let mut client = RawAgent::open(place.desktop.port());
    client.start(1, "more", 3);
    assert_eq!(client.status(), (1, CAN_SEND_DATA, vec![]));
    client.data(1, b"abcd");
    assert_eq!(client.status(), (1, ERROR, vec![]));
    // The rest of a file that has ended, and a file that never was.
    client.data(1, b"abcd");
    client.data(99, b"abcd");
    client.start(2, "cancelled", 3);
    assert_eq!(client.status(), (2, CAN_SEND_DATA, vec![]));
    client.data(2, b"ab");
    client.say(
        STATUS,
        &[2_u32.to_le_bytes(), CANCELLED.to_le_bytes()].concat(),
    );
    client.data(2, b"c");
    client.say(START, b"\x03\0\0\0nonsense");
    assert_eq!(client.status(), (3, ERROR, vec![]));
    client.start(4, "too large for any disk", u64::MAX);
    let (id, result, detail) = client.status();
    assert_eq!((id, result, detail.len()), (4, NOT_ENOUGH_SPACE, 8));
    client.start(5, "good", 3);
    assert_eq!(client.status(), (5, CAN_SEND_DATA, vec![]));
    client.data(5, b"abc");
    assert_eq!(client.status(), (5, SUCCESS, vec![]));
    assert_eq!(place.entries(), ["good"]);
}

/// A file system of 64 MiB, where this is allowed to mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]);
        let mounted = mount.arg(place.path()).output().unwrap();
        mounted.status.success().then(|| Self(place))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_is_told_and_keeps_no_part() {
    let _others = crate::beside_others();
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED: a small file system can be mounted by root only");
        return;
    };
    let folder = disk.0.path();
    let desktop = desktop(folder.to_str().unwrap());
    let source = tempfile::NamedTempFile::new().unwrap();
    source.as_file().set_len(100 * MB).unwrap();
    let mut watcher = Watcher::connect(&desktop);
    let answer = send(&mut watcher, &[source.path()]);
    let why = answer["files"][0]["error"].as_str().unwrap();
    assert!(why.contains("67.1") && why.contains("104.9"), "{why}");
    // It fits when it begins, and then somebody else fills the disk.
    let mut client = RawAgent::open(desktop.port());
    client.start(1, "half", 40 * MB);
    assert_eq!(client.status(), (1, CAN_SEND_DATA, vec![]));
    client.data(1, &vec![1; MB as usize]);
    let mut filler = File::create(folder.join("mine")).unwrap();
    while filler.write_all(&[0; 1 << 16]).is_ok() {}
    client.data(1, &vec![1; MB as usize]);
    let (id, result, detail) = client.status();
    assert_eq!((id, result), (1, NOT_ENOUGH_SPACE));
    let free = u64::from_le_bytes(detail.try_into().unwrap());
    assert!(
        (MB..3 * MB).contains(&free),
        "what it took is free again: {free}"
    );
    assert_eq!(entries(folder), ["mine"]);
    drop(client);
}

#[test]
fn uploads_that_are_off_are_refused_in_words() {
    let _others = crate::beside_others();
    let desktop = desktop("off");
    let source = tempfile::NamedTempFile::new().unwrap();
    let mut watcher = Watcher::connect(&desktop);
    let answer = send(&mut watcher, &[source.path()]);
    let why = answer["files"][0]["error"].as_str().unwrap();
    assert!(
        why.contains("disabled") || why.contains("not connected"),
        "{why}"
    );
    let mut client = RawAgent::open(desktop.port());
    if client.is_served {
        client.start(1, "x", 3);
        assert_eq!(client.status(), (1, DISABLED, vec![]));
    }
}

#[test]
fn files_that_stand_still_hold_up_nobody_else() {
    let _alone = crate::alone();
    let place = Place::new();
    let mut stalled = RawAgent::open(place.desktop.port());
    // Four files that never go on.
    for id in 1..=4 {
        stalled.start(id, "stalled", 100);
        assert_eq!(stalled.status(), (id, CAN_SEND_DATA, vec![]));
        stalled.data(id, b"abc");
    }
    let file = place.source("file", &vec![7; 20 * MB as usize]);
    let mut watcher = Watcher::connect(&place.desktop);
    let started = Instant::now();
    let answer = send(&mut watcher, &[&file]);
    assert_eq!(answer["files"][0]["ok"], true, "{answer}");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(place.entries(), ["file"]);
}

/// A client of the agent, message by message.
struct RawAgent {
    link: RawLink,
    is_served: bool,
}

impl RawAgent {
    fn open(port: u16) -> Self {
        let mut link = RawLink::open(port, MAIN, 0);
        let init = loop {
            let (kind, body) = link.message();
            if kind == INIT {
                break body;
            }
        };
        let mut agent = Self {
            link,
            is_served: init[AGENT_CONNECTED..][..4] != [0; 4],
        };
        agent
            .link
            .send(&message(AGENT_START, 4, &u32::MAX.to_le_bytes()));
        agent.say(
            ANNOUNCE,
            &[0_u32.to_le_bytes(), DETAILS.to_le_bytes()].concat(),
        );
        agent
    }

    /// A message in as many chunks as it takes.
    fn say(&mut self, kind: u32, body: &[u8]) {
        let mut bytes = 1_u32.to_le_bytes().to_vec();
        bytes.extend(kind.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        bytes.extend(body);
        for chunk in bytes.chunks(2048) {
            let size = u32::try_from(chunk.len()).unwrap();
            self.link.send(&message(AGENT_DATA_TO_SERVER, size, chunk));
        }
    }

    fn start(&mut self, id: u32, name: &str, size: u64) {
        let text = format!("[vdagent-file-xfer]\nname={name}\nsize={size}\n\0");
        self.say(START, &[&id.to_le_bytes(), text.as_bytes()].concat());
    }

    fn data(&mut self, id: u32, bytes: &[u8]) {
        for piece in bytes.chunks(65536) {
            let size = (piece.len() as u64).to_le_bytes();
            self.say(DATA, &[&id.to_le_bytes(), &size[..], piece].concat());
        }
    }

    /// The next status: its file, result and detail.
    fn status(&mut self) -> (u32, u32, Vec<u8>) {
        loop {
            let (kind, body) = self.link.message();
            let number = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap());
            if kind == AGENT_DATA_TO_CLIENT && number(4) == STATUS {
                return (number(20), number(24), body[28..].to_vec());
            }
        }
    }
}

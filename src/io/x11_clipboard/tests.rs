//! Against a real X server (Xvfb), with xclip and xsel, and with programs of our own for what those never do.

mod program;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::X11Clipboard;
use crate::agent::clipboard::{ClipboardNews, ClipboardOrder, PasteId, Refusal, TransferId};
use crate::base::SharedBytes;
use crate::wire::agent::{ClipboardType, Selection};
use program::Program;

const PATIENCE: Duration = Duration::from_secs(20);
const TEXT: ClipboardType = ClipboardType::Utf8Text;

/// An X server of its own, and the clipboard on it.
struct Stage {
    server: Child,
    display: String,
    clipboard: X11Clipboard,
    news: Receiver<ClipboardNews>,
    children: Vec<Child>,
}

impl Stage {
    fn start() -> Self {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset"])
            .args(["-screen", "0", "64x64x24"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb is missing: run `make test-packages`");
        let mut number = String::new();
        let output = server.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        let (teller, news) = channel();
        let tell = move |one| teller.send(one).is_ok();
        let clipboard = X11Clipboard::start(&display, None, tell).unwrap();
        Self {
            server,
            display,
            clipboard,
            news,
            children: Vec::new(),
        }
    }

    /// The first of the news that `pick` has something of.
    fn wait<T>(&self, mut pick: impl FnMut(&ClipboardNews) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let news = self.news.recv_timeout(left).expect("no such news");
            if let Some(found) = pick(&news) {
                return found;
            }
        }
    }

    fn owned(&self, wanted: Selection) -> Vec<ClipboardType> {
        self.wait(|news| match news {
            ClipboardNews::Owned {
                selection, types, ..
            } if *selection == wanted => Some(types.clone()),
            _ => None,
        })
    }

    fn paste(&self) -> (PasteId, ClipboardType) {
        self.wait(|news| match news {
            ClipboardNews::Paste { paste, kind, .. } => Some((*paste, *kind)),
            _ => None,
        })
    }

    fn own(&self, turn: u64, types: &[ClipboardType]) {
        self.clipboard.order(ClipboardOrder::Own {
            selection: Selection::Clipboard,
            turn,
            types: types.to_vec(),
            shared_folder: Some("dav://localhost:1".to_owned()),
        });
        // Only when X says so do programs get it from us.
        let program = Program::connect(&self.display);
        let deadline = Instant::now() + PATIENCE;
        while !program.clipboard_is_owned() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn deliver(&self, paste: PasteId, data: &[u8]) {
        let data = Some(SharedBytes::from(data.to_vec()));
        self.clipboard
            .order(ClipboardOrder::Deliver { paste, data });
    }

    fn fetch(&self, number: u64, bytes_max: usize) -> Result<SharedBytes, Refusal> {
        let transfer = TransferId(number);
        self.clipboard.order(ClipboardOrder::Fetch {
            transfer,
            selection: Selection::Clipboard,
            kind: TEXT,
            bytes_max,
        });
        self.wait(|news| match news {
            ClipboardNews::Fetched {
                transfer: of,
                result,
            } if *of == transfer => Some(result.clone()),
            _ => None,
        })
    }

    fn spawn(&mut self, program: &str, arguments: &[&str], input: &[u8]) {
        let mut child = Command::new(program)
            .args(arguments)
            .env("DISPLAY", &self.display)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a package is missing: run `make test-packages`");
        child.stdin.take().unwrap().write_all(input).unwrap();
        self.children.push(child);
    }

    /// A program that pastes; its output is there when the thread ends.
    fn pasting(&self, program: &str, arguments: &[&str]) -> std::thread::JoinHandle<Vec<u8>> {
        let mut command = Command::new(program);
        command.args(arguments).env("DISPLAY", &self.display);
        std::thread::spawn(move || command.output().unwrap().stdout)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in self.children.iter_mut().chain([&mut self.server]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn long_text() -> Vec<u8> {
    "Zeile 𝄞 für € \n".repeat(200_000).into_bytes()
}

#[test]
fn programs_are_told_of_and_read_in_one_piece_and_by_pieces() {
    let mut stage = Stage::start();
    let quiet = ["-quiet", "-selection", "clipboard"];
    for (number, content) in [b"x".to_vec(), long_text()].into_iter().enumerate() {
        stage.spawn("xclip", &quiet, &content);
        assert_eq!(stage.owned(Selection::Clipboard), [TEXT]);
        let fetched = stage.fetch(number as u64, 1 << 30).unwrap();
        assert!(*fetched == *content, "{} bytes", fetched.len());
    }
    // More than is wanted is not read.
    let too_large = Err(Refusal::TooLarge(1000));
    assert_eq!(stage.fetch(7, 1000), too_large);
    stage.spawn("xsel", &["--primary", "--nodetach", "-i"], b"selected");
    assert_eq!(stage.owned(Selection::Primary), [TEXT]);
}

#[test]
fn programs_paste_in_one_piece_and_by_pieces_several_at_once() {
    let stage = Stage::start();
    stage.own(1, &[TEXT]);
    let text = long_text();
    let utf8 = ["-o", "-selection", "clipboard", "-t", "UTF8_STRING"];
    let pastes = [
        stage.pasting("xclip", &utf8),
        stage.pasting("xsel", &["-b", "-o"]),
        stage.pasting("xclip", &utf8),
    ];
    let asked: Vec<PasteId> = pastes.iter().map(|_| stage.paste().0).collect();
    asked.iter().for_each(|paste| stage.deliver(*paste, &text));
    for paste in pastes {
        assert!(paste.join().unwrap() == text);
    }
    // Latin-1 has no clef.
    let latin1 = stage.pasting("xclip", &["-o", "-selection", "clipboard", "-t", "STRING"]);
    stage.deliver(stage.paste().0, "für 𝄞".as_bytes());
    assert_eq!(latin1.join().unwrap(), b"f\xfcr ?");
}

#[test]
fn lists_of_files_become_addresses() {
    let stage = Stage::start();
    stage.own(1, &[ClipboardType::FileList]);
    let list = ["-o", "-selection", "clipboard", "-t", "text/uri-list"];
    let pasting = stage.pasting("xclip", &list);
    let (paste, kind) = stage.paste();
    assert_eq!(kind, ClipboardType::FileList);
    stage.deliver(paste, b"copy\0/a b\0");
    assert_eq!(pasting.join().unwrap(), b"dav://localhost:1/a%20b\r\n");
}

#[test]
fn targets_and_multiple_are_answered_whole() {
    let stage = Stage::start();
    stage.own(1, &[TEXT, ClipboardType::Png]);
    let mut program = Program::connect(&stage.display);
    let targets = program.targets();
    for name in [
        "TARGETS",
        "MULTIPLE",
        "TIMESTAMP",
        "UTF8_STRING",
        "image/png",
    ] {
        assert!(targets.iter().any(|target| target == name), "{targets:?}");
    }
    assert!(!targets.iter().any(|target| target == "image/bmp"));
    program.ask_multiple(&["UTF8_STRING", "TIMESTAMP", "COMPOUND_TEXT", "image/png"]);
    let (text, kind) = stage.paste();
    assert_eq!(kind, TEXT);
    stage.deliver(text, b"both");
    let (image, kind) = stage.paste();
    assert_eq!(kind, ClipboardType::Png);
    let data = None;
    stage
        .clipboard
        .order(ClipboardOrder::Deliver { paste: image, data });
    let given = program.multiple_answer();
    assert_eq!(given, [true, true, false, false]);
    assert_eq!(program.property("UTF8_STRING"), b"both");
}

#[test]
fn owners_that_hang_or_go_are_given_up() {
    let stage = Stage::start();
    let mut program = Program::connect(&stage.display);
    program.own(&[("UTF8_STRING", b"never")]);
    let serving = program.serve(1);
    assert_eq!(stage.owned(Selection::Clipboard), [TEXT]);
    let hanging = serving.join().unwrap();
    // It has said what it has and says no more.
    let began = Instant::now();
    assert_eq!(stage.fetch(1, 1000), Err(Refusal::OwnerSilent));
    assert!(began.elapsed() < Duration::from_secs(8));
    // One that goes is given up at once.
    let mut program = Program::connect(&stage.display);
    program.own(&[("UTF8_STRING", b"never")]);
    let serving = program.serve(1);
    assert_eq!(stage.owned(Selection::Clipboard), [TEXT]);
    let program = serving.join().unwrap();
    let began = Instant::now();
    let going = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        drop(program);
    });
    assert_eq!(stage.fetch(2, 1000), Err(Refusal::OwnerSilent));
    assert!(began.elapsed() < Duration::from_secs(3));
    going.join().unwrap();
    drop(hanging);
}

#[test]
fn a_requestor_that_dies_is_told_of() {
    let stage = Stage::start();
    stage.own(1, &[TEXT]);
    let mut program = Program::connect(&stage.display);
    program.ask("UTF8_STRING");
    let (paste, _) = stage.paste();
    drop(program);
    stage.wait(|news| {
        let gone = ClipboardNews::PasteGone { paste };
        (*news == gone).then_some(())
    });
}

#[test]
fn secrets_are_not_offered() {
    let stage = Stage::start();
    let mut program = Program::connect(&stage.display);
    let secret: &[(&str, &[u8])] = &[
        ("UTF8_STRING", b"password"),
        ("x-kde-passwordManagerHint", b"secret"),
    ];
    program.own(secret);
    let serving = program.serve(2);
    assert_eq!(stage.owned(Selection::Clipboard), []);
    assert_eq!(stage.fetch(1, 1000), Err(Refusal::NotGiven));
    drop(serving.join().unwrap());
}

#[test]
fn a_manager_that_takes_over_what_it_read_is_an_echo_and_anything_else_is_not() {
    let stage = Stage::start();
    for (turn, copied, is_echo) in [(1, b"same", true), (2, b"else", false)] {
        stage.own(turn, &[TEXT]);
        let mut program = Program::connect(&stage.display);
        program.ask("UTF8_STRING");
        stage.deliver(stage.paste().0, b"same");
        assert_eq!(program.answer(), b"same");
        program.own(&[("UTF8_STRING", copied)]);
        let serving = program.serve(2);
        let echoed = stage.wait(|news| match news {
            ClipboardNews::Echoed { turn: of, .. } => Some((*of, true)),
            ClipboardNews::Owned { turn: of, .. } => Some((*of, false)),
            _ => None,
        });
        assert_eq!(echoed, (turn, is_echo));
        drop(serving.join().unwrap());
        stage.wait(|news| matches!(news, ClipboardNews::Unowned { .. }).then_some(()));
    }
}

#[test]
fn the_threads_end_with_x() {
    let mut stage = Stage::start();
    stage.own(1, &[TEXT]);
    stage.server.kill().unwrap();
    stage.server.wait().unwrap();
    let clipboard = &stage.clipboard;
    let ended = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        clipboard
            .orders
            .send(ClipboardOrder::Refused(Refusal::TooMany))
            .is_err()
    });
    assert!(ended);
}

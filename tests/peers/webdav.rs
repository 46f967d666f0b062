//! Shared folders with spice-gtk's own WebDAV server at the other end, and curl and GVFS as programs of the desktop.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::desktop::Desktop;
use crate::figure::at_most_within;
use crate::instruments::product;
use crate::process::{Running, wait_until};
use crate::watcher::Watcher;

const PATIENCE: Duration = Duration::from_secs(20);

const BIG_BYTES: u64 = 100_000_000;

/// A desktop with a client that shares a folder.
struct Sharing {
    folder: tempfile::TempDir,
    client: Watcher,
    desktop: Desktop,
    runtime: tempfile::TempDir,
}

impl Sharing {
    fn start(arguments: &[&str]) -> Self {
        let (runtime, folder) = (private_folder(), private_folder());
        let all = [
            &["--auth", "none", "-g", "800x600", "--name", "shared"],
            arguments,
        ]
        .concat();
        let desktop = Desktop::caraway_with(&all, |command| {
            command.env("XDG_RUNTIME_DIR", runtime.path());
        });
        let client = sharing_client(&desktop, folder.path());
        Self {
            folder,
            client,
            desktop,
            runtime,
        }
    }

    /// What `caraway status --json` says of the folders that are shared.
    fn status(&self) -> Value {
        let output = Command::new(product("caraway"))
            .args(["status", "shared", "--json"])
            .env("XDG_RUNTIME_DIR", self.runtime.path())
            .output()
            .unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        status["shared_folders"].clone()
    }

    /// The addresses of so many folders.
    fn uris(&self, count: usize) -> Vec<String> {
        let mut uris = Vec::new();
        let found = wait_until(PATIENCE, || {
            let status = self.status();
            let all = status.as_array().into_iter().flatten();
            uris = all
                .filter_map(|folder| folder["uri"].as_str()?.strip_prefix("dav:"))
                .map(|rest| format!("http:{rest}"))
                .collect();
            uris.len() == count
        });
        assert!(found, "{:?}\n{}", self.status(), self.desktop.log());
        uris
    }

    fn uri(&self) -> String {
        self.uris(1).remove(0)
    }

    /// A file of the client with bytes that repeat nowhere.
    fn write(&self, name: &str, bytes: u64) -> PathBuf {
        let path = self.folder.path().join(name);
        let mut source = File::open("/dev/urandom").unwrap().take(bytes);
        std::io::copy(&mut source, &mut File::create(&path).unwrap()).unwrap();
        path
    }
}

fn private_folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .tempdir()
        .unwrap()
}

fn sharing_client(desktop: &Desktop, folder: &Path) -> Watcher {
    let mut client = Watcher::new(desktop);
    client.order(&format!("share {}", folder.display()));
    let answer = client.open(&desktop.uri, &desktop.password);
    assert_eq!(answer["ok"], true, "{answer}\n{}", desktop.log());
    client
}

fn curl(arguments: &[&str]) -> Output {
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "60"])
        .args(arguments)
        .output();
    output.unwrap_or_else(|error| panic!("curl: {error}: run `make test-packages`"))
}

/// What curl prints when all is well.
fn fetch(arguments: &[&str]) -> String {
    let output = curl(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn sha256(path: &Path) -> String {
    sha256_of(File::open(path).unwrap())
}

fn sha256_of(input: impl Into<Stdio>) -> String {
    let output = Command::new("sha256sum").stdin(input).output().unwrap();
    String::from_utf8_lossy(&output.stdout)[..64].to_owned()
}

/// SHA-256 of what an address holds, read as it comes.
fn sha256_at(uri: &str) -> String {
    let mut curl = Command::new("curl")
        .args(["-sS", "--max-time", "60", uri])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let sum = sha256_of(curl.stdout.take().unwrap());
    assert!(curl.wait().unwrap().success());
    sum
}

#[test]
fn a_folder_is_listed_read_and_written_from_inside_the_desktop() {
    let _others = crate::beside_others();
    let sharing = Sharing::start(&[]);
    let big = sharing.write("big.bin", BIG_BYTES);
    std::fs::create_dir(sharing.folder.path().join("a folder")).unwrap();
    let uri = sharing.uri();
    let listing = fetch(&["-X", "PROPFIND", "-H", "Depth: 1", &uri]);
    assert!(
        listing.contains("/big.bin</") && listing.contains("/a%20folder</"),
        "{listing}"
    );
    let begun = Instant::now();
    assert_eq!(sha256_at(&format!("{uri}big.bin")), sha256(&big));
    eprintln!("figure: shared folder read: {:.0} MB/s", speed(begun));
    // With and without asking first whether to go on.
    for (name, expect) in [
        ("asks.bin", "Expect: 100-continue"),
        ("goes.bin", "Expect:"),
    ] {
        let begun = Instant::now();
        let local = big.to_str().unwrap();
        let to = format!("{uri}a%20folder/{name}");
        let code = fetch(&["-H", expect, "-w", "%{http_code}", "-T", local, &to]);
        assert_eq!(code, "201", "{name}");
        eprintln!("figure: shared folder written: {:.0} MB/s", speed(begun));
        let written = sharing.folder.path().join("a folder").join(name);
        assert_eq!(sha256(&written), sha256(&big), "{name}");
    }
    // The other ways of files, and the other address.
    fetch(&["-X", "MKCOL", &format!("{uri}new")]);
    assert!(sharing.folder.path().join("new").is_dir());
    fetch(&["-X", "DELETE", &format!("{uri}big.bin")]);
    assert!(!big.exists());
    let socket = sharing.status()[0]["socket"].as_str().unwrap().to_owned();
    sharing.write("small", 5);
    let small = sharing.folder.path().join("small");
    let text = curl(&["--unix-socket", &socket, "http://localhost/small"]).stdout;
    assert_eq!(text, std::fs::read(small).unwrap());
}

fn speed(begun: Instant) -> f64 {
    BIG_BYTES as f64 / 1e6 / begun.elapsed().as_secs_f64()
}

#[test]
fn files_of_more_than_4_gb_pass_the_32_bits() {
    let _others = crate::beside_others();
    let sharing = Sharing::start(&[]);
    let size = (4u64 << 30) + 4711;
    let file = File::create(sharing.folder.path().join("huge")).unwrap();
    file.set_len(size).unwrap();
    let uri = format!("{}huge", sharing.uri());
    let head = fetch(&["-I", &uri]).to_ascii_lowercase();
    assert!(head.contains(&format!("content-length: {size}")), "{head}");
    let count = fetch(&["-o", "/dev/null", "-w", "%{size_download}", &uri]);
    assert_eq!(count, size.to_string());
}

#[test]
fn many_programs_read_at_once_and_one_that_pauses_holds_nobody_up_for_long() {
    let _others = crate::beside_others();
    let sharing = Sharing::start(&[]);
    let file = sharing.write("file", 20_000_000);
    let (uri, sum) = (sharing.uri(), sha256(&file));
    // It asks for much, and reads none of it.
    let huge = File::create(sharing.folder.path().join("huge")).unwrap();
    huge.set_len(1 << 30).unwrap();
    let address: SocketAddr = uri["http://".len()..uri.len() - 1].parse().unwrap();
    let mut paused = TcpStream::connect(address).unwrap();
    paused
        .write_all(b"GET /huge HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let uri = format!("{uri}file");
            std::thread::spawn(move || sha256_at(&uri))
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), sum);
    }
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(45), "{waited:?}");
    let is_told = || sharing.desktop.log().contains("while others waited");
    assert!(wait_until(PATIENCE, is_told), "{}", sharing.desktop.log());
}

#[test]
fn folders_come_and_go_with_their_clients() {
    let _others = crate::beside_others();
    let mut sharing = Sharing::start(&[]);
    let first = sharing.uri();
    let other_folder = private_folder();
    std::fs::write(other_folder.path().join("other"), "other").unwrap();
    let mut other = sharing_client(&sharing.desktop, other_folder.path());
    let uris = sharing.uris(2);
    assert_eq!(uris[0], first);
    assert_eq!(fetch(&[&format!("{}other", uris[1])]), "other");
    // In the middle of a file the client goes: whoever reads is told at once.
    let huge = File::create(sharing.folder.path().join("huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let reader = {
        let uri = format!("{first}huge");
        std::thread::spawn(move || curl(&["-o", "/dev/null", &uri]))
    };
    let is_under_way = || {
        let status = sharing.status();
        let mut folders = status.as_array().into_iter().flatten();
        folders.any(|folder| folder["read_bytes"].as_u64() > Some(1 << 20))
    };
    assert!(wait_until(PATIENCE, is_under_way), "{:?}", sharing.status());
    let begun = Instant::now();
    sharing.client.order("unshare");
    assert!(!reader.join().unwrap().status.success());
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(sharing.uris(1), [uris[1].clone()]);
    assert!(!curl(&[&first]).status.success(), "nobody shares there");
    assert_eq!(fetch(&[&format!("{}other", uris[1])]), "other");
    // Who comes back is found where the first one was.
    sharing.client = sharing_client(&sharing.desktop, sharing.folder.path());
    assert!(sharing.uris(2).contains(&first));
    other.order("disconnect");
    assert_eq!(sharing.uri(), first);
    assert_eq!(sharing.client.stats()["error"], "");
}

#[test]
fn other_users_and_web_pages_are_refused() {
    let _others = crate::beside_others();
    let sharing = Sharing::start(&[]);
    std::fs::write(sharing.folder.path().join("secret"), "secret").unwrap();
    let uri = format!("{}secret", sharing.uri());
    assert_eq!(fetch(&[&uri]), "secret");
    let code = |header: &str| fetch(&["-o", "/dev/null", "-w", "%{http_code}", "-H", header, &uri]);
    assert_eq!(code("Host: evil.example"), "403");
    assert_eq!(code("Origin: http://evil.example"), "403");
    if nix::unistd::Uid::effective().is_root() {
        let output = Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .args(["curl", "-sS", "--max-time", "5", &uri])
            .output()
            .unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        let is_told = || sharing.desktop.log().contains("refused another user");
        assert!(wait_until(PATIENCE, is_told), "{}", sharing.desktop.log());
    }
}

#[test]
fn a_desktop_without_folders_offers_none() {
    let _others = crate::beside_others();
    let mut sharing = Sharing::start(&["--folders", "off"]);
    sharing.client.idle(Duration::from_millis(500));
    assert_eq!(sharing.status(), serde_json::json!([]));
    assert_eq!(sharing.client.stats()["channels"]["webdav"], Value::Null);
}

#[test]
fn gvfs_mounts_what_is_shared() {
    let _others = crate::beside_others();
    let mut sharing = Sharing::start(&[]);
    let port = sharing
        .uri()
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    std::fs::write(sharing.folder.path().join("a file"), "hello").unwrap();
    let bus = sharing.runtime.path().join("caraway/shared/bus");
    let gio = |arguments: &[&str]| {
        let output = Command::new("gio")
            .args(arguments)
            .env("XDG_RUNTIME_DIR", sharing.runtime.path())
            .env(
                "DBUS_SESSION_BUS_ADDRESS",
                format!("unix:path={}", bus.display()),
            )
            .output()
            .unwrap_or_else(|error| panic!("gio: {error}: run `make test-packages`"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let address = format!("dav://127.0.0.1:{port}/");
    let is_mounted = || gio(&["mount", "--list"]).contains(&address);
    assert!(
        wait_until(PATIENCE, is_mounted),
        "{}",
        sharing.desktop.log()
    );
    assert_eq!(gio(&["cat", &format!("{address}a%20file")]), "hello");
    let from = sharing.runtime.path().join("from");
    std::fs::write(&from, "written").unwrap();
    gio(&["copy", from.to_str().unwrap(), &format!("{address}to")]);
    let to = sharing.folder.path().join("to");
    assert_eq!(std::fs::read_to_string(to).unwrap(), "written");
    sharing.client.order("unshare");
    assert!(wait_until(PATIENCE, || !is_mounted()), "still mounted");
}

#[test]
fn keys_are_quick_while_files_pass() {
    let _alone = crate::alone();
    let sharing = Sharing::start(&[]);
    // One file again and again: reading ever new ones would measure how the host finds memory for them.
    sharing.write("big.bin", BIG_BYTES);
    let uri = format!("{}big.bin", sharing.uri());
    let typing = sharing.desktop.draw(&["typing"]);
    typing.event("ready", PATIENCE);
    // Another person types: the one who shares has its own client busy with the file.
    let mut typist = Watcher::connect(&sharing.desktop);
    let _reader = Running::start(Path::new("/bin/sh"), Stdio::inherit(), |command| {
        let script = "while curl -sS -o /dev/null \"$0\"; do :; done";
        command.args(["-c", script, &uri]);
    });
    std::thread::sleep(Duration::from_millis(500));
    let mut figures: Vec<f64> = (0..100)
        .map(|_| {
            let answer = typist.order("key-to-pixel 0x1e 200 200 2000");
            typist.idle(Duration::from_millis(30));
            answer["key_to_pixel_us"].as_f64().unwrap() / 1000.0
        })
        .collect();
    let read_bytes = sharing.status()[0]["read_bytes"].as_u64().unwrap();
    assert!(BIG_BYTES < read_bytes, "files did pass: {read_bytes}");
    figures.sort_by(f64::total_cmp);
    eprintln!(
        "figure: key to pixel beside a file: median {:.2} ms",
        figures[50]
    );
    at_most_within(
        "key to pixel beside a file, p95",
        figures[95],
        20.0,
        "ms",
        2.0,
    );
}

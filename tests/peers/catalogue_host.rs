//! The catalogue's rows about this host (docs/security-tests.md): another user gets nothing, and nothing lies open.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Uid;
use serde_json::{Value, json};

use crate::desktop::Desktop;
use crate::instruments::product;
use crate::link::{DISPLAY, LINK_OK, LinkMessage, MAIN, Outcome, PERMISSION_DENIED, RawLink};
use crate::process::{is_alive, signal};
use crate::watcher::Watcher;

const GEOMETRY: &str = "640x480";

/// Whose desktop it is, and who wants in: users that every host has.
const OWNER: u32 = 5;
const STRANGER: u32 = 65534;

/// Tells the stranger's part what to attack.
const TARGET: &str = "CATALOGUE_TARGET";

/// Connection ids that the stranger guesses, and of these at a time: fewer than the server has places for.
const GUESSES: u32 = 100;
const GUESSES_OF_BENCH: u32 = 10_000;
const GUESSES_AT_ONCE: u32 = 50;

/// A desktop of another user than this program's, if it may start one.
struct Owned {
    desktop: Desktop,
    home: tempfile::TempDir,
}

impl Owned {
    fn start() -> Option<Self> {
        if !Uid::effective().is_root() {
            eprintln!("skipped: only root can be two users");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        nix::unistd::chown(home.path(), Some(OWNER.into()), None).unwrap();
        let socket = home.path().join("spice.sock");
        let arguments = [
            "-g",
            GEOMETRY,
            "-l",
            "127.0.0.1:0",
            "--unix",
            socket.to_str().unwrap(),
        ];
        let desktop = Desktop::caraway_as(&arguments, OWNER, |command| {
            command
                .env("HOME", home.path())
                .env("XDG_RUNTIME_DIR", home.path())
                .env_remove("XAUTHORITY")
                .env_remove("DBUS_SESSION_BUS_ADDRESS")
                .current_dir("/");
        });
        Some(Self { desktop, home })
    }

    /// Everything of the desktop that runs, by number.
    fn processes(&self) -> Vec<i32> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let pid = entry.file_name().to_string_lossy().parse::<i32>();
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let home = self.home.path().as_os_str().as_encoded_bytes();
            if let Ok(pid) = pid
                && environment.windows(home.len()).any(|part| part == home)
            {
                found.push(pid);
            }
        }
        assert!(
            found.contains(&self.desktop.server_pid().unwrap()),
            "{found:?}"
        );
        found
    }

    /// Files, sockets and directories under the owner's home and runtime directory.
    fn files(&self) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.home.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().flatten() {
                files.push(entry.path());
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        files
    }
}

/// G1: another user of the host connects to nothing, reads nothing, lists nothing and signals nobody; G4: what is not
/// his lets him in nowhere.
#[test]
fn another_user_gets_nothing() {
    let _others = crate::beside_others();
    let_the_stranger_try(GUESSES);
}

/// G4: ten thousand guesses.
#[test]
#[ignore = "takes minutes: each wrong ticket is answered late"]
fn bench_another_user_guesses_ten_thousand_ids() {
    let _others = crate::beside_others();
    let_the_stranger_try(GUESSES_OF_BENCH);
}

fn let_the_stranger_try(guesses: u32) {
    let Some(owned) = Owned::start() else { return };
    let mut watcher = Watcher::new(&owned.desktop);
    let answer = watcher.open(&owned.desktop.uri, &owned.desktop.password);
    assert_eq!(answer["ok"], true, "{answer}");
    let (_main, connection_id) = main_of(&owned.desktop);
    let number = &owned.desktop.display[1..];
    let mut files = owned.files();
    files.push(format!("/tmp/.X11-unix/X{number}").into());
    let target = json!({
        "files": files,
        "folders": [owned.home.path().join("caraway"), owned.home.path().join("caraway/desktop")],
        "processes": owned.processes(),
        "port": owned.desktop.port(),
        "display": number,
        "connection_id": connection_id,
        "guesses": guesses,
    });
    // This program once more, as the stranger.
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "catalogue_host::what_the_stranger_tries",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(TARGET, target.to_string())
        .current_dir("/")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    eprintln!(
        "G1: {}",
        told.lines()
            .find(|line| line.contains("attempts"))
            .unwrap_or_default()
    );
    // And the owner goes on.
    assert!(owned.processes().into_iter().all(is_alive));
    assert_eq!(watcher.stats()["error"], "");
    let refused = owned.desktop.await_in_log("authentication failed", 1);
    assert!(0 < refused, "{}", owned.desktop.log());
}

fn main_of(desktop: &Desktop) -> (RawLink, u32) {
    let mut link = RawLink::connect(desktop.port());
    link.send(&LinkMessage::good(MAIN, 0).bytes());
    assert_eq!(link.link_reply(), Outcome::Link(LINK_OK));
    let ticket = link.ticket_of(&desktop.password);
    assert_eq!(link.ticket(&ticket), Outcome::Link(LINK_OK));
    let id = link.session_id(true);
    (link, id)
}

/// What the stranger got, in words.
#[derive(Default)]
struct Loot {
    attempts: usize,
    got: Vec<String>,
}

impl Loot {
    fn attempt(&mut self, what: impl Into<String>, succeeded: bool) {
        self.attempts += 1;
        if succeeded {
            self.got.push(what.into());
        }
    }
}

#[test]
#[ignore = "run as another user, by another test"]
fn what_the_stranger_tries() {
    let Ok(target) = std::env::var(TARGET) else {
        return;
    };
    let target: Value = serde_json::from_str(&target).unwrap();
    assert_eq!(Uid::effective().as_raw(), STRANGER);
    let mut loot = Loot::default();
    for path in target["files"].as_array().unwrap() {
        try_file(Path::new(path.as_str().unwrap()), &mut loot);
    }
    for path in target["folders"].as_array().unwrap() {
        let path = path.as_str().unwrap();
        loot.attempt(format!("list {path}"), fs::read_dir(path).is_ok());
        let made = fs::write(format!("{path}/stranger"), "").is_ok();
        loot.attempt(format!("make a file in {path}"), made);
        let renamed = fs::rename(path, format!("{path}-moved")).is_ok();
        loot.attempt(format!("rename {path}"), renamed);
    }
    for pid in target["processes"].as_array().unwrap() {
        try_process(i32::try_from(pid.as_i64().unwrap()).unwrap(), &mut loot);
    }
    let number = target["display"].as_str().unwrap();
    try_display(number, &mut loot);
    try_port(&target, &mut loot);
    eprintln!("{} attempts, {} succeeded", loot.attempts, loot.got.len());
    assert!(loot.got.is_empty(), "{:#?}", loot.got);
}

fn try_file(path: &Path, loot: &mut Loot) {
    let name = path.display();
    let is_x = path.starts_with("/tmp/.X11-unix");
    // Everybody may knock at X; without the cookie it opens nothing, which is another attempt.
    loot.attempt(
        format!("connect to {name}"),
        !is_x && UnixStream::connect(path).is_ok(),
    );
    loot.attempt(format!("read {name}"), fs::read(path).is_ok());
    let write = fs::OpenOptions::new().append(true).open(path).is_ok();
    loot.attempt(format!("write {name}"), write);
    loot.attempt(format!("remove {name}"), fs::remove_file(path).is_ok());
    let link = format!("/tmp/stranger-{}", std::process::id());
    let linked = !is_x && fs::hard_link(path, &link).is_ok();
    let _ = fs::remove_file(&link);
    loot.attempt(format!("link {name}"), linked);
}

fn try_process(pid: i32, loot: &mut Loot) {
    for file in ["environ", "mem", "maps", "auxv", "syscall"] {
        let path = format!("/proc/{pid}/{file}");
        let mut byte = [0];
        let read =
            fs::File::open(&path).and_then(|mut file| std::io::Read::read(&mut file, &mut byte));
        loot.attempt(format!("read {path}"), read.is_ok_and(|count| 0 < count));
    }
    for folder in ["fd", "map_files", "fdinfo", "cwd/", "root/proc/self/fd"] {
        let path = format!("/proc/{pid}/{folder}");
        let listed = fs::read_dir(&path).is_ok_and(|entries| 0 < entries.flatten().count());
        loot.attempt(
            format!("list {path}"),
            listed && folder.starts_with(['f', 'm']),
        );
    }
    for number in 0..64 {
        let path = format!("/proc/{pid}/fd/{number}");
        loot.attempt(format!("open {path}"), fs::File::open(&path).is_ok());
    }
    for sent in [
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGSTOP,
        Signal::SIGKILL,
    ] {
        let killed = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), sent).is_ok();
        loot.attempt(format!("{sent} to {pid}"), killed);
    }
}

fn try_display(number: &str, loot: &mut Loot) {
    for authority in ["/dev/null", "/nonexistent"] {
        let mut xdpyinfo = Command::new("xdpyinfo");
        xdpyinfo
            .env("DISPLAY", format!(":{number}"))
            .env("XAUTHORITY", authority);
        let opened = xdpyinfo
            .output()
            .is_ok_and(|output| output.status.success());
        loot.attempt("open the display without its cookie", opened);
    }
    let port = 6000 + number.parse::<u16>().unwrap();
    let reached = std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    loot.attempt("reach X by TCP", reached);
    let abstract_socket = format!("@/tmp/.X11-unix/X{number}");
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    let listens = |line: &str| {
        let listening = line.split_whitespace().nth(3) == Some("00010000");
        listening && line.ends_with(&abstract_socket)
    };
    loot.attempt(
        "reach X by an abstract socket",
        sockets.lines().any(listens),
    );
    let lock = format!("/tmp/.X{number}-lock");
    loot.attempt(format!("take {lock}"), fs::write(&lock, "1").is_ok());
}

fn try_port(target: &Value, loot: &mut Loot) {
    let port = u16::try_from(target["port"].as_u64().unwrap()).unwrap();
    let known = u32::try_from(target["connection_id"].as_u64().unwrap()).unwrap();
    let admitted = |channel_type, id| {
        let mut link = RawLink::connect(port);
        link.send(&LinkMessage::good(channel_type, id).bytes());
        if link.link_reply() != Outcome::Link(LINK_OK) {
            return false;
        }
        let ticket = link.empty_ticket();
        link.ticket(&ticket) != Outcome::Link(PERMISSION_DENIED)
    };
    loot.attempt("a main channel without the password", admitted(MAIN, 0));
    loot.attempt(
        "a display by a known connection id",
        admitted(DISPLAY, known),
    );
    let guesses = u32::try_from(target["guesses"].as_u64().unwrap()).unwrap();
    let right = std::thread::scope(|scope| {
        let guess_some = |first: u32| {
            let mine = (first..guesses).step_by(GUESSES_AT_ONCE as usize);
            let is_right = |guess: &u32| is_let_in_by(port, known.wrapping_add(1 + guess));
            mine.filter(is_right).count()
        };
        let threads: Vec<_> = (0..GUESSES_AT_ONCE)
            .map(|first| scope.spawn(move || guess_some(first)))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.sum::<usize>()
    });
    for guess in 0..guesses as usize {
        loot.attempt("a guessed connection id", guess < right);
    }
}

/// Whether a display channel of that connection id is linked, without the password.
fn is_let_in_by(port: u16, connection_id: u32) -> bool {
    let mut link = RawLink::connect(port);
    link.send(&LinkMessage::good(DISPLAY, connection_id).bytes());
    if link.link_reply() != Outcome::Link(LINK_OK) {
        return false;
    }
    let ticket = link.empty_ticket();
    link.ticket(&ticket) == Outcome::Link(LINK_OK)
}

/// G2: what the desktop's processes and files are open for; G6: where the password stands.
#[test]
fn nothing_lies_open_and_the_password_stands_nowhere() {
    let _others = crate::beside_others();
    let Some(owned) = Owned::start() else { return };
    let password = owned.desktop.password.clone();
    let (_main, _) = main_of(&owned.desktop);
    let mut findings = Vec::new();
    let server = owned.desktop.server_pid().unwrap();
    let status = fs::read_to_string(format!("/proc/{server}/status")).unwrap();
    if !status.contains("NoNewPrivs:\t1") {
        findings.push("the server may get new privileges".to_owned());
    }
    for pid in [server, owned.desktop.launcher_pid()] {
        // The kernel gives the files of a process that may not be dumped to root.
        if fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid() != 0 {
            findings.push(format!("process {pid} can be dumped"));
        }
    }
    for pid in owned.processes() {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if holds(&words, &password) || holds(&environment, &password) {
            findings.push(format!("the password stands in process {pid}"));
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = |name: &str| {
            status
                .lines()
                .find(|line| line.starts_with(name))
                .map(str::to_owned)
        };
        if line("CapEff:").is_some_and(|line| !line.ends_with("0000000000000000")) {
            findings.push(format!("process {pid} has capabilities"));
        }
    }
    for file in owned.files() {
        let about = fs::symlink_metadata(&file).unwrap();
        let (mode, kind) = (about.mode() & 0o777, about.file_type());
        if about.uid() != OWNER {
            findings.push(format!("{} belongs to {}", file.display(), about.uid()));
        }
        // D-Bus and the sound daemon make theirs for everybody; the directory keeps everybody out.
        let is_theirs = ["bus", "sound.sock"]
            .iter()
            .any(|name| file.ends_with(name));
        let is_door = file.ends_with("caraway") || file.ends_with("caraway/desktop");
        if (is_door || kind.is_socket() && !is_theirs) && mode & 0o077 != 0 {
            findings.push(format!("{} has mode {mode:o}", file.display()));
        }
        if kind.is_file() && holds(&fs::read(&file).unwrap_or_default(), &password) {
            findings.push(format!("the password stands in {}", file.display()));
        }
    }
    if owned.desktop.count_in_log(&password) != 0 {
        findings.push("the password stands in the log".to_owned());
    }
    assert!(findings.is_empty(), "{findings:#?}");
    signal(server, Signal::SIGABRT);
    let cores = owned.files().into_iter().filter(|file| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("core") && file.is_file()
    });
    assert_eq!(cores.count(), 0, "core files");
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// G7: old TLS is refused, and files that are no good are a sentence.
#[test]
fn old_tls_is_refused_and_bad_files_are_a_sentence() {
    let _others = crate::beside_others();
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = [certificate.to_str().unwrap(), key.to_str().unwrap()];
    let fixed = ["-g", GEOMETRY, "--auth", "none"];
    let arguments = [&fixed[..], &["--tls-cert", files[0], "--tls-key", files[1]]].concat();
    let desktop = Desktop::caraway_with(&arguments, |_| ());
    let port = desktop.port();
    let speaks = |options: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl
            .args(["s_client", "-connect", &format!("127.0.0.1:{port}")])
            .args(options);
        let output = openssl.stdin(std::process::Stdio::null()).output().unwrap();
        // What old versions are called is the same in all versions of openssl.
        String::from_utf8_lossy(&output.stdout).contains("Verify return code")
            && output.status.success()
    };
    let weak = ["-cipher", "ALL:@SECLEVEL=0"];
    for version in ["-tls1", "-tls1_1"] {
        assert!(!speaks(&[&weak[..], &[version]].concat()), "{version}");
    }
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(speaks(&[version]), "{version}: {}", desktop.log());
    }
    for cipher in [
        "RC4",
        "3DES",
        "AES128-SHA",
        "AES256-SHA",
        "aNULL",
        "NULL",
        "CBC",
    ] {
        let cipher = format!("{cipher}:@SECLEVEL=0");
        assert!(!speaks(&["-tls1_2", "-cipher", &cipher]), "{cipher}");
    }
    renegotiate(port);
    // At a reload the one before stays, and at a start it is a sentence.
    fs::write(&key, "no key").unwrap();
    assert!(speaks(&["-tls1_3"]), "{}", desktop.log());
    let empty = folder.path().join("empty");
    fs::write(&empty, "").unwrap();
    for bad in [&key, &empty, &folder.path().join("missing")] {
        let output = Command::new("timeout")
            .arg("20")
            .arg(product("caraway"))
            .arg("start")
            .args(fixed)
            .args(["--tls-cert", files[0], "--tls-key", bad.to_str().unwrap()])
            .args(["--", "true"])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code().map(|code| code < 64),
            Some(true),
            "{told}"
        );
        assert!(
            !output.status.success() && told.contains(bad.to_str().unwrap()),
            "{told}"
        );
        assert!(!told.contains("panicked"), "{told}");
    }
}

/// A client that wants to renegotiate TLS 1.2 again and again gets a no, and costs nothing.
fn renegotiate(port: u16) {
    let mut openssl = Command::new("openssl")
        .args([
            "s_client",
            "-tls1_2",
            "-connect",
            &format!("127.0.0.1:{port}"),
        ])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = openssl.stdin.take().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let _ = std::io::Write::write_all(&mut input, b"R\n");
    std::thread::sleep(Duration::from_millis(300));
    drop(input);
    let output = openssl.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("RENEGOTIATING"), "{told}");
    assert!(
        told.contains("no renegotiation") || !output.status.success(),
        "{told}"
    );
}

//! Programs that people paste into and copy from, driven by their keys: a GTK entry, a Qt editor, a file manager.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::clipboard::{CLIPBOARD, Copying, OFFER_TIMEOUT, TEXT};
use crate::desktop::Desktop;
use crate::process::{Running, wait_until};
use crate::watcher::Watcher;

/// `VD_AGENT_CLIPBOARD_FILE_LIST`.
const FILE_LIST: u32 = 6;

/// How long a program may take to do what its keys say before it is told again.
const RETRY_AFTER: Duration = Duration::from_secs(3);

/// How often it is told.
const TRIES: u32 = 5;

/// How long a program has to paste before more is typed; longer with each time.
const PASTED_AFTER: Duration = Duration::from_millis(300);

fn xdotool(desktop: &Desktop, arguments: &[&str]) {
    let mut command = Command::new("timeout");
    command.args(["15", "xdotool"]).args(arguments);
    let result = desktop.client(&mut command).output().unwrap();
    assert!(result.status.success(), "xdotool {arguments:?}: {result:?}");
}

/// Waits for a window of this class, and types these keys in it.
fn type_into(desktop: &Desktop, class: &str, keys: &[&str]) {
    let window = ["search", "--sync", "--onlyvisible", "--class", class];
    xdotool(desktop, &[&window[..], &["windowfocus", "--sync"]].concat());
    xdotool(desktop, &[&["key"], keys].concat());
}

/// Has a program paste what the client copies, type an exclamation mark behind it, and copy all of that. Everything
/// anew until the client gets it: what is typed before the program listens is lost, and so is what is typed before it
/// has pasted.
fn paste_and_copy(copying: &mut Copying, class: &str, file: &Path, copied: &str) {
    let wait = format!("clip-wait {CLIPBOARD} {TEXT} {}", RETRY_AFTER.as_millis());
    let mut received = Vec::new();
    for attempt in 1..=TRIES {
        copying.copy_at_client(CLIPBOARD, TEXT, file);
        copying.wait_for_offer_in_desktop("clipboard");
        type_into(&copying.desktop, class, &["ctrl+a", "ctrl+v"]);
        copying.client.idle(PASTED_AFTER * attempt);
        xdotool(&copying.desktop, &["key", "exclam", "ctrl+a", "ctrl+c"]);
        if copying.client.ask_for(&wait, RETRY_AFTER)["ok"] == true {
            received = copying.paste_at_client(CLIPBOARD, TEXT).0;
        }
        if received == copied.as_bytes() {
            return;
        }
    }
    panic!("{:?}", String::from_utf8_lossy(&received));
}

#[test]
fn a_gtk_program_pastes_and_copies() {
    let _others = crate::beside_others();
    let mut copying = Copying::start(&[]);
    let text = "pasted into GTK: é€𝄞";
    let file = copying.file("content", text.as_bytes());
    let entry = Running::start(Path::new("/usr/bin/zenity"), Stdio::null(), |command| {
        let arguments = ["--entry", "--title", "pasting", "--text", "here"];
        copying
            .desktop
            .client(command.args(arguments).env("NO_AT_BRIDGE", "1"));
    });
    let copied = format!("{text}!");
    paste_and_copy(&mut copying, "zenity", &file, &copied);
    xdotool(&copying.desktop, &["key", "Return"]);
    assert_eq!(
        entry.try_line(OFFER_TIMEOUT).as_deref(),
        Some(copied.as_str())
    );
}

#[test]
fn a_qt_editor_pastes_and_copies() {
    let _others = crate::beside_others();
    let mut copying = Copying::start(&[]);
    let text = "pasted into Qt: é€𝄞\nand a second line";
    let file = copying.file("content", text.as_bytes());
    let home = tempfile::tempdir().unwrap();
    let _editor = Running::start(Path::new("/usr/bin/featherpad"), Stdio::null(), |command| {
        copying.desktop.client(command.arg("--standalone"));
        command.env("HOME", home.path()).stderr(Stdio::null());
    });
    let copied = format!("{text}!");
    paste_and_copy(&mut copying, "featherpad", &file, &copied);
}

/// A desktop with a client that shares a folder, which GVFS has mounted; and the folder's address in the desktop.
struct Sharing {
    copying: Copying,
    folder: tempfile::TempDir,
    runtime: tempfile::TempDir,
    address: String,
}

impl Sharing {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a letter.txt"), "the letter").unwrap();
        let runtime = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .tempdir()
            .unwrap();
        let arguments = ["--auth", "none", "-g", "800x600", "--name", "files"];
        let desktop = Desktop::caraway_with(&arguments, |command| {
            command.env("XDG_RUNTIME_DIR", runtime.path());
        });
        let mut client = Watcher::new(&desktop);
        client.order(&format!("share {}", folder.path().display()));
        let answer = client.open(&desktop.uri, &desktop.password);
        assert_eq!(answer["ok"], true, "{answer}");
        let mut sharing = Self {
            copying: Copying::between(desktop, client),
            folder,
            runtime,
            address: String::new(),
        };
        let list = sharing.runtime.path().join("caraway/files/shared-folders");
        let is_mounted = wait_until(OFFER_TIMEOUT, || {
            let text = std::fs::read_to_string(&list).unwrap_or_default();
            sharing.address = text.split('\t').next().unwrap_or_default().to_owned();
            let mut gio = Command::new("gio");
            sharing.session(gio.args(["mount", "--list"]));
            let mounts = gio.output().unwrap().stdout;
            !sharing.address.is_empty()
                && String::from_utf8_lossy(&mounts).contains(&sharing.address)
        });
        assert!(is_mounted, "{}", sharing.copying.desktop.log());
        sharing
    }

    /// The program runs in the desktop's session.
    fn session(&self, command: &mut Command) {
        let runtime = self.runtime.path();
        let bus = runtime.join("caraway/files/bus");
        command
            .env("HOME", runtime)
            .env("XDG_RUNTIME_DIR", runtime)
            .env(
                "DBUS_SESSION_BUS_ADDRESS",
                format!("unix:path={}", bus.display()),
            )
            .stderr(Stdio::null());
    }

    fn file_manager(&self, place: &str) -> Running {
        Running::start(Path::new("/usr/bin/pcmanfm"), Stdio::null(), |command| {
            self.copying.desktop.client(command.arg(place));
            self.session(command);
        })
    }
}

#[test]
fn files_copied_at_a_client_are_pasted_in_a_file_manager() {
    let _others = crate::beside_others();
    let mut sharing = Sharing::start();
    let target = tempfile::tempdir().unwrap();
    let _manager = sharing.file_manager(target.path().to_str().unwrap());
    let copying = &mut sharing.copying;
    let list = copying.file("list", b"copy\0/a letter.txt\0");
    copying.copy_at_client(CLIPBOARD, FILE_LIST, &list);
    copying.wait_for_offer_in_desktop("clipboard");
    let pasted = target.path().join("a letter.txt");
    let is_whole = || std::fs::read(&pasted).is_ok_and(|text| text == b"the letter");
    let came = (0..TRIES).any(|_| {
        type_into(&copying.desktop, "pcmanfm", &["ctrl+v"]);
        wait_until(RETRY_AFTER, is_whole)
    });
    assert!(came, "{}", copying.desktop.log());
}

#[test]
fn files_copied_in_a_file_manager_are_listed_to_the_client_whose_folder_has_them() {
    let _others = crate::beside_others();
    let mut sharing = Sharing::start();
    let manager = sharing.file_manager(&sharing.address);
    let copying = &mut sharing.copying;
    let wait = format!(
        "clip-wait {CLIPBOARD} {FILE_LIST} {}",
        RETRY_AFTER.as_millis()
    );
    let offered = (0..TRIES).any(|_| {
        type_into(&copying.desktop, "pcmanfm", &["ctrl+a", "ctrl+c"]);
        copying.client.ask_for(&wait, RETRY_AFTER)["ok"] == true
    });
    assert!(offered, "{}", copying.desktop.log());
    let (list, _) = copying.paste_at_client(CLIPBOARD, FILE_LIST);
    assert_eq!(String::from_utf8_lossy(&list), "copy\0/a letter.txt\0");
    drop(manager);
    // Of other files of the desktop the client has none.
    let elsewhere = copying.file("list", b"file:///etc/hostname\r\n");
    let _program = copying.copy_in_desktop("clipboard", "text/uri-list", &elsewhere);
    copying.wait_for_offer_at_client(CLIPBOARD, FILE_LIST);
    let (nothing, _) = copying.paste_at_client(CLIPBOARD, FILE_LIST);
    assert_eq!(nothing, b"");
    let said = wait_until(OFFER_TIMEOUT, || {
        copying.desktop.log().contains("files that lie outside")
    });
    assert!(said, "{}", copying.desktop.log());
    // Nor has a client that shares nothing.
    let other = Watcher::connect(&copying.desktop).order("clip-stats");
    assert_eq!(other["grabs"], 0, "{other}");
    assert!(sharing.folder.path().join("a letter.txt").exists());
}

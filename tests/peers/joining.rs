//! A display that is there already, shown and used from afar: `caraway start --join`. An Xvfb stands for the console.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use x11rb::protocol::Event;

use crate::instruments::{product, spice_peer, x_draw};
use crate::process::{Running, wait_until};
use crate::x_client::XClient;
use crate::xvfb::start_xvfb;

const PATIENCE: Duration = Duration::from_secs(20);

/// From the end of motion to the last pixel.
const EXACT_WITHIN: Duration = Duration::from_secs(1);

/// For a key or a motion.
const INPUT_TIMEOUT: Duration = Duration::from_secs(5);

/// PC scancode of the letter A, and its X key code.
const SCANCODE_A: u32 = 30;
const KEY_A: u8 = 38;

/// A display of the host, a desktop that has joined it, and a client of that.
struct Joined {
    client: Running,
    desktop: Running,
    name: String,
    console: XClient,
    display: String,
    xvfb: Running,
    folder: tempfile::TempDir,
}

impl Joined {
    fn start(what: &str) -> Self {
        let (xvfb, display) = start_xvfb("1000x700");
        let console = XClient::open(&display, "".as_ref());
        let folder = tempfile::tempdir().unwrap();
        let name = format!("{what}-{}", std::process::id());
        let log = File::create(folder.path().join("log")).unwrap();
        let desktop = Running::start(&product("caraway"), Stdio::from(log), |command| {
            command.args(["start", "--json", "--auth", "none", "--name", &name]);
            command.args(["--join", &display]);
        });
        let about = desktop.json(PATIENCE);
        let client = Running::start(spice_peer(), Stdio::inherit(), |_| ());
        let mut joined = Self {
            client,
            desktop,
            name,
            console,
            display,
            xvfb,
            folder,
        };
        joined.order(&format!("connect {}", about["uris"][0].as_str().unwrap()));
        joined.order("wait-mark 20000");
        joined
    }

    fn order(&mut self, command: &str) -> Value {
        self.client.send(command);
        let answer = self.client.json(PATIENCE);
        assert_eq!(answer["ok"], true, "{command}: {answer}\n{}", self.log());
        answer
    }

    /// Holds the client's picture to what the console shows.
    fn hold_exact(&mut self, within: Duration) {
        let command = format!("wait-exact {} {}", self.display, within.as_millis());
        self.order(&command);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The next key or button at the console.
    fn heard(&self) -> Option<(&'static str, u8)> {
        self.console.wait_for(INPUT_TIMEOUT, |event| match event {
            Event::KeyPress(event) => Some(("key down", event.detail)),
            Event::KeyRelease(event) => Some(("key up", event.detail)),
            Event::ButtonPress(event) => Some(("button down", event.detail)),
            Event::ButtonRelease(event) => Some(("button up", event.detail)),
            _ => None,
        })
    }
}

#[test]
fn a_joined_display_is_exact_when_motion_ends() {
    let _others = crate::beside_others();
    let mut joined = Joined::start("join-exact");
    let display = joined.display.clone();
    let drawing = Running::start(x_draw(), Stdio::inherit(), |command| {
        command
            .args(["random", "7", "2000", "1"])
            .env("DISPLAY", &display);
    });
    drawing.event("done", PATIENCE);
    joined.hold_exact(EXACT_WITHIN);
}

#[test]
fn who_has_joined_types_and_points_at_the_console_and_leaves_nothing_pressed() {
    let _others = crate::beside_others();
    let mut joined = Joined::start("join-input");
    joined.console.cover_screen();
    joined.hold_exact(PATIENCE);
    joined.console.forget_events();
    for (what, code) in [("down", ("key down", KEY_A)), ("up", ("key up", KEY_A))] {
        joined.order(&format!("key {SCANCODE_A} {what}"));
        assert_eq!(joined.heard(), Some(code), "{}", joined.log());
    }
    joined.order("mouse-mode client");
    // The mode changes when the server says so.
    let moved = wait_until(INPUT_TIMEOUT, || {
        joined.order("position 640 480 0");
        joined.console.pointer() == (640, 480)
    });
    assert!(moved, "{:?}", joined.console.pointer());
    joined.order("press 1 0");
    joined.order(&format!("key {SCANCODE_A} down"));
    assert_eq!(joined.heard(), Some(("button down", 1)));
    assert_eq!(joined.heard(), Some(("key down", KEY_A)));
    let stopped = Command::new(product("caraway"))
        .args(["stop", &joined.name])
        .status();
    assert!(stopped.unwrap().success());
    let released = [joined.heard(), joined.heard()];
    for expected in [("button up", 1), ("key up", KEY_A)] {
        assert!(released.contains(&Some(expected)), "{released:?}");
    }
    assert_eq!(joined.desktop.exit_code(PATIENCE), Some(0));
    assert!(joined.xvfb.is_running(), "the console goes on");
}

#[test]
fn the_end_of_a_joined_display_is_said_in_a_sentence() {
    let _others = crate::beside_others();
    let mut joined = Joined::start("join-end");
    assert!(
        joined.log().contains("uses this desktop, too"),
        "{}",
        joined.log()
    );
    let xvfb = nix::unistd::Pid::from_raw(joined.xvfb.pid());
    nix::sys::signal::kill(xvfb, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(
        joined.desktop.exit_code(PATIENCE),
        Some(0),
        "{}",
        joined.log()
    );
    let sentence = format!("display {} has ended", joined.display);
    assert!(joined.log().contains(&sentence), "{}", joined.log());
    let again = Command::new(product("caraway"))
        .args(["start", "--auth", "none", "--join", &joined.display])
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains("there is no display"), "{said}");
}

//! A person who watches: a screen of the desktop's size (Xvfb), a stock viewer that fills it, and an eye on the screen.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::damage::{ConnectionExt as _, Damage, ReportLevel};
use x11rb::protocol::xfixes::ConnectionExt as _;
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConnectionExt as _, KEY_PRESS_EVENT,
    KEY_RELEASE_EVENT,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

use crate::output_folder;
use crate::process::Running;
use crate::strip;
use crate::x_client::XClient;
use crate::xvfb::{start_xvfb, view_on};

/// How long each process may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// A screen that has not changed for so long rests; one that never does is not waited for longer than this.
pub(crate) const QUIET: Duration = Duration::from_millis(300);
pub(crate) const QUIET_TIMEOUT: Duration = Duration::from_secs(3);

/// X key code of the letter A.
const KEY_A: u8 = 38;

/// How the window manager of the seat is told to be nothing but a way to fill the screen.
const WINDOW_MANAGER_PREFERENCES: &str =
    "ShowTaskBar=0\nFocusMode=1\nFocusOnMap=1\nQuickSwitch=0\nEdgeSwitch=0\n";

/// The viewers that people have.
#[derive(Clone, Copy)]
pub(crate) enum ViewerProgram {
    RemoteViewer,
    TigerVncViewer,
}

/// The screen with its viewer.
pub(crate) struct Seat {
    pub(crate) screen: XClient,
    damage: Damage,
    /// When the screen last changed, by CLOCK_MONOTONIC, as far as it was waited for.
    pub(crate) changed_us: i64,
    viewer: Running,
    window_manager: Running,
    xvfb: Running,
    _home: tempfile::TempDir,
}

/// CLOCK_MONOTONIC in microseconds, which the drawing program tells its times in.
pub(crate) fn now_us() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000
}

impl Seat {
    /// Starts all of it on a desktop of `geometry` that is served at `uri`.
    pub(crate) fn start(program: ViewerProgram, uri: &str, geometry: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (xvfb, display) = start_xvfb(geometry);
        let screen = XClient::open(&display, Path::new(""));
        let window_manager = start_window_manager(home.path(), |command| {
            command.env("DISPLAY", &display);
        });
        let viewer = start_viewer(program, uri, &display, home.path());
        let damage = watch(&screen);
        let seat = Self {
            screen,
            damage,
            changed_us: 0,
            viewer,
            window_manager,
            xvfb,
            _home: home,
        };
        seat.put_pointer_away();
        seat
    }

    /// Where it is over nothing that answers to it: viewers have tool bars at the top.
    fn put_pointer_away(&self) {
        let (x, y) = (self.screen.width / 2, self.screen.height * 3 / 4);
        let (x, y) = (i16::try_from(x).unwrap(), i16::try_from(y).unwrap());
        self.screen
            .connection
            .warp_pointer(x11rb::NONE, self.screen.root, 0, 0, 0, 0, x, y)
            .unwrap();
        self.screen.connection.sync().unwrap();
    }

    pub(crate) fn viewer_is_running(&mut self) -> bool {
        self.viewer.is_running()
    }

    /// Waits for a change of the screen for that long; says whether there was one, and notes when.
    pub(crate) fn wait_change(&mut self, timeout: Duration) -> bool {
        let connection = &self.screen.connection;
        let mut changed = false;
        let mut drain = || {
            while let Some(event) = connection.poll_for_event().unwrap() {
                changed |= matches!(event, Event::DamageNotify(_));
            }
            changed
        };
        if !drain() {
            let mut sources = [PollFd::new(connection.stream().as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(timeout).unwrap();
            // An interrupted wait is one without a change.
            let _ = poll(&mut sources, timeout);
            drain();
        }
        if changed {
            self.changed_us = now_us();
            // From here on the next change is told again.
            connection
                .damage_subtract(self.damage, x11rb::NONE, x11rb::NONE)
                .unwrap();
            connection.flush().unwrap();
        }
        changed
    }

    /// Waits until the screen has not changed for `quiet`, at most `timeout`.
    pub(crate) fn wait_quiet(&mut self, quiet: Duration, timeout: Duration) {
        let deadline = now_us() + i64::try_from(timeout.as_micros()).unwrap();
        while self.wait_change(quiet) && now_us() < deadline {}
    }

    /// The number that the strip at that place of the screen shows, if it shows one.
    pub(crate) fn number(&self, (x, y): (u16, u16)) -> Option<u32> {
        strip::number(&self.screen.area(x, y, strip::WIDTH, strip::HEIGHT))
    }

    /// Clicks into the viewer, so that it has the keyboard.
    pub(crate) fn click(&mut self) {
        for kind in [BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT] {
            self.screen
                .connection
                .xtest_fake_input(kind, 1, 0, x11rb::NONE, 0, 0, 0)
                .unwrap();
            self.screen.connection.sync().unwrap();
        }
        self.wait_quiet(QUIET, QUIET_TIMEOUT);
    }

    /// Presses or releases a key of the viewer's keyboard.
    pub(crate) fn key(&self, pressed: bool) {
        let kind = if pressed {
            KEY_PRESS_EVENT
        } else {
            KEY_RELEASE_EVENT
        };
        self.screen
            .connection
            .xtest_fake_input(kind, KEY_A, 0, x11rb::NONE, 0, 0, 0)
            .unwrap();
        self.screen.connection.flush().unwrap();
    }

    /// Writes what the screen shows as a binary PPM into the output folder, and returns the file's name.
    pub(crate) fn save(&self, name: &str) -> String {
        save_picture(name, &self.screen)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Asked in a friendly way, an X server takes its files away. The viewer ends before its screen.
        for process in [&mut self.viewer, &mut self.window_manager, &mut self.xvfb] {
            process.stop(STOP_TIMEOUT);
        }
    }
}

/// Writes the root window as a binary PPM into the output folder, and returns the file's name.
pub(crate) fn save_picture(name: &str, screen: &XClient) -> String {
    let path = output_folder().join(format!("{name}.ppm"));
    let mut bytes = format!("P6\n{} {}\n255\n", screen.width, screen.height).into_bytes();
    bytes.extend(
        screen
            .picture()
            .iter()
            .flat_map(|pixel| pixel.to_be_bytes()[1..].to_vec()),
    );
    std::fs::File::create(&path)
        .unwrap()
        .write_all(&bytes)
        .unwrap();
    path.display().to_string()
}

/// Has changes of the screen reported.
fn watch(screen: &XClient) -> Damage {
    let connection = &screen.connection;
    connection
        .xfixes_query_version(5, 0)
        .unwrap()
        .reply()
        .unwrap();
    connection
        .damage_query_version(1, 1)
        .unwrap()
        .reply()
        .unwrap();
    let damage = connection.generate_id().unwrap();
    connection
        .damage_create(damage, screen.root, ReportLevel::NON_EMPTY)
        .unwrap();
    connection.sync().unwrap();
    damage
}

/// Viewers and browsers fill the screen only when a window manager is there to be asked.
pub(crate) fn start_window_manager(home: &Path, set_up: impl FnOnce(&mut Command)) -> Running {
    let folder = home.join("icewm");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("prefoverride"), WINDOW_MANAGER_PREFERENCES).unwrap();
    Running::start(Path::new("/usr/bin/icewm"), Stdio::null(), |command| {
        command.env("HOME", home).env("ICEWM_PRIVCFG", &folder);
        set_up(command);
    })
}

fn start_viewer(program: ViewerProgram, uri: &str, display: &str, home: &Path) -> Running {
    let address = uri.rsplit('/').next().unwrap().replace(':', "::");
    let (path, arguments) = match program {
        ViewerProgram::RemoteViewer => ("/usr/bin/remote-viewer", vec!["--full-screen", uri]),
        ViewerProgram::TigerVncViewer => (
            "/usr/bin/xtigervncviewer",
            vec![
                "-FullScreen",
                "-RemoteResize=0",
                "-SecurityTypes=None",
                "-ReconnectOnError=0",
                "-AlertOnFatalError=0",
                &address,
            ],
        ),
    };
    let log = std::fs::File::create(output_folder().join("viewer.log")).unwrap();
    Running::start(Path::new(path), Stdio::from(log), |command| {
        view_on(command.args(&arguments), display, home);
    })
}

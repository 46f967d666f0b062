//! A screen for a viewer where there is no monitor: an X server of its own, Xvfb.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::desktop::free_display;
use crate::process::{Running, wait_until};

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Starts one of that size; gives it with the name of its display.
pub(crate) fn start_xvfb(geometry: &str) -> (Running, String) {
    let display = free_display();
    let depth = format!("{geometry}x24");
    let xvfb = Running::start(Path::new("/usr/bin/Xvfb"), Stdio::null(), |command| {
        let options = ["-screen", "0", &depth, "-nolisten", "tcp", "-noreset"];
        command.arg(&display).args(options);
    });
    let socket = format!("/tmp/.X11-unix/X{}", &display[1..]);
    let up = wait_until(START_TIMEOUT, || UnixStream::connect(&socket).is_ok());
    assert!(up, "Xvfb does not start");
    (xvfb, display)
}

/// Makes `command` a viewer on that display which finds nothing that the user has set.
pub(crate) fn view_on(command: &mut Command, display: &str, home: &Path) {
    command
        .env("DISPLAY", display)
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("GDK_BACKEND", "x11")
        .env("NO_AT_BRIDGE", "1")
        .env("GSETTINGS_BACKEND", "memory")
        // spice-gtk holds each press back by 100 ms to see whether it is released.
        .env("SPICE_KEYPRESS_DELAY", "0")
        .env_remove("WAYLAND_DISPLAY");
}

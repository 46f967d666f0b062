//! Words shown in the desktop, by whatever shows notifications there (org.freedesktop.Notifications on its own D-Bus).
//!
//! `gdbus` of GLib speaks to it, as `gio` does for mounts. Where the host has no such program, the desktop no bus, or
//! nobody shows notifications, the words are in the log alone.

use std::collections::VecDeque;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::name::DesktopName;
use crate::process::bound;
use crate::xorg::pid_of;

const GDBUS: &str = "gdbus";

/// Notifications that wait for others.
const WAITING_MAX: usize = 16;

/// Seconds in which the bus has to answer.
const ANSWER_S: &str = "5";

/// How long a notification is shown, in milliseconds.
const SHOWN_MS: &str = "15000";

/// What is shown and is to be shown.
#[derive(Debug)]
pub(super) struct Notifications {
    gdbus: Option<PathBuf>,
    bus_address: String,
    title: String,
    waiting: VecDeque<[String; 2]>,
    running: Option<Pid>,
}

impl Notifications {
    pub(super) fn new(name: &DesktopName, bus_socket: Option<&Path>) -> Self {
        let socket = bus_socket.unwrap_or(Path::new("")).display().to_string();
        Self {
            gdbus: bus_socket.and_then(|_| find()),
            bus_address: format!("unix:path={socket}"),
            title: format!("Desktop {name}"),
            waiting: VecDeque::new(),
            running: None,
        }
    }

    /// Shows `text` under `heading` when what was to be shown before is.
    pub(super) fn show(&mut self, heading: &str, text: &str) {
        if self.waiting.len() < WAITING_MAX {
            let heading = format!("{}: {heading}", self.title);
            self.waiting.push_back([heading, text.to_owned()]);
        }
        self.step();
    }

    /// A process that nobody else knows has ended.
    pub(super) fn ended(&mut self, pid: Pid) {
        if self.running == Some(pid) {
            self.running = None;
            self.step();
        }
    }

    fn step(&mut self) {
        let (None, Some(gdbus)) = (self.running, &self.gdbus) else {
            self.waiting.truncate(WAITING_MAX);
            return;
        };
        let Some([heading, text]) = self.waiting.pop_front() else {
            return;
        };
        self.running = run(gdbus, &self.bus_address, &heading, &text).ok();
    }
}

/// The program that speaks to D-Bus, if this host has it.
pub(crate) fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut programs = env::split_paths(&path).map(|dir| dir.join(GDBUS));
    programs.find(|program| program.is_file())
}

fn run(gdbus: &Path, bus_address: &str, heading: &str, text: &str) -> io::Result<Pid> {
    let mut command = bound::command(gdbus, Signal::SIGTERM);
    command.args(["call", "--session", "--timeout", ANSWER_S]);
    command.args(["--dest", "org.freedesktop.Notifications"]);
    command.args(["--object-path", "/org/freedesktop/Notifications"]);
    command.args(["--method", "org.freedesktop.Notifications.Notify", "--"]);
    // With their types: where nobody answers there is nobody to ask for them.
    command.args([
        &quoted("Caraway"),
        "uint32 0",
        &quoted("dialog-information"),
    ]);
    command.args([
        &quoted(heading),
        &quoted(&escaped(text)),
        "@as []",
        "@a{sv} {}",
    ]);
    command
        .arg(format!("int32 {SHOWN_MS}"))
        .env("DBUS_SESSION_BUS_ADDRESS", bus_address)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(pid_of(&command.spawn()?))
}

/// A string as GVariant's text form has it.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace(char::is_control, " "))
}

/// Text that no markup begins in.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        assert_eq!(quoted("a\"b\\c\nd"), "\"a\\\"b\\\\c d\"");
        assert_eq!(escaped("<b>&"), "&lt;b&gt;&amp;");
    }

    #[test]
    fn without_a_bus_nothing_runs_and_nothing_grows() {
        let mut notifications = Notifications::new(&"desk".parse().unwrap(), None);
        for _ in 0..10 * WAITING_MAX {
            notifications.show("heading", "text");
        }
        assert_eq!(notifications.running, None);
        assert!(notifications.waiting.len() <= WAITING_MAX);
    }
}

//! Words shown in the desktop, by whatever shows notifications there (org.freedesktop.Notifications on its own D-Bus).
//!
//! `gdbus` of GLib speaks to it, as `gio` does for mounts. Where the host has no such program, the desktop no bus, or
//! nobody shows notifications, the words are in the log alone.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use crate::name::DesktopName;
use crate::process::bus_program::BusProgram;
use crate::process::programs;

const GDBUS: &str = "gdbus";

/// Notifications that wait for others.
const WAITING_MAX: usize = 16;

/// What is called; the bus has 5 s to answer.
const CALL: [&str; 11] = [
    "call",
    "--session",
    "--timeout",
    "5",
    "--dest",
    "org.freedesktop.Notifications",
    "--object-path",
    "/org/freedesktop/Notifications",
    "--method",
    "org.freedesktop.Notifications.Notify",
    "--",
];

/// How long a notification is shown, in milliseconds.
const SHOWN_MS: &str = "15000";

/// What is shown and is to be shown.
#[derive(Debug)]
pub(super) struct Notifications {
    gdbus: BusProgram,
    title: String,
    waiting: VecDeque<[String; 2]>,
}

impl Notifications {
    pub(super) fn new(name: &DesktopName, bus_socket: Option<&Path>) -> Self {
        Self {
            gdbus: BusProgram::new(GDBUS, bus_socket),
            title: format!("Desktop {name}"),
            waiting: VecDeque::new(),
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
        if self.gdbus.has_ended(pid) {
            self.step();
        }
    }

    fn step(&mut self) {
        if !self.gdbus.is_free() {
            return;
        }
        if let Some([heading, text]) = self.waiting.pop_front() {
            let words = arguments(&heading, &text);
            self.gdbus.run(words.iter().map(String::as_str));
        }
    }
}

/// The program that speaks to D-Bus, if this host has it.
pub(crate) fn find() -> Option<PathBuf> {
    programs::in_path(GDBUS)
}

/// With their types: where nobody answers there is nobody to ask for them.
fn arguments(heading: &str, text: &str) -> Vec<String> {
    let mut words: Vec<String> = CALL.map(str::to_owned).to_vec();
    words.extend([
        quoted("Caraway"),
        "uint32 0".into(),
        quoted("dialog-information"),
        quoted(heading),
        quoted(&escaped(text)),
        "@as []".into(),
        "@a{sv} {}".into(),
        format!("int32 {SHOWN_MS}"),
    ]);
    words
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
        assert_eq!(notifications.waiting.len(), WAITING_MAX);
    }
}

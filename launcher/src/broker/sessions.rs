//! Other graphical sessions of a user, as logind knows them: at the console, by another remote desktop, by Wayland.

use std::io;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The tool that asks logind.
const PROGRAM: &str = "loginctl";

/// What is asked of each session.
const PROPERTIES: [&str; 9] = [
    "-pId",
    "-pUser",
    "-pType",
    "-pClass",
    "-pService",
    "-pState",
    "-pRemote",
    "-pSeat",
    "-pDisplay",
];

/// Time for a session to end that is taken over.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// Between two looks whether it has.
const END_LOOK: Duration = Duration::from_millis(100);

/// What a session is made of, as far as this matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    X11,
    /// Wayland and what came before it: nobody but the compositor sees the picture.
    Compositor,
    /// A terminal with a seat, where startx may have been called.
    Terminal,
}

/// A session at a seat or a graphical one that the gateway has not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    id: String,
    is_remote: bool,
    seat: String,
    kind: Kind,
    display: String,
}

impl Session {
    #[cfg(test)]
    pub(super) fn at_console(id: &str, kind: Kind) -> Self {
        Self {
            id: id.into(),
            is_remote: false,
            seat: "seat0".into(),
            kind,
            display: String::new(),
        }
    }

    /// By what logind knows it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its X display, if logind was told.
    pub(super) fn display(&self) -> Option<&str> {
        Some(self.display.as_str()).filter(|display| !display.is_empty())
    }

    fn is_graphical(&self) -> bool {
        self.kind != Kind::Terminal
    }

    /// Where it is, for a sentence.
    pub(super) fn place(&self) -> String {
        match (self.is_remote, self.seat.as_str()) {
            (true, _) => "from another computer".into(),
            (false, "" | "seat0") => "at the console".into(),
            (false, seat) => format!("at {seat}"),
        }
    }
}

/// The user's graphical sessions that the gateway has not made (`service` is how PAM calls those it has). Where there
/// is no logind there are none.
pub(super) fn others(uid: u32, service: &str) -> Vec<Session> {
    let mut all = all(uid, service);
    all.retain(Session::is_graphical);
    all
}

/// The same, graphical ones first, and behind them terminals of a seat.
pub(super) fn others_and_terminals(uid: u32, service: &str) -> Vec<Session> {
    let mut all = all(uid, service);
    all.sort_by_key(|session| !session.is_graphical());
    all
}

fn all(uid: u32, service: &str) -> Vec<Session> {
    let Ok(list) = ask(&["list-sessions", "--no-legend"]) else {
        return Vec::new();
    };
    let ids: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    if ids.is_empty() {
        return Vec::new();
    }
    // One that has just ended is an error of loginctl's beside the others' answers.
    let mut words = vec!["show-session"];
    words.extend(PROPERTIES);
    words.extend(ids);
    parse(&ask(&words).unwrap_or_default(), uid, service)
}

/// Ends sessions, and waits until they have.
///
/// # Errors
/// `TimedOut` when one does not end.
pub(super) fn end(uid: u32, service: &str, sessions: &[Session]) -> io::Result<()> {
    for session in sessions {
        ask(&["terminate-session", &session.id])?;
    }
    let deadline = Instant::now() + END_DEADLINE;
    while others(uid, service)
        .iter()
        .any(|left| sessions.contains(left))
    {
        if deadline <= Instant::now() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        sleep(END_LOOK);
    }
    Ok(())
}

fn ask(words: &[&str]) -> io::Result<String> {
    let output = Command::new(PROGRAM)
        .args(words)
        .env("LC_ALL", "C")
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Blocks of `Name=value` lines, apart by empty lines.
fn parse(text: &str, uid: u32, service: &str) -> Vec<Session> {
    let block = |block: &str| {
        let value = |name: &str| {
            let lines = block.lines().filter_map(|line| line.split_once('='));
            lines
                .filter(|(known, _)| *known == name)
                .map(|(_, value)| value)
                .next()
                .unwrap_or_default()
        };
        let kind = match value("Type") {
            "x11" => Some(Kind::X11),
            "wayland" | "mir" => Some(Kind::Compositor),
            "tty" if !value("Seat").is_empty() => Some(Kind::Terminal),
            _ => None,
        };
        let is_users = value("User") == uid.to_string() && value("Class") == "user";
        let is_other = value("Service") != service && value("State") != "closing";
        kind.filter(|_| is_users && is_other).map(|kind| Session {
            id: value("Id").into(),
            is_remote: value("Remote") == "yes",
            seat: value("Seat").into(),
            kind,
            display: value("Display").into(),
        })
    };
    text.split("\n\n").filter_map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_sessions_of_the_user_with_a_screen_count() {
        let session = |id: u32, changes: &[(&str, &str)]| {
            let mut fields = vec![
                ("User", "1000"),
                ("Type", "x11"),
                ("Class", "user"),
                ("Service", "gdm-password"),
                ("State", "active"),
                ("Remote", "no"),
                ("Seat", "seat0"),
                ("Display", ""),
            ];
            for (name, value) in changes {
                fields.retain(|(known, _)| known != name);
                fields.push((name, value));
            }
            let lines: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("Id={id}\n{}\n", lines.join("\n"))
        };
        let text = [
            session(1, &[]),
            session(2, &[("User", "1001")]),
            session(3, &[("Type", "tty"), ("Seat", "")]),
            session(4, &[("Class", "manager")]),
            session(5, &[("Service", "caraway-gateway")]),
            session(6, &[("State", "closing")]),
            session(7, &[("Type", "wayland"), ("Remote", "yes"), ("Seat", "")]),
            session(8, &[("Type", "tty"), ("Display", ":3")]),
        ];
        let found = parse(&text.join("\n"), 1000, "caraway-gateway");
        let told: Vec<_> = found
            .iter()
            .map(|session| (session.id(), session.place(), session.kind()))
            .collect();
        assert_eq!(
            told,
            [
                ("1", "at the console".to_owned(), Kind::X11),
                ("7", "from another computer".to_owned(), Kind::Compositor),
                ("8", "at the console".to_owned(), Kind::Terminal),
            ]
        );
        let displays: Vec<_> = found.iter().map(Session::display).collect();
        assert_eq!(displays, [None, None, Some(":3")]);
        assert_eq!(parse("", 1000, ""), []);
    }
}

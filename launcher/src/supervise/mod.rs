//! What to do when a part of a desktop ends, or the user wants the desktop to end.
//!
//! Pure: what happened and the time come in, what is to be done comes out. Times are spans since the
//! launcher's start.

mod backoff;
mod closing;

use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

pub(crate) use self::backoff::Backoff;
use self::closing::Closing;
use crate::process::reaper::Ended;

/// A process that the launcher started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    /// The holder of the D-Bus session and the user's COMMAND.
    Session,
    /// caraway-server.
    Server,
    /// Xorg.
    Xorg,
}

/// How the desktop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As wished: COMMAND was done, or the user ended it.
    Done,
    /// Otherwise, and why, as one sentence.
    Failed(String),
}

/// What the caller has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send a signal to a part that runs.
    Signal(Part, Signal),
    /// Start another server.
    StartServer,
    /// Tell the user.
    Say(String),
}

/// The state of one desktop's parts.
#[derive(Debug)]
pub(crate) struct Supervisor {
    /// How the user's COMMAND is called in sentences.
    command: String,
    parts: Vec<Part>,
    backoff: Backoff,
    server_since: Duration,
    restart_at: Option<Duration>,
    /// Whether the server ends because another one is to take its place.
    replacing: bool,
    closing: Option<Closing>,
    outcome: Outcome,
}

impl Supervisor {
    /// A desktop of which nothing runs yet.
    pub(crate) fn new(command: String) -> Self {
        Self {
            command,
            parts: Vec::new(),
            backoff: Backoff::default(),
            server_since: Duration::ZERO,
            restart_at: None,
            replacing: false,
            closing: None,
            outcome: Outcome::Done,
        }
    }

    /// A part was started.
    pub(crate) fn started(&mut self, part: Part, now: Duration) {
        self.parts.push(part);
        if part == Part::Server {
            self.server_since = now;
        }
    }

    /// A part ended while the desktop was being started; what to do then is `stop`.
    pub(crate) fn ended_early(&mut self, part: Part) {
        self.parts.retain(|&running| running != part);
    }

    /// A part ended.
    pub(crate) fn ended(&mut self, part: Part, how: Ended, now: Duration) -> Vec<Action> {
        self.ended_early(part);
        if self.closing.is_some() {
            return self.go_on(now);
        }
        match part {
            Part::Server if std::mem::take(&mut self.replacing) => vec![Action::StartServer],
            Part::Server => self.server_gone(format!("caraway-server ended ({how})"), now),
            Part::Xorg => self.stop(
                Outcome::Failed(format!("Xorg ended ({how}); the desktop is gone")),
                now,
            ),
            Part::Session if how == Ended::Exited(0) => self.stop(Outcome::Done, now),
            Part::Session => self.stop(
                Outcome::Failed(format!("{} ended with {how}", self.command)),
                now,
            ),
        }
    }

    /// There is no server, for the reason `what`; another is started after a while.
    pub(crate) fn server_gone(&mut self, what: String, now: Duration) -> Vec<Action> {
        if self.closing.is_some() {
            return self.go_on(now);
        }
        let pause = self
            .backoff
            .pause_after(now.saturating_sub(self.server_since));
        self.server_since = now;
        self.restart_at = Some(now + pause);
        let pause = pause.as_secs_f32();
        vec![Action::Say(format!(
            "{what}; the desktop lives, starting it again in {pause:.1} s"
        ))]
    }

    /// Another server shall take the place of the one that runs, at once. One that is to be started is new anyway.
    pub(crate) fn replace_server(&mut self) -> Vec<Action> {
        if self.closing.is_some() || !self.parts.contains(&Part::Server) {
            return Vec::new();
        }
        self.replacing = true;
        // It has nothing of its own to tidy up.
        vec![Action::Signal(Part::Server, Signal::SIGKILL)]
    }

    /// The desktop has to end; asked for a second time, it has to end soon. The first outcome stays.
    pub(crate) fn stop(&mut self, outcome: Outcome, now: Duration) -> Vec<Action> {
        self.restart_at = None;
        match &mut self.closing {
            Some(closing) => closing.hurry(now),
            None => {
                self.outcome = outcome;
                self.closing = Some(Closing::new());
            }
        }
        self.go_on(now)
    }

    /// When `due` has to be called.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.closing
            .as_ref()
            .map_or(self.restart_at, Closing::deadline)
    }

    /// The deadline has passed, or may have.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<Action> {
        if self.closing.is_some() {
            return self.go_on(now);
        }
        match self.restart_at {
            Some(at) if at <= now => {
                self.restart_at = None;
                vec![Action::StartServer]
            }
            _ => Vec::new(),
        }
    }

    /// How it ended, once no part runs any more.
    pub(crate) fn finished(&self) -> Option<&Outcome> {
        self.closing.as_ref()?.is_over().then_some(&self.outcome)
    }

    fn go_on(&mut self, now: Duration) -> Vec<Action> {
        let Some(closing) = &mut self.closing else {
            return Vec::new();
        };
        let signals = closing.go_on(&self.parts, now);
        signals
            .into_iter()
            .map(|(part, signal)| Action::Signal(part, signal))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: Ended = Ended::Killed(9);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn desktop() -> Supervisor {
        let mut desktop = Supervisor::new("icewm".into());
        for part in [Part::Xorg, Part::Server, Part::Session] {
            desktop.started(part, at(0));
        }
        desktop
    }

    fn signal(part: Part, signal: Signal) -> Vec<Action> {
        vec![Action::Signal(part, signal)]
    }

    #[test]
    fn a_server_that_crashes_is_started_again_ever_later() {
        let mut desktop = desktop();
        let mut now = at(1000);
        for pause in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let said = desktop.ended(Part::Server, KILLED, now);
            let [Action::Say(sentence)] = &said[..] else {
                panic!("{said:?}")
            };
            assert!(sentence.starts_with("caraway-server ended (signal 9); the desktop lives"));
            assert_eq!(desktop.deadline(), Some(now + at(pause)));
            assert!(desktop.due(now + at(pause - 1)).is_empty());
            now += at(pause);
            assert_eq!(desktop.due(now), [Action::StartServer]);
            assert_eq!(desktop.deadline(), None);
            desktop.started(Part::Server, now);
        }
        now += at(30_000);
        desktop.ended(Part::Server, KILLED, now);
        assert_eq!(desktop.deadline(), Some(now + at(100)), "it had run well");
        assert_eq!(desktop.finished(), None);
    }

    #[test]
    fn the_end_of_the_command_closes_the_rest_in_order() {
        for (how, outcome) in [
            (Ended::Exited(0), Outcome::Done),
            (
                Ended::Exited(3),
                Outcome::Failed("icewm ended with exit status 3".into()),
            ),
        ] {
            let mut desktop = desktop();
            let actions = desktop.ended(Part::Session, how, at(5));
            assert_eq!(actions, signal(Part::Server, Signal::SIGTERM));
            let actions = desktop.ended(Part::Server, Ended::Exited(0), at(6));
            assert_eq!(actions, signal(Part::Xorg, Signal::SIGTERM));
            assert_eq!(desktop.finished(), None);
            assert!(
                desktop
                    .ended(Part::Xorg, Ended::Exited(0), at(7))
                    .is_empty()
            );
            assert_eq!(desktop.finished(), Some(&outcome));
        }
    }

    #[test]
    fn a_dead_xorg_ends_the_desktop_and_no_server_is_started_then() {
        let mut desktop = desktop();
        desktop.ended(Part::Server, KILLED, at(1));
        let actions = desktop.ended(Part::Xorg, KILLED, at(2));
        assert_eq!(actions, signal(Part::Session, Signal::SIGTERM));
        assert!(desktop.due(at(200)).is_empty());
        assert!(desktop.ended(Part::Session, KILLED, at(300)).is_empty());
        let Some(Outcome::Failed(why)) = desktop.finished() else {
            panic!("it is over")
        };
        assert_eq!(why, "Xorg ended (signal 9); the desktop is gone");
    }

    #[test]
    fn a_server_that_is_replaced_has_its_successor_at_once() {
        let mut desktop = desktop();
        assert_eq!(
            desktop.replace_server(),
            signal(Part::Server, Signal::SIGKILL)
        );
        assert_eq!(
            desktop.ended(Part::Server, KILLED, at(1)),
            [Action::StartServer]
        );
        assert!(desktop.replace_server().is_empty(), "none runs yet");
        desktop.started(Part::Server, at(1));
        let said = desktop.ended(Part::Server, KILLED, at(2));
        assert!(matches!(&said[..], [Action::Say(_)]), "that was a crash");
    }

    #[test]
    fn what_had_started_is_ended_when_the_start_fails() {
        let mut desktop = Supervisor::new("icewm".into());
        desktop.started(Part::Xorg, at(0));
        desktop.started(Part::Server, at(1));
        desktop.ended_early(Part::Server);
        let actions = desktop.stop(Outcome::Failed("no".into()), at(2));
        assert_eq!(actions, signal(Part::Xorg, Signal::SIGTERM));
        desktop.ended(Part::Xorg, Ended::Exited(0), at(3));
        assert_eq!(desktop.finished(), Some(&Outcome::Failed("no".into())));
        let mut nothing = Supervisor::new("icewm".into());
        assert!(nothing.stop(Outcome::Done, at(0)).is_empty());
        assert_eq!(nothing.finished(), Some(&Outcome::Done));
    }
}

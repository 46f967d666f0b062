//! A person with a SPICE client: the headless client on spice-gtk's library, and what can be asked of it.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::desktop::Desktop;
use crate::instruments::spice_peer;
use crate::process::Running;

/// What a command may take beyond the time-out that it was given itself.
const ANSWER_MARGIN: Duration = Duration::from_secs(20);

/// How long a connection may take until the display is marked.
pub(crate) const MARK_TIMEOUT: Duration = Duration::from_secs(10);

/// A connected (or connecting) client.
pub(crate) struct Watcher {
    process: Running,
    display: String,
}

/// How far a client's picture is from the X root window.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// Pixels that differ.
    pub(crate) wrong: u64,
    /// The last invalidation before it was compared, by CLOCK_MONOTONIC.
    pub(crate) exact_at_us: i64,
    /// The same since the connect command.
    pub(crate) picture_us: i64,
    /// The client's whole answer, for messages.
    pub(crate) answer: Value,
}

impl Watcher {
    /// A client of `desktop` that has not connected yet.
    pub(crate) fn new(desktop: &Desktop) -> Self {
        let process = Running::start(spice_peer(), Stdio::inherit(), |command| {
            desktop.client(command);
        });
        Self {
            process,
            display: desktop.display.clone(),
        }
    }

    /// A client that has not connected yet and trusts what this file signed.
    pub(crate) fn trusting(desktop: &Desktop, ca_file: &Path) -> Self {
        Self::with_environment(desktop, &[("PEER_CA_FILE", ca_file.to_str().unwrap())])
    }

    /// A client that has not connected yet, with these variables.
    pub(crate) fn with_environment(desktop: &Desktop, variables: &[(&str, &str)]) -> Self {
        let process = Running::start(spice_peer(), Stdio::inherit(), |command| {
            desktop.client(command.envs(variables.iter().copied()));
        });
        Self {
            process,
            display: desktop.display.clone(),
        }
    }

    /// The same, whose libraries write their complaints to a file.
    pub(crate) fn with_words(desktop: &Desktop, variables: &[(&str, &str)], words: &Path) -> Self {
        let words = Stdio::from(File::create(words).unwrap());
        let process = Running::start(spice_peer(), words, |command| {
            desktop.client(command.envs(variables.iter().copied()));
        });
        Self {
            process,
            display: desktop.display.clone(),
        }
    }

    /// A client that has not connected yet and writes what spice-gtk has to say to a file.
    pub(crate) fn with_log(desktop: &Desktop, log: &Path) -> Self {
        let log = Stdio::from(File::create(log).unwrap());
        let process = Running::start(spice_peer(), log, |command| {
            desktop.client(
                command
                    .env("SPICE_DEBUG", "1")
                    .env("G_MESSAGES_DEBUG", "all"),
            );
        });
        Self {
            process,
            display: desktop.display.clone(),
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Connects straight and waits for the mark.
    pub(crate) fn connect(desktop: &Desktop) -> Self {
        Self::connect_through(desktop, &desktop.uri)
    }

    /// Connects by way of `uri` (a relay, say) and waits for the mark.
    pub(crate) fn connect_through(desktop: &Desktop, uri: &str) -> Self {
        let mut watcher = Self::new(desktop);
        let answer = watcher.open(uri, &desktop.password);
        assert_eq!(answer["ok"], true, "no mark: {answer}\n{}", desktop.log());
        watcher
    }

    /// Connects and returns the answer to `wait-mark`, whatever it is.
    pub(crate) fn open(&mut self, uri: &str, password: &str) -> Value {
        let answer = self.ask(&format!("connect {uri} {password}"));
        assert_eq!(answer["ok"], true, "{answer}");
        self.ask_for(
            &format!("wait-mark {}", MARK_TIMEOUT.as_millis()),
            MARK_TIMEOUT,
        )
    }

    /// One command that answers at once.
    pub(crate) fn ask(&mut self, command: &str) -> Value {
        self.ask_for(command, Duration::ZERO)
    }

    /// One command that may take `timeout` by itself.
    pub(crate) fn ask_for(&mut self, command: &str, timeout: Duration) -> Value {
        self.process.send(command);
        self.process.json(timeout + ANSWER_MARGIN)
    }

    /// Starts a command whose answer is fetched later with `answer`.
    pub(crate) fn begin(&mut self, command: &str) {
        self.process.send(command);
    }

    /// The answer to a command that was begun.
    pub(crate) fn answer(&mut self, timeout: Duration) -> Value {
        self.process.json(timeout + ANSWER_MARGIN)
    }

    /// One command that must succeed.
    pub(crate) fn order(&mut self, command: &str) -> Value {
        let answer = self.ask(command);
        assert_eq!(answer["ok"], true, "{command}: {answer}");
        answer
    }

    /// Waits until the picture equals the root window to the last pixel, or says how it differs.
    pub(crate) fn wait_exact(&mut self, timeout: Duration) -> Result<Comparison, Comparison> {
        let command = format!("wait-exact {} {}", self.display, timeout.as_millis());
        let answer = self.ask_for(&command, timeout);
        comparison(answer)
    }

    /// Compares once, now.
    pub(crate) fn compare(&mut self) -> Comparison {
        let answer = self.ask(&format!("compare {}", self.display));
        assert_eq!(answer["ok"], true, "{answer}");
        comparison(answer).unwrap_or_else(|differing| differing)
    }

    /// What the client has counted, its modes and its cursor.
    pub(crate) fn stats(&mut self) -> Value {
        self.order("stats")
    }

    /// Serves the connection for that long.
    pub(crate) fn idle(&mut self, time: Duration) {
        let answer = self.ask_for(&format!("idle {}", time.as_millis()), time);
        assert_eq!(answer["ok"], true, "{answer}");
    }
}

fn comparison(answer: Value) -> Result<Comparison, Comparison> {
    let ok = answer["ok"] == true;
    let comparison = Comparison {
        wrong: answer["wrong"].as_u64().unwrap_or(u64::MAX),
        exact_at_us: answer["exact_at_us"].as_i64().unwrap_or(0),
        picture_us: answer["picture_us"].as_i64().unwrap_or(0),
        answer,
    };
    if ok { Ok(comparison) } else { Err(comparison) }
}

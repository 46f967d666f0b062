//! A client that listens to a desktop and speaks to it (`sound_peer.c`), with all that it was given to play.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::desktop::Desktop;
use crate::instruments::sound_peer;
use crate::monitor::Arrivals;
use crate::process::{Running, wait_until};
use crate::tone;

/// How long a connection may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// One line of the client.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) what: String,
    /// CLOCK_MONOTONIC.
    pub(crate) at_us: i64,
    /// Bytes, milliseconds, whatever it is of.
    pub(crate) number: i64,
}

pub(crate) struct Listener {
    pub(crate) process: Running,
    pub(crate) events: Vec<Event>,
    samples: PathBuf,
    _folder: tempfile::TempDir,
}

impl Listener {
    /// Listens to `desktop`, and is silent itself.
    pub(crate) fn connect(desktop: &Desktop) -> Self {
        Self::speaking(desktop, 0.0)
    }

    /// The same with a tone at its microphone.
    pub(crate) fn speaking(desktop: &Desktop, peak: f64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let samples = folder.path().join("samples");
        let process = Running::start(sound_peer(), Stdio::inherit(), |command| {
            command
                .arg(&desktop.uri)
                .arg(&samples)
                .arg(peak.to_string())
                .arg(tone::TONE_HZ.to_string());
        });
        let mut listener = Self {
            process,
            events: Vec::new(),
            samples,
            _folder: folder,
        };
        let open = listener.wait_for("open", OPEN_TIMEOUT);
        assert!(open.is_some(), "no sound: {}", desktop.log());
        listener
    }

    /// Takes in what the client has said so far.
    pub(crate) fn read(&mut self) {
        while let Some(line) = self.process.try_line(Duration::ZERO) {
            self.note(&line);
        }
    }

    /// The next event of this name, from now on.
    pub(crate) fn wait_for(&mut self, what: &str, timeout: Duration) -> Option<Event> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.process.try_line(left)?;
            let event = self.note(&line);
            if event.what == what {
                return Some(event);
            }
        }
    }

    /// How often something happened so far.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.events
            .iter()
            .filter(|event| event.what == what)
            .count()
    }

    /// Ends it; the left channel of all that it was given.
    pub(crate) fn finish(&mut self) -> Vec<f64> {
        self.read();
        self.process.stop_input();
        let ended = wait_until(OPEN_TIMEOUT, || !self.process.is_running());
        assert!(ended, "the client ends when it is asked to");
        self.read();
        tone::left_of(&std::fs::read(&self.samples).unwrap())
    }

    /// Ends it; what it was given, and when.
    pub(crate) fn arrivals(&mut self) -> Arrivals {
        let samples = self.finish();
        let (mut pieces, mut begun) = (Vec::new(), 0);
        for data in self.events.iter().filter(|event| event.what == "data") {
            pieces.push((begun, data.at_us));
            begun += usize::try_from(data.number).unwrap() / 4;
        }
        Arrivals { samples, pieces }
    }

    fn note(&mut self, line: &str) -> Event {
        let mut words = line.split(' ');
        let what = words.next().unwrap_or_default().to_owned();
        let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let event = Event {
            what,
            at_us: number(),
            number: number(),
        };
        self.events.push(event.clone());
        event
    }
}

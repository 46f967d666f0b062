//! A recorder inside the desktop, on the monitor of its sink: what a client hears is compared with that.
//!
//! What is missing there too was missing before the server came to see it.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};

use crate::process::{signal, wait_until};
use crate::tone::{self, Heard, TONE_HZ};

/// Time in which a recorder gets its first piece.
const RECORDS_TIMEOUT: Duration = Duration::from_secs(10);

/// Microseconds of CLOCK_MONOTONIC.
pub(crate) fn now_us() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000
}

/// Samples, and when they came.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// Of the left channel.
    pub(crate) samples: Vec<f64>,
    /// Samples in front of each piece, and when it came.
    pub(crate) pieces: Vec<(usize, i64)>,
}

impl Arrivals {
    /// How long a click took, given when it was made. It is looked for in what came until shortly before the next.
    pub(crate) fn took_us(&self, click: &[f64], made_us: i64) -> i64 {
        let begin = |piece: usize| {
            let piece = self.pieces.get(piece);
            piece.map_or(self.samples.len(), |piece| piece.0)
        };
        let from = self.pieces.partition_point(|piece| piece.1 < made_us);
        let to = self
            .pieces
            .partition_point(|piece| piece.1 < made_us + 300_000);
        let found = tone::find(&self.samples, click, begin(from), begin(to));
        let piece = self.pieces.partition_point(|piece| piece.0 <= found) - 1;
        self.pieces[piece].1 - made_us
    }

    /// How much faster it is than the clock, as a part of its time, from its first half minute to its last: by the
    /// earliest pieces of each, since late ones only say that the machine was busy. It has to last longer than that.
    pub(crate) fn faster_by(&self) -> f64 {
        const BEGIN_US: i64 = 10_000_000;
        const WINDOW_US: i64 = 30_000_000;
        let earliest = |from_us: i64| {
            let pieces = self.pieces.iter();
            let within = pieces.filter(|(_, at)| (from_us..from_us + WINDOW_US).contains(at));
            let late = within.map(|(begun, at)| at - (*begun as i64) * 125 / 6);
            late.min().unwrap()
        };
        let first_us = self.pieces[0].1 + BEGIN_US;
        let last_us = self.pieces[self.pieces.len() - 1].1 - WINDOW_US;
        (earliest(first_us) - earliest(last_us)) as f64 / (last_us - first_us) as f64
    }

    /// The longest time in which nothing came, in milliseconds.
    pub(crate) fn longest_pause_ms(&self) -> i64 {
        let pauses = self.pieces.windows(2).map(|two| two[1].1 - two[0].1);
        pauses.max().unwrap_or(0) / 1000
    }
}

/// The recorder.
pub(crate) struct Monitor {
    recorder: Child,
    /// Whether anything has come, silence too.
    records: Arc<AtomicBool>,
    reader: Option<JoinHandle<Arrivals>>,
}

impl Monitor {
    /// Records from the monitor of `sink` in pieces of so many milliseconds.
    pub(crate) fn start(sink: &str, piece_ms: u32, set_up: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM", "parec", "--raw", "--format=s16le"])
            .args(["--rate=48000", "--channels=2"])
            .arg(format!("--latency-msec={piece_ms}"))
            .arg(format!("--device={sink}.monitor"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        set_up(&mut command);
        let mut recorder = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot record: {error}"));
        let mut output = recorder.stdout.take().unwrap();
        let records = Arc::new(AtomicBool::new(false));
        let begun = Arc::clone(&records);
        let reader = std::thread::spawn(move || {
            let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
            let mut piece = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = output.read(&mut piece) {
                begun.store(true, Ordering::Relaxed);
                pieces.push((bytes.len() / 4, now_us()));
                bytes.extend_from_slice(&piece[..count]);
            }
            Arrivals {
                samples: tone::left_of(&bytes),
                pieces,
            }
        });
        Self {
            recorder,
            records,
            reader: Some(reader),
        }
    }

    /// The same in a desktop, on its own sink.
    pub(crate) fn of(desktop: &crate::desktop::Desktop, piece_ms: u32) -> Self {
        let mut sound = desktop.sound.iter();
        let sink = sound.find(|(name, _)| name == "PULSE_SINK").unwrap();
        Self::start(&sink.1, piece_ms, |command| {
            desktop.client(command);
        })
    }

    /// Waits until it records: what is played before that it does not hear.
    pub(crate) fn wait_until_it_records(&self) {
        let records = wait_until(RECORDS_TIMEOUT, || self.records.load(Ordering::Relaxed));
        assert!(records, "nothing comes from the monitor");
    }

    /// Ends it; what it has recorded.
    pub(crate) fn finish(mut self) -> Arrivals {
        self.end();
        self.reader.take().unwrap().join().unwrap()
    }

    /// Ends it; what it has heard of the tone.
    pub(crate) fn heard(self) -> Heard {
        Heard::of(&self.finish().samples, TONE_HZ)
    }

    fn end(&mut self) {
        signal(i32::try_from(self.recorder.id()).unwrap(), Signal::SIGTERM);
        let _ = self.recorder.wait();
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if self.reader.is_some() {
            self.end();
        }
    }
}

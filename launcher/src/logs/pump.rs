//! A thread that reads one pipe to its end.

use std::io::{self, PipeReader, Read, Write};
use std::thread::{Builder, JoinHandle};

use serde::{Deserialize, Serialize};

use super::Kept;
use super::file::SharedLog;
use super::lines::Lines;
use crate::units::journal::Journal;

/// Bytes read at a time.
const READ_BYTES: usize = 8192;

/// A thread's name and stack; it calls little.
const NAME: &str = "log";
const STACK_BYTES: usize = 128 * 1024;

/// Where bytes go besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Also {
    /// The launcher's stdout.
    Stdout,
    /// The launcher's stderr.
    Stderr,
    /// Only to the file.
    Nobody,
}

/// The same, as it is at hand.
#[derive(Debug)]
pub(super) enum To {
    /// A stream of the launcher's.
    Stream(Also),
    /// The journal, line by line, as words of this part.
    Journal(Journal, Kept),
}

/// Reads one pipe until all of its writers have ended.
#[derive(Debug)]
pub(super) struct Pump(JoinHandle<()>);

impl Pump {
    pub(super) fn start(from: PipeReader, log: SharedLog, also: To) -> io::Result<Self> {
        let thread = Builder::new().name(NAME.into()).stack_size(STACK_BYTES);
        Ok(Self(thread.spawn(move || pump(from, &log, &also))?))
    }

    /// Whether the pipe has come to its end.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

fn pump(mut from: PipeReader, log: &SharedLog, also: &To) {
    let mut lines = Lines::default();
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let bytes = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => &bytes[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        // Kept first: the terminal may take its time.
        lines.push(bytes, |line| keep(log, also, line));
        let _ = match also {
            // A terminal that is gone is nobody's concern.
            To::Stream(Also::Stdout) => write_now(&mut io::stdout().lock(), bytes),
            To::Stream(Also::Stderr) => write_now(&mut io::stderr().lock(), bytes),
            To::Stream(Also::Nobody) | To::Journal(..) => Ok(()),
        };
    }
    lines.end(|line| keep(log, also, line));
}

fn keep(log: &SharedLog, also: &To, line: &[u8]) {
    log.line(line);
    if let To::Journal(journal, kept) = also {
        journal.line(kept.identifier(), line);
    }
}

fn write_now(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    out.flush()
}

//! What the command says: answers on stdout, everything else on stderr.
//!
//! One place, so that `--json` stays one object and a closed pipe never ends a desktop: errors of the
//! terminal are nobody's concern and are dropped.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::OnceLock;

use crate::logs::{Kept, SharedLog};
use crate::units::journal::Journal;

/// Where notices are kept, once there is a desktop: in its log, and in the journal, if that is where stderr leads.
static KEPT: OnceLock<(SharedLog, Option<Journal>)> = OnceLock::new();

/// Writes what the user asked for, as one line on stdout.
pub(crate) fn answer(line: impl Display) {
    answered(line);
}

/// The same; false if nobody reads it any more.
pub(crate) fn answered(line: impl Display) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

/// Tells the user of an event or a failure, as one line on stderr.
pub(crate) fn notice(line: impl Display) {
    let line = line.to_string();
    let kept = KEPT.get();
    match kept {
        Some((_, Some(journal))) => journal.line(Kept::Launcher.identifier(), line.as_bytes()),
        _ => drop(writeln!(io::stderr().lock(), "caraway: {line}")),
    }
    if let Some((log, _)) = kept {
        log.line(line.as_bytes());
    }
}

/// Keeps notices from now on in `log`, too; `journal` takes the place of stderr. Only the first such log counts.
pub(crate) fn keep_notices(log: SharedLog, journal: Option<Journal>) {
    let _ = KEPT.set((log, journal));
}

//! What the command says: answers on stdout, everything else on stderr.
//!
//! One place, so that `--json` stays one object and a closed pipe never ends a desktop: errors of the
//! terminal are nobody's concern and are dropped.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::OnceLock;

use crate::logs::SharedLog;

/// Where notices are kept, once there is a desktop.
static KEPT: OnceLock<SharedLog> = OnceLock::new();

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
    let _ = writeln!(io::stderr().lock(), "caraway: {line}");
    if let Some(log) = KEPT.get() {
        log.line(line.as_bytes());
    }
}

/// Keeps notices from now on in `log`, too. Only the first such log counts.
pub(crate) fn keep_notices(log: SharedLog) {
    let _ = KEPT.set(log);
}

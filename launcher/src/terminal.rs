//! What the command says: answers on stdout, everything else on stderr.
//!
//! One place, so that `--json` stays one object and a closed pipe never ends a desktop: errors of the
//! terminal are nobody's concern and are dropped.

use std::fmt::Display;
use std::io::{self, Write};

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
    let _ = writeln!(io::stderr().lock(), "caraway: {line}");
}

//! `caraway logs`: what all parts of a desktop have said, in the order of time.

use std::thread::sleep;
use std::time::Duration;

use thiserror::Error;

use super::Kept;
use super::read::{Tail, split};
use crate::control::client::{self, ClientError};
use crate::name::DesktopName;
use crate::runtime_dir::Base;
use crate::terminal::answered;

/// The files that are shown, and what their lines are called. Of Xorg's output the log has what matters.
const SHOWN: [(Kept, &str); 4] = [
    (Kept::Launcher, "launcher"),
    (Kept::Server, "server"),
    (Kept::Xorg, "xorg"),
    (Kept::Session, "session"),
];

/// How often files are looked at for more.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Which desktop, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// The desktop [default: the only one]
    name: Option<DesktopName>,
    /// Go on with what is said from now on, until the desktop ends
    #[arg(short, long)]
    follow: bool,
}

/// Why nothing can be shown.
#[derive(Debug, Error)]
pub(crate) enum LogsError {
    #[error(
        "{0} (logs go with their desktop; what a detached one said is in the journal: journalctl --user -u 'caraway-*')"
    )]
    Unknown(ClientError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot read the logs of the desktop '{name}': {source}; see what runs: caraway list")]
    Read {
        name: DesktopName,
        source: std::io::Error,
    },
}

/// Shows what a desktop's parts have said.
pub(crate) fn run(args: LogsArgs) -> Result<(), LogsError> {
    let name = client::resolve(args.name).map_err(|error| match error {
        ClientError::Unknown(_) | ClientError::NoneRuns => LogsError::Unknown(error),
        other => LogsError::Client(other),
    })?;
    let Some(base) = Base::find() else {
        return Err(LogsError::Unknown(ClientError::Unknown(name)));
    };
    let dir = base.path().join(name.as_str());
    let mut tails = SHOWN.map(|(kept, part)| (part, Tail::of(dir.join(kept.file()))));
    loop {
        // Asked first, so that the last words are still read.
        let goes_on = args.follow && dir.is_dir();
        let lines = news(&mut tails).map_err(|source| LogsError::Read {
            name: name.clone(),
            source,
        })?;
        if !lines.into_iter().all(|(_, line)| answered(line)) || !goes_on {
            return Ok(());
        }
        sleep(LOOK_AGAIN);
    }
}

/// What came since the last call, by time: the moment and the line with it.
fn news(tails: &mut [(&'static str, Tail)]) -> std::io::Result<Vec<(String, String)>> {
    let mut lines = Vec::new();
    for (part, tail) in tails {
        tail.read(|line| {
            if let Some((stamp, text)) = split(line) {
                lines.push((stamp.to_owned(), format!("{stamp} {part}: {text}")));
            }
        })?;
    }
    // Stable: what one part said in a millisecond stays in order.
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(lines)
}

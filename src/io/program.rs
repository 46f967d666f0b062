//! How the programs that clients connect to begin and end: with a log on standard error, with nothing in their memory
//! for others to read, and in one thread.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::os::hardening::{NewPrivileges, harden_process};

/// Says how much is logged, in `tracing_subscriber`'s words.
const LOG_VARIABLE: &str = "CARAWAY_LOG";

/// Starts the log and gives up what the program does not need. To be called once, before there are threads.
pub fn start(privileges: NewPrivileges) {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        .init();
    if let Err(error) = harden_process(privileges) {
        tracing::warn!(%error, "going on with less protection");
    }
}

/// Serves until the program is to end, in this thread; `name` is whose end is told if there is an error.
pub fn run<E: Display + From<io::Error>>(
    name: &str,
    serve: impl Future<Output = Result<(), E>>,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = runtime
        .map_err(E::from)
        .and_then(|runtime| tokio::task::LocalSet::new().block_on(&runtime, serve));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "{name} ends");
            ExitCode::FAILURE
        }
    }
}

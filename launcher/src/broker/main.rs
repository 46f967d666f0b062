//! `caraway-broker`: the part of the many-user host that has privileges, and never reads a byte from the network.
//!
//! | process | runs as | what it does |
//! |---|---|---|
//! | the broker | root | accepts the gateway's connections, starts a login for each |
//! | login | root | asks PAM about one user, opens the session, starts the desktop, and stays with it |
//! | door | the user | connects to the user's desktop and hands the connections to the gateway |
//! | joinable | the user | becomes `caraway`, which says whether a session that is there can be joined |
//! | keeper | the user | keeps the desktop's descriptors, starts another launcher when one is killed or hangs |
//! | launcher | the user | becomes `caraway start` |
//!
//! Each is this program once more with a hidden argument. Nothing of a desktop hangs on the broker: it may be killed
//! and replaced at any time. → `docs/gateway.md`

mod daemon;
mod desktop;
mod door;
mod joining;
mod keeper;
mod line;
mod login;
#[cfg(test)]
mod manual;
mod places;
mod sessions;
mod user;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use caraway_server::gateway::settings::{FILE, FILE_BYTES_MAX, Settings, SettingsError};
use clap::{Args, Parser, Subcommand};
use thiserror::Error;

/// Opens the desktops of users that the gateway brings
#[derive(Debug, Parser)]
#[command(name = "caraway-broker", version)]
struct Cli {
    /// The file with the settings; a missing one means the defaults
    #[arg(long, value_name = "FILE", default_value = FILE)]
    config: PathBuf,
    #[command(subcommand)]
    part: Option<PartOf>,
}

/// One of the processes behind it.
#[derive(Debug, Subcommand)]
enum PartOf {
    #[command(name = "__login", hide = true)]
    Login,
    #[command(name = "__door", hide = true)]
    Door(OfUser),
    #[command(name = "__joinable", hide = true)]
    Joinable(joining::JoinableArgs),
    #[command(name = "__keeper", hide = true)]
    Keeper(desktop::DesktopArgs),
    #[command(name = "__launcher", hide = true)]
    Launcher(desktop::DesktopArgs),
}

/// Whom it is for.
#[derive(Debug, Args)]
struct OfUser {
    #[arg(long)]
    uid: u32,
}

/// Why the settings cannot be had.
#[derive(Debug, Error)]
enum ConfigError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Settings {
        path: PathBuf,
        source: SettingsError,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.part {
        None => report(
            settings(&cli.config)
                .map_err(|error| error.to_string())
                .and_then(|settings| {
                    daemon::run(&settings, &cli.config).map_err(|error| error.to_string())
                }),
        ),
        Some(PartOf::Login) => report(
            settings(&cli.config)
                .map_err(|error| error.to_string())
                .and_then(|settings| login::run(&settings).map_err(|error| error.to_string())),
        ),
        Some(PartOf::Door(of)) => report(door::run(of.uid).map_err(|error| error.to_string())),
        Some(PartOf::Joinable(args)) => report(Err(joining::become_caraway(&args).to_string())),
        Some(PartOf::Keeper(args)) => match keeper::run(&args) {
            Ok(status) => ExitCode::from(status),
            Err(error) => report(Err(error.to_string())),
        },
        Some(PartOf::Launcher(args)) => report(Err(desktop::become_launcher(&args).to_string())),
    }
}

fn report(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            notice(&error);
            ExitCode::FAILURE
        }
    }
}

/// One line for the journal.
fn notice(text: &str) {
    // Nobody may listen any more; there is nobody else to tell.
    let _ = writeln!(io::stderr(), "caraway-broker: {text}");
}

fn settings(path: &Path) -> Result<Settings, ConfigError> {
    let read = |source| ConfigError::Read {
        path: path.into(),
        source,
    };
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => {
            file.take(FILE_BYTES_MAX + 1)
                .read_to_string(&mut text)
                .map_err(read)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(read(error)),
    }
    Settings::parse(&text).map_err(|source| ConfigError::Settings {
        path: path.into(),
        source,
    })
}

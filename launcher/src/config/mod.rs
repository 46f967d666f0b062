//! Options of `caraway start` that need not be said each time: files and variables, below what the command line says.
//!
//! A key is a long option of `start` and its value is what the option takes, so that the command line's definition is
//! the one place where options are known: what it gains the files have, too. The layers, each over the one before it:
//!
//! 1. `/usr/lib/caraway/caraway.toml`
//! 2. `/etc/caraway/caraway.toml`, then `/etc/caraway/caraway.toml.d/*.toml` in the order of their names
//! 3. `$XDG_CONFIG_HOME/caraway/caraway.toml` (`~/.config`), or the file of `--config` in its place
//! 4. `CARAWAY_*`, as in `CARAWAY_TLS_LISTEN`; several values with commas or spaces between them
//! 5. the command line

mod file;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod keys;
mod layers;
#[cfg(test)]
mod manual;
mod show;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};
use thiserror::Error;

use crate::cli::Cli;

pub(crate) use self::layers::{advice, desktops_max};
pub(crate) use self::show::{ConfigArgs, refuse, run};

/// The verb whose options these are.
const VERB: &str = "start";

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of a file.
    Line(PathBuf, usize),
    /// An environment variable.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration in {}: {source}; see that you may read it", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{0}: this is no TOML: {1}")]
    Toml(Origin, String),
    #[error("{0}: unknown key '{1}'; keys are the long options of: caraway start --help")]
    UnknownKey(Origin, String),
    #[error("{0}: '{1}' is {2}")]
    Kind(Origin, String, &'static str),
    #[error("{0}: {1}")]
    Value(Origin, String),
}

impl ConfigError {
    /// Whether what is configured makes no sense, rather than that it cannot be read.
    pub(crate) const fn is_usage(&self) -> bool {
        !matches!(self, Self::Read { .. })
    }
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// Of an option that takes none: whether it is given.
    Switch(bool),
    /// Of any other.
    Words(Vec<String>),
}

/// One option that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    key: String,
    value: Value,
    origin: Origin,
}

/// The command line `given` to this program, completed by what is configured, and its words. Ends the process with help
/// or a usage error as clap does.
pub(crate) fn command_line(given: Vec<OsString>) -> Result<(Cli, Vec<OsString>), ConfigError> {
    // Half of what an option needs may be configured; what is wrong shows when both are known.
    let said = Cli::command()
        .ignore_errors(true)
        .try_get_matches_from(&given)
        .unwrap_or_else(|error| error.exit());
    let words = match said.subcommand() {
        Some((VERB, start)) => {
            let file = start.get_one::<PathBuf>("config").cloned();
            let is_said =
                |key: &keys::Key| start.value_source(&key.id) == Some(ValueSource::CommandLine);
            let configured = layers::effective(file)?;
            let keys = keys::all();
            let unsaid = |setting: &&Setting| {
                keys.iter()
                    .any(|key| key.long == setting.key && !is_said(key))
            };
            completed(given, configured.iter().filter(unsaid))
        }
        _ => given,
    };
    Ok((parse(&words), words))
}

/// A command line that is complete. Ends the process as `command_line` does.
pub(crate) fn parse(words: &[OsString]) -> Cli {
    let parsed = Cli::command().try_get_matches_from(words);
    let cli = parsed.and_then(|matches| Cli::from_arg_matches(&matches));
    cli.unwrap_or_else(|error| error.exit())
}

/// `given` with the options of `settings` behind the verb.
fn completed<'a>(
    given: Vec<OsString>,
    settings: impl Iterator<Item = &'a Setting>,
) -> Vec<OsString> {
    let mut given = given.into_iter();
    let mut words: Vec<OsString> = given.by_ref().take(2).collect();
    words.extend(settings.flat_map(Setting::words).map(OsString::from));
    words.extend(given);
    words
}

impl Setting {
    /// The same on the command line.
    fn words(&self) -> Vec<String> {
        match &self.value {
            Value::Switch(false) => Vec::new(),
            Value::Switch(true) => vec![format!("--{}", self.key)],
            Value::Words(words) => words
                .iter()
                .map(|word| format!("--{}={word}", self.key))
                .collect(),
        }
    }
}

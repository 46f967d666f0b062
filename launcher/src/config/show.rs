//! `caraway config show`: what `caraway start` would take without a word said, and where each of it comes from.

use std::path::PathBuf;

use super::keys::{self, Key};
use super::layers;
use super::{ConfigError, Setting, Value};
use crate::terminal::{answer, notice};
use crate::{DONE, FAILED, USAGE};

/// What is asked about the configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigVerb {
    /// Show the options that `caraway start` takes from files and variables, and its defaults
    Show {
        /// Say behind each where it comes from
        #[arg(long)]
        origin: bool,
        /// Read this file in place of ~/.config/caraway/caraway.toml
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Shows the configuration; gives the exit status.
pub(crate) fn run(args: ConfigArgs) -> u8 {
    let ConfigVerb::Show { origin, config } = args.verb;
    match layers::effective(config) {
        Ok(settings) => {
            for line in lines(&keys::all(), &settings, origin) {
                answer(line);
            }
            DONE
        }
        Err(error) => refuse(&error),
    }
}

/// Says what is wrong with the configuration; gives the exit status.
pub(crate) fn refuse(error: &ConfigError) -> u8 {
    notice(error);
    if error.is_usage() { USAGE } else { FAILED }
}

/// A line of TOML for each key that has a value.
pub(super) fn lines(keys: &[Key], settings: &[Setting], with_origin: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for key in keys {
        let setting = settings.iter().find(|setting| setting.key == key.long);
        let (value, origin) = match (setting, &key.default) {
            (Some(setting), _) => (toml_of(key, &setting.value), setting.origin.to_string()),
            (None, Some(default)) => {
                let words: Vec<&str> = match key.takes {
                    keys::Takes::Several => default.split(',').collect(),
                    _ => vec![default],
                };
                let words = words.into_iter().map(str::to_owned).collect();
                (toml_of(key, &Value::Words(words)), "default".into())
            }
            (None, None) => continue,
        };
        let mut line = format!("{} = {value}", key.long);
        if with_origin {
            line.push_str("  # ");
            line.push_str(&origin);
        }
        lines.push(line);
    }
    lines
}

fn toml_of(key: &Key, value: &Value) -> String {
    match value {
        Value::Switch(on) => on.to_string(),
        Value::Words(words) => match (key.takes, &words[..]) {
            (keys::Takes::Several, words) => {
                let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                format!("[{}]", words.join(", "))
            }
            (_, words) => words.first().map(|word| quoted(word)).unwrap_or_default(),
        },
    }
}

/// A string of JSON is one of TOML, but for DEL.
fn quoted(text: &str) -> String {
    serde_json::json!(text)
        .to_string()
        .replace('\x7f', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::*;

    #[test]
    fn what_is_shown_can_be_configured() {
        let keys = keys::all();
        let of = |long: &str, value: Value| {
            let key = keys.iter().find(|key| key.long == long).unwrap();
            key.set(value, Origin::Line("/c".into(), 3)).unwrap()
        };
        let settings = [
            of(
                "listen",
                Value::Words(vec!["127.0.0.1:1".into(), "127.0.0.1:2".into()]),
            ),
            of("insecure", Value::Switch(false)),
            of("unix", Value::Words(vec!["/a \"b\"".into()])),
        ];
        let lines = lines(&keys, &settings, true);
        for line in [
            "listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]  # /c:3",
            "insecure = false  # /c:3",
            "unix = \"/a \\\"b\\\"\"  # /c:3",
            "auth = \"ticket\"  # default",
        ] {
            assert!(lines.iter().any(|one| one == line), "{line} in {lines:?}");
        }
        assert!(!lines.iter().any(|line| line.starts_with("name")));
    }
}

//! The keys: the long options of `caraway start`, and what each of them takes.

use std::error::Error;

use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, ArgAction, Args, Command};

use super::{ConfigError, Origin, Setting, VERB, Value};
use crate::cli::StartArgs;

/// Options that are about one call.
const NO_KEYS: [&str; 5] = ["config", "detach", "help", "join", "json"];

/// How many values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    None,
    One,
    Several,
}

/// A key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The long option without its dashes.
    pub(super) long: String,
    /// How clap calls it.
    pub(super) id: String,
    pub(super) takes: Takes,
    /// What holds where nothing is set.
    pub(super) default: Option<String>,
}

/// All keys, in the order of the options.
pub(super) fn all() -> Vec<Key> {
    let command = command();
    command.get_arguments().filter_map(key).collect()
}

pub(super) fn command() -> Command {
    StartArgs::augment_args(Command::new(VERB))
}

fn key(option: &Arg) -> Option<Key> {
    let long = option.get_long()?;
    if option.is_hide_set() || NO_KEYS.contains(&long) {
        return None;
    }
    let takes = match option.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => Takes::None,
        ArgAction::Append => Takes::Several,
        _ => Takes::One,
    };
    let defaults: Option<Vec<&str>> = option
        .get_default_values()
        .iter()
        .map(|value| value.to_str())
        .collect();
    let default = defaults
        .filter(|values| !values.is_empty())
        .map(|values| values.join(","));
    Some(Key {
        long: long.into(),
        id: option.get_id().to_string(),
        takes,
        default: default.filter(|_| takes != Takes::None),
    })
}

impl Key {
    /// The setting of this key to `value`, if the option takes it.
    pub(super) fn set(&self, value: Value, origin: Origin) -> Result<Setting, ConfigError> {
        let wrong = |what| Err(ConfigError::Kind(origin.clone(), self.long.clone(), what));
        let value = match (self.takes, value) {
            (Takes::None, Value::Words(_)) => return wrong("either true or false"),
            (Takes::One, Value::Words(words)) if words.len() != 1 => return wrong("one value"),
            // An option that takes a word may take these.
            (Takes::One | Takes::Several, Value::Switch(on)) => Value::Words(vec![on.to_string()]),
            (_, value) => value,
        };
        let setting = Setting {
            key: self.long.clone(),
            value,
            origin,
        };
        match command()
            .no_binary_name(true)
            .try_get_matches_from(setting.words())
        {
            Err(error) if is_of_value(error.kind()) => {
                Err(ConfigError::Value(setting.origin, sentence(&error)))
            }
            // What options need of each other is seen when all are known.
            _ => Ok(setting),
        }
    }
}

fn is_of_value(kind: ErrorKind) -> bool {
    use ErrorKind::{InvalidValue, TooManyValues, ValueValidation, WrongNumberOfValues};
    matches!(
        kind,
        InvalidValue | TooManyValues | ValueValidation | WrongNumberOfValues
    )
}

/// What clap has to say, without its advice on how to ask for help. Its text has lines, and so may a value have that
/// is cited in it: only the parts tell where the one ends.
fn sentence(error: &clap::Error) -> String {
    let part = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let mut text = format!(
        "invalid value '{}' for '{}'",
        part(ContextKind::InvalidValue),
        part(ContextKind::InvalidArg)
    );
    if let Some(reason) = error.source() {
        text.push_str(&format!(": {reason}"));
    }
    let possible = part(ContextKind::ValidValue);
    if !possible.is_empty() {
        text.push_str(&format!(" [possible values: {possible}]"));
    }
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(key: &str, value: Value) -> Result<Setting, ConfigError> {
        let key = all().into_iter().find(|one| one.long == key).unwrap();
        key.set(value, Origin::Variable("X".into()))
    }

    fn words(words: &[&str]) -> Value {
        Value::Words(words.iter().map(|&word| word.to_owned()).collect())
    }

    #[test]
    fn the_options_are_the_keys() {
        let keys = all();
        let takes = |long: &str| {
            keys.iter()
                .find(|key| key.long == long)
                .map(|key| key.takes)
        };
        assert_eq!(takes("geometry"), Some(Takes::One));
        assert_eq!(takes("listen"), Some(Takes::Several));
        assert_eq!(takes("insecure"), Some(Takes::None));
        for none in [
            "detach",
            "json",
            "config",
            "help",
            "report",
            "detached-as",
            "command",
        ] {
            assert_eq!(takes(none), None, "{none}");
        }
        let default = keys.iter().find(|key| key.long == "auth").unwrap();
        assert_eq!(default.default.as_deref(), Some("ticket"));
    }

    #[test]
    fn values_are_what_the_options_take() {
        let set_words = |key, value| set(key, value).unwrap().words();
        assert_eq!(
            set_words("geometry", words(&["800x600"])),
            ["--geometry=800x600"]
        );
        let two = words(&["127.0.0.1:1", "127.0.0.1:2"]);
        assert_eq!(set_words("listen", two.clone()).len(), 2);
        assert_eq!(set_words("insecure", Value::Switch(true)), ["--insecure"]);
        assert!(set_words("insecure", Value::Switch(false)).is_empty());
        assert_eq!(
            set_words("tls-cert", words(&["-x"])),
            ["--tls-cert=-x"],
            "its key may follow"
        );
        for (key, wrong) in [
            ("geometry", words(&["1x1"])),
            ("geometry", two),
            ("geometry", words(&[])),
            ("listen", words(&["nowhere"])),
            ("auth", words(&["door"])),
            ("auth", Value::Switch(true)),
            ("insecure", words(&["yes"])),
            ("display", words(&["99999999"])),
        ] {
            let error = set(key, wrong).unwrap_err().to_string();
            assert!(error.starts_with("X: ") && !error.contains('\n'), "{error}");
        }
    }
}

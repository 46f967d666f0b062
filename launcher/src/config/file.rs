//! One file of settings.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::keys::Key;
use super::{ConfigError, Origin, Setting, Value};

/// Bytes of a file; more are no configuration.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// The settings in the file at `path`; none if there is no such file.
pub(super) fn read(path: &Path, keys: &[Key]) -> Result<Option<Vec<Setting>>, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.into(),
        source,
    };
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => {
            let count = file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text);
            if CONFIG_BYTES_MAX < count.map_err(failed)? as u64 {
                return Err(failed(io::ErrorKind::FileTooLarge.into()));
            }
        }
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    settings(&text, path, keys).map(Some)
}

/// A home that is none, as `/dev/null/.config`, holds no file either.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The settings in the text of the file at `path`.
pub(super) fn settings(text: &str, path: &Path, keys: &[Key]) -> Result<Vec<Setting>, ConfigError> {
    let origin = |at: usize| {
        let before = text.as_bytes().iter().take(at);
        Origin::Line(
            path.into(),
            1 + before.filter(|&&byte| byte == b'\n').count(),
        )
    };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message().replace(char::is_control, " ");
        ConfigError::Toml(origin(at), message)
    })?;
    let mut settings = Vec::new();
    for (name, value) in table.get_ref() {
        let origin = origin(name.span().start);
        let name: &str = name.get_ref();
        let Some(key) = keys.iter().find(|key| key.long == name) else {
            let name = name.replace(char::is_control, " ");
            return Err(ConfigError::UnknownKey(origin, name));
        };
        let Some(value) = value_of(value.get_ref(), &text[value.span()]) else {
            let what = "neither a string, a number, true or false, nor a list of strings";
            return Err(ConfigError::Kind(origin, key.long.clone(), what));
        };
        settings.push(key.set(value, origin)?);
    }
    Ok(settings)
}

fn value_of(value: &DeValue<'_>, written: &str) -> Option<Value> {
    if let DeValue::Boolean(on) = value {
        return Some(Value::Switch(*on));
    }
    let string = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    };
    let words = match value {
        DeValue::Integer(_) => vec![written.to_owned()],
        DeValue::Array(list) => {
            let strings = list.iter().map(|one| string(one.get_ref()));
            strings.collect::<Option<_>>()?
        }
        one => vec![string(one)?],
    };
    Some(Value::Words(words))
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Setting>, String> {
        let settings = settings(text, Path::new("/c.toml"), &keys::all());
        settings.map_err(|error| error.to_string())
    }

    #[test]
    fn each_setting_knows_its_line() {
        let text = "# why\ngeometry = '800x600'\n\nlisten = ['127.0.0.1:1',\n  '[::1]:2']\ndisplay = 7\n\
                    insecure = true\n";
        let mut settings = parsed(text).unwrap();
        settings.sort_by_key(|setting| setting.origin.to_string());
        let shown: Vec<String> = settings
            .iter()
            .map(|setting| format!("{} {}", setting.origin, setting.words().join(" ")))
            .collect();
        assert_eq!(
            shown,
            [
                "/c.toml:2 --geometry=800x600",
                "/c.toml:4 --listen=127.0.0.1:1 --listen=[::1]:2",
                "/c.toml:6 --display=7",
                "/c.toml:7 --insecure",
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, told) in [
            (
                "\ngeometri = \"1x1\"",
                "/c.toml:2: unknown key 'geometri'; keys are",
            ),
            ("[start]\nname = \"x\"", "/c.toml:1: unknown key 'start'"),
            ("name = 'a'\nname = 'b'", "/c.toml:2: this is no TOML: "),
            ("name =", "/c.toml:1: this is no TOML: "),
            (
                "\n\ngeometry = \"1x1\"",
                "/c.toml:3: invalid value '1x1' for '--geometry",
            ),
            (
                "auth = \"x\"",
                "/c.toml:1: invalid value 'x' for '--auth <AUTH>' [possible values: ticket",
            ),
            (
                "insecure = \"yes\"",
                "/c.toml:1: 'insecure' is either true or false",
            ),
            ("listen = [1, {}]", "/c.toml:1: 'listen' is neither"),
            ("name.x = 1", "/c.toml:1: 'name' is neither"),
            ("json = true", "/c.toml:1: unknown key 'json'"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.starts_with(told), "{text}: {error}");
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    fn a_file_may_be_missing_but_not_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        let keys = keys::all();
        assert!(read(&dir.path().join("none"), &keys).unwrap().is_none());
        let broken = read(dir.path(), &keys).unwrap_err();
        assert!(!broken.is_usage());
    }
}

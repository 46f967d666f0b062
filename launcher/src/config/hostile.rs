//! Configuration of any bytes, and what must hold all the same: settings of which nothing is lost and which the command
//! line takes, or one sentence that names the file, the line and the key.
//!
//! A script's first byte decides what the rest is: one file, two files over each other, variables, or a file with a
//! password. `tests/fuzz` feeds [`check`] with a fuzzer, the tests here with random scripts and with those that a
//! fuzzer once found.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use clap::error::ErrorKind;
use toml::{Table, Value as TomlValue};

use super::keys::{self, Key};
use super::layers::{Layers, of_variables};
use super::{ConfigError, Setting, Value, file, show};
use crate::password::Password;

/// Where the text is said to be.
const PATH: &str = "/c.toml";

/// Parts one file from the next, or one variable: no text has this byte.
const PARTING: u8 = 0xff;

/// Reads the configuration that `script` is.
///
/// # Panics
/// Where one of the promises is broken; that is what tests and fuzzers look for.
pub fn check(script: &[u8]) {
    let (kind, rest) = script.split_first().unwrap_or((&0, &[]));
    match kind % 8 {
        4 => layers(rest),
        5 | 6 => variables(rest),
        7 => password(rest),
        _ => drop(one_file(&String::from_utf8_lossy(rest))),
    }
}

/// What a file of this text sets; none if it is refused.
fn one_file(text: &str) -> Option<Vec<Setting>> {
    let keys = keys::all();
    match file::settings(text, Path::new(PATH), &keys) {
        Ok(settings) => {
            assert_nothing_is_lost(text, &settings);
            assert_is_taken(&settings, &keys);
            assert_is_shown(&settings, &keys);
            Some(settings)
        }
        Err(error) => {
            assert_is_told(text, &error);
            None
        }
    }
}

/// Two files, the second over the first.
fn layers(script: &[u8]) {
    let mut texts = script.splitn(2, |byte| *byte == PARTING);
    let mut read = || one_file(&String::from_utf8_lossy(texts.next().unwrap_or_default()));
    let (Some(first), Some(second)) = (read(), read()) else {
        return;
    };
    let mut layers = Layers::default();
    layers.put(first.clone());
    layers.put(second.clone());
    let of = |settings: &[Setting], key: &str| {
        let found = settings.iter().find(|setting| setting.key == key);
        found.map(|setting| setting.value.clone())
    };
    let keys = keys::all();
    for key in &keys {
        let expected = of(&second, &key.long).or_else(|| of(&first, &key.long));
        assert_eq!(of(&layers.0, &key.long), expected, "{}", key.long);
    }
    assert_is_taken(&layers.0, &keys);
}

/// Variables, each as `NAME=VALUE`; a name of one byte is that of the key with this number.
fn variables(script: &[u8]) {
    let keys = keys::all();
    let name_of = |key: &Key| format!("CARAWAY_{}", key.long.to_uppercase().replace('-', "_"));
    let said: Vec<(String, OsString)> = script
        .split(|byte| *byte == PARTING)
        .filter_map(|piece| {
            let at = piece.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (piece.get(..at)?, piece.get(at + 1..)?);
            let name = match name {
                [number] => name_of(keys.get(usize::from(*number) % keys.len())?),
                name => String::from_utf8_lossy(name).into_owned(),
            };
            Some((name, OsString::from_vec(value.to_vec())))
        })
        .collect();
    let get = |asked: &str| {
        let found = said.iter().find(|(name, _)| name == asked);
        found.map(|(_, value)| value.clone())
    };
    match of_variables(&keys, get) {
        Ok(settings) => {
            let is_set = |key: &&Key| get(&name_of(key)).is_some_and(|value| !value.is_empty());
            assert_eq!(settings.len(), keys.iter().filter(is_set).count());
            for setting in &settings {
                let name = setting.origin.to_string();
                let value = get(&name).and_then(|value| value.into_string().ok());
                assert_is_value(setting, &value.unwrap_or_default());
            }
            assert_is_taken(&settings, &keys);
            assert_is_shown(&settings, &keys);
        }
        Err(error) => {
            let told = error.to_string();
            let name = told.split(": ").next().unwrap_or_default();
            assert!(get(name).is_some(), "{told:?}");
            assert!(!told.contains(char::is_control), "{told:?}");
        }
    }
}

/// A variable's value is what was set; between several there are commas or spaces.
fn assert_is_value(setting: &Setting, value: &str) {
    match &setting.value {
        Value::Switch(on) => assert_eq!(*on, ["1", "true", "yes", "on"].contains(&value)),
        Value::Words(words) if words.len() == 1 && words[0] == value => {}
        Value::Words(words) => {
            let is_between = |letter: char| letter == ',' || letter.is_whitespace();
            assert_eq!(words.concat(), value.replace(is_between, ""));
            assert!(words.iter().all(|word| !word.is_empty()), "{setting:?}");
        }
    }
}

/// A file with a password is its one line, and is shown nowhere.
fn password(content: &[u8]) {
    match Password::from_content(content.to_vec(), Path::new(PATH)) {
        Ok(password) => {
            let line = password.reveal().as_bytes();
            assert!((1..=60).contains(&line.len()));
            assert!(!line.iter().any(|byte| b"\0\r\n".contains(byte)));
            let end = content.strip_prefix(line);
            assert!(
                end.is_some_and(|end| [&b""[..], b"\n", b"\r\n"].contains(&end)),
                "{content:?}"
            );
        }
        Err(error) => assert_eq!(
            error.to_string(),
            "the password file /c.toml must hold one line of 1 to 60 bytes of text"
        ),
    }
}

/// Each entry is a setting of the same value, at its line.
fn assert_nothing_is_lost(text: &str, settings: &[Setting]) {
    for setting in settings {
        let origin = setting.origin.to_string();
        let line = origin.strip_prefix("/c.toml:").map(str::parse);
        assert_stands_there(text, line.and_then(Result::ok).unwrap_or(0), &setting.key);
    }
    // Numbers are words that an option reads: a file may hold larger ones than the values of TOML.
    let Ok(table) = toml::from_str::<Table>(text) else {
        return;
    };
    assert_eq!(settings.len(), table.len(), "{settings:?}");
    for setting in settings {
        let written = table.get(&setting.key);
        let is_same = match (&setting.value, written) {
            (Value::Switch(on), Some(TomlValue::Boolean(written))) => on == written,
            (Value::Words(words), Some(TomlValue::Boolean(written))) => {
                *words == [written.to_string()]
            }
            (Value::Words(words), Some(TomlValue::String(written))) => {
                words.concat() == *written && words.len() == 1
            }
            (Value::Words(words), Some(TomlValue::Integer(written))) => {
                let again = toml::from_str::<Table>(&format!("n = {}", words.concat()));
                again.is_ok_and(|table| table.get("n") == Some(&TomlValue::Integer(*written)))
            }
            (Value::Words(words), Some(TomlValue::Array(written))) => {
                let written: Vec<_> = written.iter().map(TomlValue::as_str).collect();
                words.iter().map(|word| Some(&**word)).eq(written)
            }
            _ => false,
        };
        assert!(is_same, "{setting:?} of {written:?}");
    }
}

/// The line has the key, as far as it can be read without TOML's escapes. Errors show a tab as a space.
fn assert_stands_there(text: &str, line: usize, key: &str) {
    let found = text.split('\n').nth(line.wrapping_sub(1));
    let found = found.unwrap_or_default().replace(char::is_control, " ");
    assert!(
        found.contains(key) || found.contains('\\'),
        "{key} is not in line {line}: {found:?}"
    );
}

/// The command line takes each word as it is. Only what options want of each other may be wrong.
fn assert_is_taken(settings: &[Setting], keys: &[Key]) {
    let words: Vec<String> = settings.iter().flat_map(Setting::words).collect();
    let command = keys::command().no_binary_name(true);
    let matches = match command.try_get_matches_from(&words) {
        Ok(matches) => matches,
        Err(error) => {
            let kinds = [
                ErrorKind::MissingRequiredArgument,
                ErrorKind::ArgumentConflict,
            ];
            assert!(kinds.contains(&error.kind()), "{words:?}: {error}");
            return;
        }
    };
    for setting in settings {
        let key = keys.iter().find(|key| key.long == setting.key);
        let id = &key.map(|key| key.id.clone()).unwrap_or_default();
        match &setting.value {
            Value::Switch(on) => assert_eq!(matches.get_flag(id), *on, "{words:?}"),
            Value::Words(words) if words.is_empty() => {}
            Value::Words(words) => {
                let taken: Vec<_> = matches
                    .get_raw(id)
                    .into_iter()
                    .flatten()
                    .map(|value| value.to_str().unwrap_or_default())
                    .collect();
                // Some options part their values at commas.
                assert_eq!(taken.join(","), words.join(","), "{setting:?}");
            }
        }
    }
}

/// What `caraway config show` says can be configured, and comes to the same.
fn assert_is_shown(settings: &[Setting], keys: &[Key]) {
    let lines = show::lines(keys, settings, false);
    let shown = lines.join("\n");
    let again = file::settings(&shown, Path::new(PATH), keys).map_err(|error| error.to_string());
    assert_eq!(again.as_ref().err(), None, "{shown}");
    let again = again.unwrap_or_default();
    assert_eq!(again.len(), lines.len(), "{shown}");
    for setting in settings {
        let same = again.iter().find(|one| one.key == setting.key);
        assert_eq!(same.map(|one| &one.value), Some(&setting.value), "{shown}");
    }
}

/// One sentence with the file and the line, and with the key where there is one.
fn assert_is_told(text: &str, error: &ConfigError) {
    let told = error.to_string();
    assert!(!told.contains(char::is_control), "{told:?}");
    assert!(error.is_usage(), "{told:?}");
    let rest = told.strip_prefix("/c.toml:");
    let (line, rest) = rest
        .and_then(|rest| rest.split_once(": "))
        .unwrap_or_default();
    let line: usize = line.parse().unwrap_or_default();
    assert!((1..=text.split('\n').count()).contains(&line), "{told:?}");
    let known = keys::all();
    let is_key = |key: &str| known.iter().any(|one| one.long == key);
    match error {
        // Of no text: it is no mistake of usage.
        ConfigError::Read { .. } => {}
        ConfigError::Toml(..) => assert!(toml::from_str::<Table>(text).is_err(), "{told:?}"),
        ConfigError::UnknownKey(_, key) => {
            assert!(!is_key(key), "{told:?}");
            assert_stands_there(text, line, key);
        }
        ConfigError::Kind(_, key, _) => {
            assert!(is_key(key) && rest.contains(key), "{told:?}");
            assert_stands_there(text, line, key);
        }
        ConfigError::Value(..) => {
            let named = known.iter().filter(|key| {
                let option = format!("' for '--{}", key.long);
                rest.contains(&format!("{option} ")) || rest.contains(&format!("{option}'"))
            });
            let mut lines = text.split('\n').skip(line - 1).take(1);
            let found = lines.next().unwrap_or_default();
            let mut keys = named.map(|key| &key.long);
            assert!(
                keys.any(|key| found.contains(key)) || found.contains('\\'),
                "{told:?}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{plant_seeds, replay_regressions};
    use proptest::prelude::*;

    const LINES: [&str; 12] = [
        "geometry = '800x600'",
        "# größer \u{1f955}",
        "listen = ['127.0.0.1:1', \"\"\"[::1]:2\"\"\"]",
        "display = 7",
        "insecure = true",
        "\"name\" = \"\\u00e9\\n\"",
        "auth.x = {a = 1.5, b = [[]]}",
        "[[unix]]",
        "tls-cert = 1979-05-27",
        "view-only-users = ['a,b', \"c\\td\", '']",
        "idle-limit = '8h'",
        "clipboard-max = 1_0",
    ];

    const PIECES: [&str; 12] = [
        "\u{1b}",
        "\n",
        "\r",
        "'''",
        "\"",
        "[",
        "}",
        "=",
        "\u{202e}",
        "99999999999999999999",
        "\0",
        "\\u00",
    ];

    /// A text of a few lines in which a few places are something else.
    fn text() -> impl Strategy<Value = String> {
        let lines = prop::collection::vec(prop::sample::select(&LINES[..]), 1..4);
        let place = (
            any::<prop::sample::Index>(),
            0_usize..4,
            prop::sample::select(&PIECES[..]),
        );
        let places = prop::collection::vec(place, 0..4);
        (lines, places).prop_map(|(lines, places)| {
            let mut text: Vec<char> = lines.join("\n").chars().collect();
            for (at, length, piece) in places {
                let at = at.index(text.len().max(1)).min(text.len());
                let end = (at + length).min(text.len());
                text.splice(at..end, piece.chars());
            }
            text.into_iter().collect()
        })
    }

    fn script(kind: u8, parts: &[&str]) -> Vec<u8> {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        [&[kind][..], &parts.join(&PARTING)].concat()
    }

    proptest! {
        #[test]
        fn random_files_break_no_promise(kind in prop::sample::select(&[0_u8, 4][..]), one in text(),
                                         other in text()) {
            check(&script(kind, &[&one, &other]));
        }

        #[test]
        fn random_variables_break_no_promise(
            said in prop::collection::vec((any::<u8>(), "[a-z0-9:., ]{0,9}|\\PC{0,5}"), 0..4),
        ) {
            let mut bytes = vec![5];
            for (number, value) in said {
                bytes.extend([&[number % 128, b'='], value.as_bytes(), &[PARTING]].concat());
            }
            check(&bytes);
        }

        #[test]
        fn random_bytes_break_no_promise(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            check(&bytes);
        }
    }

    #[test]
    fn seeds_break_no_promise() {
        let all = "geometry = '800x600'\nlisten = ['127.0.0.1:1', '[::1]:2']\ndisplay = 7\ninsecure = true\n\
                   idle-limit = '8h'\nclipboard-types = ['text', 'files']\nname = \"w\\u006frk\"\n";
        let mut seeds: Vec<Vec<u8>> = LINES.iter().map(|line| script(0, &[line])).collect();
        seeds.extend([
            script(0, &[all]),
            script(0, &["name = \"a\\n\\nb\""]),
            script(4, &[all, "name = 'other'\nlisten = []"]),
            script(
                5,
                &[
                    "CARAWAY_LISTEN=127.0.0.1:1, [::1]:2",
                    "CARAWAY_INSECURE=yes",
                    "CARAWAY_NAME=a b",
                ],
            ),
            script(7, &["pass word\r\n"]),
        ]);
        plant_seeds("config", &seeds, check);
        // They do go where they are meant to.
        assert_eq!(one_file(all).map(|settings| settings.len()), Some(7));
    }

    #[test]
    fn scripts_from_the_fuzzer_break_no_promise() {
        assert!(0 < replay_regressions("config", check));
    }
}

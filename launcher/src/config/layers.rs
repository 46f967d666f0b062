//! The layers of settings, each over the one before it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::keys::{self, Key, Takes};
use super::{ConfigError, Origin, Setting, Value, file};

/// What a package brings.
const PACKAGE_FILE: &str = "usr/lib/caraway/caraway.toml";

/// What the host's administrator says, and the directory with more of it.
const HOST_FILE: &str = "etc/caraway/caraway.toml";
const HOST_DIR: &str = "etc/caraway/caraway.toml.d";

/// The user's file below the directory of configurations.
const USER_FILE: &str = "caraway/caraway.toml";

/// Beginning of the variables.
const VARIABLE_BEGINNING: &str = "CARAWAY_";

/// Names the user's file, as `--config` does.
const FILE_VARIABLE: &str = "CARAWAY_CONFIG";

/// What holds below the command line, where `named` is the file of `--config`.
pub(super) fn effective(named: Option<PathBuf>) -> Result<Vec<Setting>, ConfigError> {
    let keys = keys::all();
    let mut layers = Layers::default();
    for path in host_files(Path::new("/"))? {
        layers.put(file::read(&path, &keys)?.unwrap_or_default());
    }
    let variable = env::var_os(FILE_VARIABLE).filter(|name| !name.is_empty());
    match named.or(variable.map(PathBuf::from)) {
        Some(path) => layers.put(file::read(&path, &keys)?.ok_or_else(|| missing(path))?),
        None => {
            let path = user_file();
            let read = path.map(|path| file::read(&path, &keys)).transpose()?;
            layers.put(read.flatten().unwrap_or_default());
        }
    }
    layers.put(of_variables(&keys, |name| env::var_os(name))?);
    Ok(layers.0)
}

/// How many desktops a user may have who asks for `asked`: what the host says cannot be raised.
pub(crate) fn desktops_max(asked: u16) -> Result<u16, ConfigError> {
    let of_host = limit_of_host(Path::new("/"), "desktops-max")?;
    Ok(of_host.map_or(asked, |of_host| asked.min(of_host)))
}

/// The number that the files of the host below `root` give `key`.
fn limit_of_host(root: &Path, key: &str) -> Result<Option<u16>, ConfigError> {
    let keys = keys::all();
    let mut layers = Layers::default();
    for path in host_files(root)? {
        layers.put(file::read(&path, &keys)?.unwrap_or_default());
    }
    let setting = layers.0.into_iter().find(|setting| setting.key == key);
    Ok(setting.and_then(|setting| match setting.value {
        Value::Words(words) => words.first()?.parse().ok(),
        Value::Switch(_) => None,
    }))
}

/// What `caraway doctor` says of it.
pub(crate) fn advice() -> Result<String, ConfigError> {
    let settings = effective(None)?;
    let mut origins: Vec<String> = Vec::new();
    for setting in settings {
        let origin = match setting.origin {
            Origin::Line(path, _) => path.display().to_string(),
            Origin::Variable(name) => name,
        };
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Ok(match origins.is_empty() {
        true => "nothing is set".into(),
        false => origins.join(", "),
    })
}

fn missing(path: PathBuf) -> ConfigError {
    ConfigError::Read {
        path,
        source: io::ErrorKind::NotFound.into(),
    }
}

/// What holds after the files so far.
#[derive(Debug, Default)]
pub(super) struct Layers(pub(super) Vec<Setting>);

impl Layers {
    /// Puts settings over those that are there; a list replaces a list.
    pub(super) fn put(&mut self, settings: Vec<Setting>) {
        for setting in settings {
            self.0.retain(|earlier| earlier.key != setting.key);
            self.0.push(setting);
        }
    }
}

/// The files of package and host, in order.
fn host_files(root: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let dir = root.join(HOST_DIR);
    let mut more = Vec::new();
    match fs::read_dir(&dir) {
        Ok(entries) => {
            let paths = entries.flatten().map(|entry| entry.path());
            more.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "toml")));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(ConfigError::Read { path: dir, source }),
    }
    more.sort();
    let mut files = vec![root.join(PACKAGE_FILE), root.join(HOST_FILE)];
    files.append(&mut more);
    Ok(files)
}

fn user_file() -> Option<PathBuf> {
    let named = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let named = named.filter(|dir| dir.is_absolute());
    let dir = named.or_else(|| Some(env::home_dir()?.join(".config")))?;
    Some(dir.join(USER_FILE))
}

/// The settings in the variables of which `get` gives the values.
pub(super) fn of_variables(
    keys: &[Key],
    get: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<Setting>, ConfigError> {
    let mut settings = Vec::new();
    for key in keys {
        let name = key.long.to_uppercase().replace('-', "_");
        let name = format!("{VARIABLE_BEGINNING}{name}");
        let Some(value) = get(&name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let origin = Origin::Variable(name);
        let kind = |what| ConfigError::Kind(origin.clone(), key.long.clone(), what);
        let value = value.to_str().ok_or_else(|| kind("no text in UTF-8"))?;
        let words = |text: &str| Value::Words(vec![text.to_owned()]);
        let value = match (key.takes, value) {
            (Takes::None, "1" | "true" | "yes" | "on") => Value::Switch(true),
            (Takes::None, "0" | "false" | "no" | "off") => Value::Switch(false),
            (Takes::None, _) => return Err(kind("either true or false")),
            (Takes::One, text) => words(text),
            (Takes::Several, text) => {
                let pieces = text.split(|c: char| c == ',' || c.is_whitespace());
                let pieces = pieces.filter(|piece| !piece.is_empty());
                Value::Words(pieces.map(str::to_owned).collect())
            }
        };
        settings.push(key.set(value, origin)?);
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(settings: &[Setting]) -> Vec<String> {
        settings.iter().flat_map(Setting::words).collect()
    }

    #[test]
    fn variables_are_split_where_options_take_several() {
        let get = |name: &str| match name {
            "CARAWAY_TLS_LISTEN" => Some("127.0.0.1:1, [::1]:2".into()),
            "CARAWAY_NAME" => Some("work".into()),
            "CARAWAY_INSECURE" => Some("yes".into()),
            "CARAWAY_GEOMETRY" => Some("".into()),
            _ => None,
        };
        let keys = keys::all();
        let mut words = shown(&of_variables(&keys, get).unwrap());
        words.sort();
        let wanted = [
            "--insecure",
            "--name=work",
            "--tls-listen=127.0.0.1:1",
            "--tls-listen=[::1]:2",
        ];
        assert_eq!(words, wanted);
        for (name, value) in [("CARAWAY_INSECURE", "maybe"), ("CARAWAY_GEOMETRY", "big")] {
            let get = |asked: &str| (asked == name).then(|| value.into());
            let error = of_variables(&keys, get).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name}: ")), "{error}");
        }
    }

    #[test]
    fn the_host_limits_desktops() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(limit_of_host(root.path(), "desktops-max").unwrap(), None);
        let path = root.path().join(HOST_FILE);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "desktops-max = 3").unwrap();
        assert_eq!(limit_of_host(root.path(), "desktops-max").unwrap(), Some(3));
    }

    #[test]
    fn files_of_the_host_come_in_order_and_later_ones_win() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            PACKAGE_FILE,
            "geometry = '800x600'\nname = 'package'\nlisten = ['127.0.0.1:1']",
        );
        write(HOST_FILE, "name = 'host'");
        write(
            "etc/caraway/caraway.toml.d/20.toml",
            "name = 'twenty'\nlisten = ['127.0.0.1:2']",
        );
        write(
            "etc/caraway/caraway.toml.d/10.toml",
            "name = 'ten'\ninsecure = true",
        );
        write("etc/caraway/caraway.toml.d/30.toml.bak", "rubbish");
        let keys = keys::all();
        let mut layers = Layers::default();
        for path in host_files(root.path()).unwrap() {
            layers.put(file::read(&path, &keys).unwrap().unwrap());
        }
        let mut words = shown(&layers.0);
        words.sort();
        let wanted = [
            "--geometry=800x600",
            "--insecure",
            "--listen=127.0.0.1:2",
            "--name=twenty",
        ];
        assert_eq!(words, wanted);
    }
}

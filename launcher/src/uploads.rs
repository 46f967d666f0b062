//! The folder where files go that are dropped on a client's window: the one where the user's downloads go.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What the user said of uploads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Uploads {
    /// None are taken.
    Off,
    /// They go there.
    Folder(PathBuf),
}

impl FromStr for Uploads {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        // The server may be started from another directory.
        let path = fs::canonicalize(text).map_err(|error| error.to_string())?;
        if path.is_dir() {
            Ok(Self::Folder(path))
        } else {
            Err("not a folder".into())
        }
    }
}

/// A number of bytes, as `500M` or `2G`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let unit = text.chars().last().map_or(1, |last| match last {
        'K' => 1 << 10,
        'M' => 1 << 20,
        'G' => 1 << 30,
        'T' => 1 << 40,
        _ => 1,
    });
    let digits = if unit == 1 {
        text
    } else {
        text.get(..text.len() - 1).unwrap_or_default()
    };
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .filter(|bytes| *bytes != 0)
        .ok_or_else(|| "a size is a number of bytes, like 1048576, 500M or 2G".into())
}

/// Where uploads go: where the user said, else to the download folder. None where they are off or there is no home.
pub(crate) fn folder(said: Option<&Uploads>, home: Option<&Path>) -> Option<PathBuf> {
    match (said, home) {
        (Some(Uploads::Off), _) | (None, None) => None,
        (Some(Uploads::Folder(folder)), _) => Some(folder.clone()),
        (None, Some(home)) => {
            let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
            let config = config.filter(|path| path.is_absolute());
            let config = config.unwrap_or_else(|| home.join(".config"));
            Some(download_folder(home, &config)).filter(|folder| folder.is_dir())
        }
    }
}

/// The download folder as `xdg-user-dir DOWNLOAD` finds it, if it is there; else `~/Downloads` if that is; else the
/// home.
fn download_folder(home: &Path, config: &Path) -> PathBuf {
    let entries = fs::read_to_string(config.join("user-dirs.dirs")).unwrap_or_default();
    let named = entries.lines().rev().find_map(|line| entry(line, home));
    [named, Some(home.join("Downloads"))]
        .into_iter()
        .flatten()
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| home.into())
}

/// The path in a line like `XDG_DOWNLOAD_DIR="$HOME/Downloads"`. A shell reads this file, but only an absolute path or
/// one in the home is allowed in it (xdg-user-dirs-update(1)).
fn entry(line: &str, home: &Path) -> Option<PathBuf> {
    let value = line.trim().strip_prefix("XDG_DOWNLOAD_DIR")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    let mut plain = String::new();
    let mut rest = value.strip_prefix("$HOME").unwrap_or(value).chars();
    while let Some(character) = rest.next() {
        plain.push(match character {
            '\\' => rest.next()?,
            other => other,
        });
    }
    match plain.strip_prefix('/') {
        _ if !value.starts_with("$HOME") => {
            Some(PathBuf::from(plain)).filter(|path| path.is_absolute())
        }
        Some(inside) => Some(home.join(inside.trim_start_matches('/'))),
        None => plain.is_empty().then(|| home.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_download_folder_is_the_users_own() {
        let place = tempfile::tempdir().unwrap();
        let (home, config) = (place.path(), place.path().join(".config"));
        assert_eq!(download_folder(home, &config), home);
        fs::create_dir(home.join("Downloads")).unwrap();
        assert_eq!(download_folder(home, &config), home.join("Downloads"));
        fs::create_dir(&config).unwrap();
        let text =
            "# said\nXDG_DESKTOP_DIR=\"$HOME/Desktop\"\nXDG_DOWNLOAD_DIR=\"$HOME/Got \\$ it\"\n";
        fs::write(config.join("user-dirs.dirs"), text).unwrap();
        assert_eq!(
            download_folder(home, &config),
            home.join("Downloads"),
            "what is named is not there"
        );
        fs::create_dir(home.join("Got $ it")).unwrap();
        assert_eq!(download_folder(home, &config), home.join("Got $ it"));
    }

    #[test]
    fn entries_are_absolute_or_in_the_home() {
        let entry = |text: &str| entry(text, Path::new("/home/me"));
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(entry("XDG_DOWNLOAD_DIR=\"$HOME/D\""), path("/home/me/D"));
        assert_eq!(entry(" XDG_DOWNLOAD_DIR = \"/data/d\" "), path("/data/d"));
        assert_eq!(entry("XDG_DOWNLOAD_DIR=\"$HOME/\""), path("/home/me/"));
        assert_eq!(entry("XDG_DOWNLOAD_DIR=\"$HOME\""), path("/home/me"));
        for wrong in [
            "",
            "XDG_DOWNLOAD_DIR",
            "XDG_DOWNLOAD_DIR=D",
            "XDG_DOWNLOAD_DIR=\"D\"",
            "XDG_DOWNLOAD_DIR=\"$HOMEless/D\"",
            "XDG_DOWNLOAD_DIR=\"/d",
            "XDG_DOWNLOAD_DIR=\"/d\\\"",
            "XDG_DESKTOP_DIR=\"$HOME/D\"",
            "#XDG_DOWNLOAD_DIR=\"$HOME/D\"",
        ] {
            assert_eq!(entry(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_the_user_says_holds() {
        let place = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(place.path()).unwrap();
        let said: Uploads = real.to_str().unwrap().parse().unwrap();
        assert_eq!(said, Uploads::Folder(real.clone()));
        assert_eq!(folder(Some(&said), None), Some(real.clone()));
        assert_eq!("off".parse(), Ok(Uploads::Off));
        assert_eq!(folder(Some(&Uploads::Off), Some(&real)), None);
        assert_eq!(folder(None, None), None);
        fs::write(real.join("file"), "").unwrap();
        assert!(
            real.join("file")
                .to_str()
                .unwrap()
                .parse::<Uploads>()
                .is_err()
        );
        assert!("/nowhere/at/all".parse::<Uploads>().is_err());
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("1"), Ok(1));
        assert_eq!(bytes("500M"), Ok(500 << 20));
        assert_eq!(bytes("2G"), Ok(2 << 30));
        for wrong in ["", "0", "G", "-1", "1.5G", "2g", "99999999T", "1KK"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}

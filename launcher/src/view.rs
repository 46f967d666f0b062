//! `caraway view`: remote-viewer on a desktop, or all that another viewer needs.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

use crate::cli::ViewArgs;
use crate::control::client::{self, ClientError};
use crate::control::messages::WayIn;
use crate::name::DesktopName;
use crate::others::{self, OthersError};
use crate::process::programs;
use crate::runtime_dir::Base;
use crate::terminal::answer;

const VIEWER: &str = "remote-viewer";

/// Why the desktop is not shown.
#[derive(Debug, Error)]
pub(crate) enum ViewError {
    #[error(transparent)]
    Desktop(#[from] ClientError),
    #[error(transparent)]
    Others(#[from] OthersError),
    #[error(
        "this desktop lets in users alone (--auth sasl) and has no unix socket to watch it through"
    )]
    NoWayToWatch,
    #[error("cannot write the connection file {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot run {VIEWER}: {0}")]
    Viewer(io::Error),
}

/// Becomes remote-viewer where there is a screen for it; otherwise says how to connect.
pub(crate) fn run(args: &ViewArgs) -> Result<(), ViewError> {
    let (name, way_in) = match &args.of.user {
        Some(user) => others::view(user, args)?,
        None => {
            let name = client::resolve(args.name.clone())?;
            let way_in = match args.shadow {
                true => client::shadow(&name)?,
                false => client::way_in(&name)?,
            };
            (name, way_in)
        }
    };
    if way_in.uris.is_empty() {
        return Err(ViewError::NoWayToWatch);
    }
    if args.json {
        answer(serde_json::json!({ "name": name, "way_in": way_in }));
        return Ok(());
    }
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| env::var_os(name).is_some());
    let viewer = find_viewer().filter(|_| has_screen);
    let tcp = way_in.uris.iter().find_map(|uri| Door::of(uri));
    let file = match tcp {
        Some(door) => Some(write_file(&name, &door, &way_in)?),
        None => None,
    };
    match (viewer, &file) {
        (Some(viewer), Some(file)) => Err(become_viewer(&viewer, file.as_os_str())),
        (Some(viewer), None) => Err(become_viewer(&viewer, way_in.uris.concat().as_ref())),
        (None, file) => {
            tell(&way_in, file.as_deref());
            Ok(())
        }
    }
}

fn become_viewer(viewer: &Path, what: &std::ffi::OsStr) -> ViewError {
    ViewError::Viewer(Command::new(viewer).arg("--").arg(what).exec())
}

fn tell(way_in: &WayIn, file: Option<&Path>) {
    for uri in &way_in.uris {
        match &way_in.password {
            Some(password) => answer(format_args!("{uri}  password: {password}")),
            None => answer(uri),
        }
    }
    if let Some(file) = file {
        answer(format_args!("{VIEWER} {}", file.display()));
    }
}

/// remote-viewer, if this host has it.
pub(crate) fn find_viewer() -> Option<PathBuf> {
    programs::in_path(VIEWER)
}

/// The parts of `spice://HOST:PORT` or `spice://HOST?tls-port=PORT`.
#[derive(Debug, PartialEq, Eq)]
struct Door<'a> {
    /// One of IPv6 without its brackets.
    host: &'a str,
    port: &'a str,
    tls: bool,
}

impl<'a> Door<'a> {
    fn of(uri: &'a str) -> Option<Self> {
        let address = uri.strip_prefix("spice://")?;
        let (host, port, tls) = match address.split_once("?tls-port=") {
            Some((host, port)) => (host, port, true),
            None => address
                .rsplit_once(':')
                .map(|(host, port)| (host, port, false))?,
        };
        let host = host.trim_matches(['[', ']']);
        Some(Self { host, port, tls })
    }
}

/// Writes a connection file of virt-viewer, private to the user, into the desktop's directory, or beside those of
/// others if it is another user's. The viewer deletes it when it has read it; what no viewer takes goes with the
/// desktop.
fn write_file(name: &DesktopName, door: &Door<'_>, way_in: &WayIn) -> Result<PathBuf, ViewError> {
    let base = Base::create().map_err(|_| ClientError::Unknown(name.clone()))?;
    let own = base.path().join(name.as_str());
    let dir = if own.is_dir() { &own } else { base.path() };
    let path = dir.join(format!("view-{}.vv", std::process::id()));
    let failed = |source| ViewError::File {
        path: path.clone(),
        source,
    };
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    file.write_all(text(name, door, way_in).as_bytes())
        .map_err(failed)?;
    Ok(path)
}

fn text(name: &DesktopName, door: &Door<'_>, way_in: &WayIn) -> String {
    let Door { host, port, tls } = door;
    let kind = if *tls { "tls-port" } else { "port" };
    let mut text = format!("[virt-viewer]\ntype=spice\nhost={host}\n{kind}={port}\ntitle={name}\n");
    if let Some(authority) = way_in.authority.as_ref().filter(|_| *tls) {
        text.push_str(&format!("ca={}\n", escaped(authority)));
    }
    if let Some(password) = &way_in.password {
        text.push_str(&format!("password={}\n", escaped(password)));
    }
    text.push_str("delete-this-file=1\n");
    text
}

/// A value of a GKeyFile: a backslash begins an escape, and blanks at the start would be cut off.
fn escaped(value: &str) -> String {
    let escaped = value
        .replace('\\', "\\\\")
        .replace('\t', "\\t")
        .replace('\n', "\\n");
    let rest = escaped.trim_start_matches(' ');
    "\\s".repeat(escaped.len() - rest.len()) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_all_and_asks_to_be_deleted() {
        let name = "work".parse().unwrap();
        let lines = |door: &str| -> Vec<String> {
            let way_in = WayIn {
                uris: Vec::new(),
                password: Some(" a\\b".into()),
                authority: Some("one\ntwo\n".into()),
            };
            let text = text(&name, &Door::of(door).unwrap(), &way_in);
            text.lines().map(str::to_owned).collect()
        };
        let tls = lines("spice://127.0.0.1?tls-port=5902");
        assert_eq!(tls[3], "tls-port=5902");
        assert_eq!(tls[5], "ca=one\\ntwo\\n");
        assert_eq!(
            lines("spice://127.0.0.1:5901"),
            [
                "[virt-viewer]",
                "type=spice",
                "host=127.0.0.1",
                "port=5901",
                "title=work",
                "password=\\sa\\\\b",
                "delete-this-file=1"
            ]
        );
    }

    #[test]
    fn uris_are_taken_apart() {
        let door = |host, port, tls| Some(Door { host, port, tls });
        assert_eq!(Door::of("spice://[::1]:5900"), door("::1", "5900", false));
        assert_eq!(
            Door::of("spice://[::1]?tls-port=5900"),
            door("::1", "5900", true)
        );
        assert_eq!(
            Door::of("spice://127.0.0.1:1"),
            door("127.0.0.1", "1", false)
        );
        assert_eq!(Door::of("spice+unix:///run/x"), None);
    }
}

//! `caraway view`: remote-viewer on a desktop, or all that another viewer needs.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

use crate::control::client::{self, ClientError};
use crate::control::messages::WayIn;
use crate::name::DesktopName;
use crate::runtime_dir::Base;
use crate::terminal::answer;

const VIEWER: &str = "remote-viewer";

/// Why the desktop is not shown.
#[derive(Debug, Error)]
pub(crate) enum ViewError {
    #[error(transparent)]
    Desktop(#[from] ClientError),
    #[error("cannot write the connection file {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot run {VIEWER}: {0}")]
    Viewer(io::Error),
}

/// Becomes remote-viewer where there is a screen for it; otherwise says how to connect.
pub(crate) fn run(name: Option<DesktopName>) -> Result<(), ViewError> {
    let name = client::resolve(name)?;
    let way_in = client::way_in(&name)?;
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| env::var_os(name).is_some());
    let viewer = find_viewer().filter(|_| has_screen);
    let tcp = way_in.uris.iter().find_map(|uri| host_and_port(uri));
    let file = match tcp {
        Some((host, port)) => Some(write_file(&name, host, port, way_in.password.as_deref())?),
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
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(VIEWER))
        .find(|program| program.is_file())
}

/// The parts of `spice://HOST:PORT`; a host of IPv6 without its brackets.
fn host_and_port(uri: &str) -> Option<(&str, &str)> {
    let (host, port) = uri.strip_prefix("spice://")?.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']), port))
}

/// Writes a connection file of virt-viewer, private to the user, into the desktop's directory. The
/// viewer deletes it when it has read it; what no viewer takes goes with the desktop.
fn write_file(
    name: &DesktopName,
    host: &str,
    port: &str,
    password: Option<&str>,
) -> Result<PathBuf, ViewError> {
    let base = Base::find().ok_or_else(|| ClientError::Unknown(name.clone()))?;
    let own = std::process::id();
    let path = base
        .path()
        .join(name.as_str())
        .join(format!("view-{own}.vv"));
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
    file.write_all(text(name, host, port, password).as_bytes())
        .map_err(failed)?;
    Ok(path)
}

fn text(name: &DesktopName, host: &str, port: &str, password: Option<&str>) -> String {
    let mut text = format!("[virt-viewer]\ntype=spice\nhost={host}\nport={port}\ntitle={name}\n");
    if let Some(password) = password {
        text.push_str(&format!("password={}\n", escaped(password)));
    }
    text.push_str("delete-this-file=1\n");
    text
}

/// A value of a GKeyFile: a backslash begins an escape, and blanks at the start would be cut off.
fn escaped(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('\t', "\\t");
    let rest = escaped.trim_start_matches(' ');
    "\\s".repeat(escaped.len() - rest.len()) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_all_and_asks_to_be_deleted() {
        let name = "work".parse().unwrap();
        let text = text(&name, "127.0.0.1", "5901", Some(" a\\b"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
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
        assert_eq!(host_and_port("spice://[::1]:5900"), Some(("::1", "5900")));
        assert_eq!(
            host_and_port("spice://127.0.0.1:1"),
            Some(("127.0.0.1", "1"))
        );
        assert_eq!(host_and_port("spice+unix:///run/x"), None);
    }
}

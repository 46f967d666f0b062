//! What the user's own processes say of displays: the variables `DISPLAY`, `XAUTHORITY` and the bus of those that run
//! in a graphical session. Display managers keep cookies each in another place, and only this tells where.
//!
//! It is read as the user, of processes of the user alone, so nothing is learnt that the user could not read anyway.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// Processes that are looked at.
const PROCESSES_MAX: usize = 8192;

/// Bytes of a process's environment that are looked at.
const ENVIRONMENT_BYTES_MAX: u64 = 128 * 1024;

/// Bytes of a process's list of control groups that are looked at.
const GROUPS_BYTES_MAX: u64 = 4096;

/// Cookie files of one display that are tried.
const AUTHORITIES_MAX: usize = 8;

/// What a process of the user's says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The number of the display that it uses.
    display: u32,
    authority: Option<PathBuf>,
    /// The socket of its D-Bus.
    bus: Option<PathBuf>,
    /// logind's sessions that it may belong to.
    sessions: [Option<String>; 2],
}

/// What the user's processes say that use a display of this host.
pub(super) fn all() -> Vec<Said> {
    let own = geteuid().as_raw();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let processes = entries.flatten().filter(|entry| {
        let name = entry.file_name();
        name.as_bytes().iter().all(u8::is_ascii_digit)
            && entry.metadata().is_ok_and(|about| about.uid() == own)
    });
    let said = processes.take(PROCESSES_MAX).filter_map(|entry| {
        let environment = read(&entry.path().join("environ"), ENVIRONMENT_BYTES_MAX)?;
        let groups = read(&entry.path().join("cgroup"), GROUPS_BYTES_MAX).unwrap_or_default();
        parse(&environment, &String::from_utf8_lossy(&groups))
    });
    said.collect()
}

fn read(path: &Path, bytes_max: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(bytes_max).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn parse(environment: &[u8], groups: &str) -> Option<Said> {
    let variable = |name: &str| {
        let mut variables = environment.split(|byte| *byte == 0);
        let value =
            variables.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        value.and_then(|value| str::from_utf8(value).ok())
    };
    let absolute = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    Some(Said {
        display: local_display(variable("DISPLAY")?)?,
        authority: variable("XAUTHORITY").and_then(absolute),
        bus: variable("DBUS_SESSION_BUS_ADDRESS")
            .and_then(bus_socket)
            .and_then(absolute),
        sessions: [
            variable("XDG_SESSION_ID").map(str::to_owned),
            session_of(groups).map(str::to_owned),
        ],
    })
}

/// The number of a display of this host, by its name: `:N` or `:N.SCREEN`.
pub(super) fn local_display(name: &str) -> Option<u32> {
    let number = name.strip_prefix(':')?.split('.').next()?;
    number.parse().ok()
}

/// The file of a bus by its address, `unix:path=FILE,guid=...`.
fn bus_socket(address: &str) -> Option<&str> {
    let first = address.split(';').next()?;
    let mut pairs = first.strip_prefix("unix:")?.split(',');
    pairs.find_map(|pair| pair.strip_prefix("path="))
}

/// The session whose scope is among the control groups: `.../session-ID.scope`.
fn session_of(groups: &str) -> Option<&str> {
    let mut parts = groups.split(['/', '\n']);
    parts.find_map(|part| part.strip_prefix("session-")?.strip_suffix(".scope"))
}

/// The displays that processes of this session of logind's use, most used first; those of desktops of ours, whose
/// cookies lie under `base`, do not count.
pub(super) fn displays_of(session: &str, said: &[Said], base: &Path) -> Vec<u32> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for one in said {
        let is_of_session = one.sessions.iter().flatten().any(|id| id == session);
        let is_ours = one
            .authority
            .as_ref()
            .is_some_and(|path| path.starts_with(base));
        if is_of_session && !is_ours {
            *counts.entry(one.display).or_default() += 1;
        }
    }
    let mut displays: Vec<(u32, usize)> = counts.into_iter().collect();
    displays.sort_by_key(|(_, count)| usize::MAX - count);
    displays.into_iter().map(|(display, _)| display).collect()
}

/// The cookie files that processes of this display use.
pub(super) fn authorities_of(display: u32, said: &[Said]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    let of_display = said.iter().filter(|one| one.display == display);
    for authority in of_display.filter_map(|one| one.authority.as_ref()) {
        if !found.contains(authority) && found.len() < AUTHORITIES_MAX {
            found.push(authority.clone());
        }
    }
    found
}

/// The socket of the D-Bus that most processes of this display use.
pub(super) fn bus_of(display: u32, said: &[Said]) -> Option<PathBuf> {
    let mut counts: BTreeMap<&Path, usize> = BTreeMap::new();
    let of_display = said.iter().filter(|one| one.display == display);
    for bus in of_display.filter_map(|one| one.bus.as_deref()) {
        *counts.entry(bus).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(bus, _)| bus.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(environment: &[&str], groups: &str) -> Option<Said> {
        parse(environment.join("\0").as_bytes(), groups)
    }

    #[test]
    fn only_displays_of_this_host_count() {
        assert_eq!(local_display(":0"), Some(0));
        assert_eq!(local_display(":12.0"), Some(12));
        for other in ["", "0", "localhost:10.0", "host:0", ":", ":x"] {
            assert_eq!(local_display(other), None, "{other:?}");
        }
        assert_eq!(said(&["HOME=/home/u"], ""), None);
    }

    #[test]
    fn what_a_session_uses_is_found_by_its_scope_or_its_variable() {
        let groups = "0::/user.slice/user-1000.slice/session-c3.scope\n";
        let environment = |display: &str, authority: &str| {
            [
                format!("DISPLAY={display}"),
                format!("XAUTHORITY={authority}"),
                "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus,guid=7".to_owned(),
            ]
            .join("\0")
        };
        let one = parse(environment(":0", "/run/gdm/x").as_bytes(), groups).unwrap();
        let ours = parse(environment(":9", "/run/base/desk/xauth").as_bytes(), groups).unwrap();
        let elsewhere = said(&["DISPLAY=:1", "XDG_SESSION_ID=8"], "0::/").unwrap();
        let relative = said(&["DISPLAY=:0", "XAUTHORITY=x"], groups).unwrap();
        let all = [ours, one.clone(), one, elsewhere, relative];
        let base = Path::new("/run/base");
        assert_eq!(displays_of("c3", &all, base), [0]);
        assert_eq!(displays_of("8", &all, base), [1]);
        assert!(displays_of("9", &all, base).is_empty());
        assert_eq!(authorities_of(0, &all), [Path::new("/run/gdm/x")]);
        let bus = bus_of(0, &all);
        assert_eq!(bus.as_deref(), Some(Path::new("/run/user/1000/bus")));
        assert_eq!(bus_of(1, &all), None);
    }

    #[test]
    fn buses_without_a_file_are_not_used() {
        assert_eq!(bus_socket("unix:abstract=/tmp/x,guid=1"), None);
        assert_eq!(bus_socket("tcp:host=h"), None);
        assert_eq!(bus_socket("unix:guid=1,path=/b;unix:path=/c"), Some("/b"));
    }
}

//! The environment of the user's programs: the user's own, without what belongs to another session.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Variables that tie a program to the display, bus, seat or terminal that `caraway` was called from.
const FOREIGN: [&str; 22] = [
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_STARTER_ADDRESS",
    "DBUS_STARTER_BUS_TYPE",
    "DESKTOP_AUTOSTART_ID",
    "DESKTOP_SESSION",
    "DESKTOP_STARTUP_ID",
    "GDMSESSION",
    "GIO_LAUNCHED_DESKTOP_FILE_PID",
    "GNOME_TERMINAL_SCREEN",
    "ICEAUTHORITY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "NOTIFY_SOCKET",
    "SESSION_MANAGER",
    "STY",
    "TMUX",
    "WAYLAND_SOCKET",
    "WINDOWID",
    "XDG_ACTIVATION_TOKEN",
    "XDG_CURRENT_DESKTOP",
    "XDG_SESSION_DESKTOP",
    "XDG_SESSION_ID",
];

/// More of them, by their beginnings: Wayland's displays, the seat, descriptors that were not passed
/// on, and whatever is the launcher's own.
const FOREIGN_BEGINNINGS: [&str; 6] = [
    "CARAWAY_",
    "LISTEN_",
    "WAYLAND_DISPLAY",
    "WATCHDOG_",
    "XDG_SEAT",
    "XDG_VTNR",
];

/// What the session's programs get of the `inherited` variables, their display, and their `sound` in place of the
/// user's.
pub(crate) fn for_session(
    inherited: impl Iterator<Item = (OsString, OsString)>,
    display: &str,
    cookie: &Path,
    sound: &[(&'static str, OsString)],
) -> Vec<(OsString, OsString)> {
    let own = [
        ("DISPLAY", OsStr::new(display)),
        ("XAUTHORITY", cookie.as_os_str()),
        ("XDG_SESSION_TYPE", OsStr::new("x11")),
    ];
    let own_names: Vec<&str> = own.iter().map(|(name, _)| *name).collect();
    let is_own = |name: &OsStr| {
        let of_sound = sound.iter().any(|(own, _)| name == *own);
        of_sound || own_names.iter().any(|own| name == *own)
    };
    let kept = inherited.filter(|(name, _)| !is_own(name) && !is_foreign(name));
    let mut variables: Vec<_> = kept.collect();
    variables.extend(own.map(|(name, value)| (name.into(), value.into())));
    variables.extend(
        sound
            .iter()
            .map(|(name, value)| (name.into(), value.clone())),
    );
    variables
}

fn is_foreign(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    FOREIGN.contains(&name)
        || FOREIGN_BEGINNINGS
            .iter()
            .any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_users_own_variables_stay() {
        let given = [
            "HOME=/home/u",
            "DISPLAY=:0",
            "WAYLAND_DISPLAY=wayland-0",
            "TMUX=x",
            "LANG=C",
            "CARAWAY_SECRET=x",
            "LISTEN_FDS=1",
            "XDG_SESSION_TYPE=wayland",
            "XDG_RUNTIME_DIR=/run/x",
            "PULSE_SINK=other",
        ];
        let pairs = given.iter().filter_map(|pair| pair.split_once('='));
        let inherited = pairs.map(|(name, value)| (name.into(), value.into()));
        let variables = for_session(
            inherited,
            ":7",
            Path::new("/run/x/xauth"),
            &[("PULSE_SINK", "own".into())],
        );
        let shown: Vec<String> = variables
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(
            shown,
            [
                "HOME=/home/u",
                "LANG=C",
                "XDG_RUNTIME_DIR=/run/x",
                "DISPLAY=:7",
                "XAUTHORITY=/run/x/xauth",
                "XDG_SESSION_TYPE=x11",
                "PULSE_SINK=own"
            ]
        );
    }
}

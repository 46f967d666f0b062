//! A launcher as a transient unit of the user's systemd, `caraway-NAME.service`: it has a place in the journal and in
//! the tree of control groups, and nothing of it outlives it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Detached;
use crate::name::DesktopName;
use crate::process::programs;

const PROGRAM: &str = "systemd-run";

/// Where the user's systemd takes orders, below XDG_RUNTIME_DIR.
const MANAGER_SOCKET: &str = "systemd/private";

/// Where logind notes whose systemd runs without a login.
const LINGER_DIR: &str = "/var/lib/systemd/linger";

/// As in `units/caraway@.service`, which says why; but a desktop that has ended by itself is not started again.
pub(crate) const PROPERTIES: [&str; 8] = [
    "KillMode=process",
    "Restart=on-failure",
    "RestartPreventExitStatus=1 2",
    "FileDescriptorStoreMax=128",
    "WatchdogSec=120",
    "TimeoutStopSec=40",
    "OOMPolicy=continue",
    "SyslogIdentifier=caraway",
];

/// What names the caller's place in a systemd, or its shell's.
const NOT_PASSED_ON: [&str; 12] = [
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "MAINPID",
    "MANAGERPID",
    "NOTIFY_SOCKET",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "_",
];

/// systemd-run, if the user's systemd takes orders.
pub(super) fn find() -> Option<PathBuf> {
    let runtime_dir = PathBuf::from(env::var_os("XDG_RUNTIME_DIR")?);
    UnixStream::connect(runtime_dir.join(MANAGER_SOCKET)).ok()?;
    programs::in_path(PROGRAM)
}

/// What `caraway doctor` says of it.
pub(crate) fn advice() -> Result<String, &'static str> {
    let program = find().ok_or(
        "no systemd of yours here, so --detach makes plain processes; \
         apt install dbus-user-session libpam-systemd and log in anew",
    )?;
    let program = program.display();
    Ok(if lingers() {
        format!("{program}")
    } else {
        format!(
            "{program}; detached desktops end with your last login, unless: loginctl enable-linger"
        )
    })
}

/// Whether this user's systemd runs without a login.
pub(crate) fn lingers() -> bool {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
    let user = user.ok().flatten();
    user.is_some_and(|user| Path::new(LINGER_DIR).join(user.name).exists())
}

/// Asks for the unit; the process that asks ends when the launcher has said that it is ready.
pub(super) fn start(
    systemd_run: &Path,
    name: &DesktopName,
    words: &[OsString],
) -> io::Result<Detached> {
    let mut command = Command::new(systemd_run);
    command.args(["--user", "--quiet", "--collect", "--service-type=notify"]);
    command.arg(format!("--unit=caraway-{name}.service"));
    command.arg(format!("--description=Caraway desktop {name}"));
    for property in PROPERTIES {
        command.arg("--property").arg(property);
    }
    let mut directory = OsString::from("--working-directory=");
    directory.push(env::current_dir()?);
    command.arg(directory);
    for variable in passed_on(env::vars_os()) {
        // Without the value: arguments can be read by everybody.
        command.arg(format!("--setenv={variable}"));
    }
    command.arg("--").arg(env::current_exe()?);
    command.args(words.iter().map(|word| escaped(word)));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::piped());
    Ok(Detached {
        child: command.spawn()?,
        by_systemd: true,
    })
}

/// Names of the variables that the launcher gets; systemd refuses others as a whole.
fn passed_on(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    let is_name = |name: &str| {
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
    };
    let is_value = |value: &OsStr| {
        let is_wrong = |c: char| c.is_control() && !matches!(c, '\t' | '\n');
        value
            .to_str()
            .is_some_and(|value| !value.contains(is_wrong))
    };
    variables
        .filter(|(_, value)| is_value(value))
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| is_name(name) && !NOT_PASSED_ON.contains(&name.as_str()))
        .collect()
}

/// systemd puts variables where a word has a dollar sign, unless there are two.
fn escaped(word: &OsStr) -> OsString {
    match word.to_str() {
        Some(text) => text.replace('$', "$$").into(),
        None => word.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_systemd_takes_is_passed_on() {
        let variables = [
            ("HOME", "/home/a"),
            ("LANG", "de_DE.UTF-8\tx\ny"),
            ("BASH_FUNC_x%%", "() { :; }"),
            ("ESCAPE", "\x1b[1m"),
            ("NOTIFY_SOCKET", "/x"),
            ("1X", "1"),
        ];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(passed_on(variables.into_iter()), ["HOME", "LANG"]);
    }

    #[test]
    fn no_word_is_taken_for_a_variable() {
        assert_eq!(escaped(OsStr::new("echo $HOME $$")), "echo $$HOME $$$$");
    }
}

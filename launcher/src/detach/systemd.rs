//! A launcher as a transient unit of the user's systemd, `caraway-NAME.service`: it has a place in the journal and in
//! the tree of control groups, and nothing of it outlives it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Detached;
use crate::name::DesktopName;
use crate::xorg::find::is_executable;

const PROGRAM: &str = "systemd-run";

/// Where the user's systemd takes orders, below XDG_RUNTIME_DIR.
const MANAGER_SOCKET: &str = "systemd/private";

/// Where logind notes whose systemd runs without a login.
const LINGER_DIR: &str = "/var/lib/systemd/linger";

/// Time for the launcher to end all of its parts: more than it gives them together.
const STOP_TIMEOUT: &str = "TimeoutStopSec=40";

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
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|dir| dir.join(PROGRAM))
        .find(|program| fs::metadata(program).is_ok_and(|file| is_executable(&file)))
}

/// What `caraway doctor` says of it.
pub(crate) fn advice() -> Result<String, &'static str> {
    let program = find().ok_or(
        "no systemd of yours here, so --detach makes plain processes; \
         apt install dbus-user-session libpam-systemd and log in anew",
    )?;
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
    let user = user.ok().flatten();
    let lingers = user.is_some_and(|user| Path::new(LINGER_DIR).join(user.name).exists());
    let program = program.display();
    Ok(if lingers {
        format!("{program}")
    } else {
        format!(
            "{program}; detached desktops end with your last login, unless: loginctl enable-linger"
        )
    })
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
    command.args(["--property=KillMode=mixed", "--property", STOP_TIMEOUT]);
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

/// Tells the service manager that started this process, if one did, that the desktop is ready.
pub(super) fn notify_ready() {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = tell(&socket, b"READY=1\n") {
        crate::terminal::notice(format_args!("cannot tell systemd of the desktop: {error}"));
    }
}

fn tell(socket: &OsStr, message: &[u8]) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message, &address)?;
    Ok(())
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
    fn a_manager_is_told_by_path_or_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        tell(path.as_os_str(), b"READY=1\n").unwrap();
        let mut heard = [0; 16];
        let count = socket.recv(&mut heard).unwrap();
        assert_eq!(&heard[..count], b"READY=1\n");
        assert!(tell(OsStr::new("@no such name here"), b"x").is_err());
        assert_eq!(escaped(OsStr::new("echo $HOME $$")), "echo $$HOME $$$$");
    }
}

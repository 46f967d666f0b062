//! `caraway enable`, `disable` and `upgrade`.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::systemctl::{Systemctl, SystemctlError};
use crate::control::client::{self, ClientError};
use crate::detach::systemd;
use crate::name::DesktopName;
use crate::terminal::answer;

/// The unit files, as packages install them.
const FILES: [(&str, &str); 3] = [
    (SERVICE, include_str!("../../units/caraway@.service")),
    (SOCKET, include_str!("../../units/caraway.socket")),
    (
        "caraway-session@.target",
        include_str!("../../units/caraway-session@.target"),
    ),
];

const SERVICE: &str = "caraway@.service";
const SOCKET: &str = "caraway.socket";

/// Where packages have `caraway`; in files for a user that is replaced by where it is.
const PACKAGED_PROGRAM: &str = "/usr/bin/caraway";

/// The first line of files that were made here and may be replaced.
const MARK: &str =
    "# Written by `caraway enable`, which replaces it; changes go into: systemctl --user edit ";

/// Where packages and hosts put units of users.
const HOST_DIRS: [&str; 4] = [
    "/etc/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
    "/lib/systemd/user",
];

/// Below the user's configuration directory.
const USER_DIR: &str = "systemd/user";

/// `enable`.
#[derive(Debug, clap::Args)]
pub(crate) struct EnableArgs {
    /// The desktop [default: desktop]
    name: Option<DesktopName>,
    /// Start it when the first client comes to its unix socket, and not before
    #[arg(long, conflicts_with = "name")]
    on_demand: bool,
}

/// `disable`.
#[derive(Debug, clap::Args)]
pub(crate) struct DisableArgs {
    /// The desktop, which is ended [default: desktop]
    name: Option<DesktopName>,
}

/// `upgrade`.
#[derive(Debug, clap::Args)]
pub(crate) struct UpgradeArgs {
    /// The desktop [default: all of yours]
    name: Option<DesktopName>,
    /// Every user's desktops that run an older build; root alone can
    #[arg(long, conflicts_with = "name")]
    pub(crate) all: bool,
    /// Upgrade nothing; say how many desktops --all would upgrade, if any
    #[arg(long, requires = "all")]
    pub(crate) check: bool,
}

/// Why it was not done.
#[derive(Debug, Error)]
pub(crate) enum UnitError {
    #[error(transparent)]
    Systemctl(#[from] SystemctlError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot write the unit {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} was not written by caraway; move it away, or use systemctl --user", .0.display())]
    Foreign(PathBuf),
    #[error("there is no place for units: neither XDG_CONFIG_HOME nor HOME is set")]
    NoHome,
    #[error("the desktop '{0}' runs already and not as this unit; end it first: caraway stop {0}")]
    RunsAlready(DesktopName),
    #[error("{source}; see why: journalctl --user -u caraway@{name} -n 20")]
    NotStarted {
        name: DesktopName,
        source: SystemctlError,
    },
}

/// Installs the units, has systemd start the desktop now and from now on, and says how to connect.
pub(crate) fn enable(args: &EnableArgs) -> Result<(), UnitError> {
    let systemctl = Systemctl::find()?;
    let name = or_default(args.name.as_ref());
    let unit = unit(&name);
    if client::names().contains(&name) && !systemctl.is_active(&unit) {
        return Err(UnitError::RunsAlready(name));
    }
    install()?;
    systemctl.run(&["daemon-reload"])?;
    if args.on_demand {
        systemctl.run(&["enable", "--now", "--quiet", SOCKET])?;
        let path = systemctl.run(&["show", "--property=Listen", "--value", SOCKET])?;
        let path = path.split_whitespace().next().unwrap_or_default();
        answer(format_args!(
            "spice+unix://{path}\n{SOCKET} is enabled; its password, once a client has come: caraway password {name}"
        ));
    } else {
        systemctl.run(&["enable", "--quiet", &unit])?;
        let started = systemctl.run(&["start", &unit]);
        started.map_err(|source| UnitError::NotStarted {
            name: name.clone(),
            source,
        })?;
        let way_in = client::way_in(&name)?;
        for uri in &way_in.uris {
            match &way_in.password {
                Some(password) => answer(format_args!("{uri}  password: {password}")),
                None => answer(uri),
            }
        }
        answer(format_args!(
            "{unit} is enabled; end it: caraway disable {name}"
        ));
    }
    answer(match systemd::lingers() {
        true => "it starts with this host, for you linger (loginctl)",
        false => {
            "it starts with your first login and ends with your last; to have it from the host's start on: \
             loginctl enable-linger"
        }
    });
    Ok(())
}

/// Ends the desktop, and has systemd start it no more.
pub(crate) fn disable(args: &DisableArgs) -> Result<(), UnitError> {
    let systemctl = Systemctl::find()?;
    let name = or_default(args.name.as_ref());
    let unit = unit(&name);
    if name == DesktopName::default_for(1) && systemctl.is_active(SOCKET) {
        systemctl.run(&["disable", "--now", "--quiet", SOCKET])?;
    }
    systemctl.run(&["disable", "--now", "--quiet", &unit])?;
    let wanted = systemctl.run(&["list-units", "--plain", "--no-legend", "caraway@*"])?;
    if wanted.is_empty() && !is_wanted() {
        remove_own();
        systemctl.run(&["daemon-reload"])?;
    }
    answer(format_args!("{unit} is disabled"));
    Ok(())
}

/// Replaces launcher and server of one desktop, or of each.
pub(crate) fn upgrade(args: UpgradeArgs) -> Result<(), ClientError> {
    let names = match args.name {
        Some(name) => vec![client::resolve(Some(name))?],
        None => client::names(),
    };
    if names.is_empty() {
        return Err(ClientError::NoneRuns);
    }
    for name in names {
        let desktop = client::upgrade(&name)?;
        let server = desktop.pids.server.unwrap_or_default();
        answer(format_args!(
            "desktop '{name}' has a new server, process {server}; clients reconnect where they were"
        ));
    }
    Ok(())
}

fn or_default(name: Option<&DesktopName>) -> DesktopName {
    // The one that the socket starts.
    name.cloned().unwrap_or_else(|| DesktopName::default_for(1))
}

fn unit(name: &DesktopName) -> String {
    format!("caraway@{name}.service")
}

/// Sees to it that systemd finds the units and they start this program.
fn install() -> Result<(), UnitError> {
    let program = program();
    if program == Path::new(PACKAGED_PROGRAM) && is_packaged() {
        return Ok(());
    }
    install_in(&user_dir().ok_or(UnitError::NoHome)?, &program)
}

fn install_in(dir: &Path, program: &Path) -> Result<(), UnitError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| UnitError::Write { path, source }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    for (file, text) in FILES {
        let path = dir.join(file);
        let text = text_for(file, text, program);
        match fs::read_to_string(&path) {
            Ok(there) if there == text => continue,
            Ok(there) if !there.starts_with(MARK) => return Err(UnitError::Foreign(path)),
            _ => fs::write(&path, text).map_err(failed(&path))?,
        }
    }
    Ok(())
}

fn text_for(file: &str, text: &str, program: &Path) -> String {
    let program = program.display().to_string();
    // systemd would take these for its own.
    let quoted = program
        .replace('%', "%%")
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    let program = match program.contains(char::is_whitespace) {
        true => format!("\"{quoted}\""),
        false => quoted,
    };
    format!("{MARK}{file}\n{}", text.replace(PACKAGED_PROGRAM, &program))
}

/// This program, by the name that it keeps through upgrades.
fn program() -> PathBuf {
    let own = env::current_exe().unwrap_or_else(|_| PACKAGED_PROGRAM.into());
    let packaged = Path::new(PACKAGED_PROGRAM);
    match fs::canonicalize(packaged) {
        Ok(real) if real == own => packaged.into(),
        _ => own,
    }
}

fn is_packaged() -> bool {
    let is_whole = |dir: &&str| {
        FILES
            .iter()
            .all(|(file, _)| Path::new(dir).join(file).exists())
    };
    HOST_DIRS.iter().any(is_whole)
}

fn user_dir() -> Option<PathBuf> {
    let named = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let named = named.filter(|dir| dir.is_absolute());
    let dir = named.or_else(|| Some(env::home_dir()?.join(".config")))?;
    Some(dir.join(USER_DIR))
}

/// Whether some desktop of this user is enabled still.
fn is_wanted() -> bool {
    let Some(dir) = user_dir() else { return false };
    let wants = ["default.target.wants", "sockets.target.wants"];
    let entries = wants
        .into_iter()
        .filter_map(|wants| fs::read_dir(dir.join(wants)).ok());
    let names = entries.flatten().flatten().map(|entry| entry.file_name());
    let is_ours = |name: &str| name.starts_with("caraway@") || name == SOCKET;
    names
        .into_iter()
        .any(|name| name.to_str().is_some_and(is_ours))
}

/// Removes the files that were written here.
fn remove_own() {
    let Some(dir) = user_dir() else { return };
    for (file, _) in FILES {
        let path = dir.join(file);
        if fs::read_to_string(&path).is_ok_and(|text| text.starts_with(MARK)) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_for_this_program_and_those_of_others_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let program = Path::new("/opt/100% mine/caraway");
        install_in(dir.path(), program).unwrap();
        let service = dir.path().join(SERVICE);
        let text = fs::read_to_string(&service).unwrap();
        let start = "\nExecStart=\"/opt/100%% mine/caraway\" start --unit --name=%i\n";
        assert!(text.starts_with(MARK) && text.contains(start), "{text}");
        assert!(!text.contains(PACKAGED_PROGRAM));
        install_in(dir.path(), Path::new("/usr/bin/x")).unwrap();
        let text = fs::read_to_string(&service).unwrap();
        assert!(text.contains("\nExecStart=/usr/bin/x start"), "it was ours");
        fs::write(&service, "[Service]\n").unwrap();
        let refused = install_in(dir.path(), program);
        assert!(matches!(refused, Err(UnitError::Foreign(path)) if path == service));
    }

    #[test]
    fn the_unit_and_detached_desktops_have_the_same_properties() {
        let text = FILES[0].1;
        for property in systemd::PROPERTIES {
            // What is enabled is to be there again, whatever it ended of.
            let is_other = property.starts_with("RestartPreventExitStatus=");
            let is_there = text.lines().any(|line| line == property);
            assert_ne!(is_there, is_other, "{property}");
        }
    }
}

//! Starting a user's desktop: a process of the user's logind session that becomes `caraway start`, and another that
//! keeps it (`keeper`).

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use clap::Args;
use nix::unistd::User;

use super::daemon::OURSELVES;
use super::line::ready;
use super::places;

/// The desktop's name, by which its user sees it in `caraway list`.
pub(super) const NAME: &str = "remote";

/// Where programs are looked for unless PAM says otherwise.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";

/// How long a display stays joined that nobody looks at: as long as a line may be lost.
const JOINED_WITHOUT_CLIENTS: &str = "1m";

/// Bytes of what `caraway start --json` prints.
const READY_BYTES_MAX: usize = 16 * 1024;

/// What the process of a desktop is told.
#[derive(Debug, Args)]
pub(super) struct DesktopArgs {
    #[arg(long)]
    uid: u32,
    #[arg(long)]
    isolated: bool,
    /// Whom the gateway runs as.
    #[arg(long)]
    gateway_uid: Option<u32>,
    /// The display that is shown in place of a session of its own.
    #[arg(long)]
    join: Option<u32>,
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// Where a desktop has its place beside the user's other sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There are none that matter.
    Own,
    /// With a runtime directory of its own.
    Isolated,
    /// In one of them: it shows that display.
    Joined(u32),
}

/// A desktop to start.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) user: &'a User,
    /// What PAM wants the session to have.
    pub(super) variables: Vec<(OsString, OsString)>,
    pub(super) room: Room,
    /// Whom the gateway runs as.
    pub(super) gateway_uid: Option<u32>,
    /// What runs in it; empty: the user's session.
    pub(super) command: &'a [String],
}

/// Starts a desktop and waits until it is ready; none if it does not get there.
pub(super) fn start(plan: &Plan<'_>, deadline: Instant) -> io::Result<Option<Child>> {
    let mut command = Command::new(OURSELVES);
    command.arg0("caraway-broker").args(["__keeper", "--uid"]);
    command.arg(plan.user.uid.to_string());
    match plan.room {
        Room::Own => {}
        Room::Isolated => drop(command.arg("--isolated")),
        Room::Joined(number) => drop(command.arg("--join").arg(number.to_string())),
    }
    if let Some(uid) = plan.gateway_uid {
        command.arg("--gateway-uid").arg(uid.to_string());
    }
    command.arg("--");
    if !matches!(plan.room, Room::Joined(_)) {
        command.args(plan.command);
    }
    command
        .env_clear()
        .envs(environment(plan.user, &plan.variables));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut desktop = command.spawn()?;
    let mut said = desktop.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut text = Vec::new();
    let mut piece = [0; 1024];
    while text.len() < READY_BYTES_MAX && ready(said.as_fd(), Some(deadline))? {
        let count = said.read(&mut piece)?;
        if count == 0 {
            break;
        }
        text.extend_from_slice(piece.get(..count).unwrap_or_default());
        if text.contains(&b'\n') {
            return Ok(Some(desktop));
        }
    }
    // It has ended, or it never will.
    desktop.kill()?;
    desktop.wait()?;
    Ok(None)
}

/// The variables of a fresh login: PAM's over the user's own.
pub(super) fn environment(
    user: &User,
    of_pam: &[(OsString, OsString)],
) -> Vec<(OsString, OsString)> {
    let own: [(&str, &OsStr); 5] = [
        ("HOME", user.dir.as_os_str()),
        ("LOGNAME", OsStr::new(&user.name)),
        ("PATH", OsStr::new(PATH)),
        ("SHELL", user.shell.as_os_str()),
        ("USER", OsStr::new(&user.name)),
    ];
    let mut variables: Vec<(OsString, OsString)> = own
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    for (name, value) in of_pam {
        let is_ours = name.as_encoded_bytes().starts_with(b"CARAWAY_");
        if !is_ours {
            variables.retain(|(own, _)| own != name);
            variables.push((name.clone(), value.clone()));
        }
    }
    variables
}

impl DesktopArgs {
    /// Whose desktop it is.
    pub(super) const fn uid(&self) -> u32 {
        self.uid
    }

    /// The same words for a process that is told the same.
    pub(super) fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["--uid".into(), self.uid.to_string().into()];
        if self.isolated {
            words.push("--isolated".into());
        }
        if let Some(uid) = self.gateway_uid {
            words.extend(["--gateway-uid".into(), uid.to_string().into()]);
        }
        if let Some(number) = self.join {
            words.extend(["--join".into(), number.to_string().into()]);
        }
        words.push("--".into());
        words.extend(self.command.iter().cloned());
        words
    }
}

/// Becomes the launcher; the process is the user's already. Returns only what went wrong.
pub(super) fn become_launcher(args: &DesktopArgs) -> io::Error {
    match prepare(args) {
        Ok(mut command) => command.exec(),
        Err(error) => error,
    }
}

/// `caraway`, which is installed beside this program.
pub(super) fn launcher() -> io::Result<Command> {
    let own = env::current_exe()?;
    let dir = own.parent().ok_or(io::ErrorKind::NotFound)?;
    Ok(Command::new(dir.join("caraway")))
}

fn prepare(args: &DesktopArgs) -> io::Result<Command> {
    let mut command = launcher()?;
    // What is passed is meant for this process, which stays the same.
    command.env("LISTEN_PID", std::process::id().to_string());
    if args.isolated {
        command.env("XDG_RUNTIME_DIR", isolated(args.uid)?);
    }
    command.args([
        "start",
        "--behind-gateway",
        "--unit",
        "--json",
        "--name",
        NAME,
        "--unix",
    ]);
    command.arg(places::socket(args.uid));
    if let Some(uid) = args.gateway_uid {
        command.arg("--gateway-uid").arg(uid.to_string());
    }
    if let Some(number) = args.join {
        // Who comes again joins again: what nobody looks at is not shown.
        command.args(["--disconnected-limit", JOINED_WITHOUT_CLIENTS]);
        command.args(["--join", &number.to_string()]);
    }
    if !args.command.is_empty() {
        command.arg("--").args(&args.command);
    }
    Ok(command)
}

fn isolated(uid: u32) -> io::Result<PathBuf> {
    let path = places::isolated(uid);
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pams_variables_come_over_the_users_and_change_no_setting_of_ours() {
        let own = User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
        let of_pam = [
            ("PATH", "/x"),
            ("XDG_SESSION_ID", "7"),
            ("CARAWAY_LISTEN", "0.0.0.0:1"),
        ];
        let of_pam = of_pam.map(|(name, value)| (name.into(), value.into()));
        let variables = environment(&own, &of_pam);
        let value = |name: &str| {
            let found: Vec<_> = variables
                .iter()
                .filter(|(known, _)| known == name)
                .collect();
            assert!(found.len() < 2);
            found
                .first()
                .map(|(_, value)| value.clone().into_string().unwrap())
        };
        assert_eq!(value("PATH").as_deref(), Some("/x"));
        assert_eq!(value("XDG_SESSION_ID").as_deref(), Some("7"));
        assert_eq!(value("USER").as_deref(), Some(own.name.as_str()));
        assert_eq!(value("CARAWAY_LISTEN"), None);
    }
}

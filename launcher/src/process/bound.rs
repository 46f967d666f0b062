//! Programs that die with the process that started them, even if that was killed with SIGKILL; unless a service manager
//! keeps for the next launcher what it needs to take them over.
//!
//! The kernel offers this as PR_SET_PDEATHSIG, which has to be set in the child. So the child is this
//! executable once more: it starts a session of its own (the terminal's Ctrl-C is for the launcher
//! alone), asks for the signal, and becomes the program.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Pid, Uid, getpid, getppid, setgid, setgroups, setsid, setuid};

use crate::terminal;

/// This executable, also after an upgrade has replaced its file.
const OURSELVES: &str = "/proc/self/exe";

/// Exit status of a child whose program could not be run, as a shell has it.
pub(crate) const CANNOT_RUN: u8 = 127;

/// Variables by which a service manager talks to the launcher alone.
const OF_SERVICE_MANAGER: [&str; 6] = [
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// How long a child may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It gets this signal when this process ends.
    Bound(Signal),
    /// As long as it likes: when this process is killed, another takes it over.
    Kept,
}

impl From<Signal> for Life {
    fn from(signal: Signal) -> Self {
        Self::Bound(signal)
    }
}

/// Number on the command line of a child that lives as long as it likes.
const NO_SIGNAL: i32 = 0;

/// What the child is told on its command line.
#[derive(Debug, clap::Args)]
pub(crate) struct BoundArgs {
    /// Process whose end the child shall not survive.
    #[arg(long)]
    parent: i32,
    /// Number of the signal that the child gets then; 0: none, it may survive.
    #[arg(long, default_value_t = Signal::SIGTERM as i32)]
    signal: i32,
    /// User and group that the program shall run as; only root can.
    #[arg(long = "as", value_names = ["UID", "GID"], num_args = 2)]
    identity: Option<Vec<u32>>,
    /// The program and its arguments.
    #[arg(last = true, required = true, num_args = 1..)]
    program: Vec<OsString>,
}

/// A command for `program` that lives as said. Its arguments are still to be added; its stdin is empty.
pub(crate) fn command(program: &Path, life: impl Into<Life>) -> Command {
    let mut command = ourselves("__exec");
    let signal = match life.into() {
        Life::Bound(signal) => signal as i32,
        Life::Kept => NO_SIGNAL,
    };
    command.arg("--signal").arg(signal.to_string());
    command.arg("--").arg(program);
    command
}

/// A command for the hidden `verb` of this executable, told who its parent is.
pub(crate) fn ourselves(verb: &str) -> Command {
    let mut command = Command::new(OURSELVES);
    command
        .arg0("caraway")
        .arg(verb)
        .arg("--parent")
        .arg(getpid().to_string());
    command.stdin(Stdio::null());
    // Xorg would tell the service manager that it is ready, which is the launcher's to say.
    for variable in OF_SERVICE_MANAGER {
        command.env_remove(variable);
    }
    command
}

/// Becomes the program of `args`. Returns an exit status only if that fails.
pub(crate) fn exec(args: &BoundArgs) -> u8 {
    let life = match Signal::try_from(args.signal) {
        Ok(signal) => Life::Bound(signal),
        Err(_) if args.signal == NO_SIGNAL => Life::Kept,
        Err(_) => return CANNOT_RUN,
    };
    let identity = args.identity.as_deref().map_or(Ok(()), become_user);
    if let Err(error) = identity.and_then(|()| bind(args.parent, life)) {
        terminal::notice(format_args!("cannot bind a child to its parent: {error}"));
        return CANNOT_RUN;
    }
    let program: &OsStr = &args.program[0];
    let error = Command::new(program).args(&args.program[1..]).exec();
    terminal::notice(format_args!("cannot run {}: {error}", program.display()));
    CANNOT_RUN
}

/// Gives up root's rights for those of a user, in a session of its own: that user reaches no terminal of root's.
fn become_user(identity: &[u32]) -> Result<(), Errno> {
    let &[uid, gid] = identity else {
        return Err(Errno::EINVAL);
    };
    setsid()?;
    setgroups(&[])?;
    setgid(Gid::from_raw(gid))?;
    setuid(Uid::from_raw(uid))
}

/// Gives the calling process a session of its own, and the signal of `life` when `parent` ends.
pub(crate) fn bind(parent: i32, life: impl Into<Life>) -> Result<(), Errno> {
    // Fails only for a process that leads a session already, which is as good.
    let _ = setsid();
    let Life::Bound(signal) = life.into() else {
        return Ok(());
    };
    prctl::set_pdeathsig(signal)?;
    // The parent may have ended before the call: then no signal will come.
    if getppid() == Pid::from_raw(parent) {
        Ok(())
    } else {
        Err(Errno::ESRCH)
    }
}

//! Xorg, run as the user: `/usr/lib/xorg/Xorg` itself, with nothing of the host's configuration.

pub(crate) mod config;
pub(crate) mod display;
pub(crate) mod failure;
pub(crate) mod find;
pub(crate) mod keyboard;
pub(crate) mod socket_dir;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use command_fds::{CommandFdExt, FdMapping};
use nix::fcntl::OFlag;
use nix::unistd::Pid;
use thiserror::Error;
use tokio::net::unix::pipe;

use crate::logs::{self, Also, Kept, Logs};
use crate::process::bound::{self, Life};
use crate::runtime_dir::DesktopDir;

/// Descriptor on which Xorg writes the number of its display when it is ready.
const DISPLAY_FD: i32 = 3;

/// Descriptor of its log, and the path under which it opens that: a pipe, for it would fill a file without end.
const LOG_FD: i32 = 4;
const LOG_PATH: &str = "/proc/self/fd/4";

/// Bytes of Xorg's log that are read to explain a failure.
const LOG_BYTES_READ_MAX: u64 = 256 * 1024;

/// Why Xorg does not run.
#[derive(Debug, Error)]
pub(crate) enum XorgError {
    #[error("no Xorg on this host; install it: apt install xserver-xorg-core")]
    Missing,
    #[error("{} is no Xorg that can be run", .0.display())]
    NotRunnable(PathBuf),
    #[error(
        "{} runs with other rights than yours, and then refuses our configuration; \
         give the Xorg program itself with --xorg PATH",
        .0.display()
    )]
    Wrapper(PathBuf),
    #[error(
        "caraway_drv.so is neither in {} nor among Xorg's modules; build it with `make build`, \
         or install the caraway driver package",
        .0.display()
    )]
    DriverMissing(PathBuf),
    #[error("display :{0} is taken; choose another with -d, or leave -d out")]
    DisplayTaken(u32),
    #[error("all displays from :{first} to :{last} are taken; choose one with -d")]
    NoFreeDisplay { first: u32, last: u32 },
    #[error("cannot start Xorg: {0}")]
    Start(#[from] io::Error),
    #[error("{0}")]
    Failed(String),
}

/// What an Xorg is started with.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    /// The program.
    pub(crate) program: PathBuf,
    /// Where it looks for modules, our driver's directory first.
    pub(crate) module_path: Vec<PathBuf>,
}

/// An Xorg that has been started and will tell when it is ready.
#[derive(Debug)]
pub(crate) struct Starting {
    /// Its process.
    pub(crate) pid: Pid,
    ready: pipe::Receiver,
}

/// Starts Xorg, which lives as `life` says, on display `number` with the files of `dir` (`xauth`, `xorg.conf`).
pub(crate) fn start(
    installation: &Installation,
    dir: &DesktopDir,
    logs: &Logs,
    number: u32,
    life: Life,
) -> Result<Starting, XorgError> {
    fs::create_dir_all(dir.file("xorg.conf.d"))?;
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from)?;
    let log = logs.pipe(Kept::Xorg, Also::Nobody)?;
    let output = logs.pipe(Kept::XorgOutput, Also::Nobody)?;
    let mut command = bound::command(&installation.program, life);
    command.arg(format!(":{number}"));
    command.arg("-displayfd").arg(DISPLAY_FD.to_string());
    command.arg("-config").arg(dir.file("xorg.conf"));
    command.arg("-configdir").arg(dir.file("xorg.conf.d"));
    let modules: Vec<_> = installation
        .module_path
        .iter()
        .map(|p| p.display().to_string())
        .collect();
    command.arg("-modulepath").arg(modules.join(","));
    command.arg("-logfile").arg(LOG_PATH);
    command.arg("-auth").arg(dir.file("xauth"));
    command.args([
        "-noreset",
        "-nolisten",
        "tcp",
        "-nolisten",
        "local",
        "-novtswitch",
        "-sharevts",
    ]);
    command.stdout(output.try_clone()?).stderr(output);
    command
        .fd_mappings(vec![
            FdMapping {
                parent_fd: writer,
                child_fd: DISPLAY_FD,
            },
            FdMapping {
                parent_fd: log.into(),
                child_fd: LOG_FD,
            },
        ])
        .map_err(io::Error::other)?;
    let child = command.spawn()?;
    drop(command);
    Ok(Starting {
        pid: pid_of(&child),
        ready: pipe::Receiver::from_owned_fd(reader)?,
    })
}

impl Starting {
    /// Waits until its drivers run and it takes connections; false if it ended before.
    pub(crate) async fn ready(&mut self) -> io::Result<bool> {
        // To the end of the line: Xorg writes it in two pieces, and dies if nobody takes the second.
        let mut byte = [0];
        while byte != *b"\n" {
            self.ready.readable().await?;
            match self.ready.try_read(&mut byte) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// The pid of a child just started; it is waited for by the reaper, not through `child`.
pub(crate) fn pid_of(child: &std::process::Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

/// What Xorg has said so far: its log and its output, for `failure::explain`.
pub(crate) fn said(dir: &DesktopDir) -> String {
    let mut text = String::new();
    for part in [Kept::Xorg, Kept::XorgOutput] {
        let Ok(file) = File::open(dir.file(part.file())) else {
            continue;
        };
        let mut bytes = Vec::new();
        let _ = file.take(LOG_BYTES_READ_MAX).read_to_end(&mut bytes);
        for line in String::from_utf8_lossy(&bytes).lines() {
            text.push_str(logs::without_stamp(line));
            text.push('\n');
        }
    }
    text
}

//! The process that holds the user's programs: the D-Bus session, the sound daemon and COMMAND, and all they start.
//!
//! It is a process of its own so that even a launcher killed with SIGKILL leaves nothing running: the
//! kernel then tells this one, which ends its programs, those that detached themselves as well, and
//! removes the desktop's files.

mod bus;
pub(crate) mod command;
pub(crate) mod environment;
mod sound;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getppid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

pub(crate) use self::bus::find as find_bus;
use self::sound::SoundDaemon;
use crate::process::bound::{self, CANNOT_RUN, Life};
use crate::process::reaper::{Ended, Reaper};
use crate::process::strays;
use crate::runtime_dir;
use crate::terminal;
use crate::xorg::pid_of;

/// Time that programs have to end by themselves.
const GRACE: Duration = Duration::from_secs(3);

/// Time that the sound daemon has, when the programs have ended, and then the bus and what it started.
const DAEMON_GRACE: Duration = Duration::from_secs(1);

/// Until the programs, the sound daemon and the bus have ended, one after the other, each of them killed in the end;
/// what the kernel cannot kill the launcher does not wait for either.
#[cfg(test)]
pub(crate) const SLOWEST_END: Duration = GRACE.saturating_add(DAEMON_GRACE.saturating_mul(2));

/// Time in which Xorg, told by the kernel, has to be gone when the launcher was killed.
const XORG_DEADLINE: Duration = Duration::from_secs(5);

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The file with the exit status of a session that outlived its launcher.
const EXIT_STATUS: &str = "session.exit";

/// What the holder is told on its command line.
#[derive(Debug, clap::Args)]
pub(crate) struct SessionArgs {
    /// The launcher.
    #[arg(long)]
    parent: i32,
    /// The desktop's runtime directory.
    #[arg(long)]
    dir: PathBuf,
    /// Live on when the launcher is killed; another one will come.
    #[arg(long)]
    kept: bool,
    /// The D-Bus daemon, if the session shall have a bus.
    #[arg(long)]
    bus: Option<PathBuf>,
    /// The sound daemon, if the session shall have one of its own.
    #[arg(long)]
    sound_daemon: Option<PathBuf>,
    /// The user's command and its arguments.
    #[arg(last = true, required = true, num_args = 1..)]
    command: Vec<OsString>,
}

/// Runs the session; gives COMMAND's exit status as a shell would.
pub(crate) fn run(args: &SessionArgs) -> u8 {
    let result = prepare().and_then(|()| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(hold_or_clean_up(args))
    });
    result.unwrap_or_else(|error| {
        terminal::notice(format_args!("cannot run the session: {error}"));
        CANNOT_RUN
    })
}

fn prepare() -> io::Result<()> {
    prctl::set_child_subreaper(true)?;
    // Not "caraway": whoever kills the launcher by that name shall not hit this process, too.
    prctl::set_name(c"desktop-session")?;
    Ok(())
}

async fn hold_or_clean_up(args: &SessionArgs) -> io::Result<u8> {
    let life = match args.kept {
        true => Life::Kept,
        false => Life::Bound(Signal::SIGTERM),
    };
    match bound::bind(args.parent, life) {
        Ok(()) => hold(args).await,
        // The launcher was killed before it could have told us.
        Err(Errno::ESRCH) => {
            clean_up_for_launcher(&args.dir).await;
            Ok(CANNOT_RUN)
        }
        Err(error) => Err(error.into()),
    }
}

async fn hold(args: &SessionArgs) -> io::Result<u8> {
    // All before the first child: from here on no signal ends this process by surprise.
    let mut reaper = Reaper::new()?;
    let mut end = signal(SignalKind::terminate())?;
    let _interrupt = signal(SignalKind::interrupt())?;
    let _hangup = signal(SignalKind::hangup())?;

    let bus = match &args.bus {
        Some(program) => start_bus(program, &args.dir).await,
        None => None,
    };
    let bus_address = bus.as_ref().map(|bus| bus.address.as_str());
    let mut sound = match &args.sound_daemon {
        Some(program) => Some(SoundDaemon::start(program, &args.dir, bus_address).await),
        None => None,
    };
    let mut command = bound::command(Path::new(&args.command[0]), Signal::SIGHUP);
    command.args(&args.command[1..]);
    if let Some(address) = bus_address {
        command.env("DBUS_SESSION_BUS_ADDRESS", address);
    }
    let leader = pid_of(&command.spawn()?);

    let mut ended = None;
    while ended.is_none() {
        tokio::select! {
            (pid, how) = reaper.next() => match (&bus, &mut sound) {
                _ if pid == leader => ended = Some(how),
                (Some(bus), _) if pid == bus.pid => {
                    terminal::notice(format_args!("the D-Bus session ended ({how}); the desktop lives"));
                }
                (_, Some(sound)) if sound.pid() == Some(pid) => sound.ended(how),
                _ => {}
            },
            () = restart_due(sound.as_ref()) => {
                if let Some(sound) = &mut sound {
                    sound.restart();
                }
            }
            _ = end.recv() => break,
        }
    }
    if ended.is_none() {
        // The whole group at once, so that a shell and its jobs end together.
        let _ = killpg(leader, Signal::SIGTERM);
        let _ = killpg(leader, Signal::SIGCONT);
    }
    let sound_pid = sound.and_then(|sound| sound.pid());
    let mut last: Vec<Pid> = bus.iter().map(|bus| bus.pid).chain(sound_pid).collect();
    strays::end(&mut reaper, &last, GRACE).await;
    // The sound daemon complains of a bus that leaves it.
    last.truncate(usize::from(bus.is_some()));
    strays::end(&mut reaper, &last, DAEMON_GRACE).await;
    strays::end(&mut reaper, &[], DAEMON_GRACE).await;
    let status = ended.unwrap_or(Ended::Exited(0)).shell_status();
    if args.kept {
        // A launcher that is no parent has no other means to know.
        let _ = fs::write(args.dir.join(EXIT_STATUS), status.to_string());
    } else if getppid() != Pid::from_raw(args.parent) {
        clean_up_for_launcher(&args.dir).await;
    }
    Ok(status)
}

/// The exit status of the session that was held in `dir` and has ended, if that outlived a launcher.
pub(crate) fn exit_status(dir: &Path) -> Option<i32> {
    let text = fs::read_to_string(dir.join(EXIT_STATUS)).ok()?;
    text.parse::<u8>().ok().map(i32::from)
}

async fn restart_due(sound: Option<&SoundDaemon>) {
    match sound {
        Some(sound) => sound.due().await,
        None => std::future::pending().await,
    }
}

async fn start_bus(program: &Path, dir: &Path) -> Option<bus::Bus> {
    match bus::start(program, dir).await {
        Ok(bus) => Some(bus),
        Err(error) => {
            terminal::notice(format_args!(
                "the desktop runs without a D-Bus session: {}: {error}",
                program.display()
            ));
            None
        }
    }
}

/// The launcher was killed: its Xorg has the kernel's signal, its files are nobody's.
async fn clean_up_for_launcher(dir: &Path) {
    let mut waited = Duration::ZERO;
    let xorg = runtime_dir::state(dir).xorg.map(Pid::from_raw);
    while waited < XORG_DEADLINE && xorg.is_some_and(|xorg| kill(xorg, None) != Err(Errno::ESRCH)) {
        sleep(LOOK_AGAIN).await;
        waited += LOOK_AGAIN;
    }
    runtime_dir::remove_remains(dir);
}

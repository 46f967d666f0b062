//! The command of a joined desktop: shows a display that is there already on the desktop's own display, and gives it
//! what the desktop's clients type, point and copy.
//!
//! Threads, each with connections of its own, so that none waits for what is another's affair:
//!
//! | thread | waits for | and then |
//! |---|---|---|
//! | picture | the display that is shown | paints, sets size, cursor and locks on the own one |
//! | hearing | the own display | puts keys, buttons and motion where they wait |
//! | giving | what waits there | gives it to the display that is shown, and waits until it is taken |
//! | clipboard | both displays' selections | see `clipboard` |
//!
//! A display that hangs stops its threads alone: the picture stands still, and everything else goes on.
//! → `docs/decisions/0021-join.md`

mod clipboard;
mod input;
mod keys;
mod own;
mod picture;
mod pieces;
mod waiting;

use std::convert::Infallible;
use std::env;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::prctl;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};

use self::input::Hearing;
use self::picture::Picture;
use self::waiting::Waiting;
use crate::join::{self, ReachError};
use crate::terminal::notice;
use crate::{DONE, FAILED};

/// Time for the display to take the releases of what is held at the end.
const RELEASE_DEADLINE: Duration = Duration::from_secs(1);

/// Ends that are told at once; the first one counts.
const ENDS: usize = 4;

/// Which display is to be shown.
#[derive(Debug, clap::Args)]
pub(crate) struct MirrorArgs {
    /// Its number.
    #[arg(long)]
    display: u32,
    /// The cookie file that lets the user in.
    #[arg(long)]
    authority: Option<PathBuf>,
}

impl MirrorArgs {
    /// The words that say the same.
    pub(crate) fn words(to: &join::Joinable) -> Vec<std::ffi::OsString> {
        let mut words = vec![
            VERB.into(),
            "--display".into(),
            to.number.to_string().into(),
        ];
        if let Some(authority) = &to.authority {
            words.extend(["--authority".into(), authority.into()]);
        }
        words
    }
}

/// How the command calls it.
pub(crate) const VERB: &str = "__mirror";

/// Why the mirror ends.
#[derive(Debug, Error)]
enum Failure {
    #[error("the display that was joined has ended")]
    ForeignEnded,
    #[error("the display that was joined refuses: {0}")]
    Foreign(ReplyOrIdError),
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error("the desktop's display does not let the mirror in: {0}")]
    OwnConnect(ConnectError),
    #[error("the desktop's display has ended")]
    OwnEnded,
    #[error("the desktop's display refuses: {0}")]
    Own(ReplyOrIdError),
    #[error("the display that was joined is {0}x{1} now, which no desktop can be")]
    Size(u16, u16),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
    /// Not a failure: somebody asked for it.
    #[error("the desktop ends")]
    Asked,
}

impl Failure {
    /// What went wrong with the display that is shown.
    fn of_foreign(error: impl Into<ReplyOrIdError>) -> Self {
        match error.into() {
            ReplyOrIdError::ConnectionError(ConnectionError::IoError(_)) => Self::ForeignEnded,
            other => Self::Foreign(other),
        }
    }
}

impl From<ReplyOrIdError> for Failure {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::ConnectionError(ConnectionError::IoError(_)) => Self::OwnEnded,
            other => Self::Own(other),
        }
    }
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        ReplyOrIdError::from(error).into()
    }
}

impl From<ReplyError> for Failure {
    fn from(error: ReplyError) -> Self {
        ReplyOrIdError::from(error).into()
    }
}

/// Shows the display until it or the desktop ends.
pub(crate) fn run(args: &MirrorArgs) -> u8 {
    // Beside the launcher and the holder of the session, which are the same program.
    let _ = prctl::set_name(c"caraway-mirror");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let end = match runtime {
        Ok(runtime) => runtime.block_on(mirror(args)),
        Err(error) => Failure::System(error),
    };
    match end {
        Failure::Asked => DONE,
        // Its user has logged out there: nothing went wrong.
        Failure::ForeignEnded => {
            notice(format_args!("display :{} has ended", args.display));
            DONE
        }
        failure => {
            notice(failure);
            FAILED
        }
    }
}

/// Runs all threads until one of them ends, or this process is to; gives why.
async fn mirror(args: &MirrorArgs) -> Failure {
    let waiting = Arc::new(Waiting::default());
    let (tell, mut ends) = mpsc::channel(ENDS);
    let (tell_released, mut released) = mpsc::channel::<Infallible>(1);
    let started = start(args, &waiting, &tell, tell_released);
    let end = match started {
        Ok(()) => ended(&mut ends).await.unwrap_or_else(Failure::from),
        Err(failure) => failure,
    };
    // Nobody is to find keys pressed there.
    waiting.close();
    let _ = timeout(RELEASE_DEADLINE, released.recv()).await;
    end
}

async fn ended(ends: &mut mpsc::Receiver<Failure>) -> io::Result<Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        end = ends.recv() => end.unwrap_or(Failure::Asked),
        _ = terminate.recv() => Failure::Asked,
        _ = interrupt.recv() => Failure::Asked,
        _ = hangup.recv() => Failure::Asked,
    })
}

/// Starts the threads. `released` is dropped when nothing is held any more.
fn start(
    args: &MirrorArgs,
    waiting: &Arc<Waiting>,
    tell: &mpsc::Sender<Failure>,
    released: mpsc::Sender<Infallible>,
) -> Result<(), Failure> {
    let reach = || join::reach(args.display, args.authority.as_deref());
    let mut picture = Picture::new(reach()?)?;
    let foreign = reach()?;
    let hearing = Hearing::start(&foreign)?;
    thread("picture", tell, move || picture.show().map(drop))?;
    let heard = Arc::clone(waiting);
    thread("hearing", tell, move || hearing.hear(&heard).map(drop))?;
    let given = Arc::clone(waiting);
    thread("giving", tell, move || {
        let given = input::give(&foreign, &given);
        drop(released);
        given
    })?;
    let own = env::var("DISPLAY").unwrap_or_default();
    let own_authority = env::var_os("XAUTHORITY").map(PathBuf::from);
    let shared = clipboard::share(
        (&format!(":{}", args.display), args.authority.as_deref()),
        (&own, own_authority.as_deref()),
    );
    if let Err(error) = shared {
        notice(format_args!("the clipboards stay apart: {error}"));
    }
    Ok(())
}

/// A thread whose failure is told.
fn thread(
    name: &str,
    tell: &mpsc::Sender<Failure>,
    work: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> io::Result<()> {
    let tell = tell.clone();
    let builder = thread::Builder::new().name(name.into());
    builder.spawn(move || {
        if let Err(failure) = work() {
            // Another end may have been told before.
            let _ = tell.try_send(failure);
        }
    })?;
    Ok(())
}

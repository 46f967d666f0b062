//! `caraway-server`: serves one desktop over SPICE.
//!
//! The launcher starts it with everything open that it needs: listening sockets, the password, and a line for
//! control. It ends when the driver or the launcher goes; clients reconnect to the next one.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use clap::{Parser, ValueEnum};
use tokio::sync::Notify;
use tracing_subscriber::EnvFilter;

use caraway_server::audio::RawOnly;
use caraway_server::auth::ticket::{PasswordError, Ticket, TicketPolicy};
use caraway_server::base::Size;
use caraway_server::base::limits::PASSWORD_MAX;
use caraway_server::channel::Identity;
use caraway_server::io::control::Control;
use caraway_server::io::cores::Cores;
use caraway_server::io::driver::{AttachError, Driver, DriverError};
use caraway_server::io::host::Host;
use caraway_server::io::key_pool::KeyPool;
use caraway_server::io::listen::{ListenError, Listener};
use caraway_server::io::screen_loop;
use caraway_server::io::sound::{self, SoundPlace};
use caraway_server::os::hardening::harden_process;
use caraway_server::os::inherited::{InheritError, adopt};
use caraway_server::os::{JpegBackends, Opus};
use caraway_server::session::Session;

/// Serves one desktop over SPICE. Usually `caraway start` runs it.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Socket of the driver in the X server.
    #[arg(long)]
    driver: PathBuf,
    /// An inherited listening socket (TCP or unix stream); may be given several times.
    #[arg(long = "listen-fd", value_name = "FD", required = true)]
    listen_fds: Vec<RawFd>,
    /// Who may come in.
    #[arg(long, value_enum, default_value_t = Auth::Ticket)]
    auth: Auth,
    /// An inherited descriptor to read the password from, up to its end.
    #[arg(long, value_name = "FD", required_if_eq("auth", "ticket"))]
    password_fd: Option<RawFd>,
    /// An inherited stream socket to the launcher.
    #[arg(long, value_name = "FD")]
    control_fd: Option<RawFd>,
    /// Socket of the sound daemon (PulseAudio's protocol) that the desktop's programs play to; none: no sound.
    #[arg(long, value_name = "PATH")]
    sound: Option<PathBuf>,
    /// Name of the desktop, which clients show.
    #[arg(long, default_value = "caraway")]
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Auth {
    /// Everybody who can connect.
    None,
    /// Who knows the password.
    Ticket,
}

/// Why the server ends.
#[derive(Debug, thiserror::Error)]
enum ServerError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Inherit(#[from] InheritError),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error(transparent)]
    Driver(#[from] DriverError),
    #[error("the password cannot be used: {0}")]
    Password(#[from] PasswordError),
    #[error("reading the password: {0}")]
    ReadPassword(std::io::Error),
    #[error("starting: {0}")]
    Start(#[from] std::io::Error),
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("CARAWAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    if let Err(error) = harden_process() {
        tracing::warn!(%error, "going on with less protection");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = runtime
        .map_err(ServerError::Start)
        .and_then(|runtime| tokio::task::LocalSet::new().block_on(&runtime, run(arguments)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "caraway-server ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), ServerError> {
    let mut control = match arguments.control_fd {
        Some(fd) => Some(Control::new(adopt(fd)?)?),
        None => None,
    };
    let result = serve(arguments, &mut control).await;
    if let (Err(error), Some(control)) = (&result, &mut control) {
        // The launcher may be gone; there is nobody else to tell.
        let _ = control.fatal(&error.to_string()).await;
    }
    result
}

async fn serve(arguments: Arguments, control: &mut Option<Control>) -> Result<(), ServerError> {
    // Keys first: the first client needs five of them.
    let keys = KeyPool::start()?;
    let policy = policy(&arguments)?;
    let listeners: Vec<Listener> = arguments
        .listen_fds
        .iter()
        .map(|fd| Listener::adopt(*fd))
        .collect::<Result<_, _>>()?;
    let driver = Driver::connect(&arguments.driver).await?;
    let mut uuid = [0; 16];
    getrandom::fill(&mut uuid)?;
    let desktop = arguments.name.clone();
    let identity = Identity {
        name: arguments.name,
        uuid,
    };
    let mut session = Session::new(identity, Size::default());
    let backends = JpegBackends::load();
    session.set_jpeg_backends(Box::new(move || backends.backend()));
    session.set_workers(Box::new(Cores::new()));
    if arguments.sound.is_some() {
        offer_sound(&mut session);
    }
    let host = Rc::new(Host::new(session, policy, keys));
    if let Some(socket) = arguments.sound {
        start_sound(&host, socket, desktop).await;
    }
    for listener in listeners {
        tokio::task::spawn_local(listener.serve(Rc::clone(&host)));
    }
    let launcher = async {
        match control {
            Some(control) => {
                control.ready().await?;
                control.answer(|| host.status()).await
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        result = screen_loop::serve(&host, driver) => match result {
            Ok(never) => match never {},
            Err(error) => Err(error.into()),
        },
        result = launcher => {
            tracing::info!("the launcher is gone");
            result.map_err(ServerError::Start)
        }
    }
}

fn offer_sound(session: &mut Session) {
    match Opus::load() {
        Ok(opus) => session.offer_sound(Box::new(opus)),
        Err(error) => {
            tracing::info!(%error, "sound travels raw; for a tenth of its bytes: apt install libopus0");
            session.offer_sound(Box::new(RawOnly));
        }
    }
}

/// Programs start when the server is ready: where a daemon runs already they shall find their devices.
async fn start_sound(host: &Rc<Host>, socket: PathBuf, desktop: String) {
    let runs = socket.exists();
    let ready = Rc::new(Notify::new());
    let place = SoundPlace {
        socket,
        desktop,
        ready: Rc::clone(&ready),
    };
    tokio::task::spawn_local(sound::serve(Rc::clone(host), place));
    if runs {
        sound::ready(&ready).await;
    }
}

fn policy(arguments: &Arguments) -> Result<TicketPolicy, ServerError> {
    let Some(fd) = arguments
        .password_fd
        .filter(|_| arguments.auth == Auth::Ticket)
    else {
        return Ok(TicketPolicy::Anybody);
    };
    let file = std::fs::File::from(adopt(fd)?);
    let mut password = zeroize::Zeroizing::new(Vec::with_capacity(PASSWORD_MAX + 2));
    // One byte more than fits tells a password that is too long from one that just fits.
    let read = std::io::Read::read_to_end(
        &mut std::io::Read::take(file, PASSWORD_MAX as u64 + 2),
        &mut password,
    );
    read.map_err(ServerError::ReadPassword)?;
    if password.last() == Some(&b'\n') {
        password.pop();
    }
    Ok(TicketPolicy::Password(Ticket::new(&password, None)?))
}

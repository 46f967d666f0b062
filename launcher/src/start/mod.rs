//! `caraway start`: makes a desktop out of its parts, stays with it, and takes all of it away again.

mod announce;
mod desktop;
mod interrupts;

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use self::desktop::Desktop;
use crate::certificate::{Certificate, CertificateError};
use crate::cli::{Auth, Folders, SoundChoice, StartArgs};
use crate::detach::{self, Report};
use crate::listen::{self, ListenError};
use crate::logs::Logs;
use crate::password::{Password, PasswordError};
use crate::runtime_dir::{DesktopDir, RuntimeDirError};
use crate::server::{self, ServerError};
use crate::session;
use crate::session::command::{self, CommandError, SessionCommand};
use crate::sound::Sound;
use crate::supervise::Outcome;
use crate::terminal::notice;
use crate::ticket::Ticket;
use crate::uploads;
use crate::xorg::config::Geometry;
use crate::xorg::display::Display;
use crate::xorg::keyboard::Keyboard;
use crate::xorg::socket_dir::SocketDirError;
use crate::xorg::{self, Installation, XorgError};
use crate::{DONE, FAILED, USAGE, beside, cookie};

/// Why a desktop did not start, whosever fault it was.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Xorg(#[from] XorgError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    RuntimeDir(#[from] RuntimeDirError),
    #[error(transparent)]
    SocketDir(#[from] SocketDirError),
    #[error("cannot write the desktop's files in {}: {source}", path.display())]
    Files { path: PathBuf, source: io::Error },
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
    #[error("{what} is not ready after {seconds} s")]
    TooSlow { what: &'static str, seconds: u64 },
    /// The user changed their mind; not a failure.
    #[error("interrupted")]
    Interrupted,
}

/// All that is decided and had before the first process starts.
pub(crate) struct Plan {
    installation: Installation,
    display: Display,
    command: SessionCommand,
    bus: Option<PathBuf>,
    sound: Option<Sound>,
    server: server::Plan,
    json: bool,
    /// Whether the password was made here, so that nobody else can tell it.
    password_is_new: bool,
    logs: Arc<Logs>,
    report: Report,
    // Last, so that the directory goes when everything in it has been closed.
    dir: DesktopDir,
}

/// Runs a desktop from its start to its end; gives the exit status.
pub(crate) fn run(args: &StartArgs) -> u8 {
    if let Some(contradiction) = args.contradiction() {
        notice(contradiction);
        return USAGE;
    }
    if args.detach {
        return detach::run(args);
    }
    let report = Report::to(args.report.as_deref());
    let outcome = plan(args, &report).and_then(|plan| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(Desktop::run(plan))
    });
    match outcome {
        Ok(Outcome::Done) => DONE,
        Ok(Outcome::Failed(why)) => failed(&why, &report),
        Err(error) => failed(&error.to_string(), &report),
    }
}

fn failed(why: &str, report: &Report) -> u8 {
    notice(why);
    report.failed(why);
    FAILED
}

fn plan(args: &StartArgs, report: &Report) -> Result<Plan, StartError> {
    let beside = beside();
    let installation = xorg::find::installation(args.xorg.as_deref(), &beside)?;
    let program = server::find(&beside)?;
    let command = command::choose(&args.command)?;
    let password = match (args.auth, &args.password_file) {
        (Auth::None | Auth::Sasl, _) => None,
        (Auth::Ticket, Some(file)) => Some(Password::from_file(file)?),
        (Auth::Ticket, None) => Some(Password::random()?),
    };
    let password_is_new = password.is_some() && args.password_file.is_none();
    let sasl = users(args)?;
    let certificate = certificate(args)?;
    let listeners = listen::bind_all(&args.listen, &args.tls_listen, args.unix.as_deref())?;
    xorg::socket_dir::ensure()?;
    let display = Display::take(args.display)?;
    let dir = DesktopDir::create(args.detached_as.as_ref().or(args.name.as_ref()))?;
    let sound = sound(args.sound);
    write_files(&dir, args.geometry, sound.as_ref()).map_err(|source| StartError::Files {
        path: dir.path().into(),
        source,
    })?;
    let logs = Arc::new(Logs::keep_in(dir.path())?);
    let bus = session::find_bus();
    if bus.is_none() {
        notice("the desktop runs without a D-Bus session; for one: apt install dbus");
    }
    let server = server::Plan {
        program,
        driver_socket: dir.file("driver.sock"),
        listeners,
        certificate,
        ticket: password.map(Ticket::lasting),
        sound: sound.as_ref().map(|sound| sound.socket(dir.path())),
        sasl,
        name: dir.name().clone(),
        resize: args.resize,
        dpi: args.dpi,
        uploads: uploads::folder(args.uploads.as_ref(), env::home_dir().as_deref()),
        upload_bytes_max: args.upload_max,
        display: format!(":{}", display.number()),
        cookie: dir.file("xauth"),
        uuid: server::random_uuid().map_err(ServerError::Start)?,
        folders_dir: (args.folders == Folders::On).then(|| dir.path().to_path_buf()),
        clipboard: args.clipboard,
        clipboard_max: args.clipboard_max,
        logs: Arc::clone(&logs),
    };
    let json = args.json;
    Ok(Plan {
        installation,
        display,
        command,
        bus,
        sound,
        server,
        json,
        password_is_new,
        logs,
        report: report.clone(),
        dir,
    })
}

/// Whom SASL lets in, where it was asked for.
fn users(args: &StartArgs) -> io::Result<Option<server::Users>> {
    Ok(match (args.auth, &args.sasl_file) {
        (Auth::Sasl, Some(file)) => Some(server::Users::OfFile(std::path::absolute(file)?)),
        (Auth::Sasl, None) => Some(server::Users::OfSystem),
        _ => None,
    })
}

/// TLS is there where it was asked for.
fn certificate(args: &StartArgs) -> Result<Option<Certificate>, CertificateError> {
    let authority = args.tls_client_ca.as_deref();
    let certificate = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Certificate::of_files(certificate, key)?,
        _ if args.tls_listen.is_empty() && authority.is_none() => return Ok(None),
        _ => Certificate::kept_or_made()?,
    };
    Ok(Some(certificate.for_clients_of(authority)))
}

fn sound(choice: SoundChoice) -> Option<Sound> {
    if choice == SoundChoice::Off {
        return None;
    }
    let sound = Sound::find();
    if sound.is_none() {
        notice("the desktop runs without sound; for sound: apt install pulseaudio");
    }
    sound
}

fn write_files(dir: &DesktopDir, geometry: Geometry, sound: Option<&Sound>) -> io::Result<()> {
    if let Some(sound) = sound {
        sound.write_files(dir.path(), dir.name())?;
    }
    cookie::write_new(&dir.file("xauth"))?;
    let config = xorg::config::text(&dir.file("driver.sock"), geometry, &Keyboard::of_user());
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(dir.file("xorg.conf"))?;
    file.write_all(config.as_bytes())
}

/// Where COMMAND starts: a chosen session in the user's home, a named one where the user is.
fn start_directory(command: &SessionCommand) -> Option<PathBuf> {
    env::home_dir().filter(|home| command.in_home && home.is_dir())
}

//! `caraway start`: makes a desktop out of its parts, stays with it, and takes all of it away again.

mod announce;
mod desktop;
mod interrupts;
mod limits;
mod resume;

use std::env;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use thiserror::Error;

use self::desktop::Desktop;
#[cfg(test)]
pub(crate) use self::desktop::STRAYS_GRACE;
use self::limits::{Limits, host_clock_s};
use crate::certificate::{Certificate, CertificateError};
use crate::cli::{Auth, Folders, Resize, SaslMechanism, SoundChoice, StartArgs};
use crate::config::{self, ConfigError};
use crate::detach::{self, Report};
use crate::join::{self, ReachError};
use crate::listen::{self, ListenError, Listener};
use crate::logs::Logs;
use crate::moment;
use crate::password::{Password, PasswordError};
use crate::runtime_dir::{DesktopDir, RuntimeDirError};
use crate::server::{self, ServerError};
use crate::session;
use crate::session::command::{self, CommandError, SessionCommand};
use crate::sound::Sound;
use crate::supervise::Outcome;
use crate::terminal::notice;
use crate::ticket::Ticket;
use crate::units::inherited::Inherited;
use crate::units::journal::Journal;
use crate::units::keeper::Keeper;
use crate::units::notify::Manager;
use crate::uploads;
use crate::visitors::Hooks;
use crate::xorg::config::Geometry;
use crate::xorg::display::Display;
use crate::xorg::keyboard::Keyboard;
use crate::xorg::socket_dir::SocketDirError;
use crate::xorg::{self, Installation, XorgError};
use crate::{DONE, FAILED, USAGE, beside, cookie};

/// File name of the socket that answers for monitoring.
const METRICS_SOCKET: &str = "metrics.sock";

/// Why a desktop did not start, whosever fault it was.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Xorg(#[from] XorgError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Join(#[from] ReachError),
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

/// All that a desktop is run with, whether it is started or taken over.
pub(crate) struct Plan {
    display: Display,
    /// How COMMAND is called in sentences.
    command: String,
    has_bus: bool,
    /// The display that it shows, where it has no session of its own.
    joined: Option<Joined>,
    sound: Option<Sound>,
    server: server::Plan,
    limits: Limits,
    /// When the desktop was started, RFC 3339.
    since: String,
    /// The same on the host's clock that counts from its start on.
    since_s: u64,
    /// The command line, for a launcher in place of this one.
    words: Vec<OsString>,
    logs: Arc<Logs>,
    report: Report,
    on_connect: Option<String>,
    on_disconnect: Option<String>,
    // Last, so that the directory goes when everything in it has been closed.
    dir: DesktopDir,
}

/// A display of the host that a desktop shows.
pub(crate) struct Joined {
    /// The socket of the D-Bus of who uses it.
    bus: Option<PathBuf>,
}

impl Joined {
    fn of(args: &StartArgs) -> Option<Self> {
        args.join.map(|number| Self {
            bus: join::bus_of(number),
        })
    }
}

impl Plan {
    /// The socket of the D-Bus of whoever uses the desktop, if there is to be one.
    fn bus_socket(&self) -> Option<PathBuf> {
        match &self.joined {
            Some(joined) => joined.bus.clone(),
            None => self.has_bus.then(|| self.dir.file("bus")),
        }
    }

    /// The commands for clients, with the way to the desktop.
    fn hooks(&self) -> Hooks {
        let file = |name: &str| self.dir.file(name).display().to_string();
        let mut environment = vec![
            ("CARAWAY_DESKTOP", self.dir.name().to_string()),
            ("DISPLAY", self.server.display.clone()),
            ("XAUTHORITY", file("xauth")),
        ];
        if let Some(bus) = self.bus_socket() {
            let address = format!("unix:path={}", bus.display());
            environment.push(("DBUS_SESSION_BUS_ADDRESS", address));
        }
        let (come, go) = (self.on_connect.clone(), self.on_disconnect.clone());
        Hooks::new(come, go, environment)
    }
}

/// What the start alone needs.
pub(crate) struct First {
    installation: Installation,
    command: SessionCommand,
    bus: Option<PathBuf>,
    json: bool,
    /// Whether the password was made here, so that nobody else can tell it.
    password_is_new: bool,
}

/// How this launcher was called.
#[derive(Debug, Default)]
pub(crate) struct Call {
    /// The command line, completed by what is configured.
    pub(crate) words: Vec<OsString>,
    /// What it was given beside that.
    pub(crate) inherited: Inherited,
}

/// Runs a desktop from its start to its end, or on from where another launcher was; gives the exit status.
pub(crate) fn run(args: &StartArgs, mut call: Call) -> u8 {
    if let Some(contradiction) = args.contradiction() {
        notice(contradiction);
        return USAGE;
    }
    if let Some(handover) = call.inherited.handover.take() {
        let outcome =
            resume::plan(args, &handover, &mut call.inherited).and_then(|(plan, keeper)| {
                runtime()?.block_on(Desktop::resume(plan, &handover, keeper))
            });
        return status(outcome, &Report::to(None));
    }
    if args.detach {
        return detach::run(args);
    }
    let report = Report::to(args.report.as_deref());
    let outcome = plan(args, call, &report)
        .and_then(|(plan, first, keeper)| runtime()?.block_on(Desktop::run(plan, first, keeper)));
    status(outcome, &report)
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn status(outcome: Result<Outcome, StartError>, report: &Report) -> u8 {
    match outcome {
        Ok(Outcome::Done) => DONE,
        Ok(Outcome::Failed(why)) => failed(&why, report),
        Err(error) => failed(&error.to_string(), report),
    }
}

fn failed(why: &str, report: &Report) -> u8 {
    notice(why);
    report.failed(why);
    FAILED
}

fn plan(
    args: &StartArgs,
    call: Call,
    report: &Report,
) -> Result<(Plan, First, Keeper), StartError> {
    let manager = Manager::find().filter(|_| args.unit);
    let keeper = Keeper::new(manager);
    // What a launcher that did not come far had kept is nobody's.
    keeper.forget(call.inherited.kept.keys());
    let beside = beside();
    let installation = xorg::find::installation(args.xorg.as_deref(), &beside)?;
    let program = server::find(&beside)?;
    let joinable = args.join.map(join::find).transpose()?;
    let command = match &joinable {
        Some(joinable) => SessionCommand::mirror(joinable)?,
        None => command::choose(&args.command)?,
    };
    let password = match (args.auth, &args.password_file) {
        (Auth::None | Auth::Sasl, _) => None,
        _ if args.behind_gateway => None,
        (Auth::Ticket, Some(file)) => Some(Password::from_file(file)?),
        (Auth::Ticket, None) => Some(Password::random()?),
    };
    // A unit's words go to the journal, where no password may stand.
    let is_told_to_user = !args.unit || args.report.is_some();
    let password_is_new = password.is_some() && args.password_file.is_none() && is_told_to_user;
    let listeners = listeners(args, call.inherited.sockets)?;
    let certificate = certificate(args, &listeners)?;
    xorg::socket_dir::ensure()?;
    let display = Display::take(args.display)?;
    let name = args.detached_as.as_ref().or(args.name.as_ref());
    let dir = DesktopDir::create(name, config::desktops_max(args.desktops_max)?)?;
    // Whatever plays and speaks of mail does so where the joined display is.
    let sound = sound(args.sound).filter(|_| joinable.is_none());
    let geometry = joinable.as_ref().map_or(args.geometry, |to| to.geometry);
    write_files(&dir, geometry, sound.as_ref()).map_err(|source| StartError::Files {
        path: dir.path().into(),
        source,
    })?;
    let logs = Arc::new(Logs::keep_in(dir.path(), Journal::of(dir.name()))?);
    let bus = bus().filter(|_| joinable.is_none());
    let had = Had {
        program,
        outlives_launcher: keeper.is_manager_there(),
        listeners,
        certificate,
        ticket: password.map(Ticket::lasting),
        sound: sound.as_ref().map(|sound| sound.socket(dir.path())),
        uuid: server::random_uuid().map_err(ServerError::Start)?,
        display: display.number(),
        logs: Arc::clone(&logs),
    };
    let plan = Plan {
        display,
        command: command.name(),
        has_bus: bus.is_some(),
        joined: Joined::of(args),
        sound,
        server: server_plan(args, &dir, had)?,
        limits: limits(args),
        since: moment::rfc3339(SystemTime::now()),
        since_s: host_clock_s(),
        words: call.words,
        logs,
        report: report.clone(),
        on_connect: args.on_connect.clone(),
        on_disconnect: args.on_disconnect.clone(),
        dir,
    };
    let first = First {
        installation,
        command,
        bus,
        json: args.json,
        password_is_new,
    };
    Ok((plan, first, keeper))
}

fn bus() -> Option<PathBuf> {
    let bus = session::find_bus();
    if bus.is_none() {
        notice("the desktop runs without a D-Bus session; for one: apt install dbus");
    }
    bus
}

/// What a server is started with and no option tells.
struct Had {
    program: PathBuf,
    outlives_launcher: bool,
    listeners: Vec<Listener>,
    certificate: Option<Certificate>,
    ticket: Option<Ticket>,
    sound: Option<PathBuf>,
    uuid: u128,
    display: u32,
    logs: Arc<Logs>,
}

fn server_plan(args: &StartArgs, dir: &DesktopDir, had: Had) -> Result<server::Plan, StartError> {
    Ok(server::Plan {
        program: had.program,
        outlives_launcher: had.outlives_launcher,
        driver_socket: dir.file("driver.sock"),
        listeners: had.listeners,
        behind_gateway: args.behind_gateway,
        gateway_uid: args.gateway_uid,
        certificate: had.certificate,
        ticket: had.ticket,
        sound: had.sound,
        view_only_users: args.view_only_users.clone(),
        sasl: users(args)?,
        name: dir.name().clone(),
        // What is shown has the size that it has.
        resize: if args.join.is_some() {
            Resize::Off
        } else {
            args.resize
        },
        dpi: args.dpi,
        uploads: uploads::folder(args.uploads.as_ref(), env::home_dir().as_deref()),
        upload_bytes_max: args.upload_max,
        display: format!(":{}", had.display),
        cookie: dir.file("xauth"),
        uuid: had.uuid,
        folders_dir: (args.folders == Folders::On).then(|| dir.path().to_path_buf()),
        metrics: Some(metrics_socket(dir)?),
        joining: args.joining,
        clipboard: args.clipboard,
        clipboard_max: args.clipboard_max,
        clipboard_types: args.clipboard_types.clone(),
        logs: had.logs,
    })
}

/// Where monitoring asks. A launcher before this one may have had it.
fn metrics_socket(dir: &DesktopDir) -> io::Result<UnixListener> {
    let path = dir.file(METRICS_SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => listen::bind_private(&path),
    }
}

fn limits(args: &StartArgs) -> Limits {
    Limits::of_seconds(args.age_limit, args.disconnected_limit, args.idle_limit)
}

/// The sockets that a service manager has bound, and those that were asked for; where there are neither, the default.
fn listeners(args: &StartArgs, sockets: Vec<OwnedFd>) -> Result<Vec<Listener>, ListenError> {
    if args.behind_gateway {
        // Nothing asks for a password here, so whatever is configured, no other way leads in.
        return listen::bind_all(&[], &[], args.unix.as_deref());
    }
    let of_manager = |socket| Listener::of_manager(socket, args.insecure);
    let mut listeners: Vec<Listener> = sockets
        .into_iter()
        .map(of_manager)
        .collect::<Result<_, _>>()?;
    let open = listeners.iter().find_map(Listener::open_address);
    if let Some(address) = open.filter(|_| args.auth == Auth::None) {
        return Err(ListenError::OpenToAnybody(address));
    }
    let asked = !(args.listen.is_empty() && args.tls_listen.is_empty() && args.unix.is_none());
    if asked || listeners.is_empty() {
        listeners.extend(listen::bind_all(
            &args.listen,
            &args.tls_listen,
            args.unix.as_deref(),
        )?);
    }
    Ok(listeners)
}

/// Whom SASL lets in, where it was asked for.
fn users(args: &StartArgs) -> io::Result<Option<server::Users>> {
    Ok(match (args.auth, &args.sasl_file) {
        _ if args.behind_gateway => None,
        (Auth::Sasl, _) if args.sasl_mech == SaslMechanism::Gssapi => {
            let keytab = args.keytab.as_ref().map(std::path::absolute).transpose()?;
            Some(server::Users::Kerberos(keytab))
        }
        (Auth::Sasl, Some(file)) => Some(server::Users::File(std::path::absolute(file)?)),
        (Auth::Sasl, None) => Some(server::Users::System),
        _ => None,
    })
}

/// TLS is there where it was asked for, or a socket takes nothing else.
fn certificate(
    args: &StartArgs,
    listeners: &[Listener],
) -> Result<Option<Certificate>, CertificateError> {
    let authority = args.tls_client_ca.as_deref();
    let is_wanted = || authority.is_some() || listeners.iter().any(Listener::is_tls_only);
    let certificate = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Certificate::of_files(certificate, key)?,
        _ if !is_wanted() => return Ok(None),
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

//! `caraway-server`: serves one desktop over SPICE.
//!
//! The launcher starts it with everything open that it needs: listening sockets, the password, and a line for
//! control. It ends when the driver or the launcher goes; clients reconnect to the next one.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use clap::{Parser, ValueEnum};
use tracing_subscriber::EnvFilter;

use caraway_server::auth::ticket::{PasswordError, Ticket, TicketPolicy};
use caraway_server::base::limits::PASSWORD_MAX;
use caraway_server::base::{Micros, Size};
use caraway_server::channel::Identity;
use caraway_server::io::agent::{Hands, XDisplay};
use caraway_server::io::control::Control;
use caraway_server::io::cores::Cores;
use caraway_server::io::driver::{AttachError, Driver, DriverError};
use caraway_server::io::host::Host;
use caraway_server::io::key_pool::KeyPool;
use caraway_server::io::listen::{Encryption, ListenError, Listener};
use caraway_server::io::login;
use caraway_server::io::sasl::{Sasl, SaslFileError};
use caraway_server::io::screen_loop;
use caraway_server::io::tls::{Tls, TlsError, TlsFiles};
use caraway_server::os::JpegBackends;
use caraway_server::os::hardening::{NewPrivileges, harden_process};
use caraway_server::os::inherited::{InheritError, adopt};
use caraway_server::session::Session;

/// Serves one desktop over SPICE. Usually `caraway start` runs it.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Socket of the driver in the X server.
    #[arg(long)]
    driver: PathBuf,
    /// An inherited listening socket (TCP or unix stream); may be given several times.
    #[arg(
        long = "listen-fd",
        value_name = "FD",
        required_unless_present = "tls_listen_fds"
    )]
    listen_fds: Vec<RawFd>,
    /// An inherited listening TCP socket where only TLS is taken; may be given several times.
    #[arg(
        long = "tls-listen-fd",
        value_name = "FD",
        requires = "tls_certificate"
    )]
    tls_listen_fds: Vec<RawFd>,
    /// A file with the certificate chain for TLS in PEM form. With it, TLS is taken on every TCP socket.
    #[arg(long = "tls-cert", value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// A file with the certificate's private key in PEM form.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Who may come in.
    #[arg(long, value_enum, default_value_t = Auth::Ticket)]
    auth: Auth,
    /// A file of stored keys for SASL; without it, passwords are the system's (PAM).
    #[arg(long, value_name = "FILE")]
    sasl_file: Option<PathBuf>,
    /// An inherited descriptor to read the password from, up to its end.
    #[arg(long, value_name = "FD", required_if_eq("auth", "ticket"))]
    password_fd: Option<RawFd>,
    /// Seconds from now on for which the password is good.
    #[arg(long, value_name = "SECONDS")]
    password_expires_s: Option<u32>,
    /// The password lets in a single client.
    #[arg(long)]
    password_once: bool,
    /// An inherited stream socket to the launcher.
    #[arg(long, value_name = "FD")]
    control_fd: Option<RawFd>,
    /// The X display behind the driver; without it there are no selections and no monitors that follow.
    #[arg(long)]
    display: Option<String>,
    /// The file with the display's cookie.
    #[arg(long, requires = "display")]
    xauthority: Option<PathBuf>,
    /// Identifies the desktop as long as it lives, also when this program is started anew; random if not given.
    #[arg(long)]
    uuid: Option<Uuid>,
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
    /// Who is a user, on TCP inside of TLS alone; and the desktop's own user on unix sockets.
    Sasl,
}

/// Why the server ends.
#[derive(Debug, thiserror::Error)]
enum ServerError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    #[error("SASL: {0}")]
    Sasl(#[from] SaslFileError),
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
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == login::ARGUMENT) {
        let peer = words.next().unwrap_or_default();
        // It answers by its exit code, which is no when its memory cannot be hidden.
        return match harden_process(NewPrivileges::KeptForChildren) {
            Ok(()) => login::judge(&peer.to_string_lossy()),
            Err(_) => ExitCode::FAILURE,
        };
    }
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("CARAWAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let asks_pam = arguments.auth == Auth::Sasl && arguments.sasl_file.is_none();
    let privileges = match asks_pam {
        true => NewPrivileges::KeptForChildren,
        false => NewPrivileges::GivenUp,
    };
    if let Err(error) = harden_process(privileges) {
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
    let sasl = sasl(&arguments)?;
    let listeners = listeners(&arguments)?;
    let driver = Driver::connect(&arguments.driver).await?;
    let display = arguments.display.map(|name| XDisplay {
        name,
        authority: arguments.xauthority,
    });
    let uuid = match arguments.uuid {
        Some(Uuid(uuid)) => uuid,
        None => random_uuid()?,
    };
    let identity = Identity {
        name: arguments.name,
        uuid,
    };
    let mut session = Session::new(identity, Size::default());
    let backends = JpegBackends::load();
    session.set_jpeg_backends(Box::new(move || backends.backend()));
    session.set_workers(Box::new(Cores::new()));
    let host = Host::new(session, policy, keys);
    let host = Rc::new(match sasl {
        Some(sasl) => host.with_sasl(sasl),
        None => host,
    });
    tokio::task::spawn_local(Hands::open(display.as_ref()).serve(Rc::clone(&host)));
    for listener in listeners {
        tokio::task::spawn_local(listener.serve(Rc::clone(&host)));
    }
    let launcher = async {
        match control {
            Some(control) => {
                control.ready().await?;
                control.answer(&host).await
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

fn listeners(arguments: &Arguments) -> Result<Vec<Listener>, ServerError> {
    let tls = match (&arguments.tls_certificate, &arguments.tls_key) {
        (Some(certificate), Some(key)) => Some(Rc::new(Tls::load(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        })?)),
        _ => None,
    };
    let offered = tls.clone().map_or(Encryption::None, Encryption::Offered);
    let required = tls.map_or(Encryption::None, Encryption::Required);
    let open = |fds: &[RawFd], encryption: Encryption| {
        let adopt = |fd: &RawFd| Listener::adopt(*fd, encryption.clone());
        fds.iter().map(adopt).collect::<Result<Vec<_>, _>>()
    };
    let mut listeners = open(&arguments.listen_fds, offered)?;
    listeners.extend(open(&arguments.tls_listen_fds, required)?);
    Ok(listeners)
}

/// A UUID as it is written: 32 hexadecimal digits, with or without hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Uuid([u8; 16]);

impl std::str::FromStr for Uuid {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: String = text.chars().filter(|character| *character != '-').collect();
        let is_hexadecimal = digits
            .chars()
            .all(|character| character.is_ascii_hexdigit());
        let number = u128::from_str_radix(&digits, 16).ok();
        number
            .filter(|_| is_hexadecimal && digits.len() == 32)
            .map(|number| Self(number.to_be_bytes()))
            .ok_or("a UUID has 32 hexadecimal digits")
    }
}

fn random_uuid() -> Result<[u8; 16], getrandom::Error> {
    let mut uuid = [0; 16];
    getrandom::fill(&mut uuid)?;
    Ok(uuid)
}

fn sasl(arguments: &Arguments) -> Result<Option<Sasl>, SaslFileError> {
    match (&arguments.sasl_file, arguments.auth) {
        (Some(file), Auth::Sasl) => Sasl::by_file(file.clone()).map(Some),
        (None, Auth::Sasl) => Ok(Some(Sasl::by_system())),
        _ => Ok(None),
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
    // The host's clock starts a moment later, at zero.
    let expires = arguments.password_expires_s;
    let expires = expires.map(|seconds| Micros::from_secs(seconds.into()));
    let ticket = Ticket::new(&password, expires)?;
    Ok(TicketPolicy::Password(if arguments.password_once {
        ticket.once()
    } else {
        ticket
    }))
}

#[cfg(test)]
mod tests {
    use super::Uuid;

    #[test]
    fn uuids_are_read_as_they_are_written() {
        let plain = "00112233445546678899aabbccddeeff".parse::<Uuid>().unwrap();
        assert_eq!(plain.0[..4], [0, 0x11, 0x22, 0x33]);
        let written = "00112233-4455-4667-8899-AABBCCDDEEFF";
        assert_eq!(written.parse::<Uuid>(), Ok(plain));
        for wrong in ["", "0011", "+0112233445546678899aabbccddeeff", "zz"] {
            assert!(wrong.parse::<Uuid>().is_err(), "{wrong}");
        }
    }
}

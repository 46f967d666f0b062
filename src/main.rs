//! `caraway-server`: serves one desktop over SPICE.
//!
//! The launcher starts it with everything open that it needs: listening sockets, the password, and a line for
//! control. It ends when the driver or the launcher goes; clients reconnect to the next one.

mod arguments;

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser;
use tokio::sync::Notify;

use caraway_server::audio::RawOnly;
use caraway_server::auth::ticket::{PasswordError, Ticket, TicketPolicy};
use caraway_server::base::limits::PASSWORD_MAX;
use caraway_server::base::{Micros, Size};
use caraway_server::channel::Identity;
use caraway_server::io::agent::{Hands, XDisplay};
use caraway_server::io::control::Control;
use caraway_server::io::cores::Cores;
use caraway_server::io::driver::{AttachError, Driver, DriverError};
use caraway_server::io::host::Host;
use caraway_server::io::kerberos::{Kerberos, KerberosError};
use caraway_server::io::key_pool::KeyPool;
use caraway_server::io::listen::{ListenError, Listener};
use caraway_server::io::login;
use caraway_server::io::metrics;
use caraway_server::io::program;
use caraway_server::io::sasl::{Sasl, SaslFileError};
use caraway_server::io::screen_loop;
use caraway_server::io::shared_folders;
use caraway_server::io::sound::{self, SoundPlace};
use caraway_server::io::tls::{Encryption, Tls, TlsError, TlsFiles};
use caraway_server::io::uploads::UploadPolicy;
#[cfg(feature = "kerberos")]
use caraway_server::io::{kerberos, kerberos_process};
use caraway_server::os::hardening::{NewPrivileges, harden_process};
use caraway_server::os::inherited::{InheritError, adopt};
use caraway_server::os::syscalls::forbid_unused;
use caraway_server::os::{JpegBackends, Opus};
use caraway_server::session::Session;

use self::arguments::{Arguments, Auth, Folders, SaslMechanism, Uuid};

/// Why the server ends.
#[derive(Debug, thiserror::Error)]
enum ServerError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    #[error("SASL: {0}")]
    Sasl(#[from] SaslFileError),
    #[error("Kerberos: {0}")]
    Kerberos(#[from] KerberosError),
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
    let word = words.next();
    #[cfg(feature = "kerberos")]
    if word.as_ref().is_some_and(|word| word == kerberos::ARGUMENT) {
        return match harden_process(NewPrivileges::GivenUp) {
            Ok(()) => kerberos_process::judge(),
            Err(_) => ExitCode::FAILURE,
        };
    }
    if word.is_some_and(|word| word == login::ARGUMENT) {
        let peer = words.next().unwrap_or_default();
        // It answers by its exit code, which is no when its memory cannot be hidden.
        return match harden_process(NewPrivileges::KeptForChildren) {
            Ok(()) => login::judge(&peer.to_string_lossy()),
            Err(_) => ExitCode::FAILURE,
        };
    }
    let arguments = Arguments::parse();
    let is_sasl = arguments.auth == Auth::Sasl;
    let asks_kerberos = is_sasl && arguments.sasl_mech == SaslMechanism::Gssapi;
    let asks_pam = is_sasl && !asks_kerberos && arguments.sasl_file.is_none();
    let privileges = match asks_pam {
        true => NewPrivileges::KeptForChildren,
        false => NewPrivileges::GivenUp,
    };
    program::start(privileges);
    // PAM's modules do what they like, in processes that inherit what is taken away here.
    if !asks_pam && let Err(error) = forbid_unused(asks_kerberos) {
        tracing::info!(%error, "the kernel takes no list of system calls");
    }
    program::run("caraway-server", run(arguments))
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
    let sasl = sasl(&arguments).await?;
    let listeners = listeners(&arguments)?;
    let driver = Driver::connect(&arguments.driver).await?;
    let host = Host::new(session(&arguments)?, policy, keys);
    let host = Rc::new(match sasl {
        Some(sasl) => host.with_sasl(sasl),
        None => host,
    });
    if let Some(fd) = arguments.metrics_fd {
        let listener = metrics::adopt(fd)?;
        tokio::task::spawn_local(metrics::serve(Rc::clone(&host), listener));
    }
    start_services(&host, arguments).await;
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

/// The desktop as it shall be served.
fn session(arguments: &Arguments) -> Result<Session, ServerError> {
    let uuid = match arguments.uuid {
        Some(Uuid(uuid)) => uuid,
        None => random_uuid()?,
    };
    let identity = Identity {
        name: arguments.name.clone(),
        uuid,
    };
    let mut session = Session::new(identity, Size::default());
    offer_encoders(&mut session);
    session.set_resize_policy(arguments.resize_policy());
    session.set_joining(arguments.joining.into());
    session.set_clipboard_policy(arguments.clipboard_policy());
    if arguments.folders == Folders::On {
        session.serve_folders();
    }
    if arguments.sound.is_some() {
        offer_sound(&mut session);
    }
    Ok(session)
}

/// Starts what touches the desktop beside its screen: selections, monitors, files, sound.
async fn start_services(host: &Rc<Host>, arguments: Arguments) {
    let (resize, clipboard) = (arguments.resize_policy(), arguments.clipboard_policy());
    let display = arguments.display.map(|name| XDisplay {
        name,
        authority: arguments.xauthority,
    });
    let hands = Hands::open(display.as_ref(), &clipboard);
    let hands = hands.following_windows(resize.follow);
    let mut hands = hands.with_volumes(arguments.sound.is_some());
    if arguments.uploads.as_os_str() != "off" {
        hands = hands.with_uploads(UploadPolicy {
            folder: arguments.uploads,
            size_bytes_max: arguments.upload_bytes_max,
        });
    }
    tokio::task::spawn_local(hands.serve(Rc::clone(host)));
    if arguments.folders == Folders::On {
        let directory = arguments.folders_dir;
        tokio::task::spawn_local(shared_folders::serve(Rc::clone(host), directory));
    }
    if let Some(socket) = arguments.sound {
        start_sound(host, socket, arguments.name).await;
    }
}

fn listeners(arguments: &Arguments) -> Result<Vec<Listener>, ServerError> {
    let tls = match (&arguments.tls_certificate, &arguments.tls_key) {
        (Some(certificate), Some(key)) => Some(Rc::new(Tls::load(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            client_authority: arguments.tls_client_authority.clone(),
        })?)),
        _ => None,
    };
    // Who needs a certificate does not get by without TLS.
    let offered = match (&tls, &arguments.tls_client_authority) {
        (None, _) => Encryption::None,
        (Some(tls), None) => Encryption::Offered(Rc::clone(tls)),
        (Some(tls), Some(_)) => Encryption::Required(Rc::clone(tls)),
    };
    let required = tls.map_or(Encryption::None, Encryption::Required);
    let open = |fds: &[RawFd], encryption: Encryption| {
        let adopt = |fd: &RawFd| Listener::adopt(*fd, encryption.clone());
        fds.iter().map(adopt).collect::<Result<Vec<_>, _>>()
    };
    let mut listeners = open(&arguments.listen_fds, offered)?;
    listeners.extend(open(&arguments.tls_listen_fds, required)?);
    if arguments.behind_gateway {
        let gateway = arguments.gateway_uid;
        let behind = |listener: Listener| listener.behind_gateway(gateway);
        listeners = listeners
            .into_iter()
            .map(behind)
            .collect::<Result<_, _>>()?;
    }
    Ok(listeners)
}

fn random_uuid() -> Result<[u8; 16], getrandom::Error> {
    let mut uuid = [0; 16];
    getrandom::fill(&mut uuid)?;
    Ok(uuid)
}

fn offer_encoders(session: &mut Session) {
    let backends = JpegBackends::load();
    session.set_jpeg_backends(Box::new(move || backends.backend()));
    session.set_workers(Box::new(Cores::new()));
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

async fn sasl(arguments: &Arguments) -> Result<Option<Sasl>, ServerError> {
    if arguments.auth != Auth::Sasl {
        return Ok(None);
    }
    let keytab = arguments.keytab.as_deref();
    let sasl = match (arguments.sasl_mech, &arguments.sasl_file) {
        (SaslMechanism::Gssapi, _) => Sasl::by_kerberos(Kerberos::start(keytab).await?),
        (SaslMechanism::Password, Some(file)) => Sasl::by_file(file.clone())?,
        (SaslMechanism::Password, None) => Sasl::by_system(),
    };
    Ok(Some(sasl.with_view_only(arguments.view_only_users.clone())))
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

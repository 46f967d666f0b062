//! `caraway-gateway`: one port for the desktops of all users of a host.
//!
//! It reads the network and has no privileges; who a client is, and where the desktop, it asks `caraway-broker`.

#[cfg(test)]
#[path = "../../tests/manual/gateway.rs"]
mod manual;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser;

use caraway_server::gateway::settings::{FILE, FILE_BYTES_MAX, Settings, SettingsError};
use caraway_server::io::gateway::Gateway;
use caraway_server::io::program;
use caraway_server::io::tls::{Tls, TlsError, TlsFiles};
use caraway_server::os::Opus;
use caraway_server::os::hardening::NewPrivileges;
use caraway_server::os::notify;

/// Serves the desktops of all users of this host on one port.
#[derive(Debug, Parser)]
#[command(name = "caraway-gateway", version)]
struct Arguments {
    /// The file with the settings; a missing one means the defaults
    #[arg(long, value_name = "FILE", default_value = FILE)]
    config: PathBuf,
    /// A file with certificate and key for TLS, where the settings name none
    #[arg(long, value_name = "FILE")]
    made_certificate: Option<PathBuf>,
}

/// Why the gateway ends.
#[derive(Debug, thiserror::Error)]
enum GatewayError {
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: {source}", path.display())]
    Settings {
        path: PathBuf,
        source: SettingsError,
    },
    #[error("no certificate: name one by tls-cert and tls-key")]
    NoCertificate,
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: std::net::SocketAddr,
        source: std::io::Error,
    },
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error("starting: {0}")]
    Start(#[from] std::io::Error),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    program::start(NewPrivileges::GivenUp);
    program::run("caraway-gateway", run(arguments))
}

async fn run(arguments: Arguments) -> Result<(), GatewayError> {
    let settings = settings(&arguments.config)?;
    let made = arguments.made_certificate;
    let files = match (&settings.tls_cert, &settings.tls_key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ => made
            .map(|file| (file.clone(), file))
            .ok_or(GatewayError::NoCertificate)?,
    };
    let tls = Rc::new(Tls::load(TlsFiles {
        certificate: files.0,
        key: files.1,
        client_authority: None,
    })?);
    let gateway = Rc::new(Gateway::new(
        tls,
        settings.broker_socket,
        Opus::load().is_ok(),
    )?);
    for address in settings.listen {
        let listener = tokio::net::TcpListener::bind(address).await;
        let listener = listener.map_err(|source| GatewayError::Listen { address, source })?;
        tracing::info!(address = %listener.local_addr()?, "listening");
        tokio::task::spawn_local(Rc::clone(&gateway).serve(listener));
    }
    notify::ready()?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

fn settings(path: &Path) -> Result<Settings, GatewayError> {
    let read = |source| GatewayError::Read {
        path: path.into(),
        source,
    };
    let mut text = String::new();
    match std::fs::File::open(path) {
        Ok(file) => {
            file.take(FILE_BYTES_MAX + 1)
                .read_to_string(&mut text)
                .map_err(read)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(read(error)),
    }
    Settings::parse(&text).map_err(|source| GatewayError::Settings {
        path: path.into(),
        source,
    })
}

//! `/etc/caraway/gateway.conf`: one file for gateway and broker, in the form of `caraway.toml`.

use core::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

/// Where it is.
pub const FILE: &str = "/etc/caraway/gateway.conf";

/// Bytes of the longest file that is read.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Characters of the longest one-time code.
pub const CODE_LENGTH_MAX: usize = 64;

/// The port that SPICE clients try.
const PORT: u16 = 5900;

/// What is wrong with the file; the administrator's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

/// What a user gets who is in a graphical session already that the gateway has not made. A desktop of the gateway's
/// own is always joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExistingSession {
    /// A sentence that says why not.
    #[default]
    Refuse,
    /// A desktop; the other session is ended first.
    TakeOver,
    /// A desktop beside it, with a runtime directory and a D-Bus of its own.
    Isolated,
    /// That session itself where it is X11's, shown and used from afar; a sentence where it is not.
    Join,
}

/// Every setting has a default that works with the host's own accounts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where clients connect, by TLS.
    pub listen: Vec<SocketAddr>,
    /// Certificate chain and key for TLS in PEM form; without them one that is made once and kept.
    pub tls_cert: Option<PathBuf>,
    /// See [`Self::tls_cert`].
    pub tls_key: Option<PathBuf>,
    /// Where the broker listens.
    pub broker_socket: PathBuf,
    /// The account that the gateway runs as, the only one that the broker serves.
    pub gateway_user: String,
    /// Name of the rules of PAM, a file in `/etc/pam.d`.
    pub pam_service: String,
    /// Groups whose members may use desktops; empty: everybody but root.
    pub allow_groups: Vec<String>,
    /// Groups whose members see their desktops and may not act there.
    pub view_only_groups: Vec<String>,
    /// Characters at the end of what a user types as the password that are a one-time code; 0: none are.
    pub code_length: usize,
    /// What happens to who is in another graphical session.
    pub existing_session: ExistingSession,
    /// What runs in a new desktop, a program and its words; empty: the user's session.
    pub command: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![(Ipv6Addr::UNSPECIFIED, PORT).into()],
            tls_cert: None,
            tls_key: None,
            broker_socket: "/run/caraway/broker.sock".into(),
            gateway_user: "caraway-gateway".into(),
            pam_service: "caraway-gateway".into(),
            allow_groups: Vec::new(),
            view_only_groups: Vec::new(),
            code_length: 0,
            existing_session: ExistingSession::Refuse,
            command: Vec::new(),
        }
    }
}

impl Settings {
    /// From the file's text.
    ///
    /// # Errors
    /// [`SettingsError`] names the line.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let settings: Self =
            toml::from_str(text).map_err(|error| SettingsError(error.to_string()))?;
        if settings.tls_cert.is_some() != settings.tls_key.is_some() {
            return Err(SettingsError("tls-cert and tls-key go together".into()));
        }
        if settings.listen.is_empty() {
            return Err(SettingsError("listen names no address".into()));
        }
        if CODE_LENGTH_MAX < settings.code_length {
            return Err(SettingsError(format!(
                "code-length is {CODE_LENGTH_MAX} at most"
            )));
        }
        let service = &settings.pam_service;
        if service.is_empty() || service.contains(['/', '\0']) {
            return Err(SettingsError(
                "pam-service is the name of a file in /etc/pam.d".into(),
            ));
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        let settings = Settings::parse("").unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.existing_session, ExistingSession::Refuse);
        assert_eq!(settings.listen, ["[::]:5900".parse().unwrap()]);
    }

    #[test]
    fn the_file_that_is_installed_says_the_defaults() {
        let installed = include_str!("../../launcher/units/system/gateway.conf");
        assert_eq!(Settings::parse(installed).unwrap(), Settings::default());
        // Uncommented, each line is still the default.
        let said: String = installed
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')))
            .flat_map(|line| [line, "\n"])
            .collect();
        assert!(said.contains("existing-session"), "{said}");
        assert_eq!(Settings::parse(&said).unwrap(), Settings::default());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            ("port = 1", "port"),
            ("listen = []", "no address"),
            ("tls-cert = \"/x\"", "tls-key"),
            ("existing-session = \"maybe\"", "maybe"),
            ("pam-service = \"../x\"", "pam-service"),
            ("code-length = 65", "64 at most"),
            ("code-length = -1", "code-length"),
        ] {
            let error = Settings::parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let settings = Settings::parse("existing-session = \"take-over\"").unwrap();
        assert_eq!(settings.existing_session, ExistingSession::TakeOver);
        let settings = Settings::parse("existing-session = \"join\"").unwrap();
        assert_eq!(settings.existing_session, ExistingSession::Join);
    }
}

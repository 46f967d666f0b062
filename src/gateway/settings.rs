//! `/etc/caraway/gateway.conf`: one file for gateway and broker, in the form of `caraway.toml`.

use core::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;
use toml::de::DeTable;

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
    /// From the file's text. One byte more than [`FILE_BYTES_MAX`] is enough to know that it is too long.
    ///
    /// # Errors
    /// [`SettingsError`] names the line and the key.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        if FILE_BYTES_MAX < text.len() as u64 {
            return Err(SettingsError(format!(
                "line 1: the file has more than {FILE_BYTES_MAX} bytes"
            )));
        }
        let settings: Self = toml::from_str(text).map_err(|error| not_settings(text, &error))?;
        let wrong = |key: &str, what: &str| Err(SettingsError::of_key(text, key, what));
        match (&settings.tls_cert, &settings.tls_key) {
            (Some(_), None) => return wrong("tls-cert", "tls-key is missing"),
            (None, Some(_)) => return wrong("tls-key", "tls-cert is missing"),
            _ => {}
        }
        if settings.listen.is_empty() {
            return wrong("listen", "it names no address");
        }
        if CODE_LENGTH_MAX < settings.code_length {
            return wrong("code-length", &format!("it is {CODE_LENGTH_MAX} at most"));
        }
        let service = &settings.pam_service;
        if [".", ".."].contains(&&**service) || service.is_empty() || service.contains(['/', '\0'])
        {
            return wrong("pam-service", "it is the name of a file in /etc/pam.d");
        }
        Ok(settings)
    }
}

impl SettingsError {
    /// What is wrong with the value of a key that is in the file.
    fn of_key(text: &str, key: &str, what: &str) -> Self {
        let places = places_of_keys(text);
        let place = places.iter().find(|(_, name)| name == key);
        Self::at(text, place.map_or(0, |(at, _)| *at), key, what)
    }

    /// One line, whatever is cited in it.
    fn at(text: &str, at: usize, key: &str, what: &str) -> Self {
        let before = text.as_bytes().iter().take(at);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        let told = format!("line {line}: {key}: {what}");
        Self(told.replace(char::is_control, " "))
    }
}

/// What the decoder found wrong, which may be within a value.
fn not_settings(text: &str, error: &toml::de::Error) -> SettingsError {
    let at = error.span().map_or(0, |span| span.start);
    let places = places_of_keys(text);
    let place = places.iter().rev().find(|(start, _)| *start <= at);
    let key = place.map_or("this is no TOML", |(_, key)| key);
    SettingsError::at(text, at, key, error.message())
}

/// The keys in the order of their places; none if it is no TOML.
fn places_of_keys(text: &str) -> Vec<(usize, String)> {
    let table = DeTable::parse(text).ok();
    let keys = table.iter().flat_map(|table| table.get_ref().keys());
    let mut places: Vec<(usize, String)> = keys
        .map(|key| (key.span().start, key.get_ref().to_string()))
        .collect();
    places.sort();
    places
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
        let long = format!("# {}\nallow-groups = ['a']", "x".repeat(64 * 1024));
        for (text, told) in [
            ("\nport = 1", "line 2: port: unknown field"),
            (
                "listen = [\n'[::]:1',\n'x']",
                "line 3: listen: invalid socket address",
            ),
            (
                "code-length = 1\ntls-key = '/x'",
                "line 2: tls-key: tls-cert is missing",
            ),
            ("command = [", "line 1: this is no TOML: "),
            ("a = 1\nb = '", "line 2: this is no TOML: "),
            (&*long, "line 1: the file has more than 65536 bytes"),
        ] {
            let error = Settings::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(told) && !error.contains('\n'), "{error}");
        }
        for (text, named) in [
            ("port = 1", "port"),
            ("listen = []", "no address"),
            ("tls-cert = \"/x\"", "tls-key"),
            ("existing-session = \"maybe\"", "maybe"),
            ("pam-service = \"../x\"", "pam-service"),
            ("pam-service = \"..\"", "pam-service"),
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

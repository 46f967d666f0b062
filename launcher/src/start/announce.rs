//! What `caraway start` prints when the desktop is ready.

use std::fmt::Write;

use serde::Serialize;

use crate::certificate::Certificate;
use crate::control::messages::{Desktop, Pids};
use crate::name::DesktopName;
use crate::password::Password;

/// The object of `caraway start --json`.
#[derive(Serialize)]
struct Ready<'a> {
    name: &'a DesktopName,
    display: Option<&'a str>,
    uris: &'a [String],
    /// Only a password that was made here: another is the user's to know.
    password: Option<&'a str>,
    /// SHA-256 of the certificate that TLS shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a str>,
    pids: Pids,
}

/// One JSON object.
pub(super) fn json(
    desktop: &Desktop,
    new_password: Option<&Password>,
    certificate: Option<&Certificate>,
) -> String {
    let Desktop {
        name,
        display,
        uris,
        pids,
        ..
    } = desktop;
    let password = new_password.map(Password::reveal);
    let ready = Ready {
        name,
        display: display.as_deref(),
        uris,
        password,
        fingerprint: certificate.map(|certificate| &*certificate.fingerprint),
        pids: *pids,
    };
    serde_json::json!(ready).to_string()
}

/// One line per way in, and what else is worth knowing.
pub(super) fn text(
    desktop: &Desktop,
    new_password: Option<&Password>,
    certificate: Option<&Certificate>,
) -> String {
    let Desktop {
        name,
        display,
        uris,
        ..
    } = desktop;
    let mut text = String::new();
    for uri in uris {
        let _ = match new_password {
            Some(password) => writeln!(text, "{uri}  password: {}", password.reveal()),
            None => writeln!(text, "{uri}"),
        };
    }
    if let Some(certificate) = certificate {
        let fingerprint = &certificate.fingerprint;
        let _ = writeln!(text, "certificate (SHA-256): {fingerprint}");
        if let Some(file) = &certificate.authority_file {
            let _ = writeln!(
                text,
                "clients trust it with: --spice-ca-file={}",
                file.display()
            );
        }
    }
    let display = display.as_deref().unwrap_or("-");
    let _ = write!(
        text,
        "desktop '{name}' on display {display}; end it: caraway stop {name}"
    );
    text
}

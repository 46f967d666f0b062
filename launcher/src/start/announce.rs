//! What `caraway start` prints when the desktop is ready.

use serde::Serialize;

use crate::certificate::Certificate;
use crate::control::messages::{Desktop, Pids};
use crate::name::DesktopName;
use crate::password::Password;
use crate::terminal::answer;

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

/// Prints one JSON object.
pub(super) fn json(
    desktop: &Desktop,
    new_password: Option<&Password>,
    certificate: Option<&Certificate>,
) {
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
    answer(serde_json::json!(ready));
}

/// Prints one line per way in.
pub(super) fn text(
    desktop: &Desktop,
    new_password: Option<&Password>,
    certificate: Option<&Certificate>,
) {
    let Desktop {
        name,
        display,
        uris,
        ..
    } = desktop;
    for uri in uris {
        match new_password {
            Some(password) => answer(format_args!("{uri}  password: {}", password.reveal())),
            None => answer(uri),
        }
    }
    if let Some(certificate) = certificate {
        let fingerprint = &certificate.fingerprint;
        answer(format_args!("certificate (SHA-256): {fingerprint}"));
        if let Some(file) = &certificate.authority_file {
            answer(format_args!(
                "clients trust it with: --spice-ca-file={}",
                file.display()
            ));
        }
    }
    let display = display.as_deref().unwrap_or("-");
    answer(format_args!(
        "desktop '{name}' on display {display}; end it: caraway stop {name}"
    ));
}

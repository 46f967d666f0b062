//! What `caraway start` prints when the desktop is ready.

use serde::Serialize;

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
    pids: Pids,
}

/// Prints one JSON object.
pub(super) fn json(desktop: &Desktop, new_password: Option<&Password>) {
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
        pids: *pids,
    };
    answer(serde_json::json!(ready));
}

/// Prints one line per way in.
pub(super) fn text(desktop: &Desktop, new_password: Option<&Password>) {
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
    let display = display.as_deref().unwrap_or("-");
    answer(format_args!(
        "desktop '{name}' on display {display}; end it: caraway stop {name}"
    ));
}

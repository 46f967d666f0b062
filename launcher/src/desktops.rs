//! `caraway list`, `status` and `stop`.

use serde::Serialize;
use serde_json::Value;

use crate::DONE;
use crate::control::client::{self, ClientError};
use crate::control::messages::Desktop;
use crate::name::DesktopName;
use crate::terminal::{answer, notice};

/// What is said of a desktop behind an upgrade of the programs.
pub(crate) const OUTDATED: &str = "  older build (caraway upgrade)";

/// One element of `caraway list --json`.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a DesktopName,
    display: Option<&'a str>,
    uris: &'a [String],
    since: &'a str,
    /// Connected clients; none while no server answers.
    clients: Option<usize>,
    /// It runs an older build than what is installed.
    outdated: bool,
}

/// Lists this user's desktops.
pub(crate) fn list(json: bool) -> u8 {
    let mut desktops = Vec::new();
    for name in client::names() {
        match client::describe(&name) {
            Ok(desktop) => desktops.push(desktop),
            // It may just have ended; then there is nothing to say.
            Err(_) if !client::names().contains(&name) => {}
            Err(error) => notice(error),
        }
    }
    let listed: Vec<Listed<'_>> = desktops.iter().map(listed).collect();
    if json {
        answer(serde_json::json!(listed));
    } else if listed.is_empty() {
        notice("no desktop of yours runs");
    } else {
        listed.iter().for_each(|desktop| answer(line(desktop)));
    }
    DONE
}

/// Shows one desktop.
pub(crate) fn status(name: Option<DesktopName>, json: bool) -> Result<(), ClientError> {
    let desktop = client::describe(&client::resolve(name)?)?;
    if json {
        let mut object = serde_json::json!(desktop);
        object["outdated"] = serde_json::json!(desktop.is_outdated());
        object["clients"] = serde_json::json!(desktop.clients());
        object["shared_folders"] = serde_json::json!(desktop.shared_folders());
        answer(object);
        return Ok(());
    }
    answer(line(&listed(&desktop)));
    let process = |pid: Option<i32>| pid.map_or("-".to_owned(), |pid| pid.to_string());
    let pids = desktop.pids;
    answer(format_args!(
        "  processes: launcher {}, xorg {}, server {}",
        pids.launcher,
        process(pids.xorg),
        process(pids.server)
    ));
    for client in desktop.clients().into_iter().flatten() {
        answer(format_args!("  client: {}", fields(client)));
    }
    for folder in desktop.shared_folders().into_iter().flatten() {
        answer(format_args!("  shared folder: {}", fields(folder)));
    }
    Ok(())
}

/// Ends one desktop; returns when nothing of it is left.
pub(crate) fn stop(name: Option<DesktopName>) -> Result<(), ClientError> {
    client::stop(&client::resolve(name)?)
}

/// Tells a desktop's clients and user something.
pub(crate) fn message(name: Option<DesktopName>, text: String) -> Result<(), ClientError> {
    client::message(&client::resolve(name)?, text)
}

fn listed(desktop: &Desktop) -> Listed<'_> {
    Listed {
        name: &desktop.name,
        display: desktop.display.as_deref(),
        uris: &desktop.uris,
        since: &desktop.since,
        clients: desktop.clients().map(Vec::len),
        outdated: desktop.is_outdated(),
    }
}

fn line(desktop: &Listed<'_>) -> String {
    let clients = match desktop.clients {
        Some(1) => "1 client".into(),
        Some(count) => format!("{count} clients"),
        None => "no server answers".into(),
    };
    let Listed {
        name,
        display,
        uris,
        since,
        ..
    } = desktop;
    let display = display.unwrap_or("-");
    let outdated = if desktop.outdated { OUTDATED } else { "" };
    format!(
        "{name}  {display}  {}  since {since}  {clients}{outdated}",
        uris.join(" ")
    )
}

/// The fields of a client's object, whatever the server tells.
fn fields(client: &Value) -> String {
    let Some(object) = client.as_object() else {
        return client.to_string();
    };
    let field = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name} {text}"),
        other => format!("{name} {other}"),
    };
    object
        .iter()
        .map(field)
        .collect::<Vec<_>>()
        .join(", ")
        .replace(char::is_control, " ")
}

//! A desktop as the user's graphical session: the user's systemd learns its display, and graphical-session.target
//! stands while it does, so that services that wait for a display start. One desktop at a time, and never in the place
//! of a session at the console: a user's systemd knows one DISPLAY only.

use super::systemctl::{Systemctl, SystemctlError};
use crate::DONE;
use crate::control::client;
use crate::name::DesktopName;
use crate::runtime_dir::Base;
use crate::terminal::notice;

const SESSION: &str = "graphical-session.target";

/// `__graphical`.
#[derive(Debug, clap::Args)]
pub(crate) struct GraphicalArgs {
    /// What has happened.
    #[arg(value_enum)]
    event: Event,
    /// The desktop.
    name: DesktopName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Event {
    /// The desktop is ready.
    Start,
    /// Its launcher has ended.
    Stop,
}

/// Tells systemd; gives the exit status. A desktop is none the worse where that fails.
pub(crate) fn run(args: &GraphicalArgs) -> u8 {
    let told = match args.event {
        Event::Start => start(&args.name),
        // The desktop goes on, and another launcher comes.
        Event::Stop if will_restart(std::env::var("SERVICE_RESULT").ok().as_deref()) => Ok(()),
        Event::Stop => stop(&args.name),
    };
    if let Err(error) = told {
        notice(format_args!(
            "the desktop '{}' is not told to the user's other units: {error}",
            args.name
        ));
    }
    DONE
}

/// Whether a launcher ended so that the desktop outlives it (`SERVICE_RESULT`, systemd.exec(5)).
fn will_restart(result: Option<&str>) -> bool {
    matches!(result, Some("signal" | "watchdog" | "core-dump"))
}

fn target(name: &DesktopName) -> String {
    format!("caraway-session@{name}.target")
}

fn start(name: &DesktopName) -> Result<(), SystemctlError> {
    let systemctl = Systemctl::find()?;
    let target = target(name);
    if systemctl.is_active(SESSION) && !systemctl.is_active(&target) {
        notice(format_args!(
            "there is a graphical session already, so the desktop '{name}' is none"
        ));
        return Ok(());
    }
    let display = client::describe(name)
        .ok()
        .and_then(|desktop| desktop.display);
    let (Some(display), Some(base)) = (display, Base::find()) else {
        return Ok(());
    };
    let cookie = base.path().join(name.as_str()).join("xauth");
    let variables = variables(&display, &cookie.display().to_string());
    let mut words = vec!["set-environment"];
    words.extend(variables.iter().map(String::as_str));
    systemctl.run(&words)?;
    // Not waited for: it stands behind the unit that this is a part of.
    systemctl.run(&["start", "--no-block", &target])?;
    Ok(())
}

fn stop(name: &DesktopName) -> Result<(), SystemctlError> {
    let systemctl = Systemctl::find()?;
    let target = target(name);
    if systemctl.is_active(&target) {
        systemctl.run(&["stop", "--no-block", &target])?;
        let names = variables("", "");
        let names = names.iter().filter_map(|pair| pair.split('=').next());
        let words: Vec<&str> = ["unset-environment"].into_iter().chain(names).collect();
        systemctl.run(&words)?;
    }
    Ok(())
}

fn variables(display: &str, cookie: &str) -> [String; 3] {
    [
        format!("DISPLAY={display}"),
        format!("XAUTHORITY={cookie}"),
        "XDG_SESSION_TYPE=x11".into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_stays_while_its_launcher_is_replaced() {
        for lives in ["signal", "watchdog", "core-dump"] {
            assert!(will_restart(Some(lives)), "{lives}");
        }
        for over in [Some("success"), Some("exit-code"), Some("timeout"), None] {
            assert!(!will_restart(over), "{over:?}");
        }
    }
}

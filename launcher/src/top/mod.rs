//! `caraway top`: what desktops and their clients do now, as the difference of two looks at counters.

mod figures;
mod processes;
mod table;

use std::io::{self, IsTerminal};
use std::thread::sleep;
use std::time::{Duration, Instant};

use self::figures::{Desktop, Look};
use crate::control::client;
use crate::terminal::{self, answer, notice};
use crate::{DONE, FAILED};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Moves a terminal's cursor to its corner and clears it.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// What is looked at, and how it is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct TopArgs {
    /// Show the figures of one second and end
    #[arg(long)]
    once: bool,
    /// Print a JSON object a second
    #[arg(long)]
    json: bool,
}

/// Shows figures until it is interrupted or nobody reads them, or once.
pub(crate) fn run(args: &TopArgs) -> u8 {
    let clears = !args.once && !args.json && io::stdout().is_terminal();
    let mut before = look();
    if before.is_empty() && args.once {
        return nothing(args.json);
    }
    let mut due = Instant::now() + INTERVAL;
    loop {
        sleep(due.saturating_duration_since(Instant::now()));
        // A launcher that answers late is not asked all the sooner.
        due = (due + INTERVAL).max(Instant::now());
        let after = look();
        let desktops = figures::between(&before, &after);
        let text = if args.json {
            serde_json::json!({ "desktops": desktops }).to_string()
        } else {
            table::text(&desktops)
        };
        let text = if clears {
            format!("{CLEAR}{text}")
        } else {
            text
        };
        if !terminal::answered(text) || args.once {
            return DONE;
        }
        before = after;
    }
}

fn nothing(json: bool) -> u8 {
    if json {
        let none: [Desktop; 0] = [];
        answer(serde_json::json!({ "desktops": none }));
        return DONE;
    }
    notice("no desktop of yours runs; start one: caraway start");
    FAILED
}

/// One look at every desktop of this user; those that do not answer are left out.
fn look() -> Vec<Look> {
    let desktops = client::names().into_iter();
    desktops
        .filter_map(|name| client::describe(&name).ok())
        .map(Look::at)
        .collect()
}

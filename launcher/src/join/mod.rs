//! Joining a graphical session that is there already, started by a display manager or startx: which display it has, how
//! its user gets in, and where its bus is. What shows it is `mirror`. → `docs/decisions/0021-join.md`

mod processes;
mod reach;

use std::env;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub(crate) use self::reach::{Foreign, ReachError, reach};
use crate::runtime_dir::Base;
use crate::terminal::answer;
use crate::xorg::config::{Geometry, SIDES};
use crate::{DONE, FAILED};

/// The user's own cookie file, in the home.
const HOME_AUTHORITY: &str = ".Xauthority";

/// A display, and how the user gets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joinable {
    pub(crate) number: u32,
    /// The cookie file; none where the server knows its users otherwise.
    pub(crate) authority: Option<PathBuf>,
    /// Its size now, within what desktops can have.
    pub(crate) geometry: Geometry,
}

/// Tries all ways into display `number`.
///
/// # Errors
/// What was wrong with the best of them.
pub(crate) fn find(number: u32) -> Result<Joinable, ReachError> {
    find_in(number, &processes::all())
}

/// The socket of the D-Bus of who uses display `number`.
pub(crate) fn bus_of(number: u32) -> Option<PathBuf> {
    processes::bus_of(number, &processes::all())
}

fn find_in(number: u32, said: &[processes::Said]) -> Result<Joinable, ReachError> {
    let mut ways: Vec<Option<PathBuf>> = processes::authorities_of(number, said)
        .into_iter()
        .map(Some)
        .collect();
    let own_display = env::var("DISPLAY").ok();
    if own_display.and_then(|name| processes::local_display(&name)) == Some(number) {
        ways.insert(0, env::var_os("XAUTHORITY").map(PathBuf::from));
    }
    ways.push(env::home_dir().map(|home| home.join(HOME_AUTHORITY)));
    ways.retain(|way| way.as_ref().is_some_and(|path| path.is_file()));
    ways.push(None);
    let mut why = ReachError::None(number);
    for authority in ways {
        match reach(number, authority.as_deref()) {
            Ok(foreign) => {
                return Ok(Joinable {
                    number,
                    authority,
                    geometry: geometry(&foreign),
                });
            }
            // Another cookie may do.
            Err(error @ ReachError::Refused(..)) => why = error,
            Err(error) => return Err(error),
        }
    }
    Err(why)
}

/// The size of the screen, as far as a desktop can have it.
fn geometry(foreign: &Foreign) -> Geometry {
    let side = |pixels: u16| u32::from(pixels).clamp(*SIDES.start(), *SIDES.end());
    Geometry {
        width: side(foreign.width),
        height: side(foreign.height),
    }
}

/// What `__joinable` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct JoinableArgs {
    /// A session of logind's.
    #[arg(long)]
    session: String,
    /// The display that logind knows of it.
    #[arg(long)]
    display: Option<String>,
}

/// The answer, one line of JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    /// This display of the session can be joined.
    Display(u32),
    /// It has one that cannot.
    Refused(String),
    /// It has none.
    Nothing,
}

/// Says whether a session of the user's can be joined, and by which display; the broker asks.
pub(crate) fn run(args: &JoinableArgs) -> u8 {
    let said = processes::all();
    let base = Base::find();
    let base = base.as_ref().map_or(Path::new("/nonexistent"), Base::path);
    let known = args.display.as_deref();
    let mut displays: Vec<u32> = known
        .and_then(processes::local_display)
        .into_iter()
        .collect();
    displays.extend(processes::displays_of(&args.session, &said, base));
    let mut told = Answer::Nothing;
    for number in displays {
        match find_in(number, &said) {
            Ok(_) => {
                told = Answer::Display(number);
                break;
            }
            Err(error) => told = Answer::Refused(error.to_string()),
        }
    }
    match serde_json::to_string(&told) {
        Ok(line) => {
            answer(line);
            DONE
        }
        Err(_) => FAILED,
    }
}

//! Joining a session of the user's that the gateway has not made: `caraway`, as the user, finds out whether it has an X
//! display that can be shown; only it reads what the user's processes say, and only it speaks to that display.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use nix::unistd::User;
use serde::Deserialize;

use super::daemon::OURSELVES;
use super::desktop::{Room, environment, launcher};
use super::line::ready;
use super::sessions::{self, Kind, Session};
use super::user;

/// Time for `caraway` to find out, which gives each display its own.
const ANSWER_DEADLINE: Duration = Duration::from_secs(20);

/// Bytes of the answer.
const ANSWER_BYTES_MAX: u64 = 4096;

/// What `caraway` says of a session.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    /// It has this display.
    Display(u32),
    /// It has one that cannot be joined.
    Refused(String),
    /// It has none.
    Nothing,
}

/// The place of a desktop in the user's other session, beside none, or a sentence that says why not.
pub(super) fn room(user: &User, service: &str) -> io::Result<Result<Room, String>> {
    let mut sentence = None;
    for session in sessions::others_and_terminals(user.uid.as_raw(), service) {
        let answer = match session.kind() {
            Kind::Compositor => Answer::Refused(
                "it is a Wayland session, which cannot be joined from elsewhere".into(),
            ),
            Kind::X11 | Kind::Terminal => ask(user, &session)?,
        };
        match refusal(&session, answer) {
            Ok(Some(display)) => return Ok(Ok(Room::Joined(display))),
            Ok(None) => {}
            // The first one is where the user would look.
            Err(why) => sentence = sentence.or(Some(why)),
        }
    }
    Ok(sentence.map_or(Ok(Room::Own), Err))
}

/// The display to be joined; none where there is nothing to join, nor against a desktop; or a sentence.
fn refusal(session: &Session, answer: Answer) -> Result<Option<u32>, String> {
    let why = match answer {
        Answer::Display(number) => return Ok(Some(number)),
        Answer::Nothing if session.kind() == Kind::Terminal => return Ok(None),
        Answer::Refused(why) => why,
        Answer::Nothing => "no X display of it is found".into(),
    };
    Err(format!(
        "You are logged in {} already, and that session cannot be joined: {why}. Log out there first.",
        session.place()
    ))
}

fn ask(user: &User, session: &Session) -> io::Result<Answer> {
    let mut command = Command::new(OURSELVES);
    command.arg0("caraway-broker").args(["__joinable", "--uid"]);
    command.arg(user.uid.to_string());
    command.args(["--session", session.id()]);
    if let Some(display) = session.display() {
        command.args(["--display", display]);
    }
    command.env_clear().envs(environment(user, &[]));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut said = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let deadline = Instant::now() + ANSWER_DEADLINE;
    let mut text = Vec::new();
    let mut piece = [0; 512];
    while text.len() as u64 <= ANSWER_BYTES_MAX && ready(said.as_fd(), Some(deadline))? {
        match said.read(&mut piece)? {
            0 => break,
            count => text.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
    }
    // Whatever hangs there, nobody waits for it longer.
    child.kill()?;
    child.wait()?;
    let silent = || Answer::Refused("it does not say anything".into());
    Ok(serde_json::from_slice(&text).unwrap_or_else(|_| silent()))
}

/// What the process that asks is told.
#[derive(Debug, Args)]
pub(super) struct JoinableArgs {
    #[arg(long)]
    uid: u32,
    #[arg(long)]
    session: String,
    #[arg(long)]
    display: Option<String>,
}

/// Becomes `caraway`, as the user. Returns only what went wrong.
pub(super) fn become_caraway(args: &JoinableArgs) -> io::Error {
    match prepare(args) {
        Ok(mut command) => command.exec(),
        Err(error) => error,
    }
}

fn prepare(args: &JoinableArgs) -> io::Result<Command> {
    user::become_user(&user::numbered(args.uid)?)?;
    let mut command = launcher()?;
    command.args(["__joinable", "--session", &args.session]);
    if let Some(display) = &args.display {
        command.args(["--display", display]);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_caraway_says_is_understood() {
        let heard = |text: &str| serde_json::from_str::<Answer>(text).ok();
        assert_eq!(heard(r#"{"display":7}"#), Some(Answer::Display(7)));
        let why = Answer::Refused("why".into());
        assert_eq!(heard(r#"{"refused":"why"}"#), Some(why));
        assert_eq!(heard("\"nothing\"\n"), Some(Answer::Nothing));
        assert_eq!(heard(""), None);
    }

    #[test]
    fn only_a_terminal_without_a_display_is_of_no_concern() {
        let of = |kind| Session::at_console("3", kind);
        assert_eq!(refusal(&of(Kind::X11), Answer::Display(2)), Ok(Some(2)));
        assert_eq!(refusal(&of(Kind::Terminal), Answer::Nothing), Ok(None));
        for (kind, answer) in [
            (Kind::X11, Answer::Nothing),
            (Kind::Terminal, Answer::Refused("no".into())),
        ] {
            let sentence = refusal(&of(kind), answer).unwrap_err();
            assert!(sentence.contains("at the console already"), "{sentence}");
        }
    }
}

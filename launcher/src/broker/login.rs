//! The process of one login. It asks PAM, says who the user is, and finds the user's desktop or starts it. Where it has
//! started one, it is the leader of the user's logind session and stays until the desktop ends.
//!
//! PAM's modules sleep, hang and crash: an alarm ends this process then, and with it the gateway's line.

use std::io;
use std::process::Child;
use std::time::{Duration, Instant};

use caraway_server::auth::sasl::Credentials;
use caraway_server::base::Access;
use caraway_server::gateway::broker::{Reply, Request};
use caraway_server::gateway::settings::{ExistingSession, Settings};
use caraway_server::os::pam::{Login, Pam, PamError, Secrets};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{User, alarm};
use thiserror::Error;

use super::desktop::Room;
use super::line::Line;
use super::{desktop, door, joining, notice, places, sessions, user};

/// Time for the gateway to say who comes.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// Time for PAM to judge, in seconds: as much as the gateway gives it.
const PAM_DEADLINE_S: u32 = 8;

/// Time for all that comes until the desktop is ready; the gateway gives it a little more.
const DESKTOP_DEADLINE: Duration = Duration::from_secs(80);

/// When what ought to keep to that does not, this process ends, in seconds. A desktop that has started by then goes on.
const DESKTOP_ALARM_S: u32 = 85;

/// Variables by which `pam_systemd` knows what the session is.
const SESSION_VARIABLES: [&str; 3] = [
    "XDG_SESSION_TYPE=x11",
    "XDG_SESSION_CLASS=user",
    "XDG_SESSION_DESKTOP=caraway",
];

/// What went wrong on this host.
#[derive(Debug, Error)]
pub(super) enum LoginError {
    #[error("the gateway says nothing")]
    Silence,
    #[error("PAM: {0}")]
    Pam(#[from] PamError),
    #[error("a login: {0}")]
    System(#[from] io::Error),
    #[error("hiding passwords: {0}")]
    Hide(#[from] Errno),
}

/// What is not this host's fault.
enum Verdict {
    /// Wrong, or of no concern to whoever asks.
    Denied,
    /// A sentence for the user, whose password is right.
    Refused(User, String),
}

/// Serves the login on standard input.
pub(super) fn run(settings: &Settings) -> Result<(), LoginError> {
    prctl::set_dumpable(false)?;
    prctl::set_name(c"caraway-login")?;
    let line = Line::of_stdin()?;
    let Some(Request::LogIn(credentials, host)) = line.hear(Some(REQUEST_DEADLINE))? else {
        return Err(LoginError::Silence);
    };
    alarm::set(PAM_DEADLINE_S);
    let pam = Pam::load()?;
    let judged = judge(&pam, settings, &credentials, &host)?;
    alarm::cancel();
    drop(credentials);
    let (mut login, user) = match judged {
        Ok(judged) => judged,
        Err(Verdict::Denied) => return Ok(line.say(&Reply::Denied)?),
        Err(Verdict::Refused(user, sentence)) => {
            // The password was right: that, and why it does not help, the user may know.
            line.say(&known(&user, settings))?;
            return Ok(line.say(&Reply::Refused(sentence))?);
        }
    };
    line.say(&known(&user, settings))?;
    // Sessions are opened by modules, too, and logind is asked.
    alarm::set(DESKTOP_ALARM_S);
    open_desktop(settings, &mut login, &user, line)
}

fn known(user: &User, settings: &Settings) -> Reply {
    let groups = &settings.view_only_groups;
    Reply::Known {
        uid: user.uid.as_raw(),
        access: match user::is_in_one_of(user, groups) {
            true => Access::ViewOnly,
            false => Access::Full,
        },
        user: user.name.clone(),
    }
}

type Judged<'a> = (Login<'a>, User);

/// Judges name and password, and whether the user may have a desktop.
fn judge<'a>(
    pam: &'a Pam,
    settings: &Settings,
    credentials: &Credentials,
    host: &str,
) -> Result<Result<Judged<'a>, Verdict>, LoginError> {
    let given = user::named(&credentials.user);
    if given.is_some_and(|user| user.uid.is_root()) {
        // Its password is never tried: nothing here is to be learnt about it.
        return Ok(Err(Verdict::Denied));
    }
    let (service, name) = (&settings.pam_service, &credentials.user);
    let Some(secrets) = secrets(&credentials.password, settings.code_length) else {
        return Ok(Err(Verdict::Denied));
    };
    let mut login = match pam.login(service, name, secrets, host) {
        Err(PamError::Nul(_)) => return Ok(Err(Verdict::Denied)),
        begun => begun?,
    };
    match login.authenticate(0) {
        Ok(()) => {}
        Err(PamError::Authenticate(_)) => {
            // Nobody has been authenticated, so this is for the administrator and not for whoever asks.
            if let Some(question) = login.unanswered() {
                notice(&format!(
                    "PAM asks {name:?} for more than the password: {question:?}; see code-length in gateway.conf(5)"
                ));
            }
            return Ok(Err(Verdict::Denied));
        }
        Err(other) => return Err(other.into()),
    }
    let account = login.account(0);
    // The rules may have made another user of the name that was given.
    let Some(user) = user::named(&login.user()?).filter(|user| !user.uid.is_root()) else {
        return Ok(Err(Verdict::Denied));
    };
    let refused = match account {
        Ok(()) if user::is_allowed(&user, &settings.allow_groups) => return Ok(Ok((login, user))),
        Ok(()) => "Your account is in none of the groups that may use desktops here.".into(),
        Err(PamError::Expired) => {
            "Your password has expired. Change it on this host first, by ssh or at the console."
                .into()
        }
        Err(_) => match login.said().join(" ") {
            said if said.is_empty() => "Your account may not be used here now.".into(),
            said => said,
        },
    };
    Ok(Err(Verdict::Refused(user, refused)))
}

/// The password, and the code at its end where there is to be one; none if it is too short for both.
fn secrets(typed: &[u8], code_length: usize) -> Option<Secrets<'_>> {
    let password_length = typed.len().checked_sub(code_length)?;
    let (password, code) = typed.split_at(password_length);
    let code = (code_length != 0).then_some(code);
    Some(Secrets { password, code })
}

/// Finds the user's desktop, or starts it and stays with it.
fn open_desktop(
    settings: &Settings,
    login: &mut Login<'_>,
    user: &User,
    line: Line,
) -> Result<(), LoginError> {
    let deadline = Instant::now() + DESKTOP_DEADLINE;
    let uid = user.uid.as_raw();
    let lock = places::lock(uid, deadline)?;
    places::make(user)?;
    if door::open(user, &line)? {
        return Ok(());
    }
    let room = match make_room(settings, user)? {
        Ok(room) => room,
        Err(sentence) => return Ok(line.say(&Reply::Refused(sentence))?),
    };
    if let Err(error) = login.open_session(&SESSION_VARIABLES) {
        line.say(&Reply::Refused(
            "No session can be opened for you on this host now.".into(),
        ))?;
        return Err(error.into());
    }
    let plan = desktop::Plan {
        user,
        variables: login.variables(),
        room,
        gateway_uid: User::from_name(&settings.gateway_user)
            .ok()
            .flatten()
            .map(|gateway| gateway.uid.as_raw()),
        command: &settings.command,
    };
    let started = desktop::start(&plan, deadline)?;
    let Some(desktop) = started else {
        let sentence = "Your desktop did not start; the host's journal says why.";
        line.say(&Reply::Refused(sentence.into()))?;
        return Ok(());
    };
    if !door::open(user, &line)? {
        notice(&format!("the desktop of {} does not answer", user.name));
    }
    drop((line, lock));
    leave_line()?;
    alarm::cancel();
    // The session is open as long as the desktop is there, whoever is connected.
    stay_until_ended(&desktop)?;
    Ok(())
}

/// What the policy makes of other graphical sessions: the desktop's place beside them, or a sentence.
fn make_room(settings: &Settings, user: &User) -> Result<Result<Room, String>, LoginError> {
    let service = &settings.pam_service;
    let uid = user.uid.as_raw();
    if settings.existing_session == ExistingSession::Join {
        return Ok(joining::room(user, service)?);
    }
    let others = sessions::others(uid, service);
    let Some(first) = others.first() else {
        return Ok(Ok(Room::Own));
    };
    Ok(match settings.existing_session {
        ExistingSession::Refuse | ExistingSession::Join => Err(format!(
            "You are logged in {} already, and desktops here are not started twice. Log out there first.",
            first.place()
        )),
        ExistingSession::TakeOver => match sessions::end(uid, service, &others) {
            Ok(()) => Ok(Room::Own),
            Err(error) => {
                notice(&format!("a session of user {uid} cannot be ended: {error}"));
                Err(format!(
                    "Your session {} does not end. Log out there first.",
                    first.place()
                ))
            }
        },
        ExistingSession::Isolated => Ok(Room::Isolated),
    })
}

/// Waits for the desktop, and for the door that has ended before it.
fn stay_until_ended(desktop: &Child) -> io::Result<()> {
    let desktop = i32::try_from(desktop.id()).map_err(io::Error::other)?;
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..))
                if pid.as_raw() == desktop =>
            {
                return Ok(());
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Standard input is the gateway's line once more; the door has its own.
fn leave_line() -> io::Result<()> {
    let nothing = std::fs::File::open("/dev/null")?;
    nix::unistd::dup2_stdin(nothing)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_end_of_what_was_typed() {
        let split = |typed, length| {
            secrets(typed, length).map(|secrets| (secrets.password.to_vec(), secrets.code))
        };
        assert_eq!(
            split(b"secret123456", 0),
            Some((b"secret123456".to_vec(), None))
        );
        assert_eq!(
            split(b"secret123456", 6),
            Some((b"secret".to_vec(), Some(&b"123456"[..])))
        );
        assert_eq!(split(b"12345", 6), None);
    }
}

//! Asking the system about a password, in a process of its own: this program once more, with one hidden argument.
//!
//! The password goes through a pipe, the verdict comes back as an exit code. The process is killed when it takes too
//! long, when its connection ends, and when the server does. Only the desktop's own user is let in, whatever name
//! PAM was asked about.

use std::io::Read;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, Uid, User};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::auth::sasl::Credentials;
use crate::base::limits::{
    LOGIN_DEADLINE, LOGIN_NAME_BYTES_MAX, LOGIN_PASSWORD_BYTES_MAX, LOGINS_MAX,
};
use crate::os::pam::{Pam, PamError};

/// The argument that makes this program judge one password and end.
pub const ARGUMENT: &str = "__pam";

/// Name of the rules, `/etc/pam.d/caraway`; where there are none, PAM takes those of `other`.
const SERVICE: &str = "caraway";

/// This program, also when its file has been replaced since.
const OURSELVES: &str = "/proc/self/exe";

/// Bytes of a request: name, NUL, password.
const REQUEST_BYTES_MAX: usize = LOGIN_NAME_BYTES_MAX + 1 + LOGIN_PASSWORD_BYTES_MAX;

/// How a judgement ends, as an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Verdict {
    Accepted = 0,
    Wrong = 1,
    NotTheOwner = 2,
    Account = 3,
    NoPam = 4,
    NotAsked = 5,
}

impl Verdict {
    const ALL: [Self; 6] = [
        Self::Accepted,
        Self::Wrong,
        Self::NotTheOwner,
        Self::Account,
        Self::NoPam,
        Self::NotAsked,
    ];

    fn of_code(code: Option<i32>) -> Option<Self> {
        let code = u8::try_from(code?).ok()?;
        Self::ALL.into_iter().find(|verdict| *verdict as u8 == code)
    }
}

/// Asks about passwords, not too many at a time.
#[derive(Debug)]
pub(super) struct Logins {
    places: Semaphore,
}

impl Logins {
    pub(super) const fn new() -> Self {
        Self {
            places: Semaphore::const_new(LOGINS_MAX),
        }
    }

    /// Whether the system lets the user in. Why not is for the log: the client learns nothing. May be dropped at
    /// any time, which ends the judgement.
    pub(super) async fn admits(&self, credentials: &Credentials, peer: &str) -> bool {
        let Ok(_place) = self.places.acquire().await else {
            return false;
        };
        match ask(credentials, peer).await {
            Ok(Answer::Verdict(Some(Verdict::Accepted))) => return true,
            Ok(Answer::Verdict(Some(Verdict::Wrong))) => {}
            Ok(Answer::Verdict(Some(Verdict::NotTheOwner))) => {
                tracing::info!(peer, "that user does not own this desktop");
            }
            Ok(Answer::Verdict(Some(Verdict::Account))) => {
                tracing::warn!(
                    peer,
                    "the password is right, but the account may not be used"
                );
            }
            Ok(Answer::Verdict(Some(Verdict::NoPam))) => {
                tracing::error!("there is no PAM here to judge passwords: install libpam0g");
            }
            Ok(Answer::Verdict(Some(Verdict::NotAsked) | None)) => {
                tracing::error!(peer, "the process that asks PAM has failed");
            }
            Err(error) => tracing::error!(%error, "cannot ask PAM"),
            Ok(Answer::TooLate) => tracing::error!(
                peer,
                "PAM did not answer within {} s",
                LOGIN_DEADLINE.as_millis() / 1000
            ),
        }
        false
    }
}

/// What came of asking.
enum Answer {
    /// None if the process ended in no way of its own.
    Verdict(Option<Verdict>),
    /// It had to be killed.
    TooLate,
}

async fn ask(credentials: &Credentials, peer: &str) -> std::io::Result<Answer> {
    let mut child = Command::new(OURSELVES)
        .arg0("caraway-server")
        .args([ARGUMENT, peer])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()?;
    let group = Group::of(&child);
    let deadline = Duration::from_micros(LOGIN_DEADLINE.0);
    let answer = tokio::time::timeout(deadline, talk(&mut child, credentials)).await;
    let Ok(verdict) = answer else {
        drop(group);
        // Waited for here, or it would stay a zombie until another child ends.
        child.wait().await?;
        return Ok(Answer::TooLate);
    };
    let verdict = verdict?;
    // Its number may be another's from now on.
    std::mem::forget(group);
    Ok(Answer::Verdict(verdict))
}

async fn talk(child: &mut Child, credentials: &Credentials) -> std::io::Result<Option<Verdict>> {
    if let Some(mut pipe) = child.stdin.take() {
        let (name, password) = (credentials.user.as_bytes(), &credentials.password);
        let mut request = Zeroizing::new(Vec::with_capacity(REQUEST_BYTES_MAX));
        request.extend_from_slice(name);
        request.push(0);
        request.extend_from_slice(password);
        pipe.write_all(&request).await?;
    }
    Ok(Verdict::of_code(child.wait().await?.code()))
}

/// A process that has not been waited for, with those that it has started: killed when this is dropped.
#[derive(Debug)]
pub(super) struct Group(Option<Pid>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        let number = child.id().and_then(|number| i32::try_from(number).ok());
        Self(number.map(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended by itself; tokio waits for it then and now.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Judges the one password on standard input. This is all that the process does; `peer` is where the user is.
pub fn judge(peer: &str) -> ExitCode {
    // Should the server be killed, nobody is left to kill a module that hangs.
    let verdict = match prctl::set_pdeathsig(Signal::SIGKILL) {
        Ok(()) => judge_input(peer),
        Err(_) => Verdict::NotAsked,
    };
    ExitCode::from(verdict as u8)
}

fn judge_input(peer: &str) -> Verdict {
    let mut request = Zeroizing::new(Vec::with_capacity(REQUEST_BYTES_MAX + 1));
    let mut input = std::io::stdin().lock().take(REQUEST_BYTES_MAX as u64);
    if input.read_to_end(&mut request).is_err() {
        return Verdict::NotAsked;
    }
    let Some(at) = request.iter().position(|byte| *byte == 0) else {
        return Verdict::NotAsked;
    };
    let (user, password) = request.split_at(at);
    let Ok(user) = std::str::from_utf8(user) else {
        return Verdict::NotAsked;
    };
    // A host's address alone is what PAM's modules understand.
    let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    let Ok(pam) = Pam::load() else {
        return Verdict::NoPam;
    };
    // A foreign user's password is never tried: nothing here is to be learnt about it.
    if !is_owner(user) {
        return Verdict::NotTheOwner;
    }
    let password = password.get(1..).unwrap_or_default();
    match pam.judge(SERVICE, user, password, host) {
        Ok(user) if is_owner(&user) => Verdict::Accepted,
        Ok(_) => Verdict::NotTheOwner,
        Err(PamError::Account(_) | PamError::Expired) => Verdict::Account,
        Err(PamError::Authenticate(_)) => Verdict::Wrong,
        Err(PamError::Load(_) | PamError::Start(_) | PamError::Session(_)) => Verdict::NoPam,
        Err(PamError::Nul(_)) => Verdict::NotAsked,
    }
}

/// Whether that is a name of the user who runs the server. Users are their numbers: one may have several names.
fn is_owner(name: &str) -> bool {
    matches!(User::from_name(name), Ok(Some(user)) if user.uid == Uid::effective())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_survive_their_exit_codes() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::of_code(Some(verdict as i32)), Some(verdict));
        }
        for foreign in [None, Some(-1), Some(6), Some(101), Some(256)] {
            assert_eq!(Verdict::of_code(foreign), None);
        }
    }

    #[test]
    fn only_names_of_the_own_user_are_the_owner() {
        let own = User::from_uid(Uid::effective()).unwrap().unwrap();
        assert!(is_owner(&own.name));
        assert!(!is_owner("nobody-of-that-name") && !is_owner(""));
    }
}

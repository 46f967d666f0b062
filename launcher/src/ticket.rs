//! A password and how long it is good: for ever, until some time, or for a single client.
//!
//! The launcher keeps it, for it outlives the servers: one that is started again is given what is left of it.

use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::password::Password;

/// What a desktop asks clients for.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    password: Password,
    expires: Option<Instant>,
    once: bool,
    access: Access,
}

/// How it goes over the lines to the launcher and to the server.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct NewTicket {
    pub(crate) password: String,
    /// Seconds from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_s: Option<u64>,
    #[serde(default)]
    pub(crate) once: bool,
    /// What it gives.
    #[serde(default, skip_serializing_if = "Access::is_full")]
    pub(crate) access: Access,
}

impl std::fmt::Debug for NewTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewTicket")
            .field("expires_s", &self.expires_s)
            .field("once", &self.once)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl Ticket {
    /// Good for everybody who knows it, for as long as the desktop lives.
    pub(crate) const fn lasting(password: Password) -> Self {
        Self {
            password,
            expires: None,
            once: false,
            access: Access::Full,
        }
    }

    /// Good as said from now on.
    pub(crate) fn of(new: NewTicket) -> Result<Self, crate::password::PasswordError> {
        let expires = new.expires_s.map(Duration::from_secs);
        Ok(Self {
            password: Password::from_text(new.password)?,
            // A time that the clock cannot hold is no end.
            expires: expires.and_then(|time| Instant::now().checked_add(time)),
            once: new.once,
            access: new.access,
        })
    }

    /// The same to be told on, with what is left of its time.
    pub(crate) fn told(&self) -> NewTicket {
        NewTicket {
            password: self.password.reveal().into(),
            expires_s: self.left_s(),
            once: self.once,
            access: self.access,
        }
    }

    /// What it gives.
    pub(crate) const fn access(&self) -> Access {
        self.access
    }

    /// Whether it is of the same word as `other`: two that give different things must not be.
    pub(crate) fn is_same_word(&self, other: &Self) -> bool {
        self.password == other.password
    }

    /// The password if it is still good.
    pub(crate) fn password(&self) -> Option<&Password> {
        (self.left_s() != Some(0)).then_some(&self.password)
    }

    /// Whether only one client gets in.
    pub(crate) const fn is_for_one(&self) -> bool {
        self.once
    }

    /// Seconds for which it is still good, rounded up; none if it has no end.
    pub(crate) fn left_s(&self) -> Option<u64> {
        let left = self.expires?.saturating_duration_since(Instant::now());
        Some(left.as_secs() + u64::from(left.subsec_nanos() != 0))
    }

    /// The one client has come.
    pub(crate) fn spend(&mut self) {
        self.expires = Some(Instant::now());
    }

    /// A pipe with the password.
    pub(crate) fn to_pipe(&self) -> io::Result<std::os::fd::OwnedFd> {
        self.password.to_pipe()
    }
}

/// A time of the command line: seconds, or a number with s, m, h or d.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (text.get(..at), 1),
        Some((at, 'm')) => (text.get(..at), 60),
        Some((at, 'h')) => (text.get(..at), 3600),
        Some((at, 'd')) => (text.get(..at), 24 * 3600),
        _ => (Some(text), 1),
    };
    let number = number.and_then(|number| number.parse::<u32>().ok());
    number
        .filter(|number| *number != 0)
        .map(|number| u64::from(number) * unit)
        .ok_or_else(|| "write a time like 90s, 10m, 8h or 2d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(expires_s: Option<u64>, once: bool) -> Ticket {
        let password = "secret".into();
        Ticket::of(NewTicket {
            password,
            expires_s,
            once,
            access: Access::ViewOnly,
        })
        .unwrap()
    }

    #[test]
    fn what_is_left_is_told_on() {
        assert_eq!(ticket(None, false).told().expires_s, None);
        let told = ticket(Some(100), true).told();
        assert_eq!(told.access, Access::ViewOnly);
        assert!(told.once && (99..=100).contains(&told.expires_s.unwrap()));
        assert!(!format!("{told:?}").contains("secret"));
        assert!(ticket(Some(u64::MAX), false).password().is_some());
    }

    #[test]
    fn a_spent_or_expired_one_is_good_for_nothing() {
        let mut spent = ticket(None, true);
        assert!(spent.password().is_some());
        spent.spend();
        assert!(spent.password().is_none());
        assert_eq!(spent.told().expires_s, Some(0));
        assert!(ticket(Some(0), false).password().is_none());
    }

    #[test]
    fn times_are_read() {
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("8h"), Ok(8 * 3600));
        assert_eq!(seconds("2d"), Ok(2 * 24 * 3600));
        for bad in ["", "0", "m", "-1", "1x", "1.5h", "99999999999"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}

//! Who is connected to a desktop: told to its user where somebody watches or shares it, to the commands of
//! `--on-connect` and `--on-disconnect`, and to the log.

mod hooks;
mod notifications;

use std::path::Path;

use nix::unistd::Pid;
use serde::Deserialize;

pub(crate) use self::hooks::Hooks;
use self::notifications::Notifications;
pub(crate) use self::notifications::find as find_gdbus;
use crate::access::Access;
use crate::name::DesktopName;
use crate::terminal::notice;

/// Clients that are known at a time; the server takes fewer.
const VISITORS_MAX: usize = 256;

/// A client that has come or gone, as the server says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Visit {
    /// The client's number.
    pub(crate) id: u64,
    pub(crate) has_come: bool,
    /// Where it connects from.
    pub(crate) peer: String,
    /// As whom it has authenticated.
    pub(crate) user: Option<String>,
    pub(crate) access: Access,
}

impl Visit {
    /// Who it is, in words for people.
    fn who(&self) -> String {
        let peer = self.peer.replace(char::is_control, " ");
        match &self.user {
            Some(user) => format!("{} ({peer})", user.replace(char::is_control, " ")),
            None => peer,
        }
    }

    /// What it does, in words for people; `alone` if nobody else acts.
    fn sentence(&self, alone: bool) -> Option<String> {
        let who = self.who();
        let sentence = match (self.access, self.has_come) {
            (Access::Shadow, true) => format!("An administrator watches this desktop: {who}"),
            (Access::Shadow, false) => {
                format!("The administrator no longer watches this desktop: {who}")
            }
            (Access::ViewOnly, true) => format!("{who} watches this desktop"),
            (Access::ViewOnly, false) => format!("{who} no longer watches this desktop"),
            (Access::Full, _) if alone => return None,
            (Access::Full, true) => format!("{who} uses this desktop, too"),
            (Access::Full, false) => format!("{who} no longer uses this desktop"),
        };
        Some(sentence)
    }
}

/// Who is connected now.
#[derive(Debug)]
pub(crate) struct Visitors {
    there: Vec<Visit>,
    /// Somebody sits at the display that the desktop shows, who is no client.
    somebody_is_there: bool,
    hooks: Hooks,
    notifications: Notifications,
}

impl Visitors {
    /// Nobody yet. `bus_socket` is the desktop's bus, if it shall have one; `somebody_is_there` if it shows a display
    /// that has a user of its own.
    pub(crate) fn new(
        name: &DesktopName,
        hooks: Hooks,
        bus_socket: Option<&Path>,
        somebody_is_there: bool,
    ) -> Self {
        Self {
            there: Vec::new(),
            somebody_is_there,
            hooks,
            notifications: Notifications::new(name, bus_socket),
        }
    }

    /// A client has come or gone.
    pub(crate) fn happened(&mut self, visit: &Visit) {
        self.there.retain(|there| there.id != visit.id);
        let alone =
            !self.somebody_is_there && !self.there.iter().any(|other| other.access.is_full());
        if visit.has_come && self.there.len() < VISITORS_MAX {
            self.there.push(visit.clone());
        }
        if let Some(sentence) = visit.sentence(alone) {
            notice(&sentence);
            self.notifications.show("Who is connected", &sentence);
        }
        self.hooks.run(visit, self.there.len());
    }

    /// The server has ended, and with it everybody's connection.
    pub(crate) fn all_gone(&mut self) {
        while let Some(visit) = self.there.pop() {
            let has_come = false;
            self.hooks
                .run(&Visit { has_come, ..visit }, self.there.len());
        }
    }

    /// Shows words of an administrator in the desktop.
    pub(crate) fn show(&mut self, text: &str) {
        notice(format_args!("message to the desktop's users: {text}"));
        self.notifications
            .show("Message from the administrator", text);
    }

    /// A process that nobody else knows has ended.
    pub(crate) fn ended(&mut self, pid: Pid) {
        self.hooks.ended(pid);
        self.notifications.ended(pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(access: Access, has_come: bool) -> Visit {
        Visit {
            id: 1,
            has_come,
            peer: "192.0.2.1:7\u{1b}".into(),
            user: Some("alice".into()),
            access,
        }
    }

    #[test]
    fn who_watches_is_always_said_and_who_acts_beside_another() {
        let said = |access, alone| visit(access, true).sentence(alone);
        assert_eq!(
            said(Access::Shadow, true).unwrap(),
            "An administrator watches this desktop: alice (192.0.2.1:7 )"
        );
        assert!(said(Access::ViewOnly, true).unwrap().contains("watches"));
        assert!(said(Access::Full, false).unwrap().contains("too"));
        assert_eq!(said(Access::Full, true), None);
        let left = visit(Access::ViewOnly, false).sentence(true).unwrap();
        assert!(left.contains("no longer"));
    }

    #[test]
    fn the_servers_line_is_understood() {
        let line = r#"{"event":"visit","id":3,"has_come":true,"peer":"a","user":null,"access":"view-only"}"#;
        let visit: Visit = serde_json::from_str(line).unwrap();
        assert_eq!((visit.id, visit.access), (3, Access::ViewOnly));
        assert!(visit.has_come && visit.user.is_none());
    }
}

//! Who comes and goes, for whoever tells the desktop's user and runs what is to be run then; and words for clients.

use super::channel::Role;
use super::desktop::{Event, Session};
use super::registry::Joining;
use crate::base::limits::{NOTICE_BYTES_MAX, VISITS_WAITING_MAX};
use crate::base::{Access, ClientId, Micros};
use crate::wire::common::{Notify, NotifySeverity, NotifyVisibility};

/// A client that has come, or has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Its number, as in [`ClientStatus`](super::ClientStatus).
    pub id: u64,
    /// Whether it has come.
    pub has_come: bool,
    /// Where it connects from.
    pub peer: String,
    /// As whom it has authenticated, if it said.
    pub user: Option<String>,
    /// What it may do.
    pub access: Access,
}

impl Session {
    /// What may do who comes while another client acts; for those who come from now on.
    pub const fn set_joining(&mut self, joining: Joining) {
        self.registry.set_joining(joining);
    }

    /// Who has come and gone since this was last asked, in order. Of more than [`VISITS_WAITING_MAX`] the oldest are
    /// forgotten.
    pub fn take_visits(&mut self) -> Vec<Visit> {
        std::mem::take(&mut self.visits).into()
    }

    /// The client of this channel has come, or goes. Its main channel is there.
    pub(super) fn note_visit(&mut self, client: ClientId, has_come: bool) {
        let main = self.registry.main(client);
        let Some(channel) = main.and_then(|key| self.channels.get(&key)) else {
            return;
        };
        if has_come {
            self.past.came(self.registry.access(client));
        }
        if self.visits.len() == VISITS_WAITING_MAX {
            self.visits.pop_front();
        }
        self.visits.push_back(Visit {
            id: client.number(),
            has_come,
            peer: channel.origin.peer.clone(),
            user: channel.origin.user.clone(),
            access: self.registry.access(client),
        });
        self.events.push(Event::Visits);
    }

    /// Sends every client these words of an administrator; at most [`NOTICE_BYTES_MAX`] bytes of them. Gives how many
    /// clients there are to take them.
    pub fn notify_clients(&mut self, now: Micros, text: &str) -> usize {
        let mut ends = (0..=NOTICE_BYTES_MAX).rev();
        let message = ends.find_map(|end| text.get(..end.min(text.len())));
        let notify = Notify {
            timestamp: now.0.saturating_mul(1000),
            severity: NotifySeverity::INFO,
            visibility: NotifyVisibility::HIGH,
            what: 0,
            message: message.unwrap_or_default().as_bytes(),
        };
        let mut told = 0;
        for (key, channel) in &mut self.channels {
            if matches!(channel.role, Role::Main(_)) && !channel.outbox.is_full() {
                channel.outbox.send(&notify);
                self.events.push(Event::Wake(*key));
                told += 1;
            }
        }
        told
    }
}

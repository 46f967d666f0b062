//! The tickets of a desktop: one for who acts, one for who only watches, one for whom an administrator sends to watch.
//!
//! A password says what its client may do. All of them are compared every time, so that none can be told from another
//! by timing. One for watching opens nothing once it has expired, also where no password would be asked for: who
//! means to watch is never let in to act.

use super::ticket::{Ticket, TicketPolicy};
use crate::base::{Access, Micros};

/// Who is let in, and as what.
#[derive(Debug)]
pub struct Tickets {
    full: TicketPolicy,
    view_only: Option<Ticket>,
    shadow: Option<Ticket>,
}

impl Tickets {
    /// Nobody is let in to watch only.
    pub const fn new(full: TicketPolicy) -> Self {
        Self {
            full,
            view_only: None,
            shadow: None,
        }
    }

    /// From now on this ticket gives this access, in place of the one that did.
    pub fn set(&mut self, access: Access, ticket: Ticket) {
        match access {
            Access::Full => self.full = TicketPolicy::Password(ticket),
            Access::ViewOnly => self.view_only = Some(ticket),
            Access::Shadow => self.shadow = Some(ticket),
        }
    }

    /// What `plaintext`, a decrypted ticket, gives at `now` to a channel that presents this connection id (0 is a new
    /// client's). `None` is a ticket that could not be decrypted.
    pub fn access(
        &self,
        now: Micros,
        plaintext: Option<&[u8]>,
        connection_id: u32,
    ) -> Option<Access> {
        let is = |ticket: &Option<Ticket>| {
            let named = ticket.as_ref().zip(plaintext);
            named.is_some_and(|(ticket, text)| ticket.is(text))
        };
        let holds = |ticket: &Option<Ticket>| {
            let ticket = ticket.as_ref();
            ticket.is_some_and(|ticket| ticket.holds(now) && ticket.serves(connection_id))
        };
        let full = self.full.admits(now, plaintext, connection_id);
        match (is(&self.shadow), is(&self.view_only)) {
            (true, _) => holds(&self.shadow).then_some(Access::Shadow),
            (_, true) => holds(&self.view_only).then_some(Access::ViewOnly),
            _ => full.then_some(Access::Full),
        }
    }

    /// A new client with this access got in under this connection id. Returns whether that has used up its password.
    pub fn spend(&mut self, access: Access, connection_id: u32) -> bool {
        let ticket = match access {
            Access::Full => return self.full.spend(connection_id),
            Access::ViewOnly => &mut self.view_only,
            Access::Shadow => &mut self.shadow,
        };
        ticket
            .as_mut()
            .is_some_and(|ticket| ticket.spend(connection_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(password: &str) -> Ticket {
        Ticket::new(password.as_bytes(), None).unwrap()
    }

    fn access(tickets: &Tickets, text: &[u8], id: u32) -> Option<Access> {
        tickets.access(Micros(0), Some(text), id)
    }

    #[test]
    fn each_password_gives_its_own_access() {
        let mut tickets = Tickets::new(TicketPolicy::Password(ticket("act")));
        tickets.set(Access::ViewOnly, ticket("watch"));
        tickets.set(Access::Shadow, ticket("help").once());
        assert_eq!(access(&tickets, b"act\0", 0), Some(Access::Full));
        assert_eq!(access(&tickets, b"watch\0", 5), Some(Access::ViewOnly));
        assert_eq!(access(&tickets, b"help\0", 0), Some(Access::Shadow));
        assert_eq!(access(&tickets, b"other\0", 0), None);
        assert_eq!(tickets.access(Micros(0), None, 0), None);
        assert!(!tickets.spend(Access::ViewOnly, 5) && !tickets.spend(Access::Full, 5));
        assert!(tickets.spend(Access::Shadow, 6));
        assert_eq!(access(&tickets, b"help\0", 0), None);
        assert_eq!(access(&tickets, b"help\0", 6), Some(Access::Shadow));
        tickets.set(Access::Full, ticket("new"));
        assert_eq!(access(&tickets, b"act\0", 0), None);
        assert_eq!(access(&tickets, b"watch\0", 0), Some(Access::ViewOnly));
    }

    #[test]
    fn who_means_to_watch_never_acts() {
        let mut tickets = Tickets::new(TicketPolicy::Anybody);
        tickets.set(
            Access::Shadow,
            Ticket::new(b"help", Some(Micros(10))).unwrap(),
        );
        assert_eq!(access(&tickets, b"help\0", 0), Some(Access::Shadow));
        assert_eq!(tickets.access(Micros(10), Some(b"help\0"), 0), None);
        assert_eq!(access(&tickets, b"\0", 0), Some(Access::Full));
        assert_eq!(tickets.access(Micros(0), None, 0), Some(Access::Full));
    }
}

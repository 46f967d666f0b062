//! The passwords of a desktop that runs, and words for its clients: what is told to the server and kept for the next.

use nix::sys::signal::Signal;

use super::Desktop;
use crate::access::Access;
use crate::supervise::Part;
use crate::terminal::notice;
use crate::ticket::Ticket;

impl Desktop {
    /// From now on this is the password. A server that does not take it is replaced by one that does.
    pub(super) fn set_ticket(&mut self, ticket: Ticket) {
        let told = self.link.as_ref().map(|link| link.set_ticket(&ticket));
        self.keep_ticket(ticket);
        if let Some(Err(error)) = told {
            notice(format_args!(
                "caraway-server does not take the new password and is started again: {error}"
            ));
            self.signal(Part::Server, Signal::SIGKILL);
        }
    }

    /// Every server is given this ticket from now on, but one for a client that is expected within a minute.
    fn keep_ticket(&mut self, ticket: Ticket) {
        match ticket.access() {
            Access::Full => {
                self.plan.server.ticket = Some(ticket.clone());
                self.facts.send_modify(|facts| facts.ticket = Some(ticket));
            }
            Access::ViewOnly => self
                .facts
                .send_modify(|facts| facts.view_only = Some(ticket)),
            Access::Shadow => return,
        }
        self.save();
    }

    /// The single client that the password was for has come.
    pub(super) fn spend_ticket(&mut self, access: Access) {
        let facts = self.facts.borrow();
        let ticket = match access {
            Access::Full => facts.ticket.clone(),
            _ => facts
                .view_only
                .clone()
                .filter(|_| access == Access::ViewOnly),
        };
        drop(facts);
        if let Some(mut ticket) = ticket {
            ticket.spend();
            self.keep_ticket(ticket);
        }
    }

    /// Tells clients, and shows whoever sits in front of one.
    pub(super) fn pass_on(&mut self, text: &str) {
        if let Some(link) = &self.link
            && let Err(error) = link.message(text)
        {
            notice(format_args!("clients are not told: {error}"));
        }
        self.visitors.show(text);
    }
}

//! The launcher as a unit of the user's systemd: what it says to systemd, what systemd keeps for it, and the verbs
//! that make a desktop such a unit.
//!
//! A launcher that is killed takes nothing along there: systemd holds its sockets and pipes and starts it again, and
//! the new one takes over the processes of the old ([`handover`]).

pub(crate) mod graphical;
pub(crate) mod handover;
pub(crate) mod inherited;
pub(crate) mod journal;
pub(crate) mod keeper;
pub(crate) mod notify;
mod systemctl;
pub(crate) mod verbs;

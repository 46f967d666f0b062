//! Who may come in: tickets, and how often one may try.

pub mod doorkeeper;
pub mod ticket;

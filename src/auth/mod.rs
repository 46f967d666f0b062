//! Who may come in: tickets.

pub mod ticket;

//! Who may come in: tickets.

//! Who may come in: tickets, SASL, and how often one may try.

pub mod doorkeeper;
#[cfg(any(test, fuzzing))]
pub mod hostile;
pub mod sasl;
pub mod scram;
pub mod security_layer;
pub mod stored_keys;
pub mod ticket;
pub mod tickets;

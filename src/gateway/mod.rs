//! One port for all desktops of a host: what the gateway decides, without its sockets.
//!
//! A client authenticates at the gateway, which asks the [broker](broker) about name and password, learns who the user
//! is and where the desktop is, links there as a client itself ([`replay`]), and from then on passes bytes on.
//! [`logins`] has which channels belong together. → `docs/gateway.md`

pub mod broker;
pub mod first_message;
mod font;
#[cfg(any(test, fuzzing))]
pub mod hostile;
pub mod logins;
pub mod notice;
pub mod replay;
pub mod settings;

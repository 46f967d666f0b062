//! Sockets and clocks: drives everything below.

pub mod agent;
mod complaints;
mod connection;
pub mod control;
pub mod cores;
pub mod driver;
pub mod host;
mod kernel;
pub mod key_pool;
pub mod listen;
pub mod login;
pub mod sasl;
pub mod screen_loop;
pub mod tls;
mod transport;
mod unsent;

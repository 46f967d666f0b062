//! Sockets and clocks: drives everything below.

mod complaints;
mod connection;
pub mod control;
pub mod cores;
pub mod driver;
pub mod host;
mod kernel;
pub mod key_pool;
pub mod listen;
pub mod screen_loop;
pub mod sound;

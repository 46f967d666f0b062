//! Sockets and clocks: drives everything below.

mod connection;
pub mod control;
pub mod driver;
pub mod host;
pub mod key_pool;
pub mod listen;
pub mod screen_loop;

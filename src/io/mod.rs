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
pub mod screen_loop;
pub mod x11_clipboard;
mod x11_display;

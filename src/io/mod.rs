//! Sockets and clocks: drives everything below.

pub mod driver;

//! Sockets and clocks: drives everything below.

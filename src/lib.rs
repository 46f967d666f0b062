//! The SPICE server of one desktop.
//!
//! Modules have ranks; a module imports only from lower ranks (a test holds that, `docs/ARCHITECTURE.md` has the
//! map). Up to rank 3 nothing does I/O, reads a clock, draws random numbers or is `unsafe`: bytes, `now` and
//! entropy come in; bytes, deadlines and events go out. That makes the whole server testable in virtual time.

pub mod agent;
pub mod audio;
pub mod auth;
pub mod base;
pub mod channel;
pub mod display;
pub mod gateway;
pub mod image;
pub mod io;
pub mod metrics;
pub mod os;
pub mod ring;
pub mod session;
pub mod wire;

//! Processes of a desktop: each bound to its parent's life, all reaped, no stray left.

pub(crate) mod adopted;
pub(crate) mod bound;
pub(crate) mod bus_program;
pub(crate) mod program_file;
pub(crate) mod programs;
pub(crate) mod reaper;
pub(crate) mod strays;

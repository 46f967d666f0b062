//! A program that says something on a desktop's own D-Bus for the launcher, one run after another.
//!
//! Where the host has no such program, or the desktop no bus, nothing is run.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::{bound, programs};
use crate::xorg::pid_of;

/// The program, and whether it runs.
#[derive(Debug)]
pub(crate) struct BusProgram {
    program: Option<PathBuf>,
    bus_address: String,
    running: Option<Pid>,
}

impl BusProgram {
    /// The program of that name; `bus_socket` is the desktop's bus, if it shall have one.
    pub(crate) fn new(name: &str, bus_socket: Option<&Path>) -> Self {
        let socket = bus_socket.unwrap_or(Path::new("")).display();
        Self {
            program: bus_socket.and_then(|_| programs::in_path(name)),
            bus_address: format!("unix:path={socket}"),
            running: None,
        }
    }

    /// Whether it is there, and its last run is over.
    pub(crate) const fn is_free(&self) -> bool {
        self.program.is_some() && self.running.is_none()
    }

    /// Runs it; a run that cannot start is one that is over. To be called when it is free.
    pub(crate) fn run<'a>(&mut self, arguments: impl IntoIterator<Item = &'a str>) {
        let Some(program) = &self.program else {
            return;
        };
        let mut command = bound::command(program, Signal::SIGTERM);
        command
            .args(arguments)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus_address)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.running = command.spawn().ok().as_ref().map(pid_of);
    }

    /// A process has ended: whether it was this one's run.
    pub(crate) fn has_ended(&mut self, pid: Pid) -> bool {
        let is_own = self.running == Some(pid);
        if is_own {
            self.running = None;
        }
        is_own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_bus_it_is_never_free_and_never_runs() {
        let mut program = BusProgram::new("sh", None);
        assert!(!program.is_free());
        program.run(["-c", "exit"]);
        assert_eq!(program.running, None);
    }
}

//! Shared folders of clients as mounts of the desktop: they stand in file managers, and under `gvfs/` of the user's
//! runtime directory where gvfs-fuse is installed.
//!
//! The server says at which ports of loopback folders are shared now; GVFS of the desktop's own D-Bus session mounts
//! and unmounts them, one after another. Where the host has no `gio`, or the session no bus, folders are to be had at
//! their addresses only (`caraway status`).

use std::collections::BTreeSet;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::process::bound;
use crate::xorg::pid_of;

const GIO: &str = "gio";

/// What is mounted of what shall be.
#[derive(Debug)]
pub(crate) struct Mounts {
    gio: Option<PathBuf>,
    bus_address: String,
    wanted: BTreeSet<u16>,
    mounted: BTreeSet<u16>,
    /// The program that mounts or unmounts now.
    running: Option<Pid>,
}

impl Mounts {
    /// Nothing yet; `bus_socket` is the session's bus, if it shall have one.
    pub(crate) fn new(bus_socket: Option<&Path>) -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut programs = env::split_paths(&path).map(|dir| dir.join(GIO));
        Self {
            gio: bus_socket.and_then(|_| programs.find(|program| program.is_file())),
            bus_address: format!(
                "unix:path={}",
                bus_socket.unwrap_or(Path::new("")).display()
            ),
            wanted: BTreeSet::new(),
            mounted: BTreeSet::new(),
            running: None,
        }
    }

    /// Ports at which folders are mounted.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.mounted.iter().copied().collect()
    }

    /// Goes on where another launcher had mounted these.
    pub(crate) fn resume(&mut self, mounted: &[u16]) {
        self.mounted = mounted.iter().copied().collect();
        self.wanted.clone_from(&self.mounted);
    }

    /// Folders are shared at these ports of 127.0.0.1 now, and nowhere else.
    pub(crate) fn follow(&mut self, ports: &[u16]) {
        self.wanted = ports.iter().copied().collect();
        self.step();
    }

    /// A process that nobody else knows has ended.
    pub(crate) fn ended(&mut self, pid: Pid) {
        if self.running == Some(pid) {
            self.running = None;
            self.step();
        }
    }

    fn step(&mut self) {
        let (None, Some(gio)) = (self.running, &self.gio) else {
            return;
        };
        // What has gone comes first: its port may be wanted again.
        let Some((port, is_wanted)) = next(&self.wanted, &self.mounted) else {
            return;
        };
        if is_wanted {
            self.mounted.insert(port);
        } else {
            self.mounted.remove(&port);
        }
        // It says by itself in the file manager what went wrong; a desktop lives without.
        self.running = run(gio, &self.bus_address, port, is_wanted).ok();
    }
}

/// The next port to do something about, and whether it is wanted.
fn next(wanted: &BTreeSet<u16>, mounted: &BTreeSet<u16>) -> Option<(u16, bool)> {
    let gone = mounted.difference(wanted).map(|port| (*port, false));
    let new = wanted.difference(mounted).map(|port| (*port, true));
    gone.chain(new).next()
}

fn run(gio: &Path, bus_address: &str, port: u16, mounts: bool) -> io::Result<Pid> {
    let mut command = bound::command(gio, Signal::SIGTERM);
    command.arg("mount");
    if !mounts {
        command.args(["--unmount", "--force"]);
    }
    command
        .arg(format!("dav://127.0.0.1:{port}/"))
        .env("DBUS_SESSION_BUS_ADDRESS", bus_address)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(pid_of(&command.spawn()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_gone_is_unmounted_before_anything_is_mounted() {
        let set = |ports: &[u16]| ports.iter().copied().collect::<BTreeSet<u16>>();
        let (wanted, mounted) = (set(&[1, 2]), set(&[2, 3]));
        assert_eq!(next(&wanted, &mounted), Some((3, false)));
        assert_eq!(next(&wanted, &set(&[2])), Some((1, true)));
        assert_eq!(next(&wanted, &wanted), None);
    }

    #[test]
    fn without_a_bus_nothing_is_run() {
        let mut mounts = Mounts::new(None);
        mounts.follow(&[1]);
        assert_eq!(mounts.running, None);
        assert!(mounts.mounted.is_empty());
    }
}

//! Shared folders of clients as mounts of the desktop: they stand in file managers, and under `gvfs/` of the user's
//! runtime directory where gvfs-fuse is installed.
//!
//! The server says at which ports of loopback folders are shared now; GVFS of the desktop's own D-Bus session mounts
//! and unmounts them, one after another. Where the host has no `gio`, or the session no bus, folders are to be had at
//! their addresses only (`caraway status`).

use std::collections::BTreeSet;
use std::path::Path;

use nix::unistd::Pid;

use crate::process::bus_program::BusProgram;

const GIO: &str = "gio";

/// What is mounted of what shall be.
#[derive(Debug)]
pub(crate) struct Mounts {
    /// Mounts or unmounts, one at a time.
    gio: BusProgram,
    wanted: BTreeSet<u16>,
    mounted: BTreeSet<u16>,
}

impl Mounts {
    /// Nothing yet; `bus_socket` is the session's bus, if it shall have one.
    pub(crate) fn new(bus_socket: Option<&Path>) -> Self {
        Self {
            gio: BusProgram::new(GIO, bus_socket),
            wanted: BTreeSet::new(),
            mounted: BTreeSet::new(),
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
        if self.gio.has_ended(pid) {
            self.step();
        }
    }

    fn step(&mut self) {
        if !self.gio.is_free() {
            return;
        }
        // What has gone comes first: its port may be wanted again.
        let Some((port, is_wanted)) = next(&self.wanted, &self.mounted) else {
            return;
        };
        let folder = format!("dav://127.0.0.1:{port}/");
        // It says by itself in the file manager what went wrong; a desktop lives without.
        if is_wanted {
            self.mounted.insert(port);
            self.gio.run(["mount", &folder]);
        } else {
            self.mounted.remove(&port);
            self.gio.run(["mount", "--unmount", "--force", &folder]);
        }
    }
}

/// The next port to do something about, and whether it is wanted.
fn next(wanted: &BTreeSet<u16>, mounted: &BTreeSet<u16>) -> Option<(u16, bool)> {
    let gone = mounted.difference(wanted).map(|port| (*port, false));
    let new = wanted.difference(mounted).map(|port| (*port, true));
    gone.chain(new).next()
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
        assert!(mounts.mounted.is_empty());
    }
}

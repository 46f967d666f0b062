//! Descriptors that outlive this program: each is held here for the program that it may become, and by systemd, where
//! that does so, for the one that it starts should this one be killed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::execv;

use super::handover::{Handover, STATE};
use super::inherited::{Inherited, KEPT, RESUME};
use super::notify::Manager;

/// What is held.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// Who holds it, too.
    manager: Option<Manager>,
    held: BTreeMap<String, OwnedFd>,
    generation: u64,
}

impl Keeper {
    /// Holds nothing. `manager` has room for it.
    pub(crate) fn new(manager: Option<Manager>) -> Self {
        Self {
            manager,
            ..Self::default()
        }
    }

    /// Holds what was inherited, on which a manager may have its hand already.
    pub(crate) fn resume(manager: Option<Manager>, inherited: &mut Inherited) -> Self {
        let held = std::mem::take(&mut inherited.kept);
        let number = |name: &String| name.strip_prefix(STATE)?.parse().ok();
        Self {
            generation: held.keys().filter_map(number).max().unwrap_or(0),
            manager,
            held,
        }
    }

    /// Whether a desktop lives on if this process is killed.
    pub(crate) fn is_manager_there(&self) -> bool {
        self.manager.is_some()
    }

    /// What is held under `name`, once more.
    pub(crate) fn get(&self, name: &str) -> io::Result<OwnedFd> {
        let held = self.held.get(name).ok_or(io::ErrorKind::NotFound)?;
        held.try_clone()
    }

    /// Holds a duplicate of `fd`.
    pub(crate) fn hold(&mut self, name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        let fd = fd.try_clone_to_owned()?;
        if let Some(manager) = &self.manager {
            manager.store(&format!("{KEPT}{name}"), fd.as_fd())?;
        }
        self.held.insert(name.into(), fd);
        Ok(())
    }

    /// Lets go of it.
    pub(crate) fn release(&mut self, name: &str) {
        if self.held.remove(name).is_some()
            && let Some(manager) = &self.manager
        {
            // A manager that is gone holds nothing.
            let _ = manager.remove(&format!("{KEPT}{name}"));
        }
    }

    /// Has a manager let go of what another launcher had it hold.
    pub(crate) fn forget<'a>(&self, names: impl Iterator<Item = &'a String>) {
        for name in names {
            if let Some(manager) = &self.manager {
                let _ = manager.remove(&format!("{KEPT}{name}"));
            }
        }
    }

    /// Lets go of all but those of which `keep` says so.
    pub(crate) fn release_unless(&mut self, keep: impl Fn(&str) -> bool) {
        let names: Vec<String> = self
            .held
            .keys()
            .filter(|name| !keep(name))
            .cloned()
            .collect();
        names.iter().for_each(|name| self.release(name));
    }

    /// Replaces what a launcher in place of this one would find.
    pub(crate) fn save(&mut self, handover: &Handover) -> io::Result<()> {
        if self.manager.is_none() {
            return Ok(());
        }
        self.generation += 1;
        let newest = format!("{STATE}{}", self.generation);
        self.hold(&newest, handover.write()?.as_fd())?;
        self.release_unless(|name| !name.starts_with(STATE) || name == newest);
        Ok(())
    }

    /// Becomes `program`, which goes on with the desktop of `handover`. Returns only if that fails; nothing has
    /// changed then.
    pub(crate) fn become_program(&self, program: &Path, handover: &Handover) -> io::Error {
        match self.try_to_become(program, handover) {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    fn try_to_become(&self, program: &Path, handover: &Handover) -> io::Result<Infallible> {
        let mut handover = handover.clone();
        let numbers = self.held.iter();
        handover.numbers = numbers
            .map(|(name, fd)| (name.clone(), fd.as_raw_fd()))
            .collect();
        let memory = handover.write()?;
        let passed: Vec<BorrowedFd<'_>> = self
            .held
            .values()
            .map(AsFd::as_fd)
            .chain([memory.as_fd()])
            .collect();
        let error = exec(program, memory.as_raw_fd(), &passed);
        for fd in passed {
            let _ = fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        }
        Err(error?)
    }
}

fn exec(program: &Path, memory: RawFd, passed: &[BorrowedFd<'_>]) -> io::Result<io::Error> {
    let word = |text: &OsStr| CString::new(text.as_bytes()).map_err(io::Error::from);
    let program = word(program.as_os_str())?;
    let memory = memory.to_string();
    let words = ["caraway", RESUME, &memory].map(|text| word(OsStr::new(text)));
    let words: Vec<CString> = words.into_iter().collect::<io::Result<_>>()?;
    for fd in passed {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    match execv(&program, &words) {
        Ok(never) => match never {},
        Err(error) => Ok(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::units::handover::tests::handover;

    #[test]
    fn a_program_that_cannot_be_had_changes_nothing() {
        let mut keeper = Keeper::new(None);
        let (ours, _theirs) = UnixStream::pair().unwrap();
        keeper.hold("link", ours.as_fd()).unwrap();
        let error = keeper.become_program(Path::new("/nonexistent"), &handover("a"));
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let held = keeper.get("link").unwrap();
        let flags = fcntl(&held, FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, FdFlag::FD_CLOEXEC.bits());
        keeper.release("link");
        assert!(keeper.get("link").is_err());
    }
}

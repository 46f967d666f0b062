//! What the process gives up at its start: core dumps, being traced by its own user, new privileges.
//!
//! The memory holds passwords and other people's screens, so no core file may hold them, and no other process of the
//! same user may read them (PR_SET_DUMPABLE takes /proc/PID/mem and ptrace away).

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

/// A step that the kernel refused: the system's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {errno}")]
pub struct HardeningError {
    /// Which.
    pub step: &'static str,
    /// Why.
    pub errno: nix::errno::Errno,
}

/// What becomes of new privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewPrivileges {
    /// Neither this process nor its children ever get any.
    GivenUp,
    /// Children may: PAM's modules ask a privileged program (`unix_chkpwd`) about the user's password.
    KeptForChildren,
}

/// Gives all of it up for this process and its children. The first thing that `main` does.
pub fn harden_process(privileges: NewPrivileges) -> Result<(), HardeningError> {
    let named = |step| move |errno| HardeningError { step, errno };
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(named("turning core dumps off"))?;
    prctl::set_dumpable(false).map_err(named("hiding the process's memory"))?;
    match privileges {
        NewPrivileges::GivenUp => {
            prctl::set_no_new_privs().map_err(named("giving up new privileges"))
        }
        NewPrivileges::KeptForChildren => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::resource::getrlimit;

    /// The one test of this binary that changes the whole process; no other test traces or dumps it.
    #[test]
    fn everything_is_given_up() {
        harden_process(NewPrivileges::KeptForChildren).unwrap();
        assert_eq!(prctl::get_dumpable(), Ok(false));
        harden_process(NewPrivileges::GivenUp).unwrap();
        harden_process(NewPrivileges::GivenUp).expect("twice is as good as once");
        assert_eq!(getrlimit(Resource::RLIMIT_CORE), Ok((0, 0)));
        assert_eq!(prctl::get_dumpable(), Ok(false));
        assert_eq!(prctl::get_no_new_privs(), Ok(true));
    }
}

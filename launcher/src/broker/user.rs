//! Users of the host: who may have a desktop, and becoming one of them.

use std::ffi::CString;
use std::io;

use nix::unistd::{Group, Uid, User, chdir, getgrouplist, initgroups, setgid, setuid};

/// The user of that name, as the system has it.
pub(super) fn named(name: &str) -> Option<User> {
    // A number or an address is no name, whatever the system's databases make of it.
    User::from_name(name).ok().flatten()
}

/// The user with that number.
///
/// # Errors
/// `NotFound`.
pub(super) fn numbered(uid: u32) -> io::Result<User> {
    let user = User::from_uid(Uid::from_raw(uid)).map_err(io::Error::from)?;
    user.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Whether the user is in one of the groups; with none named everybody is.
pub(super) fn is_allowed(user: &User, groups: &[String]) -> bool {
    groups.is_empty() || is_in_one_of(user, groups)
}

/// Whether the user is in one of the groups.
pub(super) fn is_in_one_of(user: &User, groups: &[String]) -> bool {
    let Ok(name) = CString::new(user.name.as_str()) else {
        return false;
    };
    let own = getgrouplist(&name, user.gid).unwrap_or_default();
    groups.iter().any(|group| {
        let group = Group::from_name(group).ok().flatten();
        group.is_some_and(|group| own.contains(&group.gid))
    })
}

/// Becomes the user, for good. Root stays root in no case.
///
/// # Errors
/// When that fails, or the user is root; then nothing may go on.
pub(super) fn become_user(user: &User) -> io::Result<()> {
    if user.uid.is_root() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let name = CString::new(user.name.as_str())?;
    initgroups(&name, user.gid)?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    if setuid(Uid::from_raw(0)).is_ok() {
        return Err(io::Error::other("root could be had again"));
    }
    // A home that cannot be entered is no reason against a desktop.
    if chdir(&user.dir).is_err() {
        chdir("/")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_count_by_number() {
        let own = User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
        let group = Group::from_gid(own.gid).unwrap().unwrap().name;
        assert!(is_allowed(&own, &[]));
        assert!(is_allowed(&own, &["no-such-group".into(), group]));
        assert!(!is_allowed(&own, &["no-such-group".into()]));
        assert!(!is_in_one_of(&own, &[]));
        assert!(named("no-such-user").is_none());
    }

    #[test]
    fn nobody_becomes_root() {
        let root = numbered(0).unwrap();
        assert!(become_user(&root).is_err());
    }
}

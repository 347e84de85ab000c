//! Whose files and directories are believed: those that only we or root can write to.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Group, User};

/// Checks that only we or root control the entries of a directory. A directory that does not exist passes.
///
/// # Errors
/// As for [`super::read_trusted`], or the directory cannot be examined.
pub fn check_directory(dir: &Path) -> io::Result<()> {
    match std::fs::metadata(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.is_dir() => Err(io::Error::new(ErrorKind::NotADirectory, "it is not a directory")),
        Ok(found) => check_trust(&found),
    }
}

/// Why a file or directory must not be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It belongs neither to us nor to root.
    #[error("it belongs to uid {0}")]
    Owner(u32),
    /// Others may write to it.
    #[error("others may write to it (mode {0:03o})")]
    Writable(u32),
    /// Its group or others can read or write a secret.
    #[error("its group or others can read or write it (mode {0:03o})")]
    Readable(u32),
}

impl Untrusted {
    /// Returns the [`Untrusted`] that is the reason of an error, if there is one.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
}

/// Checks owner and mode. Our private group may write (`umask 002`, where each user has one); any other group, also one that
/// we are in, counts as others.
pub(super) fn check_trust(found: &Metadata) -> io::Result<()> {
    let (mode, owner) = (found.mode() & 0o7777, found.uid());
    let why = if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        Untrusted::Owner(owner)
    } else if mode & 0o002 != 0 || (mode & 0o020 != 0 && !is_private_group(found.gid())) {
        Untrusted::Writable(mode)
    } else {
        return Ok(());
    };
    Err(io::Error::new(ErrorKind::PermissionDenied, why))
}

/// Whether nobody but us is in this group.
pub(super) fn is_private_group(gid: u32) -> bool {
    let us = nix::unistd::geteuid();
    let user = User::from_uid(us).ok().flatten();
    match (user, Group::from_gid(Gid::from_raw(gid)).ok().flatten()) {
        (Some(user), Some(group)) => is_private(&user.name, &group.name, &group.mem),
        // In a container, ids often have no names.
        _ => gid == us.as_raw(),
    }
}

/// Whether a group is the private one of a user, as `useradd` makes it: of the user's name, and without other members.
fn is_private(user: &str, group: &str, members: &[String]) -> bool {
    user == group && members.iter().all(|member| member == user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_shared_is_not_private() {
        let members = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(is_private("ann", "ann", &members(&[])) && is_private("ann", "ann", &members(&["ann"])));
        assert!(!is_private("ann", "ann", &members(&["ann", "bob"])), "another member");
        // The group in which every user of the machine is: our own by its number alone.
        assert!(!is_private("ann", "users", &members(&[])) && !is_private("ann", "staff", &members(&["ann"])));
    }
}

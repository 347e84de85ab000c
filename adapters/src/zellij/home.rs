//! A session's directory: socket, configuration, cache and log of one zellij session, and our record of it.
//!
//! ```text
//! DIR/contract_version_1/NAME   the socket; zellij appends both parts to ZELLIJ_SOCKET_DIR, and a user may rename it
//! DIR/config/config.kdl         the configuration of this session; the user's own is never read
//! DIR/cache/  DIR/tmp/          session metadata and log
//! DIR/session.json              our record
//! ```
//!
//! Each session has its own directory, because zellij 0.45.1 queries every other socket next to the requested one and
//! waits for each answer: one hung session would block the commands to all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::keys;
use super::record::Record;
use crate::file;
use crate::process::{self, ProcessId};

/// The directory that zellij puts between ours and the socket: the version of its client-server protocol.
pub(super) const CONTRACT: &str = "contract_version_1";

const RECORD: &str = "session.json";

/// The prefix of a directory that is still being filled, followed by its creator's pid and start time. No session's
/// name begins with it.
const DRAFT: &str = ".draft-";

/// The configuration of each session. Resurrection is off because it re-runs a dead agent instead of the requested
/// command; the locked mode leaves all keys but the prefix to the agent ([`keys`]); plugins (the bars, the session
/// manager) cost 46 MB per session; and a user who attaches to one peer from the pane of another gets it full-screen,
/// without a question.
const CONFIG: &str = include_str!("config.kdl");

/// A session's directory, which may or may not exist.
#[derive(Clone, Debug)]
pub(super) struct Home {
    dir: PathBuf,
    /// The current name of the session, if it was renamed.
    renamed: Option<String>,
}

impl Home {
    pub(super) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf(), renamed: None }
    }

    /// Returns a copy for clients of a session that is now called `name`.
    pub(super) fn known_as(&self, name: String) -> Self {
        Self { renamed: Some(name), ..self.clone() }
    }

    /// Returns the current name of the session that was created as `session`.
    pub(super) fn name_of<'a>(&'a self, session: &'a str) -> &'a str {
        self.renamed.as_deref().unwrap_or(session)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the keys that detach from a session with the configuration in this directory.
    pub(super) fn leave(&self) -> &'static str {
        let config = file::read_to_string(&self.config().join("config.kdl"), file::MOST).unwrap_or_default();
        // Older configurations had zellij's own keys.
        if config.contains("clear-defaults=true") { keys::LEAVE } else { "C-g C-o d" }
    }

    /// The directory where zellij puts the sockets.
    pub(super) fn sockets(&self) -> PathBuf {
        self.dir.join(CONTRACT)
    }

    /// The path at which the server of `session` started to listen. The kernel identifies the socket by it, whatever
    /// its file is called now.
    pub(super) fn socket(&self, session: &str) -> PathBuf {
        self.sockets().join(session)
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("config")
    }

    pub(super) fn cache(&self) -> PathBuf {
        self.dir.join("cache")
    }

    pub(super) fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// Creates the directory with everything that a new session needs, or reports that it is taken
    /// ([`io::ErrorKind::AlreadyExists`]).
    ///
    /// It is filled under another name and then renamed, so that the directory never exists without its record. Drafts
    /// whose creators were killed are deleted.
    pub(super) fn claim(&self, record: &Record, keybinds: &str) -> io::Result<()> {
        let parent = self.dir.parent().ok_or(io::ErrorKind::InvalidInput)?;
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        check_private(parent)?;
        sweep_drafts(parent)?;
        let draft = self.draft(record.creator)?;
        let made = draft.fill(record, keybinds).and_then(|()| fs::rename(&draft.dir, &self.dir));
        if made.is_err() {
            draft.delete()?;
        }
        made.map_err(|error| match error.raw_os_error() {
            Some(nix::libc::ENOTEMPTY | nix::libc::EEXIST) => io::ErrorKind::AlreadyExists.into(),
            _ => error,
        })
    }

    /// The directory under the name that it has while `maker` fills or deletes it.
    fn draft(&self, maker: ProcessId) -> io::Result<Self> {
        let mut name = OsString::from(format!("{DRAFT}{}-{}-", maker.pid, maker.start));
        name.push(self.dir.file_name().ok_or(io::ErrorKind::InvalidInput)?);
        Ok(Self::at(&self.dir.with_file_name(name)))
    }

    fn fill(&self, record: &Record, keybinds: &str) -> io::Result<()> {
        for dir in [self.dir.clone(), self.config(), self.cache(), self.tmp()] {
            DirBuilder::new().mode(0o700).create(dir)?;
        }
        fs::write(self.config().join("config.kdl"), CONFIG.to_owned() + keybinds)?;
        self.write(record)
    }

    /// Returns our record of the session; `None` if there is no such directory.
    pub(super) fn read(&self) -> io::Result<Option<Record>> {
        match file::read(&self.dir.join(RECORD), file::MOST) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", self.dir.join(RECORD).display()))
            }),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        let draft = self.dir.join(format!("{RECORD}.new"));
        file::replace(&draft)?.write_all(&serde_json::to_vec(record)?)?;
        fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
        fs::rename(draft, self.dir.join(RECORD))
    }

    /// Records that our pane is closed and that only the user's panes are left, so that a later sweep cleans up.
    /// Recreates the directory if it was removed.
    pub(super) fn mark_closed(&self, record: &Record) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        self.write(&Record { closed: true, ..record.clone() })
    }

    /// Deletes what zellij and we put there, and the directory. Anything else in it is not ours: it stays, and so does
    /// the directory, which is an error. Succeeds if the directory does not exist.
    pub(super) fn delete(&self) -> io::Result<()> {
        for dir in [self.sockets(), self.config(), self.cache(), self.tmp()] {
            absent_is_ok(fs::remove_dir_all(dir))?;
        }
        for file in [format!("{RECORD}.new"), RECORD.to_owned()] {
            absent_is_ok(fs::remove_file(self.dir.join(file)))?;
        }
        absent_is_ok(fs::remove_dir(&self.dir))
    }

    /// Returns `true` if the directory contains only what zellij and we put there.
    pub(super) fn is_only_ours(&self) -> io::Result<bool> {
        let draft = format!("{RECORD}.new");
        let ours = [CONTRACT, "config", "cache", "tmp", RECORD, &draft];
        for entry in fs::read_dir(&self.dir)? {
            if !ours.iter().any(|name| entry.as_ref().is_ok_and(|entry| entry.file_name() == *name)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Deletes the directory in which `judged` was found, but not one that has replaced it since: it is renamed in one
    /// step and checked again. Returns whether it was deleted.
    pub(super) fn delete_as_judged(&self, judged: Option<&Record>) -> io::Result<bool> {
        let aside = self.draft(process::me()?)?;
        match fs::rename(&self.dir, &aside.dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        }
        let same = aside.read().ok().flatten().as_ref() == judged;
        let deleted = if same { aside.delete().map(|()| true) } else { Ok(false) };
        if !matches!(deleted, Ok(true)) {
            fs::rename(&aside.dir, &self.dir)?;
        }
        deleted
    }

    /// Returns the names of the socket files in the directory.
    pub(super) fn socket_names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.sockets()) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            // Clients accept only names that are valid text.
            if entry.file_type().is_ok_and(|kind| kind.is_socket())
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }
}

/// Returns `true` if the socket's file is still at `path`, by its inode if that is known. A non-socket at that path may
/// be hiding the socket, and says nothing about the server.
pub(super) fn is_still(path: &Path, noted: Option<u64>) -> bool {
    let is_it = |found: fs::Metadata| !found.file_type().is_socket() || noted.is_none_or(|inode| inode == found.ino());
    fs::symlink_metadata(path).is_ok_and(is_it)
}

/// Returns the inode of the socket file at `path`.
pub(super) fn socket_inode(path: &Path) -> Option<u64> {
    let found = fs::symlink_metadata(path).ok()?;
    found.file_type().is_socket().then(|| found.ino())
}

/// Returns `true` if this is the directory of a session, and not a draft.
pub(super) fn is_complete(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| !name.as_bytes().starts_with(DRAFT.as_bytes()))
}

/// Deletes the drafts of creators that were killed before the rename.
pub(super) fn sweep_drafts(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if let Some(maker) = maker(&entry.file_name())
            && process::find(maker)?.is_none()
        {
            // A draft that contains a foreign file stays, and does no harm.
            let _ = Home::at(&entry.path()).delete();
        }
    }
    Ok(())
}

/// Returns the process that fills the directory of this name, if it is a draft.
fn maker(name: &OsStr) -> Option<ProcessId> {
    let mut numbers = name.to_str()?.strip_prefix(DRAFT)?.split('-');
    Some(ProcessId { pid: numbers.next()?.parse().ok()?, start: numbers.next()?.parse().ok()? })
}

fn absent_is_ok(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Refuses a directory in which other users could replace ours and put a socket there.
fn check_private(dir: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(dir)?;
    let owner = nix::unistd::geteuid().as_raw();
    if found.is_dir() && found.uid() == owner && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    let problem = format!("{} must be a directory of uid {owner} that only its owner can write to", dir.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let creator = ProcessId { pid: 1, start: 2 };
        Record::here("s", "t", creator).expect("the kernel tells")
    }

    #[test]
    fn a_directory_is_claimed_once_and_leaves_nothing() {
        let base = tempfile::tempdir().expect("a directory");
        let home = Home::at(&base.path().join("z").join("one"));
        home.claim(&record(), "").expect("free");
        assert_eq!(home.read().expect("readable"), Some(record()));
        assert_eq!(home.claim(&record(), "").expect_err("taken").kind(), io::ErrorKind::AlreadyExists);
        let mode = fs::metadata(home.dir()).expect("there").mode() & 0o777;
        assert_eq!(mode, 0o700);
        home.delete().expect("deleted");
        let left = fs::read_dir(base.path().join("z")).expect("readable").count();
        assert_eq!(left, 0);
        assert_eq!(home.read().expect("nothing there"), None);
        home.delete().expect("deleting nothing is success");
    }

    #[test]
    fn a_draft_is_deleted_once_its_maker_is_gone() {
        let base = tempfile::tempdir().expect("a directory");
        let me = process::me().expect("own identity");
        let draft = |maker: ProcessId| base.path().join(format!("{DRAFT}{}-{}-a-b-1", maker.pid, maker.start));
        let (living, gone) = (draft(me), draft(ProcessId { start: me.start + 1, ..me }));
        for dir in [&living, &gone] {
            Home::at(dir).fill(&record(), "").expect("filled");
            assert!(!is_complete(dir));
        }
        let home = Home::at(&base.path().join("a-b-2"));
        home.claim(&record(), "").expect("free");
        assert_eq!((living.exists(), gone.exists(), is_complete(home.dir())), (true, false, true));
    }

    #[test]
    fn a_directory_that_took_the_place_of_the_judged_one_stays() {
        let base = tempfile::tempdir().expect("a directory");
        let home = Home::at(&base.path().join("one"));
        home.claim(&record(), "").expect("free");
        let other = Record { tag: "u".into(), ..record() };
        assert!(!home.delete_as_judged(Some(&other)).expect("looked at again"));
        assert!(!home.delete_as_judged(None).expect("looked at again"));
        assert_eq!(home.read().expect("readable"), Some(record()));
        assert!(home.delete_as_judged(Some(&record())).expect("deleted") && !home.dir().exists());
        assert_eq!(fs::read_dir(base.path()).expect("readable").count(), 0);
        assert!(home.delete_as_judged(None).expect("nothing there is success"));
    }

    #[test]
    fn a_parent_that_others_may_write_to_is_refused() {
        let base = tempfile::tempdir().expect("a directory");
        fs::set_permissions(base.path(), Permissions::from_mode(0o777)).expect("chmod");
        let error = Home::at(&base.path().join("one")).claim(&record(), "").expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn files_of_others_are_never_deleted() {
        let base = tempfile::tempdir().expect("a directory");
        let home = Home::at(&base.path().join("one"));
        home.claim(&record(), "").expect("free");
        fs::write(home.dir().join("precious"), "x").expect("written");
        home.delete().expect_err("something is left");
        assert!(home.dir().join("precious").exists());
    }
}

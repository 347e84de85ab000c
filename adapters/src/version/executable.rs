//! The identity of an executable.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::file;
use crate::process::ProcessId;
use crate::runtime::RuntimeKind;

/// The identity of an executable, as the kernel sees it: a package upgrade keeps the path and changes the rest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Executable {
    /// The path it is reached by.
    pub path: PathBuf,
    /// Its file system.
    pub device: u64,
    /// Its inode number.
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When its content last changed, in nanoseconds since the epoch.
    pub modified_ns: i64,
}

impl Executable {
    /// Returns the identity of the file at `path`.
    ///
    /// # Errors
    /// It does not exist, or cannot be examined.
    pub fn at(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified_ns: found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec()),
        })
    }

    /// Returns the executable that a process runs, with a path that can be executed: its own path if that is still the
    /// same file, otherwise the kernel's link to it, which remains after the file is unlinked. `None` if the kernel
    /// does not report it.
    pub fn of(process: ProcessId) -> Option<Self> {
        let link = PathBuf::from(format!("/proc/{}/exe", process.pid));
        let by_link = Self::at(&link).ok()?;
        let by_name = fs::read_link(&link).ok().and_then(|path| Self::at(&path).ok());
        Some(by_name.filter(|named| named.is(&by_link)).unwrap_or(by_link))
    }

    /// Returns the path that the executable of a process had when it was started, whether or not it still exists.
    pub fn name_of(process: ProcessId) -> Option<PathBuf> {
        let name = fs::read_link(format!("/proc/{}/exe", process.pid)).ok()?;
        let text = name.to_string_lossy();
        Some(text.strip_suffix(" (deleted)").map_or_else(|| name.clone(), PathBuf::from))
    }

    /// Returns `true` if both are the same file, by whatever path they are reached.
    pub fn is(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Returns `true` if it may run a different program tomorrow: a script, or a link to a program of another name, as
    /// version managers put on `PATH`.
    pub(super) fn is_a_stand_in(&self, kind: RuntimeKind) -> bool {
        let named = fs::canonicalize(&self.path)
            .is_ok_and(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(kind.as_str())));
        let mut start = [0; 2];
        let script = file::open(&self.path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!";
        script || !named
    }
}

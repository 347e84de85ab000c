//! Checks of the state directory, its disk, and the kernel's limits.

use std::os::unix::fs::PermissionsExt;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;

use super::{Finding, Level};
use crate::engine::Engine;

/// With less free space than this (16 MiB), the next log rotation or the next record may not fit.
const DISK_LEAST: u64 = 16 << 20;
/// Less free space than this (256 MiB) is used up within a day on a machine where agents work.
const DISK_LITTLE: u64 = 256 << 20;

/// A tmux server uses one file descriptor per pane and three per client; at its limit it stops answering.
const OPEN_FILES_LITTLE: u64 = 4096;

pub(super) fn look(engine: &Engine) -> Vec<Finding> {
    vec![state(engine), disk(engine), open_files()]
}

/// Only the mode is checked: a directory of another user, or one that others can write to, was refused earlier.
fn state(engine: &Engine) -> Finding {
    let root = engine.state.root();
    let shown = root.display();
    match root.metadata().map(|meta| meta.permissions().mode() & 0o777) {
        Ok(0o700) => Finding::new(Level::Ok, "state", format!("{shown} is private to you")),
        Ok(mode) => {
            let what = format!("{shown} has mode {mode:03o}: others may read topics and environments");
            Finding::new(Level::Warning, "state", what).cure(format!("chmod 700 {shown}"))
        }
        Err(error) => Finding::new(Level::Broken, "state", format!("{shown}: {error}")),
    }
}

fn disk(engine: &Engine) -> Finding {
    let root = engine.state.root();
    let stat = match statvfs(root) {
        Ok(stat) => stat,
        Err(error) => return Finding::new(Level::Warning, "disk", format!("{}: {error}", root.display())),
    };
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "the types differ between systems")]
    let (free, files) =
        (u64::from(stat.blocks_available()) * stat.fragment_size() as u64, u64::from(stat.files_available()));
    let what = format!("{} MiB free below {}", free >> 20, root.display());
    // A file system without a fixed number of inodes reports 0 of 0.
    let no_files = stat.files() > 0 && files == 0;
    match free {
        _ if no_files => {
            Finding::new(Level::Broken, "disk", "out of inodes: no file can be created").cure("remove some files")
        }
        0..DISK_LEAST => Finding::new(Level::Broken, "disk", what)
            .cure("free some space: nothing is started or ended without a record"),
        DISK_LEAST..DISK_LITTLE => Finding::new(Level::Warning, "disk", what).cure("make room"),
        _ => Finding::new(Level::Ok, "disk", what),
    }
}

fn open_files() -> Finding {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if hard < OPEN_FILES_LITTLE => {
            let what = format!("at most {hard} open files (now {soft}); a server of {hard} panes would stop answering");
            Finding::new(Level::Warning, "limits", what).cure("raise the hard limit: ulimit -Hn, or limits.conf")
        }
        Ok((_, hard)) => Finding::new(Level::Ok, "limits", format!("a server may open {hard} files")),
        Err(error) => Finding::new(Level::Note, "limits", format!("cannot be read: {error}")),
    }
}

//! The state directory, the disk below it, and what the kernel allows us.

use std::os::unix::fs::PermissionsExt;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;

use super::{Finding, Level};
use crate::engine::Engine;

/// Less than this free (16 MiB), and the next rotation of the log or the next record may not fit.
const DISK_LEAST: u64 = 16 << 20;
/// Less than this (256 MiB) is gone within a day on a machine where agents work.
const DISK_LITTLE: u64 = 256 << 20;

/// A tmux server takes a descriptor a pane and three a client; at its limit it stops answering anybody.
const OPEN_FILES_LITTLE: u64 = 4096;

pub(super) fn look(engine: &Engine) -> Vec<Finding> {
    vec![state(engine), disk(engine), open_files()]
}

/// That it is ours, and that nobody else may write to it, was refused before we came here.
fn state(engine: &Engine) -> Finding {
    let root = engine.state.root();
    let shown = root.display();
    match root.metadata().map(|meta| meta.permissions().mode() & 0o777) {
        Ok(0o700) => Finding::new(Level::Ok, "state", format!("{shown} is yours alone")),
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
    let what = format!("{} MiB are free below {}", free >> 20, root.display());
    // A filesystem without a fixed number of files says 0 of 0.
    let no_files = stat.files() > 0 && files == 0;
    match free {
        _ if no_files => {
            Finding::new(Level::Broken, "disk", "no file can be made: out of inodes").cure("remove some files")
        }
        0..DISK_LEAST => {
            Finding::new(Level::Broken, "disk", what).cure("make room: nothing is started or ended without a record")
        }
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
        Err(error) => Finding::new(Level::Note, "limits", format!("not to be read: {error}")),
    }
}

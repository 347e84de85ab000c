//! The transcripts of the agents that an agent starts, to find out when one of them was last active.
//!
//! They are read only for a peer that is idle by all other evidence, so a tick over a quiet fleet opens none of them: a
//! file that has not been written since is skipped by its modification time alone. For a file that has been written,
//! only its last record counts, because agents rewrite files while they idle.

use std::ffi::OsStr;
use std::fs::DirEntry;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Files, TranscriptError, folder, lines};

/// How much older than its last record a file may appear: kernels use the time of the last clock tick, and FAT has
/// steps of 2 s.
const COARSE: Duration = Duration::from_secs(2);

/// The depth below their folder to which children's transcripts are searched.
///
/// # Source
/// Claude Code 2.1.328 puts those of a workflow into `subagents/workflows/RUN/`: two. More costs a directory read each.
const DEPTH: usize = 4;

/// How many of the files written since are opened, newest first. Normally one is enough, because the last record of a
/// file is as new as the file. More are read only if an agent rewrites the transcripts of children that have ended.
const OPENED: usize = 16;

impl Files<'_> {
    /// Returns when a child of the conversation's agent was last active after `since`, by the last record of its
    /// transcript. `None` if no child was, and for an agent whose profile names no transcripts of children.
    ///
    /// Blocks for one directory read and one `stat` per file, and opens 16 files at most.
    ///
    /// # Errors
    /// Nothing is known: a child may be at work.
    pub fn child_activity(&self, id: &str, since: SystemTime) -> Result<Option<SystemTime>, TranscriptError> {
        let Some(pattern) = &self.profile.conversation.children else { return Ok(None) };
        let Some(own) = self.exists(id)? else { return Ok(None) };
        let mut dir = own;
        dir.pop();
        dir.push(pattern.folder(id));
        let mut written = Vec::new();
        written_since(
            &dir,
            DEPTH,
            since.checked_sub(COARSE).unwrap_or(since),
            &|name| pattern.matches(name),
            &mut written,
        )?;
        written.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        let mut newest = None;
        for (modified, path) in written.into_iter().take(OPENED) {
            // Neither this file nor the remaining ones can contain anything newer than what was found.
            if newest.is_some_and(|newest| modified.checked_add(COARSE).is_some_and(|latest| newest >= latest)) {
                break;
            }
            newest = newest.max(lines::last_time(&path)?);
        }
        Ok(newest.filter(|newest| *newest > since))
    }
}

/// Collects the matching files below `dir` that were written after `since`.
fn written_since(
    dir: &Path,
    depth: usize,
    since: SystemTime,
    meant: &dyn Fn(&OsStr) -> bool,
    found: &mut Vec<(SystemTime, PathBuf)>,
) -> Result<(), TranscriptError> {
    for entry in folder::entries(dir)? {
        match modified(&entry, meant) {
            Ok(Seen::File(modified)) if modified > since => found.push((modified, entry.path())),
            Ok(Seen::Folder) if depth > 1 => written_since(&entry.path(), depth - 1, since, meant, found)?,
            Ok(_) => {}
            // Removed meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(TranscriptError::io(&entry.path())(error)),
        }
    }
    Ok(())
}

enum Seen {
    File(SystemTime),
    Folder,
    Other,
}

/// Classifies an entry. A symbolic link to a file counts as that file: Claude Code 2.1.328 links the transcripts of
/// agents that a resumed conversation takes over. A link to a folder is not followed, to avoid cycles.
fn modified(entry: &DirEntry, meant: &dyn Fn(&OsStr) -> bool) -> io::Result<Seen> {
    if entry.file_type()?.is_dir() {
        return Ok(Seen::Folder);
    }
    if !meant(&entry.file_name()) {
        return Ok(Seen::Other);
    }
    let metadata = std::fs::metadata(entry.path())?;
    Ok(if metadata.is_file() { Seen::File(metadata.modified()?) } else { Seen::Other })
}

//! Folders of an agent's own files.

use std::fs::DirEntry;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::TranscriptError;

/// Returns the entries of a folder; none if there is no such folder.
///
/// # Errors
/// It cannot be listed as a whole, so nothing is known of what is missing.
pub(super) fn entries(folder: &Path) -> Result<Vec<DirEntry>, TranscriptError> {
    match std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<_>>) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(TranscriptError::io(folder)),
    }
}

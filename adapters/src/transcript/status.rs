//! What an agent reports about itself in its status file.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Files, TranscriptError, claude};
use crate::agent::StatusKind;
use crate::process::ProcessId;

/// What an agent reports about itself in its status file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentStatus {
    /// Whether it is working or waiting for a permission.
    pub busy: bool,
    /// When its activity last changed, if it reports that.
    pub since: Option<SystemTime>,
    /// What it needs the user for, in its own words; it is then busy.
    pub waits_for: Option<String>,
}

impl Files<'_> {
    /// Returns what the agent's status file reports about the process `pid`. It is one small file, cheap enough for
    /// each row of a list.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn status(&self, pid: u32) -> Result<Option<AgentStatus>, TranscriptError> {
        self.layout().map_or(Ok(None), |layout| layout.status(pid))
    }

    /// Returns the directory of the agent's status files, if it keeps any.
    pub fn status_directory(&self) -> Option<PathBuf> {
        self.profile.conversation.status.map(|kind| match kind {
            StatusKind::ClaudeSession => claude::Claude(*self).status_directory(),
        })
    }
}

/// Returns what a status file in `directory` ([`Files::status_directory`]) reports about a process that is known to be
/// alive. Reads one small file, and asks the kernel nothing.
///
/// # Errors
/// Nothing is known.
pub fn status_in(
    kind: StatusKind,
    directory: &Path,
    process: ProcessId,
) -> Result<Option<AgentStatus>, TranscriptError> {
    match kind {
        StatusKind::ClaudeSession => claude::status_in(directory, process),
    }
}

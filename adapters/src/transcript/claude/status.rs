//! Claude Code's status file, `~/.claude/sessions/PID.json`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::super::{AgentStatus, TranscriptError};
use crate::file;
use crate::process::ProcessId;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) session_id: String,
    /// The kernel's start time of the process, as a decimal string (field 22 of `/proc/PID/stat`).
    pub(super) proc_start: Option<String>,
    /// `idle`, `busy`, or `waiting` for a permission.
    #[serde(rename = "status")]
    pub(super) activity: Option<String>,
    /// What it is waiting for: `permission prompt`, `input needed`.
    pub(super) waiting_for: Option<String>,
    /// Milliseconds since the epoch.
    #[serde(rename = "statusUpdatedAt")]
    pub(super) updated_at: Option<u64>,
}

impl Status {
    pub(super) fn reported(self) -> Option<AgentStatus> {
        let since = self.updated_at.map(|ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        let activity = self.activity?;
        let waits_for = (activity == "waiting").then(|| self.waiting_for.unwrap_or_else(|| "an answer".to_owned()));
        Some(AgentStatus { busy: activity != "idle", since, waits_for })
    }
}

pub(super) fn status_path(directory: &Path, pid: u32) -> PathBuf {
    directory.join(format!("{pid}.json"))
}

pub(super) fn read_status(directory: &Path, pid: u32) -> Result<Option<Status>, TranscriptError> {
    let path = status_path(directory, pid);
    match file::read(&path, file::MOST) {
        // Half-written, or in another version's format: unusable now, and the next attempt may succeed.
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TranscriptError::io(&path)(error)),
    }
}

/// As [`crate::transcript::status_in`].
pub(in crate::transcript) fn status_in(
    directory: &Path,
    process: ProcessId,
) -> Result<Option<AgentStatus>, TranscriptError> {
    let wrote = |status: &Status| status.proc_start.as_ref().is_none_or(|start| *start == process.start.to_string());
    Ok(read_status(directory, process.pid)?.filter(wrote).and_then(Status::reported))
}

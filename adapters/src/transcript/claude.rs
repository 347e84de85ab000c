//! Claude Code: `~/.claude/projects/SLUG/ID.jsonl` and `~/.claude/sessions/PID.json`.
//!
//! # Source
//! Claude Code 2.1.328, run in tmux: the transcript appears with the first message; a message sent while a turn is in
//! progress is written at once as `queue-operation`; a pasted text of 100 KB is there in full, not as its placeholder.
//! The status file is written at start, reports `busy` and `idle`, and is removed on a clean exit; a process that is
//! killed leaves it. After `/clear`, `/branch` and `/resume` the same file names the new conversation. Records of a
//! turn have `sessionId`, the conversation, and `session_id`, the one that the process was started with.

use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::entries::count;
use super::refusal::{reason_in, seconds};
use super::{
    AgentStatus, Entry, EntryKind, Files, Glance, Layout, Refusal, RefusedFor, Run, Tokens, TranscriptError, folder,
    lines,
};

mod status;

pub(super) use status::status_in;
use status::{Status, read_status, status_path};

pub(super) struct Claude<'a>(pub(super) Files<'a>);

/// The length at which Claude Code cuts the directory's name and appends a hash of the path.
const SLUG_CUT: usize = 200;

/// The longest name that a file can have.
const NAME_MAX: usize = 255;

impl Claude<'_> {
    fn config(&self) -> PathBuf {
        self.0.directory("CLAUDE_CONFIG_DIR").unwrap_or_else(|| self.0.home.join(".claude"))
    }

    /// Returns the directory of the status files.
    pub(super) fn status_directory(&self) -> PathBuf {
        self.config().join("sessions")
    }

    fn status_path(&self, pid: u32) -> PathBuf {
        status_path(&self.status_directory(), pid)
    }

    /// Returns the status file for this pid, whichever process wrote it.
    fn status_of_number(&self, pid: u32) -> Result<Option<Status>, TranscriptError> {
        read_status(&self.status_directory(), pid)
    }

    /// Returns the status file of a process, unless it was left by an earlier process with that pid.
    fn status_file(&self, pid: u32) -> Result<Option<Status>, TranscriptError> {
        let Some(status) = self.status_of_number(pid)? else { return Ok(None) };
        let process = crate::process::status(pid).map_err(TranscriptError::io(&self.status_path(pid)))?;
        let started = process.map(|process| process.id.start.to_string());
        Ok(Some(status).filter(|status| status.proc_start.is_none() || status.proc_start == started))
    }

    /// Returns the status file of the started process, which remains if it was killed; or, behind a wrapper, that of
    /// the first process below it that has one. A Claude Code that one of its tools started is further down.
    fn own_status(&self, run: &Run<'_>) -> Result<Option<Status>, TranscriptError> {
        if let Some(leader) = run.leader {
            let start = leader.start.to_string();
            if let Some(status) = self.status_of_number(leader.pid)?.filter(|told| told.proc_start == Some(start)) {
                return Ok(Some(status));
            }
        }
        for pid in run.pids {
            if let Some(status) = self.status_file(*pid)?.filter(|told| told.proc_start.is_some()) {
                return Ok(Some(status));
            }
        }
        Ok(None)
    }

    /// Returns the last conversation of a run that has ended, by what it wrote: its records contain the id that the
    /// process was started with next to that of their conversation.
    fn left_by(&self, run: &Run<'_>, known: &str) -> Result<Option<String>, TranscriptError> {
        let within = |path: &Path| {
            let written = lines::last(path, |record| Some((origin(record)?, lines::time(record)?)));
            // An unreadable transcript is not ours; it must not hide the right one.
            written.ok().flatten().filter(|(_, at)| *at >= run.since)
        };
        let of_known = self.transcript(known)?.and_then(|path| within(&path));
        let root = of_known.as_ref().map_or(known, |(root, _)| root);
        let mut newest = of_known.as_ref().map(|(_, at)| (*at, known.to_owned()));
        for path in self.written_since(run.since)? {
            let Some(id) = path.file_stem().and_then(|stem| stem.to_str()).filter(|id| *id != known) else { continue };
            if let Some((_, at)) = within(&path).filter(|(origin, _)| origin == root) {
                newest = newest.max(Some((at, id.to_owned())));
            }
        }
        Ok(newest.map(|(_, id)| id))
    }

    /// Returns the transcripts of this directory that were written to since.
    fn written_since(&self, since: SystemTime) -> Result<Vec<PathBuf>, TranscriptError> {
        let recent = |path: &PathBuf| {
            path.extension().is_some_and(|ending| ending == "jsonl")
                && path.metadata().and_then(|meta| meta.modified()).is_ok_and(|at| at >= since)
        };
        let mut found = Vec::new();
        for dir in self.directories()? {
            found.extend(folder::entries(&dir)?.iter().map(DirEntry::path).filter(recent));
        }
        Ok(found)
    }

    /// Returns the directories that may have the transcripts of this working directory: the one of its name, and if that is
    /// too long, those with the beginning of it that Claude Code leaves.
    fn directories(&self) -> Result<Vec<PathBuf>, TranscriptError> {
        let (projects, slug) = (self.config().join("projects"), self.slug());
        let whole = projects.join(&slug);
        let mut found = Vec::new();
        if let Some(cut) = slug.get(..SLUG_CUT).filter(|cut| *cut != slug) {
            let begins = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(cut));
            let named = folder::entries(&projects)?;
            found.extend(named.iter().map(DirEntry::path).filter(|path| *path != whole && begins(path)));
        }
        found.extend((slug.len() <= NAME_MAX).then_some(whole));
        Ok(found)
    }

    /// Returns the directory's name: each UTF-16 unit of the path that is not an ASCII letter or digit becomes `-`.
    fn slug(&self) -> String {
        let mut slug = String::new();
        for c in self.0.cwd.to_string_lossy().chars() {
            if c.is_ascii_alphanumeric() {
                slug.push(c);
            } else {
                slug.extend(std::iter::repeat_n('-', c.len_utf16()));
            }
        }
        slug
    }

    fn transcript(&self, id: &str) -> Result<Option<PathBuf>, TranscriptError> {
        for dir in self.directories()? {
            let path = dir.join(format!("{id}.jsonl"));
            if lines::exists(&path)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

/// Returns the id that the process which wrote a record was started with.
fn origin(record: &Value) -> Option<String> {
    Some(record.get("session_id")?.as_str()?.to_owned())
}

/// Returns the user's messages in a record.
fn messages(record: &Value) -> Vec<String> {
    match record["type"].as_str() {
        Some("user") => lines::content_texts(&record["message"]["content"]),
        Some("queue-operation") => lines::content_texts(&record["content"]),
        _ => Vec::new(),
    }
}

/// What Claude Code writes as the user when a turn is stopped.
const INTERRUPTED: &str = "[Request interrupted by user";

/// What it writes as the user for its own commands and their output.
const OF_COMMANDS: [&str; 3] = ["<command-", "<local-command-", "<bash-"];

/// # Source
/// Claude Code 2.1.328: an answer is one record for each of its parts, each with the answer's `id` and `usage`. A
/// queued message is recorded when its turn comes, or in the middle of a turn as an attachment. Each turn is followed
/// by `turn_duration`; a turn that was stopped before its first answer leaves nothing.
fn entry(record: &Value) -> Option<Entry> {
    if record["isSidechain"] == true {
        return None;
    }
    let message = &record["message"];
    let kind = match record["type"].as_str()? {
        "user" if record["isMeta"] == true || record["isCompactSummary"] == true => return None,
        "user" if record.get("toolUseResult").is_some() => return None,
        "user" => match joined(&message["content"])? {
            text if text.starts_with(INTERRUPTED) => EntryKind::TurnEnd { aborted: true },
            text if OF_COMMANDS.iter().any(|begin| text.starts_with(begin)) => return None,
            text => EntryKind::UserMessage(text),
        },
        "attachment" if record["attachment"]["type"] == "queued_command" => {
            EntryKind::UserMessage(joined(&record["attachment"]["prompt"])?)
        }
        "queue-operation" if record["operation"] == "enqueue" => EntryKind::QueuedMessage(joined(&record["content"])?),
        // What it writes in the model's place when the service fails.
        "assistant" if record["isApiErrorMessage"] == true => EntryKind::TurnEnd { aborted: true },
        "assistant" => EntryKind::AgentText {
            text: joined(&message["content"]).unwrap_or_default(),
            part_of: message["id"].as_str().map(str::to_owned),
            tokens: message.get("usage").map(|usage| Tokens {
                input: count(usage, &["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]),
                output: count(usage, &["output_tokens"]),
            }),
        },
        "system" if record["subtype"] == "turn_duration" => EntryKind::TurnEnd { aborted: false },
        _ => return None,
    };
    Some(Entry { at: lines::time(record), of: None, kind })
}

/// # Source
/// Claude Code 2.1.328, with an account of a subscription, and 429 with the headers of the service: `error` is
/// `rate_limit`, and `quotaLimits` has the end; with an API key it has none. After 401 it is `authentication_failed`; a
/// `/login` that succeeds prints `Login successful`.
///
/// What the newest record says of a refusal; none where it tells of nothing that was said or answered.
#[allow(clippy::option_option, reason = "a record tells of no refusal, or tells nothing")]
fn refusal(record: &Value) -> Option<Option<Refusal>> {
    if record["isApiErrorMessage"] == true {
        let text = joined(&record["message"]["content"]).unwrap_or_default();
        let reason = match record["error"].as_str() {
            Some("rate_limit") => Some(RefusedFor::UsageLimit),
            Some("authentication_failed") => Some(RefusedFor::Account),
            _ => reason_in(&text),
        };
        let until = seconds(&record["quotaLimits"], &["resetsAt"]);
        return Some(reason.map(|reason| Refusal { reason, at: lines::time(record), text, until }));
    }
    let is_signed_in = |text: String| text.starts_with("<local-command-") && text.contains("Login successful");
    if joined(&record["message"]["content"]).or_else(|| joined(&record["content"])).is_some_and(is_signed_in) {
        return Some(None);
    }
    match entry(record)?.kind {
        EntryKind::UserMessage(_) | EntryKind::AgentText { .. } => Some(None),
        EntryKind::QueuedMessage(_) | EntryKind::TurnEnd { .. } => None,
    }
}

/// Returns the texts of a content, joined by newlines; `None` if it has none.
fn joined(content: &Value) -> Option<String> {
    let texts = lines::content_texts(content);
    (!texts.is_empty()).then(|| texts.join("\n"))
}

impl Layout for Claude<'_> {
    fn path(&self, id: &str) -> Result<Option<PathBuf>, TranscriptError> {
        self.transcript(id)
    }

    fn discover(&self, _since: SystemTime, pids: &[u32]) -> Result<Vec<String>, TranscriptError> {
        let mut found = Vec::new();
        for pid in pids {
            // Before the first message there is nothing that could be resumed.
            if let Some(status) = self.status_file(*pid)?
                && self.transcript(&status.session_id)?.is_some()
            {
                found.push(status.session_id);
            }
        }
        Ok(found)
    }

    /// The status file has the new id 0.2 s after `/clear`, long before the transcript exists.
    fn current(&self, run: &Run<'_>, known: &str) -> Result<Option<String>, TranscriptError> {
        match self.own_status(run)? {
            Some(status) => Ok(Some(status.session_id)),
            // A live process without a status file may write one in a moment.
            None if run.pids.is_empty() => self.left_by(run, known),
            None => Ok(None),
        }
    }

    fn open_in(&self, id: &str) -> Result<Option<u32>, TranscriptError> {
        let files = folder::entries(&self.status_directory())?;
        for pid in files.iter().map(DirEntry::path).filter_map(|path| path.file_stem()?.to_str()?.parse().ok()) {
            let status = self.status_file(pid)?.filter(|status| status.session_id == id && status.proc_start.is_some());
            if status.is_some() {
                return Ok(Some(pid));
            }
        }
        Ok(None)
    }

    fn end(&self, id: &str) -> Result<u64, TranscriptError> {
        self.transcript(id)?.map_or(Ok(0), |path| lines::length(&path))
    }

    fn messages_after(&self, id: &str, position: u64) -> Result<Vec<String>, TranscriptError> {
        let Some(path) = self.transcript(id)? else { return Ok(Vec::new()) };
        Ok(lines::after(&path, position)?.iter().flat_map(messages).collect())
    }

    fn messages_since(&self, id: &str, since: SystemTime) -> Result<Vec<String>, TranscriptError> {
        let Some(path) = self.transcript(id)? else { return Ok(Vec::new()) };
        Ok(lines::since(&path, since)?.iter().flat_map(messages).collect())
    }

    fn activity_files(&self, id: Option<&str>, pid: u32) -> Result<Vec<PathBuf>, TranscriptError> {
        let transcript = |id: &str| {
            if let Some(path) = self.transcript(id)? {
                return Ok(path);
            }
            // Where it will be.
            let dir = self.directories()?.into_iter().next().unwrap_or_else(|| self.config().join("projects"));
            Ok(dir.join(format!("{id}.jsonl")))
        };
        let transcript = id.map(transcript).transpose()?;
        Ok(std::iter::once(self.status_path(pid)).chain(transcript).collect())
    }

    fn entries_after(&self, id: &str, position: u64) -> Result<Vec<Entry>, TranscriptError> {
        let Some(path) = self.transcript(id)? else { return Ok(Vec::new()) };
        lines::each_after(&path, position, entry)
    }

    fn glance(&self, _id: &str, path: PathBuf) -> Result<Glance, TranscriptError> {
        lines::glance(path, entry)
    }

    fn refused(&self, id: &str) -> Result<Option<Refusal>, TranscriptError> {
        let Some(path) = self.transcript(id)? else { return Ok(None) };
        Ok(lines::last(&path, refusal)?.flatten())
    }

    fn last_activity(&self, id: Option<&str>, pid: u32) -> Result<Option<SystemTime>, TranscriptError> {
        let stamp = |status: Status| status.updated_at.map(Duration::from_millis);
        let status = self.status_file(pid)?.and_then(stamp).map(|since| SystemTime::UNIX_EPOCH + since);
        let path = id.map(|id| self.transcript(id)).transpose()?.flatten();
        Ok(status.max(path.map(|path| lines::last_time(&path)).transpose()?.flatten()))
    }

    fn turn_in_progress(&self, _id: Option<&str>, pid: u32) -> Result<Option<bool>, TranscriptError> {
        Ok(self.status_file(pid)?.and_then(|status| status.activity).map(|activity| activity != "idle"))
    }

    fn status(&self, pid: u32) -> Result<Option<AgentStatus>, TranscriptError> {
        Ok(self.status_file(pid)?.and_then(Status::reported))
    }
}

//! pi: `~/.pi/agent/sessions/--CWD--/ID.jsonl`, a path of our choosing.
//!
//! # Source
//! pi 0.73.1, run in tmux and read in `core/session-manager.js`: `--session PATH` opens that file, or begins a
//! conversation that will be written there. So the conversation is identified by its file, and we choose the name; pi's
//! own picker (`pi --resume`) lists it like any other. Nothing is written before the first answer. After `/new`,
//! `/fork` and `/resume` it continues in another file, normally `TIME_ID.jsonl` in the same directory, and keeps none
//! open that would show it: so an extension of ours reports it at once.

use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::Value;

use super::entries::count;
use super::refusal::reason_in;
use super::{Entry, EntryKind, Files, Glance, Layout, Refusal, Run, Tokens, TranscriptError, lines};

pub(super) struct Pi<'a>(pub(super) Files<'a>);

/// Returns the current or future path of the conversation `id`: in the directory that pi itself would use.
pub(super) fn path(files: Files<'_>, id: &str) -> PathBuf {
    let file = format!("{id}.jsonl");
    if let Some(directory) = files.directory("PI_CODING_AGENT_SESSION_DIR") {
        return directory.join(file);
    }
    let agent = files.directory("PI_CODING_AGENT_DIR").unwrap_or_else(|| files.home.join(".pi/agent"));
    let cwd = files.cwd.to_string_lossy();
    let slug = cwd.strip_prefix('/').unwrap_or(&cwd).replace(['/', '\\', ':'], "-");
    agent.join("sessions").join(format!("--{slug}--")).join(file)
}

impl Pi<'_> {
    fn file(&self, id: &str) -> PathBuf {
        path(self.0, id)
    }

    /// Returns the conversation that the agent reports. A conversation in another directory could not be identified by
    /// an id.
    fn said(&self) -> Result<Option<String>, TranscriptError> {
        let Some(said) = self.0.said()? else { return Ok(None) };
        let id = said.transcript.file_stem().and_then(|stem| stem.to_str());
        Ok(id.filter(|id| self.file(id) == said.transcript).map(str::to_owned))
    }
}

fn messages(record: &Value) -> Vec<String> {
    let content = &record["message"]["content"];
    if record["message"]["role"] == "user" { lines::content_texts(content) } else { Vec::new() }
}

/// Returns whether a turn continues after this record.
fn turn(record: &Value) -> Option<bool> {
    let message = record.get("message")?;
    Some(match message.get("role")?.as_str()? {
        "assistant" => message.get("stopReason").and_then(Value::as_str) == Some("toolUse"),
        "user" | "toolResult" => true,
        _ => return None,
    })
}

/// Returns the entries for a record. The last answer of a turn makes two entries.
///
/// # Source
/// pi 0.73.1: `stopReason` is `stop`, `length`, `toolUse`, `aborted` or `error`. A queued message has a turn of its
/// own.
fn entries(record: &Value) -> Vec<Entry> {
    let message = &record["message"];
    let text = lines::content_texts(&message["content"]).join("\n");
    let entry = |kind| Entry { at: lines::time(record), of: None, kind };
    match message["role"].as_str() {
        Some("user") if !text.is_empty() => vec![entry(EntryKind::UserMessage(text))],
        Some("assistant") => {
            let usage = &message["usage"];
            let tokens = Tokens {
                input: count(usage, &["input", "cacheRead", "cacheWrite"]),
                output: count(usage, &["output"]),
            };
            let part_of = record["id"].as_str().map(str::to_owned);
            let tokens = Some(tokens).filter(|_| usage.is_object());
            let wrote = entry(EntryKind::AgentText { text, part_of, tokens });
            match message["stopReason"].as_str() {
                Some("toolUse") | None => vec![wrote],
                Some(why) => vec![wrote, entry(EntryKind::TurnEnd { aborted: matches!(why, "aborted" | "error") })],
            }
        }
        _ => Vec::new(),
    }
}

/// What the newest record says of a refusal; none where it tells of nothing that was said or answered.
#[allow(clippy::option_option, reason = "a record tells of no refusal, or tells nothing")]
fn refusal(record: &Value) -> Option<Option<Refusal>> {
    let message = record.get("message")?;
    if !matches!(message["role"].as_str(), Some("assistant" | "user")) {
        return None;
    }
    let error = message["errorMessage"].as_str().filter(|_| message["stopReason"] == "error");
    let refused = error.and_then(|text| Some((reason_in(text)?, text.to_owned())));
    Some(refused.map(|(reason, text)| Refusal { reason, at: lines::time(record), text, until: None }))
}

impl Layout for Pi<'_> {
    fn path(&self, id: &str) -> Result<Option<PathBuf>, TranscriptError> {
        let path = self.file(id);
        Ok((lines::length(&path)? > 0).then_some(path))
    }

    fn discover(&self, _since: SystemTime, _pids: &[u32]) -> Result<Vec<String>, TranscriptError> {
        let said = self.said()?.filter(|id| lines::length(&self.file(id)).is_ok_and(|length| length > 0));
        Ok(said.into_iter().collect())
    }

    fn current(&self, _run: &Run<'_>, _known: &str) -> Result<Option<String>, TranscriptError> {
        self.said()
    }

    fn end(&self, id: &str) -> Result<u64, TranscriptError> {
        lines::length(&self.file(id))
    }

    fn messages_after(&self, id: &str, position: u64) -> Result<Vec<String>, TranscriptError> {
        Ok(lines::after(&self.file(id), position)?.iter().flat_map(messages).collect())
    }

    fn messages_since(&self, id: &str, since: SystemTime) -> Result<Vec<String>, TranscriptError> {
        Ok(lines::since(&self.file(id), since)?.iter().flat_map(messages).collect())
    }

    fn activity_files(&self, id: Option<&str>, _pid: u32) -> Result<Vec<PathBuf>, TranscriptError> {
        Ok(id.map(|id| self.file(id)).into_iter().collect())
    }

    fn entries_after(&self, id: &str, position: u64) -> Result<Vec<Entry>, TranscriptError> {
        let records = lines::each_after(&self.file(id), position, |record| Some(entries(record)))?;
        Ok(records.into_iter().flatten().collect())
    }

    fn glance(&self, _id: &str, path: PathBuf) -> Result<Glance, TranscriptError> {
        lines::glance(path, |record| entries(record).into_iter().next())
    }

    fn refused(&self, id: &str) -> Result<Option<Refusal>, TranscriptError> {
        Ok(lines::last(&self.file(id), refusal)?.flatten())
    }

    fn last_activity(&self, id: Option<&str>, _pid: u32) -> Result<Option<SystemTime>, TranscriptError> {
        Ok(id.map(|id| lines::last_time(&self.file(id))).transpose()?.flatten())
    }

    fn turn_in_progress(&self, id: Option<&str>, pid: u32) -> Result<Option<bool>, TranscriptError> {
        let Some(id) = id else { return Ok(None) };
        super::turn_of(pid, lines::last(&self.file(id), |record| Some((turn(record)?, lines::time(record)?)))?)
    }
}

//! The conversation on disk, in Claude Code's layout: `$CLAUDE_CONFIG_DIR/projects/SLUG/ID.jsonl`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::{Value, json};

/// The length at which Claude Code cuts the directory's name and appends a hash of the path.
const SLUG_CUT: usize = 200;

/// One conversation.
pub(crate) struct Transcript {
    id: String,
    cwd: PathBuf,
    path: PathBuf,
    /// The number of user messages in it.
    turns: usize,
}

impl Transcript {
    /// A new conversation; its file appears with its first message.
    pub(crate) fn fresh(id: &str) -> Result<Self, String> {
        let (cwd, path) = place(id)?;
        Ok(Self { id: id.to_owned(), cwd, path, turns: 0 })
    }

    /// Opens the conversation with this id, or returns why that is not possible.
    pub(crate) fn resume(id: &str) -> Result<Self, String> {
        let (cwd, path) = place(id)?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(format!("no conversation found with session ID: {id}"));
            }
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let turns = records.filter(|record| record["type"] == "user").count();
        Ok(Self { id: id.to_owned(), cwd, path, turns })
    }

    /// Writes to a status file which conversation this process is in.
    pub(crate) fn tell(&self) -> io::Result<()> {
        let path = status_file()?;
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut status = json!({ "pid": std::process::id(), "sessionId": self.id, "cwd": self.cwd, "status": "idle" });
        // Field 22 of the line; the name before it may hold spaces, and ends with the last parenthesis.
        if let Ok(stat) = fs::read_to_string("/proc/self/stat")
            && let Some(start) = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19))
        {
            status["procStart"] = start.into();
        }
        let beside = path.with_extension("new");
        fs::write(&beside, status.to_string())?;
        fs::rename(beside, path)
    }

    /// The id of the conversation.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The number of user messages in it.
    pub(crate) fn turns(&self) -> usize {
        self.turns
    }

    /// Records a user message.
    pub(crate) fn user(&mut self, text: &str) -> io::Result<()> {
        self.append("user", &json!({ "message": { "role": "user", "content": text } }))?;
        self.turns += 1;
        Ok(())
    }

    /// Records a message that queues during a turn.
    pub(crate) fn queued(&self, text: &str) -> io::Result<()> {
        self.append("queue-operation", &json!({ "operation": "enqueue", "content": text }))
    }

    /// Records an answer, with the tokens that a model would have used, and the end of the turn.
    pub(crate) fn assistant(&self, text: &str) -> io::Result<()> {
        let content = json!([{ "type": "text", "text": text }]);
        let usage = json!({ "input_tokens": 10, "output_tokens": 3 });
        let message = json!({
            "id": uuid::Uuid::new_v4().to_string(),
            "role": "assistant",
            "content": content,
            "stop_reason": "end_turn",
            "usage": usage,
        });
        self.append("assistant", &json!({ "message": message }))?;
        self.append("system", &json!({ "subtype": "turn_duration", "durationMs": 1 }))
    }

    /// Writes down that the service refused, because a usage limit is reached.
    pub(crate) fn limited(&self, text: &str) -> io::Result<()> {
        let message = json!({
            "id": uuid::Uuid::new_v4().to_string(),
            "model": "<synthetic>",
            "role": "assistant",
            "content": [{ "type": "text", "text": text }],
        });
        self.append("assistant", &json!({ "message": message, "isApiErrorMessage": true, "error": "rate_limit" }))?;
        self.append("system", &json!({ "subtype": "turn_duration", "durationMs": 1 }))
    }

    fn append(&self, kind: &str, more: &Value) -> io::Result<()> {
        let mut record = json!({
            "type": kind,
            "uuid": uuid::Uuid::new_v4().to_string(),
            "timestamp": humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            "cwd": self.cwd,
            "sessionId": self.id,
            "version": env!("CARGO_PKG_VERSION"),
        });
        if let (Some(record), Some(more)) = (record.as_object_mut(), more.as_object()) {
            record.extend(more.clone());
        }
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(format!("{record}\n").as_bytes())
    }
}

fn status_file() -> io::Result<PathBuf> {
    Ok(config()?.join(format!("sessions/{}.json", std::process::id())))
}

/// Removes the status file, as a real agent does when it exits by itself.
pub(crate) fn hush() -> io::Result<()> {
    fs::remove_file(status_file()?)
}

/// The directory of conversations. There is no default: a toy must never write among the user's real conversations.
fn config() -> io::Result<PathBuf> {
    let root = std::env::var_os("CLAUDE_CONFIG_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    root.ok_or_else(|| io::Error::other("CLAUDE_CONFIG_DIR is not set; it says where the conversation is kept"))
}

/// The working directory with links resolved, and the transcript's path for it.
fn place(id: &str) -> Result<(PathBuf, PathBuf), String> {
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(format!("invalid session ID: {id:?}"));
    }
    let root = config().map_err(|error| error.to_string())?;
    let cwd = std::env::current_dir().map_err(|error| format!("cannot tell the working directory: {error}"))?;
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let mut slug: String = cwd.to_string_lossy().chars().map(letter).collect();
    if slug.len() > SLUG_CUT {
        slug.truncate(SLUG_CUT);
        slug.push_str("-demo");
    }
    let path = root.join("projects").join(slug).join(format!("{id}.jsonl"));
    Ok((cwd, path))
}

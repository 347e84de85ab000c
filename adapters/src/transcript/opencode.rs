//! opencode: one sqlite database for all conversations, and one log file that all its processes append to.
//!
//! # Source
//! opencode 1.18.33, run in tmux. The database shows which conversations began in a directory, but not which process
//! has which; nor does any option, and two peers in one directory must never take each other's. The log does: each line
//! has the writer's `run=XXXXXXXX`, a random number of the process, and there is a `message=loop session.id=ses_…` for
//! each turn. The kernel shows which number belongs to which process: the offset of a file opened to append is the end
//! of the last line that *this* process wrote (`/proc/PID/fdinfo`; seen with two opencodes in one directory).

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;

use super::entries::{count, first_words};
use super::refusal::reason_in;
use super::{
    Entry, EntryKind, Files, Glance, Layout, Refusal, RefusedFor, Run, Tokens, TranscriptError, database, lines,
};
use crate::{file, process};

pub(super) struct Opencode<'a>(pub(super) Files<'a>);

/// The part of the log that may contain the line before an offset: lines are under 4 KiB, except for an error with a
/// stack.
const LINE: u64 = 64 << 10;

impl Opencode<'_> {
    fn data(&self) -> PathBuf {
        let data = self.0.directory("XDG_DATA_HOME").unwrap_or_else(|| self.0.home.join(".local/share"));
        data.join("opencode")
    }

    fn database(&self) -> PathBuf {
        // An absolute path replaces the directory, as it does in opencode.
        self.data().join(self.0.directory("OPENCODE_DB").unwrap_or_else(|| "opencode.db".into()))
    }

    /// Queries the database; `None` if it does not exist yet.
    fn ask<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<Option<T>, TranscriptError> {
        database::ask(&self.database(), query)
    }

    /// Returns `true` if the conversation is one with a user (not a sub-agent's) that began in this directory.
    fn is_ours(&self, id: &str) -> Result<bool, TranscriptError> {
        let sql = "select directory from session where id = ?1 and parent_id is null";
        let row = self.ask(|db| db.query_row(sql, [id], |row| row.get::<_, String>(0)).optional())?;
        Ok(row.flatten().is_some_and(|directory| Path::new(&directory) == self.0.cwd))
    }

    fn log(&self) -> PathBuf {
        self.data().join("log/opencode.log")
    }

    fn runs_of(&self, pid: u32) -> Result<Vec<String>, TranscriptError> {
        let log = self.log();
        runs_of(pid, &log).map_err(TranscriptError::io(&log))
    }

    /// Returns the conversation of the newest turn that one process, identified by its numbers in the log, began after
    /// `since`. A conversation that is `known` to be its own is not looked up in the database.
    fn newest_of(
        &self,
        runs: &[String],
        since: SystemTime,
        known: Option<&str>,
    ) -> Result<Option<String>, TranscriptError> {
        if runs.is_empty() {
            return Ok(None);
        }
        let log = self.log();
        let found = lines::last_line(&log, |line| {
            let word = |key: &str| line.split_ascii_whitespace().find_map(|word| word.strip_prefix(key));
            let time = humantime::parse_rfc3339(word("timestamp=")?).ok()?;
            if time < since {
                return Some(None);
            }
            if !runs.iter().any(|run| Some(run.as_str()) == word("run=")) || word("message=") != Some("loop") {
                return None;
            }
            let id = word("session.id=")?;
            // A failed query must not lead to an earlier conversation; it is repeated below.
            (known == Some(id) || self.is_ours(id).unwrap_or(true)).then(|| Some(id.to_owned()))
        })?;
        match found.flatten() {
            Some(id) if known == Some(&id) || self.is_ours(&id)? => Ok(Some(id)),
            _ => Ok(None),
        }
    }
}

/// Returns the random numbers under which a process writes the log: one for each of its descriptors that has written.
/// None where the kernel does not show the descriptors of another process (macOS).
fn runs_of(pid: u32, log: &Path) -> io::Result<Vec<String>> {
    let Ok(log_path) = log.canonicalize() else { return Ok(Vec::new()) };
    let mut runs = Vec::new();
    for (descriptor, _) in process::open_files(pid).into_iter().filter(|(_, path)| *path == log_path) {
        let info = format!("/proc/{pid}/fdinfo/{descriptor}");
        let Ok(info) = file::read_to_string(Path::new(&info), file::MOST) else { continue };
        let offset = info.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok()).unwrap_or(0);
        if let Some(line) = line_ending_at(&log_path, offset)? {
            runs.extend(line.split_ascii_whitespace().find_map(|word| word.strip_prefix("run=")).map(str::to_owned));
        }
    }
    Ok(runs)
}

/// Returns the last complete line before a byte offset, if one begins in the part that is read.
fn line_ending_at(path: &Path, offset: u64) -> io::Result<Option<String>> {
    let start = offset.saturating_sub(LINE);
    let bytes = file::part(&file::open(path)?, start, offset - start)?;
    let text = String::from_utf8_lossy(&bytes);
    // A stack trace spans several lines; the line that begins it has the number.
    Ok(text.lines().rev().find(|line| line.starts_with("timestamp=")).map(str::to_owned))
}

/// How many messages of a conversation are read (the newest), and how long a part of them may be: as much as of a file.
const MOST_MESSAGES: i64 = 4096;
/// How many messages from the beginning are searched for the first words of a user.
const MOST_AT_FIRST: i64 = 64;
const MOST_TEXT: i64 = 1 << 20;

/// Returns the entries for a message and its texts. The last answer of a turn makes two entries.
///
/// # Source
/// opencode 1.18.33: an answer names the message that was the newest when it began (`parentID`), and has `finish` when
/// it is complete; with `tool-calls` another one follows.
fn entries(id: String, data: &Value, text: String) -> Vec<Entry> {
    let at = data["time"]["created"].as_i64().map(milliseconds);
    if data["role"] == "user" {
        return if text.is_empty() {
            Vec::new()
        } else {
            vec![Entry { at, of: Some(id), kind: EntryKind::UserMessage(text) }]
        };
    }
    let of = data["parentID"].as_str().map(str::to_owned);
    let usage = &data["tokens"];
    let cached = count(&usage["cache"], &["read", "write"]);
    let tokens = Tokens { input: count(usage, &["input"]).saturating_add(cached), output: count(usage, &["output"]) };
    let tokens = Some(tokens).filter(|_| usage.is_object());
    let done = data["time"]["completed"].as_i64().map(milliseconds);
    let aborted = data.get("error").is_some_and(|error| !error.is_null());
    let over = aborted || (done.is_some() && data["finish"] != "tool-calls");
    let wrote =
        Entry { at: done.or(at), of: of.clone(), kind: EntryKind::AgentText { text, part_of: Some(id), tokens } };
    let over = over.then(|| Entry { at: done.or(at), of, kind: EntryKind::TurnEnd { aborted } });
    std::iter::once(wrote).chain(over).collect()
}

fn milliseconds(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms.try_into().unwrap_or(0))
}

impl Opencode<'_> {
    /// Returns the entries of up to `most` messages after a position, per message: the newest first (`desc`) or the oldest
    /// (`asc`).
    fn rows(&self, id: &str, position: u64, order: &str, most: i64) -> Result<Vec<Vec<Entry>>, TranscriptError> {
        let sql = format!(
            "select id, data, (select group_concat(text, char(10)) from (select json_extract(part.data, '$.text') as text \
                   from part where part.message_id = message.id and json_extract(part.data, '$.type') = 'text' \
                   and length(part.data) < ?4 and json_extract(part.data, '$.synthetic') is not 1 order by part.id limit 64)) \
                   from message where session_id = ?1 and time_created > ?2 and length(data) < ?4 \
                   order by time_created {order}, id {order} limit ?3"
        );
        let after = i64::try_from(position).unwrap_or(i64::MAX);
        let rows = self.ask(|db| {
            let mut statement = db.prepare(&sql)?;
            let rows = statement.query_map((id, after, most, MOST_TEXT), |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
            })?;
            let mut room = lines::MAX_WINDOW;
            let fits = |row: &rusqlite::Result<(String, String, Option<String>)>| {
                let length =
                    row.as_ref().map_or(0, |(_, data, text)| data.len() + text.as_ref().map_or(0, String::len));
                room = room.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
                room > 0
            };
            rows.take_while(fits).collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let read = |(id, data, text): (String, String, Option<String>)| {
            let data = serde_json::from_str(&data).ok()?;
            Some(entries(id, &data, text.unwrap_or_default()))
        };
        Ok(rows.unwrap_or_default().into_iter().filter_map(read).collect())
    }
}

impl Layout for Opencode<'_> {
    fn path(&self, id: &str) -> Result<Option<PathBuf>, TranscriptError> {
        let sql = "select 1 from session where id = ?1";
        let known = self.ask(|db| db.query_row(sql, [id], |_| Ok(())).optional())?.flatten();
        Ok(known.map(|()| self.database()))
    }

    fn is_of_here(&self, id: &str) -> Result<bool, TranscriptError> {
        self.is_ours(id)
    }

    fn discover(&self, since: SystemTime, pids: &[u32]) -> Result<Vec<String>, TranscriptError> {
        let newest = |pid: &u32| self.newest_of(&self.runs_of(*pid)?, since, None);
        pids.iter().filter_map(|pid| newest(pid).transpose()).collect()
    }

    /// The random numbers under which they write the log, from their start on.
    fn process_markers(&self, pids: &[u32]) -> Result<Vec<String>, TranscriptError> {
        let mut process_markers = Vec::new();
        for pid in pids {
            process_markers.extend(self.runs_of(*pid)?);
        }
        Ok(process_markers)
    }

    fn of_markers(&self, since: SystemTime, process_markers: &[String]) -> Result<Vec<String>, TranscriptError> {
        Ok(self.newest_of(process_markers, since, None)?.into_iter().collect())
    }

    /// A conversation begun with `/new` is found with its first message: it does not exist before that.
    fn current(&self, run: &Run<'_>, known: &str) -> Result<Option<String>, TranscriptError> {
        let mut runs = self.process_markers(run.pids)?;
        if runs.is_empty() {
            runs = run.process_markers.to_vec();
        }
        self.newest_of(&runs, run.since, Some(known))
    }

    fn end(&self, id: &str) -> Result<u64, TranscriptError> {
        let sql = "select coalesce(max(time_created), 0) from message where session_id = ?1";
        let newest = self.ask(|db| db.query_row(sql, [id], |row| row.get::<_, i64>(0)))?;
        Ok(newest.and_then(|ms| ms.try_into().ok()).unwrap_or(0))
    }

    fn messages_since(&self, id: &str, since: SystemTime) -> Result<Vec<String>, TranscriptError> {
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        self.messages_after(id, u64::try_from(since).unwrap_or(u64::MAX).saturating_sub(1))
    }

    fn messages_after(&self, id: &str, position: u64) -> Result<Vec<String>, TranscriptError> {
        let sql = "select part.data from part join message on message.id = part.message_id \
                   where message.session_id = ?1 and message.time_created > ?2 \
                   and json_extract(message.data, '$.role') = 'user' order by part.time_created";
        let after = i64::try_from(position).unwrap_or(i64::MAX);
        let rows = self.ask(|db| {
            let mut statement = db.prepare(sql)?;
            let rows = statement.query_map((id, after), |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        })?;
        let text = |row: String| serde_json::from_str::<Value>(&row).ok()?.get("text")?.as_str().map(str::to_owned);
        Ok(rows.unwrap_or_default().into_iter().filter_map(text).collect())
    }

    /// Writes go to the database's write-ahead log first.
    fn activity_files(&self, _id: Option<&str>, _pid: u32) -> Result<Vec<PathBuf>, TranscriptError> {
        let mut log = self.database().into_os_string();
        log.push("-wal");
        Ok(vec![log.into(), self.database()])
    }

    fn entries_after(&self, id: &str, position: u64) -> Result<Vec<Entry>, TranscriptError> {
        let mut newest = self.rows(id, position, "desc", MOST_MESSAGES)?;
        newest.reverse();
        Ok(newest.into_iter().flatten().collect())
    }

    fn glance(&self, id: &str, path: PathBuf) -> Result<Glance, TranscriptError> {
        let sql = "select min(time_created), max(time_created) from message where session_id = ?1";
        let times = self.ask(|db| {
            db.query_row(sql, [id], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))
        })?;
        let (first, last) = times.unwrap_or_default();
        let first_words = first_words(self.rows(id, 0, "asc", MOST_AT_FIRST)?.into_iter().flatten());
        Ok(Glance { path, first_at: first.map(milliseconds), last_at: last.map(milliseconds), first_words })
    }

    fn refused(&self, id: &str) -> Result<Option<Refusal>, TranscriptError> {
        let sql = "select data from message where session_id = ?1 order by time_created desc, id desc limit 1";
        let newest = self.ask(|db| db.query_row(sql, [id], |row| row.get::<_, String>(0)).optional())?.flatten();
        let data: Value = newest.and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_default();
        let error = &data["error"]["data"];
        let text = error["message"].as_str().unwrap_or_default().to_owned();
        let at = data["time"]["created"].as_i64().map(milliseconds);
        let reason = match error["statusCode"].as_u64() {
            Some(429) => Some(RefusedFor::UsageLimit),
            Some(401) => Some(RefusedFor::Account),
            _ => reason_in(&text),
        };
        Ok(reason.map(|reason| Refusal { reason, at, text, until: None }))
    }

    fn last_activity(&self, id: Option<&str>, _pid: u32) -> Result<Option<SystemTime>, TranscriptError> {
        let Some(id) = id else { return Ok(None) };
        // The session's own `time_updated` would count a rename; parts are written while an answer streams in.
        let sql = "select max(time_updated) from part where session_id = ?1";
        let newest = self.ask(|db| db.query_row(sql, [id], |row| row.get::<_, Option<i64>>(0)))?;
        Ok(newest.flatten().map(milliseconds))
    }

    fn turn_in_progress(&self, id: Option<&str>, pid: u32) -> Result<Option<bool>, TranscriptError> {
        let Some(id) = id else { return Ok(None) };
        // An answer is complete when it says so; with `tool-calls` the next one follows at once.
        let sql = "select json_extract(data, '$.role') = 'user' or json_extract(data, '$.time.completed') is null \
                   or json_extract(data, '$.finish') = 'tool-calls', time_created \
                   from message where session_id = ?1 order by time_created desc, id desc limit 1";
        let newest = self
            .ask(|db| db.query_row(sql, [id], |row| Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?))).optional())?;
        super::turn_of(pid, newest.flatten().map(|(goes_on, ms)| (goes_on, milliseconds(ms))))
    }
}

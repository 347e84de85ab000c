//! Codex: `~/.codex/sessions/Y/M/D/rollout-TIME-ID.jsonl`.
//!
//! # Source
//! Codex 0.169.0, run in tmux with `--no-daemon`: the process holds `thread-writer-locks/ID.lock` and the rollout open
//! from its start on, so the kernel shows exactly which process has which. The rollout appears with the first message;
//! the lock exists before it. After `/new`, `/fork` and `/resume` the process also keeps those of the previous
//! conversation: it is in the one that it entered last or in which the user spoke last. `/resume` removes the lock of the
//! chosen conversation and makes it anew, so a lock's time is when its conversation was entered. When the process has
//! ended, its log shows which it had: rows of `logs_2.sqlite` have `process_uuid` and `thread_id`, and those written while
//! it entered an older one name `thread/resume`. Without `--no-daemon` a daemon that all of a user's Codexes share holds
//! them.

use std::collections::HashMap;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{Entry, Files, Glance, Layout, Refusal, Run, TranscriptError, folder, lines};
use crate::process;

mod record;

use record::{entry, messages, refusal, tidy, turn};

pub(super) struct Codex<'a>(pub(super) Files<'a>);

impl Codex<'_> {
    fn home(&self) -> PathBuf {
        self.0.directory("CODEX_HOME").unwrap_or_else(|| self.0.home.join(".codex"))
    }

    fn sessions(&self) -> PathBuf {
        self.home().join("sessions")
    }

    fn locks(&self) -> PathBuf {
        self.home().join("thread-writer-locks")
    }

    fn locked_by(&self, pids: &[u32]) -> Vec<String> {
        locked_by(&self.locks(), pids)
    }

    /// Returns when a live process entered these conversations, whose locks it holds.
    fn entered(&self, ids: &[String]) -> Entered {
        let at = |id: &String| self.locks().join(format!("{id}.lock")).metadata().and_then(|lock| lock.modified()).ok();
        ids.iter().filter_map(|id| Some((id.clone(), at(id)?))).collect()
    }

    /// Returns the conversations in the log entries of one process from `since` on: the process that had `known` then.
    #[cfg(feature = "sqlite")]
    fn logged_beside(&self, known: &str, since: SystemTime) -> Result<Vec<String>, TranscriptError> {
        let sql = "select distinct thread_id from logs where thread_id is not null and ts >= ?2 and process_uuid in \
                   (select process_uuid from logs where thread_id = ?1 and ts >= ?2)";
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        let logged = super::database::ask(&self.home().join("logs_2.sqlite"), |db| {
            let mut statement = db.prepare(sql)?;
            let rows = statement.query_map((known, since), |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        });
        // The table of another version, or none: the recorded process markers have to suffice.
        match logged {
            Err(TranscriptError::Database { .. }) => Ok(Vec::new()),
            logged => logged.map(Option::unwrap_or_default),
        }
    }

    /// Returns the older conversations that one process entered from `since` on, by its log, and when: the process that had
    /// `known` then.
    #[cfg(feature = "sqlite")]
    fn resumed_beside(&self, known: &str, since: SystemTime) -> Result<Entered, TranscriptError> {
        let sql = "select thread_id, max(ts * 1000 + ts_nanos / 1000000) from logs where thread_id is not null and ts >= ?2 \
                   and process_uuid in (select process_uuid from logs where thread_id = ?1 and ts >= ?2) \
                   and instr(feedback_log_body, 'rpc.method=\"thread/resume\"') group by thread_id";
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        let logged = super::database::ask(&self.home().join("logs_2.sqlite"), |db| {
            let mut statement = db.prepare(sql)?;
            let at = |ms: i64| SystemTime::UNIX_EPOCH + Duration::from_millis(ms.try_into().unwrap_or(0));
            let rows = statement.query_map((known, since), |row| Ok((row.get(0)?, at(row.get(1)?))))?;
            rows.collect::<rusqlite::Result<Entered>>()
        });
        match logged {
            Err(TranscriptError::Database { .. }) => Ok(Entered::new()),
            logged => logged.map(Option::unwrap_or_default),
        }
    }

    #[cfg(not(feature = "sqlite"))]
    #[allow(clippy::unnecessary_wraps, reason = "the signature of the one that reads the log")]
    fn resumed_beside(&self, _known: &str, _since: SystemTime) -> Result<Entered, TranscriptError> {
        Ok(Entered::new())
    }

    /// This build cannot read Codex's log: the process markers have to do.
    #[cfg(not(feature = "sqlite"))]
    #[allow(clippy::unnecessary_wraps, reason = "the signature of the one that reads the log")]
    fn logged_beside(&self, _known: &str, _since: SystemTime) -> Result<Vec<String>, TranscriptError> {
        Ok(Vec::new())
    }

    fn rollout(&self, id: &str) -> Result<Option<PathBuf>, TranscriptError> {
        find(&self.sessions(), &format!("-{id}.jsonl"), 3)
    }

    /// Returns the state of a conversation that a run has or had; `None` if it is not one with a user in this
    /// directory.
    fn stage(&self, id: &str) -> Result<Option<ConversationState>, TranscriptError> {
        let begun = begun(id);
        let first = self.rollout(id)?.map(|path| lines::first(&path).map(|line| line.map(|line| (path, line))));
        // Without a rollout, or while its first line is being written.
        let Some((path, first)) = first.transpose()?.flatten() else {
            return Ok(Some(ConversationState { id: id.to_owned(), spoke: begun, said: false, in_turn: false }));
        };
        if !self.begins_ours(&first) {
            return Ok(None);
        }
        let started = lines::last(&path, |record| lines::time(record).filter(|_| turn(record) == Some(true)))?;
        let in_turn = lines::last(&path, turn)?.unwrap_or(false);
        let spoke = started.map_or(begun, |started| started.max(begun));
        Ok(Some(ConversationState { id: id.to_owned(), spoke, said: true, in_turn }))
    }

    /// Of these conversations of one process, returns the current one: the one in which the newest turn began, or which
    /// itself began, or was `entered`, after that. A conversation in which nothing was said counts only for a live run, and only while no
    /// turn of that run is in progress: otherwise it may be a sub-agent's that is just starting. `lives_since` is the
    /// start of such a run.
    ///
    /// `None` if that one is older than `known`, the current one so far: what is unreadable at this moment is not left.
    fn latest(
        &self,
        ids: &[String],
        known: Option<&str>,
        entered: &Entered,
        lives_since: Option<SystemTime>,
    ) -> Result<Option<String>, TranscriptError> {
        let mut stages = Vec::new();
        for id in ids {
            stages.extend(self.stage(id)?);
        }
        let idle = |since| !stages.iter().any(|stage| stage.in_turn && stage.spoke >= since);
        let unsaid = lives_since.is_some_and(idle);
        let moved = |stage: &ConversationState| entered.get(&stage.id).map_or(stage.spoke, |at| stage.spoke.max(*at));
        let newest = stages.into_iter().filter(|stage| stage.said || unsaid).max_by_key(|stage| moved(stage));
        Ok(newest.filter(|stage| known.is_none_or(|known| moved(stage) >= begun(known))).map(|stage| stage.id))
    }

    /// Returns `true` if the rollout is a conversation with a user in this directory, and not a sub-agent's.
    fn is_ours(&self, path: &Path) -> Result<bool, TranscriptError> {
        Ok(lines::first(path)?.is_some_and(|first| self.begins_ours(&first)))
    }

    /// [`Codex::is_ours`] by the first line of the rollout.
    fn begins_ours(&self, first: &Value) -> bool {
        let field = |name: &str| first.get("payload")?.get(name);
        // A sub-agent's `source` is an object that names its parent.
        let by_person = field("source").is_none_or(Value::is_string);
        by_person && field("cwd").and_then(Value::as_str).is_some_and(|cwd| Path::new(cwd) == self.0.cwd)
    }
}

/// When conversations were entered, by their ids.
type Entered = HashMap<String, SystemTime>;

/// The state of a conversation.
struct ConversationState {
    id: String,
    /// When a user last spoke in it, or when it began.
    spoke: SystemTime,
    said: bool,
    in_turn: bool,
}

/// Returns when a conversation began, by its id: a version 7 UUID, whose first 48 bits are milliseconds.
fn begun(id: &str) -> SystemTime {
    let digits: String = id.chars().filter(|c| *c != '-').collect();
    let version = digits.chars().nth(12);
    let ms = digits.get(..12).filter(|_| version == Some('7')).and_then(|ms| u64::from_str_radix(ms, 16).ok());
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms.unwrap_or(0))
}

/// Finds the file with this ending, `depth` directories below. Searches the newest directory first, as the names are
/// dates.
fn find(dir: &Path, ending: &str, depth: u32) -> Result<Option<PathBuf>, TranscriptError> {
    let mut paths: Vec<PathBuf> = folder::entries(dir)?.iter().map(DirEntry::path).collect();
    if depth == 0 {
        let ends = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ending));
        return Ok(paths.into_iter().find(ends));
    }
    paths.sort();
    for path in paths.into_iter().rev().filter(|path| path.is_dir()) {
        if let Some(found) = find(&path, ending, depth - 1)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Returns the conversations that these processes have locked in `locks`. A conversation has no rollout before its first
/// message.
fn locked_by(locks: &Path, pids: &[u32]) -> Vec<String> {
    // The kernel names files by their resolved paths.
    let Ok(locks) = locks.canonicalize() else { return Vec::new() };
    let id = |file: PathBuf| {
        let is_lock = file.parent().is_some_and(|dir| dir == locks);
        let id = file.file_stem().filter(|_| is_lock).and_then(|stem| stem.to_str());
        // `.coordination.lock` is the lock by which all Codexes coordinate the others.
        id.filter(|id| !id.starts_with('.')).map(str::to_owned)
    };
    let open = pids.iter().flat_map(|pid| process::open_files(*pid));
    open.filter_map(|(_, file)| id(file)).collect()
}

impl Layout for Codex<'_> {
    fn path(&self, id: &str) -> Result<Option<PathBuf>, TranscriptError> {
        self.rollout(id)
    }

    fn discover(&self, _since: SystemTime, pids: &[u32]) -> Result<Vec<String>, TranscriptError> {
        let ids = self.locked_by(pids);
        Ok(self.latest(&ids, None, &self.entered(&ids), None)?.into_iter().collect())
    }

    fn current(&self, run: &Run<'_>, known: &str) -> Result<Option<String>, TranscriptError> {
        let mut ids = self.locked_by(run.pids);
        let lives = !ids.is_empty();
        if !lives {
            ids = self.logged_beside(known, run.since)?;
            ids.extend(run.process_markers.iter().cloned());
            ids.push(known.to_owned());
        }
        if ids.iter().all(|id| id == known) {
            return Ok(None);
        }
        let entered = if lives { self.entered(&ids) } else { self.resumed_beside(known, run.since)? };
        self.latest(&ids, Some(known), &entered, lives.then_some(run.since))
    }

    /// The ids whose locks they hold: no other process ever writes those conversations at the same time.
    fn process_markers(&self, pids: &[u32]) -> Result<Vec<String>, TranscriptError> {
        Ok(self.locked_by(pids))
    }

    fn of_markers(&self, _since: SystemTime, process_markers: &[String]) -> Result<Vec<String>, TranscriptError> {
        Ok(self.latest(process_markers, None, &Entered::new(), None)?.into_iter().collect())
    }

    fn is_of_here(&self, id: &str) -> Result<bool, TranscriptError> {
        self.rollout(id)?.map_or(Ok(false), |path| self.is_ours(&path))
    }

    fn end(&self, id: &str) -> Result<u64, TranscriptError> {
        self.rollout(id)?.map_or(Ok(0), |path| lines::length(&path))
    }

    fn messages_after(&self, id: &str, position: u64) -> Result<Vec<String>, TranscriptError> {
        let Some(path) = self.rollout(id)? else { return Ok(Vec::new()) };
        Ok(lines::after(&path, position)?.iter().flat_map(messages).collect())
    }

    fn messages_since(&self, id: &str, since: SystemTime) -> Result<Vec<String>, TranscriptError> {
        let Some(path) = self.rollout(id)? else { return Ok(Vec::new()) };
        Ok(lines::since(&path, since)?.iter().flat_map(messages).collect())
    }

    fn activity_files(&self, id: Option<&str>, _pid: u32) -> Result<Vec<PathBuf>, TranscriptError> {
        Ok(id.map(|id| self.rollout(id)).transpose()?.flatten().into_iter().collect())
    }

    fn entries_after(&self, id: &str, position: u64) -> Result<Vec<Entry>, TranscriptError> {
        let Some(path) = self.rollout(id)? else { return Ok(Vec::new()) };
        Ok(tidy(lines::each_after(&path, position, entry)?))
    }

    fn glance(&self, _id: &str, path: PathBuf) -> Result<Glance, TranscriptError> {
        lines::glance(path, entry)
    }

    fn refused(&self, id: &str) -> Result<Option<Refusal>, TranscriptError> {
        let Some(path) = self.rollout(id)? else { return Ok(None) };
        Ok(lines::last(&path, refusal)?.flatten())
    }

    fn last_activity(&self, id: Option<&str>, _pid: u32) -> Result<Option<SystemTime>, TranscriptError> {
        let path = id.map(|id| self.rollout(id)).transpose()?.flatten();
        Ok(path.map(|path| lines::last_time(&path)).transpose()?.flatten())
    }

    fn turn_in_progress(&self, id: Option<&str>, pid: u32) -> Result<Option<bool>, TranscriptError> {
        let Some(path) = id.map(|id| self.rollout(id)).transpose()?.flatten() else { return Ok(None) };
        super::turn_of(pid, lines::last(&path, |record| Some((turn(record)?, lines::time(record)?)))?)
    }
}

use std::fs;
use std::time::Duration;

use super::*;
use crate::agent::StatusKind;

#[path = "changes/tests.rs"]
mod changes;
#[path = "entries/tests.rs"]
mod entries;
#[cfg(feature = "sqlite")]
#[path = "opencode/tests.rs"]
mod opencode_database;
#[path = "refusal/tests.rs"]
mod refusals;

/// A home directory with an agent's files, in the layout that the agent was seen to write.
struct Home {
    dir: tempfile::TempDir,
    profile: Profile,
    cwd: PathBuf,
}

const ID: &str = "5d1f6f7e-8a3b-4c2d-9e1f-0a1b2c3d4e5f";
const OTHER: &str = "6d1f6f7e-8a3b-4c2d-9e1f-0a1b2c3d4e5f";

impl Home {
    fn new(agent: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { dir, profile: Profile::builtin(agent).expect(agent), cwd: PathBuf::from("/srv/my.demo") }
    }

    fn files(&self) -> Files<'_> {
        Files { profile: &self.profile, home: self.dir.path(), env: &|_| None, cwd: &self.cwd }
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().expect("has one")).expect("can be made");
        fs::write(&path, text).expect("can be written");
        path
    }
}

fn at(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).expect("a time")
}

/// Our own start time, in Claude Code's format.
fn own_start() -> String {
    crate::process::status(std::process::id()).expect("the kernel answers").expect("lives").id.start.to_string()
}

const CLAUDE: &str = ".claude/projects/-srv-my-demo/5d1f6f7e-8a3b-4c2d-9e1f-0a1b2c3d4e5f.jsonl";
const ROLLOUT: &str =
    ".codex/sessions/2026/11/22/rollout-2026-11-22T00-13-29-5d1f6f7e-8a3b-4c2d-9e1f-0a1b2c3d4e5f.jsonl";

#[test]
fn without_files_there_is_no_conversation_and_nothing_is_accepted() {
    for (agent, _) in crate::agent::BUILTIN {
        let home = Home::new(agent);
        let files = home.files();
        assert_eq!(files.exists(ID).expect("absent is no error"), None, "{agent}");
        let mark = files.mark(Some(ID)).expect("absent is no error");
        assert_eq!(mark.position, 0, "{agent}");
        assert!(!files.accepted(&mark, None, "text").expect("absent is no error"), "{agent}");
        assert_eq!(files.last_activity(Some(ID), 1).expect("absent is no error"), None, "{agent}");
        assert_eq!(files.turn_in_progress(Some(ID), 1).expect("absent is no error"), None, "{agent}");
        let pids = [std::process::id()];
        assert_eq!(files.discover(SystemTime::UNIX_EPOCH, &pids, |_| false).expect("absent is no error"), None);
    }
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_an_absence() {
    let home = Home::new("codex");
    home.write(".codex/sessions", "a file where a directory should be");
    let error = home.files().exists(ID).expect_err("nothing is known").to_string();
    assert!(error.starts_with("cannot read /") && error.contains("/.codex/sessions: "), "{error}");

    let home = Home::new("opencode");
    home.write(".local/share/opencode/opencode.db", "no database at all, but of some length");
    let error = home.files().exists(ID).expect_err("nothing is known").to_string();
    assert!(error.starts_with("cannot query /") && error.contains("opencode.db: "), "{error}");
}

#[test]
fn a_message_counts_only_after_the_mark_and_only_from_a_person() {
    let home = Home::new("claude");
    let said = |text: &str| format!("{{\"type\":\"user\",\"message\":{{\"role\":\"user\",\"content\":{text}}}}}\n");
    let old = said("\"again\"");
    home.write(CLAUDE, &old);
    let files = home.files();
    let mark = files.mark(Some(ID)).expect("readable");
    let accepted = |text: &str| files.accepted(&mark, None, text).expect("readable");
    assert!(!accepted("again"), "said before the mark");

    let answer = "{\"type\":\"assistant\",\"message\":{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}}\n";
    home.write(CLAUDE, &format!("{old}{answer}"));
    assert!(!accepted("hi"), "the agent's own words");

    let parts = said("[{\"type\":\"text\",\"text\":\"two\\nlines\"}]");
    let queued = "{\"type\":\"queue-operation\",\"operation\":\"enqueue\",\"content\":\"wait  for me\"}\n";
    home.write(CLAUDE, &format!("{old}{answer}{parts}{queued}{{\"type\":\"user\",\"mess"));
    assert!(accepted("two\r\nlines\n\n"), "white space at the end is not compared");
    assert!(accepted("wait  for me"), "queued behind a turn");
    assert!(!accepted("wait for me") && !accepted("two\n\nlines"), "within it is");
    assert!(!accepted("two other lines") && !accepted("again") && !accepted("") && !accepted(" \n"));
    // Half a record: the file is being written.
    home.write(CLAUDE, &format!("{old}{}", said("\"again\"")));
    assert!(accepted("again"));
}

#[test]
fn a_mark_taken_before_the_conversation_had_an_id_covers_all_of_it() {
    let home = Home::new("codex");
    let files = home.files();
    let mark = files.mark(None).expect("nothing to read");
    home.write(ROLLOUT, "{\"type\":\"response_item\",\"payload\":{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"first\"}]}}\n");
    assert!(!files.accepted(&mark, None, "first").expect("no id yet"));
    assert!(files.accepted(&mark, Some(ID), "first").expect("readable"));
    assert!(!files.accepted(&mark, Some(OTHER), "first").expect("readable"), "somebody else's transcript");
}

#[test]
fn the_last_time_is_found_behind_records_without_one_and_behind_a_huge_one() {
    let home = Home::new("claude");
    let timed = "{\"type\":\"system\",\"timestamp\":\"2026-11-22T00:25:40.575Z\"}\n";
    let huge = format!("{{\"type\":\"mode\",\"pad\":\"{}\"}}\n", "ä".repeat(400_000));
    home.write(CLAUDE, &format!("{timed}{huge}{{\"type\":\"mode\"}}\n"));
    let active = home.files().last_activity(Some(ID), 1).expect("readable");
    assert_eq!(active, Some(at("2026-11-22T00:25:40.575Z")));
}

#[test]
fn the_last_record_of_any_child_counts_and_no_time_of_a_file() {
    let home = Home::new("claude");
    let children = CLAUDE.replace(".jsonl", "/subagents");
    let record = |time: &str| format!("{{\"type\":\"assistant\",\"isSidechain\":true,\"timestamp\":\"{time}\"}}\n");
    let since = |time: &str| home.files().child_activity(ID, at(time)).expect("readable");
    let early = "2026-11-22T03:00:00Z";
    home.write(&format!("{children}/agent-a1.jsonl"), &record("2026-11-22T03:21:10.323Z"));
    assert_eq!(since(early), None, "no conversation, no children");
    home.write(CLAUDE, &record("2026-11-22T03:20:00Z"));
    assert_eq!(since(early), Some(at("2026-11-22T03:21:10.323Z")));
    // A timed record is not always the last one, and other files next to the transcripts do not count.
    let blob = "{\"type\":\"api-request-blob\"}\n";
    home.write(&format!("{children}/agent-a2.jsonl"), &(record("2026-11-22T03:21:17.207Z") + blob));
    home.write(&format!("{children}/agent-a2.meta.json"), &record("2026-11-22T03:59:00Z"));
    home.write(&format!("{children}/workflows/wf_1/journal.jsonl"), &record("2026-11-22T03:59:00Z"));
    assert_eq!(since(early), Some(at("2026-11-22T03:21:17.207Z")));
    home.write(&format!("{children}/workflows/wf_1/agent-a3.jsonl"), &record("2026-11-22T03:21:18Z"));
    assert_eq!(since(early), Some(at("2026-11-22T03:21:18Z")), "below a folder of their own");
    assert_eq!(since("2026-11-22T03:21:18Z"), None, "all files are new, and nothing in them is");
    assert_eq!(home.files().child_activity(OTHER, at(early)).expect("readable"), None, "another conversation's");
    let codex = Home::new("codex");
    assert_eq!(codex.files().child_activity(ID, at(early)).expect("readable"), None, "its profile names none");
}

#[test]
fn a_child_that_was_not_written_since_is_not_opened() {
    let home = Home::new("claude");
    home.write(CLAUDE, "{}\n");
    let children = CLAUDE.replace(".jsonl", "/subagents");
    let path = home.write(&format!("{children}/agent-a1.jsonl"), "{\"timestamp\":\"2026-11-22T03:21:18Z\"}\n");
    let file = fs::File::options().append(true).open(&path).expect("exists");
    let activity = || home.files().child_activity(ID, at("2026-11-22T03:00:00Z")).expect("readable");
    file.set_modified(at("2026-11-22T02:00:00Z")).expect("can be set");
    assert_eq!(activity(), None, "by its time of change it cannot hold what it holds");
    file.set_modified(at("2026-11-22T03:21:18Z")).expect("can be set");
    assert_eq!(activity(), Some(at("2026-11-22T03:21:18Z")));
    // An unreadable folder proves nothing: a child may be at work there.
    fs::remove_dir_all(home.dir.path().join(&children)).expect("exists");
    home.write(&children, "a file where a directory should be");
    let error = home.files().child_activity(ID, SystemTime::UNIX_EPOCH).expect_err("nothing is known").to_string();
    assert!(error.contains("/subagents: "), "{error}");
}

#[test]
fn claudes_status_file_counts_only_for_the_process_that_wrote_it() {
    let home = Home::new("claude");
    let pid = std::process::id();
    let status = |start: &str, doing: &str| {
        format!(
            "{{\"pid\":{pid},\"sessionId\":\"{ID}\",\"procStart\":\"{start}\",\"status\":\"{doing}\",\
             \"statusUpdatedAt\":1795307140661}}"
        )
    };
    let file = format!(".claude/sessions/{pid}.json");
    home.write(&file, &status(&own_start(), "busy"));
    let files = home.files();
    let find = || files.discover(SystemTime::UNIX_EPOCH, &[pid], |_| false).expect("readable");
    assert_eq!(find(), None, "nothing to resume before the transcript is there");
    home.write(CLAUDE, "{}\n");
    assert_eq!(find().as_deref(), Some(ID));
    assert_eq!(files.discover(SystemTime::UNIX_EPOCH, &[pid], |id| id == ID).expect("readable"), None, "taken");
    for (doing, in_progress) in [("busy", true), ("waiting", true), ("idle", false)] {
        home.write(&file, &status(&own_start(), doing));
        assert_eq!(files.turn_in_progress(Some(ID), pid).expect("readable"), Some(in_progress), "{doing}");
    }
    let updated = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_307_140_661);
    assert_eq!(files.last_activity(Some(ID), pid).expect("readable"), Some(updated));
    // Left behind by an earlier process with the same pid.
    home.write(&file, &status("1", "busy"));
    assert_eq!(files.turn_in_progress(Some(ID), pid).expect("readable"), None);
    assert_eq!(find(), None);
    let directory = files.status_directory().expect("it keeps some");
    let is_busy = |start: u64| {
        let told = status_in(StatusKind::ClaudeSession, &directory, ProcessId { pid, start }).expect("readable");
        told.map(|told| told.busy)
    };
    assert_eq!((is_busy(1), is_busy(2)), (Some(true), None));
}

#[test]
fn claudes_directory_is_moved_by_its_variable() {
    let home = Home::new("claude");
    home.write("elsewhere/projects/-srv-my-demo/x.jsonl", "{}\n");
    let moved = home.dir.path().join("elsewhere");
    let env = |name: &str| (name == "CLAUDE_CONFIG_DIR").then(|| moved.clone().into_os_string());
    let files = Files { env: &env, ..home.files() };
    assert!(files.exists("x").expect("readable").is_some_and(|path| path.starts_with(&moved)));
    assert_eq!(home.files().exists("x").expect("readable"), None);
}

#[test]
fn codexs_turn_is_over_when_it_says_so_or_its_process_is_another() {
    let home = Home::new("codex");
    let event = |time: &str, kind: &str| {
        format!("{{\"timestamp\":\"{time}\",\"type\":\"event_msg\",\"payload\":{{\"type\":\"{kind}\"}}}}\n")
    };
    let pid = std::process::id();
    let turn = |text: String| {
        home.write(ROLLOUT, &text);
        home.files().turn_in_progress(Some(ID), pid).expect("readable")
    };
    let (past, future) = ("2001-01-01T00:00:00Z", "2101-01-01T00:00:00Z");
    assert_eq!(turn(event(future, "task_started") + &event(future, "token_count")), Some(true));
    assert_eq!(turn(event(future, "task_started") + &event(future, "task_complete")), Some(false));
    assert_eq!(turn(event(future, "task_started") + &event(future, "turn_aborted")), Some(false));
    assert_eq!(turn(event(past, "task_started")), Some(false), "begun by a process that was killed");
    assert_eq!(home.files().last_activity(Some(ID), pid).expect("readable"), Some(at(past)));
}

#[cfg(target_os = "linux")]
#[test]
fn codexs_conversation_is_the_one_whose_lock_the_process_holds() {
    let home = Home::new("codex");
    let meta = |cwd: &str, source: &str| {
        format!("{{\"type\":\"session_meta\",\"payload\":{{\"id\":\"{ID}\",\"cwd\":\"{cwd}\",\"source\":{source}}}}}\n")
    };
    let lock = home.write(&format!(".codex/thread-writer-locks/{ID}.lock"), "");
    let _held = fs::File::open(&lock).expect("exists");
    let find = || home.files().discover(SystemTime::UNIX_EPOCH, &[std::process::id()], |_| false).expect("readable");
    assert_eq!(find(), None, "no rollout yet: nothing was said");
    home.write(ROLLOUT, &meta("/srv/my.demo", "\"cli\""));
    assert_eq!(find().as_deref(), Some(ID));
    home.write(ROLLOUT, &meta("/srv/other", "\"cli\""));
    assert_eq!(find(), None, "another directory's");
    home.write(ROLLOUT, &meta("/srv/my.demo", "{\"subagent\":\"review\"}"));
    assert_eq!(find(), None, "a sub-agent's");
}

#[cfg(target_os = "linux")]
#[test]
fn codexs_lock_tells_its_conversation_when_nobody_holds_it_any_more() {
    let home = Home::new("codex");
    let meta = |cwd: &str| {
        format!("{{\"type\":\"session_meta\",\"payload\":{{\"id\":\"{ID}\",\"cwd\":\"{cwd}\",\"source\":\"cli\"}}}}\n")
    };
    let locks = ".codex/thread-writer-locks";
    let lock = home.write(&format!("{locks}/{ID}.lock"), "");
    let held = [fs::File::open(lock), fs::File::open(home.write(&format!("{locks}/.coordination.lock"), ""))];
    let process_markers = || home.files().process_markers(&[std::process::id()]).expect("readable");
    let noted = process_markers();
    assert_eq!(noted, [ID], "before its first message");
    drop(held);
    assert_eq!(process_markers(), Vec::<String>::new());
    let by_markers =
        |taken: bool| home.files().by_markers(SystemTime::UNIX_EPOCH, &noted, |_| taken).expect("readable");
    assert_eq!(by_markers(false), None, "nothing was ever said");
    home.write(ROLLOUT, &meta("/srv/my.demo"));
    assert_eq!((by_markers(false).as_deref(), by_markers(true)), (Some(ID), None));
    home.write(ROLLOUT, &meta("/srv/other"));
    assert_eq!(by_markers(false), None, "another directory's");
    let none = Home::new("claude");
    assert_eq!(none.files().by_markers(SystemTime::UNIX_EPOCH, &noted, |_| false).expect("readable"), None);
}

#[test]
fn pis_transcript_is_where_pi_itself_would_look() {
    let home = Home::new("pi");
    let root = home.dir.path().join(".pi/agent/sessions/--srv-my.demo--").join(format!("{ID}.jsonl"));
    let words = home.files().arguments(Start::Fresh { chosen: Some(ID) });
    assert_eq!(words, ["--session", root.to_str().expect("utf-8")]);
    assert_eq!(home.files().arguments(Start::Resume { conversation: ID }), words);
    let record = |role: &str, stop: &str| {
        format!(
            "{{\"type\":\"message\",\"timestamp\":\"2101-01-01T00:00:00Z\",\"message\":{{\"role\":\"{role}\",\
             \"stopReason\":\"{stop}\",\"content\":[{{\"type\":\"text\",\"text\":\"said\"}}]}}}}\n"
        )
    };
    let file = format!(".pi/agent/sessions/--srv-my.demo--/{ID}.jsonl");
    for (role, stop, goes_on) in
        [("user", "", true), ("assistant", "toolUse", true), ("toolResult", "", true), ("assistant", "stop", false)]
    {
        home.write(&file, &record(role, stop));
        let turn = home.files().turn_in_progress(Some(ID), std::process::id()).expect("readable");
        assert_eq!(turn, Some(goes_on), "{role} {stop}");
    }
    let mark = Mark { conversation: Some(ID.to_owned()), position: 0 };
    assert!(!home.files().accepted(&mark, None, "said").expect("readable"), "the agent's own words");
    assert_eq!(home.files().exists(ID).expect("readable"), Some(root));
}

//! A conversation that changes within a session.

use super::*;

/// A run of this very process.
fn run<'a>(pids: &'a [u32], process_markers: &'a [String]) -> Run<'a> {
    let leader = crate::process::status(std::process::id()).expect("the kernel answers").expect("lives").id;
    Run { since: SystemTime::UNIX_EPOCH, leader: Some(leader), pids, process_markers }
}

#[test]
fn claudes_status_file_tells_of_another_conversation_before_its_transcript_is_there() {
    let home = Home::new("claude");
    let pids = [std::process::id()];
    let current = |run: &Run<'_>| home.files().current(run, ID, |_| false).expect("readable");
    assert_eq!(current(&run(&pids, &[])), None, "no status file");
    let status = |pid: u32, id: &str, start: &str| {
        home.write(
            &format!(".claude/sessions/{pid}.json"),
            &format!("{{\"pid\":{pid},\"sessionId\":\"{id}\",\"procStart\":\"{start}\",\"status\":\"idle\"}}"),
        );
    };
    status(pids[0], ID, &own_start());
    assert_eq!(current(&run(&pids, &[])), None, "still the same");
    status(pids[0], OTHER, &own_start());
    assert_eq!(current(&run(&pids, &[])).as_deref(), Some(OTHER));
    let taken = home.files().current(&run(&pids, &[]), ID, |id| id == OTHER).expect("readable");
    assert_eq!(taken, None, "another peer's");
    assert_eq!(current(&run(&[], &[])).as_deref(), Some(OTHER), "left by the process when it was killed");
    let successor = crate::process::ProcessId { pid: pids[0], start: 1 };
    assert_eq!(current(&Run { leader: Some(successor), ..run(&[], &[]) }), None, "left by another of that number");
    let unstarted = home.dir.path().join(format!(".claude/sessions/{}.json", pids[0]));
    fs::write(unstarted, format!("{{\"sessionId\":\"{OTHER}\",\"status\":\"idle\"}}")).expect("written");
    assert_eq!(current(&run(&pids, &[])), None, "nothing says whose it is");
}

#[test]
fn claudes_own_word_counts_and_not_that_of_one_that_it_started() {
    let home = Home::new("claude");
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep runs");
    let pids = [std::process::id(), child.id()];
    let status = |pid: u32, id: &str| {
        let start = crate::process::status(pid).expect("the kernel answers").expect("lives").id.start;
        home.write(
            &format!(".claude/sessions/{pid}.json"),
            &format!("{{\"sessionId\":\"{id}\",\"procStart\":\"{start}\",\"status\":\"idle\"}}"),
        );
    };
    status(pids[1], OTHER);
    let behind_a_wrapper = home.files().current(&run(&pids, &[]), ID, |_| false);
    status(pids[0], ID);
    let own = home.files().current(&run(&pids, &[]), ID, |_| false);
    child.kill().and_then(|()| child.wait()).expect("it ends");
    assert_eq!(behind_a_wrapper.expect("readable").as_deref(), Some(OTHER));
    assert_eq!(own.expect("readable"), None);
}

/// Claude Code cuts the name of such a directory, and appends a hash.
#[test]
fn claude_is_followed_in_a_directory_whose_name_is_too_long() {
    let home = Home { cwd: PathBuf::from(format!("/srv/{}", "d".repeat(300))), ..Home::new("claude") };
    let dir = format!(".claude/projects/-srv-{}-1a2b3c", "d".repeat(195));
    let write = |id: &str, time: &str| {
        let record = format!(
            "{{\"type\":\"assistant\",\"timestamp\":\"{time}\",\"session_id\":\"{ID}\",\"sessionId\":\"{id}\"}}\n"
        );
        home.write(&format!("{dir}/{id}.jsonl"), &record)
    };
    let before = write(ID, "2026-11-28T14:00:00Z");
    let files = |id: &str| home.files().activity_files(Some(id), 1).expect("readable").pop().expect("its transcript");
    assert_eq!(files(ID), before);
    let planned = files(OTHER);
    assert_eq!(planned, write(OTHER, "2026-11-28T15:00:00Z"), "where the next one will be");
    let since = at("2026-01-01T00:00:00Z");
    let left = home.files().current(&Run { since, ..run(&[], &[]) }, ID, |_| false).expect("readable");
    assert_eq!(left.as_deref(), Some(OTHER));
}

#[test]
fn what_a_claude_that_left_had_written_tells_where_it_was() {
    let home = Home::new("claude");
    let write = |id: &str, origin: &str, time: &str| {
        let record = format!(
            "{{\"type\":\"assistant\",\"timestamp\":\"{time}\",\"session_id\":\"{origin}\",\"sessionId\":\"{id}\"}}\n"
        );
        home.write(&format!(".claude/projects/-srv-my-demo/{id}.jsonl"), &(record + "{\"type\":\"last-prompt\"}\n"));
    };
    let since = at("2026-01-01T00:00:00Z");
    let left = || home.files().current(&Run { since, ..run(&[], &[]) }, ID, |_| false).expect("readable");
    assert_eq!(left(), None);
    write(ID, ID, "2026-11-28T14:00:00Z");
    write(OTHER, "another", "2026-11-28T15:00:00Z");
    assert_eq!(left(), None, "of another process in this directory");
    write(OTHER, ID, "2026-11-28T15:00:00Z");
    assert_eq!(left().as_deref(), Some(OTHER));
    write(ID, ID, "2026-11-28T16:00:00Z");
    assert_eq!(left(), None, "gone back to");
    // It was started with an older conversation, and is known to have continued in this one.
    write(ID, "root", "2026-11-28T16:00:00Z");
    write(OTHER, "root", "2026-11-28T17:00:00Z");
    assert_eq!(left().as_deref(), Some(OTHER));
    write(OTHER, "root", "2025-11-28T17:00:00Z");
    assert_eq!(left(), None, "an earlier start's");
    let lives = [std::process::id()];
    assert_eq!(home.files().current(&Run { since, ..run(&lives, &[]) }, ID, |_| false).expect("readable"), None);
}

/// Codex ids: version 7 UUIDs, which begin with their time; 2026-11-28 14:25:29 and five seconds later.
#[cfg(target_os = "linux")]
const BEGUN: [&str; 2] = ["01a2228b-fbde-73a2-9e83-22db06ce3434", "01a2228c-12c8-7f43-be96-7b79aac791db"];

/// How a rollout begins that a person asked for.
#[cfg(target_os = "linux")]
const PERSON: &str = "\"cli\"";

/// Writes a rollout of Codex with these events.
#[cfg(target_os = "linux")]
fn rollout(home: &Home, id: &str, source: &str, events: &[(&str, &str)]) {
    let mut text = format!(
        "{{\"type\":\"session_meta\",\"payload\":{{\"id\":\"{id}\",\"cwd\":\"/srv/my.demo\",\"source\":{source}}}}}\n"
    );
    let event = |(time, kind): &(&str, &str)| {
        format!("{{\"timestamp\":\"2026-11-28T{time}Z\",\"payload\":{{\"type\":\"{kind}\"}}}}\n")
    };
    text.extend(events.iter().map(event));
    home.write(&format!(".codex/sessions/2026/11/28/rollout-2026-11-28T14-25-29-{id}.jsonl"), &text);
}

#[cfg(target_os = "linux")]
#[test]
fn codex_is_in_the_conversation_that_it_began_last_or_in_which_a_person_spoke_last() {
    let home = Home::new("codex");
    let [old, new] = BEGUN;
    // Codex makes a lock when it enters a conversation.
    let lock = |id: &str, entered: &str| {
        let lock = home.write(&format!(".codex/thread-writer-locks/{id}.lock"), "");
        let lock = fs::File::options().write(true).open(lock).expect("exists");
        let entered = humantime::parse_rfc3339(&format!("2026-11-28T{entered}Z")).expect("a time");
        lock.set_modified(entered).expect("its time is set");
        lock
    };
    let hold = |id: &str| lock(id, if id == old { "14:25:29" } else { "14:25:34" });
    let pids = [std::process::id()];
    let from = |known: &str| home.files().current(&run(&pids, &[]), known, |_| false).expect("readable");
    rollout(&home, old, PERSON, &[("14:25:30", "task_started"), ("14:25:31", "task_complete")]);
    let mut held = vec![hold(old)];
    assert_eq!(from(old), None);
    held.push(hold(new));
    assert_eq!(from(old).as_deref(), Some(new), "begun, and nothing said in it yet");
    let first = home.files().discover(SystemTime::UNIX_EPOCH, &pids, |_| false).expect("readable");
    assert_eq!(first.as_deref(), Some(old), "the only one that could be resumed");
    let path = format!(".codex/sessions/2026/11/28/rollout-2026-11-28T14-25-29-{new}.jsonl");
    for begun in ["", "{\"type\":\"session_meta\",\"payl"] {
        home.write(&path, begun);
        assert_eq!((from(old).as_deref(), from(new)), (Some(new), None), "its first line is being written: {begun:?}");
    }
    rollout(&home, new, "{\"subagent\":\"review\"}", &[]);
    assert_eq!(from(new), None, "nothing is newer than the one that is known");
    std::fs::remove_file(home.dir.path().join(&path)).expect("removed");
    rollout(&home, old, PERSON, &[("14:25:30", "task_started")]);
    assert_eq!(from(old), None, "a turn is in progress: it may be a sub-agent's");
    rollout(&home, new, "{\"subagent\":\"review\"}", &[]);
    assert_eq!(from(old), None, "it is a sub-agent's");
    rollout(&home, old, PERSON, &[("14:25:30", "task_started"), ("14:25:31", "task_complete")]);
    rollout(&home, new, PERSON, &[("14:25:37", "task_started"), ("14:25:38", "task_complete")]);
    assert_eq!((from(old).as_deref(), from(new)), (Some(new), None));
    rollout(&home, old, PERSON, &[("14:25:30", "task_started"), ("14:26:29", "task_started")]);
    assert_eq!((from(new).as_deref(), from(old)), (Some(old), None), "gone back to");
    held.push(lock(new, "14:26:50"));
    assert_eq!(
        (from(old).as_deref(), from(new)),
        (Some(new), None),
        "chosen from its list, and nothing said in it yet"
    );
    held.push(lock(old, "14:26:59"));
    assert_eq!((from(new).as_deref(), from(old)), (Some(old), None), "and the other");
}

#[cfg(target_os = "linux")]
#[test]
fn codex_that_has_ended_is_known_by_its_log_or_by_the_locks_that_it_held() {
    let home = Home::new("codex");
    let [old, new] = BEGUN;
    rollout(&home, new, PERSON, &[("14:25:37", "task_started"), ("14:25:38", "task_complete")]);
    let logs = rusqlite::Connection::open(home.write(".codex/logs_2.sqlite", "")).expect("opens");
    let unnoted = || home.files().current(&run(&[], &[]), old, |_| false).expect("readable");
    rollout(&home, old, PERSON, &[("14:25:30", "task_started")]);
    assert_eq!(unnoted(), None, "a log of another version");
    logs.execute_batch("create table logs (ts integer not null, thread_id text, process_uuid text)").expect("is sql");
    let logged = |thread: &str, process: &str| {
        logs.execute("insert into logs values (1795875937, ?1, ?2)", (thread, process)).expect("is sql");
    };
    logged(old, "pid:1:a");
    logged(new, "pid:2:b");
    assert_eq!(unnoted(), None, "of another process");
    logged(new, "pid:1:a");
    assert_eq!(unnoted().as_deref(), Some(new), "told by its log");
    rollout(&home, old, PERSON, &[("14:25:30", "task_started"), ("14:26:29", "task_started")]);
    let process_markers = [old.to_owned(), new.to_owned()];
    let dead = |known: &str| home.files().current(&run(&[], &process_markers), known, |_| false).expect("readable");
    assert_eq!((dead(new).as_deref(), dead(old)), (Some(old), None), "told by its process_markers");
    let columns =
        "alter table logs add ts_nanos integer not null default 0; alter table logs add feedback_log_body text";
    logs.execute_batch(columns).expect("is sql");
    let entered = |thread: &str, process: &str, at: i64, body: &str| {
        let sql = "insert into logs values (?1, ?2, ?3, 7000000, ?4)";
        logs.execute(sql, (at, thread, process, body)).expect("is sql");
    };
    // 14:26:40, after the last message.
    entered(new, "pid:1:a", 1_795_876_000, "rpc.method=\"turn/start\"");
    assert_eq!(dead(old), None, "written there, and not entered");
    entered(new, "pid:2:b", 1_795_876_000, "rpc.method=\"thread/resume\"");
    assert_eq!(dead(old), None, "entered by another process");
    entered(new, "pid:1:a", 1_795_876_000, "request{rpc.method=\"thread/resume\" rpc.transport=\"in-process\"}");
    assert_eq!((dead(old).as_deref(), dead(new)), (Some(new), None), "chosen from its list before it ended");
}

#[test]
fn pi_says_itself_in_which_file_it_goes_on() {
    let home = Home::new("pi");
    let dir = home.dir.path().join(".pi/agent/sessions/--srv-my.demo--");
    let (said, state) = (home.dir.path().join("said"), home.dir.path().join("state"));
    let env = |name: &str| match name {
        "PEER_STATE_DIR" => Some(state.clone().into_os_string()),
        SAID => Some(said.clone().into_os_string()),
        _ => None,
    };
    let files = Files { env: &env, ..home.files() };
    let words = files.arguments(Start::Fresh { chosen: Some(ID) });
    assert_eq!(words[2..], ["-e", state.join("pi-extension.js").to_str().expect("UTF-8")]);
    let current = || files.current(&run(&[], &[]), ID, |_| false).expect("readable");
    assert_eq!(current(), None, "it has said nothing");
    for (transcript, is) in [
        (dir.join(format!("{ID}.jsonl")), None),
        (dir.join("2026-11-28T14-16-19-923Z_01a2.jsonl"), Some("2026-11-28T14-16-19-923Z_01a2")),
        (home.dir.path().join("elsewhere/x.jsonl"), None),
    ] {
        fs::write(&said, format!("{{\"transcript\":{:?}}}\n", transcript.display().to_string())).expect("written");
        assert_eq!(current().as_deref(), is, "{transcript:?}");
    }
    fs::write(&said, "{\"transcr").expect("written");
    assert_eq!(current(), None, "half-written");
}

#[test]
fn a_message_in_a_conversation_that_began_after_the_mark_is_found_by_its_time() {
    let home = Home::new("claude");
    let said = |time: &str| {
        format!(
            "{{\"type\":\"user\",\"timestamp\":\"{time}\",\"message\":{{\"role\":\"user\",\"content\":\"again\"}}}}\n"
        )
    };
    let files = home.files();
    let since = |time: &str| files.said_since(ID, at(time), " again").expect("readable");
    assert!(!since("2026-11-28T14:00:00Z"), "its transcript is not there yet");
    home.write(CLAUDE, &said("2026-11-28T14:00:00.500Z"));
    assert!(since("2026-11-28T14:00:00Z") && since("2026-11-28T14:00:00.500Z"));
    assert!(!since("2026-11-28T14:00:00.501Z"), "it was said before, in a conversation that was gone back to");
}

//! Records as the real agents wrote them, shortened: a turn, a queued message, a tool call, a turn that was stopped.

use super::*;

/// Summarises the entries.
fn told(files: &Files<'_>, position: u64) -> Vec<String> {
    let short = |entry: Entry| match entry.kind {
        EntryKind::UserMessage(text) => format!("said {text}"),
        EntryKind::QueuedMessage(text) => format!("queued {text}"),
        EntryKind::AgentText { text, tokens, .. } => match tokens {
            Some(tokens) => format!("wrote {text} ({}, {})", tokens.input, tokens.output),
            None => format!("wrote {text}"),
        },
        EntryKind::TurnEnd { aborted } => if aborted { "stopped" } else { "over" }.to_owned(),
    };
    files.entries(ID, position).expect("readable").expect("there").into_iter().map(short).collect()
}

#[test]
fn claude_tells_who_said_what() {
    let home = Home::new("claude");
    let text = r#"{"type":"mode","mode":"normal"}
{"type":"user","isMeta":true,"message":{"role":"user","content":"a caveat"}}
{"type":"user","message":{"role":"user","content":"one"},"timestamp":"2026-11-29T01:49:32.745Z"}
{"type":"attachment","attachment":{"type":"date","date":"2026-11-29"}}
{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"let me look"}],"stop_reason":"tool_use","usage":{"input_tokens":2,"cache_creation_input_tokens":3,"cache_read_input_tokens":5,"output_tokens":7}}}
{"type":"assistant","message":{"id":"m1","content":[{"type":"tool_use","name":"Bash","input":{}}],"stop_reason":"tool_use","usage":{"input_tokens":2,"output_tokens":7}}}
{"type":"user","message":{"role":"user","content":[{"tool_use_id":"t","type":"tool_result","content":"hi"}]},"toolUseResult":{"stdout":"hi"}}
{"type":"queue-operation","operation":"enqueue","content":"two\nlines"}
{"type":"attachment","attachment":{"type":"queued_command","prompt":"in the middle"}}
{"type":"assistant","isSidechain":true,"message":{"id":"s","content":[{"type":"text","text":"a subagent's"}]}}
{"type":"queue-operation","operation":"dequeue"}
{"type":"assistant","message":{"id":"m2","content":[{"type":"text","text":"done"}],"stop_reason":"end_turn"},"timestamp":"2026-11-29T01:49:34.543Z"}
{"type":"system","subtype":"turn_duration","durationMs":2494}
{"type":"user","message":{"role":"user","content":[{"type":"text","text":"two\nlines"}]}}
{"type":"user","message":{"role":"user","content":[{"type":"text","text":"[Request interrupted by user]"}]}}
{"type":"user","message":{"role":"user","content":"<command-name>/clear</command-name>"}}
no record
{"type":"user","mess"#;
    home.write(CLAUDE, text);
    let files = home.files();
    let all = [
        "said one",
        "wrote let me look (10, 7)",
        "wrote  (2, 7)",
        "queued two\nlines",
        "said in the middle",
        "wrote done",
        "over",
        "said two\nlines",
        "stopped",
    ];
    assert_eq!(told(&files, 0), all);
    let behind =
        text.find("{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"two");
    assert_eq!(told(&files, behind.expect("it is there") as u64), all[7..]);
    let glance = files.glance(ID).expect("readable").expect("there");
    assert_eq!(glance.first_words.as_deref(), Some("one"));
    assert_eq!(glance.first_at, Some(at("2026-11-29T01:49:32.745Z")));
    assert_eq!(glance.last_at, Some(at("2026-11-29T01:49:34.543Z")));
}

#[test]
fn codex_tells_who_said_what_and_of_which_turn() {
    let home = Home::new("codex");
    home.write(
        ROLLOUT,
        r#"{"timestamp":"2026-11-29T01:49:27.239Z","type":"session_meta","payload":{"id":"x","cwd":"/srv/my.demo"}}
{"timestamp":"2026-11-29T01:49:27.240Z","type":"event_msg","payload":{"type":"task_started","turn_id":"t1"}}
{"timestamp":"2026-11-29T01:49:27.350Z","type":"response_item","payload":{"type":"message","role":"developer","content":[{"type":"input_text","text":"skills"}]}}
{"timestamp":"2026-11-29T01:49:27.350Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>"}]}}
{"timestamp":"2026-11-29T01:49:27.390Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"<b>one</b>"}],"internal_chat_message_metadata_passthrough":{"turn_id":"t1","content_item_kinds":["user.text"]}}}
{"timestamp":"2026-11-29T01:49:27.403Z","type":"event_msg","payload":{"type":"item_completed","turn_id":"t1","item":{"type":"UserMessage"}}}
{"timestamp":"2026-11-29T01:49:27.500Z","type":"response_item","payload":{"type":"function_call","name":"exec_command"}}
{"timestamp":"2026-11-29T01:49:27.501Z","type":"token_usage_record","payload":{"turn_id":"t1","response_id":"r0","usage":{"input_tokens":1,"output_tokens":2}}}
{"timestamp":"2026-11-29T01:49:27.548Z","type":"response_item","payload":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"done"}],"internal_chat_message_metadata_passthrough":{"turn_id":"t1"}}}
{"timestamp":"2026-11-29T01:49:27.549Z","type":"token_usage_record","payload":{"turn_id":"t1","response_id":"r1","usage":{"input_tokens":10,"output_tokens":11}}}
{"timestamp":"2026-11-29T01:49:27.573Z","type":"event_msg","payload":{"type":"task_complete","turn_id":"t1","last_agent_message":"done","duration_ms":347}}
{"timestamp":"2026-11-29T01:49:43.922Z","type":"event_msg","payload":{"type":"user_message","message":"older"}}
{"timestamp":"2026-11-29T01:49:45.331Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"<turn_aborted>"}],"internal_chat_message_metadata_passthrough":{"turn_id":"t2","content_item_kinds":["generic.turn_aborted"]}}}
{"timestamp":"2026-11-29T01:49:45.338Z","type":"event_msg","payload":{"type":"turn_aborted","turn_id":"t2","reason":"interrupted"}}
"#,
    );
    let files = home.files();
    assert_eq!(
        told(&files, 0),
        ["said <b>one</b>", "wrote  (1, 2)", "wrote done (10, 11)", "over", "said older", "stopped"]
    );
    let of: Vec<_> =
        files.entries(ID, 0).expect("readable").expect("there").into_iter().map(|entry| entry.of).collect();
    let turn = |name: &str| Some(name.to_owned());
    assert_eq!(of, [turn("t1"), turn("t1"), turn("t1"), turn("t1"), None, turn("t2")]);
    assert_eq!(files.glance(ID).expect("readable").expect("there").first_words.as_deref(), Some("<b>one</b>"));
}

#[test]
fn pi_tells_who_said_what() {
    let home = Home::new("pi");
    let path = format!(".pi/agent/sessions/--srv-my.demo--/{ID}.jsonl");
    home.write(
        &path,
        r#"{"type":"session","version":3,"id":"x","timestamp":"2026-11-29T01:49:32.928Z","cwd":"/srv/my.demo"}
{"type":"message","id":"a","timestamp":"2026-11-29T01:49:35.679Z","message":{"role":"user","content":[{"type":"text","text":"one"}]}}
{"type":"message","id":"b","timestamp":"2026-11-29T01:49:36.423Z","message":{"role":"assistant","content":[{"type":"toolCall","name":"bash"}],"usage":{"input":1,"output":2,"cacheRead":3,"cacheWrite":4},"stopReason":"toolUse"}}
{"type":"message","id":"c","timestamp":"2026-11-29T01:49:36.500Z","message":{"role":"toolResult","content":[{"type":"text","text":"hi"}]}}
{"type":"message","id":"d","timestamp":"2026-11-29T01:49:37.423Z","message":{"role":"assistant","content":[{"type":"text","text":"done"}],"stopReason":"stop"}}
{"type":"message","id":"e","timestamp":"2026-11-29T01:49:48.519Z","message":{"role":"user","content":"two"}}
{"type":"message","id":"f","timestamp":"2026-11-29T01:49:49.887Z","message":{"role":"assistant","content":[],"stopReason":"aborted"}}
"#,
    );
    let files = home.files();
    assert_eq!(told(&files, 0), ["said one", "wrote  (8, 2)", "wrote done", "over", "said two", "wrote ", "stopped"]);
    let glance = files.glance(ID).expect("readable").expect("there");
    assert_eq!((glance.first_words.as_deref(), glance.last_at), (Some("one"), Some(at("2026-11-29T01:49:49.887Z"))));
}

/// An opencode whose second message came while the first was being answered.
fn opencode_with_two_messages() -> Home {
    let home = Home::new("opencode");
    let path = home.write(".local/share/opencode/opencode.db", "");
    let db = rusqlite::Connection::open(path).expect("opened");
    db.execute_batch(
        "create table session (id text, directory text, parent_id text);
         create table message (id text, session_id text, time_created integer, data text);
         create table part (id text, message_id text, session_id text, time_created integer, time_updated integer, data text);",
    )
    .expect("made");
    db.execute("insert into session values (?1, '/srv/my.demo', null)", [ID]).expect("written");
    let say = |id: &str, at: i64, data: &str, text: &str| {
        db.execute("insert into message values (?1, ?2, ?3, ?4)", (id, ID, at, data)).expect("written");
        let part = serde_json::json!({ "type": "text", "text": text }).to_string();
        db.execute("insert into part values (?1, ?2, ?3, ?4, ?4, ?5)", (format!("p{id}"), id, ID, at, part))
            .expect("written");
    };
    say("u1", 10, r#"{"role":"user","time":{"created":10}}"#, "one");
    say(
        "a1",
        11,
        r#"{"role":"assistant","parentID":"u1","time":{"created":11,"completed":12},"finish":"tool-calls","tokens":{"input":1,"output":2,"cache":{"read":3,"write":4}}}"#,
        "let me look",
    );
    say("u2", 13, r#"{"role":"user","time":{"created":13}}"#, "two");
    say(
        "a2",
        14,
        r#"{"role":"assistant","parentID":"u2","time":{"created":14,"completed":15},"finish":"stop"}"#,
        "to both",
    );
    say(
        "a3",
        16,
        r#"{"role":"assistant","parentID":"u2","time":{"created":16},"error":{"name":"MessageAbortedError"}}"#,
        "",
    );
    say("a4", 17, r#"{"role":"assistant","parentID":"u2","time":{"created":17}}"#, "so far");
    home
}

#[test]
fn opencode_tells_who_said_what_and_to_which_message() {
    let home = opencode_with_two_messages();
    let files = home.files();
    let all = [
        "said one",
        "wrote let me look (8, 2)",
        "said two",
        "wrote to both",
        "over",
        "wrote ",
        "stopped",
        "wrote so far",
    ];
    assert_eq!(told(&files, 0), all);
    assert_eq!(told(&files, 12), all[2..]);
    let of: Vec<_> =
        files.entries(ID, 12).expect("readable").expect("there").into_iter().map(|entry| entry.of).collect();
    assert!(of.iter().all(|of| of.as_deref() == Some("u2")), "{of:?}");
    let glance = files.glance(ID).expect("readable").expect("there");
    let ms = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
    assert_eq!(
        (glance.first_words.as_deref(), glance.first_at, glance.last_at),
        (Some("one"), Some(ms(10)), Some(ms(17)))
    );
}

#[test]
fn of_a_huge_transcript_the_end_is_read_and_nothing_hostile_is_waited_for() {
    let home = Home::new("claude");
    let said = |text: &str| format!("{{\"type\":\"user\",\"message\":{{\"role\":\"user\",\"content\":\"{text}\"}}}}\n");
    let deep = "[".repeat(100_000);
    let huge = said(&"x".repeat(20 << 20));
    home.write(CLAUDE, &format!("{}{huge}{deep}\n{}", said("first"), said("last")));
    assert_eq!(told(&home.files(), 0), ["said last"]);
    let path = home.write(CLAUDE, "");
    fs::remove_file(&path).expect("ours");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    assert!(home.files().entries(ID, 0).is_err() && home.files().glance(ID).is_err());
    let none = Home::new("claude");
    assert_eq!((none.files().entries(ID, 0).expect("absent"), none.files().glance(ID).expect("absent")), (None, None));
}

use super::*;

fn wrong(text: &str) -> ProfileError {
    match Profile::parse("mine", text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error,
    }
}

#[test]
fn every_built_in_profile_parses() {
    for (name, _) in BUILTIN {
        assert_eq!(Profile::builtin(name).expect(name).name, *name);
    }
    assert!(Profile::builtin("nobody").is_none());
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_one() {
    let error = wrong("description = \"x\"\n\n[quit]\ngrase = \"5s\"\n");
    assert_eq!(
        (error.at, error.key.as_deref(), error.nearest.as_deref()),
        (Some((4, 1)), Some("grase"), Some("grace"))
    );
    let text = error.to_string();
    assert!(text.starts_with("agent profile \"mine\", line 4, column 1: unknown field `grase`"), "{text}");
    assert!(text.ends_with("(did you mean `grace`?)"), "{text}");
    assert_eq!(wrong("description = \"x\"\nzzz = 1\n").nearest, None);
}

#[test]
fn a_bad_value_is_refused_with_its_place_and_key() {
    for (text, at, key, says) in [
        ("[ready]\ntimeout = \"soon\"\n", (2, 11), "timeout", "not a duration"),
        ("busy = [\"(\"]\n", (1, 8), "busy", "not a regular expression"),
        ("interrupt = [\"Hyper\"]\n", (1, 13), "interrupt", "is not a key"),
        ("[environment]\nremove = [\"A B\"]\n", (2, 10), "remove", "not a variable"),
        ("[conversation]\nid = \"guessed\"\n", (2, 6), "id", "unknown variant"),
    ] {
        let error = wrong(text);
        assert_eq!((error.at, error.key.as_deref()), (Some(at), Some(key)), "{error}");
        assert!(error.message.contains(says), "{error}");
    }
}

#[test]
fn what_cannot_work_together_is_refused() {
    for (text, key) in [
        ("command = [\"x\"]\n", "description"),
        ("description = \"x\"\nconversation.id = \"chosen\"\n", "arguments.fresh"),
        ("description = \"x\"\narguments.resume = [\"--continue\"]\n", "arguments.resume"),
        ("description = \"x\"\nconversation.id = \"found\"\n", "conversation.transcript"),
        ("description = \"x\"\nconversation.children = \"{conversation}/*.jsonl\"\n", "conversation.children"),
        ("description = \"x\"\nmessage.accepted = \"transcript\"\n", "message.accepted"),
        ("description = \"x\"\nmessage.accepted = \"composer\"\n", "message.accepted"),
        ("description = \"x\"\n[[dialog]]\nid = \"a\"\nscreen = \"b\"\n", "dialog"),
        ("description = \"x\"\n[composer]\nbelow = \"b\"\n", "composer"),
        ("extends = \"emacs\"\n", "extends"),
    ] {
        assert_eq!(wrong(text).key.as_deref(), Some(key), "{text}");
    }
}

#[test]
fn a_persons_file_changes_a_few_keys_of_a_built_in_one() {
    let text = "extends = \"claude\"\ndescription = \"mine\"\n[quit]\ngrace = \"9s\"\n";
    let mine = Profile::parse("mine", text).expect("is right");
    let base = Profile::builtin("claude").expect("built in");
    assert_eq!((mine.name.as_str(), mine.description.as_str()), ("mine", "mine"));
    assert_eq!(mine.quit.grace, Duration::from_secs(9));
    assert_eq!(mine.quit.steps.len(), base.quit.steps.len());
    assert_eq!(mine.capabilities(), base.capabilities());
}

#[test]
fn arguments_name_the_conversation_exactly() {
    let words = |name: &str, start| Profile::builtin(name).expect("built in").arguments(start, "/t/id.jsonl");
    let fresh = Start::Fresh { chosen: Some("id") };
    let resume = Start::Resume { conversation: "id" };
    assert_eq!(words("claude", fresh), ["--session-id", "id"]);
    assert_eq!(words("claude", resume), ["--resume", "id"]);
    assert_eq!(words("codex", Start::Fresh { chosen: None }), ["--no-daemon"]);
    assert_eq!(words("codex", resume), ["--no-daemon", "resume", "id"]);
    assert_eq!(words("pi", fresh), ["--session", "/t/id.jsonl"]);
    assert_eq!(words("opencode", resume), ["--session", "id"]);
    assert!(words("command", fresh).is_empty());
}

#[test]
fn the_conversation_of_a_start_is_told_from_its_words() {
    let told = |name: &str, words: &[&str]| {
        let argv: Vec<_> = words.iter().map(std::ffi::OsString::from).collect();
        Profile::builtin(name).expect("built in").conversation_in(&argv)
    };
    assert_eq!(told("claude", &["node", "/bin/claude", "--session-id", "id"]).as_deref(), Some("id"));
    assert_eq!(told("claude", &["claude", "--resume", "id"]).as_deref(), Some("id"));
    assert_eq!(told("codex", &["codex", "--no-daemon", "resume", "id"]).as_deref(), Some("id"));
    assert_eq!((told("claude", &["claude"]), told("codex", &["codex", "--no-daemon"])), (None, None));
    assert_eq!(told("command", &["sh"]), None);
}

#[test]
fn what_another_agent_left_is_removed_and_a_persons_setting_is_not() {
    for (name, _) in BUILTIN {
        let profile = Profile::builtin(name).expect("built in");
        let removes = |variable| profile.removes(variable, |_| false);
        for gone in ["CLAUDECODE", "CLAUDE_CODE_SESSION_ID", "CODEX_THREAD_ID", "TMUX_PANE", "ZELLIJ_PANE_ID"] {
            assert!(removes(gone), "{name}: {gone}");
        }
        for gone in
            ["CODEX_SANDBOX_NETWORK_DISABLED", "GEMINI_CLI", "OPENCODE_TERMINAL", "PI_CODING_AGENT", "PEER_NAME"]
        {
            assert!(removes(gone), "{name}: {gone}");
        }
        for kept in ["CLAUDE_CODE_USE_BEDROCK", "CODEX_HOME", "OPENCODE_CONFIG", "HOME", "PI_CODING_AGENT_DIR"] {
            assert!(!removes(kept), "{name}: {kept}");
        }
    }
    let own = Profile::parse("mine", "description = \"x\"\nenvironment.remove = [\"AWS_*\"]\n").expect("is right");
    let removes = |variable| own.removes(variable, |_| false);
    assert!(removes("AWS_PROFILE") && removes("TMUX") && !removes("PATH"));
}

#[test]
fn the_lane_with_real_agents_tests_the_versions_that_the_profiles_name() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/agents.sh");
    let script = std::fs::read_to_string(script).expect("is there");
    for agent in ["claude", "codex", "pi", "opencode"] {
        let seen = Profile::builtin(agent).expect("built in").seen.expect("names a version");
        assert!(script.contains(&format!("@{seen}\n")), "{agent} {seen}");
    }
}

#[test]
fn a_command_of_the_agents_own_is_told_from_a_message() {
    for (agent, commands, messages) in [
        (
            "claude",
            &["!ls", "/help", " /compact now\n", "exit", " Quit ", ":q", ":wq\n", ":q!", "/", "/ x"][..],
            &["\n!ls", "/srv/data is full", "see /help", "x\n!ls", "exit now", ":w"][..],
        ),
        ("codex", &["!ls", "/new", "\n/x y", "exit"], &[" !ls", " /new", "/srv/data is full", "exit now"]),
        ("pi", &["!ls", "\n !ls", "/model"], &["x\n!ls", "/srv/data is full"]),
        ("opencode", &["/new", "exit", "quit", " :q "], &["!ls", " /new", "exit now"]),
        ("command", &[], &["!ls", "/new"]),
    ] {
        let profile = Profile::builtin(agent).expect("built in");
        for text in commands {
            assert!(profile.is_command(text), "{agent}: {text:?}");
        }
        for text in messages {
            assert!(!profile.is_command(text), "{agent}: {text:?}");
        }
    }
}

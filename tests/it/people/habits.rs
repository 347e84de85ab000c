//! What a hand does that is used to other tools: it works, or the hint is what to type here.

use crate::common::{Run, World};

#[test]
fn a_habit_leads_to_the_right_words() {
    let world = World::new();
    for name in ["api", "web"] {
        world.add(name, &["cat"]);
    }
    let there = "hint: peer attach NAME; there are: api, web\n";
    let cases: [(&[&str], i32, &str); 15] = [
        (&["attach", "-t", "web"], 2, "hint: peer attach NAME\n"),
        (&["send", "-m", "hi", "web"], 2, "hint: peer send NAME TEXT\n"),
        (&["-v"], 2, "hint: peer --version prints the version\n"),
        (&["attach"], 2, there),
        (&["list", "--state", "running"], 2, "hint: did you mean awake?\n"),
        (&["wake", "web", "Say hello"], 2, "hint: peer wake web -m 'Say hello'\n"),
        (&["status", "wbe"], 3, "hint: did you mean web?\n"),
        (&["status", "wob"], 3, "hint: did you mean web?\n"),
        (&["status", "db"], 3, "hint: peer add db -- COMMAND\n"),
        (&["clear"], 2, "hint: peer new NAME starts a new conversation\n"),
        (&["is-active", "web"], 2, "hint: peer status NAME --short prints its state\n"),
        (&["queue", "web"], 2, "hint: peer send NAME TEXT --queue queues a message, peer inbox NAME lists them\n"),
        (
            &["daemon-reload"],
            2,
            "hint: peer show NAME prints its spec; every command reads specs and config.toml anew\n",
        ),
        (&["add", "web", "--cwd", "/tmp"], 2, "hint: peer edit web, or the same with --replace and -- COMMAND\n"),
        (&["add", "new", "--cwd", "/tmp"], 2, "hint: peer add new --agent claude, or peer add new -- COMMAND\n"),
    ];
    all_hint(&world, &cases);
    let run = world.peer(&["wake", "web", "hello"]);
    let hint = "hint: peer wake web -m hello, if it is the message; or peer add hello -- COMMAND\n";
    assert!(run.code == 3 && run.stderr.ends_with(hint), "{run:?}");
    assert_eq!(world.peer(&["ps", "-a"]).stdout, world.peer(&["list"]).stdout);
    assert_eq!(world.peer(&["log", "web", "api"]).stdout, world.peer(&["log"]).stdout);
    assert_eq!(world.peer(&["logs", "--tail", "1"]).stdout.lines().count(), 1);
    assert_eq!(world.peer(&["screen", "web", "-n", "5"]).code, 0);
}

/// Runs each of these lines, which fail with this code and end with this hint.
#[track_caller]
fn all_hint(world: &World, cases: &[(&[&str], i32, &str)]) {
    for (words, code, hint) in cases {
        let run = world.peer(words);
        assert!(run.code == *code && run.stderr.ends_with(hint), "{words:?}: {run:?}");
    }
}

#[test]
fn words_that_a_shell_split_and_verbs_of_a_timer_lead_to_what_was_meant() {
    let world = World::new();
    for name in ["api", "web"] {
        world.add(name, &["cat"]);
    }
    let cases: &[(&[&str], i32, &str)] = &[
        (&["timer", "stop"], 2, "hint: peer timer uninstall removes it\n"),
        (&["timer", "rm"], 2, "hint: peer timer uninstall removes it\n"),
        (&["timer", "remove"], 2, "hint: peer timer uninstall removes it\n"),
        (&["timer", "start"], 2, "hint: peer timer install starts it\n"),
        (&["timer", "uninstal"], 2, "hint: did you mean uninstall?\n"),
        (&["timer", "xyz"], 2, "hint: peer timer --help\n"),
        (&["send", "api", "web", "hi"], 2, "hint: peer wake api web -m 'hi'\n"),
        (&["send", "--all", "hi"], 2, "hint: peer wake --all -m TEXT sends it to each\n"),
        (
            &["send", "api", "please", "run", "it's", "tests"],
            2,
            "hint: quote the text: peer send api 'please run it'\\''s tests'\n",
        ),
        (&["send", "-w", "api", "run", "them"], 2, "hint: quote the text: peer send -w api 'run them'\n"),
        (&["send", "api", "-t", "x", "run", "them"], 2, "hint: quote the text: peer send NAME 'TEXT'\n"),
        (&["send", "api", "--wiat", "hi"], 2, "hint: did you mean --wait?\n"),
        (&["send", "api", "--wiat"], 2, "hint: did you mean --wait? peer send api -- --wiat sends it as text\n"),
        (&["send", "api", "-hello"], 2, "hint: peer send api -- -hello sends it as text\n"),
        (&["send"], 2, "hint: peer send NAME 'TEXT'; there are: api, web\n"),
        (&["rename"], 2, "hint: peer rename OLD NEW; there are: api, web\n"),
        (&["interrupt", "api", "web"], 2, "hint: one at a time: peer interrupt api && peer interrupt web\n"),
        (&["why", "--all"], 2, "hint: peer status shows what each peer needs\n"),
        (&["inbox", "--all"], 2, "hint: peer list shows how many messages wait for each\n"),
        (&["stop", "a*"], 2, "hint: names are no patterns: peer stop api\n"),
        (&["stop", "?b?"], 2, "hint: names are no patterns; peer list shows every peer\n"),
    ];
    all_hint(&world, cases);
}

#[test]
fn a_name_a_value_or_a_verb_that_is_not_there_leads_to_one_that_is() {
    let world = World::new();
    for name in ["api", "web"] {
        world.add(name, &["cat"]);
    }
    let cases: &[(&[&str], i32, &str)] = &[
        (&["rm", "-f", "zzz"], 3, "hint: peer list shows every peer\n"),
        (&["stop", "zzz"], 3, "hint: peer list shows every peer\n"),
        (&["rename", "zzz", "x"], 3, "hint: peer list shows every peer\n"),
        (&["rename", "web", "api"], 1, "hint: choose another name; peer rename api NEW frees this one\n"),
        (&["list", "--sort", "age"], 2, "hint: did you mean last-end?\n"),
        (&["ls", "--filter", "x"], 2, "hint: peer list --state STATE, or peer list --waiting\n"),
        (&["cp"], 2, "hint: peer add NEW -- COMMAND declares another; peer show NAME prints the spec of one\n"),
        (&["say", "hi"], 2, "hint: peer send NAME 'TEXT' sends it a message; with -w it prints the answer\n"),
        (&["stat"], 2, "hint: did you mean status?\n"),
        (&["add", "new", "--", "clude"], 1, "hint: did you mean claude? Else install it, or use its absolute path\n"),
        (
            &["add", "new", "--cwd", "/nowhere", "--", "cat"],
            1,
            "hint: mkdir -p /nowhere, or name another directory with --cwd\n",
        ),
        (&["help", "timer", "xyz"], 2, "hint: peer help timer\n"),
    ];
    all_hint(&world, cases);
}

#[test]
fn a_text_may_begin_with_a_dash() {
    let world = World::new();
    world.demo("api", &[]);
    let texts = ["- point one", "-1 is wrong", "--flag is a word of it", "---"];
    for text in texts {
        let run = world.peer(&["send", "api", text]);
        assert!(run.code == 0 && run.stdout.contains("message delivered"), "{text:?}: {run:?}");
    }
    let run = world.peer(&["send", "api", "--", "-hello"]);
    assert!(run.code == 0 && run.stdout.contains("message delivered"), "{run:?}");
    let run = world.peer(&["wake", "api", "-m", "- list"]);
    assert!(run.code == 0 && run.stdout.contains("message delivered"), "{run:?}");
    // A flag behind the name is a flag.
    assert!(world.peer(&["send", "api", "-w", "--timeout", "60s", "- last"]).code == 0);
    let said = world.said(&world.conversation("api"));
    assert_eq!(said, [&texts[..], &["-hello", "- list", "- last"]].concat());
    assert!(world.peer(&["send", "api", "--help"]).stdout.contains("Usage: peer send"));
}

#[test]
fn help_of_a_verb_below_a_verb_is_that_of_its_flag() {
    let world = World::new();
    let flag = world.peer(&["timer", "install", "--help"]);
    world.peer(&["help", "timer", "install"]).prints(&flag.stdout);
    assert!(world.peer(&["move", "--help"]).stdout.contains("Usage: peer move [OPTIONS] <NAME> <RUNTIME>\n"));
}

#[test]
fn what_runs_is_told_before_a_question_that_would_be_refused() {
    let world = World::new();
    for name in ["api", "web"] {
        world.add(name, &["cat"]);
    }
    world.peer(&["wake", "web"]);
    world.peer(&["rm", "--all"]).fails(
        4,
        "error: nothing was removed, because these agents run: web\n\
         hint: peer stop --all, or peer rm --all --force, which ends them\n",
    );
    assert!(world.peer(&["rm", "--all", "--force"]).stderr.contains("there is no terminal to ask on"));
    assert_eq!(world.peer(&["list", "-q"]).stdout, "api\nweb\n");
}

#[test]
fn only_names_for_a_loop_and_the_state_of_a_list_for_a_wait() {
    let world = World::new();
    world.demo("api", &[]);
    world.add("web", &["cat"]);
    world.peer(&["wake", "api"]);
    world.peer(&["list", "-q", "--state", "never-started"]).prints("web\n");
    world.peer(&["wait", "api", "--until", "awake", "--timeout", "60s"]).prints("");
    world.peer(&["send", "api", "-w", "one"]);
    world.peer(&["send", "api", "-w", "two"]);
    let all = world.peer(&["transcript", "api"]).stdout;
    let last = world.peer(&["transcript", "api", "-n", "2"]).stdout;
    assert!(last.contains("  two\n") && !last.contains("  one\n") && all.ends_with(&last), "{all:?} {last:?}");
    world.peer(&["transcript", "api", "-n", "0"]).prints("");
    world.peer(&["last", "api", "-n", "0"]).prints("");
}

#[test]
fn an_event_that_is_none_is_refused_and_a_group_is_all_of_it() {
    let world = World::new();
    world.add("api", &["cat"]);
    world.peer(&["wake", "api"]);
    let group = world.peer(&["log", "--event", "wake"]).stdout;
    assert!(
        group.contains(" wake.decided ") && group.contains(" wake.ready ") && group.lines().count() == 2,
        "{group}"
    );
    assert_eq!(world.peer(&["log", "--event", "wake."]).stdout, group);
    let none = |event: &str| format!("error: no event has the name \"{event}\", and no group of events\n");
    let lists = none("foo") + "hint: peer help events lists them\n";
    world.peer(&["log", "--event", "foo"]).fails(2, &lists);
    let near = none("wake.redy") + "hint: did you mean wake.ready?\n";
    world.peer(&["log", "--event", "wake.redy"]).fails(2, &near);
    world.peer(&["log", "--event", "turn"]).prints("");
}

#[test]
fn an_edit_says_whether_it_applies_now() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    let edit = |script: &str| {
        let mut edit = world.command(&["edit", "a"]);
        Run::of(edit.env("EDITOR", format!("sed -i '{script}'")), None)
    };
    edit("1i idle_timeout = \"9h\"").prints("a: saved; it applies now\n");
    edit("1i umask = \"077\"")
        .prints("a: saved; it applies at the next start: peer stop a && peer start a && peer wake a\n");
    edit("").prints("a: nothing changed\n");
}

#[test]
fn what_a_new_declaration_changes_is_said_without_the_values_of_variables() {
    let world = World::new();
    std::fs::create_dir(world.work().join("there")).expect("create");
    world.declare("a", &["--agent", "command", "--env", "KEY=secret-one"], &["cat"]);
    let run = world.peer(&[
        "add",
        "a",
        "--replace",
        "--cwd",
        "there",
        "--idle",
        "5m",
        "--env",
        "KEY=secret-two",
        "--runtime",
        "tmux",
        "--agent",
        "command",
        "--",
        "cat",
    ]);
    assert!(run.code == 0 && run.stdout.starts_with("a: replaced (command on tmux: "), "{run:?}");
    let work = world.work();
    let cwd = format!("note: a: cwd was \"{}\", is \"{}\"\n", work.display(), work.join("there").display());
    assert!(run.stderr.contains(&cwd), "{run:?}");
    assert!(run.stderr.contains("note: a: env is another now\n"), "{run:?}");
    assert!(run.stderr.contains("note: a: idle_timeout was not set, is \"5m\"\n"), "{run:?}");
    assert!(!run.stderr.contains("secret"), "{run:?}");
}

#[test]
fn a_plan_of_nothing_says_so_and_a_message_of_this_moment_has_an_age() {
    let world = World::new();
    world.peer(&["reap", "--dry-run"]).prints("nothing would be done\n");
    world.peer(&["reap"]).prints("");
    world.add("a", &["cat"]);
    world.peer(&["send", "a", "--after", "2h", "later"]);
    let inbox = world.peer(&["inbox", "a"]).stdout;
    assert!(inbox.starts_with("    1  ") && inbox.contains("s ago  due in "), "{inbox}");
}

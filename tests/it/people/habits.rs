//! What a hand does that is used to other tools: it works, or the hint is what to type here.

use crate::common::World;

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
    for (words, code, hint) in cases {
        let run = world.peer(words);
        assert!(run.code == code && run.stderr.ends_with(hint), "{words:?}: {run:?}");
    }
    let run = world.peer(&["wake", "web", "hello"]);
    let hint = "hint: peer wake web -m hello, if it is the message; or peer add hello -- COMMAND\n";
    assert!(run.code == 3 && run.stderr.ends_with(hint), "{run:?}");
    assert_eq!(world.peer(&["ps", "-a"]).stdout, world.peer(&["list"]).stdout);
    assert_eq!(world.peer(&["log", "web", "api"]).stdout, world.peer(&["log"]).stdout);
    assert_eq!(world.peer(&["logs", "--tail", "1"]).stdout.lines().count(), 1);
    assert_eq!(world.peer(&["screen", "web", "-n", "5"]).code, 0);
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

//! `peer why` and `peer log` for people, and the errors for mistyped commands.

use crate::common::{Run, World, killed, wait_for, wait_until};

#[test]
fn why_shows_the_whole_table_and_marks_what_decides() {
    let world = World::new();
    world.add("api", &["cat"]);
    let run = world.peer(&["why", "api"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines[0], "api: a wake would start fresh (first-wake)");
    assert_eq!(lines[1], "");
    let does = lines[2].find("WHAT IT DOES").filter(|_| lines[2].starts_with("    #  WHEN  ")).expect("a heading");
    let decides: Vec<&&str> = lines.iter().filter(|line| line.starts_with("=> 1")).collect();
    let [decides] = &decides[..] else { panic!("{decides:?}") };
    assert!(decides.starts_with("=> 14  never ran before  "), "{decides}");
    assert_eq!(&decides[does..], "start fresh (first-wake)");
    assert_eq!(lines.last(), Some(&"=> applies and decides    + also applies, but a rule above it decides"));
    // Row 1 to row 21, aligned: the results begin in one column.
    let rows = &lines[3..lines.len() - 2];
    assert_eq!(rows.len(), 21);
    for row in rows {
        let (condition, gap, what) = (&row[7..does - 2], &row[does - 2..does], &row[does..]);
        assert!(gap == "  " && !condition.trim().is_empty() && !what.starts_with(' '), "{row:?}");
    }
}

#[test]
fn log_says_how_long_ago_where_it_is_asked_to() {
    let world = World::new();
    world.add("api", &["cat"]);
    world.peer(&["wake", "api"]);
    world.peer(&["stop", "api"]);
    let exact = world.peer(&["log", "api", "--event", "session.ended"]).stdout;
    assert!(
        exact.starts_with("20") && exact.contains("Z  api              session.ended          stopped "),
        "{exact}"
    );
    let log = std::fs::read_to_string(world.path("state/lifecycle.log")).expect("a log");
    let old = "\"ts\":\"2001-01-01T00:00:00.000Z\"";
    let mut edited = String::new();
    for line in log.lines() {
        edited.extend(["{", old, ",", line.split_once(',').expect("fields").1, "\n"]);
    }
    std::fs::write(world.path("state/lifecycle.log"), edited).expect("write");
    let rough = world.peer(&["log", "api", "--event", "session.ended", "--relative"]).stdout;
    let (ago, rest) = rough.trim_start().split_once(" ago  ").expect("an age");
    assert!(ago.ends_with('d') && rest.starts_with("api  "), "{rough}");
}

#[test]
fn log_shows_the_last_few_and_follows_from_there() {
    let world = World::new();
    world.add("api", &["cat"]);
    for _ in 0..2 {
        world.peer(&["wake", "api"]);
        world.peer(&["stop", "api"]);
        world.peer(&["start", "api"]);
    }
    let names = |words: &[&str]| -> Vec<String> {
        let run = world.peer(&[&["log", "--json"], words].concat());
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
        let event =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("an event")["event"].to_string();
        run.stdout.lines().map(event).collect()
    };
    let all = names(&[]);
    assert!(all.len() >= 6, "{all:?}");
    assert_eq!(names(&["-n", "2"]), all[all.len() - 2..]);
    assert_eq!(names(&["-n", "1", "--event", "wake.decided"]), ["\"wake.decided\""]);
    assert_eq!(names(&["--lines", "0"]), [""; 0]);
    assert_eq!(names(&["-n", "1000"]), all);
    // Followed: the last event that exists, and each that comes.
    let mut follow = world.command(&["log", "-n", "1", "-f", "--event", "wake.decided"]);
    let out = std::fs::File::create(world.path("followed")).expect("create");
    let mut child = follow.stdout(out).spawn().expect("it starts");
    let lines = || std::fs::read_to_string(world.path("followed")).expect("it is there").lines().count();
    wait_until("the last one", || lines() == 1);
    world.peer(&["wake", "api"]);
    wait_until("the new one", || lines() == 2);
    killed(&mut child);
}

#[test]
fn help_explains_verbs_and_words_and_common_names_of_verbs_are_understood() {
    let world = World::new();
    let help = world.peer(&["help", "wake"]);
    assert_eq!((help.code, help.stdout), (0, world.peer(&["wake", "--help"]).stdout));
    assert_eq!(world.peer(&["help"]).stdout, world.peer(&["--help"]).stdout);
    for (topic, word) in [("states", "never-started"), ("causes", "runtime-lost"), ("markers", "NAME.idle-reaped")] {
        let told = world.peer(&["help", topic]);
        assert!(told.code == 0 && told.stdout.contains(word), "{told:?}");
    }
    world.demo("api", &[]);
    for (name, verb) in [("ls", "list"), ("ps", "list"), ("logs", "log")] {
        let (run, meant) = (world.peer(&[name]), world.peer(&[verb]));
        assert_eq!((run.code, run.stdout), (0, meant.stdout), "{name}");
    }
}

#[test]
fn a_mistyped_verb_or_flag_gets_the_right_one() {
    let world = World::new();
    let cases: [(&[&str], &str); 17] = [
        (&["stauts"], "error: unrecognized subcommand 'stauts'\nhint: did you mean status?\n"),
        (
            &["restart", "api"],
            "error: unrecognized subcommand 'restart'\nhint: peer stop NAME && peer start NAME && peer wake NAME resumes \
             its conversation; peer new NAME starts a new one\n",
        ),
        (
            &["mv", "api"],
            "error: unrecognized subcommand 'mv'\nhint: peer rename OLD NEW renames it; peer move NAME RUNTIME \
             moves it to the other runtime\n",
        ),
        (
            &["kill-session", "api"],
            "error: unrecognized subcommand 'kill-session'\nhint: peer stop NAME ends it and keeps its conversation\n",
        ),
        (
            &["switch", "api"],
            "error: unrecognized subcommand 'switch'\nhint: peer attach NAME attaches this terminal to it\n",
        ),
        // A merely similar verb may end an agent that was meant to continue.
        (&["terminating"], "error: unrecognized subcommand 'terminating'\nhint: peer --help lists the verbs\n"),
        (&["rebase"], "error: unrecognized subcommand 'rebase'\nhint: peer --help lists the verbs\n"),
        (
            &["help", "kill"],
            "error: there is no verb and no topic \"kill\"\nhint: peer stop NAME ends it and keeps its conversation\n",
        ),
        // A verb that is hidden is never suggested.
        (&["foo"], "error: unrecognized subcommand 'foo'\nhint: peer --help lists the verbs\n"),
        (&["add", "api", "claude"], "error: unexpected argument 'claude' found\nhint: peer add NAME -- claude\n"),
        (&["help", "wkae"], "error: there is no verb and no topic \"wkae\"\nhint: did you mean wake?\n"),
        (&["help", "cause"], "error: there is no verb and no topic \"cause\"\nhint: did you mean causes?\n"),
        (
            &["add", "api", "--runtime", "tmx"],
            "error: invalid value 'tmx' for '--runtime <RUNTIME>' [possible values: tmux, zellij]\nhint: did you mean tmux?\n",
        ),
        (&["xyzzy"], "error: unrecognized subcommand 'xyzzy'\nhint: peer --help lists the verbs\n"),
        (&["wake", "api", "--frsh"], "error: unexpected argument '--frsh' found\nhint: did you mean --fresh?\n"),
        (&["why"], "error: the following required arguments were not provided: <NAME>\nhint: peer why --help\n"),
        (
            &["log", "--since", "soon"],
            "error: invalid value 'soon' for '--since <TIME>': \"soon\" is not a duration: write it like 90s, 15m or \
             1h30m\nhint: peer log --help\n",
        ),
    ];
    for (words, stderr) in cases {
        world.peer(words).fails(2, stderr);
    }
    let run = world.peer(&["wake", "API"]);
    assert!(run.code == 2 && run.stderr.starts_with("error: invalid value 'API' for"), "{run:?}");
}

#[test]
fn help_is_no_error_and_runs_nothing() {
    let world = World::new();
    for words in [&["--help"][..], &["wake", "--help"], &["--version"]] {
        let run = world.peer(words);
        assert!(run.code == 0 && run.stderr.is_empty() && !run.stdout.is_empty(), "{run:?}");
    }
    assert!(!world.path("state").exists());
    let run: Run = world.peer(&[]);
    assert!(run.code == 2 && run.stdout.is_empty() && run.stderr.contains("Usage: peer"), "{run:?}");
}

#[test]
fn why_wraps_in_a_narrow_terminal() {
    let world = World::new();
    world.add("api", &["cat"]);
    world.set_in_spec("api", "managed_by = \"a supervisor with a long name\"");
    let script = format!(
        "TERM=screen PEER_STATE_DIR={} PEER_CONFIG_DIR={} '{}' why api; exec cat",
        world.path("state").display(),
        world.path("config").display(),
        env!("CARGO_BIN_EXE_peer")
    );
    let socket = world.path("s-look");
    world.tmux_on(&socket, &["-f/dev/null", "new-session", "-d", "-x", "83", "-y", "60", "sh", "-c", &script]);
    let screen = wait_for("the table", || {
        Some(world.tmux_on(&socket, &["capture-pane", "-p"])).filter(|screen| screen.contains("=> applies"))
    });
    let at = screen.lines().position(|line| line.starts_with("=>  2")).expect("it decides");
    let below = screen.lines().nth(at + 1).expect("a line below");
    assert!(below.starts_with(&" ".repeat(62)) && !below.trim().is_empty(), "{screen}");
}

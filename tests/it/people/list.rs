//! `peer list` for users and scripts: exact tables, templates, narrow terminals, colours, `--watch`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::{Run, World};
use serde_json::{Value, json};

/// Milliseconds since the epoch, `ago` before now.
fn before(ago: Duration) -> u64 {
    let then = SystemTime::now().checked_sub(ago).and_then(|then| then.duration_since(UNIX_EPOCH).ok());
    u64::try_from(then.expect("after 1970").as_millis()).expect("a time")
}

/// A peer whose last end happened `ago` before now.
#[track_caller]
pub(super) fn ended(world: &World, name: &str, argv: &[&str], ago: Duration) {
    world.add(name, argv);
    world.peer(&["wake", name]);
    world.await_end(name);
    world.edit(name, "end", |end| end["at_ms"] = json!(before(ago)));
    world.write(name, "deaths", &format!("[{}]", before(ago)));
}

/// Declares a peer whose agent keeps a status file, and returns the directory of such files.
#[track_caller]
fn talker(world: &World, name: &str) -> PathBuf {
    world.profile(
        "talker",
        "description = \"keeps a status file as Claude Code does\"\n\
         [conversation]\ntranscript = \"claude-jsonl\"\nstatus = \"claude-session\"\n",
    );
    let place = world.path("home/claude");
    fs::create_dir_all(place.join("sessions")).expect("create");
    let variable = format!("CLAUDE_CONFIG_DIR={}", place.display());
    world.declare(name, &["--agent", "talker", "--env", &variable], &["cat"]);
    place
}

/// Writes the status file of such an agent that is awake.
#[track_caller]
fn says(world: &World, place: &Path, name: &str, doing: &str, ago: Duration) {
    let status = json!({ "sessionId": "x", "status": doing, "statusUpdatedAt": before(ago) });
    fs::write(place.join(format!("sessions/{}.json", world.agent(name))), status.to_string()).expect("write");
}

#[test]
fn what_goes_to_stderr_comes_after_what_was_printed_before() {
    let world = World::new();
    let plain = world.command(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" list 2>&1", env!("CARGO_BIN_EXE_peer")]).env_clear().current_dir(world.work());
    shell.envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let run = Run::of(&mut shell, None);
    assert!(
        run.stdout.starts_with("NAME  STATE  ") && run.stdout.contains("\nhint: no peer is declared yet"),
        "{run:?}"
    );
}

#[test]
fn a_name_that_is_typed_twice_is_one_peer() {
    let world = World::new();
    for name in ["a", "b"] {
        world.add(name, &["cat"]);
    }
    world.peer(&["list", "b", "a", "b", "--format", "{name}"]).prints("a\nb\n");
}

#[test]
fn that_nobody_is_declared_is_not_said_of_what_is_left_out() {
    let world = World::new();
    world.add("a", &["cat"]);
    for words in [&["list", "--waiting"][..], &["list", "--state", "busy"]] {
        let run = world.peer(words);
        assert_eq!((run.code, run.stderr.as_str(), run.stdout.lines().count()), (0, "", 1), "{run:?}");
    }
}

#[test]
fn nobody_is_declared() {
    let world = World::new();
    let run = world.peer(&["list"]);
    assert_eq!(run.code, 0);
    assert_eq!(run.stdout, "NAME  STATE  AGENT  RUNTIME  TOPIC  IDLE  RESTARTS  HELD-UNTIL  LAST-END  CWD\n");
    assert_eq!(run.stderr, "hint: no peer is declared yet: peer add NAME -- COMMAND\n");
    assert_eq!(
        world.peer(&["list", "--json"]).json(),
        json!({ "schema": "peer.list/1", "peers": [], "broken": [], "undeclared": [] })
    );
}

#[test]
fn the_table_has_every_column_and_is_as_wide_as_its_content() {
    let world = World::new();
    ended(&world, "crashed", &["sh", "-c", "exit 3"], Duration::from_secs(3 * 3600 + 5));
    world.add("api", &["cat"]);
    world.peer(&["wake", "api", "--topic", "修复登录页面"]);
    world.peer(&["stop", "api"]);
    world.peer(&["start", "api"]);
    world.edit("api", "end", |end| end["at_ms"] = json!(before(Duration::from_secs(125))));
    world.add("zebra", &["cat"]);
    let cwd = world.work();
    let cwd = cwd.display();
    world.peer(&["list"]).prints(&format!(
        "NAME     STATE          AGENT    RUNTIME  TOPIC         IDLE  RESTARTS  HELD-UNTIL  LAST-END                 CWD\n\
         api      asleep         command  tmux     修复登录页面  -     0         -           stopped 2m ago           {cwd}\n\
         crashed  crashed        command  tmux     -             -     1         -           crashed (exit 3) 3h ago  {cwd}\n\
         zebra    never-started  command  tmux     -             -     0         -           -                        {cwd}\n"
    ));
}

#[test]
fn one_that_is_awake_has_an_idle_time_and_exact_times_in_json() {
    let world = World::new();
    world.add("api", &["cat"]);
    let from = before(Duration::ZERO);
    world.peer(&["wake", "api"]);
    let document = world.peer(&["list", "--json"]).json();
    assert_eq!(document["schema"], "peer.list/1");
    let row = &document["peers"][0];
    assert_eq!((&row["peer"], &row["state"], &row["incarnation"]), (&json!("api"), &json!("awake"), &json!(1)));
    let since = row["since_ms"].as_u64().expect("a time");
    assert!((from..=before(Duration::ZERO)).contains(&since), "{row}");
    assert!(row["idle_s"].as_u64().expect("seconds") < 60, "{row}");
    let line = world.peer(&["list", "--format", "{name} {state} [{idle}] [{last_end}]"]).stdout;
    assert!(line.starts_with("api awake [") && line.ends_with("s] []\n"), "{line}");
}

#[test]
fn an_agent_that_says_it_is_busy_is_shown_busy() {
    let world = World::new();
    let place = talker(&world, "api");
    world.peer(&["wake", "api"]);
    let says = |doing: &str, ago: u64| {
        says(&world, &place, "api", doing, Duration::from_secs(ago));
        world.peer(&["list", "--format", "{state} {idle}"]).stdout
    };
    // Without this, it could not have been idle for longer than it has been up.
    world.edit("api", "session", |record| record["ready_at_ms"] = json!(before(Duration::from_secs(7200))));
    assert_eq!(says("busy", 300), "busy 5m\n");
    assert_eq!(says("idle", 4000), "awake 1h\n");
    assert_eq!(world.peer(&["status", "api", "--short"]).stdout, "api awake 2h\n");
}

#[test]
fn a_template_says_what_a_script_wants() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.add("b", &["cat"]);
    world.peer(&["list", "--format", "{name}={state}"]).prints("a=never-started\nb=never-started\n");
    world.peer(&["list", "b", "--format", r"{{{name}}}\t\\{topic}|"]).prints("{b}\t\\|\n");
    world
        .peer(&["list", "--format", "{nmae}"])
        .fails(2, "error: --format: there is no placeholder {nmae}\nhint: did you mean {name}?\n");
    let unknown = world.peer(&["list", "--format", "{x}"]);
    assert!(unknown.stderr.contains("hint: these are known: {name} {state} {detail} "), "{unknown:?}");
    for (template, problem) in [("{name", "a { is never closed"), ("name}", "a } closes nothing")] {
        let expected = format!(
            "error: --format {template:?}: {problem}\nhint: write {{{{ and }}}} for braces that are meant as such\n"
        );
        world.peer(&["list", "--format", template]).fails(2, &expected);
    }
}

/// Five peers whose orders all differ.
fn mixed() -> World {
    let world = World::new();
    for (name, deaths, ago) in [("a", 1, 60), ("b", 2, 3600)] {
        ended(&world, name, &["sh", "-c", "exit 3"], Duration::from_secs(ago));
        world.write(name, "deaths", &format!("{:?}", vec![before(Duration::from_secs(7200)); deaths]));
    }
    let place = talker(&world, "c");
    world.peer(&["wake", "c"]);
    world.edit("c", "session", |record| record["ready_at_ms"] = json!(before(Duration::from_secs(7200))));
    says(&world, &place, "c", "idle", Duration::from_secs(4000));
    for name in ["d", "e"] {
        world.add(name, &["cat"]);
    }
    world.peer(&["wake", "d"]);
    world
}

#[test]
fn rows_stand_in_the_order_that_is_asked_for() {
    let world = mixed();
    let order = |flags: &[&str]| {
        let run = world.peer(&[&["list", "--format", "{name}"], flags].concat());
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
        run.stdout.replace('\n', " ")
    };
    assert_eq!(order(&[]), "a b c d e ");
    assert_eq!(order(&["--reverse"]), "e d c b a ");
    // Peers that are given by name are in order of name too.
    assert_eq!(order(&["e", "a", "--sort", "name"]), "a e ");
    assert_eq!(order(&["--sort", "state"]), "c d a b e ");
    assert_eq!(order(&["--sort", "idle"]), "d c a b e ");
    assert_eq!(order(&["--sort", "last-end"]), "a b c d e ");
    assert_eq!(order(&["--sort", "restarts", "-r"]), "e d c a b ");
    assert_eq!(order(&["--sort-by", "restarts"]), "b a c d e ");
    let document = world.peer(&["list", "--json", "--sort", "restarts"]).json();
    assert_eq!(document["peers"][0]["peer"], "b");
    world.peer(&["list", "--sort", "restart"]).fails(
        2,
        "error: invalid value 'restart' for '--sort <KEY>' [possible values: name, state, idle, last-end, restarts]\n\
         hint: did you mean restarts?\n",
    );
}

#[test]
fn one_broken_spec_hides_nobody() {
    let world = World::new();
    world.add("good", &["cat"]);
    world.add("ill", &["cat"]);
    let spec = world.path("config/peers/ill.toml");
    fs::write(&spec, "agnet = \"command\"\n").expect("write");
    let run = world.peer(&["list", "--format", "{name}"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, "good\n"));
    let expected = format!("error: ill: {}:1: agnet: unknown field `agnet`", spec.display());
    assert!(run.stderr.starts_with(&expected) && run.stderr.ends_with("hint: did you mean `agent`?\n"), "{run:?}");
    let document = world.peer(&["list", "--json"]).json();
    assert_eq!((&document["peers"][0]["peer"], &document["broken"][0]["peer"]), (&json!("good"), &json!("ill")));
}

#[test]
fn a_name_that_nobody_declared_is_said_with_its_own_code() {
    let world = World::new();
    world.add("builder", &["cat"]);
    let run = world.peer(&["list", "bulder", "--format", "{name}"]);
    run.fails(3, "error: bulder: there is no peer named bulder\nhint: did you mean builder?\n");
}

#[test]
fn no_control_character_of_a_topic_reaches_the_terminal() {
    let world = World::new();
    world.add("a", &["cat"]);
    fs::create_dir_all(world.path("state")).expect("create");
    world.peer(&["list"]);
    world.write("a", "topic", "evil\x1b[31m\x07topic\n");
    for words in [&["list"][..], &["list", "--format", "{topic}"], &["status", "a"]] {
        let run = world.peer(words);
        assert!(run.stdout.contains("evil [31m topic"), "{run:?}");
        assert!(!run.stdout.contains(['\x1b', '\x07']), "{run:?}");
    }
}

#[test]
fn the_document_keeps_its_fields() {
    let world = World::new();
    world.add("a", &["cat"]);
    let document = world.peer(&["list", "--json"]).json();
    let fields: Vec<&String> = document["peers"][0].as_object().expect("an object").keys().collect();
    // A field may be added, never renamed.
    for field in ["peer", "state", "agent", "runtime", "topic", "restarts", "held_until_ms", "last_end", "cwd"] {
        assert!(fields.iter().any(|known| *known == field), "{field} is gone: {fields:?}");
    }
    assert_eq!(document["peers"][0]["topic"], Value::Null);
}

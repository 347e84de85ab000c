//! A tmux client that answers wrongly: a wrapper, another program of that name, a broken pipe in between. Whatever it says,
//! the agent that lives is not ended, nobody is counted, and once the client is a real one again all is as before.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::ticks::{done, settle, tick};
use common::{World, lives, wait_until};
use serde_json::Value;

/// What the client says in place of the truth, as lines of sh(1). `$real` is tmux, and `rows` what it lists.
const LIES: [(&str, &str); 30] = [
    ("nothing at all", "exit 0"),
    ("an empty line", "echo"),
    ("no session", "echo \"can't find session: a-1\" >&2; exit 1"),
    ("no window", "echo \"can't find window: 0\" >&2; exit 1"),
    ("no pane", "echo \"can't find pane: %0\" >&2; exit 1"),
    ("no pane, and success", "echo \"can't find pane: %0\" >&2; exit 0"),
    ("no such session", "echo 'no such session: a-1' >&2; exit 1"),
    ("nothing to speak of", "echo 'no current target' >&2; exit 1"),
    ("nobody listens", "echo 'no server running on /s' >&2; exit 1"),
    ("no socket", "echo 'error connecting to /s (No such file or directory)' >&2; exit 1"),
    ("refused", "echo 'error connecting to /s (Connection refused)' >&2; exit 1"),
    ("nobody listens, and success", "echo 'no server running on /s' >&2; exit 0"),
    ("lost", "echo 'lost server' >&2; exit 1"),
    ("exited", "echo 'server exited unexpectedly' >&2; exit 1"),
    ("another protocol", "echo 'protocol version mismatch (client 8, server 7)' >&2; exit 1"),
    ("a duplicate", "echo 'duplicate session: a-1' >&2; exit 1"),
    ("a failure without a word", "exit 1"),
    ("a signal", "kill -9 $$"),
    ("a greeting", "echo 'Welcome to tmux!'"),
    ("noise", "head -c 300 /dev/urandom"),
    ("a greeting first", "echo 'Welcome!'; exec $real \"$@\""),
    ("a warning beside", "echo 'this wrapper is deprecated' >&2; exec $real \"$@\""),
    ("another server", "shift 6; exec $real -u -S '/W/other' \"$@\""),
    ("all but ours", "rows \"$@\" | sed '/a-1/d'"),
    ("half a row", "rows \"$@\" | head -c 12"),
    ("another pane", "rows \"$@\" | sed 's/\t%\\([0-9]*\\)\t/\t%9\\1\t/'"),
    ("another process", "rows \"$@\" | sed 's/\t\\(%[0-9]*\\)\t[0-9]*\t/\t\\1\t1\t/'"),
    ("dead panes", "rows \"$@\" | sed 's/\t0\t/\t1\t/'"),
    ("other names and no tags", "rows \"$@\" | sed 's/\ta-1\t.*/\tx y\t\t./'"),
    ("everything twice", "rows \"$@\"; rows \"$@\""),
];

/// Puts a client into the place of tmux that says what `lie` says.
fn install(world: &World) {
    let real = peer_adapters::command::resolve("tmux".as_ref(), None, "/".as_ref()).expect("tmux");
    let client = world.path("client");
    let rows = "rows() { $real \"$@\"; }\ncase \"$*\" in *list-panes*) ;; *) lists=no ;; esac";
    let told = world.path("lie");
    let text = format!("#!/bin/sh\nreal='{}'\n{rows}\n. '{}'\n", real.display(), told.display());
    fs::write(&client, text).expect("written");
    fs::set_permissions(&client, fs::Permissions::from_mode(0o755)).expect("chmod");
    let config = world.path("config/config.toml");
    let text = fs::read_to_string(&config).expect("read");
    let text = text.replacen("[tmux]\n", &format!("[tmux]\nbinary = {}\n", common::quoted(&client)), 1);
    fs::write(&config, text).expect("written");
}

/// Lies about rows are told of listings alone.
fn tell(world: &World, lie: &str) {
    let lie =
        if lie.starts_with("rows") { format!("[ -z \"$lists\" ] || exec $real \"$@\"\n{lie}") } else { lie.to_owned() };
    let lie = lie.replace("/W", world.path("").to_str().expect("UTF-8").trim_end_matches('/'));
    fs::write(world.path("lie"), lie).expect("written");
}

fn state(world: &World) -> Value {
    world.peer(&["list", "--json"]).json()["peers"][0]["state"].clone()
}

#[test]
fn whatever_a_client_says_a_living_agent_is_not_ended() {
    let world = World::with_probe_timeout("5s");
    install(&world);
    tell(&world, "exec $real \"$@\"");
    world.demo("a", &[]);
    world.set_in_spec("a", "idle_timeout = \"0s\"");
    assert_eq!(world.tmux_on(&world.path("s-other"), &["-f", "/dev/null", "new-session", "-d", "sleep 1000"]), "");
    fs::rename(world.path("s-other"), world.path("other")).expect("renamed");
    for (what, lie) in LIES {
        tell(&world, "exec $real \"$@\"");
        assert_eq!(world.peer(&["wake", "a", "-m", "hello"]).code, 0, "{what}");
        settle(&world, "a");
        let (agent, pane, record) =
            (world.agent("a"), world.pane_process("a"), world.session("a")["incarnation"].clone());
        tell(&world, lie);
        for verb in [&["list"][..], &["status", "a"], &["wake", "a"], &["send", "a", "x"], &["doctor", "--fix"]] {
            let run = world.peer(verb);
            assert!(lives(agent) && lives(pane), "{what}: {verb:?}: {run:?}");
        }
        for _ in 0..2 {
            let run = world.peer(&["reap", "--json"]);
            assert!(lives(agent) && lives(pane), "{what}: {run:?}");
            assert!(done(&run.json()).is_empty(), "{what}: {run:?}");
        }
        assert_eq!((&world.session("a")["incarnation"], world.deaths("a")), (&record, 0), "{what}");
        // A person's word is carried out where the pane can be seen, and refused where it cannot.
        let run = world.peer(&["stop", "a"]);
        assert_eq!(lives(agent), run.code != 0, "{what}: {run:?}");
        tell(&world, "exec $real \"$@\"");
        if run.code == 0 {
            assert_eq!(
                (&world.end("a")["cause"], world.peer(&["start", "a"]).code),
                (&Value::from("stopped"), 0),
                "{what}"
            );
        } else {
            assert_eq!((state(&world), world.agent("a")), (Value::from("awake"), agent), "{what}");
            assert!(done(&tick(&world, &[])).is_empty(), "{what}");
        }
        assert_eq!(world.deaths("a"), 0, "{what}");
        wait_until("one agent at most", || world.processes().len() <= 1);
    }
}

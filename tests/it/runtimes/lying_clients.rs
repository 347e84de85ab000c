//! A client that answers wrongly: a wrapper, another program of that name, a broken pipe in between. Whatever it
//! answers, the living agent is not ended, no death is counted, and once the real client is back everything is as
//! before.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common;
use crate::common::attached::Attached;
use crate::common::ticks::{done, settle, tick};
use crate::common::{Run, World, lives, on_each_runtime, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::process;
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    whatever_a_broken_client_says_a_living_agent_is_not_ended
    whatever_a_client_says_in_its_own_words_a_living_agent_is_not_ended
    whatever_a_listing_or_a_screen_says_a_living_agent_is_not_ended
    a_start_of_which_nobody_can_tell_whether_it_was_made_is_found_or_fenced_off
}

/// How often a start is set up that depends on a race.
const ATTEMPTS: usize = 20;

/// A false answer of a client, as lines of sh(1). `$real` is the runtime's own client, `rows` its listing or screen.
type Lie = (&'static str, &'static str);

/// Answers of any program.
const ANY: [Lie; 8] = [
    ("nothing at all", "exit 0"),
    ("an empty line", "echo"),
    ("a failure without a word", "exit 1"),
    ("a signal", "kill -9 $$"),
    ("a greeting", "echo 'Welcome!'"),
    ("noise", "head -c 300 /dev/urandom"),
    ("a greeting first", "echo 'Welcome!'; exec $real \"$@\""),
    ("a warning beside", "echo 'this wrapper is deprecated' >&2; exec $real \"$@\""),
];

/// Answers of tmux when something is wrong.
const TMUX: [Lie; 15] = [
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
    ("another server", "shift 6; exec $real -u -S '/W/other' \"$@\""),
];

/// Answers only to listings.
const TMUX_LISTS: [Lie; 7] = [
    ("all but ours", "rows \"$@\" | sed '/a-1/d'"),
    ("half a row", "rows \"$@\" | head -c 12"),
    ("another pane", "rows \"$@\" | sed 's/\t%\\([0-9]*\\)\t/\t%9\\1\t/'"),
    ("another process", "rows \"$@\" | sed 's/\t\\(%[0-9]*\\)\t[0-9]*\t/\t\\1\t1\t/'"),
    ("dead panes", "rows \"$@\" | sed 's/\t0\t/\t1\t/'"),
    ("other names and no tags", "rows \"$@\" | sed 's/\ta-1\t.*/\tx y\t\t./'"),
    ("everything twice", "rows \"$@\"; rows \"$@\""),
];

/// Answers of zellij when something is wrong. The kernel shows what exists; the client is used for keys, pastes,
/// screens and endings.
const ZELLIJ: [Lie; 17] = [
    ("no session at all", "echo 'There is no active session!' >&2; exit 1"),
    ("other sessions", "echo \"Session 'a-1' not found. The following sessions are active:\" >&2; exit 0"),
    ("no such session", "echo 'No session named \"a-1\" found.'; exit 1"),
    ("no session, in other words", "echo 'Session: \"a-1\" not found.' >&2; exit 2"),
    ("no sessions", "echo 'No active zellij sessions found.' >&2; exit 1"),
    ("no session to end", "echo 'No session with the name \"a-1\" found!' >&2; exit 1"),
    ("lost", "echo 'Lost connection to the Zellij server' >&2; exit 1"),
    ("a duplicate", "echo 'Session already exists' >&2; exit 1"),
    ("a dead duplicate", "echo 'Session with name \"a-1\" already exists, but is dead.'; exit 1"),
    ("another version", "echo \"error: unexpected argument '--pane-id' found\" >&2; exit 2"),
    ("forbidden", "echo 'Permission denied (os error 13)' >&2; exit 1"),
    ("a panic", "echo \"thread 'main' panicked at src/main.rs\" >&2; exit 101"),
    ("no pane", "echo 'Pane with id Terminal(0) not found' >&2; exit 2"),
    ("no pane, and success", "echo 'Pane with id Terminal(0) not found' >&2; exit 0"),
    ("another directory", "ZELLIJ_SOCKET_DIR='/W/other' exec $real \"$@\""),
    (
        "another pane asked",
        "for word; do [ \"$word\" != terminal_0 ] || word=terminal_7; set -- \"$@\" \"$word\"; shift; done; exec $real \"$@\"",
    ),
    ("done, and nothing was", "case \"$*\" in *subscribe*) exec $real \"$@\";; esac"),
];

/// Answers only to requests for screens.
const ZELLIJ_SHOWS: [Lie; 5] = [
    ("a closed pane", "echo '{\"event\":\"pane_closed\",\"pane_id\":\"terminal_0\"}'"),
    ("an empty screen", "echo '{\"event\":\"pane_update\",\"pane_id\":\"terminal_0\",\"viewport\":[]}'"),
    ("another pane shown", "rows \"$@\" | sed -u 's/terminal_0/terminal_1/'"),
    ("half a line", "rows \"$@\" | head -c 12"),
    ("everything twice", "rows \"$@\" | sed -u p"),
];

/// The true answer.
const REAL: &str = "exec $real \"$@\"";

/// Replaces the runtime's client by one that gives the answer in `lie`.
fn install(world: &World) {
    let kind = world.kind().as_str();
    let real = peer_adapters::command::resolve(kind.as_ref(), None, "/".as_ref()).expect("it is installed");
    let client = world.path("client");
    let listing = if world.kind() == RuntimeKind::Tmux { "list-panes" } else { "subscribe" };
    let rows = format!("rows() {{ $real \"$@\"; }}\ncase \"$*\" in *{listing}*) ;; *) lists=no ;; esac");
    let told = world.path("lie");
    let text = format!("#!/bin/sh\nreal='{}'\n{rows}\n. '{}'\n", real.display(), told.display());
    fs::write(&client, text).expect("written");
    fs::set_permissions(&client, fs::Permissions::from_mode(0o755)).expect("chmod");
    let config = world.path("config/config.toml");
    let text = fs::read_to_string(&config).expect("read");
    let binary = format!("binary = {}\n", common::quoted(&client));
    let text = match world.kind() {
        RuntimeKind::Tmux => text.replacen("[tmux]\n", &format!("[tmux]\n{binary}"), 1),
        RuntimeKind::Zellij => format!("{text}\n[zellij]\n{binary}"),
    };
    fs::write(&config, text).expect("written");
}

fn tell(world: &World, lie: &str) {
    let lie = lie.replace("/W", world.path("").to_str().expect("UTF-8").trim_end_matches('/'));
    fs::write(world.path("lie"), lie).expect("written");
}

fn state(world: &World) -> Value {
    world.peer(&["list", "--json"]).json()["peers"][0]["state"].clone()
}

/// Runs every verb but a stop with a client that answers `what`: the agent lives, its neighbour too, and no death is
/// counted.
#[track_caller]
fn nobody_is_ended(world: &World, what: &str, neighbour: u32) {
    let (agent, pane, record) = (world.agent("a"), world.pane_process("a"), world.session("a")["incarnation"].clone());
    for verb in [&["list"][..], &["status", "a"], &["wake", "a"], &["send", "a", "x"], &["doctor", "--fix"]] {
        let run = world.peer(verb);
        assert!(lives(agent) && lives(pane) && lives(neighbour), "{what}: {verb:?}: {run:?}");
    }
    Attached::for_a_moment(world, "a", (120, 40));
    assert!(lives(agent) && lives(pane) && lives(neighbour), "{what}: attach");
    for _ in 0..2 {
        let run = world.peer(&["reap", "--json"]);
        assert!(lives(agent) && lives(pane) && lives(neighbour), "{what}: {run:?}");
        assert!(done(&run.json()).is_empty(), "{what}: {run:?}");
    }
    assert_eq!((&world.session("a")["incarnation"], world.deaths("a"), world.deaths("b")), (&record, 0, 0), "{what}");
}

/// Stops the peer, as the user requests. On tmux the stop is carried out if the pane can be seen, and refused if not;
/// on zellij the kernel identifies the agent, and only the session can be in the way.
#[track_caller]
fn is_stopped(world: &World, what: &str) {
    let agent = world.agent("a");
    let run = world.peer(&["stop", "a"]);
    let refused = run.code != 0 && world.kind() == RuntimeKind::Tmux;
    assert_eq!(lives(agent), refused, "{what}: {run:?}");
    tell(world, REAL);
    if refused {
        assert_eq!((state(world), world.agent("a")), (Value::from("awake"), agent), "{what}");
        assert!(done(&tick(world, &[])).is_empty(), "{what}");
    } else {
        assert!(run.code == 0 || world.peer(&["stop", "a"]).code == 0, "{what}: {run:?}");
        assert_eq!(
            (&world.end("a")["cause"], world.peer(&["start", "a"]).code),
            (&Value::from("stopped"), 0),
            "{what}: {run:?}"
        );
    }
    assert_eq!(world.deaths("a"), 0, "{what}");
}

fn whatever_a_broken_client_says_a_living_agent_is_not_ended(on: RuntimeKind) {
    not_ended(on, &ANY.map(|(what, lie)| (what, lie.to_owned())));
}

fn whatever_a_client_says_in_its_own_words_a_living_agent_is_not_ended(on: RuntimeKind) {
    let said = if on == RuntimeKind::Tmux { &TMUX[..] } else { &ZELLIJ[..] };
    not_ended(on, &said.iter().map(|(what, lie)| (*what, (*lie).to_owned())).collect::<Vec<_>>());
}

fn whatever_a_listing_or_a_screen_says_a_living_agent_is_not_ended(on: RuntimeKind) {
    let listed = if on == RuntimeKind::Tmux { &TMUX_LISTS[..] } else { &ZELLIJ_SHOWS[..] };
    let only_then = |lie: &str| format!("[ -z \"$lists\" ] || {REAL}\n{lie}");
    not_ended(on, &listed.iter().map(|(what, lie)| (*what, only_then(lie))).collect::<Vec<_>>());
}

/// Gives the false answers one after the other.
fn not_ended(on: RuntimeKind, lies: &[(&str, String)]) {
    let world = World::on_within(on, "5s");
    install(&world);
    tell(&world, REAL);
    for name in ["b", "a"] {
        world.demo(name, &[]);
        world.set_in_spec(name, "idle_timeout = \"0s\"");
    }
    assert_eq!(world.peer(&["wake", "b", "-m", "hello"]).code, 0);
    settle(&world, "b");
    let neighbour = world.agent("b");
    if on == RuntimeKind::Tmux {
        assert_eq!(world.tmux_on(&world.path("s-other"), &["-f", "/dev/null", "new-session", "-d", "sleep 1000"]), "");
        fs::rename(world.path("s-other"), world.path("other")).expect("renamed");
    }
    for (what, lie) in lies {
        tell(&world, REAL);
        assert_eq!(world.peer(&["wake", "a", "-m", "hello"]).code, 0, "{what}");
        settle(&world, "a");
        tell(&world, lie);
        if *what == "nothing at all" && on == RuntimeKind::Tmux {
            let run = world.peer(&["wake", "a"]);
            let told = format!(
                "error: cannot wake a: its state is unknown (runtime axis): tmux at {} does not list its pane, \
                 and its pane process, pid {}, still has the terminal of that pane\nhint: nothing was touched; try again\n",
                world.socket().display(),
                world.pane_process("a")
            );
            run.fails(6, &told);
        }
        nobody_is_ended(&world, what, neighbour);
        is_stopped(&world, what);
        wait_until("one agent each at most", || world.processes().len() <= 2);
    }
    assert_eq!(world.agent("b"), neighbour);
}

/// Stops the server after it has made the requested session, or before, and gives an unreadable answer: then no client
/// can list it either.
fn stops_the_server(world: &World, makes: bool) -> String {
    match world.kind() {
        RuntimeKind::Tmux => {
            let server = world.server().expect("it listens").pid;
            let make = if makes { "$real \"$@\" >/dev/null" } else { ":" };
            let stop = format!("kill -STOP {server}; echo 'Welcome to tmux!'; exit");
            format!("case \"$*\" in *new-session*) {make}; {stop};; esac\nexec $real \"$@\"")
        }
        // A session is a server here. It is stopped while it starts, and its client is ended.
        RuntimeKind::Zellij => {
            let servers = format!("pgrep -f -- '--server {}/zellij/a-[0-9]*/'", world.path("state").display());
            // It forks once to become a daemon, so a process in between is stopped as well.
            let stop = format!(
                "until pids=$({servers}) && kill -STOP $pids 2>/dev/null && [ \"$pids\" = \"$({servers})\" ]; do :; done; \
                 kill -9 $$"
            );
            format!("case \"$*\" in *\"attach --create\"*) {{ {stop}; }} & ;; esac\nexec $real \"$@\"")
        }
    }
}

/// Continues the servers that were stopped.
fn goes_on(world: &World) {
    for server in world.tmux_servers().into_iter().chain(world.zellij_servers()) {
        process::signal(server, Signal::SIGCONT).expect("a server of ours");
    }
}

/// Wakes `a` with a server that is stopped as told at [`stops_the_server`].
fn start_in_doubt(on: RuntimeKind, makes: bool) -> (World, Run) {
    // On a busy machine zellij can have answered before it is stopped. Then nothing is in doubt, and it is set up again.
    for _ in 0..ATTEMPTS {
        let world = World::on_within(on, "5s");
        install(&world);
        tell(&world, REAL);
        world.demo("b", &[]);
        world.peer(&["wake", "b"]).prints("b: woken fresh (first-wake)\n");
        world.demo("a", &[]);
        tell(&world, &stops_the_server(&world, makes));
        let run = world.peer(&["wake", "a", "-m", "hello"]);
        if on == RuntimeKind::Tmux || run.code != 0 {
            return (world, run);
        }
        goes_on(&world);
    }
    panic!("the server answered before it was stopped, {ATTEMPTS} times");
}

fn a_start_of_which_nobody_can_tell_whether_it_was_made_is_found_or_fenced_off(on: RuntimeKind) {
    for makes in [true, false] {
        let (world, run) = start_in_doubt(on, makes);
        assert_eq!((run.code, run.stdout.as_str()), (6, ""), "{run:?}");
        assert!(run.stderr.contains("whether session \"a-1\" was made is not known ("), "{run:?}");
        let failed = &world.events("a", "wake.failed")[0];
        assert_eq!(
            (&failed["cause"], &world.session("a")["phase"]),
            (&json!("runtime-unavailable"), &json!("starting"))
        );
        tell(&world, REAL);
        goes_on(&world);
        let run = world.peer(&["wake", "a", "-m", "again"]);
        assert_eq!(run.code, 0, "{run:?}");
        // A session that was made is found by its tag; otherwise a new start is made.
        // zellij may have made it before it was stopped, or may go on to make it.
        let found = run.stdout.starts_with("a: already awake");
        assert!(on == RuntimeKind::Zellij || found == makes, "{run:?}");
        let said = if found { "a: already awake" } else { "a: woken fresh (first-wake)" };
        assert_eq!(run.stdout, format!("{said}; message delivered\n"), "{run:?}");
        assert_eq!((&world.session("a")["incarnation"], world.deaths("a")), (&json!(if found { 1 } else { 2 }), 0));
        let agents = [world.agent("a"), world.agent("b")];
        wait_until("one agent each", || world.processes().iter().all(|pid| agents.contains(pid)));
        if on == RuntimeKind::Zellij {
            break;
        }
    }
}

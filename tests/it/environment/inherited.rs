//! What an agent inherits: attributes of its waker and its spec, never those of the process that happened to start the
//! server.
//!
//! The first waker here has an umask, limits and a nice value that differ from all others.

use crate::common;
use crate::common::{Run, World, on_each_runtime};
use peer_adapters::runtime::RuntimeKind;

const PEER: &str = env!("CARGO_BIN_EXE_peer");

const FIRST: &str =
    "umask 077; ulimit -Sn 200; ulimit -Sc 0; ulimit -Sf 100000; ulimit -St 9000; renice -n 5 $$ >/dev/null";

on_each_runtime! {
    an_agent_has_what_its_waker_has
    the_spec_goes_over_the_waker
    what_cannot_be_given_back_is_said
    a_restart_of_itself_keeps_it
    the_signals_of_a_starter_stay_with_it
}

/// Attributes of a process, from the kernel.
#[derive(Debug, PartialEq)]
struct Has {
    umask: String,
    nice: String,
    limits: Vec<String>,
}

impl Has {
    fn of(pid: &str) -> Self {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("it lives");
        let (status, stat) = (read("status"), read("stat"));
        let umask = status.lines().find_map(|line| line.strip_prefix("Umask:")).expect("told").trim().to_owned();
        // proc(5): field 19, and a program's name, field 2, may hold spaces.
        let nice = stat.rsplit_once(')').expect("a name").1.split_whitespace().nth(16).expect("told").to_owned();
        Self { umask, nice, limits: read("limits").lines().map(str::to_owned).collect() }
    }

    fn limit(&self, label: &str) -> Vec<&str> {
        let line = self.limits.iter().find_map(|line| line.strip_prefix(label)).expect("a limit");
        line.split_whitespace().take(2).collect()
    }
}

fn agent(world: &World, name: &str) -> Has {
    Has::of(&world.session(name)["process"]["pid"].to_string())
}

/// A world whose server was started by the first waker.
fn begun(on: RuntimeKind) -> World {
    let world = World::on(on);
    world.add("first", &["sleep", "1000"]);
    let run = world.peer_after(FIRST, &["wake", "first"]);
    assert_eq!(run.code, 0, "{run:?}");
    world
}

fn may_lower_nice() -> bool {
    nix::unistd::geteuid().is_root()
}

fn wakes(run: &Run, name: &str) {
    assert_eq!((run.code, run.stdout.as_str()), (0, format!("{name}: woken fresh (first-wake)\n").as_str()), "{run:?}");
    if may_lower_nice() {
        assert_eq!(run.stderr, "");
    }
}

fn an_agent_has_what_its_waker_has(on: RuntimeKind) {
    let world = begun(on);
    let first = agent(&world, "first");
    assert_eq!((first.umask.as_str(), first.limit("Max open files")[0]), ("0077", "200"), "{first:?}");
    assert_eq!((first.limit("Max cpu time")[0], first.nice.as_str()), ("9000", "5"), "{first:?}");
    world.add("second", &["sleep", "1000"]);
    wakes(&world.peer(&["wake", "second"]), "second");
    let (second, us) = (agent(&world, "second"), Has::of("self"));
    assert_eq!((&second.umask, &second.limits), (&us.umask, &us.limits));
    if may_lower_nice() {
        assert_eq!(second.nice, us.nice);
    }
}

fn the_spec_goes_over_the_waker(on: RuntimeKind) {
    let world = begun(on);
    let flags = ["--umask", "027", "--nice", "7", "--limit", "nofile=300:400", "--limit", "core=0", "--size", "132x43"];
    world.declare("a", &[&["--agent", "command"][..], &flags].concat(), &["sleep", "1000"]);
    wakes(&world.peer_after("umask 022", &["wake", "a"]), "a");
    let has = agent(&world, "a");
    assert_eq!((has.umask.as_str(), has.nice.as_str()), ("0027", "7"));
    assert_eq!((has.limit("Max open files"), has.limit("Max core file size")), (vec!["300", "400"], vec!["0", "0"]));
    let pid = world.session("a")["process"]["pid"].as_u64().expect("a pid").try_into().expect("a pid");
    let size = peer_adapters::terminal::size(pid).expect("a terminal");
    // Without the frame that zellij may draw around a pane.
    assert_eq!((size.columns, size.rows), (132, 43));
    let shown = world.peer(&["show", "a"]).stdout;
    for line in ["umask                 027", "nice                  7", "size                  132x43"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

fn what_cannot_be_given_back_is_said(on: RuntimeKind) {
    let world = begun(on);
    world.declare("a", &["--agent", "command", "--limit", "nofile=unlimited"], &["sleep", "1000"]);
    // No process may have more open files than the whole system (proc(5), nr_open).
    let run = world.peer(&["wake", "a"]);
    assert_eq!(run.code, 0, "{run:?}");
    let told = run.stderr.contains("limit nofile ") && run.stderr.contains(" instead of unlimited");
    assert!(told && run.stderr.contains("peer restart-runtime a"), "{run:?}");
    world.peer(&["wake", "a"]).prints("a: already awake\n");
}

fn a_restart_of_itself_keeps_it(on: RuntimeKind) {
    let world = begun(on);
    let script = format!("[ -e go ] && exec sleep 1000; until [ -e go ]; do sleep 0.05; done; '{PEER}' self-fresh");
    let flags = ["--agent", "command", "--umask", "027", "--limit", "nofile=300", "--limit", "nproc=4000"];
    world.declare("a", &flags, &["sh", "-c", &script]);
    wakes(&world.peer(&["wake", "a"]), "a");
    let before = agent(&world, "a");
    std::fs::write(world.work().join("go"), "").expect("written");
    common::wait_until("it is another one", || {
        world.session("a")["incarnation"] == 2 && world.session("a")["process"]["pid"].is_number()
    });
    assert_eq!(agent(&world, "a"), before);
}

/// As if started by a daemon that watches its own children, or by a library that blocks signals.
fn the_signals_of_a_starter_stay_with_it(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sleep", "1000"]);
    let starter = "set -- env --ignore-signal=CHLD --block-signal=TERM,HUP,CHLD \"$@\"";
    wakes(&world.peer_after(starter, &["wake", "a"]), "a");
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.session("a")["process"]["pid"]));
    let status = status.expect("it lives");
    for set in ["SigBlk", "SigIgn"] {
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{set}:"))).expect("told");
        let set_of_it = u64::from_str_radix(line.trim(), 16).expect("a set of bits");
        // The signals above these belong to the C library or are real-time signals.
        assert_eq!(set_of_it & 0x7fff_ffff, 0, "{set} of the agent");
    }
    // The agent's end is noticed, and a verb of ours that is asked to end does so.
    let run = world.peer_after(starter, &["stop", "a"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "a: parked and stopped\n"), "{run:?}");
    let ended = "set -- timeout --preserve-status -k 20 1 env --block-signal=TERM \"$@\"";
    assert_eq!(world.peer_after(ended, &["watch", "--every", "1h"]).code, 0);
}

#[test]
fn what_is_no_such_value_is_refused() {
    let world = World::new();
    for (flag, value, says) in [
        ("--umask", "999", "write it in octal"),
        ("--nice", "20", "from -20 to 19"),
        ("--limit", "files=3", "use one of as, core"),
        ("--limit", "nofile=5:3", "the soft one is above the hard one"),
        ("--size", "4x4", "from 20x5"),
    ] {
        let run = world.peer(&["add", "a", "--agent", "command", flag, value, "--", "sleep", "1"]);
        assert!(run.code == 2 && run.stderr.contains(says), "{flag} {value}: {run:?}");
    }
    world.add("a", &["sleep", "1"]);
    world.set_in_spec("a", "nice = 99");
    let run = world.peer(&["wake", "a"]);
    assert!(run.code != 0 && run.stderr.contains("nice") && run.stderr.contains("from -20 to 19"), "{run:?}");
}

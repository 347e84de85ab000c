//! Every way in which an agent can end: its cause, whether it counts, and what ticks do about it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common;
use crate::common::{World, lives, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    exit_0_is_a_completion_only_after_10_s_of_being_ready
    another_exit_code_is_a_crash_and_so_is_a_signal
    children_of_an_agent_that_dies_do_not_stay
    a_program_that_cannot_be_started_is_a_death_that_changes_nothing
    another_boot_is_no_death
    after_another_boot_the_first_tick_brings_it_back
    beats_that_were_promised_and_stop_end_it
    a_beat_from_inside_its_pane_counts_and_waits_for_nobody
    memory_warns_once_a_crossing_and_drains_above_its_limit
}

/// Exits with the code in the file `leave`, once that exists.
const LEAVES: &str = "while ! [ -e leave ]; do sleep 0.02; done; read code <leave; rm leave; exit \"$code\"";

pub(super) fn leaves(world: &World, name: &str, spec: &str) {
    world.add(name, &["sh", "-c", LEAVES]);
    world.set_in_spec(name, spec);
}

#[track_caller]
pub(super) fn wake(world: &World, name: &str) {
    let run = world.peer(&["wake", name]);
    assert_eq!(run.code, 0, "{run:?}");
}

/// Makes the agent exit with `code`, and returns its end.
#[track_caller]
pub(super) fn leave(world: &World, name: &str, code: i32) -> Value {
    let ended = world.events(name, "session.ended").len();
    fs::write(world.work().join("leave.new"), format!("{code}\n")).expect("write");
    fs::rename(world.work().join("leave.new"), world.work().join("leave")).expect("rename");
    wait_until("it has left", || world.events(name, "session.ended").len() > ended);
    world.await_end(name)
}

/// Makes the agent ready this many seconds earlier.
pub(super) fn ready_earlier(world: &World, name: &str, seconds: u64) {
    world.edit(name, "session", |record| {
        for key in ["woke_at_ms", "ready_at_ms"] {
            record[key] = json!(record[key].as_u64().expect("a time") - seconds * 1000);
        }
    });
}

/// Moves the last end and all deaths this many seconds into the past.
pub(super) fn earlier(world: &World, name: &str, seconds: u64) {
    let shift = |at: &mut Value| *at = json!(at.as_u64().expect("a time") - seconds * 1000);
    world.edit(name, "end", |end| {
        shift(&mut end["at_ms"]);
        let recent = end.get_mut("recent").and_then(Value::as_array_mut);
        recent.into_iter().flatten().for_each(|entry| shift(&mut entry["at_ms"]));
    });
    if world.has(name, "deaths") {
        world.edit(name, "deaths", |deaths| {
            deaths.as_array_mut().expect("a ring").iter_mut().for_each(|death| shift(&mut death["at_ms"]));
        });
    }
}

#[track_caller]
pub(super) fn tick(world: &World) -> Vec<String> {
    let run = world.peer(&["reap"]);
    assert!(run.code == 0 && run.stderr.is_empty(), "{run:?}");
    run.stdout.lines().filter(|line| !line.contains(": cleared ")).map(str::to_owned).collect()
}

/// The peer's state and detail in the list.
#[track_caller]
pub(super) fn listed_now(world: &World, name: &str) -> String {
    world.peer(&["list", name, "--format", "{state} ({detail})"]).stdout.trim().to_owned()
}

/// The peer's state in the list, and its hold in whole seconds after its last end.
#[track_caller]
pub(super) fn listed(world: &World, name: &str) -> (String, Option<u64>) {
    let document = world.peer(&["list", "--json"]).json();
    let rows = document["peers"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["peer"] == name).expect("it is listed");
    let at = world.end(name)["at_ms"].as_u64().unwrap_or_default();
    (row["state"].as_str().expect("a word").to_owned(), row["held_until_ms"].as_u64().map(|until| (until - at) / 1000))
}

#[track_caller]
pub(super) fn is(end: &Value, cause: &str, counted: bool, key: &str, value: &Value) {
    assert_eq!((&end["cause"], &end["counted"], &end[key]), (&json!(cause), &json!(counted), value), "{end}");
}

fn exit_0_is_a_completion_only_after_10_s_of_being_ready(on: RuntimeKind) {
    let world = World::on(on);
    leaves(&world, "a", "");
    wake(&world, "a");
    is(&leave(&world, "a", 0), "completed-early", true, "code", &json!(0));
    assert_eq!((world.deaths("a"), listed(&world, "a").0), (1, "crashed".into()));
    wake(&world, "a");
    ready_earlier(&world, "a", 10);
    is(&leave(&world, "a", 0), "completed", false, "code", &json!(0));
    assert_eq!((world.deaths("a"), listed(&world, "a").0), (1, "completed".into()));
}

fn another_exit_code_is_a_crash_and_so_is_a_signal(on: RuntimeKind) {
    let world = World::on(on);
    leaves(&world, "a", "");
    wake(&world, "a");
    let end = leave(&world, "a", 3);
    is(&end, "crashed", true, "code", &json!(3));
    assert!(end["uptime_ms"].as_u64() > Some(0) && end["max_rss_kib"].as_u64() > Some(0), "{end}");
    for (number, by) in [(11, Signal::SIGSEGV), (9, Signal::SIGKILL)] {
        wake(&world, "a");
        signal(world.agent("a"), by);
        is(&world.await_end("a"), "killed", true, "signal", &json!(number));
    }
    let run = world.peer(&["list"]);
    assert!(run.stdout.contains("crashed (SIGKILL)") && run.stdout.contains("held"), "{run:?}");
    assert_eq!(world.peer(&["wake", "a"]).code, 4, "three in 300 s");
    earlier(&world, "a", 301);
    wake(&world, "a");
}

fn children_of_an_agent_that_dies_do_not_stay(on: RuntimeKind) {
    let world = World::on(on);
    // In its own group, in separate groups, and ignoring the signals that ask them to end.
    let script = "set -m; for i in 1 2; do (trap '' HUP TERM; exec sleep 1000) & done; set +m; sleep 1000 & wait";
    world.add("a", &["bash", "--norc", "-c", script]);
    wake(&world, "a");
    wait_until("its children run", || world.processes().len() == 4);
    signal(world.agent("a"), Signal::SIGKILL);
    world.await_end("a");
    wait_until("nothing is left of it", || world.processes().is_empty());
}

fn a_program_that_cannot_be_started_is_a_death_that_changes_nothing(on: RuntimeKind) {
    let world = World::on(on);
    let script = world.work().join("broken");
    fs::write(&script, "#!/nonexistent/interpreter\n").expect("write");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("chmod");
    world.add("a", &[script.to_str().expect("UTF-8")]);
    let run = world.peer(&["wake", "a"]);
    assert!(run.code == 5 && run.stderr.contains("crashed (spawn)"), "{run:?}");
    is(&world.await_end("a"), "spawn-failed", true, "code", &Value::Null);
    assert_eq!(world.peer(&["why", "a", "--json"]).json()["decision"], "start fresh (first-wake)");
}

fn another_boot_is_no_death(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    assert_eq!(world.peer(&["wake", "a", "-m", "hello"]).code, 0);
    // A reboot leaves no process, so the end was not recorded.
    let agent = world.agent("a");
    signal(world.pane_process("a"), Signal::SIGKILL);
    wait_until("nothing of it runs", || !lives(agent));
    world.edit("a", "session", |record| record["boot_id"] = json!("00000000-0000-0000-0000-000000000000"));
    assert_eq!(listed_now(&world, "a"), "lost (not recorded yet)");
    assert_eq!(tick(&world), ["a: ended (lost)"]);
    is(&world.end("a"), "rebooted", false, "signal", &Value::Null);
    assert_eq!((world.deaths("a"), listed(&world, "a").0), (0, "lost".into()));
    let decision = format!("resume {} (rebooted)", world.conversation("a"));
    assert_eq!(world.peer(&["why", "a", "--json"]).json()["decision"], decision);
}

fn after_another_boot_the_first_tick_brings_it_back(on: RuntimeKind) {
    let world = World::on(on);
    let fleet = [("a", "restart = \"on-failure\""), ("b", "restart = \"on-wake\"")];
    for (name, restart) in fleet {
        world.demo(name, &[]);
        world.set_in_spec(name, restart);
        assert_eq!(world.peer(&["wake", name, "-m", "hello"]).code, 0);
        let (agent, pane) = (world.agent(name), world.pane_process(name));
        signal(pane, Signal::SIGKILL);
        wait_until("nothing of it runs", || !lives(agent) && !lives(pane));
        world.edit(name, "session", |record| record["boot_id"] = json!("00000000-0000-0000-0000-000000000000"));
    }
    let conversation = world.conversation("a");
    let told = ["a: ended (lost)", "a: restarted (resume (rebooted))", "b: ended (lost)"];
    assert_eq!(tick(&world), told, "one tick later is one too late, and who is not to restart does not");
    assert_eq!((world.conversation("a"), world.deaths("a")), (conversation, 0));
    assert!(tick(&world).is_empty());
}

fn beats_that_were_promised_and_stop_end_it(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sleep", "1000"]);
    world.set_in_spec("a", "beat_timeout = \"60s\"\nidle_timeout = \"0s\"");
    wake(&world, "a");
    assert!(tick(&world).is_empty(), "the first is owed from when it was ready");
    ready_earlier(&world, "a", 120);
    let beat = |ago: u64| {
        let at = std::time::SystemTime::now() - std::time::Duration::from_secs(ago);
        world.write("a", "beat", &format!("{}\n", humantime::format_rfc3339_millis(at)));
    };
    beat(50);
    assert!(tick(&world).is_empty());
    beat(61);
    let since = std::time::Instant::now();
    // The machine was suspended, so nothing could beat.
    let path = world.path("state/heartbeat.json");
    let awake = fs::read_to_string(&path).expect("a heartbeat");
    let mut slept: Value = serde_json::from_str(&awake).expect("JSON");
    slept["machine_woke_at_ms"] = json!(slept["started_at_ms"]);
    fs::write(&path, slept.to_string()).expect("write");
    assert!(tick(&world).is_empty());
    fs::write(&path, awake).expect("write");
    let agent = world.agent("a");
    // The tick before took its time, too.
    let told = tick(&world).join("\n");
    let seconds = told.strip_prefix("a: ended (no beat for ").and_then(|told| told.strip_suffix(" s)"));
    let seconds: u64 = seconds.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{told}"));
    assert!((61..=61 + 1 + since.elapsed().as_secs()).contains(&seconds), "{told}");
    is(&world.end("a"), "unresponsive", true, "signal", &json!(15));
    assert!(!lives(agent));
    assert_eq!((world.deaths("a"), listed(&world, "a").0), (1, "crashed".into()));
}

fn a_beat_from_inside_its_pane_counts_and_waits_for_nobody(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sleep", "1000"]);
    wake(&world, "a");
    let lock = fs::File::open(world.file("a", "lock")).expect("it is there");
    let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).expect("free");
    let inside = |verb: &str, incarnation: &str| {
        let mut command = world.command(&[verb]);
        common::Run::of(command.env("PEER_NAME", "a").env("PEER_INCARNATION", incarnation), None)
    };
    inside("beat", "1").prints("");
    assert!(world.has("a", "beat"));
    assert_eq!(inside("self-done", "1").code, 0);
    assert!(world.has("a", "done"));
    drop(lock);
    let run = inside("beat", "7");
    assert!(run.code != 0 && run.stderr.contains("incarnation 7 of a is no longer the current one"), "{run:?}");
    assert_ne!(world.peer(&["beat"]).code, 0, "outside");
}

fn memory_warns_once_a_crossing_and_drains_above_its_limit(on: RuntimeKind) {
    let world = World::on(on);
    // tail keeps its input: 90 MiB at first, 40 more once the file `more` exists. It is a child of the agent.
    let hog = "(head -c 94371840 /dev/zero; while ! [ -e more ]; do sleep 0.02; done; head -c 41943040 /dev/zero; \
               sleep 1000) | tail -c 209715200";
    world.add("a", &["sh", "-c", hog]);
    let limit = |limit: &str| {
        let path = world.path("config/peers/a.toml");
        let spec = fs::read_to_string(&path).expect("readable");
        let spec: String =
            spec.lines().filter(|line| !line.starts_with("max_memory")).flat_map(|line| [line, "\n"]).collect();
        fs::write(path, format!("max_memory = {limit:?}\n{spec}")).expect("write");
    };
    world.set_in_spec("a", "restart = \"on-failure\"\nidle_timeout = \"0s\"");
    limit("100M");
    wake(&world, "a");
    let held = || {
        assert_eq!(tick(&world), Vec::<String>::new());
        let text = fs::read_to_string(world.path("state/heartbeat.json")).expect("a heartbeat");
        let heartbeat: Value = serde_json::from_str(&text).expect("JSON");
        heartbeat["peers"]["a"]["memory_kib"].as_u64().expect("it has a limit") / 1024
    };
    wait_until("it holds 90 MiB", || held() >= 90);
    let warned = || world.events("a", "memory.high").len();
    assert_eq!((held() >= 90, warned()), (true, 1), "once, however many ticks");
    limit("1G");
    held();
    limit("100M");
    held();
    held();
    assert_eq!(warned(), 2, "once a crossing");
    fs::write(world.work().join("more"), "").expect("write");
    let mut told = Vec::new();
    wait_until("it is drained", || {
        told = tick(&world);
        !told.is_empty()
    });
    assert!(told[0].starts_with("a: drained (1") && told[0].ends_with(" MiB of 100 MiB)"), "{told:?}");
    is(&world.end("a"), "memory-drained", false, "code", &Value::Null);
    assert_eq!((world.deaths("a"), world.processes(), listed(&world, "a")), (0, vec![], ("held".into(), Some(30))));
    assert!(tick(&world).is_empty(), "held");
    earlier(&world, "a", 31);
    fs::remove_file(world.work().join("more")).expect("it is there");
    assert_eq!(tick(&world), ["a: restarted (fresh (memory-drained-no-conversation))"]);
}

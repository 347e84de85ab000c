//! An agent whose terminal, server or machine is taken away has not failed: nothing is counted, and the next wake
//! resumes. Such events end several processes at once, in any order; a signal to the agent alone is its own end.

use std::process::Stdio;
use std::time::Duration;

use crate::common;
use crate::common::attached::on_a_terminal;
use crate::common::{World, ended, lives, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    an_orderly_stop_is_nobodys_death_in_whatever_order_and_however_the_agents_leave
    a_reboot_is_nobodys_death_whoever_lived_to_write_it_down
    what_outlives_an_orderly_stop_is_ended_by_the_next_wake_and_has_not_failed
    a_signal_to_the_agent_alone_is_its_own_end
    a_signal_to_the_pane_process_closes_it_and_one_that_cannot_be_caught_is_seen_by_nobody
    a_server_killed_at_any_moment_of_a_start_is_nobodys_death
    a_start_that_is_killed_with_its_server_and_pane_is_nobodys_death
    a_wake_that_joined_a_start_goes_on_when_that_is_taken_away
    a_wake_that_joined_a_start_before_its_agent_runs_goes_on_when_that_is_taken_away
    a_server_killed_at_any_moment_of_a_self_fresh_is_nobodys_death
}

/// How agents exit when asked to: at once or later, with the signal's number or with 0.
const LEAVERS: [(&str, &[&str]); 4] = [
    ("prompt", &[]),
    ("tidy", &["--leave-with", "0"]),
    ("quick", &["--linger", "20"]),
    ("slow", &["--linger", "300", "--leave-with", "1"]),
];

/// The processes of one peer that a service manager signals together.
struct Victims {
    server: u32,
    pane: u32,
    agent: u32,
}

impl Victims {
    fn of(world: &World, name: &str) -> Self {
        Self { server: world.server_of(name).pid, pane: world.pane_process(name), agent: world.agent(name) }
    }

    /// As a service manager does that is out of memory. The pane process sees nothing of it.
    fn kill_at_once(&self) {
        let (stop, kill) = (Signal::SIGSTOP, Signal::SIGKILL);
        for (pid, kind) in [(self.pane, stop), (self.server, kill), (self.agent, kill), (self.pane, kill)] {
            signal(pid, kind);
        }
    }

    fn in_order(&self, order: [usize; 3]) -> [u32; 3] {
        order.map(|index| [self.server, self.pane, self.agent][index])
    }
}

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// Signals a process that still exists: on tmux all share the server.
fn term(pid: u32) {
    if lives(pid) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
    }
}

#[track_caller]
fn is_nobodys_death(world: &World, name: &str, causes: &[&str], what: &str) {
    let end = world.await_end(name);
    let cause = end["cause"].as_str().expect("a cause");
    assert!(causes.contains(&cause) && end["counted"] == json!(false), "{what}: {name}: {end}");
    assert_eq!(world.deaths(name), 0, "{what}: {name}");
}

#[track_caller]
fn resumes(world: &World, name: &str, cause: &str, conversation: &str) {
    world.peer(&["wake", name]).prints(&format!("{name}: woken resumed ({cause})\n"));
    assert_eq!(world.conversation(name), conversation);
}

fn leavers(world: &World) -> Vec<String> {
    let talk = |(name, words): &(&str, &[&str])| {
        world.demo(name, words);
        let run = world.peer(&["wake", name, "-m", "hello"]);
        assert_eq!(run.code, 0, "{run:?}");
        world.conversation(name)
    };
    LEAVERS.iter().map(talk).collect()
}

fn an_orderly_stop_is_nobodys_death_in_whatever_order_and_however_the_agents_leave(on: RuntimeKind) {
    let world = World::on(on);
    let conversations = leavers(&world);
    for (round, order) in ORDERS.into_iter().enumerate() {
        let victims: Vec<_> = LEAVERS.iter().map(|(name, _)| Victims::of(&world, name)).collect();
        // In turn as a script does, and as a manager does that goes through a control group.
        for turn in 0..3 {
            for victim in &victims {
                term(victim.in_order(order)[turn]);
            }
            std::thread::sleep(Duration::from_millis(if round % 2 == 0 { 0 } else { 3 }));
        }
        let what = format!("order {order:?}");
        for ((name, _), conversation) in LEAVERS.iter().zip(&conversations) {
            is_nobodys_death(&world, name, &["runtime-lost"], &what);
            resumes(&world, name, "runtime-lost", conversation);
        }
    }
}

fn a_reboot_is_nobodys_death_whoever_lived_to_write_it_down(on: RuntimeKind) {
    let world = World::on(on);
    let conversations = leavers(&world);
    for (round, order) in ORDERS.into_iter().enumerate() {
        for (name, _) in LEAVERS {
            let victims = Victims::of(&world, name);
            victims.in_order(order).into_iter().for_each(term);
            // The processes that are left are killed, sooner or later.
            std::thread::sleep(Duration::from_millis([0, 1, 5, 30, 120, 400][round]));
            for pid in victims.in_order(order) {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            wait_until("all are gone", || !victims.in_order(order).into_iter().any(lives));
            if on == RuntimeKind::Tmux {
                break;
            }
        }
        let what = format!("order {order:?}");
        for ((name, _), conversation) in LEAVERS.iter().zip(&conversations) {
            let unrecorded = world.has(name, "session") && {
                let victims = Victims::of(&world, name);
                // On tmux the server is shared, and other panes may still be closing.
                wait_until("its pane is gone", || !lives(victims.pane));
                world.has(name, "session")
            };
            if unrecorded {
                world.edit(name, "session", |record| record["boot_id"] = json!("00000000-0000-0000-0000-000000000000"));
                // A pane process that was killed between the end and the record has judged the end already, and only
                // once.
                let end = world.end(name);
                let judged = end["incarnation"] == world.session(name)["incarnation"];
                let cause = if judged { end["cause"].as_str().expect("a cause") } else { "rebooted" };
                let then = world.peer(&["why", name, "--json"]).json()["then"].clone();
                assert_eq!(then, json!(format!("resume {conversation} ({cause})")), "{what}: {name}");
                assert!(["rebooted", "runtime-lost", "closed"].contains(&cause), "{what}: {name}: {end}");
                if cause != "closed" {
                    world.peer(&["list", name, "--format", "{state} ({detail})"]).prints("lost (not recorded yet)\n");
                }
                resumes(&world, name, cause, conversation);
            } else {
                let end = world.end(name);
                let cause = end["cause"].as_str().expect("a cause");
                assert!(["runtime-lost", "closed"].contains(&cause), "{what}: {name}: {end}");
                resumes(&world, name, cause, conversation);
            }
            assert_eq!(world.deaths(name), 0, "{what}: {name}: {}", world.end(name));
        }
    }
}

fn what_outlives_an_orderly_stop_is_ended_by_the_next_wake_and_has_not_failed(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--ignore", "hup,int,term"]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    for order in ORDERS {
        let victims = Victims::of(&world, "a");
        victims.in_order(order).into_iter().for_each(term);
        wait_until("the server is gone", || !lives(victims.server));
        assert!(lives(victims.agent));
        resumes(&world, "a", "runtime-lost", &conversation);
        assert!(!lives(victims.agent));
        assert_eq!(world.deaths("a"), 0);
    }
    // Killed in the end, as by a manager that has waited long enough.
    let victims = Victims::of(&world, "a");
    victims.in_order([2, 1, 0]).into_iter().for_each(term);
    wait_until("the server is gone", || !lives(victims.server));
    signal(victims.agent, Signal::SIGKILL);
    is_nobodys_death(&world, "a", &["runtime-lost"], "killed in the end");
}

#[track_caller]
fn wake_fresh_enough(world: &World, name: &str) {
    world.peer(&["reset", name]);
    let run = world.peer(&["wake", name]);
    assert_eq!(run.code, 0, "{run:?}");
}

fn a_signal_to_the_agent_alone_is_its_own_end(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("reports", &[]);
    world.add("dies", &["sleep", "1000"]);
    for asked in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        for name in ["reports", "dies"] {
            wake_fresh_enough(&world, name);
            signal(world.agent(name), asked);
            let end = world.await_end(name);
            let by_code = name == "reports" && asked != Signal::SIGKILL;
            let number = asked as i32;
            let (cause, key, number) =
                if by_code { ("crashed", "code", 128 + number) } else { ("killed", "signal", number) };
            assert_eq!((&end["cause"], &end[key]), (&json!(cause), &json!(number)), "{asked} {end}");
            assert_eq!((&end["counted"], world.deaths(name)), (&json!(true), 1));
        }
    }
}

fn a_signal_to_the_pane_process_closes_it_and_one_that_cannot_be_caught_is_seen_by_nobody(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    for asked in [Signal::SIGTERM, Signal::SIGHUP] {
        signal(world.pane_process("a"), asked);
        is_nobodys_death(&world, "a", &["closed"], asked.as_str());
        resumes(&world, "a", "closed", &conversation);
    }
    let agent = world.agent("a");
    signal(world.pane_process("a"), Signal::SIGKILL);
    wait_until("the hangup of its terminal reached it", || !lives(agent));
    world.peer(&["wake", "a"]).prints("a: woken fresh (vanished)\n");
    assert_eq!(world.deaths("a"), 1);
}

/// Asserts what must hold however far a start had come when its server ended.
#[track_caller]
fn is_uncounted(world: &World, name: &str, what: &str) -> Value {
    wait_until("nothing runs", || world.processes().is_empty());
    let run = world.peer(&["wake", name]);
    assert_eq!((run.code, world.deaths(name)), (0, 0), "{what}: {run:?} {}", world.end(name));
    world.end(name)
}

fn a_server_killed_at_any_moment_of_a_start_is_nobodys_death(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--start-delay", "20"]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    for delay in [0, 1, 2, 3, 5, 8, 13, 30] {
        let server = world.server_of("a");
        world.lose_server("a");
        world.await_end("a");
        let mut wake = world.command(&["wake", "a"]).spawn().expect("it starts");
        let what = format!("{delay} ms after the agent's start");
        let started = || world.session("a")["process"].is_object();
        wait_until(&what, || started() || wake.try_wait().expect("ours").is_some());
        std::thread::sleep(Duration::from_millis(delay));
        // The record may not name the server yet; it is the parent of the pane process.
        let parent = peer_adapters::process::status(world.pane_process("a")).expect("/proc").map(|pane| pane.parent);
        if let Some(parent) = parent.filter(|parent| *parent > 1 && *parent != server.pid) {
            signal(parent, Signal::SIGKILL);
        }
        ended(&mut wake);
        is_uncounted(&world, "a", &what);
        assert_eq!(world.conversation("a"), conversation, "{what}: {}", world.end("a"));
    }
}

/// As a service manager does that is out of memory: nobody is left to record the end but the process that waits for it.
fn a_start_that_is_killed_with_its_server_and_pane_is_nobodys_death(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--start-delay", "600000"]);
    for _ in 0..3 {
        let mut wake = world.command(&["wake", "a"]).spawn().expect("it starts");
        let known = |key| world.session("a")[key].is_object();
        wait_until("its agent is started", || known("process") && known("server_process"));
        // Once the runtime has answered, the wake lets go of the lock, and waits for the agent.
        let lock = std::fs::File::open(world.file("a", "lock")).expect("it was locked");
        wait_until("it waits for the agent alone", || lock.try_lock_shared().is_ok());
        drop(lock);
        Victims::of(&world, "a").kill_at_once();
        ended(&mut wake);
        is_nobodys_death(&world, "a", &["runtime-lost"], "killed at once");
    }
}

/// The wake that began the start reports how it ended. The other one has started nothing, and was asked for an agent.
fn a_wake_that_joined_a_start_goes_on_when_that_is_taken_away(on: RuntimeKind) {
    let world = World::on(on);
    let slow = world.path("slow");
    std::fs::write(&slow, "").expect("writable");
    let script = format!("[ ! -e '{}' ] || set -- \"$@\" --start-delay 600000; exec \"$@\"", slow.display());
    world.demo_behind("a", &[], &["/bin/sh", "-c", &script, "sh"], &[]);
    let first = world.command(&["wake", "a"]).stderr(Stdio::piped()).spawn().expect("it starts");
    let known = |key| world.session("a")[key].is_object();
    wait_until("its agent is started", || known("process") && known("server_process"));
    let said = std::fs::File::create(world.path("second.txt")).expect("writable");
    let mut joins = on_a_terminal(&world, "", "wake a -m hello").stdout(said).spawn().expect("script(1)");
    let said = || std::fs::read_to_string(world.path("second.txt")).expect("readable");
    wait_until("the second wake waits for that start", || said().contains("waiting for a to be ready"));
    std::fs::remove_file(&slow).expect("removable");
    Victims::of(&world, "a").kill_at_once();
    let first = common::Run::finish(first, None, std::time::Instant::now());
    assert_eq!(first.code, 5, "{first:?}");
    assert!(ended(&mut joins).success(), "{}", said());
    assert!(said().contains("message delivered"), "{}", said());
    assert_eq!((world.deaths("a"), world.events("a", "message.delivered").len()), (0, 1));
}

/// The record is that of a start whose pane process has not started the agent yet.
fn a_wake_that_joined_a_start_before_its_agent_runs_goes_on_when_that_is_taken_away(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    let victims = Victims::of(&world, "a");
    let mut record = world.session("a");
    record["process"] = Value::Null;
    record["phase"] = json!("starting");
    record["driver"] = json!({"pid": 0, "start": 0});
    std::fs::write(world.file("a", "session"), record.to_string()).expect("writable");
    let said = std::fs::File::create(world.path("said.txt")).expect("writable");
    let mut joins = on_a_terminal(&world, "", "wake a -m hello").stdout(said).spawn().expect("script(1)");
    let said = || std::fs::read_to_string(world.path("said.txt")).expect("readable");
    wait_until("the wake waits for that start", || said().contains("waiting for a to be ready"));
    victims.kill_at_once();
    assert!(ended(&mut joins).success(), "{}", said());
    assert!(said().contains("message delivered"), "{}", said());
    assert_eq!((world.deaths("a"), world.events("a", "message.delivered").len()), (0, 1));
    assert_eq!(world.events("a", "session.ended")[0]["cause"], "runtime-lost");
}

fn a_server_killed_at_any_moment_of_a_self_fresh_is_nobodys_death(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    for delay in [0, 2, 5, 10, 15, 20, 40, 80] {
        world.peer(&["reset", "a"]);
        let (incarnation, server) = (world.session("a")["incarnation"].to_string(), world.server_of("a"));
        let mut command = world.command(&["self-fresh"]);
        let run = common::Run::of(command.env("PEER_NAME", "a").env("PEER_INCARNATION", incarnation), None);
        assert_eq!(run.code, 0, "{run:?}");
        std::thread::sleep(Duration::from_millis(delay));
        signal(server.pid, Signal::SIGKILL);
        // One that is still being killed may accept a client, and answer nothing.
        wait_until("it is gone", || !lives(server.pid));
        is_uncounted(&world, "a", &format!("{delay} ms after a self-fresh"));
    }
}

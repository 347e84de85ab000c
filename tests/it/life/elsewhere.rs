//! One state directory, seen from a container, from another machine and from a clone of this one. An agent that was
//! started elsewhere is unknown here, and nothing is started, signalled, counted or cleaned up.

use std::process::{Command, Stdio};

on_each_runtime! {
    a_container_over_the_same_state_directory_touches_nothing
    another_machine_over_the_same_state_directory_touches_nothing
    a_clone_of_this_machine_over_the_same_state_directory_touches_nothing
    a_machine_that_was_renamed_is_itself_until_it_is_booted_again_and_can_be_released_then
    what_runs_elsewhere_is_removed_by_force_as_files_alone
    what_ran_in_a_container_that_is_gone_can_be_released_and_resumes
}

use crate::common::not_run::cannot_run;
use crate::common::{Run, World, lives, on_each_runtime, quoted, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::process;
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

/// The place from which the directory is seen.
#[derive(Clone, Copy, Debug)]
enum From {
    /// A separate pid namespace.
    Container,
    /// A kernel like ours with another machine id.
    Machine,
    /// Our machine id under another kernel, with another host name: an image that was copied with its id.
    Clone,
}

impl From {
    /// Whether this system allows this place. If not, that is printed; where it must be allowed, the test fails.
    fn is_possible(self, world: &World) -> bool {
        let run = self.run(world, "true", &[]);
        if run.code != 0 {
            cannot_run(&format!("no namespaces ({self:?}): {}", run.stderr));
        }
        run.code == 0
    }

    #[track_caller]
    fn peer(self, world: &World, args: &[&str]) -> Run {
        self.run(world, env!("CARGO_BIN_EXE_peer"), args)
    }

    #[track_caller]
    fn run(self, world: &World, program: &str, args: &[&str]) -> Run {
        let mut unshare = Command::new("unshare");
        if !nix::unistd::geteuid().is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        match self {
            Self::Container => unshare.args(["--pid", "--fork", "--mount-proc", program]),
            Self::Machine => {
                let id = world.path("machine-id");
                std::fs::write(&id, "0123456789abcdef0123456789abcdef\n").expect("write");
                let bind = "mount --bind \"$0\" /etc/machine-id && exec \"$@\"";
                unshare.args(["--mount", "sh", "-c", bind]).arg(id).arg(program)
            }
            Self::Clone => {
                let id = world.path("boot-id");
                std::fs::write(&id, "01234567-89ab-4def-8123-456789abcdef\n").expect("write");
                let bind = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id \
                            && echo clone > /proc/sys/kernel/hostname && exec \"$@\"";
                unshare.args(["--mount", "--uts", "sh", "-c", bind]).arg(id).arg(program)
            }
        };
        unshare.args(args).env_clear().current_dir(world.work()).stdin(Stdio::null());
        for (key, value) in world.command(&[]).get_envs() {
            unshare.env(key, value.expect("set"));
        }
        Run::of(&mut unshare, None)
    }
}

/// Ages the record beyond the settle time.
fn age(world: &World, name: &str) {
    let ago = |at: &Value| json!(at.as_u64().expect("a time") - 600_000);
    world.edit(name, "session", |record| {
        record["woke_at_ms"] = ago(&record["woke_at_ms"]);
        record["ready_at_ms"] = ago(&record["ready_at_ms"]);
    });
}

/// Runs every verb that would act on a peer, and those that only read; each must leave the peer as it is.
fn touches_nothing(world: &World, from: From) {
    let record = world.session("a");
    for verb in
        [&["wake", "a"][..], &["send", "a", "more"], &["stop", "a"], &["new", "a"], &["interrupt", "a"], &["rm", "a"]]
    {
        let run = from.peer(world, verb);
        assert_eq!(run.code, 6, "{verb:?}: {run:?}");
        assert!(run.stderr.contains("peer release a"), "{verb:?}: the way out is named: {run:?}");
    }
    let listed = from.peer(world, &["list", "--json"]);
    assert_eq!((listed.code, &listed.json()["peers"][0]["state"]), (0, &json!("unknown")), "{listed:?}");
    let status = from.peer(world, &["status", "a"]);
    assert!(status.code == 0 && status.stdout.contains("unknown"), "{status:?}");
    for _ in 0..2 {
        let tick = from.peer(world, &["reap", "--json"]).json();
        assert_eq!(tick["done"], json!([]), "{tick}");
    }
    let doctor = from.peer(world, &["doctor"]);
    assert!(doctor.stdout.contains("peer release a"), "{doctor:?}");
    assert_eq!(from.peer(world, &["why", "a"]).code, 0);
    assert_eq!(from.peer(world, &["reset", "a"]).code, 0, "deaths are files, and may be forgotten anywhere");
    assert_eq!(world.session("a"), record, "the record is as it was");
    assert!(!world.has("a", "end") && !world.has("a", "stopped") && !world.has("a", "idle-reaped"));
}

fn seen_from(on: RuntimeKind, from: From) {
    let world = World::on(on);
    if !from.is_possible(&world) {
        return;
    }
    world.demo("a", &[]);
    assert_eq!(world.peer(&["wake", "a", "-m", "hello"]).code, 0);
    age(&world, "a");
    let (agent, conversation) = (world.agent("a"), world.conversation("a"));
    touches_nothing(&world, from);
    assert!(lives(agent), "the same agent lives");
    // Where the agent was started, everything works as before.
    world.peer(&["release", "a", "--yes"]).fails(
        4,
        "error: a does not run on another machine or in another container; there is nothing to release\n\
         hint: peer stop a ends it here\n",
    );
    world.peer(&["wake", "a", "-m", "more"]).prints("a: already awake; message delivered\n");
    assert_eq!((world.agent("a"), world.processes(), world.deaths("a")), (agent, vec![agent], 0));
    assert_eq!(world.said(&conversation), ["hello", "more"]);
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    wait_until("it has ended", || !lives(agent));
}

fn a_container_over_the_same_state_directory_touches_nothing(on: RuntimeKind) {
    seen_from(on, From::Container);
}

fn another_machine_over_the_same_state_directory_touches_nothing(on: RuntimeKind) {
    seen_from(on, From::Machine);
}

fn a_clone_of_this_machine_over_the_same_state_directory_touches_nothing(on: RuntimeKind) {
    seen_from(on, From::Clone);
}

fn a_machine_that_was_renamed_is_itself_until_it_is_booted_again_and_can_be_released_then(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    assert_eq!(world.peer(&["wake", "a", "-m", "hello"]).code, 0);
    let (agent, conversation) = (world.agent("a"), world.conversation("a"));
    let rename = |record: &mut Value| record["host"]["name"] = json!("as-it-was-called");
    world.edit("a", "session", rename);
    world.peer(&["wake", "a"]).prints("a: already awake\n");
    // The record as it is after a power cut and a boot.
    signal(world.pane_process("a"), Signal::SIGKILL);
    world.lose_server("a");
    // In case the hangup did not end the agent.
    let _ = process::status(agent).map(|found| found.map(|status| process::signal(status.id, Signal::SIGKILL)));
    wait_until("all of it has ended", || !lives(agent) && world.processes().is_empty());
    world.edit("a", "session", |record| record["boot_id"] = json!("01234567-89ab-4def-8123-456789abcdef"));
    let refused = world.peer(&["wake", "a"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(["as-it-was-called", "before it was renamed", "peer release a"].iter().all(|w| refused.stderr.contains(w)));
    let tick = world.peer(&["reap", "--json"]).json();
    assert_eq!((&tick["done"], world.deaths("a"), world.has("a", "end")), (&json!([]), 0, false), "{tick}");
    assert_eq!(world.peer(&["release", "a", "--yes"]).code, 0);
    world.peer(&["wake", "a", "-m", "more"]).prints("a: woken resumed (runtime-lost); message delivered\n");
    assert_eq!((world.deaths("a"), world.said(&conversation)), (0, vec!["hello".to_owned(), "more".to_owned()]));
}

fn what_runs_elsewhere_is_removed_by_force_as_files_alone(on: RuntimeKind) {
    for lost in [false, true] {
        let world = World::on(on);
        if !From::Container.is_possible(&world) {
            return;
        }
        world.demo("a", &[]);
        assert_eq!(world.peer(&["wake", "a"]).code, 0);
        let agent = world.agent("a");
        if lost {
            std::fs::remove_file(world.path("state/a.session")).expect("removed");
        }
        let refused = From::Container.peer(&world, &["rm", "a"]);
        assert!(refused.code == 6 && refused.stderr.contains("peer release a"), "{lost}: {refused:?}");
        let removed = From::Container.peer(&world, &["rm", "a", "--force"]);
        assert!(removed.code == 0 && removed.stderr.contains("is left running there"), "{lost}: {removed:?}");
        assert!(lives(agent) && !world.path("config/peers/a.toml").exists(), "{lost}");
    }
}

fn what_ran_in_a_container_that_is_gone_can_be_released_and_resumes(on: RuntimeKind) {
    let world = World::on(on);
    if !From::Container.is_possible(&world) {
        return;
    }
    world.demo("a", &[]);
    // The container, and everything in it, ends with this command.
    let run = From::Container.peer(&world, &["wake", "a", "-m", "hello"]);
    assert_eq!(run.code, 0, "{run:?}");
    let conversation = world.conversation("a");
    wait_until("the container is gone", || world.processes().is_empty());
    let refused = world.peer(&["wake", "a"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    let asked = world.peer(&["release", "a"]);
    assert_eq!((asked.code, asked.stdout.as_str()), (2, ""), "nobody is there to be asked: {asked:?}");
    world
        .peer(&["release", "a", "--yes"])
        .prints("a: its start 1 elsewhere is given up; the next wake resumes it here\n");
    assert_eq!((&world.end("a")["cause"], world.deaths("a")), (&json!("runtime-lost"), 0));
    world.peer(&["wake", "a", "-m", "more"]).prints("a: woken resumed (runtime-lost); message delivered\n");
    assert_eq!(
        (world.conversation("a"), world.said(&conversation)),
        (conversation, vec!["hello".to_owned(), "more".to_owned()])
    );
}

#[test]
fn a_record_that_names_no_host_is_taken_for_one_of_this() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    assert!(world.session("a")["host"]["machine"].is_string());
    world.edit("a", "session", |record| {
        record.as_object_mut().expect("an object").remove("host");
    });
    world.peer(&["wake", "a"]).prints("a: already awake\n");
}

#[test]
fn a_proc_of_another_namespace_is_not_asked() {
    let world = World::new();
    world.add("a", &["cat"]);
    let mut unshare = Command::new("unshare");
    unshare.args(["--pid", "--fork", env!("CARGO_BIN_EXE_peer"), "wake", "a"]).env_clear().current_dir(world.work());
    for (key, value) in world.command(&[]).get_envs() {
        unshare.env(key, value.expect("set"));
    }
    let run = Run::of(unshare.stdin(Stdio::null()), None);
    if run.stderr.contains("unshare") {
        cannot_run(&format!("no namespaces: {}", run.stderr));
        return;
    }
    assert!(run.code == 1 && run.stderr.contains("/proc shows another pid namespace"), "{run:?}");
    assert!(world.processes().is_empty() && !world.has("a", "session"), "{}", quoted(&world.work()));
}

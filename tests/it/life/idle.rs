//! When an idle peer is parked, and when it is not.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::common;
use crate::common::attached::Attached;
use crate::common::not_run::cannot_run;
use crate::common::run::succeeds;
use crate::common::{World, lives, on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    an_executor_is_parked_after_its_timeout_and_resumed_by_topic
    a_conversational_peer_goes_on_whatever_the_topic
    an_ephemeral_peer_goes_20_s_after_it_said_so_and_600_s_after_it_did_not
    timeout_0_is_never
    a_turn_is_never_cut
    a_peer_that_asks_a_person_is_not_idle
    a_message_of_a_moment_ago_keeps_it
    an_agent_whose_child_is_at_work_is_not_idle
    what_cannot_be_read_is_no_reason_to_park
    time_that_the_machine_slept_is_not_idle_time
    nobody_is_cut_off_while_attached_unless_the_spec_says_so
    the_park_is_written_down_before_the_first_signal
    a_park_that_was_cut_short_is_no_park_of_a_later_crash
}

/// The time this many seconds ago, in RFC 3339.
fn ago(seconds: u64) -> String {
    humantime::format_rfc3339_millis(SystemTime::now() - Duration::from_secs(seconds)).to_string()
}

/// The demo agent, with `spec` in front of its spec, woken with one message.
#[track_caller]
fn talked(world: &World, spec: &str, words: &[&str], message: &str) {
    world.demo("a", words);
    world.set_in_spec("a", spec);
    let run = world.peer(&["wake", "a", "-m", message]);
    assert_eq!(run.code, 0, "{run:?}");
}

/// Moves all times of the record this many seconds into the past.
fn record_earlier(world: &World, seconds: u64) {
    world.edit("a", "session", |record| {
        for key in ["woke_at_ms", "ready_at_ms", "delivered_at_ms"] {
            if let Some(at) = record[key].as_u64() {
                record[key] = json!(at - seconds * 1000);
            }
        }
        record.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    });
}

fn transcript(world: &World) -> PathBuf {
    let work = fs::canonicalize(world.work()).expect("it is there").display().to_string();
    let slug: String = work.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    world.path(&format!("home/demo/projects/{slug}/{}.jsonl", world.conversation("a")))
}

/// Moves the last record of the transcript this far into the past.
fn transcript_earlier(world: &World, seconds: u64) {
    let path = transcript(world);
    let text = fs::read_to_string(&path).expect("a transcript");
    let aged = text.lines().map(|line| {
        let mut record: Value = serde_json::from_str(line).expect("JSON");
        record["timestamp"] = json!(ago(seconds));
        format!("{record}\n")
    });
    fs::write(&path, aged.collect::<String>()).expect("write");
}

/// Makes the peer idle for this many seconds, by every source.
fn idle_for(world: &World, seconds: u64) {
    record_earlier(world, seconds);
    transcript_earlier(world, seconds);
}

#[track_caller]
fn tick(world: &World) -> String {
    let run = world.peer(&["reap"]);
    assert!(run.code == 0 && run.stderr.is_empty(), "{run:?}");
    run.stdout
}

#[track_caller]
fn parks(world: &World, seconds: u64) {
    let said = tick(world);
    let told: Option<u64> = said
        .strip_prefix("a: parked (idle for ")
        .and_then(|rest| rest.strip_suffix(" s)\n"))
        .and_then(|number| number.parse().ok());
    assert!(told.is_some_and(|told| (seconds..seconds + 60).contains(&told)), "{said:?}");
    assert_eq!((&world.end("a")["cause"], &world.end("a")["counted"]), (&json!("idle-reaped"), &json!(false)));
    assert!(world.has("a", "idle-reaped") && world.processes().is_empty());
}

#[track_caller]
fn stays(world: &World) {
    assert_eq!(tick(world), "");
    assert!(lives(world.agent("a")) && !world.has("a", "idle-reaped"));
}

#[track_caller]
fn next_wake(world: &World, flags: &[&str]) -> String {
    let decision = world.peer(&[&["why", "a", "--json"], flags].concat()).json()["decision"].clone();
    decision.as_str().expect("text").replace(&world.conversation("a"), "ID")
}

fn an_executor_is_parked_after_its_timeout_and_resumed_by_topic(on: RuntimeKind) {
    let world = World::on(on);
    talked(&world, "policy = \"executor\"\nidle_timeout = \"1h\"", &[], "hello");
    idle_for(&world, 3590);
    stays(&world);
    idle_for(&world, 20);
    transcript_earlier(&world, 3605);
    parks(&world, 3600);
    assert_eq!(next_wake(&world, &[]), "resume ID (idle-reaped)");
    assert_eq!(next_wake(&world, &["--topic", "another"]), "start fresh (new-topic)");
}

fn a_conversational_peer_goes_on_whatever_the_topic(on: RuntimeKind) {
    let world = World::on(on);
    talked(&world, "policy = \"conversational\"\nidle_timeout = \"1h\"", &[], "hello");
    let conversation = world.conversation("a");
    idle_for(&world, 3605);
    parks(&world, 3600);
    assert_eq!(next_wake(&world, &["--topic", "another"]), "resume ID (idle-reaped)");
    world.peer(&["wake", "a", "-m", "more"]).prints("a: woken resumed (idle-reaped); message delivered\n");
    assert_eq!(world.said(&conversation), ["hello", "more"]);
    assert!(!world.has("a", "idle-reaped"), "used up");
    stays(&world);
}

fn an_ephemeral_peer_goes_20_s_after_it_said_so_and_600_s_after_it_did_not(on: RuntimeKind) {
    let world = World::on(on);
    talked(&world, "policy = \"ephemeral\"", &[], "hello");
    idle_for(&world, 590);
    stays(&world);
    let mut done = world.command(&["self-done"]);
    let run = common::Run::of(done.env("PEER_NAME", "a").env("PEER_INCARNATION", "1"), None);
    assert_eq!(run.code, 0, "{run:?}");
    stays(&world);
    world.write("a", "done", &format!("{}\n", ago(19)));
    stays(&world);
    world.write("a", "done", &format!("{}\n", ago(21)));
    // The agent goes on working, so its own statement does not decide.
    transcript_earlier(&world, 10);
    stays(&world);
    transcript_earlier(&world, 30);
    parks(&world, 20);
    assert_eq!(next_wake(&world, &[]), "start fresh (ephemeral)");
    assert_eq!(world.peer(&["wake", "a", "-m", "next"]).code, 0);
    assert!(!world.has("a", "done"), "that was the last one's");
    idle_for(&world, 605);
    parks(&world, 600);
}

fn timeout_0_is_never(on: RuntimeKind) {
    let world = World::on(on);
    talked(&world, "idle_timeout = \"0s\"", &[], "hello");
    idle_for(&world, 1_000_000);
    stays(&world);
}

fn a_turn_is_never_cut(on: RuntimeKind) {
    let world = World::on(on);
    talked(&world, "idle_timeout = \"1s\"", &["--slow-turn"], "UNTIL over please");
    idle_for(&world, 100_000);
    wait_until("it is at work", || world.screen("a").contains("esc to interrupt"));
    stays(&world);
    fs::write(world.work().join("over"), "").expect("write");
    wait_until("its turn is over", || world.screen("a").contains("ack turns=1"));
    idle_for(&world, 100_000);
    parks(&world, 100_000);
    assert_eq!(world.said(&world.conversation("a")), ["UNTIL over please"]);
}

fn a_peer_that_asks_a_person_is_not_idle(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--trust-dialog"]);
    world.set_in_spec("a", "idle_timeout = \"1s\"");
    assert_eq!(world.peer(&["wake", "a"]).code, 5);
    record_earlier(&world, 3600);
    let run = world.peer(&["reap"]);
    assert!(run.code == 0 && run.stdout.is_empty(), "{run:?}");
    assert!(lives(world.agent("a")));
}

fn a_message_of_a_moment_ago_keeps_it(on: RuntimeKind) {
    let world = World::on(on);
    talked(&world, "idle_timeout = \"1h\"", &[], "hello");
    let delivered = world.session("a")["delivered_at_ms"].clone();
    idle_for(&world, 7200);
    world.edit("a", "session", |record| record["delivered_at_ms"] = delivered);
    stays(&world);
}

fn an_agent_whose_child_is_at_work_is_not_idle(on: RuntimeKind) {
    let world = World::on(on);
    talked(&world, "idle_timeout = \"1h\"", &[], "hello");
    idle_for(&world, 7200);
    let children = transcript(&world).with_extension("").join("subagents");
    fs::create_dir_all(&children).expect("create");
    let did = |seconds: u64| {
        let record = json!({"type": "assistant", "isSidechain": true, "timestamp": ago(seconds)});
        fs::write(children.join("agent-a1.jsonl"), format!("{record}\n")).expect("write");
    };
    did(3590);
    stays(&world);
    // Unknown is not idle.
    fs::rename(&children, children.with_extension("moved")).expect("rename");
    fs::write(&children, "no directory").expect("write");
    stays(&world);
    fs::remove_file(&children).expect("remove");
    fs::rename(children.with_extension("moved"), &children).expect("rename");
    did(3605);
    parks(&world, 3600);
}

fn what_cannot_be_read_is_no_reason_to_park(on: RuntimeKind) {
    let world = World::on(on);
    talked(&world, "idle_timeout = \"1s\"", &[], "hello");
    record_earlier(&world, 3600);
    let path = transcript(&world);
    fs::rename(&path, path.with_extension("moved")).expect("rename");
    fs::create_dir(&path).expect("create");
    stays(&world);
    fs::remove_dir(&path).expect("remove");
    fs::rename(path.with_extension("moved"), &path).expect("rename");
    transcript_earlier(&world, 3600);
    parks(&world, 3600);
}

fn time_that_the_machine_slept_is_not_idle_time(on: RuntimeKind) {
    let world = World::on(on);
    talked(&world, "idle_timeout = \"1h\"", &[], "hello");
    assert_eq!(tick(&world), "");
    idle_for(&world, 7200);
    let path = world.path("state/heartbeat.json");
    let mut beat: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a heartbeat")).expect("JSON");
    assert!(beat["suspended_ms"].is_u64(), "{beat}");
    let woke = beat["started_at_ms"].as_u64().expect("a time") - 600_000;
    beat["machine_woke_at_ms"] = json!(woke);
    fs::write(&path, beat.to_string()).expect("write");
    stays(&world);
    beat["machine_woke_at_ms"] = json!(woke - 3_010_000);
    fs::write(&path, beat.to_string()).expect("write");
    parks(&world, 3600);
}

/// Uses the real clocks: in a separate time namespace, a tick sees a machine that has been suspended since the last
/// tick.
#[test]
fn a_suspension_between_two_ticks_is_seen_by_the_clocks() {
    let namespace = ["--time", "--monotonic", "-60"];
    if !succeeds(Command::new("unshare").args(namespace).arg("true")) {
        cannot_run("no time namespaces for this user");
        return;
    }
    let world = World::new();
    talked(&world, "idle_timeout = \"1h\"", &[], "hello");
    assert_eq!(tick(&world), "");
    idle_for(&world, 7200);
    let peer = world.command(&["reap"]);
    let mut slept = Command::new("unshare");
    slept.args(namespace).arg(peer.get_program()).args(peer.get_args()).env_clear().stdin(Stdio::null());
    slept.envs(peer.get_envs().filter_map(|(key, value)| Some((key, value?)))).current_dir(world.work());
    common::Run::of(&mut slept, None).prints("");
    let text = fs::read_to_string(world.path("state/heartbeat.json")).expect("a heartbeat");
    let beat: Value = serde_json::from_str(&text).expect("JSON");
    assert!(beat["suspended_ms"].as_u64() >= Some(59_000), "{beat}");
    assert_eq!(beat["machine_woke_at_ms"], beat["started_at_ms"], "{beat}");
    stays(&world);
}

fn nobody_is_cut_off_while_attached_unless_the_spec_says_so(on: RuntimeKind) {
    let world = World::on(on);
    talked(&world, "idle_timeout = \"1s\"", &[], "hello");
    let person = Attached::to(&world, "a");
    idle_for(&world, 3600);
    stays(&world);
    world.set_in_spec("a", "reap_attached = true");
    parks(&world, 3600);
    drop(person);
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
}

fn the_park_is_written_down_before_the_first_signal(on: RuntimeKind) {
    let world = World::on(on);
    // When it is asked to end, it records whether the marker exists already.
    let script = "trap 'ls \"$PEER_STATE_DIR\" >seen; grep -c idle-reaped \"$PEER_STATE_DIR/a.session\" >>seen; exit 0' TERM; \
                  while :; do sleep 0.05; done";
    world.profile("mute", "extends = \"command\"\ndescription = \"for a test\"\n[conversation]\nid = \"none\"\nactivity = [\"beats\"]\n[quit]\ngrace = \"100ms\"\nterm_grace = \"5s\"\n");
    world.declare("a", &["--agent", "mute"], &["sh", "-c", script]);
    world.set_in_spec("a", "idle_timeout = \"1s\"");
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
    record_earlier(&world, 3600);
    parks(&world, 3600);
    let seen = fs::read_to_string(world.work().join("seen")).expect("it looked");
    assert!(seen.lines().any(|line| line == "a.idle-reaped") && seen.ends_with("1\n"), "{seen}");
}

fn a_park_that_was_cut_short_is_no_park_of_a_later_crash(on: RuntimeKind) {
    let world = World::on(on);
    talked(&world, "idle_timeout = \"1h\"", &[], "hello");
    // A tick was killed between its marker and its first signal; then a message comes. The ending is completed first,
    // because a signal may be on its way.
    world.write("a", "idle-reaped", &format!("{}\n", ago(1)));
    world.edit("a", "session", |record| record["intent"] = json!("idle-reaped"));
    world.peer(&["wake", "a", "-m", "still there?"]).prints("a: woken resumed (idle-reaped); message delivered\n");
    common::signal(world.agent("a"), nix::sys::signal::Signal::SIGKILL);
    assert_eq!(world.await_end("a")["cause"], "killed");
}

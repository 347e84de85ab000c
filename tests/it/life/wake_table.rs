//! Every row of the wake table as a user meets it: real events (a stop, a crash, a server that ends) lead to the state,
//! then `peer why` must name the row and change nothing, and `peer wake` must do what it says.

use crate::common::{Run, World, lives, on_each_runtime, signal, stop, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    row_2_somebody_else_owns_its_lifecycle
    row_3_stopped
    row_4_a_runtime_that_does_not_answer_is_unknown_and_never_absent
    row_5_already_awake_delivers_live
    row_6_an_orphan_is_ended_first
    row_7_an_end_that_nobody_recorded_is_recorded_once
    row_8_failed_latches_until_reset_or_force
    row_8_a_changed_spec_opens_the_latch
    row_9_a_crash_loop_is_refused_and_says_when_to_retry
    row_9_reads_bare_times_too
    row_10_asked_fresh
    row_11_self_fresh
    row_12_asked_resume_resumes_or_refuses
    row_13_refresh
    row_14_first_wake
    row_15_ephemeral
    row_16_a_broken_or_finished_context_is_not_revived
    row_16_exit_0_after_ten_seconds_of_being_ready_is_a_completion_and_no_death
    row_17_a_session_that_somebody_closed_resumes
    row_17_a_lost_runtime_or_a_reboot_resumes
    row_17_without_a_conversation_to_be_found_is_fresh_and_says_so
    row_18_a_first_memory_drain_resumes
    row_18_a_second_memory_drain_within_600_s_is_fresh
    row_19_conversational_resumes_whatever_the_topic
    row_20_a_new_topic_starts_fresh_and_a_known_one_does_not
    row_21_parked_resumes_with_its_whole_context
    row_21_a_ping_without_a_topic_does_not_revive_where_resuming_is_opt_in
    several_are_woken_side_by_side_and_the_highest_code_wins
    why_prints_the_table_for_people
}

/// Returns the number of the deciding row in `peer why`, which must change nothing at all.
#[track_caller]
fn why(world: &World, name: &str, flags: &[&str]) -> u64 {
    let before = world.snapshot();
    let run = world.peer(&[&["why", name, "--json"], flags].concat());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    assert!(world.snapshot() == before, "why changed the state directory");
    let document = run.json();
    assert_eq!(document["schema"], "peer.why/1");
    let rows = document["rows"].as_array().expect("rows");
    let deciding: Vec<&Value> = rows.iter().filter(|row| row["decides"] == true).collect();
    assert_eq!((rows.len(), deciding.len()), (21, 1), "{document}");
    deciding[0]["row"].as_u64().expect("a number")
}

/// The one item of `peer wake --json`.
#[track_caller]
fn wake_json(world: &World, name: &str, flags: &[&str]) -> (i32, Value) {
    let run = world.peer(&[&["wake", name, "--json"], flags].concat());
    let document = run.json();
    assert_eq!(document["schema"], "peer.wake/1");
    let items = document["peers"].as_array().expect("peers");
    assert_eq!((items.len(), &items[0]["peer"]), (1, &json!(name)));
    (run.code, items[0].clone())
}

/// Asserts that row `row` wakes the peer, `fresh` or `resume`, with this cause in the answer and in the log.
#[track_caller]
fn wakes(world: &World, name: &str, flags: &[&str], row: u64, decision: &str, cause: &str) -> Value {
    // Flags that concern only the message decide nothing.
    let asked = flags.iter().position(|flag| *flag == "-m").map_or(flags, |at| &flags[..at]);
    assert_eq!(why(world, name, asked), row);
    let (code, item) = wake_json(world, name, flags);
    assert_eq!((code, &item["decision"], &item["cause"]), (0, &json!(decision), &json!(cause)), "{item}");
    let log = world.events(name, "wake.decided");
    let event = log.last().expect("it is logged");
    assert_eq!((&event["decision"], &event["cause"]), (&json!(decision), &json!(cause)));
    assert_eq!(event["incarnation"], item["incarnation"]);
    assert_eq!(world.events(name, "wake.ready").last().expect("it is logged")["cause"], cause);
    item
}

/// Asserts that row `row` refuses with this code and cause, nothing is started, and the log says so.
#[track_caller]
fn refuses(world: &World, name: &str, flags: &[&str], row: u64, code: i32, cause: &str) -> Value {
    assert_eq!(why(world, name, flags), row);
    let (session, started) = (world.session(name), world.events(name, "wake.decided").len());
    let (got, item) = wake_json(world, name, flags);
    assert_eq!((got, &item["cause"], &item["code"]), (code, &json!(cause), &json!(code)), "{item}");
    assert_eq!((world.session(name), world.events(name, "wake.decided").len()), (session, started));
    assert_eq!(world.events(name, "wake.refused").last().expect("it is logged")["cause"], cause);
    item
}

/// Wakes the peer with a message, so that there is a conversation, and returns the conversation.
#[track_caller]
fn talk(world: &World, name: &str) -> String {
    world.peer(&["wake", name, "--topic", "first", "-m", "hello"]);
    let conversation = world.conversation(name);
    assert_eq!(world.said(&conversation), ["hello"]);
    conversation
}

/// Parks the peer with `peer stop` and undoes the stop: its end is `stopped`.
#[track_caller]
fn park(world: &World, name: &str) {
    world.peer(&["stop", name]).prints(&format!("{name}: parked and stopped\n"));
    world.peer(&["start", name]);
}

/// Parks the peer and records the end as the reaper does.
#[track_caller]
fn park_idle(world: &World, name: &str) {
    park(world, name);
    world.edit(name, "end", |end| end["cause"] = json!("idle-reaped"));
}

/// Wakes a peer whose program crashes, and waits until it has ended.
#[track_caller]
fn crash(world: &World, name: &str) {
    let ends = world.events(name, "session.ended").len();
    world.peer(&["wake", name]);
    wait_until("it crashed", || world.events(name, "session.ended").len() > ends);
    world.await_end(name);
}

/// An agent that exits at once may have been ready before that or not: the row is 16 or 14.
#[track_caller]
fn starts_fresh(world: &World, name: &str) {
    let row = why(world, name, &[]);
    assert!(matches!(row, 14 | 16), "row {row}");
}

#[test]
fn row_1_no_such_peer() {
    let world = World::new();
    world.add("builder", &["cat"]);
    world
        .peer(&["wake", "nobody"])
        .fails(3, "error: there is no peer named nobody\nhint: peer add nobody -- COMMAND\n");
    world.peer(&["wake", "bulder"]).fails(3, "error: there is no peer named bulder\nhint: did you mean builder?\n");
    world.peer(&["why", "bulder"]).fails(3, "error: there is no peer named bulder\nhint: did you mean builder?\n");
    let (code, item) = wake_json(&world, "nobody", &[]);
    assert_eq!((code, &item["code"]), (3, &json!(3)));
}

fn row_2_somebody_else_owns_its_lifecycle(on: RuntimeKind) {
    let world = World::on(on);
    world.add("spec", &["cat"]);
    world.set_in_spec("spec", "managed_by = \"supervisord\"");
    refuses(&world, "spec", &[], 2, 4, "managed-elsewhere");
    world.peer(&["wake", "spec"]).fails(
        4,
        "error: cannot wake spec: its lifecycle is managed by supervisord\n\
         hint: start it with supervisord, or remove managed_by in `peer edit spec`\n",
    );

    world.add("unit", &["cat"]);
    let units = world.path("home/.config/systemd/user");
    std::fs::create_dir_all(&units).expect("create");
    std::fs::write(units.join("peer-unit.service"), "[Service]\n").expect("write");
    refuses(&world, "unit", &[], 2, 4, "managed-elsewhere");
}

fn row_3_stopped(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let conversation = talk(&world, "a");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    refuses(&world, "a", &[], 3, 4, "stopped");
    refuses(&world, "a", &["--resume"], 3, 4, "stopped");
    world.peer(&["wake", "a"]).fails(4, "error: cannot wake a: it was stopped with `peer stop`\nhint: peer start a\n");
    world.peer(&["start", "a"]).prints("a: may be woken again\n");
    let item = wakes(&world, "a", &[], 17, "resume", "stopped");
    assert_eq!(item["conversation"], conversation);
}

fn row_4_a_runtime_that_does_not_answer_is_unknown_and_never_absent(on: RuntimeKind) {
    let world = World::on_within(on, "500ms");
    world.add("a", &["cat"]);
    wait_until("it is up, within a short deadline", || world.peer(&["wake", "a"]).code == 0);
    let (agent, server) = (world.agent("a"), world.server_of("a").pid);
    stop(server);
    let item = refuses(&world, "a", &[], 4, 6, "runtime-unavailable");
    assert!(item["error"].as_str().expect("text").contains("is stopped"), "{item}");
    for verb in ["stop", "new", "interrupt"] {
        assert_eq!(world.peer(&[verb, "a"]).code, 6, "{verb}");
    }
    assert!(!world.has("a", "stopped") && !world.has("a", "idle-reaped"), "no marker while an axis is unknown");
    signal(server, Signal::SIGCONT);
    wait_until("the server answers", || world.peer(&["wake", "a"]).code == 0);
    assert_eq!(world.agent("a"), agent, "the same agent");
    assert_eq!(world.processes().len(), 1);
}

fn row_5_already_awake_delivers_live(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let conversation = talk(&world, "a");
    let agent = world.agent("a");
    assert_eq!(why(&world, "a", &[]), 5);
    let told = world.peer(&["why", "a"]).stdout;
    assert!(told.starts_with("a: a wake would find it awake (already-awake)\n"), "{told}");
    world.peer(&["wake", "a"]).prints("a: already awake\n");
    world.peer(&["wake", "a", "-t", "second", "-m", "more"]).prints("a: already awake; message delivered\n");
    refuses(&world, "a", &["--fresh"], 5, 4, "in-another-conversation");
    assert_eq!((world.agent("a"), world.said(&conversation)), (agent, vec!["hello".to_owned(), "more".to_owned()]));
    assert_eq!(std::fs::read_to_string(world.file("a", "topic")).expect("topics"), "first\nsecond\n");
    assert_eq!(world.events("a", "message.delivered").last().expect("logged")["topic"], "second");
}

fn row_6_an_orphan_is_ended_first(on: RuntimeKind) {
    let world = World::on(on);
    world.profile("stubborn", STUBBORN);
    world.declare(
        "a",
        &["--agent", "stubborn"],
        &["sh", "-c", "trap '' HUP TERM; echo deaf; while :; do sleep 0.1; done"],
    );
    world.peer(&["wake", "a"]);
    world.await_screen("a", "deaf");
    let agent = world.agent("a");
    world.close_session("a");
    assert!(lives(agent), "it outlives its session");
    let text = world.peer(&["why", "a"]).stdout;
    assert!(
        text.starts_with(
            "a: a wake would end the orphan, then go on\na: and then start fresh (closed-no-conversation)\n"
        ),
        "{text}"
    );
    wakes(&world, "a", &[], 6, "fresh", "closed-no-conversation");
    assert!(!lives(agent));
    // We ended it because its session had been closed, so it has not failed.
    assert_eq!((world.events("a", "session.orphan-ended").len(), world.deaths("a")), (1, 0));
}

fn row_7_an_end_that_nobody_recorded_is_recorded_once(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    // The kernel hangs up the terminal of a session leader that ended, and no process is left to record the end.
    signal(world.pane_process("a"), Signal::SIGKILL);
    wait_until("it is dead", || !lives(agent));
    wakes(&world, "a", &[], 7, "fresh", "vanished");
    let ends = world.events("a", "session.ended");
    assert_eq!((ends.len(), &ends[0]["incarnation"], world.deaths("a")), (1, &json!(1), 1));
}

fn row_8_failed_latches_until_reset_or_force(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "exit 3"]);
    world.set_in_spec("a", "max_restarts = 2");
    crash(&world, "a");
    crash(&world, "a");
    refuses(&world, "a", &[], 8, 4, "failed");
    refuses(&world, "a", &["--fresh"], 8, 4, "failed");
    world.peer(&["wake", "a"]).fails(
        4,
        "error: cannot wake a: it failed: 2 deaths in a row\n\
         hint: peer reset a, or peer wake a --fresh --force\n",
    );
    assert_eq!(why(&world, "a", &["--fresh", "--force"]), 10, "an operator's hand is always obeyed");
    world.peer(&["reset", "a"]);
    assert_eq!(world.deaths("a"), 0);
    starts_fresh(&world, "a");
}

fn row_8_a_changed_spec_opens_the_latch(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "exit 3"]);
    world.set_in_spec("a", "max_restarts = 2");
    crash(&world, "a");
    crash(&world, "a");
    assert_eq!(why(&world, "a", &[]), 8);
    world.set_in_spec("a", "idle_timeout = \"2h\"");
    assert_eq!(world.deaths("a"), 2, "what failed is not what would be started now");
    starts_fresh(&world, "a");
}

fn row_9_a_crash_loop_is_refused_and_says_when_to_retry(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "exit 3"]);
    for _ in 0..3 {
        crash(&world, "a");
    }
    assert_eq!(world.deaths("a"), 3);
    let item = refuses(&world, "a", &[], 9, 4, "crash-loop");
    let retry = item["retry_after_s"].as_f64().expect("seconds");
    assert!((200.0..=300.0).contains(&retry), "{item}");
    let logged = world.events("a", "wake.refused").last().expect("logged")["retry_after_s"].as_u64().expect("seconds");
    assert!((200..=300).contains(&logged));
    // A guard that also refused the emergency reset left operators editing JSON.
    assert_eq!(why(&world, "a", &["--fresh", "--force"]), 10);
    let forced = world.peer(&["wake", "a", "--fresh", "--force", "--json"]);
    assert_ne!(forced.code, 4, "{forced:?}");
    world.await_end("a");
    world.edit("a", "deaths", |deaths| {
        for death in deaths.as_array_mut().expect("a ring") {
            death["at_ms"] = json!(death["at_ms"].as_u64().expect("a time") - 301_000);
        }
    });
    // Old deaths do not count.
    starts_fresh(&world, "a");
}

fn row_9_reads_bare_times_too(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    world.peer(&["list"]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    world.write("a", "deaths", &format!("[{}, {}, {}]", now - 3000, now - 2000, now - 1000));
    refuses(&world, "a", &[], 9, 4, "crash-loop");
}

fn row_10_asked_fresh(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let old = talk(&world, "a");
    park(&world, "a");
    let item = wakes(&world, "a", &["--fresh"], 10, "fresh", "asked-fresh");
    assert_ne!(item["conversation"], old);
    assert_eq!(world.conversations("a"), [old, world.conversation("a")]);
}

fn row_11_self_fresh(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    talk(&world, "a");
    park(&world, "a");
    world.write("a", "new-eager", "2026-11-21T00:00:00Z\n");
    wakes(&world, "a", &[], 11, "fresh", "self-fresh");
    assert!(!world.has("a", "new-eager"), "asked for once, obeyed once");
}

fn row_12_asked_resume_resumes_or_refuses(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    refuses(&world, "a", &["--resume"], 12, 4, "nothing-to-resume");
    world
        .peer(&["wake", "a", "--resume"])
        .fails(4, "error: cannot wake a: there is no conversation to resume\nhint: peer wake a starts it fresh\n");
    let conversation = talk(&world, "a");
    signal(world.agent("a"), Signal::SIGKILL);
    world.await_end("a");
    assert_eq!(why(&world, "a", &[]), 16, "by itself it would start fresh");
    let item = wakes(&world, "a", &["--resume"], 12, "resume", "asked-resume");
    assert_eq!(item["conversation"], conversation);
}

fn row_13_refresh(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    talk(&world, "a");
    world.peer(&["refresh", "a"]);
    world.peer(&["wake", "a"]).prints("a: already awake\n");
    park(&world, "a");
    assert!(world.has("a", "fresh-next"), "nothing is disturbed now");
    wakes(&world, "a", &[], 13, "fresh", "refresh");
    assert!(!world.has("a", "fresh-next"));
}

fn row_14_first_wake(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let item = wakes(&world, "a", &["-t", "login"], 14, "fresh", "first-wake");
    assert_eq!((&item["incarnation"], &item["delivered"]), (&json!(1), &json!(false)));
    assert_eq!(std::fs::read_to_string(world.file("a", "topic")).expect("topics"), "login\n");
}

fn row_15_ephemeral(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.set_in_spec("a", "policy = \"ephemeral\"");
    talk(&world, "a");
    park(&world, "a");
    wakes(&world, "a", &[], 15, "fresh", "ephemeral");
}

fn row_16_a_broken_or_finished_context_is_not_revived(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("killed", &[]);
    let old = talk(&world, "killed");
    signal(world.agent("killed"), Signal::SIGKILL);
    world.await_end("killed");
    let item = wakes(&world, "killed", &[], 16, "fresh", "killed");
    assert_ne!(item["conversation"], old);

    for (name, code, cause) in [("crashed", "3", "crashed"), ("early", "0", "completed-early")] {
        world.demo(name, &["--leave-with", code]);
        talk(&world, name);
        // However long the test took, the agent was not ready for ten seconds.
        let ready = world.session(name)["ready_at_ms"].as_u64().expect("ready");
        world.edit(name, "session", |record| record["ready_at_ms"] = json!(ready + 600_000));
        signal(world.agent(name), Signal::SIGTERM);
        world.await_end(name);
        wakes(&world, name, &[], 16, "fresh", cause);
    }

    world.demo("vanished", &[]);
    talk(&world, "vanished");
    let agent = world.agent("vanished");
    signal(world.pane_process("vanished"), Signal::SIGKILL);
    wait_until("the hangup of its terminal reached it", || !lives(agent));
    wakes(&world, "vanished", &[], 7, "fresh", "vanished");
}

fn row_16_exit_0_after_ten_seconds_of_being_ready_is_a_completion_and_no_death(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "read line; exit 0"]);
    world.peer(&["wake", "a"]);
    let ready = world.session("a")["ready_at_ms"].as_u64().expect("ready");
    // The end has the kernel's time, so the test edits the time of readiness instead of waiting.
    world.edit("a", "session", |record| record["ready_at_ms"] = json!(ready - 10_000));
    world.press("a", &["Enter"]);
    let end = world.await_end("a");
    assert_eq!((&end["cause"], &end["counted"], world.deaths("a")), (&json!("completed"), &json!(false), 0));
    wakes(&world, "a", &[], 16, "fresh", "completed");
}

fn row_17_a_session_that_somebody_closed_resumes(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let conversation = talk(&world, "a");
    world.close_session("a");
    world.await_end("a");
    let item = wakes(&world, "a", &[], 17, "resume", "closed");
    assert_eq!((&item["conversation"], world.deaths("a")), (&json!(conversation), 0));
}

fn row_17_a_lost_runtime_or_a_reboot_resumes(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let conversation = talk(&world, "a");
    world.lose_server("a");
    world.await_end("a");
    let item = wakes(&world, "a", &[], 17, "resume", "runtime-lost");
    assert_eq!((&item["conversation"], world.deaths("a")), (&json!(conversation), 0));

    // As after a reboot: another boot id in the record, and no process left.
    let agent = world.agent("a");
    signal(world.pane_process("a"), Signal::SIGKILL);
    wait_until("it is dead", || !lives(agent));
    world.lose_server("a");
    world.edit("a", "session", |record| record["boot_id"] = json!("another"));
    assert_eq!(why(&world, "a", &[]), 7);
    let (code, item) = wake_json(&world, "a", &[]);
    assert_eq!((code, &item["decision"], &item["cause"]), (0, &json!("resume"), &json!("rebooted")), "{item}");
    assert_eq!((&item["conversation"], world.deaths("a")), (&json!(conversation), 0));
}

fn row_17_without_a_conversation_to_be_found_is_fresh_and_says_so(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    // Its transcript appears with its first message, and there was none.
    world.peer(&["wake", "a"]);
    park(&world, "a");
    let run = world.peer(&["wake", "a"]);
    assert_eq!(run.stdout, "a: woken fresh (stopped-no-conversation)\n");
    let cwd = world.work();
    let note = format!("note: a: its conversation was not found for {}, so it starts fresh\n", cwd.display());
    assert_eq!((run.code, run.stderr), (0, note));
    assert_eq!(world.events("a", "wake.decided")[1]["cause"], "stopped-no-conversation");
}

fn row_18_a_first_memory_drain_resumes(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let conversation = talk(&world, "a");
    park(&world, "a");
    drained(&world, "a", &[0]);
    let item = wakes(&world, "a", &[], 18, "resume", "memory-drained");
    assert_eq!(item["conversation"], conversation);
}

fn row_18_a_second_memory_drain_within_600_s_is_fresh(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let conversation = talk(&world, "a");
    park(&world, "a");
    drained(&world, "a", &[590_000, 0]);
    let item = wakes(&world, "a", &[], 18, "fresh", "memory-drained");
    assert_ne!(item["conversation"], conversation);
}

/// Records the end as a memory drain, with earlier drains this many milliseconds before it.
fn drained(world: &World, name: &str, ago_ms: &[u64]) {
    world.edit(name, "end", |end| {
        let at = end["at_ms"].as_u64().expect("a time");
        let drain = |ago: &u64| json!({ "at_ms": at - ago, "cause": "memory-drained" });
        end["cause"] = json!("memory-drained");
        end["recent"] = ago_ms.iter().map(drain).collect();
    });
}

fn row_19_conversational_resumes_whatever_the_topic(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.set_in_spec("a", "policy = \"conversational\"");
    let conversation = talk(&world, "a");
    park_idle(&world, "a");
    let item = wakes(&world, "a", &["-t", "something else"], 19, "resume", "idle-reaped");
    assert_eq!(item["conversation"], conversation);
}

fn row_20_a_new_topic_starts_fresh_and_a_known_one_does_not(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let conversation = talk(&world, "a");
    park_idle(&world, "a");
    assert_eq!(why(&world, "a", &["-t", " first "]), 21, "known, but for spaces");
    let item = wakes(&world, "a", &["-t", "second"], 20, "fresh", "new-topic");
    assert_ne!(item["conversation"], conversation);
    assert_eq!(std::fs::read_to_string(world.file("a", "topic")).expect("topics"), "second\n");
}

fn row_21_parked_resumes_with_its_whole_context(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let conversation = talk(&world, "a");
    park_idle(&world, "a");
    let item = wakes(&world, "a", &["-m", "again"], 21, "resume", "idle-reaped");
    assert_eq!((&item["conversation"], &item["delivered"]), (&json!(conversation), &json!(true)));
    assert_eq!(world.said(&conversation), ["hello", "again"]);
    wait_until("it knows both turns", || world.screen("a").contains("ack turns=2: again"));
}

fn row_21_a_ping_without_a_topic_does_not_revive_where_resuming_is_opt_in(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.set_in_spec("a", "resume_without_topic = false");
    let conversation = talk(&world, "a");
    park_idle(&world, "a");
    assert_eq!(why(&world, "a", &["-t", "first"]), 21);
    let item = wakes(&world, "a", &["-m", "ping"], 21, "fresh", "no-topic");
    assert_ne!(item["conversation"], conversation);
}

fn several_are_woken_side_by_side_and_the_highest_code_wins(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    world.add("b", &["cat"]);
    world.peer(&["stop", "b"]).prints("b: stopped; it was not awake\n");
    let run = world.peer(&["wake", "a", "b", "nobody", "a"]);
    assert_eq!((run.code, run.stdout.as_str()), (4, "a: woken fresh (first-wake)\n"), "{run:?}");
    assert_eq!(
        run.stderr,
        "error: cannot wake b: it was stopped with `peer stop`\nhint: peer start b\n\
         error: there is no peer named nobody\nhint: peer wake a b -m nobody, if it is the message; or peer add \
         nobody -- COMMAND\n"
    );
    world.peer(&["start", "b"]);
    world.peer(&["wake", "--all"]).prints("a: already awake\nb: woken fresh (first-wake)\n");
    // What a person or another program keeps down is not meant by `--all`, unlike by its name.
    world.add("c", &["cat"]);
    world.set_in_spec("c", "managed_by = \"systemd\"");
    world.peer(&["stop", "b"]);
    world.peer(&["wake", "--all"]).prints(
        "a: already awake\n\
         b: left out: it was stopped with `peer stop`; peer start b lets it be woken\n\
         c: left out: its lifecycle is managed by systemd\n",
    );
    let told = world.peer(&["wake", "--all", "--json"]).json();
    assert_eq!(told["peers"][1], serde_json::json!({ "peer": "b", "left_out": "stopped" }), "{told}");
    assert_eq!((world.peer(&["wake", "b"]).code, world.peer(&["wake", "c"]).code), (4, 4));
}

fn why_prints_the_table_for_people(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    let Run { code, stdout, stderr, .. } = world.peer(&["why", "a"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let mut lines = stdout.lines();
    assert_eq!(lines.next(), Some("a: a wake would start fresh (first-wake)"));
    let marked: Vec<&str> = stdout.lines().filter(|line| line.starts_with("=> 1")).collect();
    assert_eq!(marked, ["=> 14  never ran before                                       start fresh (first-wake)"]);
}

/// Graces short enough for a test.
const STUBBORN: &str = r#"
extends = "command"
description = "leaves only when it is killed"

[quit]
grace = "200ms"
term_grace = "200ms"
"#;

//! What `why`, `list` and `status` say of an incarnation that is over equals what a wake finds once it is recorded: the
//! same end, the same deaths, the same conversation, and so the same decision.

use std::time::Duration;

use crate::common::{World, lives, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer::testing::{
    AgentProcess, ContextPolicy, Deaths, EndContext, ExitRecord, Hangup, Incarnation, Intent, LastEnd, Markers, Mode,
    Outcome, PeerName, Phase, Place, Process, RecordedState, Session, SessionRecord, StateDir, Timestamp, WakeDecision,
    WakeFacts, WakeRequest, decide, preview, record_end,
};
use peer_adapters::runtime::RuntimeKind;
use proptest::prelude::*;
use serde_json::{Value, json};

on_each_runtime! {
    what_status_tells_of_an_end_that_nobody_recorded_is_what_the_next_wake_does
    what_status_tells_of_a_start_that_never_was_ready_is_what_the_next_wake_does
    what_keeps_a_peer_down_is_told_by_status_as_the_next_wake_says_it
}

const NOW: Timestamp = Timestamp::from_ms(1_795_305_600_000);

fn ago(seconds: u64) -> Timestamp {
    Timestamp::from_ms(NOW.as_ms() - seconds * 1000)
}

/// What its parent recorded: code, signal, hangup, and whether it could not be executed.
type Seen = (Option<i32>, Option<i32>, Option<Hangup>, bool);

/// One incarnation with everything that can be known of its end.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
struct Life {
    /// Seconds before now; `None` if it never was ready.
    ready: Option<u64>,
    started: bool,
    resumed: bool,
    talks: bool,
    intent: Option<Intent>,
    exit: Option<Seen>,
    server_gone: bool,
    rebooted: bool,
}

fn any_life() -> impl Strategy<Value = Life> {
    let intents = [
        None,
        None,
        None,
        Some(Intent::IdleReaped),
        Some(Intent::Stopped),
        Some(Intent::SelfFresh),
        Some(Intent::Replaced),
        Some(Intent::MemoryDrained),
        Some(Intent::Unresponsive),
        Some(Intent::Closed),
        Some(Intent::RuntimeLost),
    ];
    let hangups = proptest::sample::select(vec![None, None, Some(Hangup::ServerGone), Some(Hangup::PaneClosed)]);
    let how = proptest::sample::select(vec![
        (Some(0), None),
        (Some(1), None),
        (Some(143), None),
        (None, Some(1)),
        (None, Some(6)),
        (None, Some(9)),
        (None, Some(15)),
        (None, None),
    ]);
    let exit = (how, hangups, any::<bool>());
    let exit = exit.prop_map(|((code, signal), hangup, spawn)| (code, signal, hangup, spawn && code.is_none()));
    (
        proptest::option::of(0_u64..600),
        any::<[bool; 5]>(),
        proptest::sample::select(intents.to_vec()),
        proptest::option::of(exit),
    )
        .prop_map(|(ready, [started, resumed, talks, server_gone, rebooted], intent, exit)| Life {
            ready,
            started: started || ready.is_some(),
            resumed,
            talks,
            intent,
            exit,
            server_gone: server_gone || rebooted,
            rebooted,
        })
}

fn record(life: &Life, incarnation: Incarnation) -> SessionRecord {
    let place = Place::planned(RuntimeKind::Tmux, "/usr/bin/tmux".into(), "/nonexistent/s".into(), "a-1".to_owned());
    let (nobody, boot) = (Process::NOBODY, "x".to_owned());
    let mut record = SessionRecord::starting(incarnation, place, nobody, boot, "demo", "x", ago(700));
    record.resumed = life.resumed;
    let none = Process { pid: 1, start: 1 };
    record.process = life.started.then_some(AgentProcess { id: none, session: 1 });
    record.conversation = life.talks.then(|| format!("conversation-{incarnation}"));
    record.intent = life.intent;
    if let Some(seconds) = life.ready {
        record.phase = Phase::Ready { ready_at_ms: ago(seconds) };
    }
    record
}

fn facts(last: Option<LastEnd>, deaths: Deaths, parked: bool, context_policy: ContextPolicy) -> WakeFacts {
    WakeFacts {
        managed_by: None,
        stopped: false,
        live: RecordedState::None,
        markers: Markers { idle_reaped: parked, ..Markers::default() },
        ever_ran: last.as_ref().is_some_and(|last| last.end.lasting_cause().is_some()),
        conversation: last.as_ref().and_then(|last| last.conversation.clone()),
        now_in: None,
        is_untouched: false,
        last_end: last.map(|last| last.end),
        deaths,
        max_restarts: 4,
        context_policy,
        topics: vec!["a".to_owned()],
        resume_without_topic: true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_told_of_an_end_is_what_a_wake_decides_by(
        lives in proptest::collection::vec(any_life(), 1..5),
        [parked, cleared, by_topic] in any::<[bool; 3]>(),
        modes in proptest::sample::select(vec![Mode::Auto, Mode::Auto, Mode::Resume]),
        context_policies in proptest::sample::select(vec![ContextPolicy::Conversational, ContextPolicy::Executor, ContextPolicy::Ephemeral]),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let state = StateDir::open(dir.path().join("state")).expect("state");
        let name: PeerName = "a".parse().expect("a name");
        let locked = state.try_lock(&name).expect("usable").expect("free");
        let topic = by_topic.then(|| "b".to_owned());
        let request = WakeRequest { mode: modes, topic, ..WakeRequest::default() };
        for (number, life) in lives.iter().enumerate() {
            let incarnation = Incarnation(number as u64 + 1);
            let record = record(life, incarnation);
            std::fs::create_dir_all(state.root().join("panes")).expect("created");
            locked.write_session(&record).expect("written");
            if let Some((code, signal, hangup, spawn)) = life.exit {
                let exit = ExitRecord { code, signal, hangup, uptime_ms: 5, ..ExitRecord::unseen(incarnation, ago(1)) };
                let spawn_error = spawn.then(|| "cannot start it".to_owned());
                locked.files().write_exit(&ExitRecord { spawn_error, ..exit }).expect("written");
            }
            let session = if cleared { Session::Cleared } else { Session::Left };
            let absence = EndContext { server_gone: life.server_gone, rebooted: life.rebooted, session };
            let files = locked.files();
            let told = preview(files, &record, absence, NOW).expect("readable");
            prop_assert!(files.session().expect("readable").present().is_some(), "telling changes nothing");
            let recorded = record_end(&state, &locked, &record, absence, NOW).expect("written");
            prop_assert_eq!(&told.last, &recorded);
            let last = files.end().expect("readable").present();
            let deaths = files.deaths().expect("readable").present().unwrap_or_default();
            let found = Outcome { last: last.clone().expect("written"), deaths: deaths.clone() };
            prop_assert_eq!(&told, &found);
            let says = decide(&facts(Some(told.last), told.deaths, parked, context_policies), &request, NOW);
            let does = decide(&facts(last, deaths, parked, context_policies), &request, NOW);
            prop_assert_eq!(&says, &does);
            // A plain wake resumes a context that was ready and was only taken away.
            let kept = life.ready.is_some() && life.talks && life.intent.is_none() && life.exit.is_none();
            if kept && life.server_gone && context_policies != ContextPolicy::Ephemeral && request.mode == Mode::Auto {
                let resumed = matches!(&says, WakeDecision::Resume { conversation, .. } if *conversation == format!("conversation-{incarnation}"));
                prop_assert!(resumed || matches!(says, WakeDecision::Refuse(_)), "{says}");
            }
            prop_assert!(found.last.end.at_ms <= NOW && Duration::from_millis(found.last.end.uptime_ms) < Duration::from_secs(3600));
        }
    }
}

/// Ends everything of a peer but its server, without a process left that could record it.
#[track_caller]
fn ends_unseen(world: &World, name: &str) {
    let (agent, pane) = (world.agent(name), world.pane_process(name));
    signal(pane, Signal::SIGKILL);
    wait_until("nothing of it runs", || !lives(agent) && !lives(pane));
    assert!(world.has(name, "session"), "nobody recorded it");
}

/// What `status` says now (state and detail), and what the wake after it does (cause or refusal). They must agree on
/// the conversation, and no wake may be suggested that would be refused.
#[track_caller]
fn told_and_done(world: &World, name: &str) -> (String, String) {
    let status = world.peer(&["status", name, "--json"]).json();
    let wake = world.peer(&["wake", name, "--json"]);
    let said = wake.json()["peers"][0].clone();
    assert!(wake.code == 0 || status["next"] != format!("peer wake {name}"), "{status}\n{wake:?}");
    let decision = said["decision"].as_str().unwrap_or("refuse");
    if decision == "resume" {
        assert_eq!(said["conversation"], status["conversation"], "{status}\n{wake:?}");
    }
    let detail = status["detail"].as_str().unwrap_or_default();
    (format!("{}: {detail}", status["state"].as_str().expect("a word")), format!("{decision} {}", text(&said["cause"])))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn what_status_tells_of_an_end_that_nobody_recorded_is_what_the_next_wake_does(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    for (key, value, told, done) in [
        ("boot_id", "00000000-0000-0000-0000-000000000000", "lost: not recorded yet", "resume rebooted"),
        ("intent", "idle-reaped", "asleep: not recorded yet", "resume idle-reaped"),
        ("intent", "memory-drained", "held: drained, not recorded yet", "resume memory-drained"),
    ] {
        ends_unseen(&world, "a");
        world.edit("a", "session", |record| record[key] = json!(value));
        assert_eq!(told_and_done(&world, "a"), (told.to_owned(), done.to_owned()));
        assert_eq!(world.conversation("a"), conversation);
    }
    ends_unseen(&world, "a");
    world.lose_server("a");
    assert_eq!(told_and_done(&world, "a"), ("lost: not recorded yet".to_owned(), "resume runtime-lost".to_owned()));
    // Both runtimes keep the pane of a program that has ended.
    ends_unseen(&world, "a");
    let (told, done) = told_and_done(&world, "a");
    assert_eq!((told.as_str(), done.as_str()), ("crashed: pane gone, not recorded yet", "fresh vanished"));
}

fn what_status_tells_of_a_start_that_never_was_ready_is_what_the_next_wake_does(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    world.set_in_spec("a", "ready_timeout = \"1ms\"");
    // A start with a new conversation that never gets its first message.
    assert_eq!(world.peer(&["wake", "a", "--fresh"]).code, 5);
    ends_unseen(&world, "a");
    assert_ne!(world.session("a")["conversation"], conversation.as_str());
    let status = world.peer(&["status", "a", "--json"]).json();
    assert_eq!(status["conversation"], conversation.as_str(), "{status}");
    let path = world.path("config/peers/a.toml");
    let spec = std::fs::read_to_string(&path).expect("readable");
    std::fs::write(&path, spec.replace("ready_timeout = \"1ms\"\n", "")).expect("written");
    let (told, done) = told_and_done(&world, "a");
    assert_eq!(done, "resume stopped", "{told}");
}

fn what_keeps_a_peer_down_is_told_by_status_as_the_next_wake_says_it(on: RuntimeKind) {
    let world = World::on(on);
    let word = |text: &str| text.to_owned();
    world.demo("a", &[]);
    assert_eq!(told_and_done(&world, "a"), (word("never-started: "), word("fresh first-wake")));
    // The third death of a crash loop is not recorded yet.
    for _ in 0..2 {
        signal(world.agent("a"), Signal::SIGKILL);
        assert_eq!(world.await_end("a")["counted"], true);
        assert_eq!(told_and_done(&world, "a"), (word("crashed: SIGKILL"), word("fresh killed")));
    }
    ends_unseen(&world, "a");
    world.edit("a", "session", |record| record["intent"] = json!("unresponsive"));
    let status = world.peer(&["status", "a", "--json"]).json();
    assert_eq!((&status["restarts"], &status["deaths_in_window"]), (&json!(3), &json!(3)), "{status}");
    let (told, done) = told_and_done(&world, "a");
    assert_eq!((told.as_str(), done.as_str()), ("held: crashed (unresponsive), not recorded yet", "refuse crash-loop"));
    world.peer(&["stop", "a"]);
    let (told, done) = told_and_done(&world, "a");
    assert!(told.starts_with("stopped: ") && done == "refuse stopped", "{told}, {done}");
    world.demo("b", &[]);
    world.set_in_spec("b", "managed_by = \"systemd\"");
    assert_eq!(told_and_done(&world, "b"), (word("never-started: "), word("refuse managed-elsewhere")));
    assert_eq!(world.peer(&["status", "b", "--json"]).json()["next"], "peer why b");
}

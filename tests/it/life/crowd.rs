//! Many verbs at once: in any interleaving, a peer has one agent, and each message arrives once.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Instant;

on_each_runtime! {
    fifty_concurrent_wakes_start_one_session_and_deliver_fifty_messages_once_each
    twenty_peers_are_woken_at_once_on_a_cold_server
    wakes_and_stops_at_once_end_in_one_of_the_two_states
    two_peers_in_one_directory_never_take_each_others_conversation
    a_wake_starts_an_agent_that_dies_at_once_no_second_time
    a_storm_of_wakes_on_a_crashing_agent_is_stopped_by_the_guard
}

use crate::common;
use crate::common::{Run, World, on_each_runtime};
use peer_adapters::runtime::RuntimeKind;

/// Starts this many wakes of `name` at once, each with a different message, and waits for all.
fn wakes(world: &World, name: &str, count: usize, prefix: &str) -> Vec<Run> {
    let started = Instant::now();
    let children: Vec<_> = (0..count)
        .map(|number| {
            let message = format!("{prefix} {number}");
            let mut wake = world.command(&["wake", name, "-m", &message]);
            wake.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
        })
        .collect();
    children.into_iter().map(|child| Run::finish(child, None, started)).collect()
}

fn fifty_concurrent_wakes_start_one_session_and_deliver_fifty_messages_once_each(on: RuntimeKind) {
    // The message of the second sender was once lost although it exited with 0.
    let world = World::on(on);
    world.demo("a", &[]);
    let runs = wakes(&world, "a", 50, "message");
    for run in &runs {
        assert!(run.code == 0 && run.stderr.is_empty() && run.stdout.ends_with("; message delivered\n"), "{run:?}");
    }
    let fresh = runs.iter().filter(|run| run.stdout.contains("woken fresh (first-wake)")).count();
    assert_eq!((fresh, world.events("a", "wake.decided").len()), (1, 1), "one session");
    assert_eq!((world.session("a")["incarnation"].as_u64(), world.processes().len()), (Some(1), 1), "one agent");
    let said = world.said(&world.conversation("a"));
    let wanted: BTreeSet<String> = (0..50).map(|number| format!("message {number}")).collect();
    assert_eq!((said.len(), said.into_iter().collect::<BTreeSet<_>>()), (50, wanted));
    assert_eq!(world.events("a", "message.delivered").len(), 50);
}

fn twenty_peers_are_woken_at_once_on_a_cold_server(on: RuntimeKind) {
    let world = World::on(on);
    let names: Vec<String> = (0..20).map(|number| format!("p{number}")).collect();
    for name in &names {
        world.add(name, &["cat"]);
    }
    std::thread::scope(|scope| {
        for name in &names {
            let world = &world;
            scope.spawn(move || world.peer(&["wake", name]).prints(&format!("{name}: woken fresh (first-wake)\n")));
        }
    });
    assert_eq!(world.processes().len(), 20);
}

fn wakes_and_stops_at_once_end_in_one_of_the_two_states(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    for _ in 0..4 {
        std::thread::scope(|scope| {
            for verb in ["wake", "stop", "wake", "start", "wake", "stop"] {
                let world = &world;
                scope.spawn(move || {
                    let run = world.peer(&[verb, "a"]);
                    // A wake may come too late (stopped) or be overtaken (ended before it was ready); nothing else may
                    // happen.
                    assert!([0, 4, 5].contains(&run.code), "{verb}: {run:?}");
                });
            }
        });
        let alive = world.processes().len();
        assert!(alive <= 1, "{alive} agents");
        assert_eq!(alive == 1, world.has("a", "session"));
    }
    assert_eq!(world.deaths("a"), 0, "nobody died by itself");
}

fn two_peers_in_one_directory_never_take_each_others_conversation(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.demo("b", &[]);
    world.peer(&["wake", "a", "b"]);
    world.peer(&["send", "a", "to a"]);
    world.peer(&["send", "b", "to b"]);
    world.peer(&["stop", "a", "b"]);
    world.peer(&["start", "a", "b"]);
    world.peer(&["wake", "a", "b"]).prints("a: woken resumed (stopped)\nb: woken resumed (stopped)\n");
    assert_ne!(world.conversation("a"), world.conversation("b"));
    assert_eq!(world.said(&world.conversation("a")), ["to a"]);
    assert_eq!(world.said(&world.conversation("b")), ["to b"]);
}

/// On tmux only: sessions of zellij are in the state directory, and no two of them share a server.
#[test]
fn two_state_directories_on_one_server_do_not_touch_each_others_sessions() {
    let (ours, theirs) = (World::new(), World::new());
    // The same name, the same incarnation, the same server.
    let socket = common::quoted(&ours.socket());
    let config = theirs.path("config/config.toml");
    std::fs::write(config, format!("[tmux]\nsocket = {socket}\n[probe]\ntimeout = \"30s\"\n")).expect("write");
    ours.add("a", &["cat"]);
    theirs.add("b", &["cat"]);
    theirs.add("a", &["cat"]);
    ours.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    theirs.peer(&["wake", "b"]).prints("b: woken fresh (first-wake)\n");
    // tmux has one name space for sessions: a second a-1 is refused, and no session is taken over or ended.
    let run = theirs.peer(&["wake", "a"]);
    assert_eq!(run.code, 6, "{run:?}");
    let agent = ours.agent("a");
    theirs.peer(&["stop", "a"]);
    theirs.peer(&["start", "a"]);
    theirs.peer(&["new", "a"]);
    assert!(common::lives(agent) && ours.agent("a") == agent);
    ours.peer(&["wake", "a"]).prints("a: already awake\n");
    ours.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    theirs.peer(&["wake", "b"]).prints("b: already awake\n");
    theirs.peer(&["stop", "b"]);
}

fn a_wake_starts_an_agent_that_dies_at_once_no_second_time(on: RuntimeKind) {
    let world = World::on(on);
    for lifetime in ["0", "0.01", "0.03", "0.1"] {
        let name = format!("a{}", lifetime.replace('.', "-"));
        world.add(&name, &["sh", "-c", &format!("sleep {lifetime}; exit 3")]);
        let run = world.peer(&["wake", &name, "-m", "hello"]);
        // The agent may have read the message or not, but it was started only once.
        assert!([0, 5, 7].contains(&run.code), "{run:?}");
        world.await_end(&name);
        assert_eq!((world.events(&name, "wake.decided").len(), world.deaths(&name)), (1, 1), "{lifetime}: {run:?}");
    }
}

fn a_storm_of_wakes_on_a_crashing_agent_is_stopped_by_the_guard(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "exit 3"]);
    let runs = wakes(&world, "a", 20, "message");
    for run in &runs {
        assert!([4, 5, 7].contains(&run.code), "{run:?}");
    }
    world.await_end("a");
    assert!((1..=3).contains(&world.deaths("a")), "{}", world.deaths("a"));
    assert_eq!(world.events("a", "wake.decided").len(), world.deaths("a"));
}

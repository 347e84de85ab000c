//! What the user or a cleaner does to a session of zellij without `peer`. Afterwards the same agent lives and
//! everything works on it, no other pane is touched, and nothing is left in the end.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::common;
use crate::common::attached::on_a_terminal;
use crate::common::ticks::{done, settle, skipped, tick, verdict};
use crate::common::{World, killed, lives, signal, wait_for, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::RuntimeKind::Zellij;
use peer_adapters::runtime::Target;
use serde_json::Value;

/// A fleet of one peer that has had a message, and the place of its session.
pub(super) fn awake() -> (World, Target) {
    let world = World::on(Zellij);
    world.demo("a", &[]);
    world.set_in_spec("a", "idle_timeout = \"0s\"");
    let run = world.peer(&["wake", "a", "-m", "first"]);
    assert_eq!(run.code, 0, "{run:?}");
    let place = world.place("a");
    (world, place)
}

/// Runs a zellij command as a user would, until it has taken effect: a client may miss its session (0.45.1).
#[track_caller]
pub(super) fn by_hand(world: &World, place: &Target, session: &str, action: &[&str], came_about: impl Fn() -> bool) {
    wait_until(&format!("{action:?} comes about"), || {
        let said = world.zellij(place, &[&["--session", session, "action"], action].concat());
        assert!(!said.contains("error:"), "{action:?}: {said}");
        let soon = std::time::Instant::now() + std::time::Duration::from_millis(500);
        while !came_about() && std::time::Instant::now() < soon {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        came_about()
    });
}

/// Asserts that every verb finds the same agent, two ticks leave it alone, and no death is counted.
#[track_caller]
pub(super) fn everything_works(world: &World, agent: u32, what: &str) {
    let listed = world.peer(&["list", "--json"]);
    assert_eq!(listed.code, 0, "{what}: {listed:?}");
    for _ in 0..2 {
        settle(world, "a");
        let document = tick(world, &[]);
        assert_eq!((done(&document), skipped(&document)), (vec![], vec![]), "{what}");
        assert_eq!(verdict(world, "a"), "healthy", "{what}");
    }
    world.peer(&["wake", "a"]).prints("a: already awake\n");
    let text = format!("after {what}");
    world.peer(&["send", "a", &text]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")).last(), Some(&text), "{what}");
    let screen = world.peer(&["screen", "a"]);
    assert!(screen.code == 0 && screen.stdout.contains(&text), "{what}: {screen:?}");
    drop(Person::at(world, "a"));
    assert_eq!((world.agent("a"), world.processes(), world.deaths("a")), (agent, vec![agent], 0), "{what}");
    assert!(world.end("a").is_null(), "{what}: {}", world.end("a"));
}

/// Asserts that a stop parks the agent and leaves nothing behind.
#[track_caller]
pub(super) fn stops_without_a_trace(world: &World, what: &str) {
    let agent = world.agent("a");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert!(!lives(agent), "{what}");
    assert_eq!((world.zellij_servers(), world.session_dirs()), (vec![], vec![]), "{what}");
    assert_eq!((world.deaths("a"), world.end("a")["cause"].as_str()), (0, Some("stopped")), "{what}");
}

#[test]
fn a_session_that_was_renamed_is_the_same_peer() {
    let (world, place) = awake();
    let agent = world.agent("a");
    let mut name = place.session.clone();
    for to in ["mine", "my own; $(name)", "a-2", "mine/not"] {
        let called = place.server.join("contract_version_1").join(to);
        // Only the server knows a name that cannot be a file name.
        let came_about = || to.contains('/') || called.exists();
        by_hand(&world, &place, &name, &["rename-session", to], came_about);
        if !to.contains('/') {
            name = to.to_owned();
        }
        everything_works(&world, agent, &format!("renaming it to {to:?}"));
    }
    stops_without_a_trace(&world, "renamed");
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
}

#[test]
fn a_renamed_session_whose_server_was_killed_is_lost_and_resumed() {
    let (world, place) = awake();
    let conversation = world.conversation("a");
    let called = place.server.join("contract_version_1/mine");
    by_hand(&world, &place, &place.session, &["rename-session", "mine"], || called.exists());
    world.lose_server("a");
    world.await_end("a");
    tick(&world, &[]);
    assert_eq!(world.session_dirs(), Vec::<PathBuf>::new());
    let woken = world.peer(&["wake", "a"]);
    assert!(woken.stdout.contains("woken resumed"), "{woken:?}");
    assert_eq!((world.conversation("a"), world.deaths("a")), (conversation, 0));
}

/// The processes in other panes of a session.
pub(super) fn others(server: ProcessId, ours: u32) -> Vec<u32> {
    let children = process::children(server.pid).expect("/proc");
    children.into_iter().map(|child| child.id.pid).filter(|pid| *pid != ours).collect()
}

#[test]
fn a_persons_own_pane_and_tab_outlive_a_stop_and_are_cleared_up_after() {
    for open in [&["new-pane", "--", "sleep", "4711"][..], &["new-tab"], &["new-pane", "--floating"]] {
        let (world, place) = awake();
        let (agent, server, pane) = (world.agent("a"), world.server_of("a"), world.pane_process("a"));
        by_hand(&world, &place, &place.session, open, || !others(server, pane).is_empty());
        everything_works(&world, agent, &format!("{open:?}"));
        let own = others(server, pane);
        world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
        wait_until(&format!("{open:?}: our pane process ends"), || !lives(pane));
        assert_eq!((lives(agent), others(server, 0)), (false, own.clone()), "{open:?}: ours is closed, and it alone");
        world.peer(&["start", "a"]);
        world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
        for _ in 0..2 {
            settle(&world, "a");
            assert_eq!(done(&tick(&world, &[])), Vec::<[String; 3]>::new(), "{open:?}");
        }
        assert_eq!(others(server, 0), own, "{open:?}: no tick ends what is not ours");
        world.peer(&["stop", "--all"]);
        assert_eq!(others(server, 0), own, "{open:?}: no later stop does");
        for pid in &own {
            signal(*pid, Signal::SIGKILL);
        }
        wait_until("they are gone", || others(server, 0).is_empty());
        tick(&world, &[]);
        assert_eq!((world.zellij_servers(), world.session_dirs()), (vec![], vec![]), "{open:?}");
    }
}

#[test]
fn our_pane_closed_by_a_person_leaves_their_own_alone() {
    let (world, place) = awake();
    let (server, pane, conversation) = (world.server_of("a"), world.pane_process("a"), world.conversation("a"));
    by_hand(&world, &place, &place.session, &["new-pane", "--", "sleep", "4711"], || !others(server, pane).is_empty());
    let own = others(server, pane);
    by_hand(&world, &place, &place.session, &["close-pane", "--pane-id", "terminal_0"], || !lives(pane));
    world.await_end("a");
    tick(&world, &[]);
    assert_eq!((world.deaths("a"), others(server, 0)), (0, own.clone()));
    assert!(world.peer(&["wake", "a"]).stdout.contains("woken resumed"));
    assert_eq!((world.conversation("a"), others(server, 0)), (conversation, own));
}

/// The very first start of a fleet knows already which zellij it has, and whether that one knows the key.
#[test]
fn inside_a_zellij_of_the_users_own_a_key_gives_that_one_its_keys_back() {
    let (_world, place) = awake();
    let config = fs::read_to_string(place.server.join("config/config.kdl")).expect("a configuration");
    assert!(config.contains("bind \"]\" { FocusHostSession; SwitchToMode \"Locked\"; }"), "{config}");
}

/// Makes the terminal as large as the pane.
pub(super) const AS_LARGE: &str = "stty rows 50 cols 200; ";

/// A user at another terminal, who types into the session.
pub(super) struct Person(Child);

impl Person {
    #[track_caller]
    fn at(world: &World, name: &str) -> Self {
        let mut script = on_a_terminal(world, AS_LARGE, &format!("attach {name}"));
        let person = Self(script.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("script(1)"));
        wait_until("somebody is attached", || {
            world.peer(&["status", name, "--json"]).json()["session"]["attached"].as_u64() > Some(0)
        });
        person
    }

    fn types(&mut self, keys: &str) {
        self.0.stdin.as_mut().expect("piped").write_all(keys.as_bytes()).expect("typed");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        killed(&mut self.0);
    }
}

/// The panes of a session as zellij lists them.
pub(super) fn panes(world: &World, place: &Target) -> Vec<Value> {
    let said = world.zellij(place, &["--session", &place.session, "action", "list-panes", "--json", "--all"]);
    serde_json::from_str(&said).unwrap_or_default()
}

/// What zellij says of our pane.
#[track_caller]
pub(super) fn ours(world: &World, place: &Target) -> Value {
    wait_for("our pane is listed", || {
        panes(world, place).into_iter().find(|pane| pane["id"] == 0 && pane["is_plugin"] == false)
    })
}

#[test]
fn a_pane_that_a_person_moves_floats_renames_or_makes_large_is_still_ours() {
    let (world, place) = awake();
    let (agent, server, pane) = (world.agent("a"), world.server_of("a"), world.pane_process("a"));
    let session = place.session.as_str();
    let is = |key: &'static str, value: Value| {
        let (world, place) = (&world, &place);
        move || ours(world, place)[key] == value
    };
    by_hand(&world, &place, session, &["rename-pane", "--pane-id", "terminal_0", "mine"], is("title", "mine".into()));
    everything_works(&world, agent, "renaming its pane");
    by_hand(&world, &place, session, &["new-pane", "--", "sleep", "4711"], || !others(server, pane).is_empty());
    let own = others(server, pane);
    by_hand(&world, &place, session, &["focus-pane-id", "terminal_0"], is("is_focused", true.into()));
    let fullscreen = ["toggle-fullscreen", "--pane-id", "terminal_0"];
    by_hand(&world, &place, session, &fullscreen, is("is_fullscreen", true.into()));
    everything_works(&world, agent, "its pane on the whole screen");
    by_hand(&world, &place, session, &fullscreen, is("is_fullscreen", false.into()));
    let float = ["toggle-pane-embed-or-floating", "--pane-id", "terminal_0"];
    by_hand(&world, &place, session, &float, is("is_floating", true.into()));
    everything_works(&world, agent, "floating its pane");
    by_hand(&world, &place, session, &float, is("is_floating", false.into()));
    let tab = ours(&world, &place)["tab_id"].clone();
    by_hand(&world, &place, session, &["focus-pane-id", "terminal_0"], is("is_focused", true.into()));
    let mut person = Person::at(&world, "a");
    // Zellij's own keys for breaking a pane out of its tab go to the agent here.
    person.types("\x07\x14b");
    wait_until("its composer has them", || world.screen("a").contains("> b"));
    person.types("\x03");
    wait_until("its composer is empty", || !world.screen("a").contains("> b"));
    assert_eq!(ours(&world, &place)["tab_id"], tab);
    drop(person);
    everything_works(&world, agent, "pressing keys that once broke its pane out of its tab");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    wait_until("ours is closed, and it alone", || !lives(pane) && others(server, 0) == own);
    assert!(!lives(agent));
}

#[test]
fn a_record_of_zellijs_that_was_removed_or_damaged_is_made_again() {
    let (world, place) = awake();
    let agent = world.agent("a");
    let file = place.server.join("session.json");
    let before = fs::read_to_string(&file).expect("there");
    for damage in ["remove", "empty", "cut", "called closed"] {
        match damage {
            "remove" => fs::remove_file(&file).expect("removed"),
            // As recorded by an ending that did not see the pane that began at that moment.
            "called closed" => {
                let mut record: Value = serde_json::from_str(&before).expect("JSON");
                record["closed"] = true.into();
                fs::write(&file, record.to_string()).expect("written");
            }
            "empty" => fs::write(&file, "").expect("written"),
            _ => fs::write(&file, &before[..before.len() / 2]).expect("written"),
        }
        everything_works(&world, agent, damage);
        fs::remove_file(&file).expect("it is there again");
    }
    stops_without_a_trace(&world, "without its record");
}

#[test]
fn a_killed_server_is_no_death_also_when_a_client_has_cleaned_up_after_it() {
    for along in ["nobody", "its pane process and its agent"] {
        let (world, place) = awake();
        let conversation = world.conversation("a");
        let socket = place.server.join("contract_version_1").join(&place.session);
        let (agent, pane, server) = (world.agent("a"), world.pane_process("a"), world.server_of("a"));
        // So that the client acts before the end is observed.
        common::stop(pane);
        signal(server.pid, Signal::SIGKILL);
        if along != "nobody" {
            // An agent that reads its terminal may be gone by now.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(agent.cast_signed()), Signal::SIGKILL);
            signal(pane, Signal::SIGKILL);
        }
        wait_until("a client has removed the dead socket", || {
            world.zellij(&place, &["list-sessions"]);
            !socket.exists()
        });
        if along == "nobody" {
            signal(pane, Signal::SIGCONT);
            world.await_end("a");
        }
        settle_if_on_record(&world);
        tick(&world, &[]);
        let cause = world.end("a")["cause"].as_str().expect("a cause").to_owned();
        assert_eq!(cause, "runtime-lost", "{along}");
        assert_eq!(world.deaths("a"), 0, "{along}");
        assert!(world.peer(&["wake", "a"]).stdout.contains("woken resumed"), "{along}");
        assert_eq!(world.conversation("a"), conversation, "{along}");
    }
}

fn settle_if_on_record(world: &World) {
    if world.has("a", "session") {
        settle(world, "a");
    }
}

#[test]
fn bursts_of_kills_leave_no_directory_and_no_server() {
    let (world, _) = awake();
    for round in 0..8 {
        for pid in world.zellij_servers().iter().map(|server| server.pid).chain(world.processes()) {
            if round % 2 == 0 || pid % 2 == 0 {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
        }
        for verb in [&["wake", "a", "--fresh", "--force"][..], &["stop", "a"], &["start", "a"]] {
            let mut child = world.command(verb).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
            std::thread::sleep(std::time::Duration::from_millis(40 + 37 * round));
            killed(&mut child);
        }
    }
    // The files of a start that was killed before anything was started, and of an end that was killed at its last step.
    fs::create_dir_all(world.path("state/zellij/.draft-1-1-a-9/config")).expect("made");
    fs::create_dir_all(world.path("state/zellij/a-7")).expect("made");
    fs::create_dir_all(world.path("state/zellij/gone-3/contract_version_1")).expect("made");
    let stopped = world.peer(&["stop", "a"]);
    assert_eq!((stopped.code, world.processes()), (0, vec![]), "{stopped:?}");
    tick(&world, &[]);
    assert_eq!((world.zellij_servers(), world.session_dirs()), (vec![], vec![]));
}

#[test]
fn what_is_not_ours_below_the_directory_of_sessions_stays() {
    let (world, place) = awake();
    let (agent, precious) = (world.agent("a"), world.path("state/zellij/precious/file"));
    fs::create_dir_all(precious.parent().expect("a parent")).expect("made");
    fs::write(&precious, "x").expect("written");
    tick(&world, &[]);
    assert_eq!((fs::read_to_string(&precious).expect("there").as_str(), lives(agent)), ("x", true));
    fs::write(place.server.join("notes"), "mine").expect("written");
    everything_works(&world, agent, "a file of a person's beside its socket");
}

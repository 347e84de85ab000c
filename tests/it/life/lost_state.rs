//! The state directory, or a part of it, is deleted under living agents or replaced by an older one: no agent gets a
//! twin, none is ended, and each is found again by what its pane process carries.

use std::fs;
use std::path::Path;

on_each_runtime! {
    without_its_record_and_launch_file_an_agent_is_taken_up_again
    without_any_launch_file_an_end_is_recorded_once_and_properly
    an_end_that_may_have_been_asked_for_is_no_death
    an_older_backup_does_not_hide_a_living_agent
    an_agent_that_ends_without_a_state_directory_makes_no_new_one
    an_end_after_the_directory_was_made_anew_is_recorded
    what_no_record_names_is_awake_to_rm_too
    a_record_that_does_not_parse_beside_an_older_end_gives_no_number_twice
    a_lost_record_is_found_again_by_another_path_of_the_state_directory
}

use crate::common::{Run, World, lives, on_each_runtime, signal, wait_for, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::process;
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

fn remove(path: &Path) {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).expect("removed"),
        Ok(_) => fs::remove_file(path).expect("removed"),
        Err(_) => {}
    }
}

/// A peer that is awake, has had a message, and has reported its conversation; returns the agent's pid and the
/// conversation.
fn awake(world: &World, name: &str) -> (u32, String) {
    world.demo(name, &[]);
    assert_eq!(world.peer(&["wake", name, "-m", "hello"]).code, 0);
    (world.agent(name), world.conversation(name))
}

/// Asserts what every view says of an agent that runs without a record.
#[track_caller]
fn is_shown(world: &World, name: &str) {
    let list = world.peer(&["list", "--json"]);
    assert_eq!(list.json()["peers"][0]["state"], json!("unknown"), "{list:?}");
    for view in [&["status", name][..], &["doctor"]] {
        let run = world.peer(view);
        assert!(run.stdout.contains("record is lost") && run.stdout.contains("peer wake"), "{view:?}: {run:?}");
    }
}

#[test]
fn the_whole_state_directory_is_deleted_under_a_fleet() {
    let world = World::new();
    let (a, conversation) = awake(&world, "a");
    world.demo("b", &[]);
    assert_eq!(world.peer(&["wake", "b"]).code, 0);
    let b = world.agent("b");
    remove(&world.path("state"));
    is_shown(&world, "a");
    let why = world.peer(&["why", "a"]);
    assert!(why.code == 0 && !why.stdout.contains("start fresh (first-wake)\n\n"), "{why:?}");
    let woken = world.peer(&["wake", "a", "-m", "more"]);
    assert_eq!((woken.code, woken.stdout.as_str()), (0, "a: already awake; message delivered\n"), "{woken:?}");
    assert_eq!(
        (world.agent("a"), world.conversation("a"), world.said(&conversation).len()),
        (a, conversation.clone(), 2)
    );
    assert_eq!(
        (world.conversations("a"), world.events("a", "session.recovered").len()),
        (vec![conversation.clone()], 1)
    );
    // The tick finds the other one by itself, though no record names its pane in the server's listing.
    let tick = world.peer(&["reap"]);
    assert!(tick.stdout.contains("b: recovered"), "{tick:?}");
    assert_eq!(world.agent("b"), b);
    let mut living = vec![a, b];
    living.sort_unstable();
    let mut found = world.processes();
    found.sort_unstable();
    assert_eq!((found, world.deaths("a") + world.deaths("b")), (living, 0));
    world.peer(&["reap"]).prints("b: supervised (its start was left alone)\n");
    world.peer(&["reap"]).prints("");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    wait_until("it has ended", || !lives(a));
    assert_eq!(world.peer(&["start", "a"]).code, 0);
    world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
    assert_eq!(world.conversation("a"), conversation);
}

#[test]
fn the_whole_state_directory_is_deleted_with_the_session_directories_in_it() {
    let world = World::on(RuntimeKind::Zellij);
    let (agent, _) = awake(&world, "a");
    remove(&world.path("state"));
    is_shown(&world, "a");
    // zellij's own socket was deleted too, and cannot be made again.
    for verb in [&["wake", "a"][..], &["send", "a", "more"], &["wake", "a"]] {
        let run = world.peer(verb);
        assert_eq!(run.code, 6, "{verb:?}: {run:?}");
    }
    world.peer(&["reap"]);
    assert_eq!((world.processes(), world.agent("a"), world.deaths("a")), (vec![agent], agent, 0));
}

fn without_its_record_and_launch_file_an_agent_is_taken_up_again(on: RuntimeKind) {
    let world = World::on(on);
    let (agent, conversation) = awake(&world, "a");
    for lost in ["state/a.session", "state/panes/a.1.launch"] {
        remove(&world.path(lost));
    }
    is_shown(&world, "a");
    let tick = world.peer(&["reap"]);
    assert!(tick.stdout.contains("a: recovered"), "{tick:?}");
    assert_eq!((world.agent("a"), world.conversation("a")), (agent, conversation));
    // Its environment is recorded again, for a clean restart by the agent itself.
    assert!(world.path("state/panes/a.1.launch").exists());
    world.peer(&["wake", "a", "-m", "more"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.processes(), [agent]);
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert_eq!(world.processes(), Vec::<u32>::new());
}

fn without_any_launch_file_an_end_is_recorded_once_and_properly(on: RuntimeKind) {
    let world = World::on(on);
    let (agent, conversation) = awake(&world, "a");
    remove(&world.path("state/panes"));
    signal(agent, Signal::SIGKILL);
    let end = world.await_end("a");
    assert_eq!(
        (&end["cause"], &end["signal"], &end["conversation"]),
        (&json!("killed"), &json!(9), &json!(conversation))
    );
    assert_eq!((world.deaths("a"), world.events("a", "session.ended").len()), (1, 1));
    wait_until("nothing is left of it", || fs::read_dir(world.path("state/panes")).map_or(0, Iterator::count) == 0);
}

fn an_end_that_may_have_been_asked_for_is_no_death(on: RuntimeKind) {
    let world = World::on(on);
    // An orderly exit, and a signal of our ladder: only the lost record said whether an ending was under way.
    for (name, flags) in [("a", &["--leave-with", "0"][..]), ("b", &[])] {
        world.demo(name, flags);
        assert_eq!(world.peer(&["wake", name, "-m", "hello"]).code, 0);
        let (agent, conversation) = (world.agent(name), world.conversation(name));
        fs::write(world.path(&format!("state/{name}.session")), "{").expect("written");
        signal(agent, Signal::SIGTERM);
        let end = wait_for("its end is recorded", || world.events(name, "session.ended").pop());
        assert_eq!(
            (&end["cause"], &end["counted"], world.deaths(name)),
            (&json!("closed"), &json!(false), 0),
            "{name}"
        );
        world.peer(&["wake", name]).prints(&format!("{name}: woken resumed (closed)\n"));
        assert_eq!(world.conversation(name), conversation);
    }
}

fn an_older_backup_does_not_hide_a_living_agent(on: RuntimeKind) {
    let world = World::on(on);
    let (_, conversation) = awake(&world, "a");
    assert_eq!(world.peer(&["stop", "a"]).code, 0);
    assert_eq!(world.peer(&["start", "a"]).code, 0);
    let backup: Vec<_> =
        ["a.end", "a.idle-reaped", "a.conversations"].map(|f| (f, fs::read(world.path("state").join(f)))).into();
    world.peer(&["wake", "a", "-m", "more"]).prints("a: woken resumed (stopped); message delivered\n");
    let agent = world.agent("a");
    for lost in ["state/a.session", "state/panes"] {
        remove(&world.path(lost));
    }
    for (file, text) in backup {
        fs::write(world.path("state").join(file), text.expect("read")).expect("write");
    }
    is_shown(&world, "a");
    let woken = world.peer(&["wake", "a", "-m", "again"]);
    assert_eq!((woken.code, woken.stdout.as_str()), (0, "a: already awake; message delivered\n"), "{woken:?}");
    assert_eq!((world.agent("a"), world.processes(), world.deaths("a")), (agent, vec![agent], 0));
    assert_eq!((world.session("a")["incarnation"].as_u64(), world.said(&conversation).len()), (Some(2), 3));
}

fn an_agent_that_ends_without_a_state_directory_makes_no_new_one(on: RuntimeKind) {
    let world = World::on(on);
    let (agent, _) = awake(&world, "a");
    let pane = world.pane_process("a");
    let pane = process::status(pane).expect("/proc").expect("it lives").id;
    remove(&world.path("state"));
    signal(agent, Signal::SIGKILL);
    wait_until("its pane process has left", || process::find(pane).expect("/proc").is_none());
    assert!(!world.path("state").exists(), "what a person deleted stays deleted");
}

fn an_end_after_the_directory_was_made_anew_is_recorded(on: RuntimeKind) {
    let world = World::on(on);
    let (agent, conversation) = awake(&world, "a");
    remove(&world.path("state"));
    // The list makes the directory anew, and recovers no agent.
    assert_eq!(world.peer(&["list"]).code, 0);
    signal(agent, Signal::SIGKILL);
    let end = world.await_end("a");
    assert_eq!((&end["cause"], &end["conversation"]), (&json!("killed"), &json!(conversation)));
    assert_eq!((world.deaths("a"), world.conversations("a")), (1, vec![conversation]));
}

#[test]
fn a_peer_that_was_removed_is_not_brought_back_by_its_pane_process() {
    let world = World::new();
    let (agent, _) = awake(&world, "a");
    assert_eq!(world.peer(&["rm", "a", "--force"]).code, 0);
    wait_until("it has ended", || !lives(agent));
    let left: Vec<_> = fs::read_dir(world.path("state")).expect("there").flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("a.") || name == "a.lock"), "{left:?}");
}

fn what_no_record_names_is_awake_to_rm_too(on: RuntimeKind) {
    for how in ["removed", "with its launch file", "does not parse", "older", "a spec that does not parse"] {
        let world = World::on(on);
        awake(&world, "a");
        let record = world.path("state/a.session");
        let older = fs::read(&record).expect("on record");
        assert_eq!((world.peer(&["stop", "a"]).code, world.peer(&["start", "a"]).code), (0, 0));
        world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
        let agent = world.agent("a");
        match how {
            "does not parse" => fs::write(&record, "{").expect("written"),
            "older" => fs::write(&record, older).expect("written"),
            _ => fs::remove_file(&record).expect("removed"),
        }
        if how == "with its launch file" {
            remove(&world.path("state/panes"));
        }
        let spec = world.path("config/peers/a.toml");
        let declared = fs::read_to_string(&spec).expect("declared");
        if how == "a spec that does not parse" {
            fs::write(&spec, "[").expect("written");
            let refused = world.peer(&["rm", "a", "--force"]);
            assert!(refused.code == 1 && lives(agent), "{refused:?}");
            fs::write(&spec, &declared).expect("written");
        }
        let refused = world.peer(&["rm", "a"]);
        assert_eq!(refused.code, 4, "{how}: {refused:?}");
        assert!(refused.stderr.contains("error: a is awake\n") && lives(agent) && spec.exists(), "{how}: {refused:?}");
        let removed = world.peer(&["rm", "a", "--force"]);
        assert_eq!(removed.code, 0, "{how}: {removed:?}");
        assert_eq!((lives(agent), world.processes(), world.sessions()), (false, vec![], vec![]), "{how}");
        world.demo("a", &[]);
        assert_eq!(world.peer(&["wake", "a"]).code, 0, "{how}");
        assert!(world.session("a")["incarnation"].as_u64() > Some(2), "{how}: {}", world.session("a"));
    }
}

fn a_record_that_does_not_parse_beside_an_older_end_gives_no_number_twice(on: RuntimeKind) {
    let world = World::on(on);
    let (_, conversation) = awake(&world, "a");
    assert_eq!((world.peer(&["stop", "a"]).code, world.peer(&["start", "a"]).code), (0, 0));
    world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
    let agent = world.agent("a");
    // The second incarnation ended unobserved, and its record does not parse.
    signal(world.pane_process("a"), Signal::SIGKILL);
    let _ = process::status(agent).map(|found| found.map(|status| process::signal(status.id, Signal::SIGKILL)));
    wait_until("nothing of it runs", || world.processes().is_empty());
    fs::write(world.path("state/a.session"), "{").expect("written");
    // Even if the verb that sets it aside is not the one that starts the next.
    assert_eq!(world.peer(&["reset", "a"]).code, 0);
    let woken = world.peer(&["wake", "a"]);
    assert_eq!((woken.code, woken.stdout.as_str()), (0, "a: woken resumed (stopped)\n"), "{woken:?}");
    assert!(world.session("a")["incarnation"].as_u64() > Some(2), "{}", world.session("a"));
    assert_eq!((world.conversation("a"), world.deaths("a")), (conversation, 0));
}

fn a_lost_record_is_found_again_by_another_path_of_the_state_directory(on: RuntimeKind) {
    let world = World::on(on);
    std::os::unix::fs::symlink(world.path("state"), world.path("link")).expect("linked");
    let by_link = |args: &[&str]| Run::of(world.command(args).env("PEER_STATE_DIR", world.path("link")), None);
    let (agent, conversation) = awake(&world, "a");
    assert_eq!(by_link(&["wake", "a", "-m", "more"]).stdout, "a: already awake; message delivered\n");
    remove(&world.path("state/a.session"));
    let listed = by_link(&["list", "--json"]);
    assert_eq!(listed.json()["peers"][0]["state"], json!("unknown"), "{listed:?}");
    let woken = by_link(&["wake", "a", "-m", "again"]);
    assert_eq!((woken.code, woken.stdout.as_str()), (0, "a: already awake; message delivered\n"), "{woken:?}");
    assert_eq!((world.agent("a"), world.processes(), world.deaths("a")), (agent, vec![agent], 0));
    // An agent that was started through the link is found without it.
    assert_eq!((by_link(&["stop", "a"]).code, by_link(&["start", "a"]).code), (0, 0));
    assert_eq!(by_link(&["wake", "a"]).stdout, "a: woken resumed (stopped)\n");
    let agent = world.agent("a");
    remove(&world.path("state/a.session"));
    world.peer(&["reap"]);
    assert_eq!((world.agent("a"), world.conversation("a"), world.processes()), (agent, conversation, vec![agent]));
}

//! `peer rename` and `peer restore`: the same peer under another name, or back from the trash, with its conversations.

use std::fs;
use std::path::PathBuf;

use peer_adapters::runtime::RuntimeKind;

use crate::common::ticks::{done, fleet, tick, wait_until_quiet};
use crate::common::{World, on_each_runtime};

fn stopped(world: &World, name: &str) -> String {
    world.demo(name, &[]);
    world.peer(&["wake", name, "-t", "login", "-m", "one"]);
    let conversation = world.conversation(name);
    world.peer(&["stop", name]).prints(&format!("{name}: parked and stopped\n"));
    conversation
}

/// Asserts that the next wake resumes the conversation, once it may.
#[track_caller]
fn goes_on(world: &World, name: &str, conversation: &str, said: &[&str]) {
    world.peer(&["start", name]);
    resumes(world, name, "stopped", conversation, said);
}

#[track_caller]
fn resumes(world: &World, name: &str, cause: &str, conversation: &str, said: &[&str]) {
    let last = said.last().expect("a message");
    world
        .peer(&["wake", name, "-t", "login", "-m", last])
        .prints(&format!("{name}: woken resumed ({cause}); message delivered\n"));
    assert_eq!(
        (world.conversation(name), world.said(conversation)),
        (conversation.to_owned(), said.iter().map(|text| (*text).to_owned()).collect())
    );
}

on_each_runtime! {
    a_renamed_peer_goes_on_with_its_conversation
}

fn a_renamed_peer_goes_on_with_its_conversation(kind: RuntimeKind) {
    let world = World::on(kind);
    let conversation = stopped(&world, "api");
    world.set_in_spec("api", "# mine\nidle_timeout = \"90m\"");
    let typed = fs::read_to_string(world.path("config/peers/api.toml")).expect("a spec");
    world.peer(&["rename", "api", "web"]).prints("api: is called web now\n");
    assert_eq!(fs::read_to_string(world.path("config/peers/web.toml")).expect("a spec"), typed);
    assert!(!world.path("config/peers/api.toml").exists() && !world.path("state/renaming.json").exists());
    assert_eq!(world.peer(&["status", "api"]).code, 3);
    assert_eq!(world.peer(&["list", "--format", "{name} {state}"]).stdout, "web stopped\n");
    assert_eq!(world.events("web", "peer.renamed").last().expect("an event")["from"], "api");
    goes_on(&world, "web", &conversation, &["one", "two"]);
    assert_eq!(world.session("web")["incarnation"], 2);
    world.peer(&["rename", "web", "api"]).fails(4, "error: web is awake\nhint: peer stop web, or use --force\n");
    world.peer(&["rename", "web", "api", "--force"]).prints("web: is called api now\n");
    assert_eq!(world.peer(&["list", "--format", "{name} {state}"]).stdout, "api asleep\n");
    resumes(&world, "api", "moved", &conversation, &["one", "two", "three"]);
    assert_eq!(world.processes(), [world.agent("api")], "one agent");
}

/// The files that a rename moves, in its order.
fn to_be_moved(world: &World, name: &str) -> Vec<PathBuf> {
    let ours = |path: &PathBuf| {
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let stays = path.extension().is_some_and(|ending| ending == "lock" || ending == "launch");
        file.starts_with(&format!("{name}.")) && !stays
    };
    let dirs = ["state", "state/panes"].map(|dir| world.path(dir));
    let entries = dirs.iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten());
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(ours).collect();
    found.sort();
    found
}

#[test]
fn what_a_killed_renaming_left_is_finished_by_the_next_command() {
    // After the marker alone, after each file, and after the new spec while the old one still exists.
    for step in 0..99 {
        let world = World::new();
        let conversation = stopped(&world, "api");
        let files = to_be_moved(&world, "api");
        assert!(files.len() >= 5, "{files:?}");
        fs::write(world.path("state/renaming.json"), r#"{"from":"api","to":"web"}"#).expect("write");
        for path in files.iter().take(step) {
            let file = path.file_name().expect("a name").to_string_lossy().replacen("api", "web", 1);
            fs::rename(path, path.with_file_name(file)).expect("rename");
        }
        let spec = |name: &str| world.path(&format!("config/peers/{name}.toml"));
        let last = step == files.len() + 1;
        if last {
            fs::copy(spec("api"), spec("web")).expect("copy");
        }
        assert_eq!(world.peer(&["list", "--format", "{name} {state}"]).stdout, "web stopped\n", "after step {step}");
        assert_eq!((to_be_moved(&world, "api"), spec("api").exists()), (vec![], false), "after step {step}");
        assert!(!world.path("state/renaming.json").exists());
        if step == 0 || last {
            goes_on(&world, "web", &conversation, &["one", "two"]);
        }
        if last {
            return;
        }
    }
    panic!("it has more files than any peer");
}

#[test]
fn kept_variables_go_along_and_a_name_that_had_others_counts_on() {
    let world = World::new();
    world.add("web", &["cat"]);
    for _ in 0..3 {
        world.peer(&["wake", "web"]);
        world.peer(&["stop", "web"]);
        world.peer(&["start", "web"]);
    }
    world.peer(&["rm", "web"]);
    world.add("api", &["sh", "-c", "echo token=$TOKEN; exec cat"]);
    let kept = world.peer_after("export TOKEN=blue", &["add", "api", "--keep-env", "TOKEN"]);
    assert_eq!(kept.code, 0, "{kept:?}");
    world.peer(&["rename", "api", "web"]).prints("api: is called web now\n");
    assert!(!world.has("api", "env") && world.has("web", "env"));
    world.peer(&["wake", "web"]).prints("web: woken fresh (first-wake)\n");
    assert_eq!(world.session("web")["incarnation"], 4, "no number comes twice");
    crate::common::wait_until("it has it", || world.peer(&["screen", "web"]).stdout.contains("token=blue"));
}

/// A peer's files with their contents.
fn files(world: &World, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let spec = world.path(&format!("config/peers/{name}.toml"));
    let all = to_be_moved(world, name).into_iter().chain([spec]);
    all.map(|path| (path.clone(), fs::read(path).expect("a file"))).collect()
}

#[test]
fn what_was_removed_comes_back_as_it_was() {
    let world = World::new();
    world.peer(&["restore"]).fails(0, "hint: nothing was removed that could be restored\n");
    let conversation = stopped(&world, "api");
    let before = files(&world, "api");
    world.peer(&["rm", "api"]);
    assert_eq!(world.peer(&["restore"]).stdout, "api  removed 0s ago\n");
    world.peer(&["restore", "api"]).prints("api: is back as it was 0s ago\n");
    assert_eq!(files(&world, "api"), before);
    assert_eq!(fs::read_dir(world.path("state/trash")).expect("listed").count(), 0);
    goes_on(&world, "api", &conversation, &["one", "two"]);
    assert_eq!(world.events("api", "peer.restored").len(), 1);
    assert_eq!(world.peer(&["rm", "api", "--force"]).code, 0);
    assert_eq!(world.peer(&["restore", "api"]).code, 0);
    resumes(&world, "api", "moved", &conversation, &["one", "two", "three"]);
    world.peer(&["stop", "api"]);
    world.peer(&["rm", "api"]);
    world.add("api", &["cat"]);
    world
        .peer(&["restore", "api"])
        .fails(1, "error: restore api: there is a peer of this name\nhint: peer rename api NEW renames that one\n");
    world.peer(&["rename", "api", "other"]).prints("api: is called other now\n");
    assert_eq!(world.peer(&["restore", "api"]).code, 0);
    goes_on(&world, "api", &conversation, &["one", "two", "three", "four"]);
}

#[test]
fn a_restore_overwrites_nothing_of_a_later_peer_and_one_that_was_killed_is_finished() {
    let world = World::new();
    let first = stopped(&world, "api");
    world.peer(&["rm", "api"]);
    let second = stopped(&world, "api");
    fs::remove_file(world.path("config/peers/api.toml")).expect("removed by hand");
    let before = world.snapshot();
    let run = world.peer(&["restore", "api"]);
    assert!(run.code == 1 && run.stderr.starts_with("error: restore api: it would overwrite "), "{run:?}");
    assert!(run.stderr.contains("hint: peer rm api moves the files of the later one to the trash"), "{run:?}");
    assert!(world.snapshot() == before && world.conversation("api") == second);
    assert_eq!(world.peer(&["rm", "api"]).code, 0);
    // A restore that was killed after its first file.
    let mut dirs = fs::read_dir(world.path("state/trash")).expect("listed").map(|entry| entry.expect("entry").path());
    let trash = dirs.find(|dir| dir.join("api.toml").exists()).expect("it has the spec");
    fs::rename(trash.join("api.conversations"), world.file("api", "conversations")).expect("moved");
    assert_eq!(world.peer(&["restore", "api"]).code, 0);
    goes_on(&world, "api", &first, &["one", "two"]);
}

#[test]
fn queued_messages_are_removed_restored_and_renamed_with_their_peer() {
    let world = World::new();
    world.add("a", &["cat"]);
    let queue = |text: &str| assert_eq!(world.peer(&["send", "a", "--at", "2040-01-01T07:00", text]).code, 0);
    let waits = |name: &str| {
        let told = world.peer(&["inbox", name, "--json"]).json();
        let text = |message: &serde_json::Value| message["text"].as_str().expect("a text").to_owned();
        told["messages"].as_array().expect("a list").iter().map(text).collect::<Vec<_>>()
    };
    queue("one");
    fs::write(world.path("state/inbox/a/7.dead"), "{\"id\": 7, \"at_ms\": 1, \"text\": \"x\"}").expect("written");
    world.peer(&["rm", "a"]).prints("a: removed with a queued message; peer restore a restores it\n");
    world.peer(&["restore", "a"]).prints("a: is back as it was 0s ago, with a queued message\n");
    assert_eq!(
        (waits("a"), fs::read_dir(world.path("state/trash")).expect("listed").count()),
        (vec!["one".to_owned()], 0)
    );
    assert!(world.path("state/inbox/a/7.dead").exists());
    assert_eq!(world.events("a", "message.queued").last().expect("an event")["cause"], "restored");
    // What was queued for a later peer of this name stays.
    world.peer(&["rm", "--all", "--yes", "--json"]).json();
    world.add("a", &["cat"]);
    queue("two");
    fs::remove_file(world.path("config/peers/a.toml")).expect("removed by hand");
    world.peer(&["restore", "a"]).prints("a: is back as it was 0s ago, with 2 queued messages\n");
    assert_eq!(waits("a"), ["one", "two"]);
    world.peer(&["rm", "a"]);
    fs::create_dir(world.path("state/inbox/a")).expect("made");
    fs::write(world.path("state/inbox/a/1.message"), "another").expect("written");
    let run = world.peer(&["restore", "a"]);
    assert!(run.code == 1 && run.stderr.contains("it would overwrite ") && run.stderr.contains("1.message"), "{run:?}");
    fs::remove_file(world.path("state/inbox/a/1.message")).expect("removed");
    assert_eq!(world.peer(&["restore", "a", "--json"]).json()["queued"], 2);
    world.peer(&["rename", "a", "1"]).prints("a: is called 1 now\n");
    assert_eq!(waits("1"), ["one", "two"]);
    // A peer whose name is a number has files that look like those of messages.
    world.peer(&["rm", "1"]).prints("1: removed with 2 queued messages; peer restore 1 restores it\n");
    assert_eq!(world.peer(&["restore", "1"]).code, 0);
    assert_eq!(waits("1"), ["one", "two"]);
}

#[test]
fn kept_variables_are_not_in_the_trash_and_that_is_said() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer_after("export TOKEN=blue", &["add", "a", "--keep-env", "TOKEN"]);
    world.peer(&["rm", "a"]);
    let run = world.peer(&["restore", "a"]);
    let again = "note: a: the values kept for it (TOKEN) are gone; peer add a --keep-env TOKEN keeps them again, \
                 where they are set\n";
    assert!(run.code == 0 && run.stderr == again, "{run:?}");
    let refused = world.peer(&["wake", "a"]);
    let hint =
        "hint: peer add a --keep-env VARIABLE writes it again; or remove env_file from its spec with `peer edit a`\n";
    assert!(refused.code == 1 && refused.stderr.ends_with(hint), "{refused:?}");
    assert_eq!(world.peer_after("export TOKEN=red", &["add", "a", "--keep-env", "TOKEN"]).code, 0);
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
    assert_eq!(fs::read_dir(world.path("state/trash")).expect("listed").count(), 0);
}

#[test]
fn messages_are_numbered_on_and_what_a_killed_writer_left_of_a_secret_is_not_kept() {
    let world = World::new();
    world.add("api", &["cat"]);
    for id in ["1", "2"] {
        assert_eq!(world.peer(&["send", "api", "--queue", "hello"]).code, 0);
        assert_eq!(world.peer(&["inbox", "api", "--cancel", id]).code, 0);
    }
    fs::create_dir_all(world.path("state/panes")).expect("made");
    let leave = |name: &str| {
        for file in [format!("state/panes/{name}.1.launch.tmp"), format!("state/{name}.env.tmp")] {
            fs::write(world.path(&file), "SECRET").expect("written");
        }
    };
    let is_kept = || world.snapshot().values().any(|(content, _)| content == b"SECRET");
    leave("api");
    world.peer(&["rename", "api", "web"]).prints("api: is called web now\n");
    assert!(!is_kept());
    assert_eq!(world.peer(&["send", "web", "--queue", "hello"]).code, 0);
    assert!(world.path("state/inbox/web/3.message").exists(), "no number comes twice");
    leave("web");
    assert_eq!(world.peer(&["rm", "web"]).code, 0);
    assert!(!is_kept());
    assert_eq!(world.events("web", "message.expired").last().expect("an event")["message"], 3);
}

/// Files of the fleet are named as those of these peers would be.
#[test]
fn a_peer_that_is_named_like_a_file_of_the_fleet_has_its_own_files_and_a_lock_of_its_own() {
    let world = World::new();
    let names = ["heartbeat", "lifecycle", "reap", "servers", "timer", "tmux", "versions"];
    fleet(&world, &names);
    fs::write(world.path("state/timer.sh"), "").expect("written");
    let spec = world.path("config/peers/reap.toml");
    let text = fs::read_to_string(&spec).expect("readable");
    fs::write(spec, text.replace("idle_timeout = \"0s\"", "idle_timeout = \"1s\"")).expect("written");
    wait_until_quiet(&world, "reap", 2);
    let parked = done(&tick(&world, &[]));
    assert!(matches!(&parked[..], [[name, what, _]] if name == "reap" && what == "parked"), "{parked:?}");
    let of_the_fleet = ["heartbeat.json", "lifecycle.log", "timer.sh", "tmux.conf", "versions.json"];
    for name in names {
        assert_eq!(world.peer(&["rm", name, "--force"]).code, 0, "{name}");
        world.add(name, &["cat"]);
        world.peer(&["rename", name, "other"]).prints(&format!("{name}: is called other now\n"));
        assert_eq!(world.peer(&["rm", "other"]).code, 0, "{name}");
        for file in of_the_fleet {
            assert!(world.path("state").join(file).exists(), "{name}: {file}");
        }
    }
}

#[test]
fn several_come_back_and_all_whose_names_are_free() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.add(name, &["cat"]);
    }
    assert_eq!(world.peer(&["rm", "--all", "--yes"]).code, 0);
    world.peer(&["restore", "c", "a"]).prints("c: is back as it was 0s ago\na: is back as it was 0s ago\n");
    let run = world.peer(&["restore", "a", "b"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, "b: is back as it was 0s ago\n"), "{run:?}");
    assert!(run.stderr.starts_with("error: restore a: nothing of this name is in the trash\n"), "{run:?}");
    assert_eq!(world.peer(&["rm", "--all", "--yes"]).code, 0);
    // Its name belongs to another now.
    world.add("b", &["cat"]);
    let run = world.peer(&["restore", "--all"]);
    let mut back: Vec<&str> = run.stdout.lines().collect();
    back.sort_unstable();
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    assert_eq!(back, ["a: is back as it was 0s ago", "c: is back as it was 0s ago"]);
    let nothing = world.peer(&["restore", "--all", "--json"]).json();
    assert_eq!(nothing["peers"], serde_json::json!([]), "{nothing}");
}

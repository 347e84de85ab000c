//! The limits of numbers, resources and permissions: each is reported, and nothing breaks at it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::common;
use crate::common::not_run::cannot_run;
use crate::common::run::succeeds;
use crate::common::{Run, World, lives};
use serde_json::{Value, json};

/// Runs `peer` through another program.
fn behind(world: &World, program: &str, before: &[&str], args: &[&str]) -> Run {
    let plain = world.command(&[]);
    let mut command = Command::new(program);
    command.args(before).arg(env!("CARGO_BIN_EXE_peer")).args(args);
    command.env_clear().current_dir(world.work()).stdin(Stdio::null());
    for (key, value) in plain.get_envs() {
        command.env(key, value.expect("set"));
    }
    Run::of(&mut command, None)
}

fn every_number(value: &mut Value, to: &Value) {
    match value {
        Value::Number(_) => *value = to.clone(),
        Value::Array(values) => values.iter_mut().for_each(|value| every_number(value, to)),
        Value::Object(fields) => fields.values_mut().for_each(|value| every_number(value, to)),
        _ => {}
    }
}

fn one_number(value: &mut Value, key: &str, to: &Value) {
    if let Value::Object(fields) = value {
        for (name, field) in fields {
            if name == key {
                *field = to.clone();
            } else {
                one_number(field, key, to);
            }
        }
    } else if let Value::Array(values) = value {
        for value in values {
            one_number(value, key, to);
        }
    }
}

/// Asserts that no verb panics.
#[track_caller]
fn unbroken(world: &World, what: &str) {
    for verb in [&["list"][..], &["status", "a"], &["why", "a"], &["log"], &["reap"], &["list", "--json"]] {
        let run = world.peer(verb);
        assert!((0..=7).contains(&run.code) && !run.stderr.contains("panicked"), "{what}: {verb:?}: {run:?}");
    }
}

const FILES: [&str; 7] =
    ["a.session", "a.end", "a.deaths", "a.conversations", "heartbeat.json", "servers.json", "versions.json"];

const TIMES_AND_COUNTS: [&str; 8] =
    ["at_ms", "woke_at_ms", "ready_at_ms", "delivered_at_ms", "incarnation", "tick", "uptime_ms", "up_ms"];

#[test]
fn no_number_in_a_record_is_too_large() {
    let world = World::new();
    world.demo("a", &[]);
    world.set_in_spec(
        "a",
        "restart = \"on-failure\"\nidle_timeout = \"1h\"\nbeat_timeout = \"1h\"\nmax_memory = \"1G\"",
    );
    assert_eq!(world.peer(&["wake", "a", "-m", "hello"]).code, 0);
    world.peer(&["reap"]);
    let end = json!({ "incarnation": 1, "cause": "crashed", "counted": true, "at_ms": 1, "uptime_ms": 1, "max_rss_kib": 1,
        "code": 1, "agent": "demo", "recent": [{ "at_ms": 1, "cause": "crashed" }] });
    world.write("a", "end", &end.to_string());
    world.write("a", "deaths", "[1, {\"at_ms\":2,\"cause\":\"crashed\"}]");
    let exit = json!({ "incarnation": 1, "at_ms": 1, "code": 3, "uptime_ms": 5, "max_rss_kib": 7 });
    let numbers = [json!(u64::MAX), json!(i64::MAX), json!(i64::MIN), json!(0), json!(1e300)];
    for file in FILES {
        let path = world.path(&format!("state/{file}"));
        let Ok(before) = fs::read_to_string(&path) else { continue };
        let good: Value = serde_json::from_str(before.lines().next().unwrap_or_default())
            .or_else(|_| serde_json::from_str(&before))
            .expect("JSON");
        for number in &numbers {
            let mut bad = good.clone();
            every_number(&mut bad, number);
            fs::write(&path, bad.to_string()).expect("write");
            unbroken(&world, &format!("{file}: {number}"));
        }
        // Only times and counts, so that the rest is believed.
        for key in TIMES_AND_COUNTS {
            for number in [json!(u64::MAX), json!(0)] {
                let mut bad = good.clone();
                one_number(&mut bad, key, &number);
                if bad == good {
                    continue;
                }
                fs::write(&path, bad.to_string()).expect("write");
                unbroken(&world, &format!("{file}: {key} = {number}"));
            }
        }
        fs::write(&path, before).expect("write");
    }
    for number in &numbers {
        let mut bad = exit.clone();
        every_number(&mut bad, number);
        fs::write(world.path("state/panes/a.1.exit"), bad.to_string()).expect("write");
        unbroken(&world, &format!("exit: {number}"));
    }
    for verb in [&["wake", "a"][..], &["new", "a"], &["stop", "a"], &["reset", "a"]] {
        let run = world.peer(verb);
        assert!((0..=7).contains(&run.code) && !run.stderr.contains("panicked"), "{verb:?}: {run:?}");
    }
}

#[test]
fn no_length_of_time_is_too_long() {
    let world = World::new();
    world.add("a", &["cat"]);
    for span in ["18446744073709551615s", "584942417355y", "1000000y"] {
        for args in
            [&["reap", "--budget", span][..], &["log", "--since", span], &["add", "b", "--idle", span, "--", "cat"]]
        {
            let run = world.peer(args);
            assert!((1..=2).contains(&run.code) && run.stderr.contains("is not a duration"), "{args:?}: {run:?}");
        }
    }
    world.peer(&["reap", "--budget", "100y"]).prints("");
}

#[test]
fn too_few_descriptors_are_an_error_and_no_panic() {
    let world = World::new();
    world.add("a", &["cat"]);
    for (limit, verb) in [("6", &["list"][..]), ("6", &["wake", "a"]), ("12", &["reap"]), ("20", &["doctor"])] {
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        let run = behind(&world, "bash", &["-c", &script, "bash"], verb);
        let said = format!(
            "error: cannot start: this process may open {limit} files at once, and 24 more than it has open are needed\n\
             hint: ulimit -n 1024\n"
        );
        run.fails(1, &said);
    }
    let run = behind(&world, "bash", &["-c", "ulimit -n 40; exec \"$@\"", "bash"], &["wake", "a"]);
    run.prints("a: woken fresh (first-wake)\n");
}

#[test]
fn an_agent_of_another_user_is_seen_and_cannot_be_signalled_but_as_the_hint_says() {
    let mut without = Command::new("setpriv");
    if !nix::unistd::geteuid().is_root() || !succeeds(without.args(["--bounding-set", "-kill", "true"])) {
        cannot_run("only root can start an agent of another user, and give up the right to signal it");
        return;
    }
    let world = World::new();
    world.add("a", &["setpriv", "--reuid", "4242", "--clear-groups", "sleep", "1000"]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    let own = PathBuf::from(format!("/proc/{agent}"));
    let uid = || fs::metadata(&own).map(|found| std::os::unix::fs::MetadataExt::uid(&found)).ok();
    common::wait_until("it is another user's", || uid() == Some(4242));
    let without = |verb: &str| behind(&world, "setpriv", &["--bounding-set", "-kill"], &[verb, "a"]);
    let run = without("stop");
    let said = format!(
        "error: cannot send SIGTERM to process {agent} of uid 4242: Operation not permitted (os error 1); \
         only its owner can end it\nhint: sudo kill -TERM -- -{agent}; then peer stop a\n"
    );
    assert_eq!((run.code, run.stderr.as_str()), (1, said.as_str()), "{run:?}");
    assert!(lives(agent) && world.has("a", "session"));
    // As root, which `sudo` makes of the user; it runs the program of that name.
    assert!(succeeds(Command::new("kill").args(["-TERM", "--", &format!("-{agent}")])), "kill(1)");
    common::wait_until("it has ended", || !lives(agent));
    let stopped = without("stop");
    assert!(stopped.code == 0 && stopped.stdout.starts_with("a: "), "{stopped:?}");
    assert_eq!(without("wake").code, 4, "it is stopped");
}

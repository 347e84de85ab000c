//! Hooks run for the chosen events, whichever process logs these, with the event on stdin, for a limited time, and
//! without delaying anything.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::common;
use crate::common::{Run, World, lives, wait_for, wait_until};
use serde_json::Value;

/// Configures a hook that appends its input, and what its environment says of it, to a file.
fn configure(world: &World, on: &str, script: &str, timeout: &str) {
    let heard = world.path("heard");
    let script = script.replace("HEARD", &heard.display().to_string());
    world.configure(&format!(
        "\n[[hook]]\non = {on}\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\ntimeout = {timeout:?}\n"
    ));
}

fn heard(world: &World) -> Vec<Value> {
    let text = fs::read_to_string(world.path("heard")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_hook_hears_of_the_chosen_events_and_of_no_other() {
    let world = World::new();
    configure(
        &world,
        r#"["wake.", "session.ended"]"#,
        "cat >>HEARD; echo \"#$PEER_EVENT $PEER_EVENT_PEER\" >>HEARD",
        "20s",
    );
    world.add("api", &["cat"]);
    world.peer(&["wake", "api"]);
    world.peer(&["stop", "api"]);
    let events = ["wake.decided", "wake.ready", "session.ended"];
    wait_until("all three are heard", || heard(&world).len() == 3);
    let mut names: Vec<String> =
        heard(&world).iter().map(|event| event["event"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    let mut expected = events.map(str::to_owned);
    expected.sort();
    assert_eq!(names, expected);
    let ended = heard(&world).into_iter().find(|event| event["event"] == "session.ended").expect("heard");
    assert_eq!(ended, world.events("api", "session.ended")[0]);
    wait_until("its environment says it too", || {
        fs::read_to_string(world.path("heard")).expect("a file").contains("#session.ended api\n")
    });
}

#[test]
fn an_agent_that_ends_by_itself_is_heard_of_though_no_command_runs() {
    let world = World::new();
    configure(&world, r#"["session.ended"]"#, "cat >>HEARD", "20s");
    world.add("api", &["cat"]);
    world.peer(&["wake", "api"]);
    common::signal(world.agent("api"), nix::sys::signal::Signal::SIGKILL);
    let event = wait_for("the pane process to tell", || heard(&world).pop());
    assert_eq!((&event["cause"], &event["signal"]), (&Value::from("killed"), &Value::from(9)));
}

#[test]
fn a_hook_that_fails_is_one_line_in_the_log_and_nothing_else() {
    let world = World::new();
    configure(&world, r#"["wake.ready"]"#, "echo no good >&2; exit 7", "20s");
    world.configure("\n[[hook]]\non = [\"wake.ready\"]\ncommand = [\"/nonexistent/hook\"]\n");
    world.add("api", &["cat"]);
    world.peer(&["wake", "api"]).prints("api: woken fresh (first-wake)\n");
    wait_until("both are logged", || world.events("api", "hook.failed").len() == 2);
    let mut causes: Vec<String> = world
        .events("api", "hook.failed")
        .iter()
        .map(|event| event["cause"].as_str().expect("text").to_owned())
        .collect();
    causes.sort();
    assert!(causes[0].starts_with("cannot start /nonexistent/hook: "), "{causes:?}");
    assert_eq!(causes[1], "exit 7: no good");
    assert!(world.events("api", "hook.failed").iter().all(|event| event["on"] == "wake.ready"));
}

#[test]
fn a_hook_that_hangs_delays_nobody_and_is_ended_with_all_it_started() {
    let world = World::new();
    configure(&world, r#"["wake.decided"]"#, "sleep 1000 & echo $! >HEARD; wait", "500ms");
    world.add("api", &["cat"]);
    let run = world.peer(&["wake", "api"]);
    assert!(run.code == 0 && run.took < Duration::from_secs(30), "{run:?}");
    let child = wait_for("it to start", || fs::read_to_string(world.path("heard")).ok()?.trim().parse().ok());
    wait_until("it is ended", || !lives(child));
    let failed = wait_for("it is logged", || world.events("api", "hook.failed").pop());
    assert!(failed["cause"].as_str().expect("text").contains("500ms"), "{failed}");
}

#[test]
fn a_hook_that_makes_no_sense_is_refused_with_file_line_and_key() {
    let world = World::new();
    world.configure("\n[[hook]]\non = [\"*\"]\ncommand = []\n");
    let file = world.path("config/config.toml");
    world.peer(&["reap"]).fails(
        1,
        &format!(
            "error: {}:9: command: a hook has no command (inside [[hook]])\n\
             hint: name a program and its arguments, each as a word of its own\n",
            file.display()
        ),
    );
}

/// A program with this name in the world's directory, which records its arguments.
fn recorder(world: &World, name: &str) -> std::path::PathBuf {
    let dir = world.path("bin");
    fs::create_dir_all(&dir).expect("create");
    let program = dir.join(name);
    let script = format!("#!/bin/sh\nprintf '%s|' \"$@\" >>{}\n", world.path("told").display());
    fs::write(&program, script).expect("write");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    dir
}

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hooks").join(name)
}

#[test]
fn the_example_tells_the_desktop_of_a_crash_and_not_of_a_park() {
    let world = World::new();
    let bin = recorder(&world, "notify-send");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"));
    let command = example("desktop-notify");
    world.configure(&format!(
        "\n[[hook]]\non = [\"session.ended\"]\ncommand = [\"/usr/bin/env\", \"PATH={path}\", {command:?}]\ntimeout = \"20s\"\n"
    ));
    world.add("calm", &["cat"]);
    world.peer(&["wake", "calm"]);
    world.peer(&["stop", "calm"]);
    for cause in ["idle-reaped", "stopped", "moved", "self-fresh", "replaced", "completed"] {
        let mut hook = std::process::Command::new(&command);
        hook.env("PATH", &path).env("PEER_EVENT", "session.ended").env("PEER_EVENT_CAUSE", cause);
        Run::of(hook.env("PEER_EVENT_PEER", "calm"), None).prints("");
    }
    world.add("ill", &["sh", "-c", "exit 3"]);
    world.peer(&["wake", "ill"]);
    world.await_end("ill");
    // The file is there before it is written to.
    let told = || fs::read_to_string(world.path("told")).ok().filter(|told| !told.is_empty());
    let told = wait_for("the desktop is told", told);
    assert!(told.starts_with("--app-name=peer|--|ill: ended|crashed|"), "{told}");
    assert!(!told.contains("calm") && world.log().iter().all(|event| event["event"] != "hook.failed"), "{told}");
}

#[test]
fn the_example_prompt_names_the_agent_of_this_directory() {
    let world = World::new();
    world.add("api", &["cat"]);
    let below = world.path("work/a/b");
    fs::create_dir_all(&below).expect("create");
    fs::write(world.path("work/.peer"), "api\n").expect("write");
    let bin = Path::new(env!("CARGO_BIN_EXE_peer")).parent().expect("a directory").display().to_string();
    let script =
        format!("PS1='$ '; PATH='{bin}':$PATH; . '{}'; eval \"echo \\\"$PS1\\\"\"", example("prompt.sh").display());
    for (dir, prompt) in [(below, "[api never-started] $ \n"), (world.path("home"), "$ \n")] {
        let mut shell = std::process::Command::new("bash");
        shell.envs(world.command(&[]).get_envs().filter_map(|(key, value)| Some((key, value?))));
        let run = Run::of(shell.args(["--norc", "-c", &script]).current_dir(dir), None);
        run.prints(prompt);
    }
}

#[test]
fn the_example_status_line_counts_the_states() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.add("b", &["cat"]);
    world.peer(&["wake", "b"]);
    let socket = world.path("s-look");
    let bin = Path::new(env!("CARGO_BIN_EXE_peer")).parent().expect("a directory").display().to_string();
    let config = world.path("tmux.conf");
    let own = format!(
        "set-environment -g PATH '{bin}:{}'\nset-environment -g PEER_STATE_DIR {}\nset-environment -g PEER_CONFIG_DIR {}\n",
        std::env::var("PATH").expect("PATH"),
        world.path("state").display(),
        world.path("config").display()
    );
    fs::write(&config, own + &fs::read_to_string(example("tmux-status.conf")).expect("an example")).expect("write");
    let config = config.display().to_string();
    // A status line needs a client: one tmux in a pane of another.
    let inner = format!("env -u TMUX tmux -S {} -f {config} new-session cat", world.path("s-inner").display());
    world.tmux_on(&socket, &["-f/dev/null", "new-session", "-d", "-x", "100", "-y", "10", "sh", "-c", &inner]);
    wait_until("the status line shows them", || {
        world.tmux_on(&socket, &["capture-pane", "-p"]).contains("awake 1 never-started 1")
    });
}

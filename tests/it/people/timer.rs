//! `peer timer`: the files that it writes, that cron, systemd and launchd read them as meant, and that nothing of the
//! user's changes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::timer_systemd::{files_below, own_systemd, printed};
use crate::common;
use crate::common::files::executable;
use crate::common::not_run::cannot_run;
use crate::common::run::succeeds;
use crate::common::{Run, World, killed};

/// A program with this name, before all others on the PATH.
pub(super) fn stand_in(world: &World, name: &str, script: &str) -> String {
    let dir = world.path("bin");
    fs::create_dir_all(&dir).expect("create");
    executable(&dir.join(name), script);
    format!("{}:{}", dir.display(), std::env::var("PATH").expect("PATH"))
}

/// A `crontab` that keeps its text in a file of the world and prints what Debian's prints.
pub(super) fn own_crontab(world: &World) -> (PathBuf, String) {
    let file = world.path("crontab");
    let path = stand_in(
        world,
        "crontab",
        &format!(
            "f={}\ncase \"$1\" in\n-l) [ -f \"$f\" ] || {{ echo 'no crontab for me' >&2; exit 1; }}; cat \"$f\" ;;\n\
             -r) rm \"$f\" ;;\n-) cat >\"$f\" ;;\n*) exit 2 ;;\nesac",
            file.display()
        ),
    );
    cron(world);
    (file, path)
}

/// A process with the name of a cron daemon; it ends with the world.
fn cron(world: &World) {
    let daemon = world.path("bin/cron");
    // Linux calls a script's process after the script.
    executable(&daemon, "while :; do sleep 1000; done");
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" >/dev/null 2>&1 &"]).arg(daemon).env("PEER_STATE_DIR", world.path("state"));
    assert!(succeeds(&mut shell), "sh");
}

#[track_caller]
pub(super) fn peer(world: &World, path: &str, args: &[&str]) -> Run {
    Run::of(world.command(args).env("PATH", path), None)
}

#[test]
fn cron_gets_its_lines_and_keeps_the_rest_byte_for_byte() {
    let world = World::new();
    let (file, path) = own_crontab(&world);
    let mine = "# mine\nMAILTO=\"\"\n5 4 * * *  echo 100\\% done\t# tab  \n\n";
    fs::write(&file, mine).expect("write");
    let install = ["timer", "install", "--kind", "cron"];
    peer(&world, &path, &install).prints("timer: installed (cron), a tick every 1m\n");
    let script = world.path("state/timer.sh");
    let block = |schedule: &str| {
        format!(
            "# >>> peer timer >>> (written by `peer timer install`)\n{schedule} /bin/sh '{}'\n# <<< peer timer <<<\n",
            script.display()
        )
    };
    let text = || fs::read_to_string(&file).expect("a crontab");
    assert_eq!(text(), format!("{mine}{}", block("* * * * *")));
    // A second installation changes nothing, and another interval replaces the line, whatever was added after it.
    peer(&world, &path, &install);
    fs::write(&file, text() + "@daily true\n").expect("write");
    peer(&world, &path, &[&install[..], &["--every", "5m"]].concat());
    assert_eq!(text(), format!("{mine}{}@daily true\n", block("*/5 * * * *")));
    peer(&world, &path, &["timer", "uninstall"]).prints("timer: removed (cron)\n");
    assert_eq!(text(), format!("{mine}@daily true\n"));
    assert!(!script.exists());
    peer(&world, &path, &["timer", "uninstall"]).prints("timer: none was installed\n");
}

#[test]
fn a_crontab_that_cannot_be_read_is_not_written() {
    let world = World::new();
    let path =
        stand_in(&world, "crontab", "echo \"$@\" >>$PEER_STATE_DIR/asked; echo 'must be privileged' >&2; exit 1");
    let run = peer(&world, &path, &["timer", "install", "--kind", "cron"]);
    run.fails(
        1,
        "error: crontab -l: exit 1: must be privileged\n\
         hint: peer timer install --kind cron --print prints the line, to be added manually\n",
    );
    assert_eq!(fs::read_to_string(world.path("state/asked")).expect("it was asked"), "-l\n");
}

#[test]
fn what_cron_cannot_count_is_refused_with_what_it_can() {
    let world = World::new();
    let (_, path) = own_crontab(&world);
    let run = peer(&world, &path, &["timer", "install", "--kind", "cron", "--every", "90s"]);
    assert!(
        run.code == 1
            && run.stderr.starts_with("error: timer every 90 s: cron cannot express that interval\nhint: use 60s,")
    );
}

#[test]
fn a_tick_from_a_bare_environment_knows_whose_fleet_it_is_and_finds_the_programs() {
    let world = World::new();
    let (_, path) = own_crontab(&world);
    world.add("api", &["cat"]);
    world.peer(&["wake", "api"]);
    peer(&world, &path, &["timer", "install", "--kind", "cron"]);
    let before = peer(&world, &path, &["timer", "status"]);
    assert_eq!((before.code, before.stdout.as_str()), (0, "timer: cron, every 1m; there was no tick yet\n"));
    assert_eq!(before.stderr, "", "its first tick is still to come");
    let script = world.path("state/timer.sh");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(600);
    fs::File::options().append(true).open(&script).and_then(|file| file.set_modified(long_ago)).expect("aged");
    let late = peer(&world, &path, &["timer", "status"]);
    assert_eq!((late.code, late.stdout.as_str()), (1, "timer: cron, every 1m; there was no tick yet\n"));
    assert_eq!(late.stderr, "hint: peer doctor shows why it does not tick\n");
    let mut bare = Command::new("/usr/bin/env");
    let run = Run::of(bare.args(["-i", "/bin/sh"]).arg(&script).current_dir("/"), None);
    run.prints("");
    let beat: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(world.path("state/heartbeat.json")).expect("a tick")).expect("JSON");
    assert_eq!(beat["peers"]["api"]["verdict"], "healthy");
    let after = peer(&world, &path, &["timer", "status"]);
    assert!(after.code == 0 && after.stdout.starts_with("timer: cron, every 1m; the last tick was "), "{after:?}");
    let document = peer(&world, &path, &["timer", "status", "--json"]).json();
    assert_eq!((&document["schema"], &document["kind"]), (&"peer.timer/1".into(), &"cron".into()));
    assert_eq!((&document["alive"], &document["every_s"]), (&true.into(), &60.into()));
}

#[test]
fn fleets_have_timers_side_by_side() {
    let world = World::new();
    let (run_dir, path) = own_systemd(&world, "nothing");
    let (crontab, _) = own_crontab(&world);
    let states = [world.path("state"), world.path("100% other")];
    for state in &states {
        fs::create_dir_all(state).expect("created");
        fs::set_permissions(state, fs::Permissions::from_mode(0o700)).expect("chmod");
    }
    let peer = |fleet: usize, args: &[&str]| {
        let mut command = world.command(args);
        command.env("PATH", &path).env("XDG_RUNTIME_DIR", &run_dir).env("PEER_STATE_DIR", &states[fleet]);
        Run::of(&mut command, None)
    };
    for kind in ["systemd", "cron"] {
        for (fleet, every) in [(0, "1m"), (1, "2m"), (0, "1m")] {
            assert_eq!(peer(fleet, &["timer", "install", "--kind", kind, "--every", every]).code, 0);
        }
        for (fleet, every) in [(0, "1m"), (1, "2m")] {
            let status = peer(fleet, &["timer", "status"]);
            assert_eq!(
                (status.code, status.stdout),
                (0, format!("timer: {kind}, every {every}; there was no tick yet\n"))
            );
        }
        // Each is removed separately, the first one first.
        peer(0, &["timer", "uninstall"]).prints(&format!("timer: removed ({kind})\n"));
        assert_eq!(peer(0, &["timer", "status"]).stdout, "timer: none is installed; there was no tick yet\n");
        let other = peer(1, &["timer", "status"]);
        assert_eq!((other.code, other.stdout), (0, format!("timer: {kind}, every 2m; there was no tick yet\n")));
        peer(1, &["timer", "uninstall"]).prints(&format!("timer: removed ({kind})\n"));
        assert!(files_below(&world.path("home")).is_empty() && files_below(&world.path("active")).is_empty());
        assert!(!crontab.exists());
    }
    assert_eq!(peer(0, &["timer", "install", "--kind", "systemd"]).code, 0);
    let name = |line: &&str| line.starts_with("# file ") && line.split('.').next_back() == Some("timer");
    let printed = peer(1, &["timer", "install", "--kind", "systemd", "--print"]).stdout;
    let theirs = printed.lines().find(name).expect("a timer").to_owned();
    assert!(!theirs.ends_with("/peer.timer") && !printed.contains("enable peer.timer"), "{printed}");
    assert!(printed.contains("100%% other"), "{printed}");
}

#[test]
fn a_watch_that_runs_is_known() {
    let world = World::new();
    let (_, path) = own_crontab(&world);
    let mut command = world.command(&["watch", "--every", "10m"]);
    let mut child = command.stdout(std::process::Stdio::null()).spawn().expect("it starts");
    common::wait_until("its first tick", || world.path("state/heartbeat.json").exists());
    // A manual tick does not affect it.
    assert_eq!(peer(&world, &path, &["reap"]).code, 0);
    let status = peer(&world, &path, &["timer", "status"]);
    let told = format!("timer: peer watch (process {}), every 10m; the last tick was ", child.id());
    assert!(status.code == 0 && status.stdout.starts_with(&told) && status.stderr.is_empty(), "{status:?}");
    let document = peer(&world, &path, &["timer", "status", "--json"]).json();
    let watch = serde_json::json!({"pid": child.id(), "every_s": 600});
    assert_eq!((&document["watch"], &document["alive"], &document["kind"]), (&watch, &true.into(), &().into()));
    let doctor = peer(&world, &path, &["doctor"]);
    let told = format!("ok       timer: peer watch (process {}) every 600 s; ", child.id());
    assert!(doctor.stdout.contains(&told), "{doctor:?}");
    killed(&mut child);
    let status = peer(&world, &path, &["timer", "status"]);
    assert!(status.code == 1 && status.stdout.starts_with("timer: none is installed; the last tick was"), "{status:?}");
}

#[test]
fn launchd_gets_a_plist_with_what_a_bare_environment_lacks() {
    let world = World::new();
    let mut command = world.command(&["timer", "install", "--kind", "launchd", "--every", "90s", "--print"]);
    let odd = format!("/opt/a & b:/opt/<c>:/opt/\"d\":/opt/e'f:/opt/]]>:{}", std::env::var("PATH").expect("PATH"));
    let run = Run::of(command.env("PATH", &odd), None);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    assert!(!world.path("home/Library").exists(), "--print wrote something");
    printed(&run.stdout, &world.path(""));
    let file = world.path("io.github.peer-cli.reap.plist");
    let read = plist::Value::from_file(&file).unwrap_or_else(|error| panic!("{error}: {}", run.stdout));
    let job = read.as_dictionary().expect("launchd wants a dictionary");
    // launchd.plist(5): each key with the type it must have; launchd silently ignores a wrong one.
    assert_eq!(job.get("Label").and_then(plist::Value::as_string), file.file_stem().and_then(|stem| stem.to_str()));
    let argv = job.get("ProgramArguments").and_then(plist::Value::as_array).expect("an array");
    let argv: Vec<_> = argv.iter().map(|word| word.as_string().expect("a string")).collect();
    assert_eq!(argv, [env!("CARGO_BIN_EXE_peer"), "reap"]);
    assert_eq!(job.get("StartInterval").and_then(plist::Value::as_unsigned_integer), Some(90));
    for key in ["RunAtLoad", "AbandonProcessGroup"] {
        assert_eq!(job.get(key).and_then(plist::Value::as_boolean), Some(true), "{key}");
    }
    let env = job.get("EnvironmentVariables").and_then(plist::Value::as_dictionary).expect("a dictionary");
    let variable = |name: &str| env.get(name).and_then(plist::Value::as_string).map(str::to_owned);
    assert_eq!(variable("PATH"), Some(odd));
    for (name, dir) in [("PEER_STATE_DIR", "state"), ("PEER_CONFIG_DIR", "config")] {
        assert_eq!(variable(name), Some(world.path(dir).display().to_string()), "{name}");
    }
    let known =
        ["Label", "ProgramArguments", "EnvironmentVariables", "StartInterval", "RunAtLoad", "AbandonProcessGroup"];
    assert!(job.keys().all(|key| known.contains(&key.as_str())), "{job:?}");
}

/// The real `crontab`, over an empty directory of crontabs that only this process tree sees.
#[test]
fn debians_crontab_takes_it_and_gives_it_back() {
    let private = "mount -t tmpfs none /var/spool/cron/crontabs";
    if !succeeds(Command::new("unshare").args(["--mount", "sh", "-c", private])) {
        cannot_run("it needs cron, and root for a crontab directory of its own");
        return;
    }
    let world = World::new();
    let script = format!(
        "set -e; {private}; chmod 1730 /var/spool/cron/crontabs; peer='{}'\n\
         printf '# mine\\n1 2 3 4 5 echo 50\\\\%%  x\\n' | crontab -\ncrontab -l >before\n\
         \"$peer\" timer install --kind cron\n\"$peer\" timer install --kind cron --every 10m\ncrontab -l >with\n\
         \"$peer\" timer status || true\n\"$peer\" timer uninstall\ncrontab -l >after\ncmp before after\n\
         crontab -r\n\"$peer\" timer install --kind cron\n\"$peer\" timer uninstall\n! crontab -l",
        env!("CARGO_BIN_EXE_peer")
    );
    let mut shell = Command::new("unshare");
    shell.envs(world.command(&[]).get_envs().filter_map(|(key, value)| Some((key, value?))));
    let run = Run::of(shell.args(["--mount", "sh", "-c", &script]).current_dir(world.work()), None);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (
            0,
            "timer: installed (cron), a tick every 1m\ntimer: installed (cron), a tick every 10m\n\
             timer: cron, every 10m; there was no tick yet\ntimer: removed (cron)\n\
             timer: installed (cron), a tick every 1m\ntimer: removed (cron)\n"
        ),
        "{run:?}"
    );
    let with = fs::read_to_string(world.work().join("with")).expect("a crontab");
    assert!(with.contains("\n1 2 3 4 5 echo 50\\%  x\n# >>> peer timer") && with.contains("\n*/10 * * * * /bin/sh"));
}

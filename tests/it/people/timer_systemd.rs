//! `peer timer` with systemd.

use super::timer::{own_crontab, stand_in};
use crate::common::{Run, World};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes the files of `--print` into `dir`, by name.
pub(super) fn printed(text: &str, dir: &Path) {
    for file in text.split("# file ").skip(1) {
        let (path, content) = file.split_once('\n').expect("a path");
        let content = content.split("\n# run ").next().expect("a first part");
        let name = Path::new(path).file_name().expect("a name");
        fs::write(dir.join(name), content).expect("write");
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let world = World::new();
    let mut command = world.command(&["timer", "install", "--kind", "systemd", "--print"]);
    let odd = "/opt/with space:/opt/100%:/opt/$HOME:/opt/q\"uote";
    let run = Run::of(command.env("PATH", format!("{odd}:{}", std::env::var("PATH").expect("PATH"))), None);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    for line in [
        "KillMode=process",
        "LogLevelMax=notice",
        "SyslogLevel=notice",
        "OnUnitActiveSec=60s",
        "# run systemctl --user enable peer.timer",
    ] {
        assert!(run.stdout.lines().any(|known| known == line), "{line}: {run:?}");
    }
    assert!(!world.path("home/.config").exists(), "--print wrote something");
    let units = world.path("units");
    fs::create_dir(&units).expect("create");
    printed(&run.stdout, &units);
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--user"]).arg(units.join("peer.timer")).arg(units.join("peer.service"));
    // A separate manager, not the user's: with a home and a runtime directory in the world.
    fs::create_dir(world.path("run")).expect("create");
    verify.env("XDG_RUNTIME_DIR", world.path("run")).env("HOME", world.path("home"));
    let said = Run::of(&mut verify, None);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    // systemd's reading of the quoting: one Environment= with the exact PATH.
    let service = fs::read_to_string(units.join("peer.service")).expect("a unit");
    let quoted = r#"Environment="PATH=/opt/with space:/opt/100%%:/opt/$HOME:/opt/q\"uote:"#;
    assert!(service.contains(quoted), "{service}");
}

#[test]
fn systemd_is_chosen_where_it_runs_and_told_in_order() {
    let world = World::new();
    let run_dir = world.path("run");
    fs::create_dir_all(run_dir.join("systemd")).expect("create");
    fs::write(run_dir.join("systemd/private"), "").expect("the manager's socket stands in");
    let told = world.path("told");
    let (crontab, _) = own_crontab(&world);
    let path = stand_in(&world, "systemctl", &format!("echo \"$@\" >>{}", told.display()));
    let peer = |args: &[&str]| Run::of(world.command(args).env("PATH", &path).env("XDG_RUNTIME_DIR", &run_dir), None);
    let cron = peer(&["timer", "install", "--kind", "cron"]);
    assert!(cron.code == 0 && crontab.exists());
    let run = peer(&["timer", "install", "--every", "90s"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "timer: installed (systemd), a tick every 1m30s\n"), "{run:?}");
    assert!(run.stderr.contains("loginctl enable-linger"), "{run:?}");
    assert!(!crontab.exists(), "two timers would tick");
    assert_eq!(
        fs::read_to_string(&told).expect("it was told"),
        "--user daemon-reload\n--user enable peer.timer\n--user restart peer.timer\n"
    );
    let units = world.path("home/.config/systemd/user");
    assert!(units.join("peer.timer").exists() && units.join("peer.service").exists());
    assert!(peer(&["timer", "status"]).stdout.starts_with("timer: systemd, every 1m30s; "));
    peer(&["timer", "uninstall"]).prints("timer: removed (systemd)\n");
    assert!(!units.join("peer.timer").exists() && !units.join("peer.service").exists());
}

/// A systemd in the world: it answers where its directory is named, remembers what is enabled, and starts units.
/// `fails` names a verb that it refuses.
pub(super) fn own_systemd(world: &World, fails: &str) -> (PathBuf, String) {
    let run_dir = world.path("run");
    fs::create_dir_all(run_dir.join("systemd")).expect("create");
    fs::write(run_dir.join("systemd/private"), "").expect("the manager's socket stands in");
    let (told, active, units) = (world.path("told"), world.path("active"), world.path("home/.config/systemd/user"));
    fs::create_dir_all(&active).expect("create");
    let script = format!(
        "[ \"$XDG_RUNTIME_DIR\" = '{}' ] || {{ echo 'Failed to connect to bus: No medium found' >&2; exit 1; }}\n\
         echo \"$@\" >>'{}'; shift\n\
         [ \"$1\" != '{fails}' ] || {{ echo \"Failed to $1 unit\" >&2; exit 1; }}\n\
         wants='{units}/timers.target.wants'\ncase \"$1\" in\n\
         enable) mkdir -p \"$wants\"; ln -sf \"../$2\" \"$wants/$2\" ;;\n\
         restart) [ -e '{units}'/\"$2\" ] && : >'{active}'/\"$2\" ;;\n\
         disable) rm -f '{active}'/\"$3\" \"$wants/$3\" ;;\n\
         is-active) if [ -e '{active}'/\"$2\" ]; then echo active; else echo inactive; exit 3; fi ;;\nesac",
        run_dir.display(),
        told.display(),
        units = units.display(),
        active = active.display()
    );
    (run_dir, stand_in(world, "systemctl", &script))
}

/// Every file and link below a directory.
pub(super) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

#[test]
fn a_refused_installation_leaves_nothing_behind_and_an_older_one_as_it_was() {
    for fails in ["daemon-reload", "enable", "restart"] {
        let world = World::new();
        let (run_dir, path) = own_systemd(&world, fails);
        let peer =
            |args: &[&str]| Run::of(world.command(args).env("PATH", &path).env("XDG_RUNTIME_DIR", &run_dir), None);
        let run = peer(&["timer", "install"]);
        assert!(run.code == 1 && run.stderr.contains(&format!("Failed to {fails}")), "{fails}: {run:?}");
        assert!(!world.path("home/.config").exists(), "{fails}: {:?}", files_below(&world.path("home")));
        assert_eq!(peer(&["timer", "status"]).stdout, "timer: none is installed; there was no tick yet\n");
        // One that was installed before stays as it was.
        let (crontab, _) = own_crontab(&world);
        assert_eq!(peer(&["timer", "install", "--kind", "cron"]).code, 0);
        let before = fs::read_to_string(&crontab).expect("installed");
        assert_eq!(peer(&["timer", "install", "--kind", "systemd"]).code, 1);
        assert_eq!(fs::read_to_string(&crontab).expect("kept"), before);
    }
}

#[test]
fn without_a_manager_the_way_out_is_named_and_nothing_is_left() {
    let world = World::new();
    let (_, path) = own_systemd(&world, "nothing");
    // A manager of our user that runs on this machine is found, and its systemctl is the stand-in.
    let runs = Path::new(&format!("/run/user/{}/systemd/private", nix::unistd::geteuid())).exists();
    let way_out = if runs { "systemctl --user status" } else { "loginctl enable-linger" };
    // As in a shell of su, with the directory of another user's systemd.
    for runtime_dir in [None, Some("/proc/1")] {
        let mut command = world.command(&["timer", "install", "--kind", "systemd"]);
        command.env("PATH", &path);
        runtime_dir.map(|dir| command.env("XDG_RUNTIME_DIR", dir));
        let run = Run::of(&mut command, None);
        assert!(run.code == 1 && run.stderr.contains("Failed to connect to bus"), "{run:?}");
        assert!(run.stderr.contains(way_out) && run.stderr.contains("--kind cron"), "{run:?}");
        assert!(!world.path("home/.config").exists() && !world.path("told").exists());
    }
}

#[test]
fn status_and_doctor_ask_systemd_and_do_not_believe_files() {
    let world = World::new();
    let (run_dir, path) = own_systemd(&world, "nothing");
    let peer = |args: &[&str]| Run::of(world.command(args).env("PATH", &path).env("XDG_RUNTIME_DIR", &run_dir), None);
    assert_eq!(peer(&["timer", "install"]).code, 0);
    let new = peer(&["timer", "status"]);
    assert_eq!((new.code, new.stdout.as_str()), (0, "timer: systemd, every 1m; there was no tick yet\n"), "{new:?}");
    assert_eq!(peer(&["reap"]).code, 0);
    fs::remove_file(world.path("active/peer.timer")).expect("somebody stops it");
    let stopped = peer(&["timer", "status"]);
    assert!(stopped.code == 1 && stopped.stdout.contains("peer.timer is not active"), "{stopped:?}");
    assert_eq!(peer(&["timer", "status", "--json"]).json()["active"], false);
    let doctor = peer(&["doctor"]);
    assert!(doctor.stdout.contains("-> systemctl --user enable --now peer.timer"), "{doctor:?}");
}

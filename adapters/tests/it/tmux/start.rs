//! What a tmux server is started with, whatever started it.

use super::lab;
use super::lab::{DEADLINE, Lab, again, content, is_second_run};
use nix::sys::signal::Signal;
use peer_adapters::command::Argv;
use peer_adapters::process;
use peer_adapters::runtime::{Capture, Listing, Runtime};
use peer_adapters::tmux::Tmux;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Instant;

#[tokio::test]
async fn the_server_keeps_nothing_of_whoever_started_it() {
    if !is_second_run() {
        return again("start::the_server_keeps_nothing_of_whoever_started_it", |run| {
            run.env("PEER_TEST_KEY", "secret")
        })
        .await;
    }
    let lab = Lab::new();
    let server = lab.start("a", &["sh", "-c", "exec sleep 1000", "SECRET-WORD"]).await.server;
    let of = |file: &str| PathBuf::from(format!("/proc/{}/{file}", server.pid));
    assert_eq!(std::fs::read_link(of("cwd")).expect("cwd"), PathBuf::from("/"));
    let command = String::from_utf8(std::fs::read(of("cmdline")).expect("cmdline")).expect("ASCII");
    assert!(command.contains("start-server") && !command.contains("SECRET-WORD"), "{command:?}");
    let environment = String::from_utf8_lossy(&std::fs::read(of("environ")).expect("environ")).into_owned();
    assert!(!environment.contains("PEER_TEST"), "{environment}");
    let language = environment.split('\0').find_map(|entry| entry.strip_prefix("LANG=")).expect("a language");
    assert!(language.to_lowercase().contains("utf"), "{language}");
}

/// Cron's environment, with no locale and hardly any variables; and a user's, inside a pane of another server.
#[tokio::test]
async fn our_own_environment_does_not_matter() {
    const NAME: &str = "start::our_own_environment_does_not_matter";
    if !is_second_run() {
        let path = std::env::var_os("PATH").expect("PATH");
        again(NAME, |run| Argv { clear_env: true, ..run }.env("PATH", path)).await;
        again(NAME, |run| run.env("LC_ALL", "C").env("LANG", "C")).await;
        again(NAME, |run| run.env("LC_ALL", "POSIX").env("TERM", "dumb").env("TMUX_TMPDIR", "/nonexistent")).await;
        return again(NAME, |run| run.env("TMUX", "/nonexistent/default,1,0").env("TMUX_PANE", "%7")).await;
    }
    let lab = Lab::new();
    let target = lab.recorder("a", "got").await.target;
    assert_eq!(lab.names().await, ["a"]);
    lab.tmux.paste(&target, "ünï\n").await.expect("paste");
    assert_eq!(content(&lab.path("got"), 6).await, "ünï\n".as_bytes());
    let shown = lab.start("b", &["sh", "-c", "echo ünï; exec sleep 1000"]).await.target;
    let end = Instant::now() + lab::PATIENCE;
    while !lab.tmux.capture(&shown, Capture::default()).await.expect("capture").contains("ünï") {
        assert!(Instant::now() < end, "the screen is UTF-8");
    }
}

#[tokio::test]
async fn the_default_socket_is_where_tmux_would_put_it() {
    const NAME: &str = "start::the_default_socket_is_where_tmux_would_put_it";
    if !is_second_run() {
        let lab = Lab::new();
        return again(NAME, |run| run.env("TMUX_TMPDIR", lab.dir.path())).await;
    }
    let lab = Lab::new();
    let start = Argv::new(lab::binary()).args(["-L", "peer"]).arg("-f").arg(lab.path("tmux.conf")).arg("start-server");
    let output = peer_adapters::command::run(&start, None, DEADLINE).await.expect("tmux runs");
    assert!(output.status.success(), "{output:?}");
    let socket = Tmux::default_socket("peer");
    let Ok(Listing::Up { server, rows }) = lab.tmux.list(&socket).await else { panic!("a server is at {socket:?}") };
    // Before anything can fail, because the lab only cleans up after its own socket.
    process::signal(server, Signal::SIGKILL).expect("kill");
    assert!(rows.is_empty() && socket.starts_with(std::env::var("TMUX_TMPDIR").expect("set")));
}

/// A server uses one descriptor per pane; with a limit of 40, tmux 3.3a stopped answering at session 28.
#[tokio::test]
async fn a_low_limit_and_open_descriptors_of_ours_do_not_reach_the_server() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if !is_second_run() {
        return again("start::a_low_limit_and_open_descriptors_of_ours_do_not_reach_the_server", |run| run).await;
    }
    let lab = Lab::new();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limit");
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).expect("lower it");
    let held = std::fs::File::create(lab.path("lock")).expect("create");
    // A duplicate is inherited, like the lock that `flock 9` holds.
    let inherited = nix::unistd::dup(&held).expect("dup");
    let server = lab.idle("a0").await.server;
    drop((inherited, held));
    for n in 1..60 {
        lab.idle(&format!("a{n}")).await;
    }
    assert_eq!(lab.rows().await.len(), 60);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid)).expect("limits");
    let soft =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
    assert_eq!(soft, Some(hard.min(65_536)));
    let open: Vec<PathBuf> = std::fs::read_dir(format!("/proc/{}/fd", server.pid))
        .expect("descriptors")
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .collect();
    assert!(open.len() > 60 && !open.contains(&lab.path("lock")), "{open:?}");
}

#[tokio::test]
async fn a_user_bus_gives_the_server_a_scope_and_a_broken_one_no_trouble() {
    const NAME: &str = "start::a_user_bus_gives_the_server_a_scope_and_a_broken_one_no_trouble";
    if !is_second_run() {
        let path = std::env::var("PATH").expect("PATH");
        for (script, used) in [
            ("echo \"$*\" >${0%/*}/used\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"", "yes"),
            ("echo 'Failed to connect to bus: No such file or directory' >&2\nexit 1", "no"),
        ] {
            let lab = Lab::new();
            let _bus = UnixListener::bind(lab.path("bus")).expect("bind");
            lab.script("systemd-run", script);
            let dir = lab.dir.path().to_str().expect("ASCII").to_owned();
            again(NAME, |run| run.env("XDG_RUNTIME_DIR", &dir).env("PATH", format!("{dir}:{path}"))).await;
            assert_eq!(lab.path("used").exists(), used == "yes");
        }
        return;
    }
    let lab = Lab::new();
    lab.idle("a").await;
    assert_eq!(lab.names().await, ["a"]);
}

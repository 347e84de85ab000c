//! Thousands of peers that are awake, without thousands of wakes: real sessions and real processes on one tmux server,
//! made in bulk by tmux itself, with the records that as many wakes would have left.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, SystemTime};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use peer::testing::{
    AgentProcess, ConfigDir, Engine, Incarnation, Launch, OsText, PeerName, PeerSpec, Phase, Place, Process, Progress,
    SessionRecord, Timestamp,
};
use peer_adapters::inherited::Inherited;
use peer_adapters::process;
use peer_adapters::runtime::RuntimeKind;

use crate::common::World;

/// Reports no progress.
struct Quiet;

impl Progress for Quiet {
    fn waiting(&self, _: &str, _: Duration, _: Duration) {}
    fn notice(&self, _: &str) {}
}

/// One row of the sessions that tmux made.
struct Made {
    session: String,
    session_id: String,
    pane: String,
    pid: u32,
}

/// Raises the limit: every tmux session needs a descriptor in its server, which inherits the limit from its starter.
fn raise_descriptor_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit is allowed");
}

/// Checks that there are enough terminals: each pane takes one, and without them tmux only says that it could not fork.
///
/// # Panics
/// The machine has not enough terminals left.
fn require_terminals(size: usize) {
    let told =
        |file: &str| fs::read_to_string(format!("/proc/sys/kernel/pty/{file}")).ok()?.trim().parse::<usize>().ok();
    let (Some(most), Some(taken)) = (told("max"), told("nr")) else { return };
    let left = most.saturating_sub(taken);
    assert!(
        left >= size,
        "{size} peers need as many terminals, and {left} of this machine's {most} are left; as root: sysctl -w kernel.pty.max={}",
        taken + size + SPARE_TERMINALS,
    );
}

/// Terminals for all other programs while a bench runs.
const SPARE_TERMINALS: usize = 512;

/// What the peers of a fleet are.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Their profile.
    pub agent: &'static str,
    /// What their panes show, in words for printf(1).
    pub shows: &'static str,
}

/// Puts `size` peers of which nothing is known into an empty world, all of them awake since `woke_ago`.
pub fn populate(world: &World, size: usize, woke_ago: Duration) {
    populate_with(world, size, woke_ago, Kind { agent: "command", shows: "" });
}

/// The same of any kind. The files of their agents are in `agents` (`CLAUDE_CONFIG_DIR`).
pub fn populate_with(world: &World, size: usize, woke_ago: Duration, kind: Kind) {
    require_terminals(size);
    raise_descriptor_limit();
    let state = world.path("state");
    let engine = Engine::open(state, world.path("config"), "/nonexistent".into(), Box::new(Quiet)).expect("a state");
    let made = sessions(world, &engine, size, kind.shows);
    let server = process::find(world.server().expect("a server")).expect("/proc").expect("it lives").id;
    let woke_at: Timestamp = (SystemTime::now() - woke_ago).into();
    for (number, made) in made.iter().enumerate() {
        declare(world, &engine.config, &name(number), kind.agent);
        record(world, &engine, &name(number), made, server, woke_at, kind.agent);
    }
}

/// What the status file of one of them says, in Claude Code's words, as if its agent had written it.
pub fn says(world: &World, number: usize, status: &str) {
    let process = &world.session(name(number).as_str())["process"];
    let (pid, start) = (process["pid"].as_u64().expect("a pid"), process["start"].as_u64().expect("a time"));
    let now = Timestamp::from(SystemTime::now()).as_ms();
    let dir = world.path("agents/sessions");
    fs::create_dir_all(&dir).expect("create");
    let (path, beside) = (dir.join(format!("{pid}.json")), dir.join("new"));
    let text = format!(
        r#"{{"pid":{pid},"sessionId":"c-{number}","status":"{status}","statusUpdatedAt":{now},"procStart":"{start}"}}"#
    );
    fs::write(&beside, text).expect("write");
    fs::rename(beside, path).expect("rename");
}

/// The name of one of them.
pub fn name(number: usize) -> PeerName {
    format!("peer-{number:04}").parse().expect("a name")
}

/// Makes the sessions with one file of commands, and returns them in the order of their numbers.
fn sessions(world: &World, engine: &Engine, size: usize, shows: &str) -> Vec<Made> {
    let shows = if shows.is_empty() { String::new() } else { format!("printf {shows:?}; ") };
    let mut script = String::new();
    for number in 0..size {
        let name = name(number);
        writeln!(script, "new-session -d -x 200 -y 50 -s {name}-1 '{shows}exec sleep 100000'")
            .expect("a String takes all");
        writeln!(script, "set-option -t ={name}-1: @peer_tag {}", engine.tag(&name, Incarnation(1))).expect("the same");
    }
    let (config, file) = (world.path("tmux.conf"), world.path("fleet.tmux"));
    fs::write(&config, peer_adapters::tmux::Tmux::CONFIG).expect("write");
    fs::write(&file, script).expect("write");
    let said = world.tmux(&[
        "-f",
        config.to_str().expect("text"),
        "start-server",
        ";",
        "source-file",
        file.to_str().expect("text"),
    ]);
    assert!(said.is_empty(), "tmux source-file: {}", said.lines().next().unwrap_or_default());
    let listed = world.tmux(&["list-panes", "-a", "-F", "#{session_name} #{session_id} #{pane_id} #{pane_pid}"]);
    let mut made: Vec<Made> = listed.lines().map(row).collect();
    made.sort_by(|a, b| a.session.cmp(&b.session));
    assert_eq!(made.len(), size, "tmux made other sessions than it was asked for");
    made
}

fn row(line: &str) -> Made {
    let [session, session_id, pane, pid] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    Made { session: session.into(), session_id: session_id.into(), pane: pane.into(), pid: pid.parse().expect(line) }
}

/// Writes the spec that `peer add` would write.
fn declare(world: &World, config: &ConfigDir, name: &PeerName, agent: &str) {
    let work = world.work().display().to_string();
    let path = std::env::var("PATH").expect("PATH");
    let spec = format!(
        "agent = {agent:?}\ncommand = [\"/bin/sleep\", \"100000\"]\ncwd = {work:?}\nruntime = \"tmux\"\nsearch_path = {path:?}\n"
    );
    PeerSpec::parse(&config.spec_path(name), &spec).expect("a spec");
    config.write_spec(name, &spec).expect("write");
}

/// Writes the files that a wake and the pane process leave.
fn record(
    world: &World,
    engine: &Engine,
    name: &PeerName,
    made: &Made,
    server: process::ProcessId,
    woke_at: Timestamp,
    profile: &str,
) {
    let agent = process::status(made.pid).expect("/proc").expect("it lives");
    let id = Process { pid: agent.id.pid, start: agent.id.start };
    let locked = engine.state.lock_blocking(name).expect("nobody else is here");
    let files = ("CLAUDE_CONFIG_DIR".into(), world.path("agents").into());
    let env = std::env::vars_os().chain([files]).map(|(key, value)| (OsText(key), OsText(value))).collect();
    let argv = ["/bin/sleep", "100000"].map(|word| OsText(word.into())).into();
    let config_dir = world.path("config");
    let host = peer::testing::recorded_host().expect("a host");
    let launch = Launch {
        argv,
        cwd: world.work(),
        config_dir,
        host: Some(host.clone()),
        boot_id: None,
        grace_ms: 5000,
        env,
        inherited: Inherited::default(),
    };
    locked.write_launch(Incarnation(1), &launch).expect("write");
    let tmux = which::which("tmux").expect("tmux");
    let place = Place {
        session_id: made.session_id.clone(),
        pane: made.pane.clone(),
        server_process: Some(Process { pid: server.pid, start: server.start }),
        pane_process: Some(id),
        host: Some(host),
        ..Place::planned(RuntimeKind::Tmux, tmux, world.socket(), made.session.clone())
    };
    let boot_id = process::boot_id().expect("a boot id");
    let driver = Process::NOBODY;
    let record = SessionRecord {
        process: Some(AgentProcess { id, session: agent.session }),
        phase: Phase::Ready { ready_at_ms: woke_at },
        status_dir: (profile == "claude").then(|| world.path("agents/sessions")),
        ..SessionRecord::starting(Incarnation(1), place, driver, boot_id, profile, "first-wake", woke_at)
    };
    locked.write_session(&record).expect("write");
}

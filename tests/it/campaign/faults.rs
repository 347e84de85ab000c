//! The faults that happen to a fleet.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::RuntimeKind;

use super::fleet::Fleet;
use crate::common::{World, attached::Attached, ended, killed};

/// Longest life of a verb before it is killed: a wake on a running server takes some 30 ms, with a message some 250.
const LONGEST_MS: u64 = 300;

/// One thing that happens to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    KillVerb,
    KillPane,
    KillAgent,
    KillServer,
    PauseServer,
    Corrupt,
    Rename,
    Close,
    Split,
    Attach,
    Clear,
}

/// Faults, weighted by repetition: verbs are killed most often.
pub(super) const FAULTS: [Fault; 18] = [
    Fault::KillVerb,
    Fault::KillVerb,
    Fault::KillVerb,
    Fault::KillVerb,
    Fault::KillVerb,
    Fault::KillVerb,
    Fault::KillPane,
    Fault::KillAgent,
    Fault::KillAgent,
    Fault::KillServer,
    Fault::PauseServer,
    Fault::PauseServer,
    Fault::Corrupt,
    Fault::Rename,
    Fault::Close,
    Fault::Split,
    Fault::Attach,
    Fault::Clear,
];

/// The files that are corrupted: all that `peer` sets aside if they do not parse.
const RECORDS: [&str; 5] = ["session", "end", "deaths", "topic", "idle-reaped"];

impl Fault {
    /// Lets the fault happen to the peer with this number. A process or file that does not exist is left alone.
    pub(super) fn happen(self, fleet: &mut Fleet, peer: usize) {
        let name = Fleet::name(peer);
        match self {
            Self::KillVerb => kill_a_verb(fleet, peer),
            Self::KillPane => {
                if kill(recorded(&fleet.world, &name, "pane_process")) {
                    // The pane process would have seen how the agent ends.
                    fleet.may_die(peer, 1);
                    fleet.count("killed pane processes");
                }
            }
            Self::KillAgent => {
                let session = fleet.world.json_or_null(&name, "session");
                if kill(serde_json::from_value(session["process"].clone()).ok()) {
                    fleet.may_die(peer, 1);
                    fleet.count("killed agents");
                }
            }
            Self::KillServer => {
                if kill(recorded(&fleet.world, &name, "server_process")) {
                    fleet.count("killed servers");
                }
            }
            Self::PauseServer => pause_server(fleet, peer),
            Self::Corrupt => corrupt(fleet, &name),
            Self::Rename | Self::Close | Self::Split | Self::Attach | Self::Clear => by_hand(self, fleet, &name),
        }
    }
}

fn recorded(world: &World, name: &str, key: &str) -> Option<ProcessId> {
    serde_json::from_value(world.json_or_null(name, "session")[key].clone()).ok()
}

/// Kills a process if it is still the recorded one.
fn kill(process: Option<ProcessId>) -> bool {
    let Some(process) = process else { return false };
    process::find(process).expect("/proc").is_some() && process::signal(process, Signal::SIGKILL).is_ok()
}

fn kill_a_verb(fleet: &mut Fleet, peer: usize) {
    let name = Fleet::name(peer);
    let message = fleet.next_message();
    let verbs: [&[&str]; 9] = [
        &["wake", &name],
        &["wake", &name, "-m", &message],
        &["send", &name, &message],
        &["stop", &name],
        &["start", &name],
        &["refresh", &name],
        &["new", &name],
        &["reap"],
        &["list"],
    ];
    let words = verbs[fleet.random.index(verbs.len())];
    if words.contains(&message.as_str()) {
        fleet.may_arrive(peer, &message);
    }
    let delay = Duration::from_millis(fleet.random.below(LONGEST_MS));
    let mut child =
        fleet.world.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("peer starts");
    let end = Instant::now() + delay;
    while Instant::now() < end && child.try_wait().expect("our child").is_none() {
        std::thread::sleep(Duration::from_micros(200));
    }
    if child.try_wait().expect("our child").is_none() {
        killed(&mut child);
        fleet.count(&format!("killed verbs: {}", words[0]));
    } else {
        fleet.count("verbs that ended before they were killed");
    }
}

/// Stops a server while one verb runs.
fn pause_server(fleet: &mut Fleet, peer: usize) {
    let name = &Fleet::name(peer);
    let Some(server) = recorded(&fleet.world, name, "server_process") else { return };
    let message = fleet.next_message();
    let verbs: [&[&str]; 5] = [&["list"], &["wake", name], &["reap"], &["send", name, &message], &["stop", name]];
    let words = verbs[fleet.random.index(verbs.len())];
    if words.contains(&message.as_str()) {
        fleet.may_arrive(peer, &message);
    }
    if process::signal(server, Signal::SIGSTOP).is_err() {
        return;
    }
    let mut child = fleet.world.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    // Some verbs are interrupted half-way, and some wait until they give up.
    let end = Instant::now() + Duration::from_millis(fleet.random.below(1_500));
    while Instant::now() < end && child.try_wait().expect("our child").is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = process::signal(server, Signal::SIGCONT);
    ended(&mut child);
    fleet.count("paused servers");
}

/// Makes one record unreadable, as a full disk or an editor might.
fn corrupt(fleet: &mut Fleet, name: &str) {
    let path = fleet.world.file(name, RECORDS[fleet.random.index(RECORDS.len())]);
    let Ok(content) = fs::read(&path) else { return };
    let how = fleet.random.below(3);
    let new = match how {
        0 => Vec::new(),
        1 => content[..content.len() / 2].to_vec(),
        _ => b"\x00\xff not what it was".to_vec(),
    };
    let written = OpenOptions::new().write(true).truncate(true).open(&path).and_then(|mut file| file.write_all(&new));
    if written.is_ok() {
        fleet.count("corrupted records");
    }
}

/// Does what a user does to the session with the runtime's own client.
fn by_hand(fault: Fault, fleet: &mut Fleet, name: &str) {
    let session = fleet.world.json_or_null(name, "session");
    let (Some(pane), Some(of)) = (session["pane"].as_str(), session["session"].as_str()) else { return };
    if pane.is_empty() {
        return;
    }
    if fault == Fault::Attach {
        // With a terminal of any size; the effect on the pane is up to the runtime.
        let columns = 20 + u16::try_from(fleet.random.below(180)).expect("small");
        Attached::for_a_moment(&fleet.world, name, (columns, columns / 3));
        return fleet.count("by hand: attach and leave");
    }
    if fault == Fault::Clear {
        for words in typed_by_hand(fleet.world.kind(), of, pane) {
            run_client(&fleet.world, session["server"].as_str().unwrap_or_default(), &words);
        }
        return fleet.count("by hand: /clear");
    }
    let other = format!("by hand {}", fleet.random.below(1000));
    let words: Vec<&str> = match (fleet.world.kind(), fault) {
        (RuntimeKind::Tmux, Fault::Rename) => vec!["rename-session", "-t", pane, &other],
        (RuntimeKind::Tmux, Fault::Close) => vec!["kill-pane", "-t", pane],
        (RuntimeKind::Tmux, _) => vec!["split-window", "-d", "-t", pane, "sleep", "5"],
        (RuntimeKind::Zellij, Fault::Rename) => vec!["-s", of, "action", "rename-session", "by-hand"],
        (RuntimeKind::Zellij, Fault::Close) => vec!["-s", of, "action", "close-pane"],
        (RuntimeKind::Zellij, _) => vec!["-s", of, "action", "new-pane", "--close-on-exit", "--", "sleep", "5"],
    };
    run_client(&fleet.world, session["server"].as_str().unwrap_or_default(), &words);
    fleet.count(match fault {
        Fault::Rename => "by hand: rename",
        Fault::Close => "by hand: close",
        _ => "by hand: split",
    });
}

/// How a user begins a new conversation in a pane: the text, then Enter in a separate write.
fn typed_by_hand<'a>(kind: RuntimeKind, of: &'a str, pane: &'a str) -> [Vec<&'a str>; 2] {
    match kind {
        RuntimeKind::Tmux => [vec!["send-keys", "-t", pane, "-l", "/clear"], vec!["send-keys", "-t", pane, "Enter"]],
        RuntimeKind::Zellij => [
            vec!["-s", of, "action", "write-chars", "--pane-id", pane, "/clear"],
            vec!["-s", of, "action", "write", "--pane-id", pane, "13"],
        ],
    }
}

/// Runs a client of the runtime for at most a second: its server may be stopped or gone.
fn run_client(world: &World, server: &str, words: &[&str]) {
    let mut client = match world.kind() {
        RuntimeKind::Tmux => {
            let mut client = Command::new("tmux");
            client.args(["-u", "-S", server]).env_remove("TMUX");
            client
        }
        RuntimeKind::Zellij => {
            let mut client = Command::new("zellij");
            client.env("ZELLIJ_SOCKET_DIR", server).env("HOME", world.path("home"));
            client
        }
    };
    let client = client.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut client = client.expect("the runtime's client");
    let end = Instant::now() + Duration::from_secs(1);
    while client.try_wait().expect("our child").is_none() {
        if Instant::now() > end {
            client.kill().expect("our child");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

//! The pane process: it starts the agent, stays its parent, and records its end.
//!
//! A multiplexer reports an exit late, wrongly or not at all (tmux up to 3.5a loses the status of a dead pane, zellij
//! has no signal numbers), and neither survives its own server. A parent process learns of the exit from the kernel at
//! once. The price is one small process per agent, so nothing here uses an async runtime, and no configuration or
//! profile is read before the agent has ended.
//!
//! An agent must behave exactly as in a plain start. It leads its own foreground process group, gets the terminal's
//! signals from the kernel, and is continued if a stop would otherwise leave it without a process to continue it.

mod child;
mod exit;
mod hangup;
mod signals;
mod successor;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use nix::sys::termios::{self, Termios};
use peer_adapters::command::{self, Argv};
use peer_adapters::screen::printable;
use peer_adapters::{presence, process};

use self::child::{Started, start_agent};
use self::exit::{Ended, hangup_before, record_exit};
use self::hangup::HangupEvidence;
use self::signals::{Agent, is_taken_away, signal_session, take_over_signals, watch};
use crate::engine::observe::recover;
use crate::policy::ending::{Incarnation, Intent};
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::{ExitRecord, StateDir, StoreError, Stored};

/// How long the pane stays after its agent ends. tmux 3.3a loses a program's last output when the pane ends with it (37
/// of 300 times; never of 200 when it stayed 10 ms), and that output has the reason for the end.
const LINGER: Duration = Duration::from_millis(50);

/// The shortest life of a pane. zellij 0.45.1 shows a command that ends within 50 ms as running forever, in 10 of 80
/// runs.
const MIN_LIFETIME: Duration = Duration::from_millis(200);

/// The exit code that a shell reports for a program that it cannot execute.
const EXIT_NOT_EXECUTED: i32 = 127;

/// Why the pane process failed: it ran no agent, or it could not watch it or record its end.
#[derive(Debug, thiserror::Error)]
pub enum PaneError {
    /// Another incarnation is recorded, or this one was started before. This fence keeps a late start from running.
    #[error("incarnation {0} of this peer is not the one to start; nothing was started")]
    Superseded(Incarnation),
    /// The terminal was hung up, or this process asked to end, before the agent was started.
    #[error("the terminal of incarnation {0} was taken away; nothing was started")]
    TakenAway(Incarnation),
    /// The launch file is missing or unreadable.
    #[error("the launch file of incarnation {0} is not usable: {1}")]
    NoLaunch(Incarnation, String),
    /// An operation on the state directory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The end could not be recorded.
    #[error(transparent)]
    RecordEnd(#[from] crate::engine::EngineError),
    /// A system call failed.
    #[error("cannot start or watch the agent: {0}")]
    Kernel(#[from] io::Error),
}

/// Runs `peer pane STATE-DIR NAME INCARNATION`, which a runtime runs in a pane, with the arguments after `pane`, and
/// returns the exit code. Users do not type it.
pub fn main(arguments: &[OsString]) -> u8 {
    let [state, name, incarnation] = arguments else {
        eprintln!("error: pane: this is what peer itself runs in a pane\nhint: peer wake NAME");
        return 2;
    };
    let name = name.to_str().and_then(|name| name.parse().ok());
    let number = incarnation.to_str().and_then(|number| number.parse().ok());
    let (Some(name), Some(number)) = (name, number) else {
        eprintln!("error: pane: no peer's name, or no incarnation's number");
        return 2;
    };
    match run(Path::new(state), &name, Incarnation(number)) {
        Ok(code) => u8::try_from(code).unwrap_or(1),
        Err(error) => {
            eprintln!("peer: {}", printable(&error.to_string()));
            1
        }
    }
}

/// Runs the agent of one incarnation to its end, and returns the exit code for the pane.
///
/// Blocks until the agent has ended.
///
/// # Errors
/// If no agent was started, or it could not be watched. The message is meant for the pane's screen.
fn run(state: &Path, name: &PeerName, incarnation: Incarnation) -> Result<i32, PaneError> {
    let born = Instant::now();
    let signals = take_over_signals()?;
    // If the directory was deleted since, do not recreate it for a start that is not recorded anywhere.
    if !state.is_dir() {
        return Err(PaneError::Superseded(incarnation));
    }
    let state = StateDir::open(state)?;
    let held = hold_name(&state, name, incarnation)?;
    let parent = process::status(std::os::unix::process::parent_id())?.map(|status| status.id);
    let terminal = termios::tcgetattr(io::stdin()).ok();
    if is_taken_away(&signals)? {
        return Err(PaneError::TakenAway(incarnation));
    }
    let (code, end) = match start_agent(&state, name, incarnation, parent)? {
        Started::Running { pid, grace, started } => {
            let heard = HangupEvidence::nothing_yet(started.record.place.clone(), parent);
            let files = state.peer(name);
            let wants_fresh = || {
                let record = files.session().ok().and_then(Stored::present);
                record.is_some_and(|now| now.incarnation == incarnation && now.intent == Some(Intent::SelfFresh))
            };
            let (reaped, heard) = watch(&signals, &Agent { pid, grace }, heard, wants_fresh)?;
            let ended = Ended { at: now(), uptime: born.elapsed(), reaped };
            let hangup = hangup_before(&files, &started.record, parent, &ended.reaped, heard, &signals)?;
            (ended.code(), Some((ended.record(incarnation, hangup), Some(started))))
        }
        Started::Failed(error) => {
            eprintln!("peer: {}", printable(&error));
            let exit = ExitRecord { spawn_error: Some(error), ..ExitRecord::unseen(incarnation, now()) };
            (EXIT_NOT_EXECUTED, Some((exit, None)))
        }
        Started::Refused => (EXIT_NOT_EXECUTED, None),
    };
    // The name means that an agent is alive.
    drop(held);
    if let Some((exit, started)) = end
        && let Some(next) = record_exit(&state, name, &exit, started.as_deref())?
    {
        return Err(become_successor(&state, name, next, terminal.as_ref()).into());
    }
    // Processes that the agent left behind get a moment to exit too, and do not outlive the pane.
    signal_session(Signal::SIGTERM)?;
    std::thread::sleep(LINGER.max(MIN_LIFETIME.saturating_sub(born.elapsed())));
    signal_session(Signal::SIGKILL)?;
    Ok(code)
}

/// Takes the name by which an agent of this peer can be found if no file records it. Only one process can hold it.
/// Returns `None` if the kernel has no such names, or if an unrelated process holds it. Neither is a reason not to
/// start the agent.
///
/// # Errors
/// If another start of this peer holds the name and its agent is alive. A second agent is not started beside it.
fn hold_name(state: &StateDir, name: &PeerName, incarnation: Incarnation) -> Result<Option<presence::Held>, PaneError> {
    match presence::hold(&recover::presence_name(state.root(), name)) {
        Ok(Some(held)) => Ok(Some(held)),
        Ok(None) => match recover::living_rival(state.root(), name, incarnation)? {
            Some(_) => Err(PaneError::Superseded(incarnation)),
            None => Ok(None),
        },
        Err(_) => Ok(None),
    }
}

/// Becomes the pane process of the next incarnation in the same pane, so that attached users stay. Returns only on
/// failure.
fn become_successor(state: &StateDir, name: &PeerName, next: Incarnation, terminal: Option<&Termios>) -> io::Error {
    if let Some(terminal) = terminal {
        let _ = termios::tcsetattr(io::stdin(), termios::SetArg::TCSANOW, terminal);
    }
    // RIS resets what the old agent left on (alternate screen, mouse, bracketed paste, colours).
    print!("\x1bc");
    let _ = io::Write::flush(&mut io::stdout());
    let argv = match process::own_executable() {
        Ok(executable) => Argv::new(executable).arg("pane").arg(state.root()).arg(name.as_str()).arg(next.to_string()),
        Err(error) => return error,
    };
    command::hand_over(&argv)
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

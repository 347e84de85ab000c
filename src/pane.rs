//! What runs in the pane: it starts the agent, stays its parent, and records its end.
//!
//! A multiplexer tells an exit late, wrongly or not at all (tmux up to 3.5a loses the status of a dead pane, zellij has
//! no signal numbers), and neither survives its own server. A parent of ours is told at once by the kernel. The price is
//! one small process an agent, so nothing here uses an async runtime, and nothing is loaded before the agent has ended.
//!
//! It must never be the reason that an agent behaves differently from a plain start: the agent leads its own foreground
//! process group, gets the terminal's signals from the kernel, and is continued where a stop would leave it without
//! anybody to continue it.

mod hangup;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use nix::sys::termios::{self, Termios};
use peer_adapters::command::{self, Argv};
use peer_adapters::presence;
use peer_adapters::process::{self, ChildChange, Family, ProcessId, Reaped};
use peer_adapters::runtime::RuntimeKind;
use peer_adapters::signals::Signals;
use peer_adapters::terminal::variables::is_set_by;
use peer_adapters::zellij::Zellij;

use self::hangup::{Heard, Holder};
use crate::engine::hooks;
use crate::engine::life::record_end;
use crate::engine::life::record_end::StartedAs;
use crate::engine::observe::recover;
use crate::engine::observe::{process_id, recorded_host};
use crate::engine::peer::runtimes;
use crate::engine::verbs::self_fresh;
use crate::policy::ending::{Incarnation, Intent};
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::{
    AgentProcess, Event, ExitRecord, Hangup, Launch, PeerFiles, Place, Process, SessionRecord, Starting, StateDir,
    StoreError, Stored,
};

/// How long the pane stays after its agent: tmux 3.3a loses what a program printed last when the pane ends with it (37
/// of 300 times; never of 200 when it stayed 10 ms), and that is where the reason stands.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// zellij 0.45.1 shows a command that ends within 50 ms as running for ever, in 10 of 80 runs.
const SHORTEST_LIFE: Duration = Duration::from_millis(200);

/// What a shell reports of a program that it cannot execute.
const EXIT_NOT_EXECUTED: i32 = 127;

/// What `peer self-fresh` sends to the pane process once its mark is on disk.
pub const SELF_FRESH: Signal = Signal::SIGUSR2;

/// Why the pane process left without running an agent.
#[derive(Debug, thiserror::Error)]
pub enum PaneError {
    /// Another incarnation is on record, or this one was started before: the fence.
    #[error("incarnation {0} of this peer is not the one to start; nothing was started")]
    Superseded(Incarnation),
    /// The launch file is missing or unreadable.
    #[error("the launch file of incarnation {0} is not usable: {1}")]
    NoLaunch(Incarnation, String),
    /// The state directory failed us.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The end could not be recorded.
    #[error(transparent)]
    Settle(#[from] crate::engine::EngineError),
    /// The kernel failed us.
    #[error("cannot watch the agent: {0}")]
    Kernel(#[from] io::Error),
}

/// Runs the agent of one incarnation to its end and returns the exit code for the pane.
///
/// Blocks for as long as the agent lives.
///
/// # Errors
/// Nothing was started, or the kernel would not let us watch; the message is for the pane's screen.
pub fn run(state: &Path, name: &PeerName, incarnation: Incarnation) -> Result<i32, PaneError> {
    let born = Instant::now();
    let signals = take_over_signals()?;
    // One that was deleted since is not made anew for a start that nobody knows of.
    if !state.is_dir() {
        return Err(PaneError::Superseded(incarnation));
    }
    let state = StateDir::open(state)?;
    let held = hold_name(&state, name, incarnation)?;
    let parent = process::status(std::os::unix::process::parent_id())?.map(|status| status.id);
    let terminal = termios::tcgetattr(io::stdin()).ok();
    let (code, end) = match start_agent(&state, name, incarnation, parent)? {
        Started::Running { pid, grace, started } => {
            let heard = Heard::nothing_yet(started.record.place.clone(), parent);
            let (reaped, heard) = watch(&signals, &Agent { pid, grace }, heard)?;
            let hangup = hangup_before(&state.peer(name), &started.record, parent, &reaped, heard, &signals)?;
            let ended = Ended { reaped, hangup };
            (ended.code(), Some((ended.record(incarnation, born), Some(started))))
        }
        Started::Failed(error) => {
            eprintln!("peer: {}", peer_adapters::screen::printable(&error));
            let exit = ExitRecord { spawn_error: Some(error), ..ExitRecord::unseen(incarnation, now()) };
            (EXIT_NOT_EXECUTED, Some((exit, None)))
        }
        Started::Refused => (EXIT_NOT_EXECUTED, None),
    };
    // The name says that an agent lives.
    drop(held);
    if let Some((exit, started)) = end
        && let Some(next) = record_exit(&state, name, &exit, started.as_deref())?
    {
        return Err(again(&state, name, next, terminal.as_ref()).into());
    }
    // What the agent left behind gets a moment too, and does not outlive the pane.
    signal_session(Signal::SIGTERM)?;
    std::thread::sleep(LAST_WORDS.max(SHORTEST_LIFE.saturating_sub(born.elapsed())));
    signal_session(Signal::SIGKILL)?;
    Ok(code)
}

/// Takes the name by which an agent of this peer is found when no file tells of it, and which one alone can have. It is not
/// had where the kernel has no such names, nor where somebody else took it: then it is no reason not to start the agent.
///
/// # Errors
/// Another start of this peer has it, and its agent lives: a second one is not started beside that.
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

/// Becomes the pane process of the next incarnation: the same pane, and whoever is attached stays. Returns only when
/// that failed.
fn again(state: &StateDir, name: &PeerName, next: Incarnation, terminal: Option<&Termios>) -> io::Error {
    if let Some(terminal) = terminal {
        let _ = termios::tcsetattr(io::stdin(), termios::SetArg::TCSANOW, terminal);
    }
    // RIS: whatever the old agent left on (alternate screen, mouse, bracketed paste, colours) is off for the new one.
    print!("\x1bc");
    let _ = io::Write::flush(&mut io::stdout());
    let argv = match own_executable() {
        Ok(executable) => Argv::new(executable).arg("pane").arg(state.root()).arg(name.as_str()).arg(next.to_string()),
        Err(error) => return error,
    };
    command::hand_over(&argv)
}

/// Our own program, also when it was replaced while the agent ran: then the new one under the old name, and where there is
/// none, the one that we are.
///
/// # Errors
/// The kernel does not tell.
///
/// # Source
/// proc(5): a link to a file that was unlinked reads as its path with ` (deleted)` behind it, and can still be executed.
pub fn own_executable() -> io::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let replaced = executable.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map(PathBuf::from);
    Ok(match replaced {
        Some(path) if path.exists() => path,
        Some(_) => PathBuf::from("/proc/self/exe"),
        None => executable,
    })
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

/// Blocks every signal that we wait for, so that none is lost between two waits. The agent gets the defaults back.
fn take_over_signals() -> io::Result<Signals> {
    Signals::block(&[
        Signal::SIGCHLD,
        Signal::SIGHUP,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        SELF_FRESH,
        Signal::SIGALRM,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
    ])
}

enum Started {
    Running {
        pid: u32,
        grace: Duration,
        started: Box<StartedAs>,
    },
    /// Its program cannot be executed.
    Failed(String),
    /// The machine had no means to execute anything, which is written down: this start is as if it never was.
    Refused,
}

/// The agent as its parent knows it.
struct Agent {
    pid: u32,
    /// Between `SIGTERM` and `SIGKILL`, when it is asked to end for a self-fresh.
    grace: Duration,
}

/// Starts the agent, and only when this incarnation is the one on record and has not been started: a `new-session` that
/// comes late from a hung server ends here. Nobody else changes the record meanwhile.
fn start_agent(
    state: &StateDir,
    name: &PeerName,
    incarnation: Incarnation,
    parent: Option<ProcessId>,
) -> Result<Started, PaneError> {
    let starting = state.start_in_pane(name, incarnation)?;
    let superseded = || PaneError::Superseded(incarnation);
    let mut record = starting.files().session()?.present().ok_or_else(superseded)?;
    if record.incarnation != incarnation || record.process.is_some() {
        return Err(superseded());
    }
    let launch = match starting.files().launch(incarnation)? {
        Stored::Present(launch) => launch,
        Stored::Absent => return Err(PaneError::NoLaunch(incarnation, "it is missing".to_owned())),
        Stored::Corrupt(why) => return Err(PaneError::NoLaunch(incarnation, why)),
    };
    record.place.pane_process = Some(store_process(process::me()?));
    // Whoever asked for this pane may be in another pid namespace; the processes are in ours.
    record.place.host = Some(recorded_host()?);
    // Whoever makes the pane notes its server too, unless they are killed first.
    if let (None, Some(parent)) = (record.place.server_process, parent)
        && hosts(parent, &record.place)
    {
        record.place.server_process = Some(store_process(parent));
    }
    let pid = match command::spawn_agent(&argv(&launch, &record.place)) {
        Ok(pid) => pid,
        Err(error) => {
            let program = launch.argv.first().map(|word| word.0.display().to_string()).unwrap_or_default();
            let why = format!("cannot start {program} in {}: {error}", launch.cwd.display());
            if command::lacks_means(&error) {
                refuse(state, &starting, record, &launch, why)?;
                return Ok(Started::Refused);
            }
            starting.write_session(&record)?;
            return Ok(Started::Failed(why));
        }
    };
    // It cannot have been reaped: we are its parent and have not waited yet. A zombie has no status, and needs no record.
    if let Some(status) = process::status(pid)? {
        record.process = Some(AgentProcess { id: store_process(status.id), session: status.session });
    }
    starting.write_session(&record)?;
    let started = Box::new(StartedAs { record, config_dir: launch.config_dir });
    Ok(Started::Running { pid, grace: Duration::from_millis(launch.grace_ms), started })
}

/// Writes down that nothing was executed, and that it is nobody's death. Whoever waits for this start reads why.
fn refuse(
    state: &StateDir,
    starting: &Starting,
    mut record: SessionRecord,
    launch: &Launch,
    why: String,
) -> Result<(), StoreError> {
    eprintln!("peer: {}", peer_adapters::screen::printable(&why));
    let event = Event::new(now(), "wake.failed").peer(starting.files().name()).incarnation(record.incarnation);
    record.refuse(why.clone());
    starting.write_session(&record)?;
    let heard = hooks::heard(state.clone(), &launch.config_dir);
    heard.journal().append(&event.cause("machine-refused").with("detail", why))
}

fn store_process(id: ProcessId) -> Process {
    Process { pid: id.pid, start: id.start }
}

/// The agent's own environment, and over it what this terminal sets.
fn argv(launch: &Launch, place: &Place) -> Argv {
    let mut words = launch.argv.iter().map(|word| word.0.clone());
    let mut argv = Argv::new(words.next().unwrap_or_default()).args(words).cwd(&launch.cwd);
    argv.clear_env = true;
    argv.inherited = Some(launch.inherited.clone());
    for (key, value) in &launch.env {
        argv = argv.env(&key.0, &value.0);
    }
    let runtime = runtimes::kind_of(&place.runtime).ok();
    let own = |key: &OsString| runtime.zip(key.to_str()).is_some_and(|(runtime, key)| is_set_by(runtime, key));
    for (key, value) in std::env::vars_os().filter(|(key, _)| own(key)) {
        argv = argv.env(key, value);
    }
    argv
}

/// What was seen of the agent's end.
struct Ended {
    reaped: Reaped,
    hangup: Option<Hangup>,
}

impl Ended {
    fn record(&self, incarnation: Incarnation, born: Instant) -> ExitRecord {
        ExitRecord {
            code: self.reaped.code,
            signal: self.reaped.signal,
            uptime_ms: u64::try_from(born.elapsed().as_millis()).unwrap_or(u64::MAX),
            max_rss_kib: self.reaped.max_rss_kib,
            hangup: self.hangup,
            ..ExitRecord::unseen(incarnation, now())
        }
    }

    /// The code a shell would report.
    fn code(&self) -> i32 {
        self.reaped.code.unwrap_or_else(|| 128 + self.reaped.signal.unwrap_or(0))
    }
}

/// Whether the agent's terminal was taken away before it ended, or with it. The server is the one on record, because after
/// a self-fresh our parent may be another process already; `parent` where none was recorded yet. An end that one of us
/// wanted has its cause already.
fn hangup_before(
    files: &PeerFiles,
    started: &SessionRecord,
    parent: Option<ProcessId>,
    reaped: &Reaped,
    heard: Heard,
    signals: &Signals,
) -> Result<Option<Hangup>, PaneError> {
    let incarnation = started.incarnation;
    let record = match files.session()? {
        Stored::Present(record) => Some(record).filter(|record| record.incarnation == incarnation),
        // Without a record the end is on record already, or somebody deleted both.
        Stored::Absent | Stored::Corrupt(_) => {
            let ended = files.end()?.present().is_some_and(|last| last.end.incarnation >= incarnation);
            (!ended).then(|| started.clone())
        }
    };
    let Some(record) = record.filter(|record| record.intent.is_none()) else { return Ok(None) };
    let server = record.place.server_process.map(process_id).or(parent);
    Ok(Holder(server).took_away(reaped, heard, signals)?)
}

/// Waits for the agent's end, passing on what a parent in a terminal passes on. Returns also what was heard meanwhile of
/// the terminal being taken away.
fn watch(signals: &Signals, agent: &Agent, mut heard: Heard) -> io::Result<(Reaped, Heard)> {
    let mut asked_to_end = false;
    process::give_back_code();
    loop {
        let caught = signals.wait()?;
        match caught.signal {
            Signal::SIGCHLD => {
                if let Some(reaped) = reap(agent.pid)? {
                    // An alarm outlives exec(2): left on, it would kill the fresh agent in the place of this one.
                    nix::unistd::alarm::cancel();
                    return Ok((reaped, heard));
                }
            }
            Signal::SIGHUP => {
                pass_on(agent.pid, Signal::SIGHUP);
                // A stopped agent would never see the hangup; the kernel sends this pair to a session leader too.
                pass_on(agent.pid, Signal::SIGCONT);
            }
            SELF_FRESH => {
                asked_to_end = true;
                pass_on(agent.pid, Signal::SIGTERM);
                pass_on(agent.pid, Signal::SIGCONT);
                nix::unistd::alarm::set(u32::try_from(agent.grace.as_secs()).unwrap_or(u32::MAX).max(1));
            }
            Signal::SIGALRM if asked_to_end => pass_on(agent.pid, Signal::SIGKILL),
            // It went off between the old agent's end and exec(2), and was pending: it is not about this agent.
            Signal::SIGALRM => {}
            // Job control of the terminal is the agent's; these reach us only when a person sends them by hand.
            Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU => {}
            other => pass_on(agent.pid, other),
        }
        // After the agent has it too: this may take a moment.
        heard.note(caught);
    }
}

/// Takes note of every child that changed; the agent's end, if that was among them. Another child is the one that seeds
/// a fresh agent after a self-fresh.
fn reap(agent: u32) -> io::Result<Option<Reaped>> {
    loop {
        match process::next_child_change()? {
            None => return Ok(None),
            Some((pid, ChildChange::Ended(reaped))) if pid == agent => return Ok(Some(reaped)),
            Some((pid, ChildChange::Stopped(signal))) if pid == agent => resume_if_stranded(pid, signal),
            Some(_) => {}
        }
    }
}

/// Continues an agent that the terminal stopped. There is no shell around it that could, and as the leader of an
/// orphaned group, which it is in a plain start, it would never have been stopped. `SIGSTOP` is somebody's wish: it
/// stays.
fn resume_if_stranded(pid: u32, signal: i32) {
    let stranded = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU].iter().any(|by| *by as i32 == signal);
    if stranded {
        if let Some(group) = raw(pid) {
            let _ = nix::unistd::tcsetpgrp(io::stdin(), group);
        }
        pass_on(pid, Signal::SIGCONT);
    }
}

fn raw(pid: u32) -> Option<nix::unistd::Pid> {
    i32::try_from(pid).ok().map(nix::unistd::Pid::from_raw)
}

/// Sends a signal to the agent's group. The pid cannot have been reused: only we reap it, and we have not.
fn pass_on(pid: u32, signal: Signal) {
    if let Some(group) = raw(pid) {
        // A group that is gone gets nothing, and its SIGCHLD is on the way.
        let _ = nix::sys::signal::killpg(group, signal);
    }
}

/// Sends a signal to what the agent left in our terminal session, jobs in groups of their own included: the kernel's
/// hangup reaches only the one in the foreground, and after a self-fresh there is none. What left the session meant to
/// stay, and is let alone.
fn signal_session(signal: Signal) -> io::Result<()> {
    let me = process::me()?;
    for left in process::members(Family::Session(me.pid))? {
        if left.id != me {
            process::signal(left.id, signal)?;
        }
    }
    Ok(())
}

/// Whether this process is the server of a session's own.
fn hosts(process: ProcessId, place: &Place) -> bool {
    place.runtime == RuntimeKind::Zellij.as_str() && Zellij::is_server(&place.server, &place.session, process)
}

/// Puts the end on disk at once, then records it as this peer's end unless whoever caused it does so first. Returns the
/// incarnation to go on with, where the agent asked for a clean restart of itself.
fn record_exit(
    state: &StateDir,
    name: &PeerName,
    exit: &ExitRecord,
    started: Option<&StartedAs>,
) -> Result<Option<Incarnation>, PaneError> {
    state.peer(name).write_exit(exit)?;
    let locked = state.lock_blocking(name)?;
    // Recording the end takes the launch file away, and a clean restart starts from it.
    let launch = locked.files().launch(exit.incarnation)?.present();
    // Read now and not at the start: what a person's hooks are is a matter of the moment at which something happens.
    let heard = launch.as_ref().map(|launch| hooks::heard(state.clone(), &launch.config_dir));
    let state = heard.as_ref().unwrap_or(state);
    let Some(ended) = record_end::after_exit(state, &locked, exit, started)? else { return Ok(None) };
    match launch {
        Some(launch) if ended.record.intent == Some(Intent::SelfFresh) => {
            signal_session(Signal::SIGKILL)?;
            Ok(Some(self_fresh::succeed(state, &locked, &ended.record, launch)?))
        }
        _ => Ok(None),
    }
}

//! A small terminal agent without a model, for the tour and for tests: it behaves like the real ones as far as `peer`
//! can see, and keeps its conversation in Claude Code's layout.
//!
//! Its answer is `ack turns=<k>: <the message>`, where k counts the messages in its conversation, so the user sees
//! whether a wake resumed it.
//!
//! It imitates Claude Code 2.1.328, as seen in tmux 3.3a: `--session-id` and `--resume`, a refused resume (exit 1, the
//! composer never shows), the transcript that appears with the first message, pastes that show as `[Pasted text #1 +N
//! lines]`, an Enter right after a paste that is taken for a part of it, Ctrl-C twice, the dialog that asks whether the
//! folder is trusted with the cursor on no, `/clear` and the status file that shows it, and on a loaded machine an
//! Enter in a dialog that is taken for the previous row.

mod dialog;
mod flags;
mod input;
mod screen;
mod session;
mod transcript;

use std::io::{self, Read};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

use flags::Flags;
use screen::Screen;
use session::{Session, Step};
use transcript::Transcript;

/// An event for the main loop.
enum Event {
    /// Bytes from the terminal.
    Typed(Vec<u8>),
    /// The terminal is gone.
    HungUp,
    /// A signal that the process waits for.
    Signal(Signal),
}

/// How long a real agent takes to find out that there is nothing to resume.
const REFUSAL: Duration = Duration::from_millis(50);

/// The longest sleep of the main loop: timers (a turn's end, `--exit-after`) may be this late.
const TICK: Duration = Duration::from_millis(10);

fn main() -> ExitCode {
    match Flags::parse(std::env::args().skip(1)) {
        Err(usage) => {
            eprintln!("demo_agent: {usage}");
            ExitCode::from(2)
        }
        Ok(flags) => match run(&flags) {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                eprintln!("demo_agent: {error}");
                ExitCode::from(1)
            }
        },
    }
}

fn run(flags: &Flags) -> Result<u8, String> {
    // Before any signal is blocked: a child inherits the mask, and the children are to be ordinary processes.
    let mut children = start_children(flags)?;
    let (sender, events) = mpsc::channel();
    let caught = watch_signals(sender.clone()).map_err(|error| format!("cannot wait for signals: {error}"))?;
    wait_to_start(flags);
    let transcript = match open_transcript(flags) {
        Ok(transcript) => transcript,
        Err(refusal) => {
            thread::sleep(REFUSAL);
            return Err(refusal);
        }
    };
    let screen = Screen::open().map_err(|error| format!("cannot use the terminal: {error}"))?;
    read_terminal(sender);
    let mut session = Session::new(flags, transcript, screen);
    session.begin().map_err(|error| format!("cannot draw: {error}"))?;
    let started = Instant::now();
    let mut next_beat = started;
    loop {
        if let Some((after, code)) = flags.exit_after.filter(|(after, _)| started.elapsed() >= *after) {
            session.leave(&format!("leaving after {after:?}"));
            return Ok(code);
        }
        if flags.beat && Instant::now() >= next_beat {
            next_beat = Instant::now() + Duration::from_secs(1);
            children.extend(beat());
        }
        children.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
        let step = match events.recv_timeout(TICK) {
            Ok(Event::Typed(bytes)) => session.typed(&bytes),
            Ok(Event::Signal(Signal::SIGWINCH)) => session.resized(),
            // Signals are blocked, not ignored: those that are to be ignored are only discarded here.
            Ok(Event::Signal(signal)) if flags.ignores(signal) => Ok(Step::Stay),
            Ok(Event::HungUp) if flags.ignores(Signal::SIGHUP) => Ok(Step::Stay),
            Ok(Event::Signal(signal)) => {
                session.leave("");
                return Ok(leave_for(flags, signal));
            }
            Ok(Event::HungUp) => return Ok(leave_for(flags, Signal::SIGHUP)),
            Err(_) => session.tick(),
        };
        match step {
            Ok(Step::Stay) => {}
            Ok(Step::Leave(code)) => {
                session.leave("");
                return Ok(code);
            }
            // The terminal went away while something was drawn.
            Err(_) if flags.ignores(Signal::SIGHUP) => {}
            Err(error) => return Err(error.to_string()),
        }
        // The signal thread never ends, because it waits for ever.
        debug_assert!(!caught.is_finished());
    }
}

/// Waits as a large agent does before it draws anything.
fn wait_to_start(flags: &Flags) {
    thread::sleep(flags.start_delay);
    while flags.start_when.as_ref().is_some_and(|file| !file.exists()) {
        thread::sleep(TICK);
    }
}

/// Ends as an agent does on request: it takes time to finish its work, and exits with the signal or with its own code.
fn leave_for(flags: &Flags, signal: Signal) -> u8 {
    thread::sleep(flags.linger);
    flags.leave_with.unwrap_or(128 + u8::try_from(signal as i32).unwrap_or(0))
}

fn open_transcript(flags: &Flags) -> Result<Transcript, String> {
    match (&flags.resume, &flags.session_id) {
        (Some(id), _) => Transcript::resume(id),
        (None, Some(id)) => Transcript::fresh(id),
        (None, None) => Transcript::fresh(&uuid::Uuid::new_v4().to_string()),
    }
}

/// Signals arrive as events, so that the terminal is restored before the process ends.
fn watch_signals(sender: Sender<Event>) -> nix::Result<thread::JoinHandle<()>> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT, Signal::SIGWINCH] {
        signals.add(signal);
    }
    signals.thread_block()?;
    Ok(thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            if sender.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    }))
}

fn read_terminal(sender: Sender<Event>) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let event = match io::stdin().read(&mut buffer) {
                Ok(0) => Event::HungUp,
                Ok(length) => Event::Typed(buffer[..length].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => Event::HungUp,
            };
            let last = matches!(event, Event::HungUp);
            if sender.send(event).is_err() || last {
                return;
            }
        }
    });
}

/// Starts what an agent's tools may leave behind: children in its group, in separate groups, and in a separate session.
fn start_children(flags: &Flags) -> Result<Vec<std::process::Child>, String> {
    use std::os::unix::process::CommandExt;
    let quiet = |program: &str| {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let failed = |error: io::Error| format!("cannot start a child: {error}");
    let mut children = Vec::new();
    for _ in 0..flags.fork_children {
        children.push(quiet("sleep").arg("3600").spawn().map_err(failed)?);
    }
    for _ in 0..flags.group_children {
        children.push(quiet("sleep").arg("3600").process_group(0).spawn().map_err(failed)?);
    }
    if flags.setsid_child {
        children.push(quiet("setsid").args(["sleep", "3600"]).spawn().map_err(failed)?);
    }
    Ok(children)
}

/// Does what an agent's hook does while the agent works.
fn beat() -> Option<std::process::Child> {
    let peer = std::env::var("PEER_BIN").unwrap_or_else(|_| "peer".to_owned());
    let quiet = || Stdio::null();
    Command::new(peer).arg("beat").stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().ok()
}

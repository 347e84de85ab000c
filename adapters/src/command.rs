//! The one place in the repository that starts a process.
//!
//! Each way has one purpose: [`run`] a client to its end under a deadline, [`TerminalClient`] for a client that insists on
//! a terminal, [`spawn_agent`] the agent as the pane's foreground job, and [`hand_over`] this process to another program.
//! A test holds that nothing else in the workspace names `std::process::Command` or its tokio twin.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::inherited::Inherited;

mod before_exec;
mod lifeline;
mod line;
mod terminal;

use lifeline::{Lifeline, Loose};
pub use line::{Answer, first_line};
pub use terminal::TerminalClient;

/// What to execute: a program, its arguments, and how its world differs from ours. Never goes through a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argv {
    /// Absolute path of the executable, or a bare name to be found on `PATH`.
    pub program: PathBuf,
    /// Arguments after the program's name.
    pub args: Vec<OsString>,
    /// Start from an empty environment instead of ours.
    pub clear_env: bool,
    /// Variables to set (`Some`) or remove (`None`), applied in order.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Working directory; ours when `None`.
    pub cwd: Option<PathBuf>,
    /// What it starts goes on without us (a server): no descriptor of ours but the standard three reaches it, and it may
    /// open as many of its own as this user is allowed to.
    pub outlives_us: bool,
    /// Umask, nice value and limits of its own, as far as the kernel allows; ours when `None`.
    pub inherited: Option<Inherited>,
    /// It is of no use to anybody without us: the kernel kills it when we end, however that happens (Linux).
    pub ends_with_us: bool,
}

impl Argv {
    /// A command in our own environment and directory.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            clear_env: false,
            env: Vec::new(),
            cwd: None,
            inherited: None,
            outlives_us: false,
            ends_with_us: false,
        }
    }

    /// Appends one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Appends arguments.
    #[must_use]
    pub fn args<I, S>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<OsString>,
    {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), Some(value.into())));
        self
    }

    /// Removes a variable.
    #[must_use]
    pub fn env_remove(mut self, key: impl Into<OsString>) -> Self {
        self.env.push((key.into(), None));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Lets the kernel kill it when we end.
    #[must_use]
    pub fn ends_with_us(mut self) -> Self {
        self.ends_with_us = true;
        self
    }

    fn to_command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.args);
        if self.clear_env {
            command.env_clear();
        }
        for (key, value) in &self.env {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        if let Some(dir) = &self.cwd {
            command.current_dir(dir);
        }
        if let Some(inherited) = &self.inherited {
            before_exec::give(&mut command, inherited);
        }
        if self.outlives_us {
            before_exec::detach_from_us(&mut command);
        }
        command
    }
}

/// What a finished command left.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything it wrote to stdout.
    pub stdout: Vec<u8>,
    /// Everything it wrote to stderr, as text.
    pub stderr: String,
}

impl Output {
    /// Exit code and first line of stderr, for a message: `exit 1: can't find session: x`.
    pub fn summary(&self) -> String {
        let how = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        match self.stderr.lines().find(|line| !line.trim().is_empty()) {
            Some(line) => format!("{how}: {}", line.trim()),
            None => how,
        }
    }
}

/// How running a command can fail before it has an exit status.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The executable is not there or may not be executed.
    #[error("cannot start {}: {source}", .program.display())]
    NotStarted {
        /// What was to be executed.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It did not end in time; it and its process group were killed. What it asked of a server may still happen.
    #[error("{} did not end within {after:?}", .program.display())]
    TimedOut {
        /// What was executed.
        program: PathBuf,
        /// The deadline that passed.
        after: Duration,
    },
    /// Talking to it failed.
    #[error("cannot read from {}: {source}", .program.display())]
    Io {
        /// What was executed.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Runs a client to its end and collects what it prints; blocks the task for `deadline` at most, and a moment more to
/// reap what it had to kill.
///
/// The client gets a process group of its own and no terminal on any descriptor. When the deadline passes, or the
/// returned future is dropped before its end, the whole group is killed, because a client that waits for a hung server
/// would wait for ever (tmux 3.3a, zellij 0.45.1: seen).
///
/// The end is the end of its output and then of the process: whoever inherits its stdout or stderr and keeps it open
/// is waited for too.
///
/// # Errors
/// [`RunError::TimedOut`] says nothing about what the command did: treat its effect as unknown.
pub async fn run(argv: &Argv, stdin: Option<&[u8]>, deadline: Duration) -> Result<Output, RunError> {
    let Client { mut child, _lifeline } =
        spawn_client(argv, if stdin.is_some() { Stdio::piped() } else { Stdio::null() })?;
    // Declared after the child, so dropped before it: until the leader is reaped, its number names no other group.
    let mut group = GroupKill::of(&child);
    let Ok(ended) = tokio::time::timeout(deadline, converse(&mut child, stdin)).await else {
        drop(group);
        // One that sits in an uninterruptible call dies later; the runtime reaps it then.
        let _ = tokio::time::timeout(REAP, child.wait()).await;
        return Err(RunError::TimedOut { program: argv.program.clone(), after: deadline });
    };
    let output = ended.map_err(|source| RunError::Io { program: argv.program.clone(), source })?;
    group.disarm();
    Ok(output)
}

/// A client that talks to us by pipes.
struct Client {
    child: tokio::process::Child,
    /// What ends it with us, where that is wanted.
    _lifeline: Option<Lifeline>,
}

/// Starts a client that talks to us by pipes, in a process group of its own.
fn spawn_client(argv: &Argv, stdin: Stdio) -> Result<Client, RunError> {
    let not_started = |source| RunError::NotStarted { program: argv.program.clone(), source };
    let mut command = tokio::process::Command::from(argv.to_command());
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let loose = argv.ends_with_us.then(Loose::new).transpose().map_err(not_started)?;
    let child = command.spawn().map_err(not_started)?;
    let tied = loose.zip(child.id()).map(|(loose, pid)| loose.tie(pid)).transpose().map_err(not_started)?;
    Ok(Client { child, _lifeline: tied })
}

/// How long a killed client may take to be gone. A kill is carried out in well under a millisecond; much longer would
/// stretch every deadline, much shorter would leave zombies to a loaded machine.
const REAP: Duration = Duration::from_millis(100);

/// Feeds and reads all pipes to their ends, and only then reaps.
async fn converse(child: &mut tokio::process::Child, stdin: Option<&[u8]>) -> io::Result<Output> {
    let (input, output, error) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let (Some(mut pipe), Some(data)) = (input, stdin) {
            // A client that ends without reading all of it reports why in its exit status; the broken pipe adds nothing.
            let _ = pipe.write_all(data).await;
        }
    };
    let read = async { tokio::try_join!(read_all(output), read_all(error)) };
    let ((), read) = tokio::join!(feed, read);
    let (stdout, stderr) = read?;
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    Ok(Output { status: child.wait().await?, stdout, stderr })
}

async fn read_all(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What there is comes in one read, and not in a dozen that grow.
        bytes.reserve(PRINTED);
        pipe.take(MOST_PRINTED + 1).read_to_end(&mut bytes).await?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MOST_PRINTED) {
        return Ok(bytes);
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("it prints more than {} MiB", MOST_PRINTED >> 20)))
}

/// What most clients print is shorter.
const PRINTED: usize = 8 << 10;

/// The most that a client may print: a listing of thousands of sessions is below one MiB, and the memory is ours.
const MOST_PRINTED: u64 = 64 << 20;

/// Kills a client's process group when dropped, unless the client has ended by itself.
struct GroupKill(Option<Pid>);

impl GroupKill {
    fn of(leader: &tokio::process::Child) -> Self {
        Self(leader.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw))
    }

    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for GroupKill {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody left in it is what was wanted.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Starts the agent as the foreground job of the terminal on our stdin, and returns its pid.
///
/// The child leads a process group of its own and owns the terminal before it executes, so that its first read is never
/// answered with `SIGTTIN`; its signal mask and dispositions are the defaults, as a login shell would leave them.
/// Does not block.
///
/// # Errors
/// The executable cannot be started; nothing runs then.
#[allow(unsafe_code, reason = "pre_exec is the only way to act between fork and exec; see SAFETY")]
pub fn spawn_agent(argv: &Argv) -> io::Result<u32> {
    let mut command = argv.to_command();
    command.process_group(0);
    // SAFETY: only async-signal-safe calls happen between fork and exec: getpid, tcsetpgrp, signal and sigprocmask.
    unsafe {
        command.pre_exec(|| {
            nix::sys::signal::signal(Signal::SIGTTOU, nix::sys::signal::SigHandler::SigIgn)?;
            // No terminal (a test, a pipe) means no foreground to take.
            let _ = nix::unistd::tcsetpgrp(std::io::stdin(), nix::unistd::getpid());
            for signal in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
                nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigDfl)?;
            }
            SigSet::empty().thread_set_mask()?;
            Ok(())
        });
    }
    // The handle is dropped on purpose: whoever called waits for the pid itself, to learn stops, signals and memory.
    command.spawn().map(|child| child.id())
}

/// Whether a program was not executed because the machine had no means for another process, which says nothing of the
/// program: no process, memory or descriptor was to be had.
pub fn lacks_means(error: &io::Error) -> bool {
    use nix::errno::Errno::{EAGAIN, EMFILE, ENFILE, ENOMEM};
    let means = [EAGAIN, EMFILE, ENFILE, ENOMEM];
    error.raw_os_error().is_some_and(|errno| means.iter().any(|missing| *missing as i32 == errno))
}

/// Starts a command of our own that outlives us: a session of its own, nothing on its descriptors. Does not block.
///
/// # Errors
/// The executable cannot be started.
#[allow(unsafe_code, reason = "pre_exec is the only way to act between fork and exec; see SAFETY")]
pub fn spawn_detached(argv: &Argv) -> io::Result<u32> {
    let mut command = argv.to_command();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: only async-signal-safe calls happen between fork and exec: setsid and sigprocmask.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            SigSet::empty().thread_set_mask()?;
            Ok(())
        });
    }
    command.spawn().map(|child| child.id())
}

/// A command of our own that was started and goes on without us.
#[derive(Debug)]
pub struct Background(std::process::Child);

impl Background {
    /// Whether it is over; its process entry is given back then. Does not block.
    pub fn is_over(&mut self) -> bool {
        // Not to be waited for (somebody else did) is over too.
        !matches!(self.0.try_wait(), Ok(None))
    }
}

/// Starts a command of our own that outlives us, as [`spawn_detached`], and hands it `input` on its stdin. Blocks only
/// while an input of more than a pipe's 64 KiB is being read.
///
/// # Errors
/// The executable cannot be started, or ended before it had read its input.
#[allow(unsafe_code, reason = "pre_exec is the only way to act between fork and exec; see SAFETY")]
pub fn spawn_detached_with_input(argv: &Argv, input: &[u8]) -> io::Result<Background> {
    let mut command = argv.to_command();
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: only async-signal-safe calls happen between fork and exec: setsid and sigprocmask.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            SigSet::empty().thread_set_mask()?;
            Ok(())
        });
    }
    let mut child = command.spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        io::Write::write_all(&mut pipe, input)?;
    }
    Ok(Background(child))
}

/// Runs a command in the foreground with our terminal, and waits for it without a deadline: a person is in front of it.
///
/// # Errors
/// The executable cannot be started or waited for.
pub fn run_in_foreground(argv: &Argv) -> io::Result<ExitStatus> {
    argv.to_command().status().inspect(|_| crate::terminal::drop_late_answers())
}

/// Replaces this process by another program; returns only when that failed.
pub fn hand_over(argv: &Argv) -> io::Error {
    argv.to_command().exec()
}

/// Finds an executable the way a shell would: a path as it is, a bare name on `path` (our own `PATH` when `None`).
///
/// # Errors
/// Nothing executable of that name is there.
pub fn resolve(name: &OsStr, path: Option<&OsStr>, cwd: &Path) -> Result<PathBuf, which::Error> {
    let own = std::env::var_os("PATH");
    which::which_in(name, path.or(own.as_deref()), cwd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;

    fn shell(script: &str) -> Argv {
        Argv::new("/bin/sh").args(["-c", script])
    }

    /// Waits until `file` holds as many numbers, and returns the processes they name.
    async fn started(file: &Path, count: usize) -> Vec<process::ProcessId> {
        let mut pids = Vec::new();
        while pids.len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let text = std::fs::read_to_string(file).unwrap_or_default();
            pids = text.split_whitespace().map(|pid| pid.parse::<u32>().expect("a number")).collect();
        }
        pids.into_iter().map(|pid| process::status(pid).expect("probe").expect("runs").id).collect()
    }

    async fn assert_ended(processes: &[process::ProcessId]) {
        let all_ended = async {
            while processes.iter().any(|id| process::find(*id).expect("probe").is_some()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), all_ended).await.expect("all of the group end");
    }

    /// A client that deafens itself, and a child of it that does too and holds the pipes open.
    fn stubborn(file: &Path) -> Argv {
        let deaf = "trap '' TERM HUP INT";
        shell(&format!("{deaf}; (sleep 1000) & echo $! $$ >\"$0.part\"; mv \"$0.part\" \"$0\"; wait")).arg(file)
    }

    #[tokio::test]
    async fn a_late_client_goes_with_its_whole_group() {
        let dir = tempfile::tempdir().expect("directory");
        let file = dir.path().join("pids");
        let argv = stubborn(&file);
        let (result, processes) = tokio::join!(run(&argv, None, Duration::from_secs(1)), started(&file, 2));
        assert!(matches!(result, Err(RunError::TimedOut { .. })), "{result:?}");
        assert_ended(&processes).await;
    }

    #[tokio::test]
    async fn a_client_nobody_waits_for_any_more_goes_with_its_whole_group() {
        let dir = tempfile::tempdir().expect("directory");
        let file = dir.path().join("pids");
        let argv = stubborn(&file);
        let processes = tokio::select! {
            result = run(&argv, None, Duration::from_secs(60)) => panic!("it has no end: {result:?}"),
            processes = started(&file, 2) => processes,
        };
        assert_ended(&processes).await;
    }

    #[tokio::test]
    async fn input_and_output_larger_than_a_pipe_pass_each_other() {
        let data = vec![b'x'; 1 << 20];
        let output = run(&shell("cat"), Some(&data), Duration::from_secs(20)).await.expect("runs");
        assert!(output.status.success() && output.stdout == data);
    }

    #[tokio::test]
    async fn input_that_nobody_reads_is_no_failure() {
        let output = run(&shell("exit 3"), Some(&vec![b'x'; 1 << 20]), Duration::from_secs(20)).await.expect("runs");
        assert_eq!(output.summary(), "exit 3");
    }

    #[tokio::test]
    async fn a_summary_tells_how_it_ended_and_the_first_line() {
        for (script, summary) in [
            ("echo; echo ' why ' >&2; echo more >&2; exit 7", "exit 7: why"),
            ("kill -TERM $$", "signal 15"),
            ("exit 0", "exit 0"),
        ] {
            let output = run(&shell(script), None, Duration::from_secs(20)).await.expect("runs");
            assert_eq!(output.summary(), summary);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_started_is_named() {
        let error = run(&Argv::new("/nonexistent/x"), None, Duration::from_secs(20)).await.expect_err("not there");
        assert!(error.to_string().starts_with("cannot start /nonexistent/x: "), "{error}");
    }
}

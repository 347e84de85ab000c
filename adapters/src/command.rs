//! The one place in the repository that starts a process.
//!
//! Three ways, each for one purpose: [`run`] a client to its end under a deadline, [`spawn_agent`] the agent as the
//! pane's foreground job, and [`hand_over`] this process to another program. A test holds that nothing else in the
//! workspace names `std::process::Command` or its tokio twin.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt;

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
}

impl Argv {
    /// A command in our own environment and directory.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: Vec::new(), clear_env: false, env: Vec::new(), cwd: None }
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

/// Runs a client to its end and collects what it prints; blocks the task for `deadline` at most.
///
/// The client gets a process group of its own and no terminal on any descriptor. When the deadline passes the whole
/// group is killed, because a client that waits for a hung server would wait for ever (tmux 3.3a, zellij 0.45.1: seen).
///
/// # Errors
/// [`RunError::TimedOut`] says nothing about what the command did: treat its effect as unknown.
pub async fn run(argv: &Argv, stdin: Option<&[u8]>, deadline: Duration) -> Result<Output, RunError> {
    let mut command = tokio::process::Command::from(argv.to_command());
    command
        .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child =
        command.spawn().map_err(|source| RunError::NotStarted { program: argv.program.clone(), source })?;
    let group = child.id();
    let input = child.stdin.take();
    let conversation = async {
        let feed = async {
            if let (Some(mut pipe), Some(data)) = (input, stdin) {
                // A client that ends without reading all of it reports why in its exit status; the broken pipe adds nothing.
                let _ = pipe.write_all(data).await;
            }
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), feed);
        output
    };
    match tokio::time::timeout(deadline, conversation).await {
        Ok(Ok(output)) => Ok(Output {
            status: output.status,
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
        Ok(Err(source)) => Err(RunError::Io { program: argv.program.clone(), source }),
        Err(_) => {
            if let Some(group) = group.and_then(|pid| i32::try_from(pid).ok()) {
                // Gone already is fine: the leader was killed when its handle was dropped.
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
            Err(RunError::TimedOut { program: argv.program.clone(), after: deadline })
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

/// Starts a command of our own that outlives us: a session of its own, nothing on its descriptors. Does not block.
///
/// # Errors
/// The executable cannot be started.
pub fn spawn_detached(argv: &Argv) -> io::Result<u32> {
    let mut command = argv.to_command();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().map(|child| child.id())
}

/// Runs a command in the foreground with our terminal, and waits for it without a deadline: a person is in front of it.
///
/// # Errors
/// The executable cannot be started or waited for.
pub fn run_in_foreground(argv: &Argv) -> io::Result<ExitStatus> {
    argv.to_command().status()
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

//! The one place in the repository that starts processes.
//!
//! Each function has one purpose: [`run`] runs a client to its end under a deadline, [`TerminalClient`] runs a client
//! that insists on a terminal, [`spawn_agent`] starts the agent as the pane's foreground job, and [`hand_over`]
//! replaces this process by another program. A test checks that no other file in the workspace names
//! `std::process::Command` or its tokio twin.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use crate::inherited::Inherited;
use crate::process::{self, ProcessId};

mod before_exec;
mod client;
mod lifeline;
mod line;
mod terminal;

pub use client::run;
pub use line::{Answer, first_line};
pub use terminal::TerminalClient;

/// A command to execute: a program, its arguments, and how its environment differs from ours. Never goes through a
/// shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argv {
    /// Absolute path of the executable, or a bare name to look up on `PATH`.
    pub program: PathBuf,
    /// Arguments after the program name.
    pub args: Vec<OsString>,
    /// Whether to start from an empty environment instead of ours.
    pub clear_env: bool,
    /// Variables to set (`Some`) or remove (`None`), applied in order.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Working directory; ours if `None`.
    pub cwd: Option<PathBuf>,
    /// Whether the command starts something that keeps running after us (a server). It then inherits only the standard
    /// three descriptors and may open as many files as this user is allowed to.
    pub outlives_us: bool,
    /// Its own umask, nice value and limits, as far as the kernel allows them; ours if `None`.
    pub inherited: Option<Inherited>,
    /// Whether the command is useless without us. The kernel then kills it when we end, however that happens (Linux).
    pub ends_with_us: bool,
}

impl Argv {
    /// Creates a command that runs in our own environment and directory.
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

    /// Makes the kernel kill the command when we end.
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

/// The result of a finished command.
#[derive(Clone, Debug)]
pub struct Output {
    /// How the command ended.
    pub status: ExitStatus,
    /// Everything it wrote to stdout.
    pub stdout: Vec<u8>,
    /// Everything it wrote to stderr, as text.
    pub stderr: String,
}

impl Output {
    /// Returns the exit code and the first line of stderr, for a message: `exit 1: can't find session: x`.
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

/// The ways in which running a command can fail before it has an exit status.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The executable does not exist or may not be executed.
    #[error("cannot start {}: {source}", .program.display())]
    NotStarted {
        /// The program that was to be executed.
        program: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The command did not end in time; it and its process group were killed. What it requested from a server may still
    /// happen.
    #[error("{} did not end within {after:?}", .program.display())]
    TimedOut {
        /// The program that was executed.
        program: PathBuf,
        /// The deadline that passed.
        after: Duration,
    },
    /// Communication with the command failed.
    #[error("cannot read from {}: {source}", .program.display())]
    Io {
        /// The program that was executed.
        program: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
}

/// Starts the agent as the foreground job of the terminal on our stdin, and returns its pid.
///
/// The child leads its own process group and owns the terminal before exec, so that its first read never gets
/// `SIGTTIN`. Its signal mask and dispositions are the defaults, as a login shell would leave them. Does not block.
///
/// # Errors
/// The executable cannot be started. No process is left then.
#[allow(unsafe_code, reason = "pre_exec is the only way to act between fork and exec; see SAFETY")]
pub fn spawn_agent(argv: &Argv) -> io::Result<u32> {
    let mut command = argv.to_command();
    command.process_group(0);
    // SAFETY: only async-signal-safe calls happen between fork and exec: getpid, tcsetpgrp, signal and sigprocmask.
    unsafe {
        command.pre_exec(|| {
            nix::sys::signal::signal(Signal::SIGTTOU, nix::sys::signal::SigHandler::SigIgn)?;
            // Without a terminal (a test, a pipe) there is no foreground to take.
            let _ = nix::unistd::tcsetpgrp(std::io::stdin(), nix::unistd::getpid());
            for signal in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
                nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigDfl)?;
            }
            SigSet::empty().thread_set_mask()?;
            Ok(())
        });
    }
    // The handle is dropped on purpose: the caller waits for the pid itself, to learn about stops, signals and memory.
    command.spawn().map(|child| child.id())
}

/// Returns `true` if a program was not executed because the machine had no process, memory or descriptor to spare,
/// which says nothing about the program.
pub fn is_out_of_resources(error: &io::Error) -> bool {
    use nix::errno::Errno::{EAGAIN, EMFILE, ENFILE, ENOMEM};
    let means = [EAGAIN, EMFILE, ENFILE, ENOMEM];
    error.raw_os_error().is_some_and(|errno| means.iter().any(|missing| *missing as i32 == errno))
}

/// Starts one of our own commands that outlives us, in its own session and with `/dev/null` as its stdin, stdout and
/// stderr. Does not block.
///
/// # Errors
/// The executable cannot be started.
pub fn spawn_detached(argv: &Argv) -> io::Result<u32> {
    spawn_in_own_session(argv, Stdio::null()).map(|child| child.id())
}

#[allow(unsafe_code, reason = "pre_exec is the only way to act between fork and exec; see SAFETY")]
fn spawn_in_own_session(argv: &Argv, stdin: Stdio) -> io::Result<std::process::Child> {
    let mut command = argv.to_command();
    command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: only async-signal-safe calls happen between fork and exec: setsid and sigprocmask.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            SigSet::empty().thread_set_mask()?;
            Ok(())
        });
    }
    command.spawn()
}

/// One of our own commands, which continues without us.
#[derive(Debug)]
pub struct Background(std::process::Child);

impl Background {
    /// Returns `true` if the command has ended, and reaps it in that case. Does not block.
    pub fn is_over(&mut self) -> bool {
        // An error means that it was reaped elsewhere, so it has ended too.
        !matches!(self.0.try_wait(), Ok(None))
    }
}

/// Starts one of our own commands that outlives us, like [`spawn_detached`], and passes it `input` on stdin. Blocks
/// only while an input larger than a pipe's 64 KiB is being read.
///
/// # Errors
/// The executable cannot be started, or ended before it had read its input.
pub fn spawn_detached_with_input(argv: &Argv, input: &[u8]) -> io::Result<Background> {
    let mut child = spawn_in_own_session(argv, Stdio::piped())?;
    if let Some(mut pipe) = child.stdin.take() {
        io::Write::write_all(&mut pipe, input)?;
    }
    Ok(Background(child))
}

/// Runs a command in the foreground of our terminal, and waits for it without a deadline, because a user is interacting
/// with it.
///
/// # Errors
/// The executable cannot be started or waited for.
pub fn run_in_foreground(argv: &Argv) -> io::Result<ExitStatus> {
    Foreground::spawn(argv)?.wait()
}

/// A command in the foreground of our terminal.
#[derive(Debug)]
pub struct Foreground(std::process::Child);

impl Foreground {
    /// Starts it.
    ///
    /// # Errors
    /// The executable cannot be started.
    pub fn spawn(argv: &Argv) -> io::Result<Self> {
        argv.to_command().spawn().map(Self)
    }

    /// Returns which process it is, for a signal; `None` if it has ended already or the kernel cannot be queried.
    pub fn process(&self) -> Option<ProcessId> {
        process::status(self.0.id()).ok().flatten().map(|status| status.id)
    }

    /// Waits for its end. Blocks without a deadline, because a user is interacting with it.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        self.0.wait().inspect(|_| crate::terminal::drop_late_answers())
    }
}

/// Replaces this process by another program. Returns only on failure.
pub fn hand_over(argv: &Argv) -> io::Error {
    argv.to_command().exec()
}

/// Finds an executable as a shell would: a path is used as it is, a bare name is looked up on `path` (our own `PATH` if
/// `None`).
///
/// # Errors
/// There is no executable of that name.
pub fn resolve(name: &OsStr, path: Option<&OsStr>, cwd: &Path) -> Result<PathBuf, which::Error> {
    let own = std::env::var_os("PATH");
    which::which_in(name, path.or(own.as_deref()), cwd)
}

#[cfg(test)]
mod tests;

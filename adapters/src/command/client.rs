//! Runs a client to its end under a deadline.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::lifeline::{Lifeline, UntiedLifeline};
use super::{Argv, Output, RunError};

/// Runs a client to its end and collects its output. Blocks the task for `deadline` at most, plus a moment to reap a
/// client that had to be killed.
///
/// The client gets its own process group and no terminal on any descriptor. When the deadline passes, or the returned
/// future is dropped early, the whole group is killed, because a client that waits for a hung server would wait for
/// ever (tmux 3.3a, zellij 0.45.1: seen).
///
/// The client counts as finished when its output and then the process have ended. A process that inherits its stdout or
/// stderr and keeps it open is waited for too.
///
/// # Errors
/// [`RunError::NotStarted`]: nothing happened. [`RunError::TimedOut`] and [`RunError::Io`] say nothing about what the
/// command did: treat its effect as unknown.
pub async fn run(argv: &Argv, stdin: Option<&[u8]>, deadline: Duration) -> Result<Output, RunError> {
    let Client { mut child, _lifeline } =
        spawn_client(argv, if stdin.is_some() { Stdio::piped() } else { Stdio::null() })?;
    // Declared after the child, so it is dropped first: until the leader is reaped, its number cannot name another
    // group.
    let mut group = GroupKill::of(&child);
    let Ok(ended) = tokio::time::timeout(deadline, converse(&mut child, stdin)).await else {
        drop(group);
        // A client in an uninterruptible call exits later; the runtime reaps it then.
        let _ = tokio::time::timeout(REAP, child.wait()).await;
        return Err(RunError::TimedOut { program: argv.program.clone(), after: deadline });
    };
    let output = ended.map_err(|source| RunError::Io { program: argv.program.clone(), source })?;
    group.disarm();
    Ok(output)
}

/// A client that is connected to us by pipes.
pub(super) struct Client {
    pub(super) child: tokio::process::Child,
    /// Ends the client when we end, if requested.
    pub(super) _lifeline: Option<Lifeline>,
}

/// Starts a client with pipes, in its own process group.
pub(super) fn spawn_client(argv: &Argv, stdin: Stdio) -> Result<Client, RunError> {
    let not_started = |source| RunError::NotStarted { program: argv.program.clone(), source };
    let mut command = tokio::process::Command::from(argv.to_command());
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let loose = argv.ends_with_us.then(UntiedLifeline::new).transpose().map_err(not_started)?;
    let child = command.spawn().map_err(not_started)?;
    let tied = loose.zip(child.id()).map(|(loose, pid)| loose.tie(pid)).transpose().map_err(not_started)?;
    Ok(Client { child, _lifeline: tied })
}

/// How long a killed client may take to exit. A kill takes well under a millisecond. A much longer time would stretch
/// every deadline; a much shorter one would leave zombies on a loaded machine.
pub(super) const REAP: Duration = Duration::from_millis(100);

/// Writes and reads all pipes to their ends, and only then reaps the child.
async fn converse(child: &mut tokio::process::Child, stdin: Option<&[u8]>) -> io::Result<Output> {
    let (input, output, error) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let (Some(mut pipe), Some(data)) = (input, stdin) {
            // A client that ends without reading its whole input reports why in its exit status; the broken pipe adds
            // nothing.
            let _ = pipe.write_all(data).await;
        }
    };
    let read = async { tokio::try_join!(read_all(output), read_all(error)) };
    let ((), read) = tokio::join!(feed, read);
    let (stdout, stderr) = read?;
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    Ok(Output { status: child.wait().await?, stdout, stderr })
}

pub(super) async fn read_all(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // Reserved so that typical output takes one read, not a dozen with a growing buffer.
        bytes.reserve(PRINTED);
        pipe.take(MOST_PRINTED + 1).read_to_end(&mut bytes).await?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MOST_PRINTED) {
        return Ok(bytes);
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("it prints more than {} MiB", MOST_PRINTED >> 20)))
}

/// Most clients print less than this.
const PRINTED: usize = 8 << 10;

/// The most that a client may print. A listing of thousands of sessions is below one MiB, and the output is held in our
/// memory.
const MOST_PRINTED: u64 = 64 << 20;

/// Kills a client's process group when dropped, unless it was disarmed because the client has ended.
pub(super) struct GroupKill(Option<Pid>);

impl GroupKill {
    pub(super) fn of(leader: &tokio::process::Child) -> Self {
        Self(leader.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw))
    }

    pub(super) fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for GroupKill {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An empty group is fine.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

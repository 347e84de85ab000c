//! Clients on their own pseudo-terminal, for programs that refuse to work without one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{ExitStatus, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;

use super::{Argv, RunError, before_exec};

/// A client with its own terminal, whose screen is not read. It is killed when this value is dropped.
///
/// The client leads its own session, with the terminal as its controlling one. If this process is killed, the kernel
/// hangs up the terminal and the client gets a signal. (zellij 0.45.1 without a controlling terminal outlives its
/// starter: seen.)
#[derive(Debug)]
pub struct TerminalClient {
    child: tokio::process::Child,
    stderr: Option<tokio::process::ChildStderr>,
    program: std::path::PathBuf,
}

impl TerminalClient {
    /// Starts `argv` on a new terminal of `(columns, rows)`, with its stderr separate from the screen. Does not block.
    ///
    /// # Errors
    /// No terminal is available, or the executable cannot be started. No process is left then.
    pub fn spawn(argv: &Argv, (columns, rows): (u16, u16)) -> Result<Self, RunError> {
        let failed = |source| RunError::NotStarted { program: argv.program.clone(), source };
        let (screen, terminal) = open_terminal(columns, rows).map_err(failed)?;
        let mut command = argv.to_command();
        if argv.ends_with_us {
            before_exec::end_with_us(&mut command);
        }
        let mut command = tokio::process::Command::from(command);
        command.stdin(terminal.try_clone().map_err(failed)?).stdout(terminal).stderr(Stdio::piped()).kill_on_drop(true);
        take_terminal_on_exec(&mut command);
        let mut child = command.spawn().map_err(failed)?;
        let stderr = child.stderr.take();
        // A terminal that is not drained would block the client. Reading fails when the last holder of the other side
        // (normally the client) has exited, and then the thread ends too.
        std::thread::spawn(move || io::copy(&mut std::fs::File::from(screen), &mut io::sink()));
        Ok(Self { child, stderr, program: argv.program.clone() })
    }

    /// Waits until the client ends, and returns its exit status and stderr. The future may be dropped and the method
    /// called again.
    ///
    /// # Errors
    /// The client cannot be waited for.
    pub async fn ended(&mut self) -> Result<(ExitStatus, String), RunError> {
        let failed = |source| RunError::Io { program: self.program.clone(), source };
        let status = self.child.wait().await.map_err(failed)?;
        let mut said = Vec::new();
        if let Some(stderr) = self.stderr.as_mut() {
            // A server that the client started may hold the pipe open; what has arrived by then is enough.
            let reading = stderr.read_to_end(&mut said);
            let _ = tokio::time::timeout(std::time::Duration::from_millis(200), reading).await;
        }
        Ok((status, String::from_utf8_lossy(&said).into_owned()))
    }

    /// Asks the client to leave (SIGTERM) and waits for it; kills it if it is still alive after `grace`.
    pub async fn leave(mut self, grace: std::time::Duration) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // It is not reaped yet, so the pid is still its own; if it has already ended, that is fine.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = tokio::time::timeout(grace, self.child.wait()).await;
        self.kill().await;
    }

    /// Kills the client and waits until it is reaped.
    pub async fn kill(mut self) {
        // It may have just ended, which is as good.
        let _ = self.child.kill().await;
    }
}

fn open_terminal(columns: u16, rows: u16) -> io::Result<(OwnedFd, OwnedFd)> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&size, None)?;
    // No other child of ours may inherit the screen side, or the terminal would never hang up.
    fcntl(pty.master.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    fcntl(pty.slave.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok((pty.master, pty.slave))
}

#[allow(unsafe_code, reason = "pre_exec is the only way to act between fork and exec; see SAFETY")]
fn take_terminal_on_exec(command: &mut tokio::process::Command) {
    // SAFETY: only async-signal-safe calls happen between fork and exec: setsid and ioctl.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            // The conversion is needed because the request is a c_ulong in one libc and a c_uint in another.
            #[allow(clippy::useless_conversion, reason = "see above")]
            Errno::result(nix::libc::ioctl(0, nix::libc::TIOCSCTTY.into(), 0))?;
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Argv {
        Argv::new("/bin/sh").args(["-c", script])
    }

    #[tokio::test]
    async fn the_client_has_a_controlling_terminal_of_the_wanted_size() {
        let argv = shell("stty size </dev/tty >&2; exit 7");
        let mut client = TerminalClient::spawn(&argv, (123, 45)).expect("starts");
        let (status, stderr) = client.ended().await.expect("ends");
        assert_eq!((status.code(), stderr.as_str()), (Some(7), "45 123\n"));
    }

    #[tokio::test]
    async fn a_screen_that_nobody_reads_does_not_stop_the_client() {
        let argv =
            shell("i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done");
        let mut client = TerminalClient::spawn(&argv, (80, 24)).expect("starts");
        let (status, _) = client.ended().await.expect("ends");
        assert!(status.success());
    }

    #[tokio::test]
    async fn dropping_it_ends_the_client() {
        let client = TerminalClient::spawn(&shell("sleep 1000"), (80, 24)).expect("starts");
        let pid = client.child.id().expect("not ended yet");
        drop(client);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while crate::process::status(pid).expect("probe").is_some() {
            assert!(std::time::Instant::now() < deadline, "the client is still there");
            tokio::task::yield_now().await;
        }
    }
}

//! Clients that keep printing, where only the first line is wanted.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::client::{Client, GroupKill, REAP, read_all, spawn_client};
use super::{Argv, Output, RunError};

/// The result of waiting for a line.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The line, without its newline. The client was killed and has exited.
    Line(Vec<u8>),
    /// The client ended before it had printed a line.
    Ended(Output),
}

/// Runs a client until it has printed a line of at most `longest` bytes, then kills it with its process group. Blocks
/// the task for `deadline` at most, plus a moment to reap the client.
///
/// The group is also killed when the deadline passes, or when the returned future is dropped early.
///
/// # Errors
/// [`RunError::NotStarted`]; [`RunError::TimedOut`]; [`RunError::Io`] also if the line is longer than `longest`.
pub async fn first_line(argv: &Argv, deadline: Duration, longest: usize) -> Result<Answer, RunError> {
    let Client { mut child, _lifeline } = spawn_client(argv, Stdio::null())?;
    // Declared after the child, so it is dropped first: until the leader is reaped, its number cannot name another
    // group.
    let mut group = GroupKill::of(&child);
    let answer = tokio::time::timeout(deadline, answer(&mut child, longest)).await;
    if matches!(answer, Ok(Ok(Answer::Ended(_)))) {
        group.disarm();
    } else {
        drop(group);
        // A client in an uninterruptible call exits later; the runtime reaps it then.
        let _ = tokio::time::timeout(REAP, child.wait()).await;
    }
    match answer {
        Ok(answer) => answer.map_err(|source| RunError::Io { program: argv.program.clone(), source }),
        Err(_) => Err(RunError::TimedOut { program: argv.program.clone(), after: deadline }),
    }
}

async fn answer(child: &mut tokio::process::Child, longest: usize) -> io::Result<Answer> {
    let (output, error) = (child.stdout.take(), child.stderr.take());
    let mut line = Vec::new();
    if let Some(output) = output {
        let limit = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
        BufReader::with_capacity(64 << 10, output).take(limit).read_until(b'\n', &mut line).await?;
    }
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(Answer::Line(line));
    }
    if line.len() > longest {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("its line is longer than {longest} bytes")));
    }
    let stderr = String::from_utf8_lossy(&read_all(error).await?).into_owned();
    Ok(Answer::Ended(Output { status: child.wait().await?, stdout: line, stderr }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;

    const LONG: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Argv {
        Argv::new("/bin/sh").args(["-c", script])
    }

    #[tokio::test]
    async fn the_first_line_is_returned_and_the_client_is_gone_with_its_group() {
        let dir = tempfile::tempdir().expect("directory");
        let file = dir.path().join("pids");
        let script =
            "trap '' TERM HUP; sleep 1000 & echo $$ $! >\"$0\"; echo one; while :; do echo more; sleep 1; done";
        let answer = first_line(&shell(script).arg(&file), LONG, 100).await.expect("a line");
        assert!(matches!(&answer, Answer::Line(line) if line == b"one"), "{answer:?}");
        let pids = std::fs::read_to_string(&file).expect("written");
        let deadline = std::time::Instant::now() + LONG;
        for pid in pids.split_whitespace().map(|pid| pid.parse().expect("a number")) {
            while process::status(pid).expect("probe").is_some() {
                assert!(std::time::Instant::now() < deadline, "{pid} is still there");
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn one_that_ends_without_a_line_tells_how() {
        let answer = first_line(&shell("printf half; echo why >&2; exit 2"), LONG, 100).await.expect("ended");
        let Answer::Ended(output) = answer else { panic!("{answer:?}") };
        assert_eq!((output.summary().as_str(), output.stdout.as_slice()), ("exit 2: why", &b"half"[..]));
    }

    #[tokio::test]
    async fn a_line_has_the_length_that_was_allowed_or_is_an_error() {
        let answer = first_line(&shell("echo 12345678"), LONG, 8).await.expect("a line");
        assert!(matches!(answer, Answer::Line(line) if line.len() == 8));
        for endless in ["echo 123456789", "exec cat /dev/zero"] {
            let error = first_line(&shell(endless), LONG, 8).await.expect_err("too long");
            assert!(error.to_string().contains("longer than 8 bytes"), "{error}");
        }
    }

    #[tokio::test]
    async fn one_that_says_nothing_is_killed_when_its_time_is_over() {
        let silent = first_line(&shell("exec sleep 1000"), Duration::from_millis(50), 8).await;
        assert!(matches!(silent, Err(RunError::TimedOut { .. })), "{silent:?}");
    }
}

//! Running zellij's client: under a deadline, once more where that is safe, and with its words judged.

use std::time::Duration;

use super::Zellij;
use super::argv;
use super::errors::{self, Said};
use super::home::Home;
use super::look::{self, Sight, Table};
use crate::command::{self, Answer, Argv, Output, RunError};
use crate::process::{self, ProcessId};
use crate::runtime::{Gone, RuntimeError, RuntimeKind};

/// How often a client that overlooked its session is run again; never seen twice in a row.
pub(super) const RETRIES: u32 = 3;

/// How long the server may take to notice that a client is gone.
const SETTLE: Duration = Duration::from_millis(500);

/// How long the first answer to a question may take, 50 times what it takes on an idle machine.
const FIRST_TRY: Duration = Duration::from_millis(500);

impl Zellij {
    /// Runs a client to its end. Its exit code alone says nothing: see [`errors`].
    pub(super) async fn run(&self, home: &Home, verb: &str, argv: &Argv) -> Result<Output, RuntimeError> {
        command::run(argv, None, self.deadline).await.map_err(|error| self.not_run(home, verb, error))
    }

    pub(super) fn not_run(&self, home: &Home, verb: &str, error: RunError) -> RuntimeError {
        match error {
            RunError::NotStarted { source, .. }
                if matches!(source.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied) =>
            {
                RuntimeError::NoBinary { runtime: RuntimeKind::Zellij, path: self.binary.clone() }
            }
            RunError::TimedOut { after, .. } => timed_out(home, verb, after),
            other => failed(verb, other),
        }
    }

    /// Runs a client that goes on printing until it has printed a line, once more where it was cut off: see [`Self::settle`].
    /// To be asked for what changes nothing.
    pub(super) async fn first_line(
        &self,
        home: &Home,
        session: &str,
        verb: &str,
        argv: &Argv,
        longest: usize,
    ) -> Result<Answer, RuntimeError> {
        for again in 0.. {
            let clients = Table::read().of(&home.socket(session)).clients;
            // What always comes soon and did not is asked for again.
            let deadline = if again == 0 { self.deadline.min(FIRST_TRY) } else { self.deadline };
            let answer = command::first_line(argv, deadline, longest).await;
            Self::settle(home, session, clients, self::server(home)).await;
            match answer {
                Err(RunError::TimedOut { .. }) if again == 0 => {}
                Ok(Answer::Ended(output)) if again < RETRIES && was_cut_off(home, &output) => {}
                answer => return answer.map_err(|error| self.not_run(home, verb, error)),
            }
        }
        unreachable!("the last try returns")
    }

    /// Runs a client that acts on the session, and judges what it left.
    ///
    /// One that does not see a session which the kernel shows has done nothing, and is run again: see [`Self::settle`].
    pub(super) async fn ask(
        &self,
        home: &Home,
        session: &str,
        verb: &str,
        argv: &Argv,
        stdout_is_data: bool,
    ) -> Result<Output, RuntimeError> {
        let mut tries = 0;
        loop {
            let clients = Table::read().of(&home.socket(session)).clients;
            let output = self.run(home, verb, argv).await?;
            Self::settle(home, session, clients, self::server(home)).await;
            let overlooked = errors::classify(&output, stdout_is_data) == Said::Absent
                && matches!(look::look(home), Ok(Sight::Up(_)));
            if !overlooked || tries == RETRIES {
                return Self::judge(home, session, verb, &output, stdout_is_data).map(|()| output);
            }
            tries += 1;
        }
    }

    /// Waits until the server has done with a client that is gone, as a rule less than a millisecond.
    ///
    /// zellij 0.45.1 takes a client's number away twice, and gives it to the next client in between: one that comes too soon
    /// after another is cut off, overlooks its session, or waits for ever.
    ///
    /// # Source
    /// zellij-server 0.45.1, `route_thread_main`: the thread that serves a client queues both removals and then lets go of
    /// the connection; the server's first thread works the queue off. So both are done when the connection is gone and
    /// that thread waits.
    pub(super) async fn settle(home: &Home, session: &str, clients: u32, server: Option<ProcessId>) {
        let done = || {
            let computes = server.is_some_and(|id| matches!(process::find(id), Ok(Some(status)) if status.computes));
            Table::read().of(&home.socket(session)).clients <= clients && !computes
        };
        let noticed = tokio::time::Instant::now() + SETTLE;
        while !done() && tokio::time::Instant::now() < noticed {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Asks for something that changes nothing and always has an answer. So it may be asked again, when the answer does not
    /// come in a time in which it always comes, or is empty because the client was cut off: see [`Self::settle`].
    async fn read(&self, home: &Home, session: &str, verb: &str, argv: &Argv) -> Result<Output, RuntimeError> {
        let hasty = Self { deadline: self.deadline.min(FIRST_TRY), ..self.clone() };
        match hasty.ask(home, session, verb, argv, true).await {
            Ok(output) if output.stdout.is_empty() => {}
            Err(RuntimeError::TimedOut { .. }) => {}
            answered => return answered,
        }
        for _ in 0..RETRIES {
            let output = self.ask(home, session, verb, argv, true).await?;
            if !output.stdout.is_empty() {
                return Ok(output);
            }
        }
        Err(failed(verb, "it printed nothing, as a client does that was cut off"))
    }

    /// Judges what a client left, on which nothing but `stdout_is_data` was to be printed.
    pub(super) fn judge(
        home: &Home,
        session: &str,
        verb: &str,
        output: &Output,
        data: bool,
    ) -> Result<(), RuntimeError> {
        let runtime = RuntimeKind::Zellij;
        match errors::classify(output, data) {
            Said::Nothing => Ok(()),
            // The kernel told us that the server listens; a client that does not see it speaks another protocol or lost it
            // this moment.
            Said::Absent => match look::look(home) {
                Ok(Sight::Up(_)) => Err(RuntimeError::VersionMismatch {
                    runtime,
                    server: home.dir().to_path_buf(),
                    detail: format!("its server lives, but the client says {}", output.summary()),
                }),
                Ok(Sight::Gone(gone)) => Err(server_gone(home, gone)),
                Ok(Sight::Unreachable(_, server)) => Err(unreachable(home, server)),
                Ok(Sight::Unclear(why)) => Err(unclear(home, why)),
                Err(error) => Err(not_seen(home, verb, &error)),
            },
            Said::Exists => Err(RuntimeError::DuplicateSession { runtime, session: session.to_owned() }),
            Said::Unsupported => Err(RuntimeError::VersionMismatch {
                runtime,
                server: home.dir().to_path_buf(),
                detail: output.summary(),
            }),
            Said::Denied => Err(RuntimeError::PermissionDenied {
                runtime,
                server: home.dir().to_path_buf(),
                detail: output.summary(),
            }),
            Said::Other => Err(failed(verb, output.summary())),
        }
    }

    /// Whether zellij still has our pane, be its command alive or not, in whichever tab it is by now.
    pub(super) async fn has_pane(&self, home: &Home, session: &str) -> Result<bool, RuntimeError> {
        let argv = argv::action(&self.binary, home, session, "list-panes").arg("--json");
        let output = self.read(home, session, "list-panes", &argv).await?;
        lists_our_pane(&output.stdout)
    }
}

pub(super) fn lists_our_pane(printed: &[u8]) -> Result<bool, RuntimeError> {
    let panes: Vec<PaneLine> = serde_json::from_slice(printed).map_err(|error| failed("list-panes", error))?;
    Ok(panes.iter().any(|pane| pane.id == 0 && !pane.is_plugin))
}

/// Whether a client ended as one does whose number was given to another, or that overlooked a session which is there.
fn was_cut_off(home: &Home, output: &Output) -> bool {
    match errors::classify(output, true) {
        Said::Nothing => true,
        Said::Absent => matches!(look::look(home), Ok(Sight::Up(_))),
        _ => false,
    }
}

/// The server on record.
fn server(home: &Home) -> Option<ProcessId> {
    home.read().ok().flatten()?.running.map(|running| running.server)
}

/// A pane as `list-panes --json` prints it, as far as we read it.
#[derive(serde::Deserialize)]
struct PaneLine {
    id: u32,
    is_plugin: bool,
}

pub(super) fn failed(command: &str, detail: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::Failed { runtime: RuntimeKind::Zellij, command: command.to_owned(), detail: detail.to_string() }
}

pub(super) fn timed_out(home: &Home, command: &str, after: Duration) -> RuntimeError {
    RuntimeError::TimedOut {
        runtime: RuntimeKind::Zellij,
        server: home.dir().to_path_buf(),
        command: command.to_owned(),
        after,
    }
}

pub(super) fn unreachable(home: &Home, recorded: ProcessId) -> RuntimeError {
    RuntimeError::Unreachable {
        runtime: RuntimeKind::Zellij,
        server: home.dir().to_path_buf(),
        recorded,
        gone: Gone::NoSocket,
    }
}

/// Nothing is known of the session now, and waiting would not have told more.
pub(super) fn unclear(home: &Home, why: String) -> RuntimeError {
    RuntimeError::NotAnswering { runtime: RuntimeKind::Zellij, server: home.dir().to_path_buf(), detail: why }
}

pub(super) fn server_gone(home: &Home, gone: Gone) -> RuntimeError {
    RuntimeError::ServerGone { runtime: RuntimeKind::Zellij, server: home.dir().to_path_buf(), gone }
}

/// The kernel could not be asked.
pub(super) fn not_seen(home: &Home, command: &str, error: &std::io::Error) -> RuntimeError {
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        return RuntimeError::PermissionDenied {
            runtime: RuntimeKind::Zellij,
            server: home.dir().to_path_buf(),
            detail: error.to_string(),
        };
    }
    failed(command, error)
}

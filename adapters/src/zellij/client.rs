//! Runs zellij's client: under a deadline, with retries where they are safe, and interprets its messages.

use std::time::Duration;

use super::Zellij;
use super::argv;
use super::errors::{self, ClientMessage};
use super::home::Home;
use super::look::{self, Observation};
use super::table::Table;
use crate::command::{self, Answer, Argv, Output, RunError};
use crate::process::{self, ProcessId};
use crate::runtime::{Gone, RuntimeError, RuntimeKind};

/// How often a client that overlooked its session is run again; never seen twice in a row.
pub(super) const RETRIES: u32 = 3;

/// How long the server may take to notice that a client is gone.
const SETTLE: Duration = Duration::from_millis(500);

/// How long the first attempt at a query may take: 50 times the normal time on an idle machine.
const FIRST_TRY: Duration = Duration::from_millis(500);

impl Zellij {
    /// Runs a client to its end. Its exit code alone means nothing: see [`errors`].
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

    /// Runs a client that keeps printing until it has printed a line, and retries if it was cut off: see
    /// [`Self::settle`]. Use it only for queries without side effects.
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
            // A query that normally answers quickly and did not is retried.
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

    /// Runs a client that acts on the session, and interprets its result.
    ///
    /// A client that does not see a session which the kernel shows has done nothing, and is run again: see
    /// [`Self::settle`].
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
            let overlooked = errors::classify(&output, stdout_is_data) == ClientMessage::Absent
                && matches!(look::look(home), Ok(Observation::Up(_)));
            if !overlooked || tries == RETRIES {
                return Self::judge(home, session, verb, &output, stdout_is_data).map(|()| output);
            }
            tries += 1;
        }
    }

    /// Waits until the server has finished with a client that is gone, normally less than a millisecond.
    ///
    /// zellij 0.45.1 frees a client's number twice, and assigns it to the next client in between: a client that comes
    /// too soon after another is cut off, overlooks its session, or waits for ever.
    ///
    /// # Source
    /// zellij-server 0.45.1, `route_thread_main`: the thread that serves a client queues both removals and then lets go
    /// of the connection; the server's first thread works the queue off. So both are done when the connection is gone
    /// and that thread waits.
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

    /// Runs a query without side effects that always has an answer. So it can be retried if the answer takes longer
    /// than it ever should, or is empty because the client was cut off: see [`Self::settle`].
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

    /// Interprets the result of a client that should have printed nothing, except on stdout if `data` is set.
    pub(super) fn judge(
        home: &Home,
        session: &str,
        verb: &str,
        output: &Output,
        data: bool,
    ) -> Result<(), RuntimeError> {
        let runtime = RuntimeKind::Zellij;
        match errors::classify(output, data) {
            ClientMessage::Nothing => Ok(()),
            // The kernel has shown that the server listens. A client that does not see it speaks another protocol, or
            // has just lost it.
            ClientMessage::Absent => match look::look(home) {
                Ok(Observation::Up(_)) => Err(RuntimeError::VersionMismatch {
                    runtime,
                    server: home.dir().to_path_buf(),
                    detail: format!("its server is alive, but the client says {}", output.summary()),
                }),
                Ok(Observation::Gone(gone)) => Err(server_gone(home, gone)),
                Ok(Observation::Unreachable(_, server)) => Err(unreachable(home, server)),
                Ok(Observation::Unclear(why)) => Err(unclear(home, why)),
                Err(error) => Err(not_seen(home, verb, &error)),
            },
            ClientMessage::Exists => Err(RuntimeError::DuplicateSession { runtime, session: session.to_owned() }),
            ClientMessage::Unsupported => Err(RuntimeError::VersionMismatch {
                runtime,
                server: home.dir().to_path_buf(),
                detail: output.summary(),
            }),
            ClientMessage::Denied => Err(RuntimeError::PermissionDenied {
                runtime,
                server: home.dir().to_path_buf(),
                detail: output.summary(),
            }),
            ClientMessage::Other => Err(failed(verb, output.summary())),
        }
    }

    /// Returns `true` if zellij still has our pane, in whichever tab it is, and whether or not its command is alive.
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

/// Returns `true` if a client ended like one whose number was given to another, or one that overlooked an existing
/// session.
fn was_cut_off(home: &Home, output: &Output) -> bool {
    match errors::classify(output, true) {
        ClientMessage::Nothing => true,
        ClientMessage::Absent => matches!(look::look(home), Ok(Observation::Up(_))),
        _ => false,
    }
}

/// Returns the recorded server.
fn server(home: &Home) -> Option<ProcessId> {
    home.read().ok().flatten()?.running.map(|running| running.server)
}

/// A pane in the output of `list-panes --json`, reduced to what we read.
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

/// The error for a session whose state is unknown now, where waiting would not have helped.
pub(super) fn unclear(home: &Home, why: String) -> RuntimeError {
    RuntimeError::NotAnswering { runtime: RuntimeKind::Zellij, server: home.dir().to_path_buf(), detail: why }
}

pub(super) fn server_gone(home: &Home, gone: Gone) -> RuntimeError {
    RuntimeError::ServerGone { runtime: RuntimeKind::Zellij, server: home.dir().to_path_buf(), gone }
}

/// The error for a kernel query that failed.
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

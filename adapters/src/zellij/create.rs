//! Creation of a session: a client on a throwaway terminal creates it at the wanted size and leaves when the pane runs.

use std::time::Duration;

use super::argv::{self, PANE};
use super::client::{failed, not_seen, timed_out};
use super::home::{self, Home};
use super::keys;
use super::look::{self, Observation};
use super::record::{Record, Running};
use super::{POLL, Zellij};
use crate::command::{Argv, Output, TerminalClient};
use crate::process;
use crate::runtime::{Created, NewSession, RuntimeError, RuntimeKind, Target};
use crate::systemd::Scope;
use crate::terminal;

/// How many times the normal deadline a creation gets. It starts a client, a server and the pane's command; 20 at once
/// took up to 4.6 s on two cores.
const DEADLINES: u32 = 5;

/// How long a server may be up without a process in its pane before zellij is queried, each time, whether there was one
/// that has already ended. The process appears some 30 ms after the socket does.
const PANE_APPEARS: Duration = Duration::from_millis(500);

/// How long the client that created a session may take to leave it. It takes some 10 ms; killing it instead leaves the
/// session unharmed too.
const LEAVE: Duration = Duration::from_millis(500);

impl Zellij {
    pub(super) async fn create_session(&self, new: &NewSession) -> Result<Created, RuntimeError> {
        check(new)?;
        let home = Home::at(&new.server);
        let mut record = self.claim(&home, new).await?;
        let created = self.start(&home, new).await;
        match created {
            Ok(running) => {
                record.running = Some(running);
                home.write(&record).map_err(|error| not_seen(&home, "attach", &error))?;
                self.bottoms.note(home.dir());
                let target = Target {
                    server: new.server.clone(),
                    session: new.session.clone(),
                    session_id: new.session.clone(),
                    pane: PANE.to_owned(),
                    server_process: Some(running.server),
                    pane_pid: running.pane.map(|pane| pane.pid),
                };
                Ok(Created { target, server: running.server, server_version: None })
            }
            // Anything that may still come up is left to `remove`, which needs the record.
            Err(error @ RuntimeError::TimedOut { .. }) => Err(error),
            Err(error) => {
                if look::starting_servers_of(&home.socket(&new.session)).is_ok_and(|servers| servers.is_empty()) {
                    home.delete().map_err(|error| not_seen(&home, "attach", &error))?;
                    return Err(error);
                }
                let (runtime, session) = (RuntimeKind::Zellij, new.session.clone());
                Err(RuntimeError::Unconfirmed { runtime, session, detail: error.to_string() })
            }
        }
    }

    /// Claims the directory for the new session. First clears away what a dead session left there.
    async fn claim(&self, home: &Home, new: &NewSession) -> Result<Record, RuntimeError> {
        let seen = |error: std::io::Error| not_seen(home, "attach", &error);
        let me = process::me().map_err(seen)?;
        let record = Record::here(&new.session, &new.tag, me).map_err(seen)?;
        // Before a start, the engine has asked.
        let version = self.versions.known_of(RuntimeKind::Zellij, &self.binary).and_then(|version| version.text);
        let keybinds = keys::keybinds(&version.unwrap_or_default());
        match home.claim(&record, &keybinds) {
            Ok(()) => return Ok(record),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(seen(error)),
        }
        let duplicate =
            || RuntimeError::DuplicateSession { runtime: RuntimeKind::Zellij, session: new.session.clone() };
        match look::look(home).map_err(seen)? {
            Observation::Gone(_) => {}
            // No client can reach it any more.
            Observation::Unreachable(left, _) if self.end_ours(home, &left).await? => {}
            _ => return Err(duplicate()),
        }
        home.delete().map_err(seen)?;
        home.claim(&record, &keybinds).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => duplicate(),
            _ => seen(error),
        })?;
        Ok(record)
    }

    async fn start(&self, home: &Home, new: &NewSession) -> Result<Running, RuntimeError> {
        let plain = argv::create(&self.binary, home, new);
        // A zellij server is a child of the client that creates it and stays in its control group.
        let scope = Scope::find(RuntimeKind::Zellij.as_str(), &new.session, home.dir()).await;
        for (scope, spared) in [true, false].into_iter().filter_map(|spared| Some((scope.as_ref()?, spared))) {
            match self.start_with(home, new, &scope.around(plain.clone(), spared)).await {
                Err(RuntimeError::Failed { detail, .. }) if Scope::refuses_to_spare(&detail) => {}
                // systemd-run is gone, or its manager refused: the session is then no worse off than we are.
                Err(RuntimeError::NoBinary { .. }) => break,
                Err(RuntimeError::Failed { detail, .. }) if detail.contains("Failed to ") => break,
                decided => return decided,
            }
        }
        self.start_with(home, new, &plain).await
    }

    async fn start_with(&self, home: &Home, new: &NewSession, argv: &Argv) -> Result<Running, RuntimeError> {
        let mut client = TerminalClient::spawn(argv, new.size).map_err(|error| self.not_run(home, "attach", error))?;
        let limit = self.deadline * DEADLINES;
        let started = tokio::select! {
            running = tokio::time::timeout(limit, self.appears(home, &new.session)) => {
                running.unwrap_or_else(|_| Err(timed_out(home, "attach", limit)))
            }
            ended = client.ended() => Err(match ended {
                Ok((status, stderr)) => Self::refused(home, new, &Output { status, stdout: Vec::new(), stderr }),
                Err(error) => self.not_run(home, "attach", error),
            }),
        };
        client.leave(LEAVE).await;
        Self::settle(home, &new.session, 0, started.as_ref().ok().map(|running| running.server)).await;
        started
    }

    /// The client ended before the session existed: an error, whatever its exit code.
    fn refused(home: &Home, new: &NewSession, output: &Output) -> RuntimeError {
        match Self::judge(home, &new.session, "attach", output, false) {
            Err(error) => error,
            Ok(()) => failed("attach", format!("the client ended before the session was there ({})", output.summary())),
        }
    }

    /// Waits until the terminal of a pane has the size of the attached client. zellij starts the process on a terminal
    /// without rows and columns and sets the size once its layout is drawn, some 10 ms later. If the client left before
    /// that, the pane would keep a wrong size.
    async fn has_its_size(pane: u32) {
        let started = tokio::time::Instant::now();
        while started.elapsed() < PANE_APPEARS
            && terminal::size(pane).is_ok_and(|size| size.columns == 0 || size.rows == 0)
        {
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the pane's process exists, or is known to have existed.
    async fn appears(&self, home: &Home, session: &str) -> Result<Running, RuntimeError> {
        let seen = |error: std::io::Error| not_seen(home, "attach", &error);
        let socket = home.socket(session);
        while !socket.exists() {
            tokio::time::sleep(POLL).await;
        }
        let mut settled = tokio::time::Instant::now() + PANE_APPEARS;
        let mut servers = Vec::new();
        loop {
            if servers.is_empty() {
                servers = look::starting_servers_of(&socket).map_err(seen)?;
            }
            for server in &servers {
                if let Some(pane) = look::pane_of(server.pid).map_err(seen)? {
                    Self::has_its_size(pane.pid).await;
                    return Ok(Running { server: *server, pane: Some(pane), socket: home::socket_inode(&socket) });
                }
            }
            servers.retain(|server| process::find(*server).is_ok_and(|status| status.is_some()));
            if let [server] = servers[..]
                && tokio::time::Instant::now() >= settled
            {
                // A query that failed says nothing about the session: it is retried.
                if let Ok(true) = self.has_pane(home, session).await {
                    return Ok(Running { server, pane: None, socket: home::socket_inode(&socket) });
                }
                settled = tokio::time::Instant::now() + PANE_APPEARS;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Checks for what zellij would silently do differently, or refuse with a cryptic message.
fn check(new: &NewSession) -> Result<(), RuntimeError> {
    if !new.cwd.is_dir() {
        return Err(failed("attach", format!("the working directory {} is not there", new.cwd.display())));
    }
    // Both are sent as text in zellij's protocol.
    if let Some(word) = new.argv.iter().find(|word| word.to_str().is_none()) {
        return Err(failed("attach", format!("the argument {} is not UTF-8, which zellij needs", word.display())));
    }
    if new.cwd.to_str().is_none() {
        return Err(failed(
            "attach",
            format!("the working directory {} is not UTF-8, which zellij needs", new.cwd.display()),
        ));
    }
    Ok(())
}

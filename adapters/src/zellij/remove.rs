//! Removal of what is ours: our pane, and the session with its server only if nothing else is in it.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::argv::{self, PANE};
use super::client::{failed, not_seen, timed_out, unclear};
use super::home::Home;
use super::look::{self, Observation};
use super::record::{Record, Running};
use super::table::Table;
use super::{POLL, Zellij};
use crate::process::{self, ProcessId};
use crate::runtime::RuntimeError;

/// How to reach a session that is to be ended.
enum Reach {
    /// Its server listens, and clients reach it through this home.
    Asked(Home),
    /// Clients cannot reach its server any more.
    Cut,
    /// Its server does not answer now, for this reason.
    Silent(String),
}

impl Zellij {
    /// Removes our pane of `session`. The session and its server end with it, unless a user has other panes there: then
    /// those live on, and the directory stays until [`Zellij::sweep`] finds it unused.
    ///
    /// `recorded` is the server that the caller knows, for a session whose directory was removed.
    pub(super) async fn clear(
        &self,
        home: &Home,
        session: &str,
        recorded: Option<ProcessId>,
    ) -> Result<(), RuntimeError> {
        let seen = |error: std::io::Error| not_seen(home, "remove", &error);
        let record = match look::known(home, &Table::read()).map_err(seen)? {
            Some(record) if record.session == session => record,
            Some(_) => return Ok(()),
            None => match recorded {
                Some(server) if process::find(server).map_err(seen)?.is_some() => {
                    look::record_of(server, session).map_err(seen)?
                }
                // There never was a session, or only files are left of it: only what is ours is deleted.
                _ => return home.delete().map_err(seen),
            },
        };
        let ended = self.end_ours(home, &record).await;
        // A client that waits for a server that has ended waits for ever, and uses CPU time meanwhile.
        Self::end_abandoned_clients(|dir| dir == home.dir()).map_err(seen)?;
        let ended = ended?;
        // A user who started zellij in our pane has another session in the directory, which could not be reached
        // without it.
        if ended && !look::is_served(home).map_err(seen)? {
            return home.delete().map_err(seen);
        }
        home.mark_closed(&record).map_err(seen)
    }

    /// As [`Runtime::sweep`](crate::runtime::Runtime::sweep).
    pub(super) async fn sweep_directory(&self, dir: &Path) -> Result<bool, RuntimeError> {
        let home = Home::at(dir);
        let seen = |error: std::io::Error| not_seen(&home, "remove", &error);
        let table = Table::read();
        if !dir.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            return Ok(false);
        }
        let record = look::known(&home, &table).map_err(seen)?;
        let unused = match &record {
            None => true,
            Some(record) => match look::look_at(&home, record.clone(), &table).map_err(seen)? {
                // The creator died, and a server that comes up late would never be found.
                Observation::Gone(_) if record.running.is_none() => self.end_ours(&home, record).await?,
                Observation::Gone(_) => true,
                Observation::Up(up) if up.record.closed && up.clients == 0 => self.end_unused(&home, record).await?,
                Observation::Unreachable(record, _) if record.closed => self.end_unused(&home, &record).await?,
                Observation::Up(_) | Observation::Unreachable(..) | Observation::Unclear(_) => false,
            },
        };
        let alone = unused && !look::is_served(&home).map_err(seen)?;
        Ok(alone && home.is_only_ours().map_err(seen)? && home.delete_as_judged(record.as_ref()).map_err(seen)?)
    }

    /// Ends a session without our pane once it is empty.
    async fn end_unused(&self, home: &Home, record: &Record) -> Result<bool, RuntimeError> {
        let seen = |error: std::io::Error| not_seen(home, "remove", &error);
        match record.running {
            Some(running) if !look::others_in(running).map_err(seen)?.is_empty() => Ok(false),
            _ => self.end_ours(home, record).await,
        }
    }

    /// Ends the session with its server, and returns true; or only closes our pane if a user has other panes in the
    /// session, and returns false.
    pub(super) async fn end_ours(&self, home: &Home, record: &Record) -> Result<bool, RuntimeError> {
        let seen = |error: std::io::Error| not_seen(home, "remove", &error);
        if record.is_elsewhere().map_err(seen)? {
            return Err(unclear(home, "it was made on another machine, or in another container".to_owned()));
        }
        if record.is_of_another_boot() {
            return Ok(true);
        }
        if let Some(running) = record.running {
            return self.end_running(home, record, running).await;
        }
        // The creator died before it could record the server, or gave up waiting for it.
        if let Some(running) = look::unnoted(home, &record.session, &Table::read()).map_err(seen)?
            && !self.end_running(home, record, running).await?
        {
            return Ok(false);
        }
        // A server that does not listen yet would start to do so in a deleted directory, where it would never be found.
        for late in look::starting_servers_of(&home.socket(&record.session)).map_err(seen)? {
            process::signal(late, Signal::SIGKILL).map_err(seen)?;
        }
        Ok(true)
    }

    async fn end_running(&self, home: &Home, record: &Record, running: Running) -> Result<bool, RuntimeError> {
        let seen = |error: std::io::Error| not_seen(home, "remove", &error);
        let record = Record { running: Some(running), ..record.clone() };
        let (session, server) = (record.session.clone(), running.server);
        let socket = home.socket(&session);
        let reach = match look::look_at(home, record, &Table::read()).map_err(seen)? {
            Observation::Gone(_) => return Ok(true),
            Observation::Up(up) => Reach::Asked(home.known_as(up.name)),
            Observation::Unreachable(..) => Reach::Cut,
            Observation::Unclear(why) => Reach::Silent(why),
        };
        // Pid and start time are one witness; the second is the purpose in its arguments.
        if !look::is_server_of(server, &socket) {
            if process::find(server).map_err(seen)?.is_none() {
                return Ok(true);
            }
            let problem = format!("process {} is not the zellij server of {}", server.pid, socket.display());
            return Err(failed("remove", problem));
        }
        if look::others_in(running).map_err(seen)?.is_empty() {
            self.end(home, &session, server, &reach).await?;
            return Ok(true);
        }
        match reach {
            Reach::Asked(home) => {
                self.with_compatible_client(server).await?.close_pane(&home, &session, running.pane).await?;
            }
            // Our pane goes with the process in it.
            Reach::Cut => {}
            Reach::Silent(why) => return Err(unclear(home, why)),
        }
        Ok(false)
    }

    /// Closes our pane, and waits until the process in it has lost its terminal.
    async fn close_pane(&self, home: &Home, session: &str, pane: Option<ProcessId>) -> Result<(), RuntimeError> {
        let seen = |error: std::io::Error| not_seen(home, "close-pane", &error);
        if !self.has_pane(home, session).await? {
            return Ok(());
        }
        let argv = argv::action(&self.binary, home, session, "close-pane").args(["--pane-id", PANE]);
        self.ask(home, session, "close-pane", &argv, true).await?;
        let deadline = tokio::time::Instant::now() + self.deadline;
        let has_terminal = || match pane {
            Some(pane) => process::find(pane).map(|found| found.is_some_and(|status| status.has_terminal)),
            None => Ok(false),
        };
        while has_terminal().map_err(seen)? || self.has_pane(home, session).await? {
            if tokio::time::Instant::now() >= deadline {
                return Err(timed_out(home, "close-pane", self.deadline));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Ends a server, but only the one that the session's own socket or record names. It is asked first, so that
    /// attached users get a sane terminal back, and killed if it hangs, cannot be reached or does not exit. The pane
    /// sees a hangup in both cases.
    ///
    /// SIGTERM is not tried: zellij 0.45.1 ignores it once any command has ended in the session.
    async fn end(&self, home: &Home, session: &str, server: ProcessId, reach: &Reach) -> Result<(), RuntimeError> {
        let seen = |error: std::io::Error| not_seen(home, "kill-session", &error);
        // Not asked if no client speaks its protocol.
        if let Reach::Asked(home) = reach
            && let Ok(client) = self.with_compatible_client(server).await
        {
            let argv = argv::client(&client.binary, home).args(["kill-session", home.name_of(session)]).ends_with_us();
            // Its messages on stdout are ignored: the kernel shows the result just below.
            if client.ask(home, session, "kill-session", &argv, true).await.is_ok()
                && self.gone_within(server, self.deadline).await.map_err(seen)?
            {
                return Ok(());
            }
        }
        process::signal(server, Signal::SIGKILL).map_err(seen)?;
        if self.gone_within(server, self.deadline).await.map_err(seen)? {
            return Ok(());
        }
        Err(timed_out(home, "SIGKILL", self.deadline))
    }

    async fn gone_within(&self, server: ProcessId, grace: Duration) -> std::io::Result<bool> {
        let deadline = tokio::time::Instant::now() + grace;
        while process::find(server)?.is_some() {
            if tokio::time::Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(true)
    }
}

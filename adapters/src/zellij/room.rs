//! Giving a session back the size it had before a small terminal looked at it.

use std::time::Duration;

use super::argv;
use super::client::{not_seen, timed_out};
use super::look::Table;
use super::{POLL, Zellij};
use crate::command::TerminalClient;
use crate::runtime::{RuntimeError, Size, Target};
use crate::terminal;

/// How long a pane may take to have its new size once the client is there: some 20 ms. One beside which a person has made
/// another keeps the old one.
const STRETCHES: Duration = Duration::from_millis(500);

/// How long the client that stretched a session may take to leave it; see [`super::create`].
const LEAVE: Duration = Duration::from_millis(500);

impl Zellij {
    /// A session takes the size of whoever looks at it and keeps that: so a client on a throwaway terminal of the wanted
    /// size looks at it for a moment. It takes some 50 ms.
    pub(super) async fn make_room(&self, target: &Target, size: Size) -> Result<(), RuntimeError> {
        let (home, up) = Self::up(target, "attach")?;
        let Some(pane) = up.pane else { return Ok(()) };
        let seen = |error: std::io::Error| not_seen(&home, "attach", &error);
        let before = terminal::size(pane.pid).map_err(seen)?;
        let clients = Table::read().of(&home.socket(&target.session)).clients;
        let argv = argv::look_on(&self.speaking_with(up.server).await?.binary, &home, &target.session);
        let mut client = TerminalClient::spawn(&argv, (size.columns, size.rows))
            .map_err(|error| self.not_run(&home, "attach", error))?;
        let stretched = async {
            while Table::read().of(&home.socket(&target.session)).clients <= clients {
                tokio::time::sleep(POLL).await;
            }
            let seen = tokio::time::Instant::now();
            while seen.elapsed() < STRETCHES && terminal::size(pane.pid).is_ok_and(|now| now == before) {
                tokio::time::sleep(POLL).await;
            }
        };
        let in_time = tokio::select! {
            in_time = tokio::time::timeout(self.deadline, stretched) => in_time.is_ok(),
            // It was refused, or the session ended: the next look tells.
            _ = client.ended() => true,
        };
        client.leave(LEAVE).await;
        Self::settle(&home, &target.session, clients, Some(up.server)).await;
        if in_time { Ok(()) } else { Err(timed_out(&home, "attach", self.deadline)) }
    }
}

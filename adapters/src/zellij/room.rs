//! Restores the size of a session after a small terminal was attached to it.

use std::time::Duration;

use super::argv;
use super::client::{RETRIES, not_seen, timed_out};
use super::table::Table;
use super::{POLL, Zellij};
use crate::command::TerminalClient;
use crate::runtime::{RuntimeError, Size, Target};
use crate::terminal;

/// How long a pane may take to get its new size once the client is attached: some 20 ms. A pane next to which a user
/// has opened another keeps the old size. At a load of 18 half a second was too little.
const RESIZE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the client that stretched a session may take to leave it; see [`super::create`].
const LEAVE: Duration = Duration::from_millis(500);

impl Zellij {
    /// Resizes the session by attaching a client on a throwaway terminal of the wanted size for a moment: a session
    /// adopts the size of an attached client and keeps it. It takes some 50 ms. A client that is cut off is started
    /// again; see [`Self::settle`].
    pub(super) async fn make_room(&self, target: &Target, size: Size) -> Result<(), RuntimeError> {
        for _ in 0..=RETRIES {
            if self.attach_briefly(target, size).await? {
                break;
            }
        }
        Ok(())
    }

    /// Returns `true` if the client was attached until the pane had its new size, or clearly keeps its old one.
    /// Otherwise the session ended, or the client was cut off.
    async fn attach_briefly(&self, target: &Target, size: Size) -> Result<bool, RuntimeError> {
        let (home, up) = Self::up(target, "attach")?;
        let Some(pane) = up.pane else { return Ok(true) };
        let seen = |error: std::io::Error| not_seen(&home, "attach", &error);
        let before = terminal::size(pane.pid).map_err(seen)?;
        let clients = Table::read().of(&home.socket(&target.session)).clients;
        let argv = argv::attach_briefly(&self.with_compatible_client(up.server).await?.binary, &home, &target.session);
        let mut client = TerminalClient::spawn(&argv, (size.columns, size.rows))
            .map_err(|error| self.not_run(&home, "attach", error))?;
        let comes = async {
            while Table::read().of(&home.socket(&target.session)).clients <= clients {
                tokio::time::sleep(POLL).await;
            }
        };
        let stretched = async {
            // The connection is the server's answer; a pane that keeps its size afterwards is not an error.
            tokio::time::timeout(self.deadline, comes).await.map_err(|_| timed_out(&home, "attach", self.deadline))?;
            let seen = tokio::time::Instant::now();
            while seen.elapsed() < RESIZE_TIMEOUT && terminal::size(pane.pid).is_ok_and(|now| now == before) {
                tokio::time::sleep(POLL).await;
            }
            Ok(true)
        };
        let looked = tokio::select! {
            looked = stretched => looked,
            _ = client.ended() => Ok(false),
        };
        client.leave(LEAVE).await;
        Self::settle(&home, &target.session, clients, Some(up.server)).await;
        looked
    }
}

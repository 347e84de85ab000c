//! Ends a server that hosts nothing any more.

use std::path::Path;

use super::classify::Asked;
use super::server as listening;
use super::{Tmux, argv, probe};
use crate::runtime::{Listing, Runtime, RuntimeError};

impl Tmux {
    /// As [`Runtime::retire`].
    ///
    /// # Source
    /// With `exit-empty` a server exits when it has no session. The server checks this itself, so nothing can come in
    /// between (`server_loop` in `server.c`, 2.7 to 3.7c).
    pub(super) async fn end_if_empty(&self, server: &Path) -> Result<bool, RuntimeError> {
        let asked = Asked { command: "set-option", server, session: "" };
        let Ok(process) = probe::probe(asked)? else { return Ok(false) };
        let hosts = |listing| matches!(listing, Listing::Up { rows, .. } if !rows.is_empty());
        if hosts(self.list(server).await?) {
            return Ok(false);
        }
        let set = async |exits| {
            self.run(&self.client(asked, process, argv::exit_when_empty(exits)).await?, None, asked).await.map(drop)
        };
        let ends = async {
            set(true).await?;
            let started = tokio::time::Instant::now();
            while started.elapsed() < self.deadline {
                if probe::has_ended(process, asked)? {
                    return Ok(true);
                }
                if hosts(self.list(server).await?) {
                    break;
                }
                tokio::time::sleep(listening::LISTENS * 20).await;
            }
            Ok(false)
        };
        let ended = ends.await;
        if matches!(ended, Ok(true)) {
            return ended;
        }
        // A server that stays must not exit with its next session.
        match set(false).await {
            Err(RuntimeError::ServerGone { .. }) => Ok(true),
            restored => ended.and_then(|ended| restored.map(|()| ended)),
        }
    }
}

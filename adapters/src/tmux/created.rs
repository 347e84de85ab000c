//! A session that was just created, also where the answer to its creation could not be read.

use super::classify::Asked;
use super::listing::NewPane;
use super::{KIND, Tmux, argv};
use crate::process::ProcessId;
use crate::runtime::{Created, Listing, NewSession, RuntimeError, Target};
use crate::version::Executable;

impl Tmux {
    /// Looks for a session whose creation failed or was answered unreadably (by a wrapper that prints lines of its
    /// own). Searches by tag, in a listing by the client that was used, then in one by the server's own executable.
    ///
    /// # Errors
    /// `why` if a listing shows that the session does not exist; [`RuntimeError::Unconfirmed`] if no listing is
    /// available.
    pub(super) async fn find_created(
        &self,
        new: &NewSession,
        server: ProcessId,
        asked: Asked<'_>,
        why: RuntimeError,
    ) -> Result<Created, RuntimeError> {
        use RuntimeError::{DuplicateSession, NoBinary, NotAnswering, PermissionDenied, ServerGone, TimedOut};
        // These mean that nothing was created, or that it is still unknown.
        if matches!(
            why,
            DuplicateSession { .. }
                | NoBinary { .. }
                | NotAnswering { .. }
                | PermissionDenied { .. }
                | ServerGone { .. }
                | TimedOut { .. }
        ) {
            return Err(why);
        }
        let own = Executable::of(server).map(|own| own.path);
        for binary in [Some(self.binary.clone()), own].into_iter().flatten() {
            let client = self.argv(binary, asked.server, argv::list_panes());
            match self.list_by(&client, server, asked).await {
                Ok(Listing::Up { rows, .. }) => {
                    let row = rows.into_iter().find(|row| row.tag == new.tag && row.pane_pid.is_some()).ok_or(why)?;
                    let pane_pid = row.pane_pid.unwrap_or_default();
                    let made = NewPane {
                        session_id: row.session_id,
                        pane: row.pane,
                        pane_pid,
                        server: server.pid,
                        version: None,
                    };
                    return Ok(created(new, server, made));
                }
                Ok(Listing::Gone(_)) => return Err(why),
                Err(error) => tracing::debug!(%error, "looking for a session whose making was not confirmed"),
            }
        }
        Err(RuntimeError::Unconfirmed { runtime: KIND, session: new.session.clone(), detail: why.to_string() })
    }
}

pub(super) fn created(new: &NewSession, server: ProcessId, made: NewPane) -> Created {
    let target = Target {
        server: new.server.clone(),
        session: new.session.clone(),
        session_id: made.session_id,
        pane: made.pane,
        server_process: Some(server),
        pane_pid: Some(made.pane_pid),
    };
    Created { target, server, server_version: made.version.map(|version| format!("tmux {version}")) }
}

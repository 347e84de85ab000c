//! Servers that end with a login, and every agent on them too. The user is notified once, before it happens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use peer_adapters::process::{self, ProcessId};
use peer_adapters::systemd::{self, EndedBy};

use crate::engine::Engine;
use crate::engine::observe::{Standing, process_id, standing};
use crate::policy::name::PeerName;
use crate::store::SessionRecord;

/// The file that records that the user was notified.
const TOLD: &str = "login-told";

/// A server that does not outlive a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoginBoundServer {
    /// How many peers it hosts.
    pub(crate) peers: usize,
    /// Which server it is, and when it ends.
    pub(crate) what: String,
    /// The command that keeps it.
    pub(crate) cure: String,
}

impl Engine {
    /// Notifies the user if a server that is new to the fleet ends with a login. Once only; a server that does not end
    /// with a login resets this.
    pub(crate) async fn warn_of_login(&self, server: ProcessId, path: &Path) {
        let Some(fate) = systemd::fate_of(server.pid).await else { return };
        let noted = match (ending(fate, server, path, 1), self.state.kept_file(TOLD)) {
            (Some(ending), None) => {
                self.progress.notice(&format!("{}; {} keeps it", ending.what, ending.cure));
                self.state.keep_file(TOLD, &format!("{}\n", self.now()))
            }
            (None, Some(_)) => self.state.forget_file(TOLD),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        };
        // Not a reason for a wake to fail; the user is notified again next time.
        if let Err(error) = noted {
            tracing::debug!(%error, "{TOLD}");
        }
    }

    /// Returns the recorded servers that end with a login, determined only by where each runs.
    pub(crate) async fn ending_with_a_login(&self, records: &[(PeerName, SessionRecord)]) -> Vec<LoginBoundServer> {
        let here = |record: &SessionRecord| standing(record) == Standing::Here;
        let mut servers = BTreeMap::<(ProcessId, PathBuf), usize>::new();
        for (_, record) in records.iter().filter(|(_, record)| here(record)) {
            if let Some(server) = record.place.server_process.map(process_id) {
                *servers.entry((server, record.place.server.clone())).or_default() += 1;
            }
        }
        let mut found = Vec::new();
        for ((server, path), peers) in servers {
            if matches!(process::find(server), Ok(Some(_)))
                && let Some(fate) = systemd::fate_of(server.pid).await
            {
                found.extend(ending(fate, server, &path, peers));
            }
        }
        found
    }
}

/// Describes the end of a server; `None` if no login ends it.
fn ending(fate: EndedBy, server: ProcessId, path: &Path, peers: usize) -> Option<LoginBoundServer> {
    let (pid, path) = (server.pid, path.display());
    let (when, cure) = match fate {
        EndedBy::Stays => return None,
        EndedBy::WithLastLogin(uid) => (
            "with your last logout, and its agents with it: it runs below your systemd manager, and you do not linger",
            format!("loginctl enable-linger {}", name_of(Some(uid))),
        ),
        EndedBy::WithThisLogin(uid) => (
            "with the login that it was started from, and its agents with it: logind kills what that leaves \
             (KillUserProcesses=yes)",
            format!("loginctl enable-linger {}, then peer restart-runtime", name_of(uid)),
        ),
    };
    Some(LoginBoundServer { peers, what: format!("server {pid} at {path} ends {when}"), cure: cure.trim().to_owned() })
}

fn name_of(uid: Option<u32>) -> String {
    let user = uid.and_then(|uid| nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten());
    user.map(|user| user.name).or_else(|| uid.map(|uid| uid.to_string())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_with_a_login_is_told_with_what_keeps_it() {
        let server = ProcessId { pid: 7, start: 1 };
        let of = |fate| ending(fate, server, Path::new("/s"), 1);
        assert_eq!(of(EndedBy::Stays), None);
        let last = of(EndedBy::WithLastLogin(u32::MAX - 7)).expect("told");
        assert!(last.what.starts_with("server 7 at /s ends with your last logout"), "{last:?}");
        assert!(last.cure.starts_with("loginctl enable-linger "), "{last:?}");
        let this = of(EndedBy::WithThisLogin(None)).expect("told");
        assert!(this.what.contains("KillUserProcesses=yes") && this.cure.ends_with("peer restart-runtime"), "{this:?}");
    }
}

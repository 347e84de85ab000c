//! Servers that end with a login, and every agent on them: said once, before it happens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use peer_adapters::process::{self, ProcessId};
use peer_adapters::systemd::{self, Fate};

use crate::engine::Engine;
use crate::engine::observe::{Standing, process_id, standing};
use crate::policy::name::PeerName;
use crate::store::SessionRecord;

/// The file that tells that a person was told.
const TOLD: &str = "login-told";

/// A server that does not outlive a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// How many peers it hosts.
    pub(crate) peers: usize,
    /// What it is and when it ends.
    pub(crate) what: String,
    /// What keeps it.
    pub(crate) cure: String,
}

impl Engine {
    /// Says of a server that has just been started, or that nobody knew, whether it ends with a login: once, until one is
    /// met that does not.
    pub(crate) async fn tell_of_login(&self, server: ProcessId, path: &Path) {
        let Some(fate) = systemd::fate_of(server.pid).await else { return };
        let noted = match (ending(fate, server, path, 1), self.state.kept_file(TOLD)) {
            (Some(ending), None) => {
                self.progress.notice(&format!("{}; {} keeps it", ending.what, ending.cure));
                self.state.keep_file(TOLD, &format!("{}\n", self.now()))
            }
            (None, Some(_)) => self.state.forget_file(TOLD),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        };
        // No reason for a wake to fail; it is said again then.
        if let Err(error) = noted {
            tracing::debug!(%error, "{TOLD}");
        }
    }

    /// The servers on record that end with a login, by where each of them lives and by nothing else.
    pub(crate) async fn ending_with_a_login(&self, records: &[(PeerName, SessionRecord)]) -> Vec<Ending> {
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

/// What is to be said of it; `None` where no login ends it.
fn ending(fate: Fate, server: ProcessId, path: &Path, peers: usize) -> Option<Ending> {
    let (pid, path) = (server.pid, path.display());
    let (when, cure) = match fate {
        Fate::Stays => return None,
        Fate::WithLastLogin(uid) => (
            "with your last logout, and its agents with it: it runs below your systemd manager, and you do not linger",
            format!("loginctl enable-linger {}", name_of(Some(uid))),
        ),
        Fate::WithThisLogin(uid) => (
            "with the login that it was started from, and its agents with it: logind kills what that leaves \
             (KillUserProcesses=yes)",
            format!("loginctl enable-linger {}, then peer restart-runtime", name_of(uid)),
        ),
    };
    Some(Ending { peers, what: format!("server {pid} at {path} ends {when}"), cure: cure.trim().to_owned() })
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
        assert_eq!(of(Fate::Stays), None);
        let last = of(Fate::WithLastLogin(u32::MAX - 7)).expect("told");
        assert!(last.what.starts_with("server 7 at /s ends with your last logout"), "{last:?}");
        assert!(last.cure.starts_with("loginctl enable-linger "), "{last:?}");
        let this = of(Fate::WithThisLogin(None)).expect("told");
        assert!(this.what.contains("KillUserProcesses=yes") && this.cure.ends_with("peer restart-runtime"), "{this:?}");
    }
}

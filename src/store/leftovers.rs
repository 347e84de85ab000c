//! Removes temporary files whose writers were killed before the rename.

use std::path::Path;

use peer_adapters::file;

use super::{Marker, Result, StateDir, StoreError, fleet_files};
use crate::policy::name::PeerName;

/// Files of one peer that are written through a temporary file, besides its markers.
const OF_A_PEER: [&str; 6] = ["session", "end", "deaths", "topic", "screen", "env"];

impl StateDir {
    /// Removes `peer`'s temporary files whose writers are gone, and returns how many there were. `lives` reports
    /// whether a process with this pid exists.
    ///
    /// # Errors
    /// If a directory cannot be listed. A file that cannot be removed is left for the next sweep.
    pub fn sweep_temporaries(&self, lives: impl Fn(u32) -> bool) -> Result<usize> {
        let panes = self.root().join("panes");
        let in_root = file::sweep(self.root(), is_ours, &lives).map_err(StoreError::new("list", self.root()))?;
        let inboxes = self.sweep_inboxes(|dir| file::sweep(dir, is_of_inbox, &lives))?;
        Ok(in_root + inboxes + file::sweep(&panes, is_of_a_pane, &lives).map_err(StoreError::new("list", panes))?)
    }
}

/// Whether this is a temporary file of ours that is one peer's, in the state directory or in `panes/`.
pub(super) fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(file::temporary);
    name.is_some_and(|(file, _)| is_ours(file) || is_of_a_pane(file))
}

fn is_ours(file: &str) -> bool {
    let of_a_peer = |(name, suffix): (&str, &str)| {
        let known = OF_A_PEER.contains(&suffix) || Marker::ALL.iter().any(|marker| marker.suffix() == suffix);
        // A corrupt lock file is set aside as a copy, written through a temporary file. Other corrupt files are
        // renamed.
        (known || suffix.starts_with("lock.corrupt-")) && name.parse::<PeerName>().is_ok()
    };
    fleet_files::is_replaced(file) || file.split_once('.').is_some_and(of_a_peer)
}

/// Matches `NAME.N.launch`, `NAME.N.exit`, `NAME.N.conversation` and `NAME.N.typing`.
fn is_of_a_pane(file: &str) -> bool {
    let mut parts = file.split('.');
    let name = parts.next().is_some_and(|name| name.parse::<PeerName>().is_ok());
    let number = parts.next().is_some_and(|number| number.parse::<u64>().is_ok());
    name && number
        && matches!(parts.next(), Some("launch" | "exit" | "conversation" | "typing"))
        && parts.next().is_none()
}

/// Matches `N.message`, `N.taken` and `N.dead`.
fn is_of_inbox(file: &str) -> bool {
    let number =
        |(number, kind): (&str, &str)| number.parse::<u64>().is_ok() && matches!(kind, "message" | "taken" | "dead");
    file.split_once('.').is_some_and(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_give_are_ours() {
        let told = |name: &str| file::temporary(name).is_some_and(|(file, _)| is_ours(file));
        for name in [
            "a.session.tmp",
            "a.beat.tmp77",
            "heartbeat.json.tmp",
            "renaming.json.tmp77",
            "login-told.tmp",
            "timer.sh.tmp77",
            "tmux.conf.tmp1",
            "a-b.idle-reaped.tmp",
            "a.lock.corrupt-1.tmp",
        ] {
            assert!(told(name), "{name}");
        }
        for name in [
            "notes.tmp",
            "a.session",
            "a.lock.tmp",
            "a.notes.tmp",
            "A.session.tmp",
            "a.session.tmp1x",
            "a.conversations.tmp",
        ] {
            assert!(!told(name), "{name}");
        }
        let pane = |name: &str| file::temporary(name).is_some_and(|(file, _)| is_of_a_pane(file));
        assert!(pane("a.3.exit.tmp") && pane("a.3.launch.tmp"));
        assert!(!pane("a.x.exit.tmp") && !pane("a.3.exit") && !pane("a.3.exit.old.tmp"));
    }
}

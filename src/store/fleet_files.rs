//! The files of the whole fleet in the state directory, by name.
//!
//! Those of a peer are `NAME.suffix`, and a peer may be named `heartbeat` or `lifecycle`. None of its own files is ever
//! named like one of these; the locks of the fleet have names without a dot, as no file of a peer has.

use peer_adapters::file;

/// The decision log. Its predecessors have a number behind that.
pub(super) const LOG: &str = "lifecycle.log";

/// The last tick.
pub(super) const HEARTBEAT: &str = "heartbeat.json";

/// The lock of ticks.
pub(super) const TICK_LOCK: &str = "reap-lock";

/// The lock of those who make a server listen again.
pub(super) const RECONNECT_LOCK: &str = "servers-lock";

/// Files that are written through a temporary file.
const REPLACED: [&str; 9] = [
    HEARTBEAT,
    "hints.json",
    "login-told",
    "pi-extension.js",
    "renaming.json",
    "servers.json",
    "timer.sh",
    "tmux.conf",
    "versions.json",
];

/// Whether a file with this name is written through a temporary file.
pub(super) fn is_replaced(file: &str) -> bool {
    REPLACED.contains(&file)
}

/// Whether this is a file of the fleet, or what a killed writer left of one.
pub(super) fn is_of_the_fleet(file: &str) -> bool {
    let file = file::temporary(file).map_or(file, |(file, _)| file);
    let log = || file.strip_prefix(LOG).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    is_replaced(file) || log()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_peer_is_none_of_the_fleets() {
        for of_the_fleet in ["heartbeat.json", "heartbeat.json.tmp7", "lifecycle.log", "lifecycle.log.3", "timer.sh"] {
            assert!(is_of_the_fleet(of_the_fleet), "{of_the_fleet}");
        }
        for of_a_peer in ["heartbeat.session", "lifecycle.lock", "servers.env", "timer.session.tmp", "lifecycle.login"]
        {
            assert!(!is_of_the_fleet(of_a_peer), "{of_a_peer}");
        }
        // A lock is never deleted, so no peer may have one of the same name.
        assert!([TICK_LOCK, RECONNECT_LOCK].iter().all(|lock| !lock.contains('.')));
    }
}

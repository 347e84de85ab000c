//! The record of a session that we created, stored next to its socket.

use std::io;

use serde::{Deserialize, Serialize};

use crate::process::{self, ProcessId};

/// Our record of a session that we created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The session's name.
    pub(super) session: String,
    /// The caller's tag.
    pub(super) tag: String,
    /// The boot in which the processes below are valid.
    pub(super) boot: String,
    /// The machine and pid namespace in which they are valid; absent in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) machine: Option<String>,
    /// That machine's host name, because machine ids get copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) host_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pid_namespace: Option<u64>,
    /// The process that creates the session.
    pub(super) creator: ProcessId,
    /// Its server and its pane's process; absent until the creation has succeeded.
    pub(super) running: Option<Running>,
    /// Whether our pane was closed. Then only the user's panes are left, and the directory stays as long as they do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) closed: bool,
}

impl Record {
    /// Creates the record of a session that `creator` creates here and now.
    pub(super) fn here(session: &str, tag: &str, creator: ProcessId) -> io::Result<Self> {
        let host = process::host()?;
        Ok(Self {
            session: session.to_owned(),
            tag: tag.to_owned(),
            boot: process::boot_id()?,
            machine: Some(host.machine.clone()),
            host_name: Some(host.name.clone()),
            pid_namespace: host.pid_namespace,
            creator,
            running: None,
            closed: false,
        })
    }

    /// Returns `true` if its processes belong to another machine, or to another pid namespace within this boot: their
    /// pids mean nothing here, and its socket's file leads nowhere.
    pub(super) fn is_elsewhere(&self) -> io::Result<bool> {
        let Some(machine) = &self.machine else { return Ok(false) };
        let here = process::host()?;
        let another_boot = self.is_of_another_boot();
        let name = self.host_name.as_deref().unwrap_or(&here.name);
        Ok(here.is_not_of(machine, name, another_boot)
            || !here.shares_processes_with(machine, self.pid_namespace) && !another_boot)
    }

    /// Returns `true` if its processes belong to another boot. A kernel that does not report its boot id proves
    /// nothing.
    pub(super) fn is_of_another_boot(&self) -> bool {
        process::boot_id().is_ok_and(|boot| boot != self.boot)
    }
}

/// The processes of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    /// The zellij server.
    pub(super) server: ProcessId,
    /// The process in the pane; absent if it had ended before it was seen.
    pub(super) pane: Option<ProcessId>,
    /// The inode of the socket's file, which survives a rename; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) socket: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_an_older_release_is_read() {
        let text = r#"{"session":"s","tag":"t","boot":"b","creator":{"pid":1,"start":2},
            "running":{"server":{"pid":3,"start":4},"pane":null}}"#;
        let record: Record = serde_json::from_str(text).expect("readable");
        assert!(!record.closed && record.running.is_some_and(|running| running.socket.is_none()));
        assert!(!record.is_elsewhere().expect("told") && record.is_of_another_boot());
        let elsewhere = Record { machine: Some("another".into()), ..record };
        assert!(elsewhere.is_elsewhere().expect("told"));
        let machine = Some(process::host().expect("told").machine.clone());
        let clone = Record { machine, host_name: Some("another".into()), ..elsewhere };
        assert_eq!(clone.is_elsewhere().expect("told"), cfg!(target_os = "linux"));
        let renamed = Record { boot: process::boot_id().expect("told"), ..clone };
        assert!(!renamed.is_elsewhere().expect("told"));
    }
}

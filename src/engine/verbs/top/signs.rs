//! Whether anything can have changed since the fleet was last observed, by file times and kernel counters. This costs a
//! tenth of an observation.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use peer_adapters::process::{self, ProcessId};
use peer_adapters::writes::Writes;

use crate::engine::Engine;
use crate::engine::verbs::list::Fleet;

/// When a file was written, and its length.
type Stamp = Option<(SystemTime, u64)>;

/// A living agent, and how much it and its descendants have written.
type Alive = (Option<ProcessId>, u64);

/// What is checked for signs of a change. It stays the same while the fleet has the same peers and agents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Watched {
    files: Vec<PathBuf>,
    agents: Vec<u32>,
}

impl Watched {
    /// Returns the directories that contain the peers' files, the log, each spec, and each agent.
    pub(super) fn of(engine: &Engine, fleet: &Fleet) -> Self {
        let root = engine.state.root();
        let specs = engine.config.root().join("peers");
        let mut files = vec![root.to_owned(), root.join("panes"), engine.state.journal().path().to_owned(), specs];
        let names = fleet.rows.iter().map(|row| &row.peer).chain(fleet.broken.iter().map(|(name, _)| name));
        files.extend(names.map(|name| engine.config.spec_path(name)));
        Self { files, agents: fleet.rows.iter().filter_map(|row| row.pid).collect() }
    }

    /// Returns their current state. `None` if the kernel does not report it (macOS, another user's agent); then every
    /// look must be a full one.
    pub(super) fn now(&self) -> Option<Signs> {
        let agents: Option<_> = self.agents.iter().map(|pid| agent(*pid)).collect();
        Some(Signs { files: self.files.iter().map(|path| changed(path)).collect(), agents: agents? })
    }
}

/// What changes when something happens: what `peer` does is in its log, and most of its writes are renames in one of
/// two directories; an agent that does or shows anything writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signs {
    files: Vec<Stamp>,
    agents: Vec<Alive>,
}

fn changed(path: &Path) -> Stamp {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn agent(pid: u32) -> Option<Alive> {
    let running = process::status(pid).ok()?.map(|status| status.id);
    // An agent that has ended writes nothing more.
    let written = if running.is_some() { Writes::of(pid).count()? } else { 0 };
    Some((running, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_or_gone_is_a_sign() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        assert_eq!(changed(&file), None);
        std::fs::write(&file, "one").expect("write");
        let (one, around) = (changed(&file), changed(dir.path()));
        std::fs::write(&file, "longer").expect("write");
        assert_ne!(changed(&file), one);
        std::fs::rename(&file, dir.path().join("other name")).expect("rename");
        assert!(changed(dir.path()) >= around && changed(&file).is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_agent_that_writes_or_ends_is_a_sign() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("cat");
        let before = agent(child.id());
        assert!(before.is_some_and(|(running, _)| running.is_some()));
        assert_eq!(agent(child.id()), before);
        std::io::Write::write_all(child.stdin.as_mut().expect("piped"), b"line\n").expect("write");
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while agent(child.id()) == before {
            assert!(std::time::Instant::now() < end, "cat has written");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.kill().expect("our child");
        child.wait().expect("our child");
        assert_eq!(agent(child.id()), Some((None, 0)));
    }
}

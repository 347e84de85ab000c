//! The advisory lock of a peer, and [`Locked`], through which all changes to its files go.
//!
//! A wake holds the lock while the runtime creates the pane, and meanwhile the pane process has to record its agent.
//! The record of a start without an agent therefore has a second lock, the [`Gate`]. A process that takes the peer's
//! lock also takes the gate of such a start. Only the wake that performs the start leaves the gate to the pane process.

use std::fs::File;
use std::io;
use std::path::Path;

use fs2::FileExt;
use peer_adapters::file;

use super::locked::write_json;
use super::{PeerFiles, Result, SessionRecord, StoreError};
use crate::policy::ending::Incarnation;

/// The exclusive right to change a peer's files, held until it is dropped.
#[derive(Debug)]
pub struct Locked {
    pub(super) files: PeerFiles,
    // Closing the descriptor releases the lock, and so does the exit of this process.
    pub(super) lock: File,
    _gate: Option<Gate>,
}

/// Keeps the pane process of one incarnation from starting its agent, until it is dropped. It is a lock on the launch
/// file, which exists from before the start until after the end.
#[derive(Debug)]
pub struct Gate {
    _lock: File,
}

/// Whether to wait for a lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Never,
    Forever,
}

/// Locks the file. Returns `false` if another process holds the lock and `wait` is [`Wait::Never`].
pub(super) fn lock_file(file: &File, path: &Path, wait: Wait) -> Result<bool> {
    loop {
        let locked = match wait {
            Wait::Never => FileExt::try_lock_exclusive(file),
            Wait::Forever => FileExt::lock_exclusive(file),
        };
        match locked {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StoreError::new("lock", path)(error)),
        }
    }
}

fn open_lock_file(files: &PeerFiles) -> Result<File> {
    let path = files.path("lock");
    file::open_or_create(&path).map_err(StoreError::new("open", path))
}

/// The exclusive right to await the answer to a message, held until it is dropped.
#[derive(Debug)]
pub struct AwaitedTurn {
    _lock: File,
}

pub(super) fn try_turn(files: &PeerFiles) -> Result<Option<AwaitedTurn>> {
    let path = files.path("turn");
    let file = file::open_or_create(&path).map_err(StoreError::new("open", &path))?;
    Ok(lock_file(&file, &path, Wait::Never)?.then_some(AwaitedTurn { _lock: file }))
}

pub(super) fn try_lock(files: PeerFiles) -> Result<Option<Locked>> {
    lock(files, Wait::Never)
}

pub(super) fn lock_blocking(files: PeerFiles) -> Result<Locked> {
    Ok(lock(files, Wait::Forever)?.expect("it was waited for"))
}

fn lock(files: PeerFiles, wait: Wait) -> Result<Option<Locked>> {
    let file = open_lock_file(&files)?;
    if !lock_file(&file, &files.path("lock"), wait)? {
        return Ok(None);
    }
    let starting = files.session()?.present().filter(|record| record.process.is_none());
    let gate = match starting {
        Some(record) => gate(&files, record.incarnation, wait)?,
        None => Gated::Absent,
    };
    Ok(match gate {
        Gated::Taken(gate) => Some(Locked { files, lock: file, _gate: Some(gate) }),
        Gated::Absent => Some(Locked { files, lock: file, _gate: None }),
        Gated::Busy => None,
    })
}

enum Gated {
    Taken(Gate),
    /// There is no launch file, and nothing is started without one.
    Absent,
    /// The pane process is just starting its agent.
    Busy,
}

fn gate(files: &PeerFiles, incarnation: Incarnation, wait: Wait) -> Result<Gated> {
    let path = files.launch_path(incarnation);
    let file = match file::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Gated::Absent),
        Err(error) => return Err(StoreError::new("open", path)(error)),
    };
    Ok(if lock_file(&file, &path, wait)? { Gated::Taken(Gate { _lock: file }) } else { Gated::Busy })
}

/// The pane process's right to record its agent, held until it is dropped; see [`StateDir::start_in_pane`].
///
/// [`StateDir::start_in_pane`]: super::StateDir::start_in_pane
#[derive(Debug)]
pub struct Starting {
    files: PeerFiles,
    _gate: Option<Gate>,
}

pub(super) fn start_in_pane(files: PeerFiles, incarnation: Incarnation) -> Result<Starting> {
    let gate = match gate(&files, incarnation, Wait::Forever)? {
        Gated::Taken(gate) => Some(gate),
        Gated::Absent | Gated::Busy => None,
    };
    Ok(Starting { files, _gate: gate })
}

impl Starting {
    /// Returns the peer's files for reading.
    pub fn files(&self) -> &PeerFiles {
        &self.files
    }

    /// Records the agent's process.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn write_session(&self, record: &SessionRecord) -> Result<()> {
        write_json(&self.files.path("session"), record)
    }
}

impl Locked {
    /// Takes the gate of an incarnation that the holder of this lock starts. Returns `None` if the pane process is just
    /// starting the agent, which takes a millisecond. Never blocks. Read the session record again afterwards, because
    /// it may have changed.
    ///
    /// # Errors
    /// As [`StateDir::try_lock`](super::StateDir::try_lock), or if there is no launch file.
    pub fn try_gate(&self, incarnation: Incarnation) -> Result<Option<Gate>> {
        match gate(&self.files, incarnation, Wait::Never)? {
            Gated::Taken(gate) => Ok(Some(gate)),
            Gated::Busy => Ok(None),
            Gated::Absent => {
                Err(StoreError::new("open", self.files.launch_path(incarnation))(io::ErrorKind::NotFound.into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use peer_adapters::inherited::Inherited;
    use peer_adapters::runtime::RuntimeKind;

    use super::*;
    use crate::policy::time::Timestamp;
    use crate::store::{AgentProcess, Launch, Place, Process, StateDir};

    const FIRST: Incarnation = Incarnation(1);

    /// A state directory in which a wake has recorded its start, and then released the lock or was killed.
    fn starting() -> (tempfile::TempDir, StateDir, SessionRecord) {
        let dir = tempfile::tempdir().expect("directory");
        let state = StateDir::open(dir.path().join("state")).expect("state");
        let place = Place::planned(RuntimeKind::Tmux, "/usr/bin/tmux".into(), "/nonexistent".into(), "a-1".to_owned());
        let (driver, woke_at) = (Process { pid: 1, start: 1 }, Timestamp::from_ms(1));
        let record = SessionRecord::starting(FIRST, place, driver, String::new(), "command", "first-wake", woke_at);
        let launch = Launch {
            argv: vec![],
            cwd: "/".into(),
            config_dir: "/".into(),
            host: None,
            boot_id: None,
            grace_ms: 0,
            env: vec![],
            inherited: Inherited::default(),
        };
        let locked = state.try_lock(&name()).expect("usable").expect("free");
        locked.write_launch(FIRST, &launch).expect("written");
        locked.write_session(&record).expect("written");
        drop(locked);
        (dir, state, record)
    }

    fn name() -> crate::policy::name::PeerName {
        "a".parse().expect("a name")
    }

    #[test]
    fn nobody_takes_the_lock_while_the_pane_process_starts_its_agent() {
        let (_dir, state, mut record) = starting();
        let in_pane = state.start_in_pane(&name(), FIRST).expect("usable");
        assert!(state.try_lock(&name()).expect("usable").is_none(), "the record is being changed");
        let agent = Process { pid: 2, start: 2 };
        record.process = Some(AgentProcess { id: agent, session: 2 });
        in_pane.write_session(&record).expect("written");
        // From here on, dropping it changes nothing.
        assert!(state.try_lock(&name()).expect("usable").is_some());
    }

    #[test]
    fn who_holds_the_lock_of_such_a_start_keeps_the_pane_process_from_it() {
        let (_dir, state, record) = starting();
        let locked = state.try_lock(&name()).expect("usable").expect("free");
        let pane = std::thread::spawn({
            let state = state.clone();
            move || state.start_in_pane(&name(), FIRST).expect("usable").files().session().expect("readable").present()
        });
        let next = SessionRecord { incarnation: Incarnation(2), ..record };
        locked.write_session(&next).expect("written");
        drop(locked);
        let seen = pane.join().expect("no panic").expect("a record");
        assert_eq!(seen.incarnation, Incarnation(2), "it is superseded, whenever it came");
    }

    #[test]
    fn the_wake_that_makes_the_pane_leaves_the_gate_to_it() {
        let (_dir, state, record) = starting();
        state.try_lock(&name()).expect("usable").expect("free").remove("session").expect("removed");
        let locked = state.try_lock(&name()).expect("usable").expect("free");
        locked.write_session(&record).expect("written");
        let in_pane = state.start_in_pane(&name(), FIRST).expect("usable");
        assert!(locked.try_gate(FIRST).expect("usable").is_none(), "the pane process is at it");
        drop(in_pane);
        assert!(locked.try_gate(FIRST).expect("usable").is_some());
    }
}

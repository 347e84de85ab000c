//! Adding to an inbox, under a lock of its own that also numbers the messages.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use peer_adapters::file;

use super::{DIR, Queued, WAITS, numbers, private_dir, write};
use crate::policy::name::PeerName;
use crate::store::lock::{Wait, lock_file};
use crate::store::{Result, StateDir, StoreError, atomic};

/// The exclusive right to add to an inbox, held until it is dropped. Who removes or renames a peer holds it until the spec
/// is gone, so that no message is added to an inbox that nobody reads any more.
#[derive(Debug)]
pub struct Senders {
    /// `inbox/NAME.lock`, with the last number. Closing the descriptor releases the lock.
    counter: File,
    path: PathBuf,
}

impl Senders {
    /// Returns the last number that was given in this inbox; 0 if none was, or the file does not parse.
    fn last(&self) -> u64 {
        let text = file::read_to_string(&self.path, file::MOST).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }

    fn set_last(&self, last: u64) -> Result<()> {
        let text = format!("{last}\n");
        let written = self.counter.write_all_at(text.as_bytes(), 0).and_then(|()| self.counter.sync_all());
        written.map_err(StoreError::new("write", &self.path))
    }
}

impl StateDir {
    /// Keeps others from adding to an inbox. Blocks only while another process adds a message, removes the peer or renames
    /// it.
    ///
    /// # Errors
    /// If the disk is full or the directory is read-only.
    pub fn lock_inbox(&self, name: &PeerName) -> Result<Senders> {
        let dir = self.root().join(DIR);
        private_dir(&dir)?;
        let path = dir.join(format!("{name}.lock"));
        let counter = file::open_or_create(&path).map_err(StoreError::new("open", &path))?;
        lock_file(&counter, &path, Wait::Forever)?;
        Ok(Senders { counter, path })
    }

    /// Adds a message to an inbox under the next number, and returns the number once the message is on disk. Returns `None`,
    /// with nothing added, if `is_declared` is false once the inbox is locked: the peer was removed or renamed meanwhile.
    /// Blocks as [`StateDir::lock_inbox`].
    ///
    /// # Errors
    /// If the disk is full or the directory is read-only. The message is not queued then.
    pub fn queue(&self, name: &PeerName, message: &Queued, is_declared: impl FnOnce() -> bool) -> Result<Option<u64>> {
        let senders = self.lock_inbox(name)?;
        if !is_declared() {
            return Ok(None);
        }
        let messages = self.root().join(DIR).join(name.as_str());
        let highest = numbers(&messages)?.into_iter().map(|(id, _)| id).max();
        let id = senders.last().max(highest.unwrap_or_default()) + 1;
        // Written before the message, since an unused number does no harm.
        senders.set_last(id)?;
        let message = Queued { id, ..message.clone() };
        loop {
            private_dir(&messages)?;
            match write(&messages.join(format!("{id}.{WAITS}")), &message) {
                // A concurrent delivery of the last message has just removed the empty directory.
                Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
                written => break written?,
            }
        }
        atomic::sync_directory_of(&messages)?;
        Ok(Some(id))
    }

    /// Lets a renamed peer's messages be numbered on from those of its old name, whose lock the caller holds.
    ///
    /// # Errors
    /// As [`StateDir::lock_inbox`].
    pub fn number_on(&self, old: &Senders, to: &PeerName) -> Result<()> {
        let last = old.last();
        if last == 0 {
            return Ok(());
        }
        let new = self.lock_inbox(to)?;
        if new.last() < last { new.set_last(last) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::time::Timestamp;

    fn message() -> Queued {
        serde_json::from_value(serde_json::json!({ "id": 0, "at_ms": Timestamp::from_ms(1), "text": "hello" }))
            .expect("one")
    }

    #[test]
    fn a_sender_that_waited_for_the_removal_of_the_peer_adds_nothing() {
        let dir = tempfile::tempdir().expect("directory");
        let state = StateDir::open(dir.path().join("state")).expect("state");
        let name: PeerName = "a".parse().expect("a name");
        assert_eq!(state.queue(&name, &message(), || true).expect("added"), Some(1));
        let held = state.lock_inbox(&name).expect("locked");
        let declared = std::sync::atomic::AtomicBool::new(true);
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                state.queue(&name, &message(), || declared.load(std::sync::atomic::Ordering::SeqCst)).expect("usable")
            });
            declared.store(false, std::sync::atomic::Ordering::SeqCst);
            drop(held);
            assert_eq!(sender.join().expect("no panic"), None);
        });
        assert_eq!(state.peer(&name).inbox().expect("listed").waiting.len(), 1);
    }

    #[test]
    fn a_renamed_peer_numbers_on() {
        let dir = tempfile::tempdir().expect("directory");
        let state = StateDir::open(dir.path().join("state")).expect("state");
        let [old, new]: [PeerName; 2] = ["a", "b"].map(|name| name.parse().expect("a name"));
        for _ in 0..3 {
            state.queue(&old, &message(), || true).expect("added");
        }
        state.number_on(&state.lock_inbox(&old).expect("locked"), &new).expect("written");
        assert_eq!(state.queue(&new, &message(), || true).expect("added"), Some(4));
        state.number_on(&state.lock_inbox(&old).expect("locked"), &new).expect("written");
        assert_eq!(state.queue(&new, &message(), || true).expect("added"), Some(5));
    }
}

//! The numbers of incarnations: one never comes twice, also where a peer is removed and one of its name is declared again, or
//! where its record is lost.
//!
//! Everything that names a number goes to the trash with its peer, and a pane process or an exit record of it can come after
//! that. So `NAME.lock`, the one file that stays, keeps the highest. A record that does not parse may have named any number,
//! whatever the end before it names: then it keeps one that is above all.

use std::os::unix::fs::FileExt;

use peer_adapters::file;
use serde::{Deserialize, Serialize};

use super::{Locked, PeerFiles, Result, StoreError, Stored, atomic};
use crate::policy::ending::Incarnation;
use crate::policy::time::Timestamp;

/// What is read of a lock file: a hundred times what we write into it.
const MOST: u64 = 4096;

/// What `NAME.lock` holds once a peer of this name was removed, or a record of it was set aside.
#[derive(Serialize, Deserialize)]
struct Removed {
    /// None that it had is above.
    incarnation: Incarnation,
}

impl PeerFiles {
    /// The highest number of the peers of this name that were removed, or of a record that was set aside.
    ///
    /// # Errors
    /// The lock file is there and cannot be read.
    pub(super) fn removed(&self) -> Result<Stored<Incarnation>> {
        let text = self.in_lock_file()?;
        if text.trim_ascii().is_empty() {
            return Ok(Stored::Absent);
        }
        Ok(match serde_json::from_slice::<Removed>(&text) {
            Ok(removed) => Stored::Present(removed.incarnation),
            Err(error) => Stored::Corrupt(error.to_string()),
        })
    }

    fn in_lock_file(&self) -> Result<Vec<u8>> {
        let path = self.path("lock");
        match file::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            opened => opened.and_then(|file| file::part(&file, 0, MOST)).map_err(StoreError::new("read", path)),
        }
    }
}

impl Locked {
    /// The number for the next incarnation: above every one that any of this peer's files names, or named before it was
    /// removed.
    ///
    /// `now` is the floor when a file that would tell does not parse or was set aside, because a number must never come
    /// twice.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn next_incarnation(&self, now: Timestamp) -> Result<Incarnation> {
        Ok(Incarnation(self.highest_incarnation(now)?.0.saturating_add(1)))
    }

    fn highest_incarnation(&self, now: Timestamp) -> Result<Incarnation> {
        let files = self.files();
        let (session, end, removed) = (files.session()?, files.end()?, files.removed()?);
        let unparsable = matches!(session, Stored::Corrupt(_))
            || matches!(end, Stored::Corrupt(_))
            || matches!(removed, Stored::Corrupt(_));
        let session = session.present().map(|record| record.incarnation);
        let known = session.max(end.present().map(|last| last.end.incarnation));
        let conversation = files.conversations()?.iter().map(|entry| entry.incarnation).max();
        let set_aside = || -> Result<bool> {
            Ok(files.in_directory(&files.root)?.iter().any(|path| path.to_string_lossy().contains(".corrupt-")))
        };
        let is_lost = known.is_none() && (unparsable || set_aside()?);
        let floor = if is_lost { never_before(now) } else { Incarnation::default() };
        Ok(known.max(conversation).max(removed.present()).unwrap_or_default().max(floor))
    }

    /// Keeps the highest number of a peer whose files are about to go to the trash.
    ///
    /// # Errors
    /// As [`Locked::write_session`]: nothing may be moved then.
    pub fn keep_highest(&self, now: Timestamp) -> Result<()> {
        // What cannot be read is no reason to keep the peer, and may have named any number.
        let on_record = self.highest_incarnation(now).unwrap_or_else(|_| never_before(now));
        let launched = self.files().in_panes()?.into_iter().map(|(incarnation, _)| incarnation).max();
        let highest = on_record.max(launched.unwrap_or_default());
        if highest == Incarnation::default() || self.files().removed()? == Stored::Present(highest) {
            return Ok(());
        }
        self.keep_number(highest)
    }

    /// Keeps a number that is above all that a peer had whose files come here: those that its lock file keeps too.
    ///
    /// # Errors
    /// As [`Locked::keep_highest`].
    pub(super) fn keep_highest_of(&self, other: &Self, now: Timestamp) -> Result<()> {
        let kept = |locked: &Self| {
            Ok(match locked.files().removed()? {
                Stored::Present(number) => number,
                Stored::Absent => Incarnation::default(),
                Stored::Corrupt(_) => never_before(now),
            })
        };
        let (own, theirs) = (kept(self)?, kept(other)?);
        if theirs > own { self.keep_number(theirs) } else { Ok(()) }
    }

    /// Keeps a number that is above any that the record may have named that is about to be set aside: its end, which would
    /// tell, may never be written.
    pub(super) fn keep_above_all(&self, now: Timestamp) -> Result<()> {
        let known = self.files().removed()?.present().unwrap_or_default();
        if known < never_before(now) { self.keep_number(never_before(now)) } else { Ok(()) }
    }

    fn keep_number(&self, highest: Incarnation) -> Result<()> {
        let mut text = serde_json::to_vec(&Removed { incarnation: highest }).expect("a number");
        text.push(b'\n');
        self.overwrite_lock_file(&text)
    }

    /// In place, because the lock is the file's own: nobody who waits for it may be left with another one. Whoever is killed
    /// has written these few bytes or none of them, and what was there is shorter, as the number was, or did not parse.
    fn overwrite_lock_file(&self, text: &[u8]) -> Result<()> {
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let written = self.lock.write_all_at(text, 0).and_then(|()| self.lock.set_len(length));
        written.map_err(StoreError::new("write", self.files().path("lock")))
    }

    /// Sets aside what stands in the lock file, where it does not parse, and leaves that empty. Where to, and what is wrong.
    pub(super) fn set_aside_in_lock_file(&self, now: Timestamp) -> Result<Option<(String, String)>> {
        let Stored::Corrupt(why) = self.files().removed()? else { return Ok(None) };
        let aside = self.files().path(&format!("lock.corrupt-{}", now.as_ms()));
        atomic::write(&aside, &self.files().in_lock_file()?, atomic::Durability::Cached)?;
        self.overwrite_lock_file(&[])?;
        Ok(Some((aside.display().to_string(), why)))
    }
}

/// A number that no incarnation had, where nothing tells which they had: more than one a second were never started.
fn never_before(now: Timestamp) -> Incarnation {
    Incarnation(now.as_ms() / 1000)
}

//! Assigns incarnation numbers. A number is never used twice, even if a peer is removed and declared again, or its
//! record is lost.
//!
//! Every file that mentions a number goes to the trash with its peer, but a pane process or an exit record of that peer
//! may appear later. `NAME.lock`, the only file that remains, therefore keeps the highest number. A record that does
//! not parse may have had any number, whatever the end before it says. In that case `NAME.lock` keeps a number above
//! all possible ones.

use std::os::unix::fs::FileExt;

use peer_adapters::file;
use serde::{Deserialize, Serialize};

use super::{Locked, PeerFiles, Result, StoreError, Stored, atomic};
use crate::policy::ending::Incarnation;
use crate::policy::time::Timestamp;

/// How much of a lock file is read: a hundred times what `peer` writes to it.
const MOST: u64 = 4096;

/// The content of `NAME.lock` after a peer of this name was removed, or its record set aside.
#[derive(Serialize, Deserialize)]
struct Removed {
    /// An upper bound of the numbers used so far.
    incarnation: Incarnation,
}

impl PeerFiles {
    /// Returns the highest number of removed peers of this name, or of records that were set aside.
    ///
    /// # Errors
    /// If the lock file exists and cannot be read.
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
    /// Returns the number for the next incarnation: above every number in this peer's files, or in those of a removed
    /// peer of this name.
    ///
    /// If a file that would show the number does not parse or was set aside, a number derived from `now` is the lower
    /// bound, because a number must never be used twice.
    ///
    /// # Errors
    /// If a file cannot be read.
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
        let floor = if is_lost { upper_bound_at(now) } else { Incarnation::default() };
        Ok(known.max(conversation).max(removed.present()).unwrap_or_default().max(floor))
    }

    /// Keeps the highest number of a peer whose files are about to go to the trash.
    ///
    /// # Errors
    /// As [`Locked::write_session`]. The caller must not move any file then.
    pub fn keep_highest(&self, now: Timestamp) -> Result<()> {
        // An unreadable file is no reason to keep the peer, but it may have had any number.
        let on_record = self.highest_incarnation(now).unwrap_or_else(|_| upper_bound_at(now));
        let launched = self.files().in_panes()?.into_iter().map(|(incarnation, _)| incarnation).max();
        let highest = on_record.max(launched.unwrap_or_default());
        if highest == Incarnation::default() || self.files().removed()? == Stored::Present(highest) {
            return Ok(());
        }
        self.keep_number(highest)
    }

    /// Raises the kept number to that of `other`, whose files are about to be renamed to this peer.
    ///
    /// # Errors
    /// As [`Locked::keep_highest`].
    pub(super) fn keep_highest_of(&self, other: &Self, now: Timestamp) -> Result<()> {
        let kept = |locked: &Self| {
            Ok(match locked.files().removed()? {
                Stored::Present(number) => number,
                Stored::Absent => Incarnation::default(),
                Stored::Corrupt(_) => upper_bound_at(now),
            })
        };
        let (own, theirs) = (kept(self)?, kept(other)?);
        if theirs > own { self.keep_number(theirs) } else { Ok(()) }
    }

    /// Keeps a number above any that a record to be set aside may have had. The end that would show it may never be
    /// written.
    pub(super) fn keep_above_all(&self, now: Timestamp) -> Result<()> {
        let known = self.files().removed()?.present().unwrap_or_default();
        if known < upper_bound_at(now) { self.keep_number(upper_bound_at(now)) } else { Ok(()) }
    }

    fn keep_number(&self, highest: Incarnation) -> Result<()> {
        let mut text = serde_json::to_vec(&Removed { incarnation: highest }).expect("a number");
        text.push(b'\n');
        self.overwrite_lock_file(&text)
    }

    /// Overwrites the lock file in place. A new file would leave waiting processes with a lock on the old one. A killed
    /// writer has written these few bytes or none of them; the old content is shorter, as an earlier number is, or did
    /// not parse.
    fn overwrite_lock_file(&self, text: &[u8]) -> Result<()> {
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let written = self.lock.write_all_at(text, 0).and_then(|()| self.lock.set_len(length));
        written.map_err(StoreError::new("write", self.files().path("lock")))
    }

    /// Sets aside the content of the lock file if it does not parse, and empties the file. Returns the path of the copy
    /// and what was wrong.
    pub(super) fn set_aside_in_lock_file(&self, now: Timestamp) -> Result<Option<(String, String)>> {
        let Stored::Corrupt(why) = self.files().removed()? else { return Ok(None) };
        let aside = self.files().path(&format!("lock.corrupt-{}", now.as_ms()));
        atomic::write(&aside, &self.files().in_lock_file()?, atomic::Durability::Cached)?;
        self.overwrite_lock_file(&[])?;
        Ok(Some((aside.display().to_string(), why)))
    }
}

/// Returns a number above any used one if the used ones are unknown: there was never more than one start per second.
fn upper_bound_at(now: Timestamp) -> Incarnation {
    Incarnation(now.as_ms() / 1000)
}

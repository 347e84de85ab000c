//! Reading the log as it grows, across rotations.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use peer_adapters::file;

use super::{Event, Journal, KEPT, ROTATE_AT_BYTES};
use crate::store::{Result, StoreError};

/// The largest file that is read whole. `peer` never writes one this long, even with a very long last line. Of a longer
/// file, only the end is read.
const MOST_READ: u64 = 4 * ROTATE_AT_BYTES;

/// Reads the log as it grows, across rotations.
#[derive(Debug)]
pub struct Tail {
    journal: Journal,
    open: Option<LogFile>,
}

/// One file of the log, read up to a certain line.
#[derive(Debug)]
struct LogFile {
    reader: BufReader<File>,
    /// The beginning of a line that is not complete yet.
    partial: Vec<u8>,
    inode: u64,
}

impl Journal {
    /// Returns a reader that yields every kept event, oldest first, and then new ones.
    pub fn tail(&self) -> Tail {
        Tail { journal: self.clone(), open: None }
    }

    /// Returns a reader that yields the events from now on.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn tail_from_now(&self) -> Result<Tail> {
        let mut tail = self.tail();
        tail.open = LogFile::open(&self.path)?;
        if let Some(log) = &mut tail.open {
            log.reader.seek(SeekFrom::End(0)).map_err(StoreError::new("read", &self.path))?;
        }
        Ok(tail)
    }

    /// Opens all kept files as they are at one moment, oldest first. The last one is the current file, if there is one.
    fn open_all(&self) -> Result<Vec<LogFile>> {
        loop {
            let paths: Vec<_> =
                (1..=KEPT).rev().map(|number| self.rotated(number)).chain([self.path.clone()]).collect();
            let opened = paths.iter().map(|path| LogFile::open(path)).collect::<Result<Vec<_>>>()?;
            // A rotation moves a file past those that are open already.
            let at = |path: &Path| fs::metadata(path).ok().map(|found| found.ino());
            let is_same = |(file, path): (&Option<LogFile>, &std::path::PathBuf)| {
                file.as_ref().map(|file| file.inode) == at(path)
            };
            if opened.iter().zip(&paths).all(is_same) {
                return Ok(opened.into_iter().flatten().collect());
            }
        }
    }
}

impl Tail {
    /// Returns the events since the last call; on the first call, all kept events. Does not block.
    ///
    /// # Errors
    /// If a file exists and cannot be read.
    pub fn next_events(&mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        let read = || StoreError::new("read", &self.journal.path);
        loop {
            let before = self.open.as_ref().map(|log| log.inode);
            if let Some(log) = &mut self.open {
                // Check for a rotation before reading. Later lines go to the new file.
                let rotated = fs::metadata(&self.journal.path).is_ok_and(|current| current.ino() != log.inode);
                log.drain(&mut events).map_err(read())?;
                if !rotated {
                    return Ok(events);
                }
            }
            let mut newer = self.journal.open_all()?;
            if let Some(at) = newer.iter().position(|log| Some(log.inode) == before) {
                newer.drain(..=at);
            }
            let Some(newest) = newer.pop() else { return Ok(events) };
            for mut log in newer {
                log.drain(&mut events).map_err(read())?;
            }
            self.open = Some(newest);
        }
    }
}

impl LogFile {
    fn open(path: &Path) -> Result<Option<Self>> {
        let opened = file::open(path).and_then(|file| {
            let inode = file.metadata()?.ino();
            Ok(Self { reader: newest_part(file)?, partial: Vec::new(), inode })
        });
        match opened {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some).map_err(StoreError::new("read", path)),
        }
    }

    /// Parses whole lines into events.
    fn drain(&mut self, events: &mut Vec<Event>) -> std::io::Result<()> {
        while self.reader.read_until(b'\n', &mut self.partial)? > 0 {
            if self.partial.last() == Some(&b'\n') {
                events.extend(serde_json::from_slice(&self.partial).ok());
                self.partial.clear();
            }
        }
        Ok(())
    }
}

/// Reads a file from its beginning, or only its last part if it is longer than `peer` lets any log file grow.
fn newest_part(mut file: File) -> std::io::Result<BufReader<File>> {
    let length = file.metadata()?.len();
    if length <= MOST_READ {
        return Ok(BufReader::new(file));
    }
    // Start one byte early, so that a line that begins exactly there counts as whole.
    file.seek(SeekFrom::Start(length - MOST_READ - 1))?;
    let mut reader = BufReader::new(file);
    reader.skip_until(b'\n')?;
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;
    use crate::policy::event::EventName;
    use crate::policy::time::Timestamp;

    /// Numbers of the events, in their order.
    fn numbers(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.details["number"].as_u64().expect("a number")).collect()
    }

    fn event(number: u64, filler: usize) -> Event {
        Event::new(Timestamp::from_ms(number), EventName::TickFinished)
            .with("number", number)
            .with("filler", "x".repeat(filler))
    }

    #[test]
    fn a_rotation_while_it_reads_costs_no_file() {
        const EVENTS_PER_FILE: u64 = 20;
        // Fewer than are kept, so that nothing is deleted before it is read.
        const ROTATIONS_PER_READ: u64 = 3;
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::new(dir.path().join("lifecycle.log"), None);
        let (rotations, allowed) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for number in 0..150 * EVENTS_PER_FILE {
                    journal.append(&event(number, 0)).expect("append");
                    if number % EVENTS_PER_FILE == EVENTS_PER_FILE - 1 {
                        while rotations.load(SeqCst) >= allowed.load(SeqCst) {
                            std::thread::yield_now();
                        }
                        journal.rotate().expect("rotated");
                        rotations.fetch_add(1, SeqCst);
                    }
                }
            });
            let mut gaps = Vec::new();
            while !writer.is_finished() {
                allowed.store(rotations.load(SeqCst) + ROTATIONS_PER_READ, SeqCst);
                let read = numbers(&journal.read_all().expect("read"));
                gaps.extend(read.windows(2).filter(|pair| pair[1] != pair[0] + 1).map(<[u64]>::to_vec));
            }
            assert_eq!(gaps, Vec::<Vec<u64>>::new());
        });
    }

    #[test]
    fn two_rotations_between_two_looks_cost_no_event() {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::new(dir.path().join("lifecycle.log"), None);
        let append = |number| journal.append(&event(number, 3 * 1024 * 1024)).expect("append");
        append(0);
        let (mut all, mut new) = (journal.tail(), journal.tail_from_now().expect("opened"));
        assert_eq!(numbers(&all.next_events().expect("read")), [0]);
        (1..=6).for_each(append);
        assert!(journal.rotated(3).exists());
        for tail in [&mut all, &mut new] {
            assert_eq!(numbers(&tail.next_events().expect("read")), [1, 2, 3, 4, 5, 6]);
        }
    }
}

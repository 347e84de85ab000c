//! Reads what an open file or stream holds, within bounds of length and time.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// How long reading one file may take: the slowest disk reads [`super::MOST`] in half of it. It is checked between two chunks,
/// so a file system that does not answer at all blocks for as long as the kernel lets it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The chunk that is read between two checks of the clock.
pub(super) const PART: usize = 1 << 20;

/// Longer than nearly every spec and record, and than most files of `/proc`, which report no length.
pub(super) const BUFFER_LEN: usize = 4096;

/// Returns up to `most` bytes of an open file, starting at `from`; fewer if the file ends before that.
///
/// # Errors
/// The disk's, or [`ErrorKind::TimedOut`].
pub fn part(file: &File, from: u64, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len().saturating_sub(from).min(most);
    let mut at = from;
    let wanted = usize::try_from(length).unwrap_or(usize::MAX);
    gather(wanted, |room| {
        let read = file.read_at(room, at)?;
        at = at.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    })
}

pub(super) fn all_of(stream: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most { Err(too_long(None, most)) } else { Ok(bytes) }
}

pub(super) fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

fn too_long(length: Option<u64>, most: u64) -> io::Error {
    let length = length.map_or_else(|| "more".to_owned(), |length| format!("{length} bytes"));
    io::Error::new(ErrorKind::FileTooLarge, format!("it has {length}, and more than {most} are never read"))
}

/// # Source
/// Linux, `generic_file_read_iter`: a read of a regular file is short only at its end. A file of `/proc` reports no
/// length and is read to its end.
pub(super) fn content(mut file: File, found: &Metadata, most: u64) -> io::Result<Vec<u8>> {
    if found.len() > most {
        return Err(too_long(Some(found.len()), most));
    }
    if found.len() > 0 {
        return gather(usize::try_from(found.len()).unwrap_or(usize::MAX), |room| file.read(room));
    }
    // An empty regular file, or one of the kernel's.
    let mut room = [0; BUFFER_LEN];
    let length = file.read(&mut room)?;
    let mut content = room[..length].to_vec();
    if length > 0 {
        let left = most.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
        content.extend(all_of(file, left)?);
    }
    Ok(content)
}

/// Reads until `wanted` bytes have arrived or the file ends.
fn gather(wanted: usize, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut content = vec![0; wanted];
    let (mut filled, mut since) = (0, None::<Instant>);
    while filled < wanted {
        if filled > 0 && since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            let what = format!("{filled} of {wanted} bytes were read in {} s", PATIENCE.as_secs());
            return Err(io::Error::new(ErrorKind::TimedOut, what));
        }
        let end = wanted.min(filled + PART);
        match read(&mut content[filled..end]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    content.truncate(filled);
    Ok(content)
}

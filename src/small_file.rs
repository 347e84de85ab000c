//! Whole small files: what a look at a fleet reads thousands of.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A thousand times longer than any file that is read here grows; without a limit, a link to a device would fill the memory.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Longer than nearly every spec and record.
const ROOM: usize = 4096;

/// The content of a file, with one read where that was less than there is room for: [`std::fs::read`] asks for the size
/// before and for more after, which takes two more system calls a file. Does not block but for the disk.
///
/// # Errors
/// As [`std::fs::File::open`] and [`Read::read`]; [`io::ErrorKind::InvalidData`] for what is long and no file, or too long.
///
/// # Source
/// Linux, `generic_file_read_iter`: a read of a regular file is short at its end only, or where the reader is killed.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Somebody's FIFO in the place of a file of ours must not be waited for.
    let mut file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    let mut room = [0; ROOM];
    let length = file.read(&mut room)?;
    let mut content = room[..length].to_vec();
    if length == ROOM {
        let found = file.metadata()?;
        if !found.is_file() || found.len() > LARGEST {
            let what = format!("it is no file of ours: {} bytes", found.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        file.read_to_end(&mut content)?;
    }
    Ok(content)
}

/// The same as text.
///
/// # Errors
/// As [`read`], and [`io::ErrorKind::InvalidData`] where it is not UTF-8.
pub(crate) fn read_to_string(path: &Path) -> io::Result<String> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8");
    String::from_utf8(read(path)?).map_err(not_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_whatever_its_length() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("file");
        for length in [0, 1, ROOM - 1, ROOM, ROOM + 1, 3 * ROOM] {
            let content: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            std::fs::write(&path, &content).expect("written");
            assert!(read(&path).expect("read") == content, "{length} bytes");
        }
        assert_eq!(read_to_string(&path).expect_err("bytes").kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(&dir.path().join("none")).expect_err("absent").kind(), io::ErrorKind::NotFound);
        assert!(read(dir.path()).is_err(), "a directory");
    }
}

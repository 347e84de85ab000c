//! Access to files, whether or not `peer` wrote them: opened without blocking, accepted only if regular, and read
//! within bounds.
//!
//! A FIFO in place of a file waits for a writer, a device never ends, and a file of some gigabytes fills the memory.
//! None of them may block a command that inspects a fleet. So no other module opens a file by its path; a test checks
//! that.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;

mod content;
mod leftovers;
mod trust;

pub use content::part;
use content::{all_of, content, text};
pub use leftovers::{sweep, temporary};
use trust::check_trust;
pub use trust::{Untrusted, check_directory};

/// The most that is read of a file that is normally small (a record, a spec, a status file): 16 MiB, a hundred times
/// the longest one seen. A lower bound would refuse the list of conversations of a very old peer; a higher one would
/// make a listing noticeably slow.
pub const MOST: u64 = 16 << 20;

/// Opens a file for reading. Blocks only on the disk.
///
/// # Errors
/// As [`File::open`]; [`ErrorKind::InvalidData`] if it is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    Ok(opened(OpenOptions::new().read(true), path)?.0)
}

/// Opens one of our own files to lock it or to overwrite its beginning. Creates it (mode 0600) if it is missing.
///
/// # Errors
/// As [`open`], or the file cannot be created.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    Ok(opened(OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600), path)?.0)
}

/// Opens one of our own files for appending. Creates it (mode 0600) if it is missing.
///
/// # Errors
/// As [`open_or_create`].
pub fn append(path: &Path) -> io::Result<File> {
    Ok(opened(OpenOptions::new().read(true).append(true).create(true).mode(0o600), path)?.0)
}

/// Creates one of our own files (mode 0600), or truncates it.
///
/// # Errors
/// As [`open_or_create`].
pub fn replace(path: &Path) -> io::Result<File> {
    Ok(opened(OpenOptions::new().write(true).create(true).truncate(true).mode(0o600), path)?.0)
}

/// Creates one of our own files (mode 0600), which must not exist yet.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`], or as [`open_or_create`].
pub fn create_new(path: &Path) -> io::Result<File> {
    Ok(opened(OpenOptions::new().write(true).create_new(true).mode(0o600), path)?.0)
}

/// Replaces one of our own files (mode 0600) as a whole: a reader sees the old content or the new. The content is first
/// written to `PATH.tmpPID`, which [`sweep`] removes if its writer is killed.
///
/// # Errors
/// As [`replace`]. The file is as it was.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    // The pid keeps two writers from sharing a temporary file.
    temporary.push(format!(".tmp{}", std::process::id()));
    let temporary = Path::new(&temporary);
    let written =
        replace(temporary).and_then(|mut file| file.write_all(content)).and_then(|()| std::fs::rename(temporary, path));
    if written.is_err() {
        // Best effort: only that error matters.
        let _ = std::fs::remove_file(temporary);
    }
    written
}

/// Waits until the entries of a directory are on disk (fsync).
///
/// # Errors
/// The directory does not exist, or the disk fails.
pub fn sync_directory(dir: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(dir)?.sync_all()
}

/// Returns `true` if this process can open `count` more files. Takes some microseconds.
pub fn can_open(count: usize) -> bool {
    let full = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
    let first = match File::open("/dev/null") {
        Ok(file) => file,
        // Without a device to test with, nothing is known, and the caller may go on.
        Err(error) => return !full(&error),
    };
    let more: io::Result<Vec<File>> = (1..count).map(|_| first.try_clone()).collect();
    more.map_or_else(|error| !full(&error), |_| true)
}

/// Returns the content of a file of `most` bytes at most, with one read if its length is known. Blocks only on the
/// disk.
///
/// # Errors
/// As [`open`]; [`ErrorKind::FileTooLarge`] if it is longer; [`ErrorKind::TimedOut`].
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, found) = opened(OpenOptions::new().read(true), path)?;
    content(file, &found, most)
}

/// Returns the content of a file of `most` bytes at most, as text.
///
/// # Errors
/// As [`read`], and [`ErrorKind::InvalidData`] if it is not UTF-8.
pub fn read_to_string(path: &Path, most: u64) -> io::Result<String> {
    text(read(path, most)?)
}

/// Returns the text of a file whose contents are acted upon: it must belong to us or root, and others must not be able
/// to write to it.
///
/// # Errors
/// As [`read_to_string`]; an [`ErrorKind::PermissionDenied`] with [`Untrusted`] as its reason.
pub fn read_trusted(path: &Path, most: u64) -> io::Result<String> {
    let (file, found) = opened(OpenOptions::new().read(true), path)?;
    check_trust(&found)?;
    text(content(file, &found, most)?)
}

/// Returns the text of a file that holds secrets: it must belong to us or root, and neither its group nor others may
/// read or write it.
///
/// # Errors
/// As for [`read_trusted`].
pub fn read_private(path: &Path, most: u64) -> io::Result<String> {
    let (file, found) = opened(OpenOptions::new().read(true), path)?;
    let mode = found.mode() & 0o7777;
    check_trust(&found)?;
    if mode & 0o077 != 0 {
        return Err(io::Error::new(ErrorKind::PermissionDenied, Untrusted::Readable(mode)));
    }
    text(content(file, &found, most)?)
}

/// Reads what a user names, possibly a pipe from their shell: waits as long as the writer takes, and accepts `most`
/// bytes at most.
///
/// # Errors
/// The stream's own; [`ErrorKind::FileTooLarge`] if it is longer, [`ErrorKind::InvalidData`] if it is not UTF-8.
pub fn read_given(path: &Path, most: u64) -> io::Result<String> {
    text(all_of(File::open(path)?, most)?)
}

/// Reads a stream to its end, `most` bytes at most.
///
/// # Errors
/// As [`read_given`].
pub fn read_stream(stream: impl Read, most: u64) -> io::Result<String> {
    text(all_of(stream, most)?)
}

/// Returns `true` if the path leads to a regular file, and `false` if nothing is there. Opens nothing.
///
/// # Errors
/// It leads to something else, or cannot be examined; the current state is unknown.
pub fn exists(path: &Path) -> io::Result<bool> {
    Ok(length(path)?.is_some())
}

/// Returns the length of a regular file, or `None` if nothing is there. Opens nothing.
///
/// # Errors
/// As [`exists`].
pub fn length(path: &Path) -> io::Result<Option<u64>> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(Some(found.len())),
        Ok(found) => Err(no_file(&found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// # Source
/// open(2): with `O_NONBLOCK`, opening a FIFO for reading returns at once, and for writing fails with ENXIO, as opening
/// a socket does. `O_NOCTTY` keeps a terminal from becoming our controlling one.
fn opened(options: &mut OpenOptions, path: &Path) -> io::Result<(File, Metadata)> {
    match options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path) {
        Ok(file) => {
            let found = file.metadata()?;
            if found.is_file() { Ok((file, found)) } else { Err(no_file(&found)) }
        }
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
            Err(std::fs::metadata(path).map_or(error, |found| no_file(&found)))
        }
        Err(error) => Err(error),
    }
}

fn no_file(found: &Metadata) -> io::Error {
    let kind = found.file_type();
    let what = if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "something else"
    };
    io::Error::new(ErrorKind::InvalidData, format!("it is {what}, and not a regular file"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

    use super::content::{BUFFER_LEN, PART};
    use super::*;

    /// Creates one of everything that is not a file.
    fn strange(dir: &Path) -> Vec<std::path::PathBuf> {
        let at = |name: &str| dir.join(name);
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        symlink(at("fifo"), at("link")).expect("made");
        symlink("/dev/zero", at("zero")).expect("made");
        symlink("/dev/null", at("null")).expect("made");
        std::fs::create_dir(at("directory")).expect("made");
        drop(std::os::unix::net::UnixListener::bind(at("socket")).expect("bound"));
        ["fifo", "link", "zero", "null", "directory", "socket"].map(at).to_vec()
    }

    #[test]
    fn nothing_but_a_regular_file_is_opened_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().expect("directory");
        for path in strange(dir.path()) {
            let what = path.display();
            let error = read(&path, MOST).expect_err("no file").to_string();
            assert!(error.contains("not a regular file"), "{what}: {error}");
            assert!(open(&path).is_err() && append(&path).is_err(), "{what}");
            assert!(open_or_create(&path).is_err() && replace(&path).is_err() && exists(&path).is_err(), "{what}");
        }
    }

    #[test]
    fn a_file_is_read_whole_whatever_its_length() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("file");
        for length in [0, 1, BUFFER_LEN - 1, BUFFER_LEN, BUFFER_LEN + 1, PART, 2 * PART + 1] {
            let content: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            std::fs::write(&path, &content).expect("written");
            assert!(read(&path, MOST).expect("read") == content, "{length} bytes");
        }
        assert_eq!(read_to_string(&path, MOST).expect_err("bytes").kind(), ErrorKind::InvalidData);
        assert_eq!(read(&dir.path().join("none"), MOST).expect_err("absent").kind(), ErrorKind::NotFound);
        assert!(!exists(&dir.path().join("none")).expect("absent") && exists(&path).expect("there"));
    }

    #[test]
    fn of_a_file_that_is_too_long_nothing_is_read_and_of_any_file_the_part_that_is_meant() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("file");
        let file = File::create(&path).expect("made");
        file.set_len(1 << 40).expect("sparse");
        file.write_all_at(b"end", (1 << 40) - 3).expect("written");
        assert_eq!(read(&path, MOST).expect_err("a tebibyte").kind(), ErrorKind::FileTooLarge);
        let file = open(&path).expect("opened");
        assert_eq!(part(&file, (1 << 40) - 3, MOST).expect("read"), b"end");
        assert_eq!(part(&file, 0, 10).expect("read"), [0; 10]);
        assert!(part(&file, u64::MAX, 10).expect("read").is_empty());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_of_the_kernels_tells_no_length_and_is_read_to_its_end() {
        assert!(read(Path::new("/proc/self/smaps"), MOST).expect("read").len() > BUFFER_LEN);
        assert!(read_given(Path::new("/dev/zero"), 10).is_err());
    }

    #[test]
    fn what_others_may_write_to_is_not_believed() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("file");
        std::fs::write(&path, "x").expect("written");
        let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("ours");
        let gid = std::os::unix::fs::MetadataExt::gid(&path.metadata().expect("ours"));
        let is_private = trust::is_private_group(gid);
        for (bits, believed) in [(0o600, true), (0o664, is_private), (0o666, false), (0o602, false)] {
            mode(&path, bits);
            assert_eq!(read_trusted(&path, MOST).is_ok(), believed, "{bits:o}");
        }
        for (bits, private) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            mode(&path, bits);
            assert_eq!(read_private(&path, MOST).is_ok(), private, "{bits:o}");
        }
        mode(&path, 0o602);
        let why = Untrusted::of(&read_trusted(&path, MOST).expect_err("refused"));
        assert_eq!(why, Some(Untrusted::Writable(0o602)));
        mode(dir.path(), 0o1777);
        assert!(check_directory(dir.path()).is_err() && check_directory(&dir.path().join("none")).is_ok());
        mode(dir.path(), 0o700);
        if nix::unistd::geteuid().is_root() {
            nix::unistd::chown(&path, Some(4242.into()), None).expect("root may");
            assert_eq!(Untrusted::of(&read_trusted(&path, MOST).expect_err("another's")), Some(Untrusted::Owner(4242)));
        }
    }
}

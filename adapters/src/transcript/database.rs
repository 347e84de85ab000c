//! Access to an agent's sqlite database while the agent writes to it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{TranscriptError, lines};

/// How long a query may wait for the agent's own write; its writes take milliseconds.
const BUSY: Duration = Duration::from_millis(500);

/// Queries the database, read-only; `None` if it does not exist yet.
pub(super) fn ask<T>(
    path: &Path,
    query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<Option<T>, TranscriptError> {
    if !lines::exists(path)? {
        return Ok(None);
    }
    // The files that sqlite opens next to it must not block either.
    for beside in ["-wal", "-shm", "-journal"] {
        let mut name = path.to_owned().into_os_string();
        name.push(beside);
        lines::exists(Path::new(&name))?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let ask = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        query(&connection)
    };
    ask().map(Some).map_err(|source| TranscriptError::Database { path: path.to_owned(), source })
}

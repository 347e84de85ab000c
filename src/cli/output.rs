//! Printing: buffered, one JSON document or lines, and no control characters from elsewhere.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;
use serde_json::{Map, Value};

/// A list of a few hundred peers, and a document of some dozens, leave in one write.
const ROOM: usize = 64 * 1024;

/// Standard output.
pub(super) struct Out {
    writer: BufWriter<StdoutLock<'static>>,
}

impl Out {
    pub(super) fn stdout() -> Self {
        Self { writer: BufWriter::with_capacity(ROOM, io::stdout().lock()) }
    }

    /// Prints one line.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) -> io::Result<()> {
        writeln!(self.writer, "{text}")
    }

    /// Prints text as it is.
    pub(super) fn raw(&mut self, text: &[u8]) -> io::Result<()> {
        self.writer.write_all(text)
    }

    /// Prints one document: the fields of `body` behind `"schema": "peer.<verb>/1"`.
    pub(super) fn document(&mut self, verb: &str, body: &impl Serialize) -> io::Result<()> {
        let mut document = Map::new();
        document.insert("schema".to_owned(), Value::String(format!("peer.{verb}/1")));
        match serde_json::to_value(body)? {
            Value::Object(fields) => document.extend(fields),
            other => {
                document.insert("items".to_owned(), other);
            }
        }
        serde_json::to_writer_pretty(&mut self.writer, &document)?;
        self.line("")
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Text from a pane, a topic or a file, safe for a terminal: control characters become spaces.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A path as a person would write it, with `~` for their home directory.
pub(super) fn home_as_tilde(path: &std::path::Path) -> String {
    let home = std::env::var_os("HOME").filter(|home| home.len() > 1);
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) => std::path::Path::new("~").join(rest).display().to_string(),
        None => path.display().to_string(),
    }
}

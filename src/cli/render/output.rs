//! Buffered output: lines or one JSON document, without any control sequence from outside that a terminal would
//! execute.
//!
//! Names, topics, paths, arguments, errors and screens come from elsewhere. So all output goes through here: a line
//! keeps its colours and no other escape sequence, and a document writes such characters as `\\u009b`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Stdout, Write};
use std::sync::{LazyLock, Mutex, MutexGuard};

use super::fold::fold;
use super::{progress, terminal};
use peer_adapters::screen::{coloured, misleads};
use serde::Serialize;
use serde_json::{Map, Value};

/// Large enough that a list of a few hundred peers, or a document of some dozens, goes out in one write.
const BUFFER_LEN: usize = 64 * 1024;

/// What is not written to standard output yet. What goes to stderr writes it first, because both may be one terminal or one
/// file. The lock of standard output itself is not held: `peer mcp` writes there from another thread.
static BUFFER: LazyLock<Mutex<BufWriter<Stdout>>> =
    LazyLock::new(|| Mutex::new(BufWriter::with_capacity(BUFFER_LEN, io::stdout())));

fn buffer() -> MutexGuard<'static, BufWriter<Stdout>> {
    BUFFER.lock().expect("no holder of this lock panics")
}

/// Returns the buffer to print to. The line of progress, which may be on the same terminal, goes.
fn printing() -> MutexGuard<'static, BufWriter<Stdout>> {
    progress::clear();
    buffer()
}

/// Writes out what was printed, before something else is printed on stderr.
pub(crate) fn before_stderr() {
    // A reader that is gone is reported by the next flush.
    let _ = buffer().flush();
}

fn to_stderr(text: &str) {
    progress::clear();
    before_stderr();
    eprint!("{text}");
}

/// Standard output.
pub(crate) struct Out(());

impl Out {
    pub(crate) fn stdout() -> Self {
        Self(())
    }

    /// Prints one line, with its colours.
    pub(crate) fn line(&mut self, text: impl std::fmt::Display) -> io::Result<()> {
        self.part(&text.to_string())?;
        self.raw(b"\n")
    }

    /// Prints one line of words. On a terminal that is too narrow for it, it goes on below itself, at column `hang`.
    pub(crate) fn words(&mut self, text: impl std::fmt::Display, hang: usize) -> io::Result<()> {
        fold(&text.to_string(), hang, terminal::columns()).into_iter().try_for_each(|line| self.line(line))
    }

    /// Prints text without the end of the line.
    pub(crate) fn part(&mut self, text: &str) -> io::Result<()> {
        let text = if text.contains(misleads) { Cow::Owned(coloured(text)) } else { Cow::Borrowed(text) };
        self.raw(text.as_bytes())
    }

    /// Prints our own text as it is.
    pub(crate) fn raw(&mut self, text: &[u8]) -> io::Result<()> {
        printing().write_all(text)
    }

    /// Prints one document: the fields of `body` after `"schema": "peer.<verb>/1"`.
    pub(crate) fn document(&mut self, verb: &str, body: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(&document(verb, body)?)?;
        writeln!(printing(), "{}", escaped(&text))
    }

    /// Prints one value as one line of JSON.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        writeln!(printing(), "{}", escaped(&text))
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        buffer().flush()
    }
}

/// Returns the fields of `body` after `"schema": "peer.<verb>/1"`.
pub(crate) fn document(verb: &str, body: &impl Serialize) -> serde_json::Result<Map<String, Value>> {
    let mut document = Map::new();
    document.insert("schema".to_owned(), Value::String(format!("peer.{verb}/1")));
    match serde_json::to_value(body)? {
        Value::Object(fields) => document.extend(fields),
        other => {
            document.insert("items".to_owned(), other);
        }
    }
    Ok(document)
}

/// Escapes the characters in JSON that a terminal would execute. Those below 0x20 are escaped already, and the others
/// occur only in strings.
fn escaped(json: &str) -> Cow<'_, str> {
    let strange = |c: char| c >= '\u{7f}' && misleads(c);
    if !json.contains(strange) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if strange(c) {
            write!(text, "\\u{:04x}", u32::from(c)).expect("a string takes everything");
        } else {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

/// Text from a pane, a topic or a file as one line that a terminal shows as it is.
pub(crate) use peer_adapters::screen::printable;

/// Returns the columns of the terminal on stderr; `None` if it is not a terminal.
fn columns_of_stderr() -> Option<usize> {
    terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0)
}

/// Prints a line of words on stderr, after a word that says what it is. It goes on below itself if the terminal is narrow.
fn labelled(label: &str, text: &str) {
    let line = format!("{label}: {}", printable(text));
    for line in fold(&line, label.len() + 2, columns_of_stderr()) {
        to_stderr(&format!("{line}\n"));
    }
}

/// Prints what failed, on stderr.
pub(crate) fn error(problem: &str) {
    labelled("error", problem);
}

/// Prints the next command to type, on stderr; further lines of `hint` get a line each.
pub(crate) fn hint(hint: &str) {
    for hint in hint.lines() {
        labelled("hint", hint);
    }
}

/// Prints something worth knowing, on stderr.
pub(crate) fn note(text: &str) {
    labelled("note", text);
}

/// Prints what a tick had no time for or could not do, on stderr.
pub(crate) fn skipped(text: &str) {
    labelled("skipped", text);
}

/// Asks the user a question and returns the answer without its end of line.
pub(crate) fn ask(question: &str) -> io::Result<String> {
    to_stderr(&format!("{} ", printable(question)));
    let mut answer = String::new();
    if io::stdin().read_line(&mut answer)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer.trim().to_owned())
}

/// Prints the parser's own help on stderr.
pub(crate) fn usage(text: &str) {
    to_stderr(&coloured(text));
}

/// A path as the user would write it, with `~` for the home directory.
pub(crate) fn home_as_tilde(path: &std::path::Path) -> String {
    let home = std::env::var_os("HOME").filter(|home| home.len() > 1);
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) => std::path::Path::new("~").join(rest).display().to_string(),
        None => path.display().to_string(),
    }
}

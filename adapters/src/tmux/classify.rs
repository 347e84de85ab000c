//! The meaning of a tmux client's exit code and stderr. tmux has no error codes: the text is the interface.

use std::path::Path;
use std::time::Duration;

use super::KIND;
use crate::command::{Output, RunError};
use crate::runtime::{Gone, RuntimeError};

/// The request, for the error that names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The tmux command, as in `new-session`.
    pub(super) command: &'a str,
    /// The socket.
    pub(super) server: &'a Path,
    /// The requested session; empty if there is none.
    pub(super) session: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    NoSession,
    NoServer(Gone),
    Duplicate,
    Denied,
    Version,
    TooBig,
}

use Meaning::{Denied, Duplicate, NoServer, NoSession, TooBig, Version};

/// The first match wins; each pattern is the beginning and the end of the line. Anything else is `Failed`.
///
/// # Source
/// tmux 3.3a, each line seen except the version one (`client.c`, 3.0a–3.7c); texts unchanged in tags 3.0a to 3.7c.
const TABLE: &[(&str, &str, Meaning)] = &[
    ("can't find session: ", "", NoSession),
    ("can't find window: ", "", NoSession),
    ("can't find pane: ", "", NoSession),
    ("no such session: ", "", NoSession),
    ("no such window: ", "", NoSession),
    ("no such pane: ", "", NoSession),
    // The server is up and has no session at all.
    ("no current target", "", NoSession),
    ("no server running on ", "", NoServer(Gone::NotListening)),
    ("error connecting to ", "(No such file or directory)", NoServer(Gone::NoSocket)),
    ("error connecting to ", "(Connection refused)", NoServer(Gone::NotListening)),
    ("duplicate session: ", "", Duplicate),
    ("", "(Permission denied)", Denied),
    ("access not allowed", "", Denied),
    ("", "has unsafe permissions", Denied),
    ("couldn't create directory ", "", Denied),
    ("protocol version mismatch", "", Version),
    ("command too long", "", TooBig),
    ("failed to send command", "", TooBig),
];

/// Returns the error in a finished call, or `None` if exit code and stderr both indicate success.
///
/// stderr is checked before the exit code, because tmux 3.3a–3.7c exits 0 after `access not allowed` and after `error
/// creating SOCKET`.
pub(super) fn failure(output: &Output, asked: Asked<'_>) -> Option<RuntimeError> {
    let line = output.stderr.lines().map(str::trim).find(|line| !line.is_empty());
    if output.status.success() && line.is_none() {
        return None;
    }
    Some(match line.and_then(meaning) {
        Some(meaning) => error(meaning, line.unwrap_or_default(), asked),
        None => failed(asked, output.summary()),
    })
}

/// Returns `true` if the client reports that its server ended during the call.
pub(super) fn was_cut_off(output: &Output) -> bool {
    output.stderr.lines().any(|line| matches!(line.trim(), "server exited unexpectedly" | "lost server"))
}

/// Returns the error for a call that did not finish.
pub(super) fn not_run(error: RunError, asked: Asked<'_>, after: Duration) -> RuntimeError {
    match error {
        RunError::NotStarted { program, source } => match source.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => {
                RuntimeError::NoBinary { runtime: KIND, path: program }
            }
            std::io::ErrorKind::ArgumentListTooLong => self::error(TooBig, &source.to_string(), asked),
            _ => failed(asked, format!("cannot start {}: {source}", program.display())),
        },
        RunError::TimedOut { .. } => RuntimeError::TimedOut {
            runtime: KIND,
            server: asked.server.to_owned(),
            command: asked.command.to_owned(),
            after,
        },
        RunError::Io { .. } => failed(asked, error.to_string()),
    }
}

/// The error for any other failure.
pub(super) fn failed(asked: Asked<'_>, detail: impl Into<String>) -> RuntimeError {
    RuntimeError::Failed { runtime: KIND, command: asked.command.to_owned(), detail: detail.into() }
}

fn meaning(line: &str) -> Option<Meaning> {
    TABLE.iter().find(|(start, end, _)| line.starts_with(start) && line.ends_with(end)).map(|(_, _, meaning)| *meaning)
}

fn error(meaning: Meaning, line: &str, asked: Asked<'_>) -> RuntimeError {
    let (runtime, server, session, detail) = (KIND, asked.server.to_owned(), asked.session.to_owned(), line.to_owned());
    match meaning {
        NoSession => RuntimeError::NoSuchSession { runtime, session, detail },
        NoServer(gone) => RuntimeError::ServerGone { runtime, server, gone },
        Duplicate => RuntimeError::DuplicateSession { runtime, session },
        Denied => RuntimeError::PermissionDenied { runtime, server, detail },
        Version => RuntimeError::VersionMismatch { runtime, server, detail },
        TooBig => failed(asked, format!("the command is longer than a tmux message, some 16000 bytes ({line})")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn said(code: i32, stderr: &str) -> Option<RuntimeError> {
        let output = Output { status: ExitStatus::from_raw(code << 8), stdout: Vec::new(), stderr: stderr.to_owned() };
        failure(&output, Asked { command: "has-session", server: Path::new("/s"), session: "a" })
    }

    #[test]
    fn exit_0_and_silence_alone_is_success() {
        assert!(said(0, "").is_none());
        assert!(said(0, "\n").is_none());
        assert!(matches!(said(1, ""), Some(RuntimeError::Failed { detail, .. }) if detail == "exit 1"));
    }

    #[test]
    fn exit_0_with_words_on_stderr_is_a_failure() {
        assert!(matches!(said(0, "access not allowed\n"), Some(RuntimeError::PermissionDenied { .. })));
        assert!(matches!(
            said(0, "error creating /x/s (Permission denied)\n"),
            Some(RuntimeError::PermissionDenied { .. })
        ));
        assert!(matches!(
            said(0, "error creating /x/s (No such file or directory)\n"),
            Some(RuntimeError::Failed { .. })
        ));
    }

    #[test]
    fn each_text_has_its_error() {
        for text in ["can't find session: a", "can't find window: a", "can't find pane: %1", "no such session: a"] {
            assert!(matches!(said(1, text), Some(RuntimeError::NoSuchSession { .. })), "{text}");
        }
        assert!(matches!(said(1, "no current target"), Some(RuntimeError::NoSuchSession { .. })));
        for (text, is) in [
            ("no server running on /s", Gone::NotListening),
            ("error connecting to /s (No such file or directory)", Gone::NoSocket),
            ("error connecting to /s (Connection refused)", Gone::NotListening),
        ] {
            assert!(matches!(said(1, text), Some(RuntimeError::ServerGone { gone, .. }) if gone == is), "{text}");
        }
        assert!(matches!(said(1, "duplicate session: a"), Some(RuntimeError::DuplicateSession { .. })));
        for text in ["error connecting to /s (Permission denied)", "directory /d has unsafe permissions"] {
            assert!(matches!(said(1, text), Some(RuntimeError::PermissionDenied { .. })), "{text}");
        }
        let mismatch = "protocol version mismatch (client 8, server 7)";
        assert!(matches!(said(1, mismatch), Some(RuntimeError::VersionMismatch { .. })));
        for text in ["command too long", "failed to send command"] {
            assert!(said(1, text).is_some_and(|error| error.to_string().contains("16000 bytes")), "{text}");
        }
    }

    #[test]
    fn a_text_nobody_foresaw_and_a_server_that_died_say_nothing_of_the_session() {
        for text in ["server exited unexpectedly", "lost server", "can't", "something new"] {
            assert!(matches!(said(1, text), Some(RuntimeError::Failed { detail, .. }) if detail.contains(text)));
        }
    }
}

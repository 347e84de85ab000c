//! The meaning of zellij's messages. Its exit codes say little: 0 also stands for "no such session" (0.45.1).

use crate::command::Output;

/// What a zellij client reported, as far as we act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientMessage {
    /// This client cannot see the session, or any session.
    Absent,
    /// A session of that name already exists.
    Exists,
    /// The client does not know the requested command or option: an older zellij.
    Unsupported,
    /// The kernel denied access.
    Denied,
    /// No complaint.
    Nothing,
    /// Any other message.
    Other,
}

enum Match {
    Prefix(&'static str),
    Contains(&'static str),
    /// Begins with the first and contains the second.
    Around(&'static str, &'static str),
}

impl Match {
    fn holds(&self, line: &str) -> bool {
        match self {
            Self::Prefix(start) => line.starts_with(start),
            Self::Contains(part) => line.contains(part),
            Self::Around(start, part) => line.starts_with(start) && line.contains(part),
        }
    }
}

/// Lines as zellij 0.45.1 prints them; the first match decides.
///
/// # Source
/// Seen with 0.45.1, on stderr unless said otherwise.
const MESSAGES: &[(Match, ClientMessage)] = &[
    (Match::Prefix("There is no active session!"), ClientMessage::Absent),
    // Exit code 0 if two or more sessions are live in the socket directory, 1 otherwise.
    (Match::Around("Session '", "' not found."), ClientMessage::Absent),
    // On stdout.
    (Match::Around("No session named ", " found."), ClientMessage::Absent),
    (Match::Around("Session: \"", "\" not found."), ClientMessage::Absent),
    (Match::Prefix("No active zellij sessions found."), ClientMessage::Absent),
    (Match::Prefix("No session with the name "), ClientMessage::Absent),
    (Match::Prefix("Session already exists"), ClientMessage::Exists),
    // On stdout; may continue with "but is dead".
    (Match::Around("Session with name ", " already exists"), ClientMessage::Exists),
    (Match::Prefix("Lost connection to the Zellij server"), ClientMessage::Absent),
    // From clap, for an option or a subcommand that an older zellij does not have.
    (Match::Prefix("error: unexpected argument"), ClientMessage::Unsupported),
    (Match::Prefix("error: Found argument"), ClientMessage::Unsupported),
    (Match::Prefix("error: unrecognized subcommand"), ClientMessage::Unsupported),
    (Match::Prefix("error: The subcommand"), ClientMessage::Unsupported),
    (Match::Contains("Permission denied"), ClientMessage::Denied),
];

/// Interprets the client's messages. `stdout_is_data` keeps pane text from being read as a message.
pub(super) fn classify(output: &Output, stdout_is_data: bool) -> ClientMessage {
    let stdout = String::from_utf8_lossy(if stdout_is_data { &[] } else { &output.stdout });
    let text = format!("{}\n{stdout}", output.stderr);
    for line in text.lines().map(str::trim) {
        if let Some((_, said)) = MESSAGES.iter().find(|(pattern, _)| pattern.holds(line)) {
            return *said;
        }
    }
    if output.status.success() && text.trim().is_empty() { ClientMessage::Nothing } else { ClientMessage::Other }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn output(code: i32, stdout: &str, stderr: &str) -> Output {
        Output { status: ExitStatus::from_raw(code << 8), stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn messages_decide_and_exit_codes_do_not() {
        let cases = [
            (1, "", "There is no active session!\n", ClientMessage::Absent),
            (0, "", "Session 'x' not found. The following sessions are active:\n", ClientMessage::Absent),
            (1, "No session named \"x\" found.\n", "", ClientMessage::Absent),
            (2, "", "Session: \"x\" not found.\n", ClientMessage::Absent),
            (1, "", "Session already exists\n", ClientMessage::Exists),
            (1, "Session with name \"x\" already exists, but is dead.\n", "", ClientMessage::Exists),
            (2, "", "error: unexpected argument '-p' found\n\nUsage: …", ClientMessage::Unsupported),
            (2, "", "Invalid key at position 1: \"X\"\n", ClientMessage::Other),
            (101, "", "thread 'main' panicked at src/main.rs\n", ClientMessage::Other),
            (0, "", "", ClientMessage::Nothing),
            (1, "", "", ClientMessage::Other),
        ];
        for (code, stdout, stderr, said) in cases {
            assert_eq!(classify(&output(code, stdout, stderr), false), said, "{code} {stdout:?} {stderr:?}");
        }
    }

    #[test]
    fn a_pane_that_shows_a_message_is_not_one() {
        let shown = output(0, "There is no active session!\n", "");
        assert_eq!(classify(&shown, true), ClientMessage::Nothing);
    }
}

//! What zellij's messages mean. Its exit codes say little: 0 also stands for "no such session" (0.45.1).

use crate::command::Output;

/// What a zellij client said, as far as we act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The session, or any session, is not there as far as this client can see.
    Absent,
    /// A session of that name exists already.
    Exists,
    /// The client does not know what we asked of it: an older zellij.
    Unsupported,
    /// The kernel forbade something.
    Denied,
    /// There was no complaint.
    Nothing,
    /// Something else.
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

/// Lines as zellij 0.45.1 prints them; the first that holds decides.
///
/// # Source
/// Seen with 0.45.1, on stderr unless said otherwise.
const MESSAGES: &[(Match, Said)] = &[
    (Match::Prefix("There is no active session!"), Said::Absent),
    // Exit code 0 where two sessions or more are live in the socket directory, 1 otherwise.
    (Match::Around("Session '", "' not found."), Said::Absent),
    // On stdout.
    (Match::Around("No session named ", " found."), Said::Absent),
    (Match::Around("Session: \"", "\" not found."), Said::Absent),
    (Match::Prefix("No active zellij sessions found."), Said::Absent),
    (Match::Prefix("No session with the name "), Said::Absent),
    (Match::Prefix("Session already exists"), Said::Exists),
    // On stdout; may go on with "but is dead".
    (Match::Around("Session with name ", " already exists"), Said::Exists),
    (Match::Prefix("Lost connection to the Zellij server"), Said::Absent),
    // clap, for an option or a subcommand that an older zellij does not have.
    (Match::Prefix("error: unexpected argument"), Said::Unsupported),
    (Match::Prefix("error: Found argument"), Said::Unsupported),
    (Match::Prefix("error: unrecognized subcommand"), Said::Unsupported),
    (Match::Prefix("error: The subcommand"), Said::Unsupported),
    (Match::Contains("Permission denied"), Said::Denied),
];

/// What the client's messages mean. `stdout_is_data` keeps pane text from being read as a message.
pub(super) fn classify(output: &Output, stdout_is_data: bool) -> Said {
    let stdout = String::from_utf8_lossy(if stdout_is_data { &[] } else { &output.stdout });
    let text = format!("{}\n{stdout}", output.stderr);
    for line in text.lines().map(str::trim) {
        if let Some((_, said)) = MESSAGES.iter().find(|(pattern, _)| pattern.holds(line)) {
            return *said;
        }
    }
    if output.status.success() && text.trim().is_empty() { Said::Nothing } else { Said::Other }
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
            (1, "", "There is no active session!\n", Said::Absent),
            (0, "", "Session 'x' not found. The following sessions are active:\n", Said::Absent),
            (1, "No session named \"x\" found.\n", "", Said::Absent),
            (2, "", "Session: \"x\" not found.\n", Said::Absent),
            (1, "", "Session already exists\n", Said::Exists),
            (1, "Session with name \"x\" already exists, but is dead.\n", "", Said::Exists),
            (2, "", "error: unexpected argument '-p' found\n\nUsage: …", Said::Unsupported),
            (2, "", "Invalid key at position 1: \"X\"\n", Said::Other),
            (101, "", "thread 'main' panicked at src/main.rs\n", Said::Other),
            (0, "", "", Said::Nothing),
            (1, "", "", Said::Other),
        ];
        for (code, stdout, stderr, said) in cases {
            assert_eq!(classify(&output(code, stdout, stderr), false), said, "{code} {stdout:?} {stderr:?}");
        }
    }

    #[test]
    fn a_pane_that_shows_a_message_is_not_one() {
        let shown = output(0, "There is no active session!\n", "");
        assert_eq!(classify(&shown, true), Said::Nothing);
    }
}

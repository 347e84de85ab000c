//! What is said to tmux: argv arrays, never a shell, exact targets only.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::listing;
use crate::runtime::{Capture, Key, NewSession, Target};

/// What tmux prints in place of acting when the pane cannot take input, or the session is not the one meant.
pub(super) const REFUSED: &str = "PEER_REFUSED";

/// The condition under which a pane takes input. A pane that has vanished makes it false: its fields are empty.
const TAKES_INPUT: &str = "#{==:#{pane_dead}#{pane_input_off},00}";

/// A tmux command line under construction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line(pub(super) Vec<OsString>);

impl Line {
    fn new(command: &str) -> Self {
        Self(vec![command.into()])
    }

    /// Appends an argument. A last `;` would end the tmux command there (all versions 3.0a–3.7c), so it is escaped.
    fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        let mut bytes = arg.as_ref().as_bytes().to_vec();
        if bytes.last() == Some(&b';') {
            bytes.insert(bytes.len() - 1, b'\\');
        }
        self.0.push(OsString::from_vec(bytes));
        self
    }

    fn args<S: AsRef<OsStr>>(self, args: impl IntoIterator<Item = S>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Begins the next tmux command; it is not reached when this one fails.
    fn then(mut self, command: &str) -> Self {
        self.0.push(";".into());
        self.0.push(command.into());
        self
    }
}

/// `=NAME:.%PANE`: this pane, and only while it is a pane of the session of exactly this name.
///
/// Pane ids begin again at `%0` with each server, and a bare name is matched by prefix and then as a pattern.
pub(super) fn pane_target(target: &Target) -> String {
    format!("={}:.{}", target.session, target.pane)
}

fn session_target(session: &str) -> String {
    format!("={session}:")
}

/// One call makes the session and marks it: options set by a second call came too late for 44 of 50 short commands.
///
/// No `-c`: tmux expands formats in it, `#(command)` included. The directory is the client's own.
pub(super) fn new_session(new: &NewSession) -> Line {
    let target = session_target(&new.session);
    Line::new("new-session")
        .args(["-d", "-P", "-F", &listing::created_format()])
        .args(["-x", &new.size.0.to_string(), "-y", &new.size.1.to_string(), "-s", &new.session, "--"])
        .args(&new.argv)
        .then("set-option")
        .args(["-p", "-t", &target, "remain-on-exit", "on"])
        .then("set-option")
        .args(["-t", &target, "@peer_tag", &new.tag])
}

pub(super) fn list_panes() -> Line {
    Line::new("list-panes").args(["-a", "-F", &listing::row_format()])
}

pub(super) fn capture_pane(target: &Target, how: Capture) -> Line {
    let line = Line::new("capture-pane").args(["-p", "-t", &pane_target(target)]);
    let line = if how.ansi { line.arg("-e") } else { line };
    if how.history > 0 { line.args(["-S".to_owned(), format!("-{}", how.history)]) } else { line }
}

/// One call that pastes stdin, or prints [`REFUSED`] and forgets it.
///
/// The guard runs inside the server, in one step with the paste, because `paste-buffer` into a dead pane crashes the
/// server of tmux 3.3a with every session in it (fixed in 3.4). `copy-mode` first: it ends a person's scrolling, and its
/// failure on a missing pane keeps the buffer from being loaded at all. `-r` keeps newlines, `-p` brackets the paste
/// where the program asked for that, `-d` deletes the buffer.
pub(super) fn paste(target: &Target, buffer: &str) -> Line {
    let pane = pane_target(target);
    Line::new("copy-mode")
        .args(["-q", "-t", &pane])
        .then("load-buffer")
        .args(["-b", buffer, "-"])
        .then("if-shell")
        .args(["-F", "-t", &pane, TAKES_INPUT])
        .arg(format!("paste-buffer -p -r -d -b {buffer} -t '{pane}'"))
        .arg(format!("delete-buffer -b {buffer} ; display-message -p {REFUSED}"))
}

pub(super) fn delete_buffer(buffer: &str) -> Line {
    Line::new("delete-buffer").args(["-b", buffer])
}

/// One call that presses all keys, or prints [`REFUSED`].
pub(super) fn press(target: &Target, keys: &[Key]) -> Line {
    let pane = pane_target(target);
    let presses: Vec<String> = keys
        .iter()
        .map(|key| match key {
            // In hexadecimal: a character such as `;` or `'` would have to be quoted for tmux's parser.
            Key::Char(c) => format!("send-keys -H -t '{pane}' {:02x}", u32::from(*c)),
            named => format!("send-keys -t '{pane}' -- {}", key_name(named)),
        })
        .collect();
    Line::new("copy-mode")
        .args(["-q", "-t", &pane])
        .then("if-shell")
        .args(["-F", "-t", &pane, TAKES_INPUT, &presses.join(" ; ")])
        .arg(format!("display-message -p {REFUSED}"))
}

/// tmux's own name of a key. It types a name that it does not know as text, with exit code 0.
fn key_name(key: &Key) -> String {
    match key {
        Key::BackTab => "BTab".to_owned(),
        Key::Backspace => "BSpace".to_owned(),
        other => String::from(other.clone()),
    }
}

/// Ends the session of this id, only while it bears this name: ids begin again at `$0` with each server.
pub(super) fn kill_session(target: &Target) -> Line {
    let Target { session, session_id, .. } = target;
    Line::new("if-shell")
        .args(["-F", "-t", session_id, &format!("#{{==:#{{session_name}},{session}}}")])
        .arg(format!("kill-session -t '{session_id}'"))
}

/// Run by a person: shows the session in this terminal, or switches the client of which this terminal is a pane.
pub(super) fn attach(target: &Target, inside: bool) -> Line {
    Line::new(if inside { "switch-client" } else { "attach-session" }).args(["-t", &session_target(&target.session)])
}

/// `tmux -u -N -f CONF -S SOCK`: UTF-8 whatever the locale, this server, and none started by this call.
///
/// `-N` on every call but the start itself: a server that a `new-session` started would keep the agent's directory,
/// environment and command line for its whole life.
pub(super) fn prefix(config: &Path, server: &Path, start: bool) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["-u".into()];
    if !start {
        args.push("-N".into());
    }
    args.extend(["-f".into(), config.into(), "-S".into(), server.into()]);
    args
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn target() -> Target {
        Target {
            server: PathBuf::from("/s"),
            session: "api-3".to_owned(),
            session_id: "$3".to_owned(),
            pane: "%4".to_owned(),
            server_process: None,
            pane_pid: None,
        }
    }

    fn words(line: Line) -> Vec<String> {
        line.0.into_iter().map(|word| word.into_string().expect("UTF-8")).collect()
    }

    #[test]
    fn an_argument_never_ends_the_command() {
        let line = words(Line::new("x").args([";", "end;", "a\\;", "a;b", ";;"]));
        assert_eq!(line, ["x", "\\;", "end\\;", "a\\\\;", "a;b", ";\\;"]);
    }

    #[test]
    fn paste_is_one_guarded_line() {
        assert_eq!(
            words(paste(&target(), "b1")),
            [
                "copy-mode",
                "-q",
                "-t",
                "=api-3:.%4",
                ";",
                "load-buffer",
                "-b",
                "b1",
                "-",
                ";",
                "if-shell",
                "-F",
                "-t",
                "=api-3:.%4",
                TAKES_INPUT,
                "paste-buffer -p -r -d -b b1 -t '=api-3:.%4'",
                "delete-buffer -b b1 ; display-message -p PEER_REFUSED",
            ]
        );
    }

    #[test]
    fn each_key_has_the_name_tmux_knows() {
        let keys = [Key::Enter, Key::BackTab, Key::Backspace, Key::Ctrl('c'), Key::Char(';')];
        let line = words(press(&target(), &keys));
        assert_eq!(
            line[10],
            "send-keys -t '=api-3:.%4' -- Enter ; send-keys -t '=api-3:.%4' -- BTab ; send-keys -t '=api-3:.%4' -- BSpace \
             ; send-keys -t '=api-3:.%4' -- C-c ; send-keys -H -t '=api-3:.%4' 3b"
        );
    }

    #[test]
    fn removal_names_id_and_name() {
        assert_eq!(
            words(kill_session(&target())),
            ["if-shell", "-F", "-t", "$3", "#{==:#{session_name},api-3}", "kill-session -t '$3'"]
        );
    }
}

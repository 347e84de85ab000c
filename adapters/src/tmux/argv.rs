//! The command lines for tmux: argv arrays, never a shell, exact targets only.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::listing;
use crate::runtime::{AttachMode, Capture, Key, NewSession, Size, Target};

/// Printed by tmux instead of acting if the pane cannot take input.
pub(super) const REFUSED: &str = "PEER_REFUSED";

/// Printed by tmux instead of acting if the pane does not exist, or is no longer the expected one.
pub(super) const OTHER: &str = "PEER_OTHER";

/// The condition under which a pane takes input. It is false for a pane that has vanished, because its fields are
/// empty.
const TAKES_INPUT: &str = "#{==:#{pane_dead}#{pane_input_off},00}";

/// A tmux command line under construction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line(pub(super) Vec<OsString>);

impl Line {
    fn new(command: &str) -> Self {
        Self(vec![command.into()])
    }

    /// Appends an argument. A trailing `;` would end the tmux command there (all versions 3.0a–3.7c), so it is escaped.
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

    /// Begins the next tmux command, which does not run if this one fails.
    fn then(mut self, command: &str) -> Self {
        self.0.push(";".into());
        self.0.push(command.into());
        self
    }
}

/// The condition under which a pane is still the expected one. A pane keeps its id for the life of its server, whatever
/// session it is in and whatever that is called; but a user may run something else in it (`respawn-pane`).
///
/// If its process is not known, it must be in the session that it was created in. Both conditions are false for a pane
/// that does not exist, because its fields are empty.
fn is_meant(target: &Target) -> String {
    match target.pane_pid {
        // From 3.8 on, tmux does not report the process of a dead pane, and the tag has to do.
        Some(pid) => format!(
            "#{{||:#{{==:#{{pane_pid}},{pid}}},#{{&&:#{{==:#{{pane_dead}}#{{pane_pid}},1}},#{{m:*@{pid},#{{@peer_tag}}}}}}}}"
        ),
        None => format!("#{{==:#{{session_id}} #{{session_name}},{} {}}}", target.session_id, target.session),
    }
}

/// A tmux command that prints why nothing was done.
fn print_reason(target: &Target) -> String {
    format!("display-message -p -t '{}' '#{{?{},{REFUSED},{OTHER}}}'", target.pane, is_meant(target))
}

/// `=NAME:`: the session of exactly this name. A bare name is matched as a prefix and then as a pattern.
fn session_target(session: &str) -> String {
    format!("={session}:")
}

/// One call that creates the session and marks its pane: options set by a second call came too late for 44 of 50 short
/// commands.
///
/// The tag belongs to the pane. It follows the pane wherever a user moves it, and panes that a user adds do not have
/// it. It includes the process that the pane was created with ([`listing::rows`]).
///
/// The size is set again before the pane's process has executed anything: if a client of another session is the
/// smallest, tmux gives a new window that client's size (3.3a, `default_window_size`), and 3.2a always chooses its own.
///
/// On a user's own server, `destroy-unattached` may be on for all sessions: a session without a client, like ours,
/// would end at once.
///
/// No `-c`: tmux expands formats in it, `#(command)` included. The client's own directory is used.
pub(super) fn new_session(new: &NewSession) -> Line {
    let target = session_target(&new.session);
    let (columns, rows) = new.size;
    Line::new("new-session")
        .args(["-d", "-P", "-F", &listing::created_format()])
        .args(["-x", &columns.to_string(), "-y", &rows.to_string(), "-s", &new.session, "--"])
        .args(&new.argv)
        .then("resize-window")
        .args(["-t", &target, "-x", &columns.to_string(), "-y", &rows.to_string()])
        .then("set-option")
        .args(["-w", "-u", "-t", &target, "window-size"])
        .then("set-option")
        .args(["-p", "-t", &target, "remain-on-exit", "on"])
        .then("set-option")
        .args(["-t", &target, "destroy-unattached", "off"])
        .then("set-option")
        .args(["-p", "-F", "-t", &target, "@peer_tag", &format!("{}@#{{pane_pid}}", new.tag)])
}

pub(super) fn list_panes() -> Line {
    Line::new("list-panes").args(["-a", "-F", &listing::row_format()])
}

/// Sets whether a server exits when it has no sessions.
pub(super) fn exit_when_empty(on: bool) -> Line {
    Line::new("set-option").args(["-s", "exit-empty", if on { "on" } else { "off" }])
}

/// One call that prints what the pane shows, or [`OTHER`].
///
/// tmux 3.2 writes an extra line on a dead pane, which pushes the first one into the history: that line is captured
/// too.
pub(super) fn capture_pane(target: &Target, how: Capture) -> Line {
    let (pane, ansi) = (&target.pane, if how.ansi { " -e" } else { "" });
    let capture = |history: u32| {
        let start = if history > 0 { format!(" -S -{history}") } else { String::new() };
        format!("capture-pane -p{ansi}{start} -t '{pane}'")
    };
    let (meant, pushed) = (is_meant(target), "#{&&:#{pane_dead},#{m:3.2*,#{version}}}");
    let or_other =
        format!("if-shell -F -t '{pane}' '{meant}' \"{}\" \"display-message -p {OTHER}\"", capture(how.history));
    Line::new("if-shell")
        .args(["-F", "-t", pane, &format!("#{{&&:{meant},{pushed}}}")])
        .args([capture(how.history.saturating_add(1)), or_other])
}

/// One call that resizes the window of a pane until a client attaches, or prints [`OTHER`]. Resizing a window fixes its
/// size, so that is undone.
pub(super) fn resize_window(target: &Target, Size { columns, rows }: Size) -> Line {
    let pane = &target.pane;
    Line::new("if-shell")
        .args(["-F", "-t", pane, &is_meant(target)])
        .arg(format!("resize-window -t '{pane}' -x {columns} -y {rows} ; set-option -w -u -t '{pane}' window-size"))
        .arg(format!("display-message -p {OTHER}"))
}

/// One call that pastes stdin, or prints [`REFUSED`] or [`OTHER`] and discards it.
///
/// The guard runs inside the server, in one step with the paste, because `paste-buffer` into a dead pane crashes the
/// server of tmux 3.3a with every session in it (fixed in 3.4). `copy-mode` comes first: it ends a user's scrolling,
/// and if the pane is missing, its failure keeps the buffer from being loaded at all. `-r` keeps newlines, `-p`
/// brackets the paste if the program requested that, `-d` deletes the buffer.
pub(super) fn paste(target: &Target, buffer: &str) -> Line {
    let pane = &target.pane;
    Line::new("copy-mode")
        .args(["-q", "-t", pane])
        .then("load-buffer")
        .args(["-b", buffer, "-"])
        .then("if-shell")
        .args(["-F", "-t", pane, &takes_input(target)])
        .arg(format!("paste-buffer -p -r -d -b {buffer} -t '{pane}'"))
        .arg(format!("delete-buffer -b {buffer} ; {}", print_reason(target)))
}

fn takes_input(target: &Target) -> String {
    format!("#{{&&:{},{TAKES_INPUT}}}", is_meant(target))
}

pub(super) fn delete_buffer(buffer: &str) -> Line {
    Line::new("delete-buffer").args(["-b", buffer])
}

/// One call that presses all keys, or prints [`REFUSED`] or [`OTHER`].
pub(super) fn press(target: &Target, keys: &[Key]) -> Line {
    let pane = &target.pane;
    let presses: Vec<String> = keys
        .iter()
        .map(|key| match key {
            // In hexadecimal, because a character such as `;` or `'` would have to be quoted for tmux's parser.
            Key::Char(c) => format!("send-keys -H -t '{pane}' {:02x}", u32::from(*c)),
            // Also in hexadecimal: Escape and the character, as a terminal sends it.
            Key::Alt(c) => format!("send-keys -H -t '{pane}' 1b {:02x}", u32::from(*c)),
            // tmux types an unknown name as text, with exit code 0; our names are tmux's own.
            named => format!("send-keys -t '{pane}' -- {named}"),
        })
        .collect();
    Line::new("copy-mode").args(["-q", "-t", pane]).then("if-shell").args([
        "-F",
        "-t",
        pane,
        &takes_input(target),
        &presses.join(" ; "),
        &print_reason(target),
    ])
}

/// Removes only the expected pane; its session ends with its last pane.
pub(super) fn kill_pane(target: &Target) -> Line {
    Line::new("if-shell")
        .args(["-F", "-t", &target.pane, &is_meant(target)])
        .arg(format!("kill-pane -t '{}'", target.pane))
}

/// The command that a user runs to show this pane in the terminal, or in the client whose pane this terminal is, in
/// whatever session the pane is. `attach-session` alone would leave another pane zoomed over it (3.2a to 3.7c);
/// `switch-client` does not.
pub(super) fn attach(target: &Target, how: AttachMode) -> Line {
    let pane = ["-t", &target.pane];
    if how.inside {
        return Line::new("switch-client").args(pane);
    }
    let read_only = if how.read_only { &["-r"][..] } else { &[] };
    Line::new("select-pane").args(pane).then("attach-session").args(read_only).args(pane)
}

/// `tmux -u -N -f CONF -S SOCK`: UTF-8 whatever the locale, this server only, and no server started by this call.
///
/// Every call except the start itself uses `-N`: a server started by a `new-session` would keep the agent's directory,
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
            pane_pid: Some(77),
        }
    }

    const MEANT: &str = "#{||:#{==:#{pane_pid},77},#{&&:#{==:#{pane_dead}#{pane_pid},1},#{m:*@77,#{@peer_tag}}}}";

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
                "%4",
                ";",
                "load-buffer",
                "-b",
                "b1",
                "-",
                ";",
                "if-shell",
                "-F",
                "-t",
                "%4",
                &format!("#{{&&:{MEANT},#{{==:#{{pane_dead}}#{{pane_input_off}},00}}}}"),
                "paste-buffer -p -r -d -b b1 -t '%4'",
                &format!("delete-buffer -b b1 ; display-message -p -t '%4' '#{{?{MEANT},PEER_REFUSED,PEER_OTHER}}'"),
            ]
        );
    }

    #[test]
    fn each_key_has_the_name_tmux_knows() {
        let keys = [Key::Enter, Key::BackTab, Key::Backspace, Key::Ctrl('c'), Key::Char(';')];
        let line = words(press(&target(), &keys));
        assert_eq!(
            line[10],
            "send-keys -t '%4' -- Enter ; send-keys -t '%4' -- BTab ; send-keys -t '%4' -- BSpace ; send-keys -t '%4' -- \
             C-c ; send-keys -H -t '%4' 3b"
        );
    }

    #[test]
    fn removal_names_the_pane_and_its_process() {
        let guarded = |by| ["if-shell", "-F", "-t", "%4", by, "kill-pane -t '%4'"];
        assert_eq!(words(kill_pane(&target())), guarded(MEANT));
        let unknown = Target { pane_pid: None, ..target() };
        assert_eq!(words(kill_pane(&unknown)), guarded("#{==:#{session_id} #{session_name},$3 api-3}"));
    }
}

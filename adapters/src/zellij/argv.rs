//! The command lines for zellij and their environment.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::home::Home;
use super::keys::LEAVE;
use super::look::TAG;
use crate::agent::belongs_to_session;
use crate::command::Argv;
use crate::runtime::{Key, NewSession};
use crate::terminal::variables::belongs_to_terminal;

/// The first pane of a session.
pub(super) const PANE: &str = "terminal_0";

/// Matches variables through which zellij or tmux would treat us as a client inside one of their sessions, or find the
/// user's own configuration: `ZELLIJ_SESSION_NAME` with a layout makes zellij 0.45.1 open a tab in *that* session.
fn is_foreign(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b"ZELLIJ") || matches!(name, b"TMUX" | b"TMUX_PANE" | b"TMUX_TMPDIR")
}

/// Returns a zellij client that sees only the session in `home`, and leaves no trace elsewhere.
pub(super) fn client(binary: &Path, home: &Home) -> Argv {
    let mut argv = Argv::new(binary);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_foreign(name)) {
        argv = argv.env_remove(name);
    }
    argv.env("ZELLIJ_SOCKET_DIR", home.dir())
        .env("ZELLIJ_CONFIG_DIR", home.config())
        .env("XDG_CACHE_HOME", home.cache())
        .env("TMPDIR", home.tmp())
}

/// Returns one of our actions on the pane of the session.
pub(super) fn action(binary: &Path, home: &Home, session: &str, verb: &str) -> Argv {
    client(binary, home).args(["--session", home.name_of(session), "action", verb]).ends_with_us()
}

/// Reports what the pane shows, first at once and then after each change, until it is killed.
pub(super) fn subscribe(binary: &Path, home: &Home, session: &str) -> Argv {
    let argv = client(binary, home).args(["--session", home.name_of(session), "subscribe"]);
    argv.args(["--pane-id", PANE, "--format", "json"]).ends_with_us()
}

/// Shows the session on a terminal of ours until we kill it.
pub(super) fn attach_briefly(binary: &Path, home: &Home, session: &str) -> Argv {
    let argv = client(binary, home).args(["attach", home.name_of(session)]);
    argv.env("TERM", "xterm-256color").env("COLORTERM", "truecolor").ends_with_us()
}

/// Creates the session and attaches to it. It must run on a terminal, whose size the session adopts.
///
/// `attach --create` and not `--create-background`, which fixes the size at 50 columns and 50 rows (0.45.1). The server
/// and every pane keep its environment, so it excludes what belongs to the caller's terminal or session.
pub(super) fn create(binary: &Path, home: &Home, new: &NewSession) -> Argv {
    let mut argv = client(binary, home);
    let is_set = |name: &str| std::env::var_os(name).is_some();
    // Foreign variables are handled by `client`.
    let theirs = |variable: &OsStr| {
        let name = variable.to_string_lossy();
        !is_foreign(variable) && (belongs_to_terminal(&name, is_set) || belongs_to_session(&name, is_set))
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| theirs(name)) {
        argv = argv.env_remove(name);
    }
    argv = argv
        .args(["--layout-string", &layout(&in_our_environment(&new.argv, |name| std::env::var_os(name)))])
        .args(["attach", "--create", &new.session])
        .env(TAG, &new.tag)
        .env("TERM", "xterm-256color")
        .env("COLORTERM", "truecolor")
        .cwd(&new.cwd);
    if !speaks_utf8(|name| std::env::var_os(name)) {
        argv = argv.env("LANG", "C.UTF-8");
    }
    argv.outlives_us = true;
    argv
}

/// A layout of one pane that runs `argv`, which is UTF-8. The pane's name is what zellij shows in the title of an attached
/// terminal, behind the session's name: without zellij's bars, it is the only place that can say how to leave. Not after `attach --create NAME --`, which zellij supports
/// only from 0.45.1 on.
///
/// # Source
/// zellij 0.44.1 and 0.45.1, `kdl_layout_parser.rs`: variables and `~` are expanded in the command and not in its
/// arguments. A pane with a name keeps it, whatever title its program sets; `zellij watch` sets no title.
fn layout(argv: &[OsString]) -> String {
    let mut words = argv.iter().map(|word| quoted(&word.to_string_lossy()));
    let command = words.next().unwrap_or_default();
    let name = quoted(&format!("{LEAVE}: leave"));
    format!("layout {{ pane name={name} command={command} {{ args {}; }}; }}", words.collect::<Vec<_>>().join(" "))
}

/// Quotes a string for KDL.
fn quoted(text: &str) -> String {
    let inside: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{{{:x}}}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{inside}\"")
}

/// Checks the locale variables in the C library's order.
fn speaks_utf8(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.to_str().is_some_and(|locale| locale.contains("utf-8") || locale.contains("utf8"))
}

/// Wraps a command so that it gets our own cache and temporary directory instead of those of zellij, whose environment
/// a pane inherits: an agent must not find its caches elsewhere because it runs in a pane.
///
/// It also waits for the terminal to have a size: zellij starts a pane's process first and sets the terminal's size a
/// few milliseconds later (0.45.1: 1 in 6), and a program that draws for zero columns draws twice or badly.
///
/// Values are passed as arguments, so nothing needs quoting. The shell replaces itself by the command and keeps its
/// pid.
fn in_our_environment(argv: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Vec<OsString> {
    let mut script = vec!["unset ZELLIJ_CONFIG_DIR".to_owned()];
    let mut words: Vec<OsString> = Vec::new();
    for name in ["XDG_CACHE_HOME", "TMPDIR"] {
        match variable(name) {
            Some(value) => {
                script.push(format!("{name}=$1; shift"));
                words.push(value);
            }
            None => script.push(format!("unset {name}")),
        }
    }
    // Half a second at most: a terminal that never gets a size must not keep the agent from starting.
    script.push("n=50; while [ $((n-=1)) -gt 0 ] && [ \"$(stty size)\" = '0 0' ]; do sleep 0.01; done".to_owned());
    script.push("exec \"$@\"".to_owned());
    let mut wrapped: Vec<OsString> = vec!["/bin/sh".into(), "-c".into(), script.join("; ").into(), "peer".into()];
    wrapped.append(&mut words);
    wrapped.extend(argv.iter().cloned());
    wrapped
}

/// How a key is sent to a zellij pane.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A character, which every program gets as it is.
    Text(char),
    /// An argument of `zellij action send-keys`.
    Key(String),
    /// Bytes for `zellij action write`.
    Bytes(Vec<u8>),
}

impl Input {
    /// Returns the character, if it is one.
    pub(super) fn character(&self) -> Option<char> {
        if let Self::Text(character) = self { Some(*character) } else { None }
    }
}

/// Returns the input for a key.
///
/// # Source
/// zellij 0.45.1: `send-keys` encodes keys in the Kitty protocol, even for a program that did not request it. Keys that
/// differ there (Alt, function keys, the block above the arrows) are written as an xterm-like terminal sends them.
pub(super) fn input(key: &Key) -> Input {
    let word = match key {
        Key::Enter => "Enter",
        Key::Escape => "Esc",
        Key::Tab => "Tab",
        Key::BackTab => "Shift Tab",
        Key::Up => "Up",
        Key::Down => "Down",
        Key::Left => "Left",
        Key::Right => "Right",
        Key::Backspace => "Backspace",
        Key::Space => return Input::Text(' '),
        Key::Ctrl(letter) => return Input::Key(format!("Ctrl {letter}")),
        Key::Char(character) => return Input::Text(*character),
        Key::Home => return bytes("\x1b[H"),
        Key::End => return bytes("\x1b[F"),
        Key::Insert => return bytes("\x1b[2~"),
        Key::Delete => return bytes("\x1b[3~"),
        Key::PageUp => return bytes("\x1b[5~"),
        Key::PageDown => return bytes("\x1b[6~"),
        Key::F(number @ 1..=4) => return bytes(&format!("\x1bO{}", char::from(b'P' + number - 1))),
        // 15 and 17 to 21 and 23 and 24: xterm leaves numbers out.
        Key::F(number @ 5) => return bytes(&format!("\x1b[{}~", number + 10)),
        Key::F(number @ 6..=10) => return bytes(&format!("\x1b[{}~", number + 11)),
        Key::F(number) => return bytes(&format!("\x1b[{}~", number + 12)),
        Key::Alt(character) => return bytes(&format!("\x1b{character}")),
    };
    Input::Key(word.to_owned())
}

fn bytes(text: &str) -> Input {
    Input::Bytes(text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(argv: &[OsString]) -> Vec<&str> {
        argv.iter().map(|word| word.to_str().expect("text")).collect()
    }

    #[test]
    fn the_pane_gets_our_cache_and_temporary_directory_back() {
        let set = |name: &str| (name == "TMPDIR").then(|| "/t m;p".into());
        let wrapped = in_our_environment(&["/bin/a".into(), "b c".into()], set);
        let [_, _, script, ..] = &wrapped[..] else { panic!("too short: {wrapped:?}") };
        let script = script.to_str().expect("text");
        assert!(script.starts_with("unset ZELLIJ_CONFIG_DIR; unset XDG_CACHE_HOME; TMPDIR=$1; shift; "), "{script}");
        assert!(script.ends_with("; exec \"$@\""), "{script}");
        assert_eq!(words(&wrapped), ["/bin/sh", "-c", script, "peer", "/t m;p", "/bin/a", "b c"]);
    }

    #[test]
    fn a_layout_holds_any_text() {
        let argv: Vec<OsString> = ["/bin/sh", "a \"b\" \\ {c};", "$HOME\n\u{1b}é", ""].map(OsString::from).into();
        let expected = r#"layout { pane name="C-b d: leave" command="/bin/sh" { args "a \"b\" \\ {c};" "$HOME\u{a}\u{1b}é" ""; }; }"#;
        assert_eq!(layout(&argv), expected);
    }

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        let with = |set: &'static [(&str, &str)]| {
            speaks_utf8(move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        };
        assert!(!with(&[]));
        assert!(!with(&[("LANG", "C")]));
        assert!(with(&[("LC_ALL", ""), ("LANG", "de_DE.UTF-8")]));
        assert!(!with(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(with(&[("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
    }

    #[test]
    fn variables_of_either_runtime_are_foreign() {
        for name in ["ZELLIJ", "ZELLIJ_SESSION_NAME", "ZELLIJ_CONFIG_FILE", "TMUX", "TMUX_PANE"] {
            assert!(is_foreign(OsStr::new(name)), "{name}");
        }
        assert!(!is_foreign(OsStr::new("TERM")));
    }
}

//! Variables that belong to a terminal: which it is, which of its windows this is, and how it can be reached.
//!
//! An agent runs in a terminal of ours, for days, whoever woke it and from where. What the waker's terminal told the waker
//! is untrue there: Claude Code that finds `ITERM_SESSION_ID` opens its helpers in a window that was closed long ago, and a
//! program that finds `KITTY_WINDOW_ID` draws pictures that nobody can show. So none of these passes from the waker to an
//! agent; those that our own terminal sets do ([`is_set_by`]).
//!
//! What reaches something that outlives a window passes: `SSH_AUTH_SOCK`, `DISPLAY`, `WAYLAND_DISPLAY`, `XAUTHORITY`,
//! `XDG_RUNTIME_DIR` and its like, `DBUS_SESSION_BUS_ADDRESS`. `SSH_CONNECTION` and `SSH_CLIENT` do not: nothing can be reached by them, they name a
//! login that ends before the agent does, and an agent would behave differently by who woke it (Debian's bash reads
//! `.bashrc` for a command when it finds `SSH_CLIENT`).

use crate::runtime::RuntimeKind;

/// By name.
///
/// # Source
/// Manuals and sources of the terminals named; what Claude Code 2.1.328 takes out of the environment of a process that is to
/// outlive its terminal (`SSH_CONNECTION` and `SSH_CLIENT` are among them).
const NAMES: &[&str] = &[
    // Any terminal.
    "COLORFGBG",
    "COLORTERM",
    "COLUMNS",
    "LINES",
    "TERM",
    "TERM_FEATURES",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "TERM_SESSION_ID",
    "TERMINAL_EMULATOR",
    "WINDOWID",
    // One terminal each: VTE, xterm, Konsole, iTerm2 and Terminal.app, Windows Terminal, Warp, Contour …
    "ASCIINEMA_REC",
    "ASCIINEMA_SESSION",
    "DOMTERM",
    "FIG_TERM",
    "FIGTERM_SESSION_ID",
    "GUAKE_TAB_UUID",
    "LC_EXTRATERM_COOKIE",
    "MLTERM",
    "PROFILEHOME",
    "PTYXIS_PROFILE",
    "PTYXIS_VERSION",
    "Q_TERM",
    "QTERM_SESSION_ID",
    "RXVT_SOCKET",
    "SHELL_SESSION_ID",
    "TERMINAL_NAME",
    "TERMINAL_VERSION_STRING",
    "TERMINAL_VERSION_TRIPLE",
    "TERMINOLOGY",
    "VTE_VERSION",
    "WT_PROFILE_ID",
    "WT_SESSION",
    "XTERM_LOCALE",
    "XTERM_SHELL",
    "XTERM_VERSION",
    "__CFBundleIdentifier",
    // An editor's own terminal.
    "CURSOR_TRACE_ID",
    "EMACS_VTERM_PATH",
    "INSIDE_EMACS",
    "NVIM",
    "NVIM_LISTEN_ADDRESS",
    "VIM_TERMINAL",
    "ZED_TERM",
    // Multiplexers.
    "ABDUCO_SESSION",
    "BYOBU_TTY",
    "DVTM",
    "DVTM_WINDOW_ID",
    "STY",
    "TMUX",
    "TMUX_PANE",
    // The terminal of one login, and the one on which a passphrase would be asked for; what one login was let in by, and asked
    // for, and which session and seat logind gave it.
    "GPG_TTY",
    "P9K_SSH",
    "P9K_TTY",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_ORIGINAL_COMMAND",
    "SSH_TTY",
    "SSH_USER_AUTH",
    "XDG_SEAT",
    "XDG_SESSION_ID",
    "XDG_VTNR",
    // What a desktop gives one program for its first window: an open descriptor, and a word that is good once.
    "DESKTOP_STARTUP_ID",
    "WAYLAND_SOCKET",
    "XDG_ACTIVATION_TOKEN",
];

/// By how they begin, where a terminal has many and settings of the person's are not among them.
const BEGINNINGS: &[&str] = &[
    "ALACRITTY_",
    "CMUX_",
    "ConEmu",
    "GHOSTTY_",
    "GNOME_TERMINAL_",
    "HERDR_",
    "ITERM_",
    "KITTY_",
    "KONSOLE_",
    "LC_TERMINAL",
    "RIO_",
    "ROXTERM_",
    "TABBY_",
    "TERMINATOR_",
    "TILIX_",
    "VSCODE_",
    "WARP_",
    "WAVETERM_",
    "WEZTERM_",
    // A person's settings for zellij are among them, and ours of a pane: where that finds its sessions.
    "ZELLIJ",
    // powerlevel10k notes for which terminal it has set itself up.
    "_P9K_",
];

/// Variables that a person may set too, and that are a terminal's where the second is there: the askpass program of VS Code
/// asks a window of the editor, GNU screen describes itself and numbers its windows, kitty and Ghostty name their own
/// terminfo, and what runs in a terminal of an editor's is told where that has its files.
const COMPANIONS: &[(&str, &str)] = &[
    ("GIT_ASKPASS", "VSCODE_GIT_ASKPASS_MAIN"),
    ("MYVIMRC", "NVIM"),
    ("MYVIMRC", "VIM_TERMINAL"),
    ("TERMCAP", "STY"),
    ("TERMINFO", "GHOSTTY_RESOURCES_DIR"),
    ("TERMINFO", "KITTY_WINDOW_ID"),
    ("VIM", "NVIM"),
    ("VIM", "VIM_TERMINAL"),
    ("VIMRUNTIME", "NVIM"),
    ("VIMRUNTIME", "VIM_TERMINAL"),
    ("WINDOW", "STY"),
];

/// Whether a variable of whoever wakes an agent belongs to the terminal that they sit at. `is_set` tells whether they have
/// another one.
pub fn belongs_to_terminal(name: &str, is_set: impl Fn(&str) -> bool) -> bool {
    NAMES.contains(&name)
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || COMPANIONS.iter().any(|(variable, with)| *variable == name && is_set(with))
}

/// Whether a variable is one that this runtime sets for what runs in its panes.
pub fn is_set_by(runtime: RuntimeKind, name: &str) -> bool {
    match runtime {
        RuntimeKind::Tmux => {
            matches!(name, "COLORTERM" | "TERM" | "TERM_PROGRAM" | "TERM_PROGRAM_VERSION" | "TMUX" | "TMUX_PANE")
        }
        RuntimeKind::Zellij => matches!(name, "COLORTERM" | "TERM") || name.starts_with("ZELLIJ"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_window_belongs_to_it_and_what_reaches_further_does_not() {
        let alone = |name| belongs_to_terminal(name, |_| false);
        for theirs in
            ["TERM_PROGRAM", "KITTY_LISTEN_ON", "WEZTERM_PANE", "LC_TERMINAL_VERSION", "SSH_TTY", "LINES", "_P9K_TTY"]
        {
            assert!(alone(theirs), "{theirs}");
        }
        for passes in ["SSH_AUTH_SOCK", "DISPLAY", "XDG_RUNTIME_DIR", "LC_ALL", "TERMINFO", "GIT_ASKPASS", "WINDOW"] {
            assert!(!alone(passes), "{passes}");
        }
    }

    #[test]
    fn a_companion_tells_whose_a_variable_is() {
        assert!(belongs_to_terminal("TERMINFO", |name| name == "KITTY_WINDOW_ID"));
        assert!(belongs_to_terminal("GIT_ASKPASS", |name| name == "VSCODE_GIT_ASKPASS_MAIN"));
        assert!(!belongs_to_terminal("GIT_ASKPASS", |name| name == "STY"));
    }
}

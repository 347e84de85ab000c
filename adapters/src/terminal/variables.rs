//! Environment variables that belong to a terminal: they identify it, its window, or a way to reach it.
//!
//! An agent runs for days in a terminal of ours, whatever terminal it was woken from. The variables of the waker's
//! terminal are wrong there: Claude Code that finds `ITERM_SESSION_ID` opens its helpers in a window that was closed
//! long ago, and a program that finds `KITTY_WINDOW_ID` draws pictures that cannot be shown. So none of these passes
//! from the waker to an agent; those that our own terminal sets do
//! ([`Facts::sets`](crate::runtime::Facts::sets)).
//!
//! Variables that reach something which outlives a window do pass: `SSH_AUTH_SOCK`, `DISPLAY`, `WAYLAND_DISPLAY`,
//! `XAUTHORITY`, `XDG_RUNTIME_DIR` and the like, `DBUS_SESSION_BUS_ADDRESS`. `SSH_CONNECTION` and `SSH_CLIENT` do not:
//! they reach nothing, they name a login that ends before the agent does, and the agent's behaviour would depend on
//! where it was woken from (Debian's bash reads `.bashrc` for a command when it finds `SSH_CLIENT`).

/// Variables by full name.
///
/// # Source
/// Manuals and sources of the terminals named; what Claude Code 2.1.328 takes out of the environment of a process that
/// is to outlive its terminal (`SSH_CONNECTION` and `SSH_CLIENT` are among them).
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
    // Terminals inside editors.
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
    // The terminal of one login and the one that passphrase prompts go to; how a login was authenticated and what it
    // requested; and the session and seat that logind assigned.
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
    // What a desktop passes to one program for its first window: an open descriptor, and a token that is valid once.
    "DESKTOP_STARTUP_ID",
    "WAYLAND_SOCKET",
    "XDG_ACTIVATION_TOKEN",
];

/// Variables by prefix, for terminals that have many, if none of them is a user's setting.
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
    // These include a user's settings for zellij, and our own setting of where a pane finds its sessions.
    "ZELLIJ",
    // powerlevel10k records which terminal it is set up for.
    "_P9K_",
];

/// Variables that a user may also set, and that belong to a terminal if the second one is present: the askpass program
/// of VS Code prompts in a window of the editor, GNU screen describes itself and numbers its windows, kitty and Ghostty
/// name their own terminfo, and an editor's terminal passes on where the editor has its files.
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

/// Returns `true` if a variable in the environment of an agent's waker belongs to the waker's terminal. `is_set`
/// returns whether another variable is set there.
pub fn belongs_to_terminal(name: &str, is_set: impl Fn(&str) -> bool) -> bool {
    NAMES.contains(&name)
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || COMPANIONS.iter().any(|(variable, with)| *variable == name && is_set(with))
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

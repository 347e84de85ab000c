//! The waker's terminal does not matter to the agent, which has its own.

use std::collections::BTreeMap;

on_each_runtime! {
    the_terminal_of_the_waker_does_not_reach_the_agent
}

use crate::common::{Run, World, on_each_runtime};
use peer_adapters::runtime::RuntimeKind;

/// Variables that terminals, editors, multiplexers and logins set for the processes in them.
const TERMINALS: &[&str] = &[
    "ALACRITTY_SOCKET",
    "ALACRITTY_WINDOW_ID",
    "COLORFGBG",
    "COLUMNS",
    "DESKTOP_STARTUP_ID",
    "DOMTERM",
    "GHOSTTY_RESOURCES_DIR",
    "GNOME_TERMINAL_SCREEN",
    "GPG_TTY",
    "GUAKE_TAB_UUID",
    "INSIDE_EMACS",
    "ITERM_PROFILE",
    "ITERM_SESSION_ID",
    "KITTY_LISTEN_ON",
    "KITTY_WINDOW_ID",
    "KONSOLE_DBUS_SESSION",
    "KONSOLE_VERSION",
    "LC_EXTRATERM_COOKIE",
    "LC_TERMINAL",
    "LC_TERMINAL_VERSION",
    "LINES",
    "NVIM",
    "P9K_TTY",
    "RIO_LOG_LEVEL",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_ORIGINAL_COMMAND",
    "SSH_TTY",
    "SSH_USER_AUTH",
    "STY",
    "TABBY_CONFIG_DIRECTORY",
    "TERMINAL_EMULATOR",
    "TERMINATOR_UUID",
    "TERM_SESSION_ID",
    "TILIX_ID",
    "VSCODE_INJECTION",
    "VSCODE_IPC_HOOK_CLI",
    "VIMRUNTIME",
    "VTE_VERSION",
    "WARP_COMBINED_PROMPT_COMMAND_FINISHED",
    "WAYLAND_SOCKET",
    "WEZTERM_PANE",
    "WEZTERM_UNIX_SOCKET",
    "WINDOWID",
    "WT_PROFILE_ID",
    "WT_SESSION",
    "XDG_ACTIVATION_TOKEN",
    "XDG_SEAT",
    "XDG_SESSION_ID",
    "XDG_VTNR",
    "ZED_TERM",
    "_P9K_TTY",
    "__CFBundleIdentifier",
];

/// Variables that our own terminal sets to other values.
const OURS_TOO: &[&str] = &[
    "COLORTERM",
    "TERM",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "TMUX",
    "TMUX_PANE",
    "ZELLIJ",
    "ZELLIJ_PANE_ID",
    "ZELLIJ_SESSION_NAME",
];

/// Variables that reach further than a window, and settings of the user.
const PASSING: &[&str] = &[
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "LC_TIME",
    "NO_COLOR",
    "SSH_AUTH_SOCK",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_CURRENT_DESKTOP",
    "XDG_SESSION_TYPE",
];

/// The value of each variable of the waker.
const THEIRS: &str = "of-the-waker";

fn environment(pid: u32) -> BTreeMap<String, String> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).expect("ours");
    let environ = String::from_utf8_lossy(&environ).into_owned();
    environ.split('\0').filter_map(|entry| entry.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn wake_from_a_terminal(world: &World, name: &str) {
    let mut wake = world.command(&["wake", name]);
    for variable in [TERMINALS, OURS_TOO, PASSING].concat() {
        wake.env(variable, THEIRS);
    }
    let run = Run::of(&mut wake, None);
    assert_eq!(run.code, 0, "{run:?}");
}

fn the_terminal_of_the_waker_does_not_reach_the_agent(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    wake_from_a_terminal(&world, "a");
    for (whose, pid) in [("agent", world.agent("a")), ("server", world.server_of("a").pid)] {
        let has = environment(pid);
        let leaked: Vec<_> = TERMINALS.iter().filter(|name| has.contains_key(**name)).collect();
        assert!(leaked.is_empty(), "{whose}: {leaked:?}");
    }
    let has = environment(world.agent("a"));
    let leaked: Vec<_> = OURS_TOO.iter().filter(|name| has.get(**name).is_some_and(|value| value == THEIRS)).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    let kept: Vec<_> = PASSING.iter().filter(|name| has.get(**name).is_none_or(|value| value != THEIRS)).collect();
    assert!(kept.is_empty(), "did not pass: {kept:?}");
    // Our own terminal describes itself in the same way, whichever process woke the agent.
    assert_eq!(has.get("COLORTERM").map(String::as_str), Some("truecolor"));
    match on {
        RuntimeKind::Tmux => {
            assert_eq!(has["TERM_PROGRAM"], "tmux");
            assert!(has["TMUX"].starts_with(&format!("{},", world.socket().display())), "{}", has["TMUX"]);
        }
        RuntimeKind::Zellij => {
            assert_eq!(has["ZELLIJ_SESSION_NAME"], world.place("a").session);
            assert!(!has.contains_key("TERM_PROGRAM"), "{has:?}");
        }
    }
}

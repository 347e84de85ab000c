//! The key bindings for attached users: the same as tmux's, so that a user who knows one runtime can leave both.
//!
//! `C-b d` detaches, `C-b C-b` sends the prefix itself, `C-b [` scrolls. All other keys always go to the agent: only
//! one key after the prefix is consumed, and a key other than Esc and q that is pressed while scrolled back ends the
//! scrolling and reaches the agent. No key splits, closes or quits: zellij's own keys for that would end the agent's pane.

use std::fmt::Write as _;

use crate::version::numbers;

/// The keys that detach, in the usual notation.
pub(super) const LEAVE: &str = "C-b d";

/// What ends scrolling, whatever zellij has made of the rows meanwhile. Rows that were wrapped, because the pane was wider
/// when they were written, and then drawn over are joined while a user scrolls; if that leaves too few of them for the
/// screen, zellij scrolls no further, and holds back the output of a pane that is scrolled: it stands still for ever.
/// With frames and without them again, the pane has all of its rows.
///
/// # Source
/// zellij 0.45.1, `scroll_down_one_line` (only for a full viewport) and `transfer_rows_from_lines_below_to_viewport`.
pub(super) const TO_BOTTOM: &str = "ScrollToBottom; TogglePaneFrames; TogglePaneFrames; ScrollToBottom;";

/// The first version that was seen to give the keys back to a zellij in whose pane a session is attached.
const HANDS_BACK: [u32; 3] = [0, 45, 1];

/// Returns the part of a session's configuration that defines the keys, for an executable that says this of itself. Inside
/// a zellij of the user's own, whose keys rest while this session has the focus, `C-b ]` gives them back.
///
/// # Source
/// zellij 0.44.1 and 0.45.1: a mode other than normal and locked swallows keys that it has no binding for; the wheel
/// changes from the default mode to scroll and back (`sync_scroll_mode_if_scroll_changed`).
pub(super) fn keybinds(version: &str) -> String {
    let mut text =
        String::from("keybinds clear-defaults=true {\n    locked { bind \"Ctrl b\" { SwitchToMode \"Tmux\"; }; }\n");
    text.push_str("    tmux {\n        bind \"d\" { Detach; }\n        bind \"[\" { SwitchToMode \"Scroll\"; }\n");
    text.push_str("        bind \"Ctrl b\" { Write 2; SwitchToMode \"Locked\"; }\n");
    // An older version would not start with an action that it does not know.
    let hands_back = numbers(version) >= Some(HANDS_BACK);
    if hands_back {
        text.push_str("        bind \"]\" { FocusHostSession; SwitchToMode \"Locked\"; }\n");
    }
    text.push_str("        bind");
    let own = |key: &str| matches!(key, "d" | "[" | "Ctrl b") || (hands_back && key == "]");
    for (key, _) in keys().filter(|(key, _)| !own(key)) {
        write!(text, " {}", quoted(&key)).expect("a string");
    }
    text.push_str(" { SwitchToMode \"Locked\"; }\n    }\n    scroll {\n");
    writeln!(text, "        bind \"Ctrl b\" {{ {TO_BOTTOM} SwitchToMode \"Tmux\"; }}").expect("a string");
    text.push_str("        bind \"Up\" { ScrollUp; }\n        bind \"Down\" { ScrollDown; }\n");
    text.push_str("        bind \"PageUp\" { PageScrollUp; }\n        bind \"PageDown\" { PageScrollDown; }\n");
    // As in tmux, Esc and q only end the scrolling: an agent that is at work would take Esc as an interrupt, and a q would
    // stay in its draft.
    writeln!(text, "        bind \"Esc\" \"q\" {{ {TO_BOTTOM} SwitchToMode \"Locked\"; }}").expect("a string");
    let other = |key: &str| !matches!(key, "Ctrl b" | "Esc" | "q");
    for (key, bytes) in keys().filter(|(key, bytes)| other(key) && !bytes.is_empty()) {
        let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
        writeln!(
            text,
            "        bind {} {{ {TO_BOTTOM} SwitchToMode \"Locked\"; Write {}; }}",
            quoted(&key),
            bytes.join(" ")
        )
        .expect("a string");
    }
    text.push_str("    }\n}\n");
    text
}

/// Returns every key that a terminal has a byte or two for, with what it sends; nothing for those that scroll.
fn keys() -> impl Iterator<Item = (String, Vec<u8>)> {
    let printable = ('!'..='~').map(|c| (c.to_string(), vec![c as u8]));
    let control =
        ('a'..='z').filter(|c| !matches!(c, 'i' | 'm')).map(|c| (format!("Ctrl {c}"), vec![c as u8 - b'a' + 1]));
    let named: [(&str, &[u8]); 12] = [
        ("Space", b" "),
        ("Enter", b"\r"),
        ("Esc", b"\x1b"),
        ("Tab", b"\t"),
        ("Backspace", b"\x7f"),
        ("Left", b"\x1b[D"),
        ("Right", b"\x1b[C"),
        ("Delete", b"\x1b[3~"),
        ("Up", b""),
        ("Down", b""),
        ("PageUp", b""),
        ("PageDown", b""),
    ];
    printable.chain(control).chain(named.map(|(key, bytes)| (key.to_owned(), bytes.to_vec())))
}

/// Quotes a key for KDL.
fn quoted(key: &str) -> String {
    format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_but_the_prefix_esc_and_q_ends_scrolling_and_reaches_the_agent() {
        let text = keybinds("zellij 0.44.1").replace(TO_BOTTOM, "<bottom>");
        for bind in [
            r#"bind "a" { <bottom> SwitchToMode "Locked"; Write 97; }"#,
            r#"bind "\"" { <bottom> SwitchToMode "Locked"; Write 34; }"#,
            r#"bind "\\" { <bottom> SwitchToMode "Locked"; Write 92; }"#,
            r#"bind "Enter" { <bottom> SwitchToMode "Locked"; Write 13; }"#,
            r#"bind "Ctrl g" { <bottom> SwitchToMode "Locked"; Write 7; }"#,
        ] {
            assert!(text.contains(bind), "{bind}");
        }
        assert!(text.contains("bind \"Esc\" \"q\" { <bottom> SwitchToMode \"Locked\"; }"), "{text}");
        assert!(text.contains("bind \"Ctrl b\" { <bottom> SwitchToMode \"Tmux\"; }"), "{text}");
        assert!(!text.contains("Write 113;"), "{text}");
        assert!(!text.contains("FocusHostSession") && keybinds("zellij 0.45.1").contains("FocusHostSession"));
        assert!(!text.contains("Quit") && !text.contains("CloseFocus") && !text.contains("NewPane"));
    }
}

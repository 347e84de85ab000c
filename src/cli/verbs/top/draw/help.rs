//! Draws the list of all keys, on any size of terminal.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::widgets::{Block, Clear, Paragraph};

use crate::cli::render::terminal::{width, wrap};

/// Each key and what it does.
const KEYS: &[(&str, &str)] = &[
    ("w", "wake the chosen peer, as the table says (peer why)"),
    ("x", "stop it: park it and refuse wakes"),
    ("S", "start: allow wakes again"),
    ("n", "new: start it fresh now, whatever state it is in"),
    ("r", "refresh: start it fresh at its next wake"),
    ("i", "interrupt its turn"),
    (
        "s",
        "send it a message, waking it first: Enter sends, Alt-Enter or Ctrl-J begins a line, Esc puts it aside until the next s; a paste is text, however many lines it has",
    ),
    ("a Enter", "attach to it, waking it first"),
    (
        "A",
        "answer what it asks: Enter or the number of a row chooses it, ↑ ↓ move, Esc goes back; nothing is chosen if it asks something else by then",
    ),
    (
        "v",
        "view its screen and what scrolled out of it; there, ← → move to the side, / searches and n N go on: small letters ignore case, as in less -i",
    ),
    ("l", "log: what happened to it and why"),
    ("Space", "mark it, or no more: w x S n r i s are for all that are marked; * marks all that are shown, u unmarks"),
    ("Tab", "choose the next one that waits for a person"),
    ("/", "filter by name, state, agent and topic; small letters ignore case; Esc clears it"),
    ("o O", "order by name, state, idle time, last end, restarts; reversed. Whoever waits for a person comes first"),
    ("j k ↑ ↓", "choose; PageUp, PageDown, g, G; the mouse too"),
    ("m", "leave the mouse to the terminal, to select text, or take it back"),
    ("F5", "look now"),
    ("q", "quit"),
    ("IDLE", "███··· fills up to the time at which it is parked; only dots: active just now, or never parked"),
    ("MEM", "the memory of its processes, and how that changed"),
    ("STARTS", "how often it was started, five minutes a bar"),
];

const MORE: &str =
    "To come back from attach press C-b d, on tmux and on zellij; within a multiplexer of your own press C-b twice.";

const WIDEST: u16 = 104;
/// The columns of the keys, with the gap after them.
const INDENT: usize = 9;

pub(super) fn draw(frame: &mut Frame<'_>, scrolled: usize) {
    let area = frame.area();
    let wide = WIDEST.min(area.width);
    let lines = lines(usize::from(wide.saturating_sub(2)));
    let high = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let middle = Rect::new((area.width - wide) / 2, (area.height - high) / 2, wide, high);
    let room = usize::from(high.saturating_sub(2));
    let title =
        if lines.len() > room { "keys (any key closes this, ↓ scrolls)" } else { "keys (any key closes this)" };
    let first = scrolled.min(lines.len().saturating_sub(room));
    let shown: Vec<String> = lines.into_iter().skip(first).take(room).collect();
    frame.render_widget(Clear, middle);
    frame.render_widget(Paragraph::new(shown.join("\n")).block(Block::bordered().title(title)), middle);
}

fn lines(room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (keys, what) in KEYS {
        for (at, line) in wrap(what, Some(room.saturating_sub(INDENT))).into_iter().enumerate() {
            let keys = if at == 0 { *keys } else { "" };
            let gap = " ".repeat(INDENT.saturating_sub(width(keys)));
            lines.push(format!("{keys}{gap}{line}"));
        }
    }
    lines.push(String::new());
    lines.extend(wrap(MORE, Some(room)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_any_terminal() {
        for room in [38, 78, 102] {
            assert!(lines(room).iter().all(|line| width(line) <= room), "{room}");
        }
    }
}

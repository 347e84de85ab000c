//! What tmux prints about itself, and how it is read.

use crate::runtime::SessionRow;

/// Unit separator. It comes through only with `-u`: without that and without a UTF-8 locale tmux 3.3a prints `_` for
/// every control character.
const SEPARATOR: char = '\u{1f}';

/// The fields of a row of `list-panes -a -F`, in the order in which [`row`] reads them.
///
/// Nothing a person or an agent chooses freely is among them: paths and titles are printed raw. Not
/// `pane_current_command` either: it took 20 of 58 ms at 1000 panes (tmux 3.3a). The constant at the end keeps empty
/// last fields from being lost.
const ROW: [&str; 10] = [
    "#{session_name}",
    "#{session_id}",
    "#{pane_id}",
    "#{pane_pid}",
    "#{pane_dead}",
    "#{@peer_tag}",
    "#{session_attached}",
    "#{window_activity}",
    "#{pid}",
    ".",
];

/// The fields that `new-session -P -F` prints, in the order in which [`created`] reads them.
const CREATED: [&str; 6] =
    ["#{session_id}", "#{pane_id}", "#{pane_pid}", "#{pid}", "#{session_created}", "#{pane_tty}"];

pub(super) fn row_format() -> String {
    ROW.join(&SEPARATOR.to_string())
}

pub(super) fn created_format() -> String {
    CREATED.join(&SEPARATOR.to_string())
}

/// The new session's id, its pane's id and process, and the server's pid.
pub(super) struct Made {
    pub(super) session_id: String,
    pub(super) pane: String,
    pub(super) pane_pid: u32,
    pub(super) server: u32,
}

/// Reads what `new-session` printed; `None` when that is not one line of six fields.
pub(super) fn created(stdout: &str) -> Option<Made> {
    let [session_id, pane, pane_pid, server, _created, _tty] = fields(stdout.trim_end_matches('\n'))?;
    let (pane_pid, server) = (pane_pid.parse().ok()?, server.parse().ok()?);
    Some(Made { session_id: id(session_id, '$')?, pane: id(pane, '%')?, pane_pid, server })
}

/// Reads a row, and the pid of the server that printed it; `None` when it is not what was asked for.
pub(super) fn row(line: &str) -> Option<(SessionRow, u32)> {
    let [session, session_id, pane, pane_pid, dead, tag, attached, activity, server, _end] = fields(line)?;
    let row = SessionRow {
        session: session.to_owned(),
        session_id: id(session_id, '$')?,
        pane: id(pane, '%')?,
        pane_pid: pane_pid.parse().ok().filter(|pid| *pid > 0),
        pane_dead: match dead {
            "1" => true,
            "0" => false,
            _ => return None,
        },
        tag: tag.to_owned(),
        attached: attached.parse().ok()?,
        activity_s: activity.parse().ok(),
    };
    Some((row, server.parse().ok()?))
}

fn fields<const N: usize>(line: &str) -> Option<[&str; N]> {
    let mut parts = line.split(SEPARATOR);
    let mut fields = [""; N];
    for field in &mut fields {
        *field = parts.next()?;
    }
    parts.next().is_none().then_some(fields)
}

/// An id is its sigil and a number. Ids go back into tmux commands, so nothing else may pass for one.
fn id(text: &str, sigil: char) -> Option<String> {
    is_id(text, sigil).then(|| text.to_owned())
}

pub(super) fn is_id(text: &str, sigil: char) -> bool {
    text.strip_prefix(sigil).is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(fields: &[&str]) -> String {
        fields.join("\u{1f}")
    }

    #[test]
    fn a_row_is_read_by_position_and_may_have_empty_fields() {
        let text = line(&["a-1", "$3", "%4", "77", "1", "", "2", "1700000000", "9", "."]);
        let (row, server) = row(&text).expect("ten fields");
        assert_eq!((row.session.as_str(), row.session_id.as_str(), row.pane.as_str()), ("a-1", "$3", "%4"));
        assert_eq!((row.pane_pid, row.pane_dead, row.attached, server), (Some(77), true, 2, 9));
        assert_eq!((row.tag.as_str(), row.activity_s), ("", Some(1_700_000_000)));
    }

    #[test]
    fn a_row_in_another_shape_is_no_row() {
        for fields in [
            &["a", "$3", "%4", "77", "1", "", "2", "17", "9"][..],
            &["a", "3", "%4", "77", "1", "", "2", "17", "9", "."],
            &["a", "$3", "%", "77", "1", "", "2", "17", "9", "."],
            &["a", "$3", "%4", "77", "", "", "2", "17", "9", "."],
            &["a", "$3", "%4", "77", "0", "", "2", "17", "", "."],
            &["a_$3_%4_77_0__2_17_9_."],
        ] {
            assert!(row(&line(fields)).is_none(), "{fields:?}");
        }
    }

    #[test]
    fn a_creation_is_one_line_of_six_fields() {
        let made = created(&format!("{}\n", line(&["$0", "%0", "5", "4", "17", "/dev/pts/1"]))).expect("six fields");
        assert_eq!((made.session_id.as_str(), made.pane.as_str(), made.server), ("$0", "%0", 4));
        for bad in ["", "\n", "$0\u{1f}%0\u{1f}5\u{1f}4\u{1f}17", "$0\u{1f}%0\u{1f}x\u{1f}4\u{1f}17\u{1f}/dev/pts/1"] {
            assert!(created(bad).is_none(), "{bad:?}");
        }
    }
}

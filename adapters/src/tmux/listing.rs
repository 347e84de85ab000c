//! The format and parsing of tmux's output.

use std::collections::HashMap;

use crate::runtime::SessionRow;

/// A tab is the only separator that every version prints unchanged (seen with 3.2a, 3.3a, 3.4, 3.5a, 3.6a, 3.7c): 3.4
/// and 3.5a print other control characters in octal, `\037`. No session name can contain a tab, since tmux keeps names
/// in a printable form. It needs `-u`: without that and without a UTF-8 locale 3.3a prints `_` instead.
const SEPARATOR: char = '\t';

/// The fields of a row of `list-panes -a -F`, in the order in which [`rows`] reads them: ids and numbers, then the
/// name, and last the tag, which on a foreign session may contain anything, including tabs and line breaks. The
/// constant at the end preserves an empty tag and marks the end of the row.
///
/// Paths and titles are left out for the same reason. So is `pane_current_command`: it took 20 of 58 ms at 1000 panes
/// (tmux 3.3a).
const ROW: [&str; 10] = [
    "#{pid}",
    "#{session_id}",
    "#{pane_id}",
    "#{pane_pid}",
    "#{pane_dead}",
    "#{session_attached}",
    "#{window_activity}",
    "#{session_name}",
    "#{@peer_tag}",
    ROW_END,
];

const ROW_END: &str = ".";

/// The fields that `new-session -P -F` prints, in the order in which [`created`] reads them.
const CREATED: [&str; 6] = ["#{session_id}", "#{pane_id}", "#{pane_pid}", "#{pid}", "#{version}", ROW_END];

pub(super) fn row_format() -> String {
    ROW.join(&SEPARATOR.to_string())
}

pub(super) fn created_format() -> String {
    CREATED.join(&SEPARATOR.to_string())
}

/// The new session's id, its pane's id and process, and the server's pid and version.
pub(super) struct NewPane {
    pub(super) session_id: String,
    pub(super) pane: String,
    pub(super) pane_pid: u32,
    pub(super) server: u32,
    pub(super) version: Option<String>,
}

/// Parses the output of `new-session`; `None` if it is not one line of six fields.
pub(super) fn created(stdout: &str) -> Option<NewPane> {
    let [session_id, pane, pane_pid, server, version, ROW_END] = fields(stdout.trim_end_matches('\n'))? else {
        return None;
    };
    let (pane_pid, server) = (pane_pid.parse().ok()?, server.parse().ok()?);
    let version = (!version.is_empty()).then(|| version.to_owned());
    Some(NewPane { session_id: id(session_id, '$')?, pane: id(pane, '%')?, pane_pid, server, version })
}

/// Parses all rows printed by the server process `server`. `None` if a line does not have the requested format: it
/// could be any session, so nothing is known of the others either.
pub(super) fn rows(said: &str, server: u32) -> Option<Vec<SessionRow>> {
    let mut rows = Vec::new();
    let mut lines = said.lines();
    while let Some(line) = lines.next() {
        let (mut row, rest) = row(line, server)?;
        match tag_of(rest) {
            Some(tag) => read_tag(tag, &mut row),
            // A foreign tag with line breaks: skip to the end of the row.
            None => while tag_of(lines.next()?).is_none() {},
        }
        rows.push(row);
    }
    Some(once_each(rows))
}

/// Reduces the rows to one per pane: a window that is linked into several sessions is listed with each of them.
fn once_each(mut rows: Vec<SessionRow>) -> Vec<SessionRow> {
    let number = |row: &SessionRow| row.pane[1..].parse::<u64>().ok();
    let mut numbers: Vec<_> = rows.iter().map(number).collect();
    numbers.sort_unstable();
    if numbers.windows(2).all(|pair| pair[0] != pair[1]) {
        return rows;
    }
    let mut attached = HashMap::with_capacity(rows.len());
    for row in &rows {
        *attached.entry(number(row)).or_insert(0) += row.attached;
    }
    rows.retain_mut(|row| attached.remove(&number(row)).map(|clients| row.attached = clients).is_some());
    rows
}

/// Reads the tag if it is ours and on the pane that we created. The tag then includes the pane's process, so a pane in
/// which a user ran something else (`respawn-pane`) has no tag. A tag without a process comes from an older version of
/// `peer`, which gave it to the session.
///
/// From 3.8 on, tmux does not report the process of a dead pane; the one in its tag is used.
fn read_tag(text: &str, row: &mut SessionRow) {
    let (tag, made_with) = text.rsplit_once('@').map_or((text, row.pane_pid), |(tag, pid)| (tag, pid.parse().ok()));
    if row.pane_dead && row.pane_pid.is_none() {
        row.pane_pid = made_with;
    }
    if made_with == row.pane_pid && is_tag(tag) {
        tag.clone_into(&mut row.tag);
    }
}

/// Parses a row up to its tag, and returns the rest of the line.
fn row(line: &str, server: u32) -> Option<(SessionRow, &str)> {
    let mut parts = line.splitn(ROW.len() - 1, SEPARATOR);
    let mut next = || parts.next();
    if next()?.parse() != Ok(server) {
        return None;
    }
    let row = SessionRow {
        session_id: id(next()?, '$')?,
        pane: id(next()?, '%')?,
        pane_pid: next()?.parse().ok().filter(|pid| *pid > 0),
        pane_dead: match next()? {
            "1" => true,
            "0" => false,
            _ => return None,
        },
        attached: next()?.parse().ok()?,
        activity_s: next()?.parse().ok(),
        session: next()?.to_owned(),
        tag: String::new(),
    };
    Some((row, next()?))
}

/// Returns the tag if its row ends on this line.
fn tag_of(rest: &str) -> Option<&str> {
    rest.strip_suffix(ROW_END)?.strip_suffix(SEPARATOR)
}

/// Returns `true` if the text is a valid tag.
pub(super) fn is_tag(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-'))
}

fn fields<const N: usize>(line: &str) -> Option<[&str; N]> {
    let mut parts = line.split(SEPARATOR);
    let mut fields = [""; N];
    for field in &mut fields {
        *field = parts.next()?;
    }
    parts.next().is_none().then_some(fields)
}

/// Returns an id, which is a sigil and a number. Ids go back into tmux commands, so nothing else may pass for one.
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
        fields.join("\t")
    }

    fn one(text: &str) -> Option<SessionRow> {
        rows(text, 9).map(|mut rows| rows.pop().expect("a row"))
    }

    #[test]
    fn a_row_is_read_by_position_and_may_have_empty_fields() {
        let row = one(&line(&["9", "$3", "%4", "77", "1", "2", "1700000000", "a-1", "", "."])).expect("ten fields");
        assert_eq!((row.session.as_str(), row.session_id.as_str(), row.pane.as_str()), ("a-1", "$3", "%4"));
        assert_eq!((row.pane_pid, row.pane_dead, row.attached), (Some(77), true, 2));
        assert_eq!((row.tag.as_str(), row.activity_s), ("", Some(1_700_000_000)));
        assert_eq!(rows("", 9), Some(Vec::new()));
    }

    #[test]
    fn a_row_in_another_shape_is_no_row() {
        for fields in [
            &["9", "$3", "%4", "77", "1", "2", "17", "a", ""][..],
            &["9", "3", "%4", "77", "1", "2", "17", "a", "", "."],
            &["9", "$3", "%", "77", "1", "2", "17", "a", "", "."],
            &["9", "$3", "%4", "77", "", "2", "17", "a", "", "."],
            &["8", "$3", "%4", "77", "0", "2", "17", "a", "", "."],
            &["", "$3", "%4", "77", "0", "2", "17", "a", "", "."],
            &["9_$3_%4_77_0_2_17_a__."],
            &["9\\037$3\\037%4\\03777\\0370\\0372\\03717\\037a\\037\\037."],
        ] {
            assert!(one(&line(fields)).is_none(), "{fields:?}");
        }
    }

    #[test]
    fn a_line_of_somebody_elses_between_rows_makes_a_listing_unreadable() {
        let row = line(&["9", "$3", "%4", "77", "0", "0", "17", "a", "t", "."]);
        assert!(one(&format!("hello\n{row}\n")).is_none());
        assert!(one(&format!("{row}\nbye\n")).is_none());
    }

    #[test]
    fn a_strange_name_or_tag_is_somebody_elses_and_hides_no_other_row() {
        let ours = line(&["9", "$3", "%4", "77", "0", "0", "17", "a-1", "peer/a/1", "."]);
        for (name, tag) in [
            ("two words: #{pid} \\t . ünï", ""),
            ("a\u{1f}b\u{2028}", "x y"),
            ("", "one\ttwo\t."),
            ("n", "one\ntwo"),
            ("n", "one\n9\t$3\t%4\n\n"),
        ] {
            let theirs = line(&["9", "$1", "%1", "5", "0", "1", "17", name, tag, "."]);
            let rows = rows(&format!("{theirs}\n{ours}\n"), 9).expect("readable");
            let tags: Vec<_> = rows.iter().map(|row| (row.session.as_str(), row.tag.as_str())).collect();
            assert_eq!(tags, [(name, ""), ("a-1", "peer/a/1")], "{tag:?}");
        }
    }

    #[test]
    fn a_pane_of_a_linked_window_is_one_row_with_all_who_look_at_it() {
        let of = |session: &str, pane, attached| line(&["9", "$3", pane, "77", "0", attached, "17", session, "", "."]);
        let said = [of("a-1", "%4", "1"), of("b", "%5", "0"), of("mine", "%4", "2")].join("\n");
        let rows = rows(&said, 9).expect("readable");
        let told: Vec<_> = rows.iter().map(|row| (row.session.as_str(), row.pane.as_str(), row.attached)).collect();
        assert_eq!(told, [("a-1", "%4", 3), ("b", "%5", 0)]);
    }

    #[test]
    fn a_tag_is_of_the_process_that_the_pane_was_made_with() {
        for (tag, read) in [("x/a/1@77", "x/a/1"), ("x/a/1@78", ""), ("x/a/1@", ""), ("x/a/1", "x/a/1"), ("@77", "")] {
            let row = one(&line(&["9", "$3", "%4", "77", "0", "0", "17", "a-1", tag, "."])).expect("ten fields");
            assert_eq!(row.tag, read, "{tag:?}");
        }
        let row = one(&line(&["9", "$3", "%4", "", "1", "0", "17", "a-1", "x/a/1@77", "."])).expect("ten fields");
        assert_eq!((row.tag.as_str(), row.pane_pid), ("x/a/1", Some(77)));
    }

    #[test]
    fn a_creation_is_one_line_of_six_fields() {
        let made = created(&format!("{}\n", line(&["$0", "%0", "5", "4", "3.3a", "."]))).expect("six fields");
        assert_eq!((made.session_id.as_str(), made.pane.as_str(), made.server), ("$0", "%0", 4));
        for bad in ["", "\n", "$0\t%0\t5\t4\t3.3a", "$0\t%0\tx\t4\t3.3a\t.", "hello\n$0\t%0\t5\t4\t3.3a\t."] {
            assert!(created(bad).is_none(), "{bad:?}");
        }
    }
}

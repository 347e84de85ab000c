//! `--format`: one line per peer from a template with placeholders in braces.

use std::time::Duration;

use peer_adapters::nearest;

use crate::cli::CliError;
use crate::cli::render::output::printable;
use crate::cli::render::terminal::{relative, rough};
use crate::engine::verbs::list::Row;
use crate::policy::time::Timestamp;

/// The function that returns a placeholder's text.
type Field = fn(&Row, Timestamp) -> String;

/// Every placeholder. An unknown value is empty, so that a status line shows nothing for it.
const FIELDS: [(&str, Field); 20] = [
    ("name", |row, _| row.peer.to_string()),
    ("state", |row, _| row.state.to_string()),
    ("detail", |row, _| row.detail.clone().unwrap_or_default()),
    ("waiting_for", |row, _| row.waiting_for.map(|kind| kind.to_string()).unwrap_or_default()),
    ("question", |row, _| row.question.clone().unwrap_or_default()),
    ("limited_until", |row, now| row.limited_until_ms.map(|until| relative(until, now)).unwrap_or_default()),
    ("progress", |row, now| row.progress_ms.map(|at| rough(now.since(at))).unwrap_or_default()),
    ("since", |row, now| row.since_ms.map(|at| rough(now.since(at))).unwrap_or_default()),
    ("agent", |row, _| row.agent.clone()),
    ("runtime", |row, _| row.runtime.clone()),
    ("topic", |row, _| row.topic.clone().unwrap_or_default()),
    ("incarnation", |row, _| row.incarnation.map(|number| number.to_string()).unwrap_or_default()),
    ("conversation", |row, _| row.conversation.clone().unwrap_or_default()),
    ("idle", |row, _| row.idle_s.map(|idle| rough(Duration::from_secs(idle))).unwrap_or_default()),
    ("pid", |row, _| row.pid.map(|pid| pid.to_string()).unwrap_or_default()),
    ("queued", |row, _| row.queued.to_string()),
    ("restarts", |row, _| row.restarts.to_string()),
    ("held_until", |row, now| row.held_until_ms.map(|until| relative(until, now)).unwrap_or_default()),
    ("last_end", |row, now| crate::cli::render::row::last_end(row, now).unwrap_or_default()),
    ("cwd", |row, _| row.cwd.display().to_string()),
];

enum Piece {
    Text(String),
    Field(Field),
}

/// A parsed template.
pub(crate) struct Template(Vec<Piece>);

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// A placeholder does not exist (the error has the nearest one that does), or a brace is not closed.
    pub(crate) fn parse(text: &str) -> Result<Self, CliError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let taken = match rest.get(..2) {
                Some(pair @ ("{{" | "}}" | "\\t" | "\\\\")) => {
                    plain.push(if pair == "\\t" { '\t' } else { c });
                    2
                }
                _ if c == '{' => {
                    let end = rest.find('}').ok_or_else(|| bad(text, "a { is never closed"))?;
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(Piece::Field(field(&rest[1..end])?));
                    end + 1
                }
                _ if c == '}' => return Err(bad(text, "a } closes nothing")),
                _ => {
                    plain.push(c);
                    c.len_utf8()
                }
            };
            rest = &rest[taken..];
        }
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }

    /// Returns the line for one peer.
    pub(crate) fn fill(&self, row: &Row, now: Timestamp) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Field(field) => printable(&field(row, now)),
        };
        self.0.iter().map(piece).collect()
    }
}

fn bad(text: &str, problem: &str) -> CliError {
    CliError::usage(format!("--format {text:?}: {problem}"), "write {{ and }} for braces that are meant as such")
}

fn field(name: &str) -> Result<Field, CliError> {
    let names = || FIELDS.iter().map(|(known, _)| *known);
    FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| *field).ok_or_else(|| {
        let hint = match nearest(name, names()) {
            Some(near) => format!("did you mean {{{near}}}?"),
            None => {
                format!("these are known: {}", names().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(" "))
            }
        };
        CliError::usage(format!("--format: there is no placeholder {{{name}}}"), hint)
    })
}

//! What was typed and cannot be meant, said as every other error is: what, and then what to type instead.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::error::code;
use super::output;

/// Verbs as other tools call them.
const HABITS: [(&str, &str); 17] = [
    ("ls", "peer list"),
    ("ps", "peer list"),
    ("logs", "peer log"),
    ("up", "peer wake"),
    ("run", "peer wake"),
    ("resume", "peer wake --resume"),
    ("restart", "peer new"),
    ("down", "peer stop"),
    ("kill", "peer stop"),
    ("park", "peer stop"),
    ("describe", "peer status"),
    ("info", "peer status"),
    ("create", "peer add"),
    ("remove", "peer rm"),
    ("delete", "peer rm"),
    ("capture", "peer screen"),
    ("help", "peer --help"),
];

/// Prints what the parser says and returns the exit code; help and version go to stdout with code 0. `verb` is the first
/// word that was typed.
pub(super) fn report(error: &clap::Error, verb: Option<&str>) -> u8 {
    if !error.use_stderr() {
        // A closed pipe is no failure.
        let _ = error.print();
        return 0;
    }
    let text = error.render().to_string();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        output::usage(&text);
        return code::USAGE;
    }
    output::error(&problem(&text));
    output::hint(&hint(error, verb));
    code::USAGE
}

/// The parser's words without its tips and usage, on one line.
fn problem(text: &str) -> String {
    let told = text.strip_prefix("error: ").unwrap_or(text);
    let before = ["\n\n  tip:", "\n\nUsage:", "\n\nFor more information"].iter().filter_map(|end| told.find(end)).min();
    let told = &told[..before.unwrap_or(told.len())];
    let lines: Vec<&str> = told.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

fn hint(error: &clap::Error, verb: Option<&str>) -> String {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(value)) => Some(value.as_str()),
        // The most alike comes last.
        Some(ContextValue::Strings(values)) => values.last().map(String::as_str),
        _ => None,
    };
    let habit = said(ContextKind::InvalidSubcommand).and_then(|typed| HABITS.iter().find(|(known, _)| *known == typed));
    if let Some((_, meant)) = habit {
        return format!("{meant} does that");
    }
    let suggested = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
        .into_iter()
        .find_map(said);
    if let Some(near) = suggested {
        return format!("did you mean {near}?");
    }
    match verb.filter(|_| error.kind() != ErrorKind::InvalidSubcommand) {
        Some(verb) => format!("peer {verb} --help"),
        None => "peer --help lists the verbs".to_owned(),
    }
}

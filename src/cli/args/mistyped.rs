//! What was typed and cannot be meant, said as every other error is: what, and then what to type instead.

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::error::code;
use crate::cli::render::output;

/// Verbs as other tools call them, and what to type here. What can be undone, or changes nothing, is an alias of its verb.
const HABITS: [(&str, &str); 24] = [
    ("up", "peer wake NAME brings it up"),
    ("run", "peer add NAME -- COMMAND declares it, peer wake NAME brings it up"),
    ("exec", "peer send NAME TEXT types into it"),
    ("resume", "peer wake NAME --resume goes on with its conversation"),
    (
        "restart",
        "peer stop NAME, peer start NAME and peer wake NAME go on with its conversation; peer new NAME begins another",
    ),
    ("down", "peer stop NAME ends it and keeps its conversation"),
    ("kill", "peer stop NAME ends it and keeps its conversation"),
    ("park", "peer stop NAME ends it and keeps its conversation"),
    ("pause", "peer stop NAME ends it and keeps its conversation"),
    ("detach", "peer attach --help says how to leave a pane"),
    ("enable", "peer start NAME lets it be woken again"),
    ("disable", "peer stop NAME refuses wakes until peer start NAME"),
    ("describe", "peer status NAME tells its story"),
    ("info", "peer status NAME tells its story"),
    ("inspect", "peer status NAME --json prints what is known of it"),
    ("create", "peer add NAME -- COMMAND declares it"),
    ("remove", "peer rm NAME forgets it"),
    ("delete", "peer rm NAME forgets it"),
    ("mv", "peer move NAME RUNTIME moves it to the other runtime; a peer keeps its name"),
    ("rename", "a peer keeps its name: peer add NEW -- COMMAND declares another, peer rm OLD forgets this one"),
    ("capture", "peer screen NAME prints what it shows"),
    ("tail", "peer log --follow prints events as they come"),
    ("config", "peer edit NAME opens its spec, peer show NAME prints it"),
    ("version", "peer --version prints it"),
];

/// Prints what the parser says and returns the exit code; help and version go to stdout with code 0. `verb` is the first
/// word that was typed.
pub(crate) fn report(error: &clap::Error, verb: Option<&str>) -> u8 {
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
    let hidden =
        |word: &&String| crate::cli::Cli::command().find_subcommand(word).is_some_and(clap::Command::is_hide_set);
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(value)) => Some(value.as_str()),
        // The most alike comes last.
        Some(ContextValue::Strings(values)) => values.iter().rfind(|word| !hidden(word)).map(String::as_str),
        _ => None,
    };
    let habit = said(ContextKind::InvalidSubcommand).and_then(|typed| HABITS.iter().find(|(known, _)| *known == typed));
    if let Some((_, meant)) = habit {
        return (*meant).to_owned();
    }
    let suggested = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
        .into_iter()
        .find_map(said);
    if let Some(near) = suggested {
        return format!("did you mean {near}?");
    }
    // The agent's command stands behind two dashes.
    if verb == Some("add")
        && error.kind() == ErrorKind::UnknownArgument
        && let Some(word) = said(ContextKind::InvalidArg).filter(|word| !word.starts_with('-'))
    {
        return format!("peer add NAME -- {word}");
    }
    match verb.filter(|_| error.kind() != ErrorKind::InvalidSubcommand) {
        Some(verb) => format!("peer {verb} --help"),
        None => "peer --help lists the verbs".to_owned(),
    }
}

//! Errors for arguments that do not parse, in the form of every other error: the problem, then what to type instead.

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::Cli;
use crate::cli::error::code;
use crate::cli::render::output;

/// Verbs that other tools (tmux, docker, kubectl, systemctl, git) use, and what to type here. Only `ls`, `ps` and
/// `logs` are not listed: they are aliases of ours.
const HABITS: &[(&[&str], &str)] = &[
    (&["up"], "peer wake NAME starts it"),
    (&["run", "new-session", "new-window"], "peer add NAME -- COMMAND declares it, peer wake NAME starts it"),
    (&["create", "init"], "peer add NAME -- COMMAND declares it"),
    (&["resume", "unpause"], "peer wake NAME --resume resumes its conversation"),
    (
        &["restart", "reload", "reboot"],
        "peer stop NAME, peer start NAME and peer wake NAME resume its conversation; peer new NAME starts a new one",
    ),
    (
        &[
            "down",
            "kill",
            "park",
            "pause",
            "quit",
            "end",
            "terminate",
            "shutdown",
            "kill-session",
            "kill-window",
            "kill-pane",
        ],
        "peer stop NAME ends it and keeps its conversation",
    ),
    (&["kill-server"], "peer stop --all ends every agent and keeps their conversations"),
    (&["enable", "unmask"], "peer start NAME lets it be woken again"),
    (&["disable", "mask"], "peer stop NAME refuses wakes until peer start NAME"),
    (
        &["a", "attach-session", "switch", "switch-client", "select-window", "enter", "open", "connect", "join"],
        "peer attach NAME attaches this terminal to it",
    ),
    (&["detach", "detach-client"], "peer attach --help shows how to detach"),
    (&["exec", "send-keys"], "peer send NAME TEXT sends it a message; peer key NAME Enter presses a key"),
    (&["capture", "capture-pane", "cat"], "peer screen NAME prints what it shows"),
    (&["get", "list-sessions", "list-windows", "list-panes"], "peer list prints every peer"),
    (&["describe", "info", "display-message", "has-session"], "peer status NAME shows everything about it"),
    (&["inspect"], "peer status NAME --json prints what is known of it"),
    (&["stats"], "peer top shows the fleet live"),
    (&["tail", "events", "follow"], "peer log --follow prints events as they come"),
    (&["history"], "peer log NAME prints its events"),
    (&["version"], "peer --version prints it"),
    (&["config", "apply", "set"], "peer edit NAME opens its spec, peer show NAME prints it"),
    (&["remove", "delete", "destroy"], "peer rm NAME removes it"),
    (&["mv"], "peer rename OLD NEW renames it; peer move NAME RUNTIME moves it to the other runtime"),
    (&["rename-session", "rename-window"], "peer rename OLD NEW renames it"),
    (&["undo", "undelete"], "peer restore NAME restores what peer rm removed"),
];

/// Returns what an unknown verb stands for: the verb of another tool, or a slip of the fingers; `names` are the verbs
/// that exist. A merely similar word is worse than none: it may end an agent that was meant to continue.
pub(crate) fn meant(typed: &str, names: &[String]) -> Option<String> {
    let habit = HABITS.iter().find(|(words, _)| words.contains(&typed)).map(|(_, meant)| (*meant).to_owned());
    habit.or_else(|| near(typed, names).map(|near| format!("did you mean {near}?")))
}

fn near<'a>(typed: &str, names: &'a [String]) -> Option<&'a String> {
    // One slip, or two in a long word.
    let most = if typed.chars().count() < 7 { 1 } else { 2 };
    let slips = |name: &String| strsim::osa_distance(typed, name);
    let slipped = names.iter().filter(|name| slips(name) <= most).min_by_key(|name| slips(name));
    let mut begun = names.iter().filter(|name| typed.len() > 2 && name.starts_with(typed));
    let begun = begun.next().filter(|_| begun.next().is_none());
    slipped.or(begun)
}

/// Prints the parser's error and returns the exit code; help and version go to stdout with code 0. `verb` is the first
/// word that was typed.
pub(crate) fn report(error: &clap::Error, verb: Option<&str>) -> u8 {
    if !error.use_stderr() {
        // A closed pipe is not a failure.
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

/// The parser's message without its tips and usage, on one line.
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
        // clap lists the most similar value last.
        Some(ContextValue::Strings(values)) => values.last().map(String::as_str),
        _ => None,
    };
    if let Some(typed) = said(ContextKind::InvalidSubcommand) {
        let names: Vec<String> = verbs().collect();
        return meant(typed, &names).unwrap_or_else(|| "peer --help lists the verbs".to_owned());
    }
    if verb == Some("move")
        && error.kind() == ErrorKind::InvalidValue
        && said(ContextKind::InvalidValue).is_some_and(|value| value == "." || value.contains('/'))
    {
        return "peer edit NAME moves it to another directory (cwd)".to_owned();
    }
    let suggested = [ContextKind::SuggestedArg, ContextKind::SuggestedValue].into_iter().find_map(said);
    if let Some(near) = suggested {
        return format!("did you mean {near}?");
    }
    // The agent's command must come after `--`.
    if verb == Some("add")
        && error.kind() == ErrorKind::UnknownArgument
        && let Some(word) = said(ContextKind::InvalidArg).filter(|word| !word.starts_with('-'))
    {
        return format!("peer add NAME -- {word}");
    }
    verb.map_or_else(|| "peer --help lists the verbs".to_owned(), |verb| format!("peer {verb} --help"))
}

/// The verbs that `peer --help` lists.
pub(crate) fn verbs() -> impl Iterator<Item = String> {
    let whole = Cli::command();
    let verbs = whole.get_subcommands().filter(|verb| !verb.is_hide_set()).map(|verb| verb.get_name().to_owned());
    verbs.collect::<Vec<String>>().into_iter()
}

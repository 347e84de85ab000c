//! Errors for arguments that do not parse, in the form of every other error: the problem, then what to type instead.

use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::Cli;
use crate::cli::args::{complete, unquoted};
use crate::cli::error::code;
use crate::cli::render::output;
use crate::policy::name::PeerName;

/// Verbs that other tools (tmux, docker, kubectl, systemctl, git) use, and what to type here. Only `ls`, `ps` and
/// `logs` are not listed: they are aliases of ours.
const HABITS: &[(&[&str], &str)] = &[
    (&["up", "wakeup"], "peer wake NAME starts it"),
    (&["run", "new-session", "new-window"], "peer add NAME -- COMMAND declares it, peer wake NAME starts it"),
    (&["create", "init"], "peer add NAME -- COMMAND declares it"),
    (&["resume", "unpause"], "peer wake NAME --resume resumes its conversation"),
    (
        &["restart", "reload", "reboot"],
        "peer stop NAME && peer start NAME && peer wake NAME resumes its conversation; peer new NAME starts a new one",
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
    (
        &["ask", "msg", "message", "prompt", "say", "tell"],
        "peer send NAME 'TEXT' sends it a message; with -w it prints the answer",
    ),
    (&["capture", "capture-pane", "cat"], "peer screen NAME prints what it shows"),
    (&["get", "list-sessions", "list-windows", "list-panes"], "peer list prints every peer"),
    (&["describe", "info", "display-message", "has-session"], "peer status NAME shows everything about it"),
    (&["inspect"], "peer status NAME --json prints what is known of it"),
    (&["stats"], "peer top shows the fleet live"),
    (&["tail", "events", "follow"], "peer log --follow prints events as they come"),
    (&["history"], "peer log NAME prints its events"),
    (&["version"], "peer --version prints it"),
    (&["apply", "set"], "peer edit NAME opens its spec, peer show NAME prints it"),
    (
        &["config", "settings"],
        "peer edit NAME opens a peer's spec, peer show NAME prints it; man 5 peer-files tells of config.toml",
    ),
    (&["clone", "copy", "cp"], "peer add NEW -- COMMAND declares another; peer show NAME prints the spec of one"),
    (&["remove", "delete", "destroy"], "peer rm NAME removes it"),
    (&["mv"], "peer rename OLD NEW renames it; peer move NAME RUNTIME moves it to the other runtime"),
    (&["rename-session", "rename-window"], "peer rename OLD NEW renames it"),
    (&["clear"], "peer new NAME starts a new conversation"),
    (&["is-active", "is-failed"], "peer status NAME --short prints its state"),
    (&["daemon-reload"], "peer show NAME prints its spec; every command reads specs and config.toml anew"),
    (&["queue", "enqueue"], "peer send NAME TEXT --queue queues a message, peer inbox NAME lists them"),
    (&["undo", "undelete"], "peer restore NAME restores what peer rm removed"),
];

/// Flags of other tools, or of other verbs, by verb, and what to type here.
const FLAGS: &[(&str, &[&str], &str)] = &[
    ("-v", &["-v"], "peer --version prints the version"),
    ("attach", &["-t", "--target"], "peer attach NAME"),
    ("inbox", &["--all", "-a"], "peer list shows how many messages wait for each"),
    ("interrupt", &["--all", "-a"], "peer interrupt NAME; peer list --state busy shows who is at work"),
    ("list", &["--filter", "-f"], "peer list --state STATE, or peer list --waiting"),
    ("send", &["--all", "-a"], "peer wake --all -m TEXT sends it to each"),
    ("send", &["--message", "-m"], "peer send NAME TEXT"),
    ("wait", &["--all", "-a"], "peer wait NAME…; peer list --state busy shows who is at work"),
    ("why", &["--all", "-a"], "peer status shows what each peer needs"),
];

/// What other tools call the verbs of `peer timer`.
const TIMER: &[(&[&str], &str)] = &[
    (&["add", "enable", "on", "run", "start"], "peer timer install starts it"),
    (&["delete", "disable", "off", "remove", "rm", "stop"], "peer timer uninstall removes it"),
    (&["info", "list", "show"], "peer timer status shows it"),
];

/// What other tools call the orders of a list.
const ORDERS: &[(&[&str], &str)] = &[(&["age", "date", "ended", "time"], "last-end"), (&["cpu", "usage"], "idle")];

/// Words for a state that are none of its names, and the state that is meant.
const STATES: &[(&[&str], &str)] = &[
    (&["running", "up", "alive", "active", "ready", "idle", "free"], "awake"),
    (&["working"], "busy"),
    (&["blocked", "asking"], "waiting"),
    (&["sleeping", "parked", "paused", "down"], "asleep"),
    (&["exited", "done", "finished"], "completed"),
    (&["dead", "died", "killed"], "crashed"),
    (&["new", "created"], "never-started"),
];

/// Returns what an unknown verb stands for: the verb of another tool, or a slip of the fingers; `names` are the verbs
/// that exist. A merely similar word is worse than none: it may end an agent that was meant to continue.
pub(crate) fn meant(typed: &str, names: &[String]) -> Option<String> {
    let habit = HABITS.iter().find(|(words, _)| words.contains(&typed)).map(|(_, meant)| (*meant).to_owned());
    habit.or_else(|| near(typed, names).map(|near| format!("did you mean {near}?")))
}

fn near<'a>(typed: &str, names: &'a [String]) -> Option<&'a String> {
    // One slip, or two in a long word; in a word of two letters it is half of it.
    let most = match typed.chars().count() {
        0..=2 => 0,
        3..=6 => 1,
        _ => 2,
    };
    let slips = |name: &String| strsim::osa_distance(typed, name);
    let slipped = names.iter().filter(|name| slips(name) <= most).min_by_key(|name| slips(name));
    let mut begun = names.iter().filter(|name| typed.len() > 2 && name.starts_with(typed));
    let begun = begun.next().filter(|_| begun.next().is_none());
    begun.or(slipped)
}

/// Prints the parser's error and returns the exit code; help and version go to stdout with code 0. `arguments` begin with the
/// program.
pub(crate) fn report(error: &clap::Error, arguments: &[OsString]) -> u8 {
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
    let words: Vec<&str> = arguments.iter().skip(1).filter_map(|word| word.to_str()).collect();
    output::hint(&hint(error, &words));
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

fn hint(error: &clap::Error, words: &[&str]) -> String {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(value)) => Some(value.as_str()),
        // clap lists the most similar value last.
        Some(ContextValue::Strings(values)) => values.last().map(String::as_str),
        _ => None,
    };
    let verb = words.first().map(|verb| canonical(verb));
    if let Some(typed) = said(ContextKind::InvalidSubcommand) {
        return subverb_meant(typed, verb).unwrap_or_else(|| "peer --help lists the verbs".to_owned());
    }
    let invalid = || said(ContextKind::InvalidArg).unwrap_or_default();
    let value = said(ContextKind::InvalidValue);
    let habit = match error.kind() {
        ErrorKind::UnknownArgument => unknown_argument(verb, invalid(), words),
        ErrorKind::InvalidValue if verb == Some("move") => {
            let is_path = value.is_some_and(|value| value == "." || value.contains('/'));
            is_path.then(|| "peer edit NAME moves it to another directory (cwd)".to_owned())
        }
        ErrorKind::InvalidValue => value_meant(error),
        ErrorKind::ValueValidation if invalid().contains("NAME") => value.and_then(|text| {
            let pattern = unquoted::pattern_meant(verb?, text, &complete::declared());
            pattern.or_else(|| text_meant(words, text).filter(|_| verb == Some("wake")))
        }),
        ErrorKind::MissingRequiredArgument => verb.and_then(|verb| names_to_choose(verb, error)),
        _ => None,
    };
    if let Some(habit) = habit {
        return habit;
    }
    if let Some(near) = said(ContextKind::SuggestedArg) {
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

/// The verb that an alias stands for.
fn canonical(typed: &str) -> &str {
    match typed {
        "ls" | "ps" => "list",
        "logs" => "log",
        verb => verb,
    }
}

/// What is meant by an unknown verb, or by an unknown verb of `peer timer`.
fn subverb_meant(typed: &str, verb: Option<&str>) -> Option<String> {
    if verb != Some("timer") {
        let names: Vec<String> = verbs().collect();
        return meant(typed, &names);
    }
    let habit = TIMER.iter().find(|(words, _)| words.contains(&typed)).map(|(_, meant)| (*meant).to_owned());
    let mut whole = Cli::command();
    whole.build();
    let timer = whole.find_subcommand("timer").map(clap::Command::get_subcommands);
    let names: Vec<String> = timer.into_iter().flatten().map(|of| of.get_name().to_owned()).collect();
    let near = || near(typed, &names).map(|near| format!("did you mean {near}?"));
    habit.or_else(near).or_else(|| Some("peer timer --help".to_owned()))
}

/// What is meant by a flag or a word that a verb does not take.
fn unknown_argument(verb: Option<&str>, invalid: &str, words: &[&str]) -> Option<String> {
    let flag = FLAGS.iter().find(|(of, flags, _)| Some(*of) == verb && flags.contains(&invalid));
    if let Some((.., meant)) = flag {
        return Some((*meant).to_owned());
    }
    match verb? {
        _ if invalid.starts_with('-') => None,
        "send" => Some(unquoted::send_meant(words, &complete::declared())),
        "add" => None,
        _ => unquoted::one_at_a_time(words, &complete::declared()),
    }
}

/// The state or the order that another word for it stands for, or the value that is one slip away.
fn value_meant(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidValue) else { return None };
    let Some(ContextValue::Strings(possible)) = error.get(ContextKind::ValidValue) else { return None };
    let mut habits = STATES.iter().chain(ORDERS).filter(|(words, _)| words.contains(&typed.as_str()));
    let habit = habits.find_map(|(_, value)| possible.iter().find(|possible| possible == value));
    habit.or_else(|| near(typed, possible)).map(|value| format!("did you mean {value}?"))
}

/// A text that follows the names of a wake, as `peer send` takes it.
fn text_meant(words: &[&str], text: &str) -> Option<String> {
    let names: Vec<&str> = words[1..].iter().copied().take_while(|word| *word != text).collect();
    let is_plain = !names.is_empty() && !names.iter().any(|name| name.starts_with('-')) && !text.contains('\'');
    is_plain.then(|| format!("peer wake {} -m '{text}'", names.join(" ")))
}

/// As many names as are read in a sentence.
const NAMED: usize = 8;

/// The names that a verb without one may be for.
fn names_to_choose(verb: &str, error: &clap::Error) -> Option<String> {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else { return None };
    if verb == "add" || !missing.first()?.starts_with("<NAME") && verb != "rename" {
        return None;
    }
    let mut all: Vec<&str> = missing.iter().map(|word| word.trim_matches(['<', '>', '.'])).collect();
    // The parser takes a text from elsewhere too.
    all.extend((verb == "send").then_some("'TEXT'"));
    let names = complete::declared();
    let named: Vec<&str> = names.iter().take(NAMED).map(PeerName::as_str).collect();
    let rest = if names.len() > NAMED { " …; peer list shows all" } else { "" };
    (!named.is_empty()).then(|| format!("peer {verb} {}; there are: {}{rest}", all.join(" "), named.join(", ")))
}

/// The verbs that `peer --help` lists.
pub(crate) fn verbs() -> impl Iterator<Item = String> {
    let whole = Cli::command();
    let verbs = whole.get_subcommands().filter(|verb| !verb.is_hide_set()).map(|verb| verb.get_name().to_owned());
    verbs.collect::<Vec<String>>().into_iter()
}

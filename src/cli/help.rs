//! `peer help`: the help of a verb, or one of the topics.

use std::fmt::Write;

use clap::builder::StyledStr;
use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use super::args::mistyped;
use super::render::fold::{fold, last_column};
use super::render::terminal::{columns, wrap};
use super::{Cli, CliError, Context, Outcome};
use crate::policy::event::EventName;

/// Returns the text of a topic.
type Topic = fn() -> String;

/// Topics that are explained beside the verbs.
const TOPICS: [(&str, Topic); 5] = [
    ("states", || include_str!("help/states.txt").to_owned()),
    ("causes", || include_str!("help/causes.txt").to_owned()),
    ("events", events),
    ("markers", || include_str!("help/markers.txt").to_owned()),
    ("exit-codes", || include_str!("help/exit-codes.txt").to_owned()),
];

/// The width of a table that is set here, in columns: that of a common terminal.
const TOPIC_WIDTH: usize = 80;

/// The text of `peer help events`, from the definition of the events.
fn events() -> String {
    let mut text = include_str!("help/events.txt").to_owned();
    let width = EventName::ALL.iter().map(|event| event.as_str().len()).max().unwrap_or_default();
    for event in EventName::ALL {
        let mut name = event.as_str();
        for line in wrap(event.meaning(), Some(TOPIC_WIDTH - width - 4)) {
            let _ = writeln!(text, "  {name:width$}  {line}");
            name = "";
        }
    }
    text
}

/// The verbs by purpose, as `peer --help` lists them. Every verb that is not hidden is in exactly one group.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Set up", &["add", "edit", "show", "rename", "move", "rm", "restore", "agents", "timer"]),
    (
        "Run",
        &["wake", "send", "inbox", "wait", "answer", "interrupt", "key", "attach", "refresh", "new", "stop", "start"],
    ),
    ("Look", &["list", "status", "top", "why", "screen", "last", "transcript", "conversations", "log"]),
    ("Inside a pane", &["self-fresh", "self-done", "beat", "mcp"]),
    ("Maintain", &["reap", "watch", "doctor", "reset", "release", "restart-runtime"]),
    ("Help", &["help", "man", "completions"]),
];

/// The command line with the definitions of all verbs, whose help lists them by purpose.
pub(super) fn command() -> Command {
    let mut whole = Cli::command();
    whole.build();
    let template = template(&whole);
    whole.help_template(template)
}

/// The template of `peer --help`: clap lists subcommands as one block, so the groups are written into it.
fn template(whole: &Command) -> StyledStr {
    let verbs: Vec<&Command> = whole.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
    let width = verbs.iter().map(|verb| verb.get_name().len()).max().unwrap_or_default();
    let (header, literal) = (whole.get_styles().get_header(), whole.get_styles().get_literal());
    let mut text = StyledStr::from("{about}\n\n{usage-heading} {usage}\n".to_owned());
    for (group, names) in GROUPS {
        let _ = writeln!(text, "\n{header}{group}:{header:#}");
        for verb in names.iter().filter_map(|name| verbs.iter().find(|verb| verb.get_name() == *name)) {
            let (name, about) = (verb.get_name(), verb.get_about().map(ToString::to_string).unwrap_or_default());
            let line = format!("  {literal}{name}{literal:#}{:room$}  {about}", "", room = width - name.len());
            for line in fold(&line, width + 4, columns()) {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    let _ = write!(text, "\n{header}Options:{header:#}\n{{options}}{{after-help}}");
    text
}

/// Explain a verb, or states, causes, events, markers or exit codes
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A verb, or one of states, causes, events, markers and exit-codes; lists the verbs if omitted
    #[arg(value_name = "VERB|TOPIC", add = candidates())]
    about: Option<String>,
    /// A verb of that verb, such as install of timer
    #[arg(value_name = "VERB")]
    below: Option<String>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Outcome {
    let mut whole = command();
    let Some(about) = &args.about else { return shown(&whole.render_help(), context) };
    if let Some((_, text)) = TOPICS.iter().find(|(topic, _)| topic == about) {
        for line in text().lines() {
            context.out.words(line, last_column(line))?;
        }
        return Ok(0);
    }
    if let Some(verb) = whole.find_subcommand(about) {
        let below = args.below.as_deref();
        if let Some(below) = below.filter(|below| verb.find_subcommand(below).is_none()) {
            return Err(CliError::usage(format!("{about} has no verb {below:?}"), format!("peer help {about}")));
        }
        // What the flag prints, which is short where there is nothing more to say.
        let line = ["peer", about].into_iter().chain(below).chain(["--help"]);
        if let Err(help) = whole.try_get_matches_from_mut(line) {
            return shown(&help.render(), context);
        }
    }
    let names: Vec<String> = names().collect();
    let hint = mistyped::meant(about, &names).unwrap_or_else(|| "peer help lists the verbs".to_owned());
    Err(CliError::usage(format!("there is no verb and no topic {about:?}"), hint))
}

/// Everything that `peer help` takes: the verbs that `peer --help` lists, then the topics.
pub(super) fn names() -> impl Iterator<Item = String> {
    mistyped::verbs().chain(TOPICS.iter().map(|(topic, _)| (*topic).to_owned()))
}

/// Completes verbs and topics.
fn candidates() -> ArgValueCandidates {
    ArgValueCandidates::new(|| names().map(CompletionCandidate::new).collect())
}

fn shown(help: &StyledStr, context: &mut Context) -> Outcome {
    context.out.raw(help.to_string().as_bytes())?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ending::EndCause;
    use crate::policy::state::State;
    use crate::store::Marker;

    #[test]
    fn each_verb_is_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        let mut visible: Vec<String> = mistyped::verbs().collect();
        grouped.sort_unstable();
        visible.sort_unstable();
        assert_eq!(grouped, visible);
    }

    fn topic(name: &str) -> String {
        TOPICS.iter().find(|(topic, _)| *topic == name).expect("a topic").1()
    }

    /// The line of a topic that explains `word`.
    fn line(name: &str, word: &str) -> String {
        let explains = |line: &&str| line.split_whitespace().next() == Some(word);
        let text = topic(name);
        text.lines().find(explains).unwrap_or_else(|| panic!("{name} does not explain {word}")).to_owned()
    }

    #[test]
    fn every_state_cause_event_and_marker_is_explained_on_a_line_of_its_own() {
        for state in State::ALL {
            line("states", state.as_str());
        }
        for cause in EndCause::ALL {
            let told = line("causes", cause.as_str());
            assert_eq!(told.contains("  yes  "), cause.counted(), "{told}");
        }
        for marker in Marker::ALL {
            line("markers", &format!("NAME.{}", marker.suffix()));
        }
        for event in EventName::ALL {
            line("events", event.as_str());
        }
        for code in 0..=9 {
            line("exit-codes", &code.to_string());
        }
    }

    #[test]
    fn a_topic_fits_into_a_small_terminal() {
        for (name, text) in TOPICS {
            for line in text().lines() {
                let folded = fold(line, last_column(line), Some(TOPIC_WIDTH));
                assert!(folded.iter().all(|line| line.chars().count() <= TOPIC_WIDTH), "{name}: {line}");
                // A row of a table with more than two columns has no room to go on below itself.
                assert!(folded.len() == 1 || last_column(line) < TOPIC_WIDTH / 3, "{name}: {line}");
            }
        }
    }
}

use clap::CommandFactory;
use clap::builder::StyledStr;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use super::args::mistyped;
use super::{Cli, CliError, Context, Outcome};

/// What is explained beside the verbs.
const TOPICS: [(&str, &str); 5] = [
    ("states", include_str!("help/states.txt")),
    ("causes", include_str!("help/causes.txt")),
    ("events", include_str!("help/events.txt")),
    ("markers", include_str!("help/markers.txt")),
    ("exit-codes", include_str!("help/exit-codes.txt")),
];

/// Explain a verb, or states, causes, events, markers or exit codes
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A verb, or one of states, causes, events, markers and exit-codes; the verbs when not given
    #[arg(value_name = "VERB|TOPIC", add = candidates())]
    about: Option<String>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Outcome {
    let mut whole = Cli::command();
    whole.build();
    let Some(about) = &args.about else { return shown(&whole.render_help(), context) };
    if let Some((_, text)) = TOPICS.iter().find(|(topic, _)| topic == about) {
        context.out.raw(text.as_bytes())?;
        return Ok(0);
    }
    if let Some(verb) = whole.find_subcommand_mut(about) {
        return shown(&verb.render_long_help(), context);
    }
    let names: Vec<String> = names().collect();
    let hint = mistyped::meant(about, &names).unwrap_or_else(|| "peer help lists the verbs".to_owned());
    Err(CliError::usage(format!("there is no verb and no topic {about:?}"), hint))
}

/// What can be asked for: the verbs that `peer --help` lists, then the topics.
pub(super) fn names() -> impl Iterator<Item = String> {
    mistyped::verbs().chain(TOPICS.iter().map(|(topic, _)| (*topic).to_owned()))
}

/// Verbs, and what else is explained.
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
    use crate::store::{EVENTS, Marker};

    fn topic(name: &str) -> &'static str {
        TOPICS.iter().find(|(topic, _)| *topic == name).expect("a topic").1
    }

    /// The line of a topic that explains `word`.
    fn line(name: &str, word: &str) -> &'static str {
        let explains = |line: &&str| line.split_whitespace().next() == Some(word);
        topic(name).lines().find(explains).unwrap_or_else(|| panic!("{name} does not explain {word}"))
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
        for event in EVENTS {
            line("events", event);
        }
        for code in 0..=7 {
            line("exit-codes", &code.to_string());
        }
    }

    #[test]
    fn a_topic_fits_into_a_small_terminal() {
        for (name, text) in TOPICS {
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{name}");
        }
    }
}

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};

use crate::cli::error::{answer_hint, code};
use crate::cli::render::output::{self, printable};
use crate::cli::{self, Context};
use crate::config::Span;
use crate::engine::error::AnswerWith;
use crate::engine::verbs::wait::{Outcome, Waited, Wanted};
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::wait::Goal;

/// Wait until peers finish their turns or reach another state
///
/// Waits for all of the named peers, or with --any for the first one, whose name it prints. Gives up with exit code 8 if a
/// peer needs a person, is limited or is stalled, 5 if it no longer runs, and 9 after --timeout. Waiting costs next to nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer send api 'run the tests' && peer wait api && peer last api\n  peer wait api web --timeout 10m\n  peer wait api web db --any            # prints the name of the first one\n  peer wait api --until waiting,ended"
)]
pub(crate) struct Args {
    /// Names of peers
    #[arg(value_name = "NAME", required = true, add = crate::cli::args::complete::peers())]
    names: Vec<PeerName>,
    /// Until the peer is in one of these states; idle means that its turn is over
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = goals(), default_value = "idle")]
    until: Vec<Goal>,
    /// Until one of the peers is, instead of all
    #[arg(long)]
    any: bool,
    /// Give up after this time, e.g. 90s, 10m; waits forever if omitted
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

fn goals() -> impl TypedValueParser<Value = Goal> {
    // As the state is called in a list.
    const AWAKE: &str = "awake";
    let named = Goal::ALL.map(|goal| PossibleValue::new(goal.as_str()).aliases((goal == Goal::Idle).then_some(AWAKE)));
    PossibleValuesParser::new(named).map(|word| {
        let word = if word == AWAKE { Goal::Idle.as_str() } else { &word };
        *Goal::ALL.iter().find(|goal| goal.as_str() == word).expect("one of the possible values")
    })
}

pub(crate) async fn run(args: Args, context: &mut Context) -> cli::Outcome {
    let engine = context.engine_by_records()?;
    let mut names = args.names;
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let timeout = args.timeout.map(|span| span.0);
    let wanted = Wanted { goals: args.until, any: args.any, timeout };
    let outcome = engine.wait(&names, &wanted).await?;
    let (document, code) = document(&outcome, args.any);
    if args.json {
        context.out.document("wait", &document)?;
        return Ok(code);
    }
    let first = outcome.settled.iter().find(|waited| waited.reached.is_some());
    let failed = outcome.settled.iter().filter(|waited| waited.reached.is_none());
    if let Some(first) = first.filter(|_| args.any) {
        context.out.line(printable(first.row.peer.as_str()))?;
        return Ok(code);
    }
    context.out.flush()?;
    for waited in failed {
        let (problem, hint) = failure(waited);
        output::error(&problem);
        output::hint(&hint);
    }
    if outcome.timed_out {
        let left = |name: &&PeerName| !outcome.settled.iter().any(|waited| waited.row.peer == **name);
        let left: Vec<&str> = names.iter().filter(left).map(PeerName::as_str).collect();
        let waited = timeout.unwrap_or_default().as_secs();
        output::error(&format!("{} did not become {} within {waited} s", left.join(", "), listed(&wanted.goals)));
        output::hint("peer list shows their states; run the same command to keep waiting");
    }
    Ok(code)
}

/// What `--json` prints of a wait for all or for any, and how it exits.
pub(crate) fn document(outcome: &Outcome, any: bool) -> (Value, u8) {
    let reached = |waited: &Waited| waited.reached.is_some();
    // One is enough, and the others need not have failed.
    let done = any && outcome.settled.iter().any(reached);
    let failed = outcome.settled.iter().filter(|waited| !reached(waited));
    let late = if outcome.timed_out { code::TIMED_OUT } else { 0 };
    let worst = failed.map(code_of).max().unwrap_or(0).max(late);
    let code = if done { 0 } else { worst };
    (json!({ "peers": outcome.settled, "timed_out": outcome.timed_out, "code": code }), code)
}

fn code_of(waited: &Waited) -> u8 {
    if waited.needs_person { code::NEEDS_PERSON } else { code::NOT_READY }
}

fn failure(waited: &Waited) -> (String, String) {
    let peer = &waited.row.peer;
    if waited.needs_person && waited.row.state == State::Limited {
        let until = waited.row.limited_until_ms.map(|until| format!(" until {until}")).unwrap_or_default();
        return (format!("{peer} is stopped by a usage limit{until}"), format!("peer screen {peer} shows it"));
    }
    if let Some(progress) = waited.row.progress_ms.filter(|_| waited.needs_person) {
        let hint = format!("peer screen {peer} shows it; peer interrupt {peer} stops its turn");
        return (format!("{peer} is stalled: nothing has happened in its turn since {progress}"), hint);
    }
    if waited.needs_person {
        let kind = waited.row.waiting_for.map(|kind| format!(" ({kind})")).unwrap_or_default();
        let asks = waited.row.question.as_ref().map(|question| format!(": {question}")).unwrap_or_default();
        return (
            format!("{peer} needs a person{kind}{asks}"),
            answer_hint(peer.as_str(), AnswerWith::of(waited.row.answerable)),
        );
    }
    let detail = waited.row.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    (format!("{peer} does not run: it is {}{detail}", waited.row.state), waited.row.next_command())
}

fn listed(goals: &[Goal]) -> String {
    goals.iter().map(|goal| goal.as_str()).collect::<Vec<_>>().join(" or ")
}

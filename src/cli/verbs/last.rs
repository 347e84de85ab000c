use serde_json::{Value, json};

use super::transcript::lines;
use crate::cli::args::several::named;
use crate::cli::render::output;
use crate::cli::{CliError, Context, Outcome};
use crate::engine::Engine;
use crate::engine::verbs::transcript::LastAnswers;
use crate::policy::answer::Unanswered;
use crate::policy::name::PeerName;

/// Print an agent's last answer, or the last few
///
/// Read from the agent's own transcript, whether it is awake or asleep. An answer is the last text the agent wrote in a turn.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer last api\n  peer last api -n 3\n  peer last api --json | jq -r '.answers[-1].text'"
)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
    /// How many answers, newest last
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1)]
    number: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine_by_records()?;
    if args.json {
        context.out.document("last", &document(&engine, &args.name, args.number)?)?;
        return Ok(0);
    }
    let LastAnswers { answers, unanswered, .. } = engine.last_answers(&args.name, args.number)?;
    if answers.is_empty() && args.number > 0 {
        return Err(CliError::Nothing {
            problem: format!("{} has not answered anything in this conversation", args.name),
            hint: format!("peer transcript {} shows the whole conversation", args.name),
        });
    }
    if let Some(unanswered) = unanswered.filter(|_| args.number > 0) {
        let why = match unanswered {
            Unanswered::Ended => "was stopped or failed",
            Unanswered::InProgress => "is in progress",
            Unanswered::CutOff => "was stopped or cut off",
            Unanswered::Open => "is in progress, or was cut off",
        };
        output::note(&format!(
            "the newest message to {} has no answer: its turn {why}; this answers an earlier one",
            args.name
        ));
    }
    for (number, answer) in answers.iter().enumerate() {
        if number > 0 {
            context.out.line("")?;
        }
        for line in lines(&answer.text) {
            context.out.line(line)?;
        }
    }
    Ok(0)
}

/// What `--json` prints: the last answers of a peer, the newest last.
pub(crate) fn document(engine: &Engine, name: &PeerName, number: usize) -> Result<Value, CliError> {
    Ok(named(name, json!(engine.last_answers(name, number)?)))
}

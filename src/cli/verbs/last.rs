use serde_json::{Value, json};

use super::transcript::lines;
use crate::cli::{CliError, Context, Outcome};
use crate::engine::Engine;
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
    let (_, mut answers) = engine.last_answers(&args.name)?;
    answers.drain(..answers.len().saturating_sub(args.number));
    if answers.is_empty() {
        return Err(CliError::Nothing {
            problem: format!("{} has not answered anything in this conversation", args.name),
            hint: format!("peer transcript {} shows the whole conversation", args.name),
        });
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
    let (conversation, mut answers) = engine.last_answers(name)?;
    answers.drain(..answers.len().saturating_sub(number));
    Ok(json!({ "peer": name, "conversation": conversation.id, "answers": answers }))
}

use std::path::PathBuf;

use serde_json::json;

use crate::cli::args::choice::Choice;
use crate::cli::args::several::{self, Names, Report};
use crate::cli::{CliError, Context, Outcome, interrupted};
use crate::engine::message::{Message, read_message};
use crate::engine::verbs::wake::Woken;
use crate::policy::wake::Decision;

/// Bring agents up, fresh or resumed, and say why
///
/// How the agent last ended decides: a parked one is resumed, a crashed one starts fresh. `peer why NAME` shows every rule.
/// An agent that is already awake only gets the message.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer wake api\n  peer wake api --topic login -m 'fix the login test'\n  peer wake --all --jobs 4\n  peer wake api --fresh --force      # after a crash loop"
)]
pub(crate) struct Args {
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    choice: Choice,
    /// Text to deliver once the agent is ready
    #[arg(long, short, conflicts_with = "message_file")]
    message: Option<String>,
    /// File with the text to deliver; - reads stdin
    #[arg(long, value_name = "FILE")]
    message_file: Option<PathBuf>,
    /// At most this many at once
    #[arg(long, default_value_t = 4, value_name = "N")]
    jobs: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let names = args.names.resolve(&engine)?;
    let text = match (args.message, &args.message_file) {
        (Some(text), _) => Some(text),
        (None, Some(file)) => Some(read_message(file)?),
        (None, None) => None,
    };
    let request = args.choice.request();
    let message = engine.signed(Message { text, topic: args.choice.topic, ..Message::default() })?;
    let has_message = message.text.is_some();
    let woken = several::each(context, &engine, "wake", args.json, names, args.jobs, async |name| {
        let woken = engine.wake(&name, &request, &message).await.map_err(CliError::from)?;
        Ok(report(&woken))
    });
    // Without a message there is nothing to report on a signal: the start continues without us.
    if has_message { interrupted::heeding(&engine, woken).await? } else { woken.await }
}

/// The outcome in one line: what was done, why, and whether a message was delivered.
pub(crate) fn report(woken: &Woken) -> Report {
    let delivered = if woken.delivered { "; message delivered" } else { "" };
    let queued = match woken.queued_delivered {
        0 => String::new(),
        1 => "; a queued message delivered".to_owned(),
        some => format!("; {some} queued messages delivered"),
    };
    let what = match woken.decision {
        Decision::Fresh => format!("woken fresh ({})", woken.cause),
        Decision::Resume => format!("woken resumed ({})", woken.cause),
        Decision::AlreadyAwake => "already awake".to_owned(),
    };
    Report { line: format!("{}: {what}{delivered}{queued}", woken.peer), fields: json!(woken) }
}

use std::path::PathBuf;

use serde_json::json;

use crate::cli::args::choice::Choice;
use crate::cli::args::several::{self, Names, Report};
use crate::cli::{CliError, Context, Outcome, interrupted};
use crate::engine::message::{Message, read_message};
use crate::engine::verbs::wake::Woken;
use crate::engine::{Engine, EngineError};
use crate::policy::name::PeerName;
use crate::policy::wake::Refusal;

/// Bring agents up, fresh or resumed, and say why
///
/// How the agent last ended decides: a parked one is resumed, a crashed one starts fresh. `peer why NAME` shows every rule.
/// An agent that is already awake only gets the message. --all leaves out peers that are stopped or managed by another
/// program. Ctrl-C ends the wait, and what has begun goes on starting.
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
    #[arg(long, short, conflicts_with = "message_file", allow_hyphen_values = true)]
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
    let are_all = args.names.are_all();
    let names = args.names.resolve(&engine)?;
    let text = match (args.message, &args.message_file) {
        (Some(text), _) => Some(text),
        (None, Some(file)) => Some(read_message(file)?),
        (None, None) => None,
    };
    let request = args.choice.request();
    let text_hint = if text.is_none() { text_meant(&engine, &names)? } else { None };
    let message = engine.signed(Message { text, topic: args.choice.topic, ..Message::default() })?;
    let woken = several::each(context, "wake", args.json, names, args.jobs, async |name| {
        match engine.wake(&name, &request, &message).await {
            Ok(woken) => Ok(report(&woken)),
            Err(error @ EngineError::NoSuchPeer { nearest: None, removed: false, .. }) => Err(match &text_hint {
                Some((last, hint)) if *last == name => CliError::Meant { error: Box::new(error), hint: hint.clone() },
                _ => error.into(),
            }),
            Err(error) => left_out(&name, &error).filter(|_| are_all).ok_or_else(|| CliError::from(error)),
        }
    });
    interrupted::heeding(&engine, woken).await?
}

/// A last word that is no peer, behind words that are: it may be the message, as in a send. Returns it with the hint.
fn text_meant(engine: &Engine, names: &[PeerName]) -> Result<Option<(PeerName, String)>, CliError> {
    let Some((last, others)) = names.split_last().filter(|(_, others)| !others.is_empty()) else { return Ok(None) };
    let declared = engine.config.names().map_err(EngineError::from)?;
    if declared.contains(last) || !others.iter().all(|name| declared.contains(name)) {
        return Ok(None);
    }
    let others: Vec<&str> = others.iter().map(PeerName::as_str).collect();
    let hint = format!("peer wake {} -m {last}, if it is the message; or peer add {last} -- COMMAND", others.join(" "));
    Ok(Some((last.clone(), hint)))
}

/// What is said of a peer that `--all` does not mean: somebody decided that it is not woken like this.
fn left_out(name: &PeerName, error: &EngineError) -> Option<Report> {
    let EngineError::Refused { refusal, .. } = error else { return None };
    let allows = match refusal {
        Refusal::Stopped => format!("; peer start {name} lets it be woken"),
        Refusal::ManagedElsewhere { .. } => String::new(),
        _ => return None,
    };
    let line = format!("{name}: left out: {refusal}{allows}");
    Some(Report { line, fields: json!({ "left_out": refusal.cause() }) })
}

/// The outcome in one line: what was done, why, and whether a message was delivered.
pub(crate) fn report(woken: &Woken) -> Report {
    Report { line: format!("{}: {woken}", woken.peer), fields: json!(woken) }
}

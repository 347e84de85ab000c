use std::path::PathBuf;

use crate::cli::{Context, Outcome, interrupted};
use crate::engine::message::{Message, read_message};
use crate::policy::name::PeerName;

/// Start a new conversation now, whatever state the agent is in
///
/// Ends the running agent, interrupting a turn in progress, undoes `peer stop`, and is not bound by the crash-loop guard.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
    /// What the message is about
    #[arg(long, short, add = crate::cli::args::complete::topics())]
    topic: Option<String>,
    /// Text to deliver once the agent is ready
    #[arg(long, short, conflicts_with = "message_file")]
    message: Option<String>,
    /// File with the text to deliver; - reads stdin
    #[arg(long, value_name = "FILE")]
    message_file: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let text = match (args.message, &args.message_file) {
        (None, Some(file)) => Some(read_message(file)?),
        (text, _) => text,
    };
    let message = engine.signed(Message { text, topic: args.topic, ..Message::default() })?;
    let woken = interrupted::heeding(&engine, Box::pin(engine.new_conversation(&args.name, &message))).await??;
    let report = crate::cli::verbs::wake::report(&woken);
    if args.json {
        context.out.document("new", &report.fields)?;
    } else {
        context.out.line(crate::cli::render::output::printable(&report.line))?;
    }
    Ok(0)
}

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::transcript::lines;
use crate::cli::args::several::named;
use crate::cli::args::unquoted;
use crate::cli::error::code;
use crate::cli::{CliError, Context, Outcome, interrupted};
use crate::config::Span;
use crate::engine::message::{Message, read_message};
use crate::engine::verbs::ask::Asked;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;

/// Deliver a message, waking the agent first
///
/// Exits with 0 only once the agent is seen to have accepted the message. Long and multi-line text arrives unchanged.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer send api 'run the tests again'\n  peer send api --file review.md --topic review\n  peer send api -w 'which tests fail?'      # prints the answer\n  git diff | peer send api -\n  peer send api -- -v                       # a text that looks like a flag\n  peer send api --after 2h 'look at the nightly run'\n  peer wake --all -m 'the release is out'   # wakes all, and sends it to each"
)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
    /// The text; - reads stdin
    #[arg(conflicts_with = "file", allow_hyphen_values = true)]
    text: Option<String>,
    /// File with the text; - reads stdin
    #[arg(long)]
    file: Option<PathBuf>,
    /// What the message is about
    #[arg(long, short, add = crate::cli::args::complete::topics())]
    topic: Option<String>,
    /// The text is one of the agent's own commands, such as /compact
    #[arg(long)]
    command: bool,
    #[command(flatten)]
    awaited: Awaited,
    /// Fail instead of waking it
    #[arg(long)]
    no_wake: bool,
    #[command(flatten)]
    later: Later,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// When it is to be delivered, if not now.
#[derive(Debug, clap::Args)]
struct Later {
    /// Queue the message: delivered once and in order, now if the agent is free, else by the next wake or tick
    #[arg(long, conflicts_with_all = ["command", "no_wake", "wait"])]
    queue: bool,
    /// Queue it, and deliver it not before this time, as 07:00, 2026-11-29T07:00 (both by this machine's clock) or RFC 3339
    #[arg(long, value_name = "TIME", conflicts_with_all = ["after", "command", "no_wake", "wait"], value_parser = super::inbox::at)]
    at: Option<Timestamp>,
    /// Queue it, and deliver it not before this long from now, e.g. 2h
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["command", "no_wake", "wait"])]
    after: Option<Span>,
}

impl Later {
    /// A time alone says that it is to be queued.
    fn is_meant(&self) -> bool {
        self.queue || self.at.is_some() || self.after.is_some()
    }
}

/// Whether its answer is waited for.
#[derive(Debug, clap::Args)]
struct Awaited {
    /// Wait for the end of the turn and print only the answer
    ///
    /// Waits for the turn of this very message, even if it is queued behind another one first. Exits with 8 if the agent needs a
    /// person, and with 9 after --timeout.
    #[arg(long, short, conflicts_with = "command")]
    wait: bool,
    /// With --wait: give up after this time, e.g. 90s, 10m; waits forever if omitted
    #[arg(long, value_name = "TIME", requires = "wait")]
    timeout: Option<Span>,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    if let Some(text) = args.text.as_deref().filter(|_| !context.ends_flags) {
        unquoted::refuse_flag(&args.name, text)?;
    }
    let text = message_text(args.text, args.file)?;
    let engine = context.engine()?;
    let message = engine.signed(Message {
        text: Some(text),
        topic: args.topic,
        command: args.command,
        asks: args.awaited.wait,
        ..Message::default()
    })?;
    if args.later.is_meant() {
        let not_before = args.later.at.or_else(|| args.later.after.map(|span| engine.now().after(span.0)));
        return super::inbox::post(&args.name, &message, not_before, args.json, context).await;
    }
    if args.awaited.wait {
        let timeout = args.awaited.timeout.map(|span| span.0);
        let asked = Box::pin(engine.send_and_wait(&args.name, &message, !args.no_wake, timeout));
        let asked = interrupted::heeding(&engine, asked).await?;
        return answered(&args.name, args.json, asked.map_err(CliError::from), context);
    }
    let sent = interrupted::heeding(&engine, Box::pin(engine.send(&args.name, &message, !args.no_wake))).await?;
    let woken = match sent.map_err(CliError::from) {
        Ok(woken) => woken,
        Err(error) if args.json => {
            context.out.document("send", &named(&args.name, error.to_json()))?;
            return Ok(error.code());
        }
        Err(error) => return Err(error),
    };
    let report = crate::cli::verbs::wake::report(&woken);
    if args.json {
        context.out.document("send", &report.fields)?;
    } else {
        context.out.line(crate::cli::render::output::printable(&report.line))?;
    }
    Ok(0)
}

/// Prints an answer and nothing else, because the caller goes on with it.
fn answered(name: &PeerName, json: bool, asked: Result<Asked, CliError>, context: &mut Context) -> Outcome {
    match asked {
        Ok(asked) if json => {
            let code = if asked.answer.is_some() { 0 } else { code::FAILED };
            context.out.document("send", &asked)?;
            Ok(code)
        }
        Ok(asked) => {
            let answer = asked.answer.ok_or_else(|| CliError::Nothing {
                problem: format!("the turn of the message to {name} ended without an answer"),
                hint: format!("peer screen {name}; it was interrupted or failed"),
            })?;
            for line in lines(&answer) {
                context.out.line(line)?;
            }
            Ok(0)
        }
        Err(error) if json => {
            context.out.document("send", &named(name, error.to_json()))?;
            Ok(error.code())
        }
        Err(error) => Err(error),
    }
}

/// Returns the text from the argument, file or stdin; an empty message is an error.
fn message_text(text: Option<String>, file: Option<PathBuf>) -> Result<String, CliError> {
    let from = match (text, file) {
        (Some(dash), None) if dash == "-" => read_message(Path::new("-"))?,
        (Some(text), _) => text,
        (None, Some(file)) => read_message(&file)?,
        (None, None) if !std::io::stdin().is_terminal() => read_message(Path::new("-"))?,
        (None, None) => {
            return Err(CliError::usage("no text to send", "peer send NAME 'TEXT', --file FILE, or - for stdin"));
        }
    };
    if from.trim().is_empty() {
        return Err(CliError::usage("the message is empty", "peer wake NAME wakes it without one"));
    }
    Ok(from)
}

use serde_json::json;

use crate::cli::render::output::printable;
use crate::cli::render::terminal::{Hue, Paint, columns, cut};
use crate::cli::{CliError, Context, Outcome};
use crate::engine::verbs::conversations::KnownConversation;
use crate::policy::name::PeerName;
use crate::store::Origin;

/// List every conversation that a peer ever had
///
/// The newest last: how each came to it, from when to when its agent wrote in it, and what was said first. A resume continues
/// the current one; peer wake NAME --conversation ID continues any other.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer conversations api\n  peer wake api --conversation 9c1e       # go on in that one\n  peer transcript api --conversation 9c1e\n  peer conversations api --json | jq -r '.conversations[] | select(.files).conversation'"
)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine_by_records()?;
    let known = engine.conversations(&args.name)?;
    if args.json {
        let document = json!({ "peer": args.name, "conversations": known });
        context.out.document("conversations", &document)?;
        return Ok(0);
    }
    if known.is_empty() {
        return Err(CliError::Nothing {
            problem: format!("{} never had a conversation", args.name),
            hint: format!("peer wake {} begins one", args.name),
        });
    }
    let paint = Paint::of_stdout();
    for one in &known {
        let line = format!("{}  {}", printable(&one.conversation), described(one));
        context.out.line(if one.current { paint.paint(Hue::Strong, &line) } else { line })?;
        for line in below(one) {
            context.out.line(fitting(&format!("  {line}")))?;
        }
    }
    Ok(0)
}

fn fitting(line: &str) -> String {
    columns().map_or_else(|| line.to_owned(), |room| cut(line, room).to_string())
}

/// Describes how the peer came to this conversation, how often it was resumed, and whether it is current.
fn described(one: &KnownConversation) -> String {
    let how = match one.how {
        Origin::Started => "started",
        Origin::Switched => "switched to in mid-session",
        Origin::Adopted => "adopted",
    };
    let resumed = match one.resumed {
        0 => String::new(),
        1 => ", resumed once".to_owned(),
        times => format!(", resumed {times} times"),
    };
    let current = if one.current { ", current" } else { "" };
    format!("{how}{resumed}{current}")
}

/// Returns the detail lines: the times and first words that the agent's files show.
fn below(one: &KnownConversation) -> Vec<String> {
    let second = |at| humantime::format_rfc3339_seconds(std::time::SystemTime::from(at)).to_string();
    let mut lines = Vec::new();
    match (one.first_at, one.last_at) {
        (Some(first), Some(last)) => lines.push(format!("{} to {}", second(first), second(last))),
        (Some(at), None) | (None, Some(at)) => lines.push(second(at)),
        (None, None) if one.files == Some(false) => lines.extend(one.since.map(second)),
        (None, None) => lines.extend(one.since.map(|at| format!("{}, nothing was said", second(at)))),
    }
    match (one.files, &one.first_words) {
        (Some(false), _) if one.current => lines.push("its agent has no files of it for its directory yet".to_owned()),
        (Some(false), _) => lines.push("its agent has no files of it for its directory".to_owned()),
        (_, Some(words)) => lines.push(printable(words)),
        (_, None) => {}
    }
    lines
}

use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::render::output::printable;
use crate::cli::{CliError, Context, Outcome};
use crate::engine::Engine;
use crate::engine::verbs::transcript::Conversation;
use crate::policy::answer::{Message, Role, messages};
use crate::policy::name::PeerName;

/// How often a followed conversation is read.
const FOLLOW: Duration = Duration::from_millis(300);

/// Print a conversation: who said what and when
///
/// Read from the agent's own files, whether it is awake or asleep. At most the last 16 MiB of a file are read.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer transcript api\n  peer transcript api --follow\n  peer transcript api --json | jq -r 'select(.role==\"assistant\").text'\n  less \"$(peer transcript api --path)\""
)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
    /// Print only the path of the agent's file
    #[arg(long, conflicts_with_all = ["follow", "json"])]
    path: bool,
    /// Keep printing new messages
    #[arg(long, short)]
    follow: bool,
    /// Only the last N messages (with --follow, then all new ones)
    #[arg(long, short = 'n', value_name = "N", conflicts_with = "path")]
    number: Option<usize>,
    /// Print one JSON object per message, as JSON Lines
    #[arg(long)]
    json: bool,
    /// Another conversation of this peer: its id or a unique prefix
    #[arg(long, value_name = "ID", add = crate::cli::args::complete::conversations())]
    conversation: Option<String>,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine_by_records()?;
    let conversation = engine.transcript(&args.name, args.conversation.as_deref())?;
    if args.path {
        context.out.line(printable(&conversation.path.display().to_string()))?;
        return Ok(0);
    }
    let mut shown = Shown { most: args.number, ..Shown::default() };
    shown.print(args, context, &engine, &conversation)?;
    loop {
        context.out.flush()?;
        if !args.follow {
            return Ok(0);
        }
        tokio::time::sleep(FOLLOW).await;
        // Between two reads the peer may have switched to a conversation that is still empty, or its file may be being
        // rewritten.
        if let Ok(conversation) = engine.transcript(&args.name, args.conversation.as_deref()) {
            shown.print(args, context, &engine, &conversation)?;
        }
    }
}

/// What was printed so far, and of which conversation.
#[derive(Default)]
struct Shown {
    /// How many messages of those that are there at first.
    most: Option<usize>,
    id: String,
    last: Vec<Message>,
}

impl Shown {
    /// Prints what is new.
    fn print(
        &mut self,
        args: &Args,
        context: &mut Context,
        engine: &Engine,
        conversation: &Conversation,
    ) -> Result<(), CliError> {
        let spoken = messages(&conversation.entries);
        if self.id != conversation.id {
            if !self.id.is_empty() && !args.json {
                context.out.line(format!("-- in another conversation: {} --\n", printable(&conversation.id)))?;
            }
            *self = Self { most: self.most, id: conversation.id.clone(), last: Vec::new() };
        }
        let agent = &engine.known(&args.name)?.spec.agent;
        // An agent may write an answer in parts.
        let settled = settled(&self.last, &spoken).min(spoken.len());
        let settled = self.most.take().map_or(settled, |most| settled.max(spoken.len().saturating_sub(most)));
        let grown = self.last.last().zip(settled.checked_sub(1).map(|last| &spoken[last]));
        let rest = grown.and_then(|(before, now)| {
            let text = now.text.strip_prefix(&before.text).filter(|rest| !rest.is_empty())?;
            Some(Message { text: text.trim_start_matches('\n').to_owned(), ..now.clone() })
        });
        for one in rest.iter().chain(&spoken[settled..]) {
            if args.json {
                context.out.json_line(&document(&conversation.id, one))?;
            } else {
                message(context, agent, one)?;
            }
        }
        self.last = spoken;
        Ok(())
    }
}

/// Returns how many of the messages in `now` were printed before. Only the end of a long file is read, so messages at
/// the beginning disappear.
fn settled(before: &[Message], now: &[Message]) -> usize {
    let Some(last) = before.last() else { return 0 };
    let same = |one: &Message| one.role == last.role && one.at == last.at && one.text.starts_with(&last.text);
    let Some(at) = now.iter().rposition(same) else { return before.len() };
    at + 1
}

fn document(conversation: &str, spoken: &Message) -> Value {
    let mut one = json!({ "conversation": conversation });
    if let (Some(fields), Ok(Value::Object(more))) = (one.as_object_mut(), serde_json::to_value(spoken)) {
        fields.extend(more);
    }
    one
}

/// Prints a line with the speaker and the time, and the text below it, indented.
fn message(context: &mut Context, agent: &str, spoken: &Message) -> io::Result<()> {
    let who = match spoken.role {
        Role::User => "user",
        Role::Assistant => agent,
    };
    let at = spoken.at.map(|at| format!("{at}  ")).unwrap_or_default();
    let cost = spoken.tokens.map(|tokens| format!("  ({} tokens in, {} out)", tokens.input, tokens.output));
    context.out.line(format!("{at}{}{}", printable(who), cost.unwrap_or_default()))?;
    for line in lines(&spoken.text) {
        let line = if line.is_empty() { line } else { format!("  {line}") };
        context.out.line(line)?;
    }
    context.out.line("")
}

/// The lines of a text from outside, without anything that a terminal would execute; tabs stay.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = String> + '_ {
    let clean = |line: &str| line.split('\t').map(printable).collect::<Vec<_>>().join("\t");
    text.trim_end_matches(['\n', '\r']).split('\n').map(move |line| clean(line.trim_end_matches('\r')))
}

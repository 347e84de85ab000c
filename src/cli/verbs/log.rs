use std::time::Duration;

use crate::cli::render::output::printable;
use crate::cli::render::terminal::relative;
use crate::cli::{CliError, Context, Outcome};
use crate::config::Span;
use crate::engine::{Engine, EngineError};
use crate::policy::event::is_meant;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::Event;

/// How often a followed log is read.
const FOLLOW: Duration = Duration::from_millis(200);

/// Print the decision log
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer log api                          # what was decided about one peer\n  peer log -f --event agent.waiting     # each question as it comes\n  peer log --event session.ended -n 20  # the last ends, and why\n\nAlias: peer logs"
)]
pub(crate) struct Args {
    /// Only events of this peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: Option<PeerName>,
    /// Keep printing new events
    #[arg(long, short)]
    follow: bool,
    /// Only the last N events (with --follow, then all new ones)
    #[arg(long, short = 'n', value_name = "N")]
    lines: Option<usize>,
    /// Only events newer than this: 1h, 2d
    #[arg(long, value_name = "TIME")]
    since: Option<Span>,
    /// Only events of this name, e.g. session.ended, or with this prefix, e.g. `wake.`
    #[arg(long, value_name = "EVENT", add = crate::cli::args::complete::events())]
    event: Option<String>,
    /// Print how long ago each event was instead of its time
    #[arg(long, short, conflicts_with = "json")]
    relative: bool,
    /// Print the events as JSON Lines, as in the file
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine_by_records()?;
    if let Some(name) = &args.name
        && !is_known(&engine, name)?
    {
        return Err(engine.no_such_peer(name).into());
    }
    let journal = engine.state.journal();
    let mut tail = journal.tail();
    let oldest = args.since.map(|span| engine.now().before(span.0));
    // The limit is for the events that exist already; later ones are all new to the reader.
    let mut most = args.lines;
    loop {
        let mut events = tail.next_events().map_err(EngineError::from)?;
        events.retain(|event| wanted(args, oldest, event));
        let left_out = most.take().map_or(0, |most| events.len().saturating_sub(most));
        for event in &events[left_out..] {
            print(args, context, event, engine.now())?;
        }
        context.out.flush()?;
        if !args.follow {
            return Ok(0);
        }
        tokio::time::sleep(FOLLOW).await;
    }
}

/// Whether there is or was a peer of this name: a removed peer still has its history.
fn is_known(engine: &Engine, name: &PeerName) -> Result<bool, EngineError> {
    let there =
        engine.config.spec_path(name).exists() || !engine.state.peer(name).all_on_disk().unwrap_or_default().is_empty();
    Ok(there || engine.state.journal().read_all()?.iter().any(|event| event.peer.as_ref() == Some(name)))
}

fn wanted(args: &Args, oldest: Option<Timestamp>, event: &Event) -> bool {
    let of_peer = args.name.as_ref().is_none_or(|name| event.peer.as_ref() == Some(name));
    let named = args.event.as_ref().is_none_or(|on| is_meant(on, &event.event));
    let young = oldest.is_none_or(|oldest| event.ts.parse::<Timestamp>().is_ok_and(|at| at >= oldest));
    of_peer && named && young
}

fn print(args: &Args, context: &mut Context, event: &Event, now: Timestamp) -> Result<(), CliError> {
    if args.json {
        return Ok(context.out.json_line(event)?);
    }
    let peer = event.peer.as_ref().map_or("-", PeerName::as_str);
    let cause = event.cause.as_deref().unwrap_or("");
    let details: Vec<String> = event.details.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let at = match event.ts.parse() {
        Ok(at) if args.relative => format!("{:>8}", relative(at, now)),
        // A line that another program wrote is shown as it is.
        _ => event.ts.clone(),
    };
    let line = format!("{at}  {peer:<16} {:<22} {cause:<16} {}", event.event, details.join(" "));
    Ok(context.out.line(printable(line.trim_end()))?)
}

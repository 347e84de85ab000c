use serde_json::json;

use crate::cli::render::output;
use crate::cli::{Context, Outcome};
use crate::config::Span;
use crate::engine::verbs::reap::{Request, Tick};
use crate::policy::name::PeerName;

/// Run one tick: check every peer, park what is idle, record ends; for cron or a timer
///
/// Checks both axes of every peer: does the runtime still have its session, and is the agent's process alive. Parks idle
/// agents, records which died and why, ends orphans, and restarts peers whose spec says so. Two ticks never overlap.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer timer install --kind cron   # a line in the crontab, with the right PATH\n  peer reap --dry-run              # print what would be done, and why"
)]
pub(crate) struct Args {
    /// Print what would be done, without doing it
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Only this peer
    #[arg(long, value_name = "NAME", add = crate::cli::args::complete::peers())]
    only: Option<PeerName>,
    /// Time budget of the tick; defaults to the one in config.toml, then to 20s
    #[arg(long, value_name = "TIME")]
    budget: Option<Span>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let request =
        Request { dry_run: args.dry_run, only: args.only, budget: args.budget.map(|span| span.0), every: None };
    let tick = engine.reap(&request).await?;
    match (tick, args.json) {
        (Some(tick), true) => context.out.document("reap", &tick)?,
        (Some(tick), false) => print(context, &tick, args.dry_run)?,
        (None, true) => context.out.document("reap", &json!({ "overlap": true }))?,
        (None, false) => output::note("another tick is under way; this one does nothing"),
    }
    Ok(0)
}

/// Prints nothing if there is nothing to report, because cron mails what is printed.
pub(crate) fn print(context: &mut Context, tick: &Tick, dry_run: bool) -> std::io::Result<()> {
    let would = if dry_run { "would be " } else { "" };
    for action in &tick.done {
        let cause = if action.cause.is_empty() { String::new() } else { format!(" ({})", action.cause) };
        context.out.line(output::printable(&format!("{}: {would}{}{cause}", action.peer, action.what)))?;
    }
    if dry_run && tick.done.is_empty() && tick.skipped.is_empty() {
        context.out.line("nothing would be done")?;
    }
    context.out.flush()?;
    for line in &tick.skipped {
        output::skipped(line);
    }
    Ok(())
}

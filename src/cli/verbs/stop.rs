use serde_json::json;

use crate::cli::args::several::{self, Names, Report};
use crate::cli::{Context, Outcome};
use crate::engine::verbs::wake::TURN_CUT;

/// Park agents and refuse to wake them until `peer start`
///
/// A running agent is parked, so its conversation is resumed later; a turn in progress is interrupted. Stopping a crashed one does not make its crash a park.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    names: Names,
    /// At most this many at once
    #[arg(long, default_value_t = 4, value_name = "N")]
    jobs: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine_by_records()?;
    let names = args.names.resolve(&engine)?;
    several::each(context, "stop", args.json, names, args.jobs, async |name| {
        let stopped = engine.stop(&name).await?;
        let what = if stopped.parked { "parked and stopped" } else { "stopped; it was not awake" };
        let cut = if stopped.turn_cut { TURN_CUT } else { "" };
        Ok(Report { line: format!("{name}: {what}{cut}"), fields: json!(stopped) })
    })
    .await
}

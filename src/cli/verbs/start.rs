use serde_json::json;

use crate::cli::args::several::{self, Names, Report};
use crate::cli::{Context, Outcome};

/// Allow stopped agents to be woken again; wakes nothing by itself
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    names: Names,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let names = args.names.resolve(&engine)?;
    several::each(context, "start", args.json, names, 1, async |name| {
        let stopped = engine.start(&name).await?;
        let what = if stopped { "may be woken again" } else { "was not stopped" };
        Ok(Report { line: format!("{name}: {what}"), fields: json!({ "was_stopped": stopped }) })
    })
    .await
}

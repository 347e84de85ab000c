use serde_json::json;

use crate::cli::args::several::{self, Names, Report};
use crate::cli::{Context, Outcome};

/// Clear a peer's crash count, backoff and failed state
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
    several::each(context, "reset", args.json, names, 1, async |name| {
        let deaths = engine.reset(&name).await?;
        Ok(Report {
            line: format!("{name}: cleared {deaths} {}", if deaths == 1 { "death" } else { "deaths" }),
            fields: json!({ "deaths": deaths }),
        })
    })
    .await
}

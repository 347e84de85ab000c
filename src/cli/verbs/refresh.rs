use serde_json::json;

use crate::cli::args::several::{self, Names, Report};
use crate::cli::{Context, Outcome};

/// Make the next wake start fresh; a running agent is left alone
///
/// Nothing is lost: `peer wake NAME --resume` continues the last conversation all the same.
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
    several::each(context, "refresh", args.json, names, 1, async |name| {
        engine.refresh(&name).await?;
        Ok(Report { line: format!("{name}: fresh at its next wake"), fields: json!({ "fresh_next": true }) })
    })
    .await
}

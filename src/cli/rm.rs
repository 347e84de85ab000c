use serde_json::json;

use super::several::{self, Names, Report};
use super::{Context, Outcome};

/// Forget peers; their files go to the trash
///
/// Refuses one that is awake without --force. The spec, the state and the list of conversations are moved to trash/ in the
/// state directory. Nothing is deleted but the values that `peer add --keep-env` kept.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    names: Names,
    /// End it first where it is awake
    #[arg(long, short)]
    force: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let names = args.names.resolve(&engine)?;
    several::each(context, &engine, "rm", args.json, names, 1, async |name| {
        let trash = engine.rm(&name, args.force).await?;
        let line = format!("{name}: forgotten; its files are in {}", trash.display());
        Ok(Report { line, fields: json!({ "trash": trash }) })
    })
    .await
}

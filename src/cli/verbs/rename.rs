use serde_json::json;

use crate::cli::{Context, Outcome};
use crate::policy::name::PeerName;

/// Give a peer another name; its conversations go along
///
/// Refuses one that is awake without --force: its agent knows its name. Renamed back, all is as it was. The log keeps the name that each
/// event was written under.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  peer rename api web-api")]
pub(crate) struct Args {
    /// What it is called
    #[arg(value_name = "OLD", add = crate::cli::args::complete::peers())]
    from: PeerName,
    /// What it is to be called
    #[arg(value_name = "NEW")]
    to: PeerName,
    /// Stop it first where it is awake, as `peer stop` does
    #[arg(long, short)]
    force: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    engine.rename(&args.from, &args.to, args.force).await?;
    if args.json {
        context.out.document("rename", &json!({ "peer": args.to, "from": args.from }))?;
    } else {
        context.out.line(format!("{}: is called {} now", args.from, args.to))?;
    }
    Ok(0)
}

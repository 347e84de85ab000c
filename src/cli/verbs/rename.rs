use serde_json::json;

use crate::cli::{Context, Outcome};
use crate::policy::name::PeerName;

/// Rename a peer; it keeps its conversations
///
/// A running agent knows its own name, so renaming it requires --force, which parks it first: the next wake resumes it. The log
/// keeps the name under which each event was written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  peer rename api web-api")]
pub(crate) struct Args {
    /// Current name
    #[arg(value_name = "OLD", add = crate::cli::args::complete::peers())]
    from: PeerName,
    /// New name
    #[arg(value_name = "NEW")]
    to: PeerName,
    /// Park its agent first if it is awake; the next wake resumes it
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

use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

use crate::cli::{Context, Outcome};
use crate::policy::name::PeerName;

/// Move a peer to the other runtime, with its conversation
///
/// A running agent is parked and resumed on the other runtime; a turn in progress ends, so `peer wait NAME` first. One that
/// keeps no conversation has to be stopped first. A sleeping or stopped peer stays as it is. Only `runtime` changes in its spec.
#[derive(Debug, clap::Args)]
#[command(override_usage = "peer move [OPTIONS] <NAME> <RUNTIME>", after_help = "Examples:\n  peer move api zellij")]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
    /// Target runtime: tmux or zellij
    #[arg(value_name = "RUNTIME", value_parser = crate::cli::args::runtime(), required_unless_present = "runtime")]
    to: Option<RuntimeKind>,
    /// The same as a flag
    #[arg(long, value_name = "RUNTIME", value_parser = crate::cli::args::runtime(), conflicts_with = "to")]
    runtime: Option<RuntimeKind>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let to = args.to.or(args.runtime).expect("clap requires one of them");
    let moved = engine.move_to(&args.name, to).await?;
    if args.json {
        context.out.document("move", &json!(moved))?;
        return Ok(0);
    }
    let name = &moved.peer;
    match &moved.woken {
        _ if moved.from == to => context.out.line(format!("{name}: is on {to} already"))?,
        None => context.out.line(format!("{name}: moved to {to}; it was not awake"))?,
        Some(woken) => {
            context.out.line(format!("{name}: moved to {to}"))?;
            context.out.line(crate::cli::render::output::printable(&crate::cli::verbs::wake::report(woken).line))?;
        }
    }
    Ok(0)
}

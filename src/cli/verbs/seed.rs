use crate::cli::{Context, Outcome};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;

/// Wait for the fresh agent after a self-fresh and type its initial prompt; run by the pane process
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    name: PeerName,
    incarnation: u64,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    context.engine()?.seed(&args.name, Incarnation(args.incarnation)).await?;
    Ok(0)
}

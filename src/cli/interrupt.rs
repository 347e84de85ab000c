use super::{Context, Outcome};
use crate::policy::name::PeerName;

/// Press the agent's interrupt key
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the peer
    #[arg(add = super::complete::peers())]
    name: PeerName,
}

pub(super) async fn run(args: &Args, context: &mut Context) -> Outcome {
    context.engine()?.interrupt(&args.name).await?;
    context.out.line(format!("{}: interrupted", args.name))?;
    Ok(0)
}

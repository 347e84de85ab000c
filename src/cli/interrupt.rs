use super::{Context, Outcome};
use crate::engine::interrupt::Interrupted;
use crate::policy::name::PeerName;

/// Press the agent's interrupt key
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the peer
    #[arg(add = super::complete::peers())]
    name: PeerName,
}

pub(super) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let said = match context.engine()?.interrupt(&args.name).await? {
        Interrupted::Turn => "interrupted",
        Interrupted::Nothing => "no turn is in progress; nothing was pressed",
    };
    context.out.line(format!("{}: {said}", args.name))?;
    Ok(0)
}

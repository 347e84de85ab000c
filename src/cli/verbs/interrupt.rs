use crate::cli::{Context, Outcome};
use crate::engine::verbs::interrupt::Interrupted;
use crate::policy::name::PeerName;

/// Interrupt an agent's current turn
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let said = match context.engine_by_records()?.interrupt(&args.name).await? {
        Interrupted::Turn => "interrupted",
        Interrupted::Nothing => "no turn is in progress; nothing was pressed",
    };
    context.out.line(format!("{}: {said}", args.name))?;
    Ok(0)
}

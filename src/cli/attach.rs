use std::io::IsTerminal;

use super::{CliError, Context, Outcome, error};
use crate::engine::attach::Attach;
use crate::policy::name::PeerName;

/// Hand this terminal to an agent's pane, waking it first where it sleeps
///
/// Always resumes, never starts fresh in silence. Inside tmux or zellij it switches instead of nesting.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the peer
    #[arg(add = super::complete::peers())]
    name: PeerName,
}

pub(super) async fn run(args: &Args, context: &mut Context) -> Outcome {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(CliError::usage(
            "attach needs a terminal",
            format!("peer screen {} prints what it shows", args.name),
        ));
    }
    let engine = context.engine()?;
    let way = engine.attach(&args.name).await?;
    engine.progress.settled();
    let Attach::Run(argv, incarnation) = way else {
        engine.progress.notice(&format!("this is the pane of {}", args.name));
        return Ok(0);
    };
    let status = engine.run_attached(&args.name, argv, incarnation).await?;
    Ok(if status.success() { 0 } else { error::code::FAILED })
}

use crate::cli::{Context, Outcome};

/// Say that the task of this ephemeral agent is done; for the agent itself
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, context: &mut Context) -> Outcome {
    let name = context.engine()?.self_done()?;
    context.out.line(format!("{name}: done; it is parked once it has been quiet for a moment"))?;
    Ok(0)
}

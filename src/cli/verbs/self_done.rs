use crate::cli::{Context, Outcome};

/// Report that the task of this ephemeral agent is done; run by the agent
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, context: &mut Context) -> Outcome {
    let name = context.engine_by_records()?.self_done()?;
    context.out.line(format!("{name}: done; it is parked once it has been quiet for a moment"))?;
    Ok(0)
}

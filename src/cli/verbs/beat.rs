use crate::cli::{Context, Outcome};

/// Say that the agent of this pane is alive and at work; for the agent's hooks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, context: &mut Context) -> Outcome {
    context.engine()?.beat()?;
    Ok(0)
}

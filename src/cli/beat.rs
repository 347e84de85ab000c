use super::{Context, Outcome};

/// Say that the agent of this pane is alive and at work; for the agent's hooks
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, context: &mut Context) -> Outcome {
    context.engine()?.beat()?;
    Ok(0)
}

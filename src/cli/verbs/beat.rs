use crate::cli::{Context, Outcome};

/// Report that the agent of this pane is alive and working; run by its hooks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, context: &mut Context) -> Outcome {
    context.engine_by_records()?.beat()?;
    Ok(0)
}

use crate::cli::{Context, Outcome};

/// Restart the agent of this pane with a new conversation; for the agent itself
///
/// Answers at once; then the agent is ended, and a fresh one comes up in the same pane with the initial prompt.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let marked = engine.self_fresh().await?;
    context.out.line(format!("{}: incarnation {} ends now; a fresh one follows", marked.peer, marked.incarnation))?;
    // The one who asked is about to be ended: the answer goes out first.
    context.out.flush()?;
    marked.begin()?;
    Ok(0)
}

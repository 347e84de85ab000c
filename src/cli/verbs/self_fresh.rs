use crate::cli::{Context, Outcome};

/// Restart the agent of this pane with a new conversation; run by the agent
///
/// Returns at once. Then the agent is ended and a fresh one starts in the same pane with the initial prompt.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let marked = engine.self_fresh().await?;
    let answer = format!("{}: incarnation {} ends now; a fresh one follows", marked.peer, marked.incarnation);
    // The agent that runs this verb is about to be ended, so the answer goes out first. If nobody takes it, the restart
    // that is on record begins all the same.
    let answered = context.out.line(answer).and_then(|()| context.out.flush());
    marked.begin()?;
    answered?;
    Ok(0)
}

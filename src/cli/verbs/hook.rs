use peer_adapters::file;

use crate::cli::{CliError, Context, Outcome};

/// Run the hooks that want the event on stdin; started by whoever wrote that event into the log
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_args: &Args, context: &mut Context) -> Outcome {
    let text = file::read_stream(std::io::stdin(), file::MOST)?;
    let event = serde_json::from_str(&text)
        .map_err(|error| CliError::usage(format!("stdin holds no event: {error}"), "peer runs this verb by itself"))?;
    context.engine()?.run_hooks(&event).await?;
    Ok(0)
}

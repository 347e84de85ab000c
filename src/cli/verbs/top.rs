mod act;
mod app;
mod deed;
mod draw;
mod editor;
mod input;
mod keys;
mod pager;
mod pane;
mod run;
mod terminal;

use std::io::IsTerminal;
use std::time::Duration;

use tokio::task::LocalSet;

use crate::cli::{CliError, Context, Outcome};
use crate::config::Span;
use run::News;

pub use terminal::FullScreen;

/// The shortest time between two looks: a listing takes some milliseconds of several processes.
const SHORTEST: Duration = Duration::from_millis(100);

/// A live view: the fleet, and the chosen peer's story and screen
///
/// Whoever waits for a person comes first; `?` shows the keys. A look is one listing a runtime, whatever the size of the fleet,
/// and none where nothing can have changed. The terminal is left as it was.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// From one look to the next; 0 is as often as it can, ten times a second
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = every)]
    every: Duration,
}

fn every(text: &str) -> Result<Duration, String> {
    let span: Result<Span, String> = text.parse();
    let span = span.map_err(|_| format!("{text:?} is no duration: write it like 500ms, 2s or 1m"))?;
    Ok(span.0.max(SHORTEST))
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    const INSTEAD: &str = "peer list --watch prints what it shows";
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(CliError::usage("top needs a terminal", INSTEAD));
    }
    if std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
        return Err(CliError::usage("top cannot draw on this terminal: its TERM is dumb or not set", INSTEAD));
    }
    LocalSet::new().run_until(run::top(context, args.every)).await
}

//! `peer top`: a live view of the fleet. Keys and their effects are in `app` and `keys`, drawing in `draw`, the loop in
//! `run`.

mod act;
mod answering;
mod app;
mod asked;
mod draw;
mod editor;
mod input;
mod keys;
mod operation;
mod pager;
mod pane;
mod run;
mod said;
mod terminal;

use std::io::IsTerminal;
use std::time::Duration;

use tokio::task::LocalSet;

use crate::cli::{CliError, Context, Outcome};
use crate::config::Span;
use crate::policy::name::PeerName;
use run::UiEvent;

pub use terminal::FullScreen;

/// The shortest time between two refreshes: a listing takes several processes some milliseconds.
const SHORTEST: Duration = Duration::from_millis(100);

/// Show the fleet live, with the details and screen of the selected peer
///
/// Peers that wait for a person come first; `A` shows what the selected one asks, to answer it; `?` shows the keys. Each refresh costs one listing per runtime, whatever the size
/// of the fleet, and none if nothing can have changed. The terminal is restored on exit.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The peer that is selected at first
    #[arg(add = crate::cli::args::complete::peers())]
    name: Option<PeerName>,
    /// Refresh interval; 0 means as often as possible, ten times a second
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = every)]
    every: Duration,
}

fn every(text: &str) -> Result<Duration, String> {
    let span: Result<Span, String> = text.parse();
    let span = span.map_err(|_| format!("{text:?} is not a duration: write it like 500ms, 2s or 1m"))?;
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
    LocalSet::new().run_until(run::top(context, args.every, args.name.clone())).await
}

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::render::output;
use crate::cli::verbs::watchdog::{self, Watchdog};
use crate::cli::{CliError, Context, Outcome};
use crate::config::Span;
use crate::engine::verbs::reap::Request;

/// Run ticks in the foreground until stopped; for a service manager
///
/// Exits cleanly on SIGTERM and SIGINT, never in the middle of a tick. Under systemd it reports readiness and feeds the
/// watchdog (`Type=notify`, `WatchdogSec=`), unless a tick exceeds its budget.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Interval from the start of one tick to the next
    #[arg(long, value_name = "TIME", default_value = "60s")]
    every: Span,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    if args.every.0 < Duration::from_secs(1) {
        return Err(CliError::usage(
            "--every is shorter than a second",
            "a tick that often would leave no time to work",
        ));
    }
    let engine = context.engine()?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut timer = tokio::time::interval(args.every.0);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let variable = |name: &str| engine.var(name).map(std::ffi::OsString::as_os_str);
    let half = watchdog::half(variable, std::process::id());
    let watchdog = half.map(|half| Watchdog::start(half, || notify("WATCHDOG=1")));
    let well_for = |span| watchdog.iter().for_each(|watchdog| watchdog.well_for(span));
    let mut budget = engine.settings.tick.budget.0;
    let request = Request { every: Some(args.every.0), ..Request::default() };
    let mut ready = false;
    loop {
        well_for(args.every.0.saturating_add(budget));
        tokio::select! {
            biased;
            _ = terminated.recv() => break,
            _ = interrupted.recv() => break,
            _ = timer.tick() => {}
        }
        // Opened again for each tick, like by a timer: what the user edits holds from the next one on.
        let ticked = async {
            let engine = context.engine()?;
            budget = engine.settings.tick.budget.0;
            well_for(budget);
            engine.reap(&request).await.map_err(CliError::from)
        };
        match ticked.await {
            Ok(Some(tick)) => crate::cli::verbs::reap::print(context, &tick, false)?,
            Ok(None) => output::note("another tick is under way; this one does nothing"),
            // A full disk may be temporary, and a service that ends at its first error does not come back by itself.
            Err(error) => {
                error.report();
            }
        }
        if !ready {
            ready = true;
            notify("READY=1");
        }
        // Not by the thread alone: a tick that exceeded its budget has ended after all.
        notify("WATCHDOG=1");
    }
    notify("STOPPING=1");
    Ok(0)
}

/// Notifies systemd if it listens.
fn notify(state: &str) {
    if let Err(error) = sd_notify::notify(false, &[sd_notify::NotifyState::Custom(state)]) {
        tracing::debug!(%error, state, "sd_notify");
    }
}

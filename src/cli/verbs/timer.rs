use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use crate::cli::render::output::{self, printable};
use crate::cli::render::terminal::relative;
use crate::cli::{CliError, Context, Outcome};
use crate::config::{Span, format_span};
use crate::engine::verbs::timer::{Kind, Plan, TimerStatus};

/// Run `peer reap` regularly from systemd, launchd or cron
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer timer install --print     # print what would be written\n  peer timer install             # run a tick every minute\n  peer timer status              # check whether it runs"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Install or change the timer; safe to repeat
    Install {
        /// Interval between ticks
        #[arg(long, value_name = "TIME", default_value = "60s")]
        every: Span,
        /// What runs it; defaults to what this machine uses
        #[arg(long)]
        kind: Option<KindArg>,
        /// Print what would be written and run, without doing it
        #[arg(long)]
        print: bool,
    },
    /// Remove the timer, whichever kind it is
    Uninstall,
    /// Show what runs it and when it last ticked; exits with 1 if it does not run
    Status {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindArg {
    Systemd,
    Launchd,
    Cron,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Systemd => Self::Systemd,
            KindArg::Launchd => Self::Launchd,
            KindArg::Cron => Self::Cron,
        }
    }
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    match args.what {
        What::Install { every, kind, print } => install(context, every.0, kind.map(Kind::from), print).await,
        What::Uninstall => uninstall(context).await,
        What::Status { json } => status(context, json).await,
    }
}

async fn install(context: &mut Context, every: Duration, kind: Option<Kind>, only_print: bool) -> Outcome {
    if every < Duration::from_secs(1) {
        return Err(CliError::usage("--every is shorter than a second", "60s is the default"));
    }
    let engine = context.engine()?;
    if only_print {
        show(context, &engine.timer_shown(kind, every).await?)?;
        return Ok(0);
    }
    let plan = engine.timer_plan(kind, every)?;
    engine.timer_install(&plan).await?;
    context.out.line(format!("timer: installed ({}), a tick every {}", plan.kind.as_str(), format_span(every)))?;
    context.out.flush()?;
    for note in &plan.notes {
        output::note(note);
    }
    Ok(0)
}

fn show(context: &mut Context, plan: &Plan) -> std::io::Result<()> {
    for (path, text) in &plan.files {
        context.out.line(format!("# file {}", path.display()))?;
        context.out.line(text)?;
    }
    if let Some(block) = &plan.crontab {
        context.out.line("# in your crontab, whose other lines stay as they are")?;
        context.out.line(block)?;
    }
    for words in &plan.commands {
        context.out.line(format!("# run {}", words.join(" ")))?;
    }
    for note in &plan.notes {
        context.out.line(format!("# note: {note}"))?;
    }
    Ok(())
}

async fn uninstall(context: &mut Context) -> Outcome {
    let removed = context.engine()?.timer_uninstall().await?;
    if removed.is_empty() {
        context.out.line("timer: none was installed")?;
    }
    for kind in removed {
        context.out.line(format!("timer: removed ({})", kind.as_str()))?;
    }
    Ok(0)
}

async fn status(context: &mut Context, as_json: bool) -> Outcome {
    let engine = context.engine()?;
    let status = engine.timer_status().await?;
    let code = u8::from(!status.alive);
    if as_json {
        context.out.document("timer", &json!(status))?;
        return Ok(code);
    }
    let last = match status.last_tick_at_ms {
        Some(at) => format!("the last tick was {} ({at})", relative(at, engine.now())),
        None => "there was no tick yet".to_owned(),
    };
    let every = |seconds| format_span(Duration::from_secs(seconds));
    let watch = status.watch.map(|watch| format!("peer watch (process {}), every {}", watch.pid, every(watch.every_s)));
    let timer = match (status.kind, status.every_s) {
        (Some(kind), Some(seconds)) => Some(format!("{}, every {}", kind.as_str(), every(seconds))),
        (Some(kind), None) => Some(format!("{}, changed by hand", kind.as_str())),
        (None, _) => None,
    };
    let who: Vec<_> = timer.into_iter().chain(status.inactive()).chain(watch).collect();
    let who = if who.is_empty() { "none is installed".to_owned() } else { who.join("; ") };
    context.out.words(printable(&format!("timer: {who}; {last}")), 7)?;
    context.out.flush()?;
    if let Some(hint) = cure(&status) {
        output::hint(hint);
    }
    Ok(code)
}

/// What to do about a timer that does not tick.
fn cure(status: &TimerStatus) -> Option<&'static str> {
    match (status.kind, status.alive) {
        (_, true) => None,
        (None, false) => Some("peer timer install"),
        (Some(_), false) => Some(status.unread().unwrap_or("peer doctor shows why it does not tick")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crontab_that_nobody_reads_does_not_tick_and_a_watch_beside_it_does() {
        let of = |active, alive| TimerStatus {
            kind: Some(Kind::Cron),
            unit: None,
            active,
            watch: None,
            every_s: Some(60),
            last_tick_at_ms: None,
            tick: None,
            alive,
        };
        let unread = of(Some(false), false);
        assert_eq!(unread.inactive().as_deref(), Some("no cron daemon runs here"));
        assert_eq!(cure(&unread), Some("start it (service cron start), or keep `peer watch` running"));
        assert_eq!((of(None, true).inactive(), cure(&of(None, true))), (None, None));
        assert_eq!(cure(&of(None, false)), Some("peer doctor shows why it does not tick"));
        assert_eq!(cure(&of(Some(false), true)), None);
    }
}

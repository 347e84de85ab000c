use std::ffi::OsString;

use serde_json::json;

use crate::cli::render::output::printable;
use crate::cli::render::progress;
use crate::cli::render::terminal::{Hue, Paint};
use crate::cli::{Context, Directories, Outcome};
use crate::engine::verbs::doctor::{Finding, Level};

/// Check the setup and suggest fixes
///
/// Checks multiplexers and their versions, agents, the state directory, the disk, limits, peers, leftover sessions and sockets,
/// hooks, and the timer. Changes nothing without --fix. Exits with 1 if something is broken.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer doctor              # check everything\n  peer doctor --as-cron    # check what a tick run by cron would see\n  peer doctor --fix        # recover a server whose socket was removed"
)]
pub(crate) struct Args {
    /// Check with the environment that cron provides: HOME, a short PATH and nothing else
    #[arg(long)]
    as_cron: bool,
    /// Apply safe fixes: make a server whose socket was removed listen again
    #[arg(long)]
    fix: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let found = look(args, context).await;
    let broken = found.iter().any(|finding| finding.level == Level::Broken);
    if args.json {
        context.out.document("doctor", &json!({ "findings": found, "broken": broken }))?;
        return Ok(u8::from(broken));
    }
    let paint = Paint::of_stdout();
    for finding in &found {
        let level = paint.paint(hue(finding.level), finding.level.as_str());
        let room = " ".repeat(9 - finding.level.as_str().len());
        context.out.words(format!("{level}{room}{}: {}", printable(&finding.about), printable(&finding.what)), 9)?;
        if let Some(cure) = &finding.cure {
            context.out.words(format!("         -> {}", printable(cure)), 12)?;
        }
    }
    Ok(u8::from(broken))
}

/// Runs the checks. An engine that cannot be opened is a finding too: the doctor must not need a healthy patient.
async fn look(args: &Args, context: &Context) -> Vec<Finding> {
    let broken = |error: crate::cli::CliError| {
        let (what, cure) = (error.to_string(), error.hint());
        vec![Finding { level: Level::Broken, about: "peer".to_owned(), what, cure }]
    };
    let mut engine = match context.engine_with(Box::new(progress::Terminal::new())) {
        Ok(engine) => engine,
        Err(error) => return broken(error),
    };
    let mut found = engine.usable_settings().err().map(|error| broken(error.into())).unwrap_or_default();
    let mut shell = None;
    if args.as_cron {
        found.extend(elsewhere(&engine));
        shell = Some(std::mem::replace(&mut engine.env, cron_environment()));
    }
    if args.fix {
        match engine.mend().await {
            Ok(done) => found.extend(done),
            Err(error) => found.extend(broken(error.into())),
        }
    }
    match engine.doctor(shell.as_ref()).await {
        Ok(more) => found.extend(more),
        Err(error) => found.extend(broken(error.into())),
    }
    found
}

/// The environment that cron gives a job.
///
/// # Source
/// crontab(5) of Debian's cron 3.0pl1: `SHELL` is /bin/sh, `PATH` /usr/bin:/bin, `LOGNAME` and `HOME` are of the owner.
fn cron_environment() -> Vec<(OsString, OsString)> {
    let own = |key: &str| std::env::var_os(key).map(|value| (OsString::from(key), value));
    let bare = [("PATH", "/usr/bin:/bin"), ("SHELL", "/bin/sh")].map(|(key, value)| (key.into(), value.into()));
    bare.into_iter().chain(own("HOME")).chain(own("LOGNAME")).collect()
}

/// Returns a warning if a tick from a bare crontab line would handle another fleet than this shell does.
fn elsewhere(engine: &crate::engine::Engine) -> Option<Finding> {
    let bare = Directories::without_variables().ok()?;
    let real = bare.state.canonicalize();
    let same = real.as_ref().unwrap_or(&bare.state) == engine.state.root() && bare.config == engine.config.root();
    (!same).then(|| Finding {
        level: Level::Warning,
        about: "cron".to_owned(),
        what: format!(
            "a bare line of a crontab would look at {} and {}, and not at {} and {}",
            bare.state.display(),
            bare.config.display(),
            engine.state.root().display(),
            engine.config.root().display()
        ),
        cure: Some("peer timer install carries PEER_STATE_DIR and PEER_CONFIG_DIR".to_owned()),
    })
}

const fn hue(level: Level) -> Hue {
    match level {
        Level::Ok => Hue::Good,
        Level::Note => Hue::Quiet,
        Level::Warning => Hue::Waiting,
        Level::Broken => Hue::Bad,
    }
}

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};

use peer_adapters::agent::Report;
use peer_adapters::command::{self, Argv};
use peer_adapters::{file, signals};

use crate::cli::{Context, Directories, Outcome};
use crate::policy::time::Timestamp;

/// The maximum size of a hook's input, in bytes. A message of one megabyte fits, as JSON. Longer input is not read.
const MOST: u64 = 4 * 1024 * 1024;

/// The maximum lifetime of the process that the agent starts. The detached process that it hands the report to may take
/// longer.
const DEADLINE: Duration = Duration::from_secs(5);

/// The maximum time to record a report.
const PATIENCE: Duration = Duration::from_secs(10);

/// Take what an agent reports by a hook of its own; run by the agent
///
/// Prints nothing, waits for nothing, and is always done: an agent must not be the worse for it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What it reports
    report: String,
    /// What it hands over, where that is not on stdin
    handed: Option<OsString>,
    /// Record what it reported at this time; what it handed over is on stdin
    #[arg(long, value_name = "MS")]
    received_ms: Option<u64>,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let Some(report) = Report::ALL.into_iter().find(|report| report.as_str() == args.report) else { return Ok(0) };
    if let Some(at) = args.received_ms {
        let handed = file::read_stream(std::io::stdin(), MOST)?;
        // The report is ignored if the agent was restarted in the meantime.
        let engine = context.engine_by_records()?;
        let recorded =
            tokio::time::timeout(PATIENCE, engine.take_report(report, Timestamp::from_ms(at), handed.as_bytes())).await;
        if let Ok(Err(error)) = recorded {
            tracing::debug!(%error, "what an agent reports");
        }
        return Ok(0);
    }
    if let Err(error) = pass_on(report, args.handed.as_ref()) {
        tracing::debug!(%error, "what an agent reports");
    }
    Ok(0)
}

/// Passes the report to a detached process of ours. The agent does not wait for that process, which outlives it.
fn pass_on(report: Report, handed: Option<&OsString>) -> Result<(), Box<dyn std::error::Error>> {
    signals::end_within(DEADLINE);
    // The hook does not run in a peer's pane.
    if std::env::var_os("PEER_NAME").is_none() || std::env::var_os("PEER_INCARNATION").is_none() {
        return Ok(());
    }
    let handed = match handed {
        Some(handed) => handed.as_bytes().to_vec(),
        None => file::read_stream(std::io::stdin(), MOST)?.into_bytes(),
    };
    let own = peer_adapters::process::own_executable()?;
    let at = Timestamp::from(SystemTime::now()).as_ms().to_string();
    let recorder = Argv::new(own)
        .args(["agent-hook", report.as_str(), "--received-ms", &at])
        .cwd(Directories::of_environment()?.state);
    command::spawn_detached_with_input(&recorder, &handed)?;
    Ok(())
}

use serde_json::json;

use crate::cli::error::code;
use crate::cli::render::output::{self, printable};
use crate::cli::{Context, Outcome};
use crate::engine::verbs::restart_runtime::{RestartOutcome, RestartRequest, RestartedServer, Restarts};
use crate::policy::name::PeerName;

/// Restart the fleet's tmux or zellij servers, e.g. after an upgrade
///
/// Parks all peers of each server, ends the server, and resumes the peers on a new one. Refused while a peer is busy or could
/// not be resumed, and if the server hosts other sessions; nothing is changed then.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  peer restart-runtime --dry-run\n  peer restart-runtime api")]
pub(crate) struct Args {
    /// Only the servers of these peers; defaults to every server of the fleet
    #[arg(value_name = "NAME", add = crate::cli::args::complete::peers())]
    names: Vec<PeerName>,
    /// Even if a peer is busy or would start fresh
    #[arg(long)]
    now: bool,
    /// Print what would be done, without doing it
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let how = RestartRequest { now: args.now, dry_run: args.dry_run };
    let Restarts { servers, broken } = engine.restart_runtime(&args.names, how).await?;
    let any = |outcome| servers.iter().any(|server| server.outcome == outcome);
    let exit = match () {
        () if any(RestartOutcome::Incomplete) => code::FAILED,
        () if any(RestartOutcome::Refused) || !broken.is_empty() => code::REFUSED,
        () => 0,
    };
    if args.json {
        let broken: Vec<_> =
            broken.iter().map(|(name, error)| json!({ "peer": name, "error": error.to_string() })).collect();
        let document = json!({ "dry_run": args.dry_run, "servers": servers, "broken": broken });
        context.out.document("restart-runtime", &document)?;
        return Ok(exit);
    }
    if servers.is_empty() && broken.is_empty() {
        context.out.line("no server hosts a peer".to_owned())?;
    }
    for server in &servers {
        for line in lines(server) {
            context.out.words(printable(&line), 4)?;
        }
    }
    context.out.flush()?;
    for (name, error) in &broken {
        output::error(&format!("{name}: {error}; where it runs is unknown, and it was not touched"));
    }
    Ok(exit)
}

fn lines(server: &RestartedServer) -> Vec<String> {
    let peers = server.peers.iter().map(PeerName::as_str).collect::<Vec<_>>().join(", ");
    let version = server.version.clone().unwrap_or_else(|| server.runtime.to_string());
    let of = format!("{version} at {}", server.server.display());
    let head = match server.outcome {
        RestartOutcome::Planned => format!("{of}: would park {peers}, end the server and wake them"),
        RestartOutcome::Refused => format!("{of}: refused, nothing was touched"),
        RestartOutcome::Restarted => format!("{of}: restarted"),
        RestartOutcome::Incomplete => format!("{of}: not all was done"),
    };
    let woken = server.woken.iter().map(|woken| format!("  {}", crate::cli::verbs::wake::report(woken).line));
    std::iter::once(head).chain(woken).chain(server.why.iter().map(|why| format!("  {why}"))).collect()
}

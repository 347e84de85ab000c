use std::io::IsTerminal;

use serde_json::json;

use crate::cli::args::several::{self, Names, Report};
use crate::cli::render::output;
use crate::cli::{CliError, Context, Outcome};
use crate::engine::Engine;
use crate::policy::name::PeerName;

/// Write off agents whose container or machine is gone for good
///
/// Each incarnation is recorded as lost, which does not count as a death, and the next wake resumes its conversation here. If
/// an agent is in fact still running there, that wake starts a second one in the same conversation, so make sure first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    names: Names,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let mut names = args.names.resolve(&engine)?;
    if !args.yes {
        names = confirmed(&engine, names)?;
    }
    several::each(context, "release", args.json, names, 1, async |name| {
        let released = engine.release(&name).await?;
        let then =
            if released.conversation.is_some() { "the next wake resumes it here" } else { "it can be woken here" };
        let line = format!("{name}: its start {} elsewhere is given up; {then}", released.incarnation);
        Ok(Report { line, fields: json!(released) })
    })
    .await
}

/// Keeps the peers whose other machine is gone, as confirmed by the user; peers that do not run elsewhere are left to
/// the engine to refuse.
fn confirmed(engine: &Engine, names: Vec<PeerName>) -> Result<Vec<PeerName>, CliError> {
    let mut kept = Vec::new();
    for name in names {
        match engine.started_elsewhere(&name)? {
            Some(owner) if !said_gone(&name, &owner)? => {}
            Some(_) | None => kept.push(name),
        }
    }
    Ok(kept)
}

fn said_gone(name: &PeerName, owner: &str) -> Result<bool, CliError> {
    if !std::io::stdin().is_terminal() {
        let problem = format!("{name} was started {owner}: only you can confirm that it no longer runs there");
        return Err(CliError::usage(
            problem,
            format!("peer release {name} --yes, if that machine or container is gone"),
        ));
    }
    let question = format!(
        "{name} was started {owner}. Is that gone for good? If not, a second agent will run in the same conversation. [y/N]"
    );
    Ok(output::ask(&question).is_ok_and(|answer| answer.eq_ignore_ascii_case("y")))
}

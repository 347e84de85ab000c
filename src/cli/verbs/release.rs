use std::io::IsTerminal;

use serde_json::json;

use crate::cli::args::several::{self, Names, Report};
use crate::cli::render::output;
use crate::cli::{CliError, Context, Outcome};
use crate::engine::Engine;
use crate::policy::name::PeerName;

/// Give up what runs in a container or on a machine that is gone for good
///
/// Its start is recorded as lost: it is not counted as a death, and the next wake resumes its conversation here. If the
/// agent still runs over there, the next wake starts a second one in the same conversation, so make sure first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    names: Names,
    /// Do not ask whether it is gone
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
    several::each(context, &engine, "release", args.json, names, 1, async |name| {
        let released = engine.release(&name).await?;
        let then =
            if released.conversation.is_some() { "the next wake resumes it here" } else { "it can be woken here" };
        let line = format!("{name}: its start {} elsewhere is given up; {then}", released.incarnation);
        Ok(Report { line, fields: json!(released) })
    })
    .await
}

/// Those whose other machine is gone by the word of whoever sits at the terminal; the rest are told apart by the engine.
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
        let problem = format!("{name} was started {owner}: only you can tell that it does not run there any more");
        return Err(CliError::usage(
            problem,
            format!("peer release {name} --yes, if that machine or container is gone"),
        ));
    }
    let question = format!("{name} was started {owner}. Is that gone for good? If not, its agent gets a twin. [y/N]");
    Ok(output::ask(&question).is_ok_and(|answer| answer.eq_ignore_ascii_case("y")))
}

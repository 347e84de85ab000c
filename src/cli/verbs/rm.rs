use std::io::IsTerminal;

use serde_json::json;

use crate::cli::args::several::{self, Names, Report};
use crate::cli::render::output;
use crate::cli::{CliError, Context, Outcome};
use crate::policy::name::PeerName;

/// Forget peers; their files go to the trash
///
/// Refuses one that is awake without --force. The spec, the state and the list of conversations are moved to trash/ in the
/// state directory. Nothing is deleted but the values that `peer add --keep-env` kept. --all asks before.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    names: Names,
    /// End it first where it is awake
    #[arg(long, short)]
    force: bool,
    /// Do not ask before all of them are forgotten
    #[arg(long, short)]
    yes: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let all = args.names.are_all();
    let names = args.names.resolve(&engine)?;
    if all && !args.yes && !names.is_empty() && !said_so(&names)? {
        return Ok(0);
    }
    several::each(context, &engine, "rm", args.json, names, 1, async |name| {
        let trash = engine.rm(&name, args.force).await?;
        let line = format!("{name}: forgotten; peer restore {name} brings it back");
        Ok(Report { line, fields: json!({ "trash": trash }) })
    })
    .await
}

/// Whether whoever sits at the terminal means all of them.
fn said_so(names: &[PeerName]) -> Result<bool, CliError> {
    let all: Vec<&str> = names.iter().map(PeerName::as_str).collect();
    if !std::io::stdin().is_terminal() {
        let problem = format!("rm --all forgets {}, and there is nobody to ask", all.join(", "));
        return Err(CliError::usage(problem, "peer rm --all --yes, or peer rm with their names"));
    }
    let question = format!("Forget {}? [y/N]", all.join(", "));
    Ok(output::ask(&question).is_ok_and(|answer| answer.eq_ignore_ascii_case("y")))
}

use std::io::IsTerminal;

use serde_json::json;

use crate::cli::args::several::{self, Names, Report};
use crate::cli::render::output;
use crate::cli::{CliError, Context, Outcome};
use crate::engine::Engine;
use crate::engine::verbs::list::Row;
use crate::engine::verbs::rm::Removed;
use crate::policy::name::PeerName;
use crate::policy::state::State;

/// Remove peers; their files go to the trash
///
/// Requires --force for a running agent. The spec, the state, the list of conversations and the queued messages move to trash/
/// in the state directory; only values kept with `peer add --keep-env` are deleted. The trash is never emptied: delete
/// trash/NAME-TIME when you no longer need it. --all asks for confirmation.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    names: Names,
    /// End running agents first
    #[arg(long, short)]
    force: bool,
    /// Do not ask for confirmation with --all
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
    if all && !args.yes && !names.is_empty() {
        // An answer that would be refused is not asked for.
        let running = if args.force { Vec::new() } else { running(&engine).await? };
        if !running.is_empty() {
            return Err(CliError::Refused {
                problem: format!("nothing was removed, because these agents run: {}", running.join(", ")),
                hint: "peer stop --all, or peer rm --all --force, which ends them".to_owned(),
            });
        }
        if !said_so(&names)? {
            return Ok(0);
        }
    }
    several::each(context, "rm", args.json, names, 1, async |name| {
        let Removed { trash, queued } = engine.rm(&name, args.force).await?;
        let with = match queued {
            0 => String::new(),
            1 => " with a queued message".to_owned(),
            some => format!(" with {some} queued messages"),
        };
        let line = format!("{name}: removed{with}; peer restore {name} restores it");
        Ok(Report { line, fields: json!({ "trash": trash, "queued": queued }) })
    })
    .await
}

/// The peers whose agents run, as far as that is known.
async fn running(engine: &Engine) -> Result<Vec<String>, CliError> {
    let rows = engine.list().await?.rows;
    let runs = |row: &Row| {
        matches!(
            row.state,
            State::Awake | State::Starting | State::Busy | State::Waiting | State::Limited | State::Stalled
        )
    };
    Ok(rows.iter().filter(|row| runs(row)).map(|row| row.peer.to_string()).collect())
}

/// Asks the user whether all of them are meant.
fn said_so(names: &[PeerName]) -> Result<bool, CliError> {
    let all: Vec<&str> = names.iter().map(PeerName::as_str).collect();
    if !std::io::stdin().is_terminal() {
        let problem = format!("rm --all removes {}, and there is no terminal to ask on", all.join(", "));
        return Err(CliError::usage(problem, "peer rm --all --yes, or peer rm with their names"));
    }
    let question = format!("Remove {}? [y/N]", all.join(", "));
    Ok(output::ask(&question).is_ok_and(|answer| answer.eq_ignore_ascii_case("y")))
}

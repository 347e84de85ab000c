use serde_json::{Value, json};

use crate::cli::args::several::named;
use crate::cli::render::output;
use crate::cli::render::terminal::relative;
use crate::cli::{CliError, Context, Outcome};
use crate::engine::peer::kept::how_to_keep;
use crate::engine::verbs::restore::Restored;
use crate::engine::{Engine, EngineError};
use crate::policy::name::PeerName;

/// Restore removed peers, or list those that can be restored
///
/// Brings back the spec, the conversations, the markers and the queued messages of the most recently removed peer of that name;
/// --all, of every name that no peer has now. Values kept with `peer add --keep-env` were deleted and must be given again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer restore          # list removed peers\n  peer restore api web\n  peer restore --all    # all that was removed"
)]
pub(crate) struct Args {
    /// Names of removed peers; lists all of them if omitted
    #[arg(value_name = "NAME", add = crate::cli::args::complete::removed())]
    names: Vec<PeerName>,
    /// Every removed peer whose name is free
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    if args.names.is_empty() && !args.all {
        return list(&engine, args.json, context);
    }
    let names = if args.all { free(&engine)? } else { args.names };
    if args.all && names.is_empty() && !args.json {
        output::hint("nothing was removed whose name is free");
    }
    let is_one = names.len() == 1 && !args.all;
    let (mut worst, mut items) = (0, Vec::new());
    for name in &names {
        match engine.restore(name).await {
            Ok(restored) if args.json => items.push(document(name, &restored)),
            Ok(restored) => {
                let ago = relative(restored.removed_at, engine.now());
                let queued = match restored.queued {
                    0 => String::new(),
                    1 => ", with a queued message".to_owned(),
                    some => format!(", with {some} queued messages"),
                };
                context.out.line(format!("{name}: is back as it was {ago}{queued}"))?;
                // Flush before writing to stderr, which is not buffered.
                context.out.flush()?;
                say_what_it_lacks(&engine, name, &restored);
            }
            Err(error) if is_one => return Err(error.into()),
            Err(error) => {
                let error = CliError::from(error);
                worst = worst.max(error.code());
                if args.json {
                    items.push(named(name, error.to_json()));
                } else {
                    error.report();
                }
            }
        }
    }
    match items.pop() {
        Some(item) if is_one => context.out.document("restore", &item)?,
        last if args.json => {
            items.extend(last);
            context.out.document("restore", &json!({ "peers": items }))?;
        }
        _ => {}
    }
    Ok(worst)
}

/// The removed peers whose names no peer has now, the most recently removed first.
fn free(engine: &Engine) -> Result<Vec<PeerName>, CliError> {
    let taken = engine.config.names().map_err(EngineError::from)?;
    let mut names = Vec::new();
    for one in engine.trashed()? {
        if !taken.contains(&one.peer) && !names.contains(&one.peer) {
            names.push(one.peer);
        }
    }
    Ok(names)
}

fn document(name: &PeerName, restored: &Restored) -> Value {
    json!({ "peer": name, "removed_at_ms": restored.removed_at.as_ms(), "lacks_kept_values": restored.lacks_kept_values,
            "kept_env": restored.kept_names, "queued": restored.queued })
}

fn say_what_it_lacks(engine: &Engine, name: &PeerName, restored: &Restored) {
    if !restored.lacks_kept_values {
        return;
    }
    let (gone, again) = match &restored.kept_names[..] {
        [] => ("the variables that were kept for it".to_owned(), format!("peer add {name} --keep-env VARIABLE")),
        names => (format!("the values kept for it ({})", names.join(", ")), how_to_keep(name, names)),
    };
    engine.progress.notice(&format!("{name}: {gone} are gone; {again} keeps them again, where they are set"));
}

fn list(engine: &Engine, as_json: bool, context: &mut Context) -> Outcome {
    let trashed = engine.trashed()?;
    if as_json {
        let row = |one: &crate::store::Trashed| json!({ "peer": one.peer, "removed_at_ms": one.removed_at.as_ms() });
        context.out.document("restore", &json!({ "removed": trashed.iter().map(row).collect::<Vec<_>>() }))?;
        return Ok(0);
    }
    let widest = trashed.iter().map(|one| one.peer.as_str().len()).max().unwrap_or_default();
    for one in &trashed {
        context.out.line(format!("{:widest$}  removed {}", one.peer, relative(one.removed_at, engine.now())))?;
    }
    // Flush before writing to stderr, which is not buffered.
    context.out.flush()?;
    match trashed.first() {
        Some(last) => output::hint(&format!("peer restore {}", last.peer)),
        None => output::hint("nothing was removed that could be restored"),
    }
    Ok(0)
}

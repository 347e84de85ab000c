use serde_json::json;

use crate::cli::render::output;
use crate::cli::render::terminal::relative;
use crate::cli::{Context, Outcome};
use crate::engine::Engine;
use crate::policy::name::PeerName;

/// Restore a removed peer, or list those that can be restored
///
/// Brings back the spec, the conversations and the markers of the most recently removed peer of that name. Values kept with
/// `peer add --keep-env` were deleted and must be given again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  peer restore        # list removed peers\n  peer restore api")]
pub(crate) struct Args {
    /// Name of the removed peer; lists all of them if omitted
    #[arg(add = crate::cli::args::complete::removed())]
    name: Option<PeerName>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let Some(name) = &args.name else { return list(&engine, args.json, context) };
    let restored = engine.restore(name).await?;
    if args.json {
        let document = json!({ "peer": name, "removed_at_ms": restored.removed_at.as_ms(),
                               "lacks_kept_values": restored.lacks_kept_values });
        context.out.document("restore", &document)?;
    } else {
        context.out.line(format!("{name}: is back as it was {}", relative(restored.removed_at, engine.now())))?;
    }
    if restored.lacks_kept_values {
        engine.progress.notice(&format!(
            "{name}: the variables that were kept for it are gone; peer add {name} --keep-env VARIABLE keeps one again"
        ));
    }
    Ok(0)
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

use super::{Context, Outcome};

/// List all peers
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let rows = engine.list().await?;
    if args.json {
        context.out.document("list", &serde_json::json!({ "peers": rows }))?;
        return Ok(0);
    }
    context.out.line(format!(
        "{:<20} {:<13} {:<10} {:<8} {:<22} {}",
        "NAME", "STATE", "AGENT", "RUNTIME", "LAST-END", "CWD"
    ))?;
    for row in &rows {
        context.out.line(
            format!(
                "{:<20} {:<13} {:<10} {:<8} {:<22} {}",
                row.peer,
                row.state,
                row.agent,
                row.runtime,
                row.last_end.as_deref().unwrap_or("-"),
                super::output::printable(&row.cwd.display().to_string())
            )
            .trim_end(),
        )?;
    }
    Ok(0)
}

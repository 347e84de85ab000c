use peer_adapters::agent::BUILTIN;
use serde_json::json;

use super::output::printable;
use super::{CliError, Context, Outcome};
use crate::engine::EngineError;

/// List the agent profiles, built in and your own, with what each can do
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let own = engine.config.profile_names().map_err(EngineError::from)?;
    let mut names: Vec<&str> = BUILTIN.iter().map(|(name, _)| *name).collect();
    names.extend(own.iter().map(String::as_str).filter(|name| !BUILTIN.iter().any(|(known, _)| known == name)));
    let mut items = Vec::new();
    for name in names {
        let profile = engine.profile(name).map_err(CliError::from)?;
        let source = if own.iter().any(|known| known == name) { "yours" } else { "built-in" };
        items.push((profile, source));
    }
    if args.json {
        let agents: Vec<_> = items
            .iter()
            .map(|(profile, source)| {
                json!({ "name": profile.name, "source": source, "description": profile.description,
                        "seen": profile.seen, "can": profile.capabilities() })
            })
            .collect();
        context.out.document("agents", &json!({ "agents": agents }))?;
        return Ok(0);
    }
    context.out.line(format!(
        "{:<10} {:<9} {:<10} {:<7} {:<11} {}",
        "NAME", "FROM", "SEEN", "RESUME", "CONFIRMS BY", "WHAT"
    ))?;
    for (profile, source) in &items {
        let can = profile.capabilities();
        let resume = if can.resume { "by id" } else { "no" };
        let seen = profile.seen.as_deref().map_or_else(|| "-".to_owned(), printable);
        let confirms = serde_json::to_value(can.accepted)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default();
        context.out.line(format!(
            "{:<10} {source:<9} {seen:<10} {resume:<7} {confirms:<11} {}",
            printable(&profile.name),
            printable(&profile.description)
        ))?;
    }
    Ok(0)
}

//! `peer status` without a name: which peers need a person.

use serde_json::{Map, Value, json};

use crate::cli::render::output::printable;
use crate::cli::render::terminal::{Hue, Paint, width};
use crate::cli::verbs::list;
use crate::cli::{Context, Outcome};
use crate::engine::Engine;
use crate::engine::verbs::list::Row;
use crate::policy::state::State;

/// Prints what each peer needs, and how many are in each state. The exit code is 0 whatever they need, because a need
/// is not a failure.
pub(crate) async fn print(engine: &Engine, json: bool, context: &mut Context) -> Outcome {
    let fleet = engine.list().await?;
    let needs: Vec<(&Row, Need)> = fleet.rows.iter().filter_map(|row| Some((row, need(row)?))).collect();
    let counts: Vec<(State, usize)> = State::ALL
        .into_iter()
        .map(|state| (state, fleet.rows.iter().filter(|row| row.state == state).count()))
        .filter(|(_, count)| *count > 0)
        .collect();
    if json {
        let needs: Vec<_> = needs
            .iter()
            .map(|(row, need)| json!({ "peer": row.peer, "state": row.state, "why": need.why, "next": need.next }))
            .collect();
        let states: Map<String, Value> =
            counts.iter().map(|(state, count)| (state.to_string(), json!(count))).collect();
        let broken: Vec<_> =
            fleet.broken.iter().map(|(name, error)| json!({ "peer": name, "error": error.to_string() })).collect();
        context.out.document("status", &json!({ "needs": needs, "states": states, "broken": broken }))?;
        return Ok(list::report(&fleet));
    }
    let paint = Paint::of_stdout();
    // After a power cut all are lost, and one command wakes them.
    let is_lost = |(row, _): &&(&Row, Need)| row.state == State::Lost;
    let lost: Vec<&str> = needs.iter().filter(is_lost).map(|(row, _)| row.peer.as_str()).collect();
    let lost = if lost.len() > 1 { lost } else { Vec::new() };
    let single = || needs.iter().filter(|need| lost.is_empty() || !is_lost(need));
    let wide = single().map(|(row, _)| width(row.peer.as_str())).max().unwrap_or(0);
    if !lost.is_empty() {
        let state = paint.paint(Hue::of(State::Lost), State::Lost.as_str());
        context.out.words(format!("{} peers are {state}: peer wake {}", lost.len(), lost.join(" ")), 2)?;
    }
    for (row, Need { why, next }) in single() {
        let name = paint.paint(Hue::Strong, row.peer.as_str());
        let state = paint.paint(Hue::of(row.state), row.state.as_str());
        let padding = " ".repeat(wide - width(row.peer.as_str()));
        let why = why.as_deref().map(|why| format!(" ({})", printable(why))).unwrap_or_default();
        context.out.words(format!("{name}{padding}  {state}{why}: {next}"), wide + 2)?;
    }
    let counted: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    match (fleet.rows.is_empty(), fleet.broken.is_empty(), needs.is_empty()) {
        (true, true, _) => context.out.line("no peer is declared yet: peer add NAME -- COMMAND")?,
        (true, false, _) => {}
        (false, true, true) => context.out.line(format!("no peer needs you: {}", counted.join(", ")))?,
        (false, false, true) => context.out.line(format!("no other peer needs you: {}", counted.join(", ")))?,
        (false, _, false) => context.out.line(format!("in all: {}", counted.join(", ")))?,
    }
    Ok(list::report(&fleet))
}

/// What a peer needs a person for.
struct Need {
    why: Option<String>,
    next: String,
}

/// Returns what a peer needs a person for; `None` if it carries on, or sleeps, by itself.
fn need(row: &Row) -> Option<Need> {
    let needs_person = match row.state {
        State::Waiting
        | State::Limited
        | State::Stalled
        | State::Crashed
        | State::Held
        | State::Failed
        | State::Lost
        | State::Unknown => true,
        State::Awake
        | State::Starting
        | State::Busy
        | State::Asleep
        | State::Stopped
        | State::Completed
        | State::NeverStarted => false,
    };
    needs_person.then(|| Need { why: row.detail.clone(), next: row.next_command() })
}

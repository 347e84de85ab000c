//! One verb over several peers: they run side by side with one line per peer, and the highest exit code wins.

use std::future::Future;

use serde_json::{Map, Value, json};

use crate::cli::render::output::printable;
use crate::cli::{CliError, Context, Outcome};
use crate::engine::Engine;
use crate::policy::name::PeerName;

/// Which peers are meant.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Names {
    /// Names of peers
    #[arg(value_name = "NAME", add = crate::cli::args::complete::peers())]
    names: Vec<PeerName>,
    /// Every declared peer
    #[arg(long, conflicts_with = "names")]
    all: bool,
}

impl Names {
    /// Whether `--all` was given instead of names.
    pub(crate) const fn are_all(&self) -> bool {
        self.all
    }

    pub(crate) fn resolve(self, engine: &Engine) -> Result<Vec<PeerName>, CliError> {
        if self.all {
            return Ok(engine.config.names().map_err(crate::engine::EngineError::from)?);
        }
        let mut names = self.names;
        // The same name twice is one peer, and a second delivery would be one too many.
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Ok(names)
    }
}

/// The outcome of a verb for one peer: a line for people, fields for machines.
pub(crate) struct Report {
    pub(crate) line: String,
    pub(crate) fields: Value,
}

/// Runs `act` on every name, at most `jobs` at once, and prints in the order of the names.
pub(crate) async fn each<F, Fut>(
    context: &mut Context,
    verb: &str,
    json: bool,
    names: Vec<PeerName>,
    jobs: usize,
    act: F,
) -> Outcome
where
    F: Fn(PeerName) -> Fut,
    Fut: Future<Output = Result<Report, CliError>>,
{
    let gate = tokio::sync::Semaphore::new(jobs.max(1));
    let runs = names.iter().map(|name| async {
        let _turn = gate.acquire().await.expect("the gate is never closed");
        act(name.clone()).await
    });
    let results = futures_util::future::join_all(runs).await;
    let mut worst = 0;
    let mut items = Vec::new();
    for (name, result) in names.iter().zip(results) {
        match result {
            Ok(report) if json => items.push(named(name, report.fields)),
            Ok(report) => context.out.words(printable(&report.line), 2)?,
            Err(error) => {
                let error = error.of_verb(verb);
                worst = worst.max(error.code());
                if json {
                    items.push(named(name, error.to_json()));
                } else {
                    context.out.flush()?;
                    error.report();
                }
            }
        }
    }
    if json {
        context.out.document(verb, &json!({ "peers": items }))?;
    }
    Ok(worst)
}

pub(crate) fn named(name: &PeerName, fields: Value) -> Value {
    let mut item = Map::new();
    item.insert("peer".to_owned(), Value::String(name.to_string()));
    if let Value::Object(fields) = fields {
        item.extend(fields);
    }
    Value::Object(item)
}

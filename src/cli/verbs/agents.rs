use std::time::Duration;

use peer_adapters::agent::{Accepted, BUILTIN, Profile, Variable};
use serde_json::{Map, Value, json};

use crate::cli::render::output::printable;
use crate::cli::render::terminal::width;
use crate::cli::{CliError, Context, Outcome};
use crate::engine::EngineError;
use crate::policy::time::millis;

/// List the agent profiles, built in and your own, and what each supports
///
/// With a name, shows that profile: the dialogs that a spec may accept, its fixed waiting times, what its agent
/// reports by hooks, the variables its agent depends on, and the session variables of the agent that are never passed
/// on to the agents it wakes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show only this profile
    #[arg(value_name = "PROFILE", add = crate::cli::args::complete::profiles())]
    name: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine_by_records()?;
    let own = engine.config.profile_names().map_err(EngineError::from)?;
    let source = |name: &str| if own.iter().any(|known| known == name) { "yours" } else { "built-in" };
    if let Some(name) = &args.name {
        let profile = engine.profile(name).map_err(CliError::from)?;
        if args.json {
            context.out.document("agents", &json!({ "agents": [described(&profile, source(name))] }))?;
            return Ok(0);
        }
        return detail(&profile, source(name), context);
    }
    let mut names: Vec<&str> = BUILTIN.iter().map(|(name, _)| *name).collect();
    names.extend(own.iter().map(String::as_str).filter(|name| !BUILTIN.iter().any(|(known, _)| known == name)));
    let mut items = Vec::new();
    for name in names {
        let profile = engine.profile(name).map_err(CliError::from)?;
        items.push((profile, source(name)));
    }
    if args.json {
        let agents: Vec<_> = items.iter().map(|(profile, source)| described(profile, source)).collect();
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
        let columns = format!("{:<10} {source:<9} {seen:<10} {resume:<7} {confirms:<11} ", printable(&profile.name));
        context.out.words(format!("{columns}{}", printable(&profile.description)), width(&columns))?;
    }
    Ok(0)
}

fn described(profile: &Profile, source: &str) -> Value {
    let environment = &profile.environment;
    json!({
        "name": profile.name, "source": source, "description": profile.description,
        "seen": profile.seen, "can": profile.capabilities(), "times": times(profile),
        "reports": profile.hooks.reports,
        "dialogs": { "acceptable": dialogs(profile, false), "need_person": dialogs(profile, true) },
        "environment": {
            "needs": environment.needs,
            "needs_with": environment.needs_with,
            "session": environment.session,
            "remove": environment.remove,
            // Only the names: a value may be a secret.
            "set": environment.set.keys().collect::<Vec<_>>(),
        },
    })
}

/// The times that a profile names, in ms. The first three are always waited in full; the others are limits or
/// intervals.
fn times(profile: &Profile) -> Value {
    let quit: Duration = profile.quit.steps.iter().map(|step| step.wait).sum();
    let times = [
        ("stable_for_fresh_ms", profile.ready.stable_for_fresh),
        ("stable_for_resume_ms", profile.ready.stable_for_resume),
        ("settle_ms", settle(profile)),
        ("ready_timeout_ms", profile.ready.timeout),
        ("again_ms", profile.message.again),
        ("quit_ms", quit + profile.quit.grace),
        ("term_grace_ms", profile.quit.term_grace),
    ];
    times.into_iter().map(|(name, time)| (name.to_owned(), Value::from(millis(time)))).collect::<Map<_, _>>().into()
}

/// The wait between a paste and its Enter, which is zero for a program without a composer.
fn settle(profile: &Profile) -> Duration {
    if profile.message.accepted == Accepted::Consumed { Duration::ZERO } else { profile.message.settle }
}

/// The waits that go by the clock because nothing that the agent shows or writes can end them.
fn guesses(profile: &Profile) -> Vec<String> {
    let guesses = [
        (
            "ready.stable_for_fresh",
            profile.ready.stable_for_fresh,
            "its screen must look ready so long after a fresh start",
        ),
        (
            "ready.stable_for_resume",
            profile.ready.stable_for_resume,
            "its screen must look ready so long after a resume",
        ),
        ("message.settle", settle(profile), "between what is typed and Enter"),
    ];
    let named = guesses.into_iter().filter(|(_, time, _)| !time.is_zero());
    named.map(|(name, time, what)| format!("{name} = {}: {what}", humantime::format_duration(time))).collect()
}

/// Prints one profile, its times and its variables by name, one per line.
fn detail(profile: &Profile, source: &str, context: &mut Context) -> Outcome {
    let seen = profile.seen.as_deref().map_or_else(String::new, |seen| format!(", seen with {seen}"));
    context.out.words(printable(&format!("{} ({source}{seen}): {}", profile.name, profile.description)), 2)?;
    let (environment, guesses) = (&profile.environment, guesses(profile));
    let mut lists = vec![("fixed waiting times".to_owned(), guesses.iter().map(String::as_str).collect())];
    lists.push(("dialogs that a spec may accept".to_owned(), dialogs(profile, false)));
    lists.push(("dialogs that need a person".to_owned(), dialogs(profile, true)));
    let reports = profile.hooks.reports.iter().map(|report| report.as_str());
    lists.push(("what its agent reports by hooks of its own".to_owned(), reports.collect()));
    lists.push(("its agent depends on".to_owned(), words(&environment.needs)));
    let with = environment.needs_with.iter();
    lists.extend(with.map(|(with, list)| (format!("and, where {with} is set, by"), words(list))));
    lists.push(("session variables, never passed on".to_owned(), words(&environment.session)));
    lists.push(("removed".to_owned(), words(&environment.remove)));
    lists.push(("set".to_owned(), environment.set.keys().map(String::as_str).collect()));
    for (what, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
        context.out.line(printable(&format!("  {what}:")))?;
        for name in names {
            context.out.words(printable(&format!("    {name}")), 6)?;
        }
    }
    Ok(0)
}

/// Ids of the profile's dialogs, without duplicates.
fn dialogs(profile: &Profile, need_person: bool) -> Vec<&str> {
    let ids =
        profile.dialog.iter().filter(|dialog| dialog.needs_person == need_person).map(|dialog| dialog.id.as_str());
    let ids: std::collections::BTreeSet<&str> = ids.collect();
    ids.into_iter().collect()
}

fn words(list: &[Variable]) -> Vec<&str> {
    list.iter().map(Variable::as_str).collect()
}

//! Checks of the multiplexers, the agents and the hooks: whether their programs exist, and are known to work.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use peer_adapters::agent::BUILTIN;
use peer_adapters::command;
use peer_adapters::nearest;
use peer_adapters::runtime::RuntimeKind;
use peer_adapters::version::Fitness;

use super::{Finding, Level};
use crate::engine::{Engine, Result};
use crate::policy::event::EventName;

pub(super) async fn look(engine: &Engine) -> Result<Vec<Finding>> {
    let mut found = runtimes(engine).await;
    found.extend(agents(engine)?);
    found.extend(engine.settings.hooks.iter().flat_map(|hook| {
        let unknown = hook.on.iter().filter_map(|on| unknown_event(on));
        unknown.chain(missing(engine, &hook.command)).collect::<Vec<_>>()
    }));
    Ok(found)
}

async fn runtimes(engine: &Engine) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut installed = 0;
    for kind in RuntimeKind::ALL {
        if let Ok(binary) = engine.runtime_binary(kind, None) {
            installed += 1;
            found.extend(runtime(engine, kind, &binary).await);
        } else {
            let absent = Finding::new(Level::Note, kind.as_str(), "is not on PATH");
            found.push(absent.cure(format!("install {kind} to use it")));
        }
    }
    // An unusable `config.toml` may name one.
    if installed == 0 && engine.usable_settings().is_ok() {
        let oldest = RuntimeKind::ALL.map(|kind| format!("{kind} {} or newer", kind.facts().supported().oldest));
        let cure = format!("install {}", oldest.join(", or "));
        found.push(Finding::new(Level::Broken, "runtime", "no multiplexer is installed").cure(cure));
    }
    found
}

/// Checks the version that a runtime reports, and whether a session can be created with it.
async fn runtime(engine: &Engine, kind: RuntimeKind, binary: &Path) -> Vec<Finding> {
    let deadline = engine.settings.probe.timeout.0;
    let finding = |level, what: String| Finding::new(level, kind.as_str(), what);
    let another = format!("set the path of the program itself in config.toml: [{kind}] binary = \"…\"");
    let version = match engine.runtimes.versions().ask(kind, binary).await {
        Ok(version) => version,
        Err(error) => return vec![finding(Level::Broken, error.to_string())],
    };
    let said = version.text.clone().or_else(|| version.besides.clone());
    let refusal = || version.fitness(kind).refusal(kind, binary, version.besides.clone().or(said.clone())).to_string();
    let what = format!("{} at {}", said.clone().unwrap_or_default(), binary.display());
    let mut found = vec![match version.fitness(kind) {
        Fitness::TooOld => return vec![finding(Level::Broken, refusal()).cure(format!("install a newer {kind}"))],
        Fitness::Supported => match kind.facts().known_problem(&what) {
            Some((bad, cure)) => finding(Level::Note, format!("{what}: {bad}")).cure(cure),
            None => finding(Level::Ok, what),
        },
        Fitness::Untested => finding(Level::Note, format!("{what} is newer than any tested version")),
        Fitness::ExtraOutput => finding(Level::Warning, refusal()).cure(another),
        Fitness::Unreadable => finding(Level::Broken, refusal()).cure(another),
    }];
    if let Err(why) = super::trial::run(kind, binary, deadline).await {
        found.push(
            finding(Level::Broken, format!("trial session of {}: {why}", binary.display()))
                .cure(format!("install another {kind}, or set its path in config.toml: [{kind}] binary = \"…\"")),
        );
    }
    found
}

/// Lists every profile whose program exists, in one line; a profile that cannot be read is broken.
fn agents(engine: &Engine) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    let mut there = Vec::new();
    let own = engine.config.profile_names()?;
    let mut names: Vec<&str> = BUILTIN.iter().map(|(name, _)| *name).collect();
    names.extend(own.iter().map(String::as_str).filter(|name| !BUILTIN.iter().any(|(known, _)| known == name)));
    for name in names {
        match engine.profile(name) {
            Ok(profile) => {
                let path = profile.command.first().and_then(|program| program_at(engine, program));
                there.extend(path.map(|path| format!("{name} at {}", path.display())));
            }
            Err(error) => {
                found.push(Finding::new(Level::Broken, "agents", error.to_string()).cure("fix that file"));
            }
        }
    }
    found.push(if there.is_empty() {
        Finding::new(Level::Note, "agents", "none of the known agents is on PATH")
            .cure("peer add NAME -- COMMAND takes any program")
    } else {
        Finding::new(Level::Ok, "agents", there.join(", "))
    });
    Ok(found)
}

fn program_at(engine: &Engine, program: &str) -> Option<PathBuf> {
    let path = engine.var("PATH").map(std::ffi::OsString::as_os_str);
    command::resolve(OsStr::new(program), path, engine.state.root()).ok()
}

fn missing(engine: &Engine, command: &[String]) -> Option<Finding> {
    let program = command.first()?;
    if program_at(engine, program).is_some() {
        return None;
    }
    let what = format!("{program} was not found, or is not executable");
    Some(Finding::new(Level::Broken, "hook", what).cure("use its absolute path in config.toml"))
}

fn unknown_event(on: &str) -> Option<Finding> {
    // A hook for any other event would never run, and no hook runs for the failure of a hook.
    let heard = EventName::ALL.iter().filter(|event| **event != EventName::HookFailed);
    let mut heard = heard.map(|event| event.as_str());
    let known = on == "*" || heard.clone().any(|event| event == on || (on.ends_with('.') && event.starts_with(on)));
    let cure = nearest(on, &mut heard)
        .map_or_else(|| "peer help events lists them".to_owned(), |near| format!("did you mean {near}?"));
    (!known)
        .then(|| Finding::new(Level::Warning, "hook", format!("no event is named {on:?}, so it never runs")).cure(cure))
}

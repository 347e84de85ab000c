//! The multiplexers, the agents and the hooks: whether their programs are there, and known to work.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use peer_adapters::agent::BUILTIN;
use peer_adapters::command;
use peer_adapters::runtime::{RuntimeError, RuntimeKind};
use peer_adapters::tmux::Tmux;
use peer_adapters::zellij::Zellij;

use super::{Finding, Level};
use crate::config::nearest;
use crate::engine::{Engine, Result};

/// Every event for which hooks are run: all but their own failures. A hook for another one would never run.
const EVENTS: [&str; 17] = [
    "conversation.learned",
    "memory.alert",
    "memory.high",
    "message.delivered",
    "peer.reset",
    "probe.timed-out",
    "runtime.lost",
    "self-fresh.requested",
    "session.ended",
    "session.orphan-ended",
    "session.reaped",
    "store.corrupt",
    "tick.finished",
    "wake.decided",
    "wake.failed",
    "wake.ready",
    "wake.refused",
];

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
    for kind in [RuntimeKind::Tmux, RuntimeKind::Zellij] {
        found.push(match engine.runtime_binary(kind, None) {
            Ok(binary) => {
                installed += 1;
                version(engine, kind, &binary).await
            }
            Err(_) => {
                Finding::new(Level::Note, kind.as_str(), "is not on PATH").cure(format!("install {kind} to use it"))
            }
        });
    }
    if installed == 0 {
        let cure = "install tmux 3.2 or newer, or zellij 0.45.1 or newer";
        found.push(Finding::new(Level::Broken, "runtime", "no multiplexer is installed").cure(cure));
    }
    found
}

async fn version(engine: &Engine, kind: RuntimeKind, binary: &Path) -> Finding {
    match engine.version_of(kind, binary).await {
        Ok(version) => {
            let what = format!("{version} at {}", binary.display());
            match known_bad(&version) {
                Some((bad, cure)) => Finding::new(Level::Note, kind.as_str(), format!("{what}: {bad}")).cure(cure),
                None => Finding::new(Level::Ok, kind.as_str(), what),
            }
        }
        Err(error @ RuntimeError::VersionMismatch { .. }) => {
            Finding::new(Level::Broken, kind.as_str(), error.to_string()).cure(format!("install a newer {kind}"))
        }
        Err(error) => Finding::new(Level::Broken, kind.as_str(), error.to_string()),
    }
}

/// What is known to be wrong with a version that works otherwise.
///
/// # Source
/// tmux 3.3a: `paste-buffer` into a dead pane ended the server with all its sessions; the fix (tmux PR 3830) is in 3.4.
fn known_bad(version: &str) -> Option<(&'static str, &'static str)> {
    let number = version.strip_prefix("tmux ")?;
    number.starts_with("3.3").then_some((
        "a paste into a dead pane ends its server, so peer looks first; others may not",
        "tmux 3.4 has the fix",
    ))
}

/// Every profile whose program is there, in one line; a profile that cannot be read is broken.
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
                found.push(Finding::new(Level::Broken, "agents", error.to_string()).cure("correct that file"));
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
    let what = format!("{program} is not to be found, or not executable");
    Some(Finding::new(Level::Broken, "hook", what).cure("give its whole path in config.toml"))
}

fn unknown_event(on: &str) -> Option<Finding> {
    let known = on == "*" || EVENTS.iter().any(|event| *event == on || (on.ends_with('.') && event.starts_with(on)));
    let cure = nearest(on, EVENTS)
        .map_or_else(|| "peer log shows their names".to_owned(), |near| format!("did you mean {near}?"));
    (!known)
        .then(|| Finding::new(Level::Warning, "hook", format!("no event is named {on:?}, so it never runs")).cure(cure))
}

impl Engine {
    async fn version_of(&self, kind: RuntimeKind, binary: &Path) -> std::result::Result<String, RuntimeError> {
        use peer_adapters::runtime::Runtime;
        let deadline = self.settings.probe.timeout.0;
        match kind {
            RuntimeKind::Tmux => {
                Tmux::new(binary.to_owned(), self.state.root().join("tmux.conf"), deadline).version().await
            }
            RuntimeKind::Zellij => Zellij::new(binary.to_owned(), deadline).version().await,
        }
    }
}

//! A person's own commands, run for chosen events: `[[hook]]` in `config.toml`.
//!
//! Whoever writes an event into the log (a verb, a tick, the process in the pane) starts one `peer hook` that outlives
//! it, hands it the event, and goes on. That process runs the hooks side by side, each for its own time at most, and
//! writes down which failed. So a hook can delay nothing and break nothing, and no event passes it by.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex};

use peer_adapters::agent::belongs_to_session;
use peer_adapters::command::{self, Argv, Background, RunError};

use super::{Engine, Result};
use crate::config::{ConfigDir, Hook};
use crate::store::{Event, StateDir};

/// The event of a hook that failed. No hook is run for it: one that always fails would never come to an end.
pub(super) const FAILED: &str = "hook.failed";

/// The state directory with its events heard by the hooks that stand in `config` now; a configuration that cannot be
/// read has none, and every other verb says what is wrong with it.
pub fn heard(state: StateDir, config: &Path) -> StateDir {
    let (Ok(settings), Ok(executable)) = (ConfigDir::new(config).settings(), peer_adapters::process::own_executable())
    else {
        return state;
    };
    heard_by(state, &settings.hooks, config, &executable)
}

/// The state directory with its events heard by `hooks`, where there are any.
pub(super) fn heard_by(state: StateDir, hooks: &[Hook], config: &Path, executable: &Path) -> StateDir {
    if hooks.is_empty() {
        return state;
    }
    let hooks = Arc::new(hooks.to_vec());
    // Hooks are the person's: where an agent's own verb or hook wrote the event, they are not run as that agent.
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let names = std::env::vars_os().map(|(name, _)| name);
    let agents = names.filter(|name| belongs_to_session(&name.to_string_lossy(), is_set));
    let runner = agents
        .fold(Argv::new(executable), Argv::env_remove)
        .arg("hook")
        .env("PEER_STATE_DIR", state.root())
        .env("PEER_CONFIG_DIR", config)
        .cwd(state.root());
    // Those under way are children of ours for as long as we live, which `peer watch` does for weeks.
    let under_way: Mutex<Vec<Background>> = Mutex::default();
    let silent = state.clone();
    state.heard_by(move |event| {
        if event.event == FAILED || !hooks.iter().any(|hook| hook.wants(&event.event)) {
            return;
        }
        let input = serde_json::to_vec(&event.as_told()).expect("an event is plain data");
        let mut under_way = under_way.lock().expect("no holder of this lock panics");
        under_way.retain_mut(|hook| !hook.is_over());
        match command::spawn_detached_with_input(&runner, &input) {
            Ok(started) => under_way.push(started),
            // What happened has happened, whether or not a hook could be told.
            Err(error) => drop(silent.journal().append(&failed(event, &runner, &error.to_string()))),
        }
    })
}

fn failed(event: &Event, argv: &Argv, why: &str) -> Event {
    let mut told = Event::new(std::time::SystemTime::now().into(), FAILED)
        .cause(why)
        .with("on", event.event.clone())
        .with("command", argv.program.display().to_string());
    told.peer.clone_from(&event.peer);
    told
}

impl Engine {
    /// Runs every hook that wants this event, side by side, each with the event as one line of JSON on its stdin.
    /// Blocks until the last one has ended or its time is over.
    ///
    /// # Errors
    /// The log cannot be written. A hook that fails is logged and no error.
    pub async fn run_hooks(&self, event: &Event) -> Result<()> {
        let mut line = serde_json::to_vec(event).expect("an event is plain data");
        line.push(b'\n');
        let wanted = self.settings.hooks.iter().filter(|hook| hook.wants(&event.event));
        let runs = wanted.map(async |hook| {
            let argv = self.hook_argv(hook, event);
            let result = command::run(&argv, Some(&line), hook.timeout.0).await;
            problem(result).map(|why| failed(event, &argv, &why))
        });
        for failure in futures_util::future::join_all(runs).await.into_iter().flatten() {
            self.log(&failure)?;
        }
        Ok(())
    }

    /// The hook's own words, with what a shell script wants to know without parsing JSON.
    fn hook_argv(&self, hook: &Hook, event: &Event) -> Argv {
        let mut words = hook.command.iter().map(OsString::from);
        let program = words.next().unwrap_or_default();
        let peer = event.peer.as_ref().map_or("", |peer| peer.as_str());
        Argv::new(program)
            .args(words)
            .env("PEER_EVENT", &event.event)
            .env("PEER_EVENT_PEER", peer)
            .env("PEER_EVENT_CAUSE", event.cause.as_deref().unwrap_or_default())
            .cwd(self.state.root())
    }
}

/// Why a hook failed, where it did.
fn problem(result: std::result::Result<command::Output, RunError>) -> Option<String> {
    match result {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(output.summary()),
        Err(error) => Some(error.to_string()),
    }
}

//! The user's own commands that run on chosen events: `[[hook]]` in `config.toml`.
//!
//! Each process that writes an event to the log (a verb, a tick, the pane process) spawns one detached `peer hook`,
//! hands it the event, and continues. That process runs the hooks concurrently, each with its own timeout, and logs
//! those that failed. So a hook can neither delay nor break a verb, and no event is missed.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex};

use peer_adapters::agent::belongs_to_session;
use peer_adapters::command::{self, Argv, Background, RunError};

use super::{Engine, Result};
use crate::config::{ConfigDir, Hook};
use crate::policy::event::EventName;
use crate::store::{Event, StateDir};

/// Returns the state directory, with the hooks currently in `config` subscribed to its events. If the configuration
/// cannot be read there are no hooks; every other verb reports what is wrong with it.
pub fn with_hooks(state: StateDir, config: &Path) -> StateDir {
    let (Ok(settings), Ok(executable)) = (ConfigDir::new(config).settings(), peer_adapters::process::own_executable())
    else {
        return state;
    };
    with_listener(state, &settings.hooks, config, &executable)
}

/// Returns the state directory with `hooks` subscribed to its events, if there are any.
pub(super) fn with_listener(state: StateDir, hooks: &[Hook], config: &Path, executable: &Path) -> StateDir {
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
    // Running hooks are children of this process for as long as it lives, which is weeks for `peer watch`.
    let under_way: Mutex<Vec<Background>> = Mutex::default();
    let silent = state.clone();
    state.with_listener(move |event| {
        // No hook runs for a failed hook: one that always fails would run for ever.
        if event.is(EventName::HookFailed) || !hooks.iter().any(|hook| hook.wants(&event.event)) {
            return;
        }
        let input = serde_json::to_vec(&event.for_hooks()).expect("an event is plain data");
        let mut under_way = under_way.lock().expect("no holder of this lock panics");
        under_way.retain_mut(|hook| !hook.is_over());
        match command::spawn_detached_with_input(&runner, &input) {
            Ok(started) => under_way.push(started),
            // The event has happened, whether or not a hook could be started for it.
            Err(error) => drop(silent.journal().append(&failed(event, &runner, &error.to_string()))),
        }
    })
}

fn failed(event: &Event, argv: &Argv, why: &str) -> Event {
    let mut failed = Event::new(std::time::SystemTime::now().into(), EventName::HookFailed)
        .cause(why)
        .with("on", event.event.clone())
        .with("command", argv.program.display().to_string());
    failed.peer.clone_from(&event.peer);
    failed
}

impl Engine {
    /// Runs every hook that matches this event, concurrently, each with the event as one line of JSON on its stdin.
    /// Blocks until the last hook has ended or timed out.
    ///
    /// # Errors
    /// The log cannot be written. A hook that fails is logged, and is not an error.
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

    /// Returns the hook's command, with variables for shell scripts that do not parse JSON.
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

/// Returns why a hook failed, if it did.
fn problem(result: std::result::Result<command::Output, RunError>) -> Option<String> {
    match result {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(output.summary()),
        Err(error) => Some(error.to_string()),
    }
}

//! What an agent gets for one launch in addition to its own arguments and environment, so that none of the user's files has
//! to be edited.

use std::path::PathBuf;

use peer_adapters::agent::{EXECUTABLE, GIVEN, Given, McpServer};

use crate::engine::peer::environment::Environment;
use crate::engine::{Engine, Peer};
use crate::policy::ending::Incarnation;

impl Engine {
    /// Returns the arguments that give the agent hooks reporting to `peer`, and sets the variable by which they find it. The
    /// user's own hooks go first: if ours would replace them, ours are left out with a notice.
    pub(super) fn give_hooks(&self, peer: &Peer, env: &mut Environment) -> Vec<String> {
        if !peer.effective.agent_hooks.value || peer.profile.hooks.reports.is_empty() {
            return Vec::new();
        }
        let lookup = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let home = lookup("HOME").map(PathBuf::from).unwrap_or_default();
        match peer.profile.given_hooks(&peer.spec.command, &home, &lookup) {
            Given::Words(words) => {
                env.push((EXECUTABLE.into(), self.executable.clone().into()));
                words
            }
            Given::LeftOut(why) => {
                self.progress.notice(&format!(
                    "{}: its own {why} is kept, so it gets no hooks of peer's and its turns are noticed a moment later \
                     (agent_hooks = false in its spec silences this)",
                    peer.name
                ));
                Vec::new()
            }
        }
    }

    /// Returns the arguments that give the agent `peer mcp`, if its spec asks for it, and sets the variables that do. A
    /// variable that the user has set is kept, with a notice.
    pub(crate) fn give_mcp(&self, peer: &Peer, incarnation: Incarnation, env: &mut Environment) -> Vec<String> {
        let Some(rule) = peer.profile.mcp.as_ref().filter(|_| peer.spec.mcp) else { return Vec::new() };
        let paths = [self.executable.as_path(), self.state.root(), self.config.root()].map(std::path::Path::to_str);
        let [Some(command), Some(state), Some(config)] = paths else {
            self.progress.notice(&format!("{}: no MCP server for it: a path of ours is not UTF-8", peer.name));
            return Vec::new();
        };
        let (name, incarnation) = (peer.name.as_str(), incarnation.to_string());
        let server = McpServer { command, name, incarnation: &incarnation, state, config };
        let mut given = Vec::new();
        for (key, value) in rule.variables(&server) {
            if env.iter().any(|(own, value)| *own == *key && !value.is_empty()) {
                let name = &peer.name;
                self.progress.notice(&format!("{name}: its own {key} is kept, so it gets no MCP server of peer's"));
                continue;
            }
            env.retain(|(own, _)| *own != *key);
            env.push((key.clone().into(), value.into()));
            given.push(key);
        }
        if !given.is_empty() {
            env.push((GIVEN.into(), given.join(" ").into()));
        }
        rule.words(&server)
    }
}

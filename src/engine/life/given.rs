//! Arguments that an agent gets for one launch in addition to its own, so that none of the user's files has to be
//! edited.

use peer_adapters::agent::McpServer;

use crate::engine::{Engine, Peer};
use crate::policy::ending::Incarnation;

impl Engine {
    /// Returns the arguments that give the agent `peer mcp`, if its spec asks for it.
    pub(crate) fn mcp_words(&self, peer: &Peer, incarnation: Incarnation) -> Vec<String> {
        let Some(rule) = peer.profile.mcp.as_ref().filter(|_| peer.spec.mcp) else { return Vec::new() };
        let paths = [self.executable.as_path(), self.state.root(), self.config.root()].map(std::path::Path::to_str);
        let [Some(command), Some(state), Some(config)] = paths else {
            self.progress.notice(&format!("{}: no MCP server for it: a path of ours is not UTF-8", peer.name));
            return Vec::new();
        };
        let (name, incarnation) = (peer.name.as_str(), incarnation.to_string());
        rule.words(&McpServer { command, name, incarnation: &incarnation, state, config })
    }
}

//! How to pass an agent an MCP (Model Context Protocol) server for one launch without editing the user's files.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The environment variable with the names of the variables that `peer` set for one launch, separated by spaces: they are
/// not for an agent that this one wakes.
pub const GIVEN: &str = "PEER_GIVEN";

/// The arguments or variables that pass an MCP server to an agent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpRule {
    /// Arguments that follow the peer's own words and precede those for fresh and resume. The placeholders are
    /// `{command}` (the server's program, whose one argument is `mcp`), `{name}`, `{incarnation}`, `{state}` and
    /// `{config}` (the values of its `PEER_NAME`, `PEER_INCARNATION`, `PEER_STATE_DIR` and `PEER_CONFIG_DIR`). Each is
    /// replaced by a string in double quotes that is valid in both JSON and TOML.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Environment variables, for an agent that has no such argument; with the same placeholders. One that the user has
    /// set is kept.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// How an agent starts the server.
#[derive(Clone, Copy, Debug)]
pub struct McpServer<'a> {
    /// The program of the server.
    pub command: &'a str,
    /// The peer whose agent it serves.
    pub name: &'a str,
    /// The incarnation of that agent.
    pub incarnation: &'a str,
    /// The state directory.
    pub state: &'a str,
    /// The configuration directory.
    pub config: &'a str,
}

impl McpServer<'_> {
    fn values(&self) -> [(&str, &str); 5] {
        [
            ("{command}", self.command),
            ("{name}", self.name),
            ("{incarnation}", self.incarnation),
            ("{state}", self.state),
            ("{config}", self.config),
        ]
    }
}

impl McpRule {
    /// Returns the arguments with the placeholders replaced by the values of `server`.
    pub fn words(&self, server: &McpServer<'_>) -> Vec<String> {
        self.arguments.iter().map(|word| filled(word, &server.values())).collect()
    }

    /// Returns the variables with the placeholders replaced by the values of `server`.
    pub fn variables(&self, server: &McpServer<'_>) -> Vec<(String, String)> {
        self.env.iter().map(|(key, value)| (key.clone(), filled(value, &server.values()))).collect()
    }
}

/// Returns `word` with each placeholder replaced. Placeholders inside a value are left as they are.
fn filled(word: &str, values: &[(&str, &str)]) -> String {
    let (mut filled, mut rest) = (String::new(), word);
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        let found = values.iter().find_map(|(name, value)| Some((from.strip_prefix(name)?, value)));
        rest = if let Some((behind, value)) = found {
            filled.push_str(&serde_json::Value::from(*value).to_string());
            behind
        } else {
            filled.push('{');
            &from[1..]
        };
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::Profile;

    const SERVER: McpServer<'_> =
        McpServer { command: "/opt/a \"b\" {name}/peer", name: "api", incarnation: "7", state: "/s\\t", config: "/c" };

    fn words(agent: &str) -> Vec<String> {
        Profile::builtin(agent).expect("built in").mcp.expect("it takes one").words(&SERVER)
    }

    #[test]
    fn claude_code_is_given_a_document() {
        let words = words("claude");
        assert_eq!((words.len(), words[0].as_str()), (2, "--mcp-config"));
        let told: serde_json::Value = serde_json::from_str(&words[1]).expect("JSON");
        let env =
            json!({ "PEER_NAME": "api", "PEER_INCARNATION": "7", "PEER_STATE_DIR": "/s\\t", "PEER_CONFIG_DIR": "/c" });
        let server = json!({ "type": "stdio", "command": SERVER.command, "args": ["mcp"], "env": env });
        assert_eq!(told, json!({ "mcpServers": { "peer": server } }));
    }

    #[test]
    fn opencode_is_given_a_document_in_a_variable() {
        let rule = Profile::builtin("opencode").expect("built in").mcp.expect("it takes one");
        assert_eq!(rule.words(&SERVER), [""; 0]);
        let [(name, value)] = &rule.variables(&SERVER)[..] else { panic!("one variable") };
        assert_eq!(name, "OPENCODE_CONFIG_CONTENT");
        let told: serde_json::Value = serde_json::from_str(value).expect("JSON");
        let peer = &told["mcp"]["peer"];
        assert_eq!((&peer["type"], &peer["command"]), (&json!("local"), &json!([SERVER.command, "mcp"])));
        let env =
            json!({ "PEER_NAME": "api", "PEER_INCARNATION": "7", "PEER_STATE_DIR": "/s\\t", "PEER_CONFIG_DIR": "/c" });
        assert_eq!(peer["environment"], env);
    }

    #[test]
    fn codex_is_given_keys_of_its_configuration() {
        let words = words("codex");
        let keys: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "-c").collect();
        assert_eq!(keys.len() * 2, words.len());
        let told: toml::Table = keys.join("\n").parse().expect("TOML");
        let peer = &told["mcp_servers"]["peer"];
        assert_eq!((peer["command"].as_str(), peer["args"][0].as_str()), (Some(SERVER.command), Some("mcp")));
        let env = &peer["env"];
        let set = ["PEER_NAME", "PEER_INCARNATION", "PEER_STATE_DIR", "PEER_CONFIG_DIR"].map(|key| env[key].as_str());
        assert_eq!(set, [Some("api"), Some("7"), Some("/s\\t"), Some("/c")]);
    }
}

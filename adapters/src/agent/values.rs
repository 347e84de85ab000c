//! The value types of profiles. Each is validated during parsing, so that an error carries its line.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// One of our extensions for an agent, by which it reports its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportingExtension {
    /// pi: loaded with `-e`, for one run, in addition to the user's own.
    PiExtension,
}

impl ReportingExtension {
    /// Returns the name of its file.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::PiExtension => "pi-extension.js",
        }
    }

    /// Returns its source text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::PiExtension => include_str!("../../agents/pi-extension.js"),
        }
    }
}

/// The name of an environment variable, or a prefix followed by `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Variable(String);

impl Variable {
    /// Returns the text as in the profile.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `true` if `name` is this variable or begins with this prefix.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.0,
        }
    }
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let name = text.strip_suffix('*').unwrap_or(&text);
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(D::Error::custom(format!("{text:?} is not a variable: use a name, or its beginning and `*`")));
        }
        Ok(Self(text))
    }
}

/// Where an agent keeps the transcripts of its children, relative to the directory of the conversation's own
/// transcript: `{conversation}/subagents/agent-*.jsonl`. Subfolders are included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildFiles {
    folder: String,
    before: String,
    after: String,
}

impl ChildFiles {
    /// Returns the folder of a conversation's children.
    pub fn folder(&self, conversation: &str) -> PathBuf {
        PathBuf::from(self.folder.replace(CONVERSATION, conversation))
    }

    /// Returns `true` if a file of this name is the transcript of a child.
    pub fn matches(&self, name: &OsStr) -> bool {
        let name = name.as_encoded_bytes();
        name.len() >= self.before.len() + self.after.len()
            && name.starts_with(self.before.as_bytes())
            && name.ends_with(self.after.as_bytes())
    }
}

/// The placeholder for the conversation's id.
const CONVERSATION: &str = "{conversation}";

impl<'de> Deserialize<'de> for ChildFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = || {
            let (folder, file) = text.rsplit_once('/')?;
            let (before, after) = file.split_once('*')?;
            // Without the id in the path, every conversation would have the same children.
            let own = folder.contains(CONVERSATION) && !folder.contains('*') && !after.contains('*');
            let below = folder.split('/').all(|part| !matches!(part, "" | "." | ".."));
            let owned = |text: &str| text.to_owned();
            (own && below).then(|| Self { folder: owned(folder), before: owned(before), after: owned(after) })
        };
        parsed().ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} does not name children: use a path like `{CONVERSATION}/agents/*.jsonl`"
            ))
        })
    }
}

/// Parses `300ms`, `90s`, `1h30m`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    // A hundred years can be added to any time; more might overflow.
    match humantime::parse_duration(&text) {
        Ok(span) if span <= Duration::from_secs(36_525 * 86_400) => Ok(span),
        Ok(_) => Err(D::Error::custom(format!("{text:?} is longer than a hundred years"))),
        Err(error) => Err(D::Error::custom(format!("{text:?} is not a duration like `90s` or `1h30m`: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{ChildFiles, Variable};

    #[test]
    fn a_variable_is_exact_or_a_beginning() {
        let exact = Variable("TMUX".to_owned());
        assert!(exact.matches("TMUX") && !exact.matches("TMUX_PANE"));
        let beginning = Variable("ZELLIJ*".to_owned());
        assert!(beginning.matches("ZELLIJ") && beginning.matches("ZELLIJ_PANE_ID") && !beginning.matches("XZELLIJ"));
    }

    #[test]
    fn children_are_named_by_a_folder_of_their_conversation_and_a_file_with_one_star() {
        let parse = |text: &str| ChildFiles::deserialize(toml::Value::from(text)).map_err(|error| error.to_string());
        let seen = parse("{conversation}/subagents/agent-*.jsonl").expect("as claude has it");
        assert_eq!(seen.folder("ID").to_str(), Some("ID/subagents"));
        for (name, meant) in [
            ("agent-a2df.jsonl", true),
            ("agent-a2df.meta.json", false),
            ("journal.jsonl", false),
            ("agent-.jsonl", true),
            ("agent-jsonl", false),
        ] {
            assert_eq!(seen.matches(name.as_ref()), meant, "{name}");
        }
        for wrong in [
            "",
            "*.jsonl",
            "children/*.jsonl",
            "{conversation}/a.jsonl",
            "{conversation}/*/*.jsonl",
            "{conversation}/*-*",
        ] {
            assert!(parse(wrong).expect_err(wrong).contains("does not name children"), "{wrong}");
        }
        assert!(parse("../{conversation}/*.jsonl").is_err() && parse("/{conversation}/*.jsonl").is_err());
    }
}

//! The agent's own hooks: commands that `peer` passes to an agent for one launch, and by which it reports its activity.
//!
//! The input of a hook is untrusted: the agent, or a process that poses as one, wrote it. Only the few values that the
//! profile names are read, and the input is not stored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Pattern, Profile};
use crate::file;
use crate::transcript::Lookup;

/// The environment variable with the path of the `peer` executable, for an agent's hooks.
pub const EXECUTABLE: &str = "PEER_EXECUTABLE";

/// What an agent's hook reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// A turn has begun.
    TurnStarted,
    /// A turn is over.
    TurnFinished,
    /// The agent may need a person. Its screen shows what for.
    Waiting,
    /// The agent continues in another conversation.
    Conversation,
}

impl Report {
    /// All reports.
    pub const ALL: [Self; 4] = [Self::TurnStarted, Self::TurnFinished, Self::Waiting, Self::Conversation];

    /// Returns the name used in profiles and on the command line of a hook.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TurnStarted => "turn-started",
            Self::TurnFinished => "turn-finished",
            Self::Waiting => "waiting",
            Self::Conversation => "conversation",
        }
    }
}

/// How to pass hooks to an agent for one launch, and how to read their input. The hooks run
/// `"$PEER_EXECUTABLE" agent-hook REPORT`, with their input on stdin or as one more argument.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    /// The reports that the hooks make; any other report is ignored.
    pub reports: Vec<Report>,
    /// The arguments that set the hooks. They follow the peer's own command line and precede those of a start.
    pub arguments: Vec<String>,
    /// Patterns for words of the peer's own command line that `arguments` would override. If one matches, no hooks are
    /// passed.
    pub unless: Vec<Pattern>,
    /// A setting in the user's own file that `arguments` would override. If it is set, no hooks are passed.
    pub unless_set: Option<Setting>,
    /// Strings that the input must contain, by JSON pointer (RFC 6901). Without them, it is another report.
    pub only: BTreeMap<String, String>,
    /// The JSON pointer to the id of the conversation that the report is about.
    pub conversation: Option<String>,
    /// The JSON pointer to the answer of the turn.
    pub answer: Option<String>,
}

/// A key in one of the user's own TOML files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The environment variable that names the directory of the file.
    pub variable: String,
    /// The directory if the variable is not set, relative to the home directory.
    pub home: PathBuf,
    /// The name of the file.
    pub file: PathBuf,
    /// The top-level key.
    pub key: String,
}

/// Whether an agent gets hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// It gets them by these arguments.
    Words(Vec<String>),
    /// It gets none, because the user has set this: a word of the command line, or a setting in a file.
    LeftOut(String),
}

/// The values read from the input of a hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handed {
    /// The conversation that the report is about.
    pub conversation: Option<String>,
    /// Whether the turn has an answer, if the input shows it.
    pub answered: Option<bool>,
}

impl Setting {
    /// Returns the path of the file if it sets the key. A file that cannot be read or is not TOML counts as setting it,
    /// because the user's own settings take precedence.
    fn is_set(&self, home: &Path, env: Lookup<'_>) -> Option<PathBuf> {
        let named = env(&self.variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = named.unwrap_or_else(|| home.join(&self.home)).join(&self.file);
        let text = match file::read_to_string(&path, file::MOST) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(_) => return Some(path),
            Ok(text) => text,
        };
        let sets = text.parse::<toml::Table>().map_or(true, |table| table.contains_key(&self.key));
        sets.then_some(path)
    }
}

impl Profile {
    /// Returns the arguments that make an agent with the command line `own` report, or why it gets none. A profile
    /// without hooks yields no arguments.
    pub fn given_hooks(&self, own: &[String], home: &Path, env: Lookup<'_>) -> Given {
        let hooks = &self.hooks;
        let taken = |word: &&String| hooks.unless.iter().any(|pattern| pattern.is_match(word));
        if let Some(word) = own.iter().skip(1).find(taken) {
            return Given::LeftOut(word.clone());
        }
        if let Some(setting) = &hooks.unless_set
            && let Some(path) = setting.is_set(home, env)
        {
            return Given::LeftOut(format!("{} in {}", setting.key, path.display()));
        }
        Given::Words(hooks.arguments.clone())
    }

    /// Reads the input of a hook, as far as the profile describes it. Returns `None` if it is another report or cannot
    /// be read.
    pub fn handed(&self, text: &[u8]) -> Option<Handed> {
        let hooks = &self.hooks;
        if hooks.only.is_empty() && hooks.conversation.is_none() && hooks.answer.is_none() {
            return Some(Handed::default());
        }
        let value: Value = serde_json::from_slice(text).ok()?;
        let string = |pointer: &String| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        if hooks.only.iter().any(|(pointer, wanted)| string(pointer).as_ref() != Some(wanted)) {
            return None;
        }
        let answered = hooks.answer.as_ref().and_then(|pointer| {
            let answer = value.pointer(pointer)?;
            Some(answer.as_str().is_some_and(|answer| !answer.trim().is_empty()))
        });
        match &hooks.conversation {
            // A report that names no conversation may be about any.
            Some(pointer) => Some(Handed { conversation: Some(string(pointer)?), answered }),
            None => Some(Handed { conversation: None, answered }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn builtin(name: &str) -> Profile {
        Profile::builtin(name).expect("built in")
    }

    #[test]
    fn a_persons_own_words_are_kept_and_ours_left_out() {
        let home = Path::new("/nonexistent");
        let none = |_: &str| None;
        let claude = builtin("claude");
        for own in [&["claude", "--settings", "{}"][..], &["claude", "--settings=mine.json"]] {
            assert!(matches!(claude.given_hooks(&words(own), home, &none), Given::LeftOut(_)), "{own:?}");
        }
        let Given::Words(given) = claude.given_hooks(&words(&["claude", "--model", "x"]), home, &none) else {
            panic!("nothing of a person's stands in the way")
        };
        assert_eq!(given[0], "--settings");
        let settings: Value = serde_json::from_str(&given[1]).expect("Claude Code reads it as JSON");
        for (event, report) in [("UserPromptSubmit", "turn-started"), ("Stop", "turn-finished")] {
            let command = settings.pointer(&format!("/hooks/{event}/0/hooks/0/command")).and_then(Value::as_str);
            assert!(command.is_some_and(|command| command.contains(report)), "{event}: {command:?}");
        }
        let codex = builtin("codex");
        for own in [&["codex", "-c", "notify=['x']"][..], &["codex", "--config=notify = ['x']"]] {
            assert!(matches!(codex.given_hooks(&words(own), home, &none), Given::LeftOut(_)), "{own:?}");
        }
        let Given::Words(given) = codex.given_hooks(&words(&["codex", "-c", "model=\"x\""]), home, &none) else {
            panic!("nothing of a person's stands in the way")
        };
        assert_eq!(given[0], "-c");
        let set: toml::Table = given[1].parse().expect("Codex reads the value as TOML");
        assert!(set["notify"].as_array().is_some_and(|words| words.iter().all(toml::Value::is_str)), "{set}");
    }

    #[test]
    fn a_setting_in_a_file_of_the_persons_own_goes_over_ours() {
        let dir = tempfile::tempdir().expect("a directory");
        let codex = builtin("codex");
        let own = words(&["codex"]);
        let home = |_: &str| Some(dir.path().as_os_str().to_owned());
        let config = dir.path().join("config.toml");
        assert!(matches!(codex.given_hooks(&own, Path::new("/"), &home), Given::Words(_)), "there is no file");
        for (text, given) in [("model = 'x'\n", true), ("notify = ['x']\n", false), ("not toml", false)] {
            fs::write(&config, text).expect("written");
            let is_given = matches!(codex.given_hooks(&own, Path::new("/"), &home), Given::Words(_));
            assert_eq!(is_given, given, "{text}");
        }
    }

    #[test]
    fn of_what_is_handed_over_only_what_the_profile_names_is_read() {
        let codex = builtin("codex");
        let handed = |text: &str| codex.handed(text.as_bytes());
        let whole = r#"{"type":"agent-turn-complete","thread-id":"t","last-assistant-message":"hello","more":[1]}"#;
        assert_eq!(handed(whole), Some(Handed { conversation: Some("t".into()), answered: Some(true) }));
        assert_eq!(handed(r#"{"type":"another","thread-id":"t"}"#), None);
        assert_eq!(handed(r#"{"type":"agent-turn-complete"}"#), None, "of which conversation?");
        let silent = handed(r#"{"type":"agent-turn-complete","thread-id":"t","last-assistant-message":null}"#);
        assert_eq!(silent.and_then(|handed| handed.answered), Some(false));
        for hostile in ["", "{", "[]", "null", "\u{0}", &"[".repeat(100_000), r#"{"type":{"type":1}}"#] {
            assert_eq!(handed(hostile), None, "{}", hostile.chars().take(20).collect::<String>());
        }
        assert_eq!(builtin("pi").handed(b"whatever"), Some(Handed::default()), "it hands nothing over");
    }
}

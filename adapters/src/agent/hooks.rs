//! Hooks of an agent's own: commands that it is given for one launch, and by which it reports what it does as it does it.
//!
//! What a hook hands over was written by the agent, or by whoever pretends to be one: of it nothing is read but a few
//! values that the profile names, and nothing of it is kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Pattern, Profile};
use crate::file;
use crate::transcript::Lookup;

/// The variable that names our executable to an agent's hooks.
pub const EXECUTABLE: &str = "PEER_EXECUTABLE";

/// What an agent's hook reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// A turn begins.
    TurnStarted,
    /// A turn is over.
    TurnFinished,
    /// It may need a person: what for is on its screen.
    Waiting,
    /// It goes on in another conversation.
    Conversation,
}

impl Report {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::TurnStarted, Self::TurnFinished, Self::Waiting, Self::Conversation];

    /// Its name in profiles, and on the command line of a hook.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TurnStarted => "turn-started",
            Self::TurnFinished => "turn-finished",
            Self::Waiting => "waiting",
            Self::Conversation => "conversation",
        }
    }
}

/// How an agent is given hooks for one launch, and what they hand over. Its hooks run `"$PEER_EXECUTABLE" agent-hook REPORT`, with
/// what the agent hands them on stdin or as one more argument.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    /// What is reported; nothing else is heard.
    pub reports: Vec<Report>,
    /// Words that give the agent its hooks, between the peer's own command line and those of a start.
    pub arguments: Vec<String>,
    /// Words of the peer's own command line in whose place these would stand: then they are left out.
    pub unless: Vec<Pattern>,
    /// A setting in a file of the person's own in whose place these would stand: then they are left out.
    pub unless_set: Option<Setting>,
    /// Strings that must be in what is handed over, by JSON pointers (RFC 6901): anything else is another report.
    pub only: BTreeMap<String, String>,
    /// Where in it the conversation is named that it is about.
    pub conversation: Option<String>,
    /// Where in it the answer of a turn stands.
    pub answer: Option<String>,
}

/// A key in a TOML file of a person's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The variable that names the directory of that file.
    pub variable: String,
    /// The directory where that is not set, from the home directory on.
    pub home: PathBuf,
    /// The file in it.
    pub file: PathBuf,
    /// The key in it.
    pub key: String,
}

/// What an agent is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// These words.
    Words(Vec<String>),
    /// None, because of this, which is the person's own: a word, or a setting in a file.
    LeftOut(String),
}

/// What a hook handed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handed {
    /// The conversation that it is about.
    pub conversation: Option<String>,
    /// Whether something was answered, where it tells.
    pub answered: Option<bool>,
}

impl Setting {
    /// Whether it is set. A file that cannot be read, or is no TOML, counts as one that sets it: the person's own goes first.
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
    /// What an agent with this command line of its own is given so that it reports; nothing at all where its profile has none.
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

    /// What a hook handed over, as far as the profile says how to read it. `None`: it is another report, or cannot be read.
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
            // What does not say of which conversation it is may be of any.
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

//! The third axis: what a living agent is doing.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What an agent that runs is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// Nothing: it takes a message.
    Free,
    /// A turn is in progress.
    Busy,
    /// It needs a person.
    Waiting(Ask),
}

/// What an agent needs a person for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Of which kind it is.
    pub kind: AskKind,
    /// What it asks, on one line, where a screen shows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
}

/// The kinds of what an agent needs a person for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskKind {
    /// It may not do something unless it is allowed to.
    Permission,
    /// It wants to know something.
    Question,
    /// Whether a directory is to be trusted.
    Trust,
    /// It has no account, key or model.
    SignIn,
    /// Something is to be chosen or left; what, only its screen tells.
    Menu,
}

impl AskKind {
    /// Its name on the screen and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Question => "question",
            Self::Trust => "trust",
            Self::SignIn => "sign-in",
            Self::Menu => "menu",
        }
    }
}

impl fmt::Display for AskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.question {
            Some(question) => write!(f, "{}: {question}", self.kind),
            None => f.pad(self.kind.as_str()),
        }
    }
}

/// By whom it is known; the better witness first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// A hook of the agent's own, which reports it.
    Hook,
    /// The agent's own status file.
    StatusFile,
    /// What its pane shows.
    Screen,
}

impl Witness {
    /// Its name in the log and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::StatusFile => "status-file",
            Self::Screen => "screen",
        }
    }
}

/// A turn as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnSeen {
    /// What it was doing.
    pub turn: Turn,
    /// Who said so.
    pub witness: Witness,
    /// Since when, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<Timestamp>,
    /// When it was seen.
    pub at_ms: Timestamp,
}

impl TurnSeen {
    /// What it needs a person for, where it does.
    pub const fn ask(&self) -> Option<&Ask> {
        match &self.turn {
            Turn::Waiting(ask) => Some(ask),
            Turn::Free | Turn::Busy => None,
        }
    }

    /// Whether it needs a person for something else than `asked`, which is what it was known to ask before.
    pub fn is_news(&self, asked: Option<&Ask>) -> bool {
        self.ask().is_some() && self.ask() != asked
    }
}

/// What an agent is known to ask after a look that saw `seen`: one that saw nothing says nothing of the question before.
pub fn still_asked(seen: Option<&TurnSeen>, asked: Option<Ask>) -> Option<Ask> {
    seen.map_or(asked, |seen| seen.ask().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(turn: Turn) -> TurnSeen {
        TurnSeen { turn, witness: Witness::Screen, since_ms: None, at_ms: Timestamp::from_ms(7) }
    }

    fn asks(question: &str) -> TurnSeen {
        seen(Turn::Waiting(Ask { kind: AskKind::Permission, question: Some(question.to_owned()) }))
    }

    #[test]
    fn a_question_is_news_once() {
        let (a, b, free) = (asks("a?"), asks("b?"), seen(Turn::Free));
        assert!(a.is_news(None) && b.is_news(a.ask()));
        assert!(!a.is_news(a.ask()) && !free.is_news(a.ask()) && !free.is_news(None));
        // Of a look that saw nothing: it is still the same question.
        let asked = still_asked(Some(&a), None);
        assert!(!a.is_news(still_asked(None, asked.clone()).as_ref()));
        // Over, and asked once more.
        assert!(a.is_news(still_asked(Some(&free), asked).as_ref()));
    }

    #[test]
    fn what_is_stamped_is_read_again() {
        for seen in [asks("Do you want to proceed?"), seen(Turn::Free), seen(Turn::Busy)] {
            let json = serde_json::to_string(&seen).expect("plain data");
            assert_eq!(serde_json::from_str::<TurnSeen>(&json).expect("what was written"), seen, "{json}");
        }
    }
}

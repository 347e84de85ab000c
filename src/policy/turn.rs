//! The turn axis: what a running agent is doing.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What a running agent is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// Nothing: it accepts a message.
    Free,
    /// A turn is in progress.
    Busy,
    /// It needs the user.
    Waiting(Ask),
    /// A usage limit has stopped it.
    Limited(Limit),
    /// A turn is in progress, and nothing has happened in it for long.
    Stalled(Stall),
}

/// A usage limit that has stopped an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// When the limit ends, if the agent reports that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<Timestamp>,
}

impl Limit {
    /// Whether the limit holds at `now`. A limit whose end is unknown holds.
    pub fn holds(self, now: Timestamp) -> bool {
        self.until_ms.is_none_or(|until| until > now)
    }
}

/// A turn without progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// When activity was last observed.
    pub progress_ms: Timestamp,
}

impl Turn {
    /// Returns the turn as of `now`: a limit that is over counts as [`Turn::Free`].
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        match self {
            Self::Limited(limit) if !limit.holds(now) => Self::Free,
            other => other,
        }
    }
}

/// What an agent needs the user for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The kind of request.
    pub kind: AskKind,
    /// The question on one line, if the screen shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Whether its screen shows rows of which `peer answer` can choose one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answerable: bool,
}

impl Ask {
    /// Whether this is the same request. How it can be answered may have been learned only later.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.kind, &self.question) == (other.kind, &other.question)
    }
}

/// The kinds of request to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskKind {
    /// The agent asks for permission to do something.
    Permission,
    /// The agent asks a question.
    Question,
    /// The agent asks whether to trust a directory.
    Trust,
    /// The agent has no account, key or model.
    SignIn,
    /// The agent shows a menu to choose from or to leave. Only its screen shows what it is about.
    Menu,
}

impl AskKind {
    /// Returns the name on the screen and in JSON.
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

/// The source of an observation of a turn, the most reliable first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// The agent's own hook.
    Hook,
    /// The agent's own status file.
    StatusFile,
    /// The agent's transcript.
    Transcript,
    /// The pane's screen.
    Screen,
}

impl Witness {
    /// Returns the name in the log and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::StatusFile => "status-file",
            Self::Transcript => "transcript",
            Self::Screen => "screen",
        }
    }
}

/// An observation of a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnObservation {
    /// What the agent was doing.
    pub turn: Turn,
    /// The witness that reported it.
    pub witness: Witness,
    /// When the turn began, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<Timestamp>,
    /// When it was observed.
    pub at_ms: Timestamp,
}

impl TurnObservation {
    /// Returns what the agent needs the user for, if it does.
    pub const fn ask(&self) -> Option<&Ask> {
        match &self.turn {
            Turn::Waiting(ask) => Some(ask),
            Turn::Free | Turn::Busy | Turn::Limited(_) | Turn::Stalled(_) => None,
        }
    }

    /// Returns `true` if the agent needs the user for something other than `asked`, its last known request.
    pub fn is_new_request(&self, asked: Option<&Ask>) -> bool {
        self.ask().is_some_and(|ask| asked.is_none_or(|asked| !ask.is_same(asked)))
    }
}

/// Returns the agent's known request after an observation. An observation that saw nothing leaves the earlier request
/// as it was.
pub fn current_request(seen: Option<&TurnObservation>, asked: Option<Ask>) -> Option<Ask> {
    seen.map_or(asked, |seen| seen.ask().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(turn: Turn) -> TurnObservation {
        TurnObservation { turn, witness: Witness::Screen, since_ms: None, at_ms: Timestamp::from_ms(7) }
    }

    fn asks(question: &str) -> TurnObservation {
        seen(Turn::Waiting(Ask { kind: AskKind::Permission, question: Some(question.to_owned()), answerable: false }))
    }

    #[test]
    fn a_question_is_news_once() {
        let (a, b, free) = (asks("a?"), asks("b?"), seen(Turn::Free));
        assert!(a.is_new_request(None) && b.is_new_request(a.ask()));
        assert!(!a.is_new_request(a.ask()) && !free.is_new_request(a.ask()) && !free.is_new_request(None));
        // An observation that saw nothing leaves the question as it was.
        let asked = current_request(Some(&a), None);
        assert!(!a.is_new_request(current_request(None, asked.clone()).as_ref()));
        // That it can be answered is no news.
        let rows = Ask { answerable: true, ..a.ask().expect("it asks").clone() };
        assert!(!seen(Turn::Waiting(rows.clone())).is_new_request(a.ask()) && !a.is_new_request(Some(&rows)));
        // The question was answered, and is asked again.
        assert!(a.is_new_request(current_request(Some(&free), asked).as_ref()));
    }

    #[test]
    fn a_limit_holds_until_its_end_and_one_without_until_it_is_seen_to_be_over() {
        let limited = |until| Turn::Limited(Limit { until_ms: until });
        let (then, now) = (Some(Timestamp::from_ms(9)), Timestamp::from_ms(8));
        assert_eq!(limited(then).at(now), limited(then));
        assert_eq!(limited(then).at(Timestamp::from_ms(9)), Turn::Free);
        assert_eq!(limited(None).at(now), limited(None));
    }

    #[test]
    fn what_is_stamped_is_read_again() {
        let limited = |until_ms| seen(Turn::Limited(Limit { until_ms }));
        let limits = [limited(None), limited(Some(Timestamp::from_ms(9)))];
        for seen in [asks("Do you want to proceed?"), seen(Turn::Free), seen(Turn::Busy)].into_iter().chain(limits) {
            let json = serde_json::to_string(&seen).expect("plain data");
            assert_eq!(serde_json::from_str::<TurnObservation>(&json).expect("what was written"), seen, "{json}");
        }
    }
}

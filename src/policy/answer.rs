//! Reads a conversation: its messages, its answers, and the progress of the turn that one message began.

use std::time::Duration;

use serde::Serialize;

use super::time::{Timestamp, rfc3339};

/// One record of a transcript. Records come in the order in which they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was written, if the transcript records that.
    pub at: Option<Timestamp>,
    /// The turn or message that it belongs to, if the agent records that.
    pub of: Option<String>,
    /// What kind of record it is.
    pub kind: EntryKind,
}

/// The kinds of transcript entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A message that the agent has accepted.
    UserMessage(String),
    /// A message that is queued behind the turn in progress.
    QueuedMessage(String),
    /// Text that the agent wrote. Empty if the agent only called a tool.
    AgentText {
        /// The text itself.
        text: String,
        /// The model response that this text is part of.
        part_of: Option<String>,
        /// The token usage of that response.
        tokens: Option<Tokens>,
    },
    /// The end of a turn.
    TurnEnd {
        /// Whether the turn was interrupted or failed.
        aborted: bool,
    },
}

/// Token usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Input tokens, including cached ones.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
}

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The user, or a program that acts for the user.
    User,
    /// The agent.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The author.
    pub role: Role,
    /// The text.
    pub text: String,
    /// When it was written, if known.
    #[serde(serialize_with = "rfc3339")]
    pub at: Option<Timestamp>,
    /// Its token usage, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}

/// The last text that an agent wrote in a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// When it was written, if known.
    #[serde(serialize_with = "rfc3339")]
    pub at: Option<Timestamp>,
    /// The token usage of its turn, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Whether its turn is known to be over. If it is not, more text may follow.
    pub over: bool,
}

/// The progress of the turn that one message began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnProgress {
    /// The agent has not accepted the message.
    NotAccepted,
    /// The turn is in progress, or the transcript does not show its end.
    InProgress {
        /// When the turn began.
        since: Option<Timestamp>,
        /// The last text that the agent has written in it so far.
        last: Option<Answer>,
    },
    /// The turn is over.
    Over {
        /// When the turn began.
        since: Option<Timestamp>,
        /// When it ended.
        at: Option<Timestamp>,
        /// The answer, if the agent wrote one.
        answer: Option<Answer>,
    },
}

/// Returns the messages of a conversation. Text that the agent wrote in several parts becomes one message.
pub fn messages(entries: &[Entry]) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut part = None;
    for entry in entries {
        match &entry.kind {
            EntryKind::UserMessage(text) => {
                part = None;
                messages.push(Message { role: Role::User, text: text.clone(), at: entry.at, tokens: None });
            }
            EntryKind::AgentText { text, part_of, tokens } if !text.is_empty() => match messages.last_mut() {
                Some(last) if part_of.is_some() && part == *part_of => last.text.extend(["\n", text.as_str()]),
                _ => {
                    part.clone_from(part_of);
                    let (text, tokens) = (text.clone(), *tokens);
                    messages.push(Message { role: Role::Assistant, text, at: entry.at, tokens });
                }
            },
            EntryKind::AgentText { .. } | EntryKind::QueuedMessage(_) | EntryKind::TurnEnd { .. } => {}
        }
    }
    messages
}

/// Returns the answers, one per turn. If the transcript records no turn ends, each message begins a new turn.
pub fn answers(entries: &[Entry]) -> Vec<Answer> {
    let records_turn_ends = entries.iter().any(|entry| matches!(entry.kind, EntryKind::TurnEnd { .. }));
    let (mut answers, mut turn) = (Vec::new(), TurnText::default());
    for entry in entries {
        match &entry.kind {
            EntryKind::UserMessage(_) if !records_turn_ends => answers.extend(std::mem::take(&mut turn).answer(true)),
            EntryKind::TurnEnd { .. } => answers.extend(std::mem::take(&mut turn).answer(true)),
            kind => turn.add(entry.at, kind),
        }
    }
    answers.extend(turn.answer(false));
    answers
}

/// Why the newest message of a conversation has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unanswered {
    /// Its turn ended without one: it was stopped, or failed.
    Ended,
    /// Its turn is in progress.
    InProgress,
    /// No turn is in progress, and the end of its turn is not recorded: it was cut off, or stopped.
    CutOff,
    /// The end of its turn is not recorded, and whether a turn is in progress is not known.
    Open,
}

/// Returns why the newest message has no answer; `None` if it has one, or there is no message. `in_turn` is whether a turn
/// is in progress now, if that is known.
pub fn newest_unanswered(entries: &[Entry], in_turn: Option<bool>) -> Option<Unanswered> {
    let after = after_newest_message(entries)?;
    let ended = after.iter().any(|entry| matches!(entry.kind, EntryKind::TurnEnd { .. }));
    (!after.iter().any(is_text)).then_some(match in_turn {
        _ if ended => Unanswered::Ended,
        Some(true) => Unanswered::InProgress,
        Some(false) => Unanswered::CutOff,
        None => Unanswered::Open,
    })
}

/// Whether the newest turn has not come to its end, as far as is recorded. An agent that records no ends is taken to be
/// in a turn until it has written something.
fn is_turn_open(entries: &[Entry]) -> bool {
    let is_end = |entry: &Entry| matches!(entry.kind, EntryKind::TurnEnd { .. });
    let records_turn_ends = entries.iter().any(is_end);
    after_newest_message(entries)
        .is_some_and(|after| !after.iter().any(is_end) && (records_turn_ends || !after.iter().any(is_text)))
}

/// How long before the recorded end of an agent it may have stopped its turn because of that end: opencode does when its
/// terminal is hung up.
const TAKEN_DOWN: Duration = Duration::from_secs(5);

/// Whether the newest turn was in progress when its agent was taken down at `end`.
pub fn is_turn_cut(entries: &[Entry], end: Timestamp) -> bool {
    let was_stopped = |entry: &Entry| {
        entry.kind == EntryKind::TurnEnd { aborted: true } && entry.at.is_some_and(|at| end.since(at) < TAKEN_DOWN)
    };
    is_turn_open(entries) || after_newest_message(entries).and_then(<[Entry]>::last).is_some_and(was_stopped)
}

/// Returns what is recorded after the newest message.
fn after_newest_message(entries: &[Entry]) -> Option<&[Entry]> {
    let newest = entries.iter().rposition(|entry| matches!(entry.kind, EntryKind::UserMessage(_)))?;
    Some(&entries[newest + 1..])
}

/// Whether an entry is something that the agent wrote.
fn is_text(entry: &Entry) -> bool {
    matches!(&entry.kind, EntryKind::AgentText { text, .. } if !text.is_empty())
}

/// Whether the last turn that ended at `since` or later has an answer. `None` if no such end is recorded.
pub fn ended_with_answer(entries: &[Entry], since: Timestamp) -> Option<bool> {
    let is_end = |entry: &Entry| matches!(entry.kind, EntryKind::TurnEnd { .. });
    let end = entries.iter().rposition(|entry| is_end(entry) && entry.at >= Some(since))?;
    let begin = entries[..end].iter().rposition(is_end).map_or(0, |before| before + 1);
    Some(entries[end].kind != EntryKind::TurnEnd { aborted: true } && entries[begin..end].iter().any(is_text))
}

/// Returns the progress of the turn that one message began.
///
/// `is_message` recognizes the message by its text; `entries` are those written since it was sent. The same turn may include
/// other messages, before or after this one.
pub fn turn_progress(entries: &[Entry], is_message: impl Fn(&str) -> bool) -> TurnProgress {
    let mut begun: Option<(Option<Timestamp>, Vec<&str>)> = None;
    let (mut turn, mut failed) = (TurnText::default(), None);
    for entry in entries {
        let Some((since, turns)) = &mut begun else {
            if let EntryKind::UserMessage(text) = &entry.kind
                && is_message(text)
            {
                begun = Some((entry.at, entry.of.as_deref().into_iter().collect()));
            }
            continue;
        };
        // An entry of an earlier turn or message is not part of this turn, even if it was written later.
        let ours = entry.of.as_deref().is_none_or(|of| turns.is_empty() || turns.contains(&of));
        match &entry.kind {
            EntryKind::UserMessage(_) if failed.is_some() => break,
            EntryKind::UserMessage(_) => turns.extend(entry.of.as_deref()),
            // An agent may try again what failed (pi).
            EntryKind::TurnEnd { aborted: true } if ours && turn.answer.is_none() => failed = Some(entry.at),
            EntryKind::TurnEnd { .. } if ours => {
                return TurnProgress::Over { since: *since, at: entry.at, answer: turn.answer(true) };
            }
            kind if ours => turn.add(entry.at, kind),
            _ => {}
        }
    }
    match begun {
        None => TurnProgress::NotAccepted,
        Some((since, _)) if failed.is_some() && turn.answer.is_none() => {
            TurnProgress::Over { since, at: failed.flatten(), answer: None }
        }
        Some((since, _)) => TurnProgress::InProgress { since, last: turn.answer(false) },
    }
}

/// The text and token usage that a turn has accumulated.
#[derive(Default)]
struct TurnText {
    answer: Option<Answer>,
    part: Option<String>,
    tokens: Option<Tokens>,
    counted: Option<String>,
}

impl TurnText {
    fn add(&mut self, at: Option<Timestamp>, kind: &EntryKind) {
        let EntryKind::AgentText { text, part_of, tokens } = kind else { return };
        // Every part of a response repeats the usage of the whole response, so count it once.
        if part_of.is_none() || self.counted != *part_of {
            self.counted.clone_from(part_of);
            if let Some(tokens) = tokens {
                let sum = self.tokens.get_or_insert_default();
                sum.input = sum.input.saturating_add(tokens.input);
                sum.output = sum.output.saturating_add(tokens.output);
            }
        }
        if text.is_empty() {
            return;
        }
        match &mut self.answer {
            Some(answer) if part_of.is_some() && self.part == *part_of => {
                answer.text.extend(["\n", text.as_str()]);
                answer.at = at;
            }
            _ => {
                self.part.clone_from(part_of);
                self.answer = Some(Answer { text: text.clone(), at, ..Answer::default() });
            }
        }
    }

    fn answer(self, over: bool) -> Option<Answer> {
        let tokens = self.tokens;
        self.answer.map(|answer| Answer { tokens, over, ..answer })
    }
}

#[cfg(test)]
mod tests;

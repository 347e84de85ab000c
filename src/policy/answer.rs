//! Who said what in a conversation, what was answered, and how far the turn of one message has come.

use serde::{Serialize, Serializer};

use super::time::Timestamp;

/// One thing that a transcript tells, in the order in which it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, where it says so.
    pub at: Option<Timestamp>,
    /// The turn or the message that it belongs to, where the agent writes that down.
    pub of: Option<String>,
    /// What it is.
    pub told: Told,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A message that the agent has taken up.
    Said(String),
    /// A message that waits behind the turn in progress.
    Queued(String),
    /// What the agent wrote; the text is empty where it only called a tool.
    Wrote {
        /// The text.
        text: String,
        /// Which answer of the model it is a part of.
        part_of: Option<String>,
        /// What that answer cost.
        tokens: Option<Tokens>,
    },
    /// A turn is over.
    Over {
        /// It was stopped, or failed.
        aborted: bool,
    },
}

/// What something cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// What the model was given, with what was cached.
    pub input: u64,
    /// What it gave.
    pub output: u64,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A person, or a program in their place.
    User,
    /// The agent.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spoken {
    /// Whose it is.
    pub role: Role,
    /// The text.
    pub text: String,
    /// When, where that is known.
    #[serde(serialize_with = "rfc3339")]
    pub at: Option<Timestamp>,
    /// What it cost, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}

/// The last text that an agent wrote in a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// When it was written, where that is known.
    #[serde(serialize_with = "rfc3339")]
    pub at: Option<Timestamp>,
    /// What its turn cost, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Whether its turn is known to be over: more may follow where it is not.
    pub over: bool,
}

#[allow(clippy::ref_option, reason = "serde passes the field")]
fn rfc3339<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}

/// How far the turn of one message has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// The agent has not taken it up.
    Unsaid,
    /// Its turn is in progress, or nothing tells that it is over; what was written in it so far.
    InProgress {
        /// Since when.
        since: Option<Timestamp>,
        /// The last text.
        last: Option<Answer>,
    },
    /// Its turn is over.
    Over {
        /// Since when it had been in progress.
        since: Option<Timestamp>,
        /// When it was over.
        at: Option<Timestamp>,
        /// What was answered, if anything was.
        answer: Option<Answer>,
    },
}

/// The messages of a conversation; what an agent wrote in several parts is one.
pub fn spoken(entries: &[Entry]) -> Vec<Spoken> {
    let mut spoken: Vec<Spoken> = Vec::new();
    let mut part = None;
    for entry in entries {
        match &entry.told {
            Told::Said(text) => {
                part = None;
                spoken.push(Spoken { role: Role::User, text: text.clone(), at: entry.at, tokens: None });
            }
            Told::Wrote { text, part_of, tokens } if !text.is_empty() => match spoken.last_mut() {
                Some(last) if part_of.is_some() && part == *part_of => last.text.extend(["\n", text.as_str()]),
                _ => {
                    part.clone_from(part_of);
                    let (text, tokens) = (text.clone(), *tokens);
                    spoken.push(Spoken { role: Role::Assistant, text, at: entry.at, tokens });
                }
            },
            Told::Wrote { .. } | Told::Queued(_) | Told::Over { .. } => {}
        }
    }
    spoken
}

/// What was answered, turn by turn. Where nothing tells that turns are over, each message begins one.
pub fn answers(entries: &[Entry]) -> Vec<Answer> {
    let tells = entries.iter().any(|entry| matches!(entry.told, Told::Over { .. }));
    let (mut answers, mut turn) = (Vec::new(), Written::default());
    for entry in entries {
        match &entry.told {
            Told::Said(_) if !tells => answers.extend(std::mem::take(&mut turn).answer(true)),
            Told::Over { .. } => answers.extend(std::mem::take(&mut turn).answer(true)),
            told => turn.add(entry.at, told),
        }
    }
    answers.extend(turn.answer(false));
    answers
}

/// How far the message has come that `is_it` knows by its text, in what was written since it was sent. Others may be said in
/// the same turn, before it or behind it.
pub fn course(entries: &[Entry], is_it: impl Fn(&str) -> bool) -> Course {
    let mut begun: Option<(Option<Timestamp>, Vec<&str>)> = None;
    let mut turn = Written::default();
    for entry in entries {
        let Some((since, turns)) = &mut begun else {
            if let Told::Said(text) = &entry.told
                && is_it(text)
            {
                begun = Some((entry.at, entry.of.as_deref().into_iter().collect()));
            }
            continue;
        };
        // What belongs to a turn or a message from before is not of this one, though it was written later.
        let ours = entry.of.as_deref().is_none_or(|of| turns.is_empty() || turns.contains(&of));
        match &entry.told {
            Told::Said(_) => turns.extend(entry.of.as_deref()),
            Told::Over { .. } if ours => {
                return Course::Over { since: *since, at: entry.at, answer: turn.answer(true) };
            }
            told if ours => turn.add(entry.at, told),
            _ => {}
        }
    }
    match begun {
        None => Course::Unsaid,
        Some((since, _)) => Course::InProgress { since, last: turn.answer(false) },
    }
}

/// What was written in a turn.
#[derive(Default)]
struct Written {
    answer: Option<Answer>,
    part: Option<String>,
    tokens: Option<Tokens>,
    counted: Option<String>,
}

impl Written {
    fn add(&mut self, at: Option<Timestamp>, told: &Told) {
        let Told::Wrote { text, part_of, tokens } = told else { return };
        // The cost of an answer stands beside each of its parts.
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
mod tests {
    use super::*;

    fn entry(at: u64, of: Option<&str>, told: Told) -> Entry {
        Entry { at: Some(Timestamp::from_ms(at)), of: of.map(str::to_owned), told }
    }

    fn said(at: u64, text: &str) -> Entry {
        entry(at, None, Told::Said(text.to_owned()))
    }

    fn wrote(at: u64, text: &str) -> Entry {
        let tokens = Some(Tokens { input: 10, output: 1 });
        entry(at, None, Told::Wrote { text: text.to_owned(), part_of: Some(at.to_string()), tokens })
    }

    fn over(at: u64) -> Entry {
        entry(at, None, Told::Over { aborted: false })
    }

    fn of(turn: &str, entry: Entry) -> Entry {
        Entry { of: Some(turn.to_owned()), ..entry }
    }

    fn answered(entries: &[Entry], text: &str) -> Option<String> {
        match course(entries, |said| said == text) {
            Course::Over { answer, .. } => answer.map(|answer| answer.text),
            Course::Unsaid | Course::InProgress { .. } => None,
        }
    }

    #[test]
    fn an_answer_is_that_of_the_messages_own_turn() {
        let two = [said(1, "a"), wrote(2, "to a"), over(3), said(4, "b"), wrote(5, "to b"), over(6)];
        assert_eq!(answered(&two, "a").as_deref(), Some("to a"));
        assert_eq!(answered(&two, "b").as_deref(), Some("to b"));
        assert_eq!(answered(&two[..5], "b"), None, "its turn is not over");
        assert_eq!(course(&two[..3], |said| said == "b"), Course::Unsaid);
    }

    #[test]
    fn the_end_of_the_turn_before_is_not_that_of_a_message_that_waited_behind_it() {
        let waited = [wrote(1, "to another"), over(2), said(3, "a"), wrote(4, "to a"), over(5)];
        assert_eq!(answered(&waited, "a").as_deref(), Some("to a"));
        // Where a queued one stands before the end of the turn that it waits for, turns have names.
        let named = [
            of("2", said(1, "a")),
            of("1", wrote(2, "to another")),
            of("1", over(3)),
            of("2", wrote(4, "to a")),
            of("2", over(5)),
        ];
        assert_eq!(answered(&named, "a").as_deref(), Some("to a"));
        // opencode answers to the newest of those that waited.
        let together = [of("1", said(1, "a")), of("2", said(2, "b")), of("2", wrote(3, "to both")), of("2", over(4))];
        assert_eq!(answered(&together, "a").as_deref(), Some("to both"));
    }

    #[test]
    fn what_is_written_before_the_last_tool_call_is_no_answer_and_parts_of_one_are_one() {
        let part = |at, text: &str| {
            let Entry { told: Told::Wrote { text, tokens, .. }, .. } = wrote(at, text) else { unreachable!() };
            entry(at, None, Told::Wrote { text, part_of: Some("m".to_owned()), tokens })
        };
        let turn = [said(1, "a"), wrote(2, "let me look"), wrote(3, ""), part(4, "one"), part(5, "two"), over(6)];
        let Course::Over { since, at, answer: Some(answer) } = course(&turn, |_| true) else { panic!("it is over") };
        assert_eq!((since, at), (Some(Timestamp::from_ms(1)), Some(Timestamp::from_ms(6))));
        assert_eq!((answer.text.as_str(), answer.tokens), ("one\ntwo", Some(Tokens { input: 30, output: 3 })));
        let said: Vec<_> = spoken(&turn).into_iter().map(|spoken| (spoken.role, spoken.text)).collect();
        let (user, agent) = (Role::User, Role::Assistant);
        let told =
            [(user, "a"), (agent, "let me look"), (agent, "one\ntwo")].map(|(role, text)| (role, text.to_owned()));
        assert_eq!(said, told);
    }

    #[test]
    fn a_turn_that_was_stopped_has_no_answer() {
        let stopped =
            [said(1, "a"), entry(2, None, Told::Over { aborted: true }), said(3, "b"), wrote(4, "to b"), over(5)];
        let Course::Over { answer, .. } = course(&stopped, |said| said == "a") else { panic!("it is over") };
        assert_eq!(answer, None);
    }

    #[test]
    fn the_last_answers_are_one_a_turn() {
        let texts = |entries: &[Entry]| {
            answers(entries).into_iter().map(|answer| (answer.text, answer.over)).collect::<Vec<_>>()
        };
        let told = [
            said(1, "a"),
            wrote(2, "x"),
            said(3, "meanwhile"),
            wrote(4, "to both"),
            over(5),
            said(6, "c"),
            wrote(7, "so far"),
        ];
        assert_eq!(texts(&told), [("to both".to_owned(), true), ("so far".to_owned(), false)]);
        let untold = [said(1, "a"), wrote(2, "to a"), said(3, "b"), wrote(4, "to b")];
        assert_eq!(texts(&untold), [("to a".to_owned(), true), ("to b".to_owned(), false)]);
    }
}

//! The question of an agent, with its rows to choose from. It is held with the peer and the incarnation that it was
//! asked by: an answer to it is never one to another question.

use super::app::{App, Effect, Mode};
use super::operation::Target;
use crate::cli::verbs::answer::{chose, followed};
use crate::engine::verbs::answer::{After, Answered, Question};
use crate::engine::verbs::list::Row;
use crate::policy::ending::Incarnation;
use crate::policy::state::State;

/// The question of a peer, shown to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) whom: Target,
    /// `None` until it has been read.
    pub(super) question: Option<Question>,
    /// The index of the row that Enter chooses.
    pub(super) at: usize,
    /// By how many lines the user has scrolled up.
    pub(super) up: usize,
    /// Whether the last key moved, so that the next one was pressed by a user who looks.
    pub(super) moved: bool,
    /// The digits so far of a row's number, where numbers have several.
    pub(super) digits: usize,
    /// The number of the reading that is awaited.
    reads: Option<u64>,
    /// The number of the answer that is awaited.
    answers: Option<u64>,
    /// The number of what is shown; another question has another one.
    number: u64,
    listed: Listed,
}

/// What a listing says about a peer's question: if that changes, the question is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    state: Option<State>,
    question: Option<String>,
    incarnation: Option<Incarnation>,
}

impl Listed {
    fn of(row: Option<&Row>) -> Self {
        Self {
            state: row.map(|row| row.state),
            question: row.and_then(|row| row.question.clone()),
            incarnation: row.and_then(|row| row.incarnation),
        }
    }
}

/// The row to choose, of the question as it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) question: Question,
    /// The index of the row.
    pub(super) row: usize,
}

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotAnswered {
    /// The peer has another incarnation than the one that asked.
    Changed(Option<Incarnation>),
    /// The peer may still ask this or something else.
    Asks(String),
    /// It asks nothing any more, or that is not known.
    Over(String),
}

impl Asked {
    fn new(whom: Target, listed: Listed, number: u64) -> Self {
        let (question, reads, answers) = (None, Some(number), None);
        Self { whom, question, at: 0, up: 0, moved: false, digits: 0, reads, answers, number, listed }
    }

    /// One that has been read.
    #[cfg(test)]
    pub(super) fn of(question: Question) -> Self {
        let whom = Target { name: "api".parse().expect("a name"), incarnation: None };
        let mut asked = Self::new(whom, Listed::of(None), 1);
        asked.take(question, 1);
        asked
    }

    /// Takes a question that is not the one that was shown.
    fn take(&mut self, question: Question, number: u64) {
        self.at = question.cursor.map_or(0, |cursor| cursor - 1);
        (self.question, self.number) = (Some(question), number);
        (self.up, self.digits, self.moved) = (0, 0, false);
    }

    /// The question, unless an answer to it is under way.
    pub(super) fn open(&self) -> Option<&Question> {
        self.question.as_ref().filter(|_| self.answers.is_none())
    }

    /// Whether its rows can be chosen without attaching.
    pub(super) fn has_choice(&self) -> bool {
        self.question.as_ref().is_some_and(|question| question.cursor.is_some())
    }

    /// Whether its rows have numbers of several digits.
    pub(super) fn has_long_numbers(&self) -> bool {
        let mut numbers = self.question.iter().flat_map(|question| &question.rows).filter_map(|row| row.number);
        numbers.any(|number| number > 9)
    }

    /// The index of the row with this number.
    pub(super) fn row_of(&self, number: usize) -> Option<usize> {
        self.question.as_ref()?.rows.iter().position(|row| row.number == Some(number))
    }

    pub(super) fn step(&mut self, by: isize) {
        let last = self.question.as_ref().map_or(0, |question| question.rows.len().saturating_sub(1));
        self.at = self.at.saturating_add_signed(by).min(last);
        self.up = 0;
    }
}

impl App {
    /// Shows what a peer asks, once that has been read.
    pub(super) fn show_question(&mut self, whom: Target) -> Effect {
        self.message.clear();
        let number = self.next_number();
        self.mode = Mode::Asks(Asked::new(whom.clone(), Listed::of(self.listed(&whom)), number));
        Effect::Ask(number, whom)
    }

    fn listed(&self, whom: &Target) -> Option<&Row> {
        self.view.fleet.rows.iter().find(|row| row.peer == whom.name)
    }

    /// The number of the question that is shown, if it has been read.
    pub(super) fn question_shown(&self) -> Option<u64> {
        let Mode::Asks(asked) = &self.mode else { return None };
        asked.question.as_ref().map(|_| asked.number)
    }

    /// Reads the question that is shown again.
    pub(super) fn read_question(&mut self) -> Option<Effect> {
        let number = self.next_number();
        let Mode::Asks(asked) = &mut self.mode else { return None };
        asked.reads = Some(number);
        Some(Effect::Ask(number, asked.whom.clone()))
    }

    /// Reads it again if a listing says something else about it.
    pub(super) fn follow_question(&mut self) -> Option<Effect> {
        let Mode::Asks(asked) = &self.mode else { return None };
        let listed = Listed::of(self.listed(&asked.whom));
        if asked.answers.is_some() || listed == asked.listed {
            return None;
        }
        let Mode::Asks(asked) = &mut self.mode else { return None };
        asked.listed = listed;
        self.read_question()
    }

    /// Takes what was read, if it is still awaited.
    pub(super) fn take_question(&mut self, number: u64, read: Result<Option<Question>, String>) {
        let Mode::Asks(asked) = &mut self.mode else { return };
        if asked.reads != Some(number) {
            return;
        }
        asked.reads = None;
        match read {
            Ok(Some(now)) => {
                if asked.question.as_ref().is_some_and(|before| before.is_same(&now)) {
                    return;
                }
                let is_other = asked.question.is_some();
                asked.take(now, number);
                if is_other && self.message.is_empty() {
                    self.message.stay(format!("{}: it asks something else by now", asked.whom.name));
                }
            }
            Ok(None) => {
                // What it waits for is in its transcript, or it was just answered.
                let waits = asked.question.is_none() && asked.listed.state == Some(State::Waiting);
                let nothing = if waits { "shows no question now: a attaches" } else { "has no open question" };
                let nothing = format!("{} {nothing}", asked.whom.name);
                self.mode = Mode::Browse;
                let why = self.message.take();
                if why.is_empty() { self.message.pass(nothing) } else { self.message.stay(format!("{why}; {nothing}")) }
            }
            Err(why) => {
                self.mode = Mode::Browse;
                self.message.stay(why);
            }
        }
    }

    /// Begins to answer the question that is shown with one of its rows.
    pub(super) fn choose_row(&mut self, row: usize) -> Option<Effect> {
        let Mode::Asks(asked) = &mut self.mode else { return None };
        asked.at = row;
        let (whom, question) = (asked.whom.clone(), asked.open()?.clone());
        let number = self.start("answering", vec![whom.clone()]);
        let Mode::Asks(asked) = &mut self.mode else { return None };
        (asked.answers, asked.reads) = (Some(number), None);
        Some(Effect::Answer(number, whom, Box::new(Choice { question, row })))
    }

    /// Takes the outcome of an answer. If its question is still shown, what the peer asks next takes its place.
    pub(super) fn answered(
        &mut self,
        number: u64,
        whom: &Target,
        how: Result<Answered, NotAnswered>,
    ) -> Option<Effect> {
        self.end(number);
        let is_shown = match &mut self.mode {
            Mode::Asks(asked) => asked.answers.take_if(|answer| *answer == number).is_some(),
            _ => false,
        };
        match how {
            Ok(answered) => {
                self.tell_answered(whom, &answered, is_shown);
                None
            }
            Err(why) => self.tell_unanswered(whom, why, is_shown),
        }
    }

    fn tell_answered(&mut self, whom: &Target, answered: &Answered, is_shown: bool) {
        let told = format!("{}: {}", whom.name, chose(answered));
        let number = self.next_number();
        if let (After::Asks { asks, .. }, Mode::Asks(asked), true) = (&answered.after, &mut self.mode, is_shown) {
            asked.take((**asks).clone(), number);
            return self.message.pass(told);
        }
        if is_shown {
            self.mode = Mode::Browse;
        }
        let told = format!("{told}; {}", followed(&answered.after));
        match answered.after {
            After::Ended { .. } | After::Unknown => self.message.stay(told),
            After::Busy | After::Free | After::Asks { .. } => self.message.pass(told),
        }
    }

    /// Says why, and reads the question again if the peer may still ask something.
    fn tell_unanswered(&mut self, whom: &Target, why: NotAnswered, is_shown: bool) -> Option<Effect> {
        let (why, may_ask) = match why {
            NotAnswered::Changed(now) => {
                if let Mode::Asks(asked) = &mut self.mode
                    && is_shown
                {
                    asked.whom.incarnation = now;
                }
                (format!("{}; no key was pressed", whom.changed_to(now)), now.is_some())
            }
            NotAnswered::Asks(why) => (why, true),
            NotAnswered::Over(why) => (why, false),
        };
        self.message.stay(why);
        if is_shown && may_ask {
            return self.read_question();
        }
        if is_shown {
            self.mode = Mode::Browse;
        }
        None
    }
}

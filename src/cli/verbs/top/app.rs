//! The state of the view and its changes. Nothing here draws or does I/O.

use std::collections::{BTreeSet, HashMap};

use ratatui::text::Text;

use super::asked::{Asked, Choice};
use super::editor::Editor;
use super::operation::{Done, Failure, Operation, Running, Target, summary};
use super::pager::{Page, Pager};
use super::said::Said;
use crate::cli::args::order::Order;
use crate::engine::verbs::list::Row;
use crate::engine::verbs::top::View;
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::time::Timestamp;

/// What keys mean at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Browse,
    /// The user types a filter.
    Filter,
    /// The user types a message.
    Write(Prompt),
    /// The user is asked to confirm.
    Confirm(Question),
    /// The question of an agent, to be answered.
    Asks(Asked),
    /// The list of keys, from this line on.
    Help(usize),
}

/// A message that is being typed, to the peers that were chosen when it was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prompt {
    pub(super) to: Vec<Target>,
    pub(super) text: Editor,
}

/// A question about the peers that were chosen when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) about: About,
    /// Why it is asked again.
    pub(super) since: Option<String>,
}

impl Question {
    pub(super) fn of(about: About) -> Self {
        Self { about, since: None }
    }
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    Operation(Operation, Vec<Target>),
    /// Leaving while an operation is running.
    Quit,
}

/// What the loop has to do after a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Do(u64, Operation, Vec<Target>),
    /// Read what a peer asks.
    Ask(u64, Target),
    /// Choose a row of what a peer asks.
    Answer(u64, Target, Box<Choice>),
    Attach(u64, Target),
    /// Refresh the fleet now.
    Look,
    /// Read a page of a peer, again or for the first time.
    Read(Page, PeerName),
    /// Whether clicks are reported to us, or left to the terminal.
    Mouse(bool),
    Quit,
}

pub(super) struct App {
    pub(super) view: View,
    pub(super) mode: Mode,
    pub(super) order: Order,
    pub(super) reversed: bool,
    pub(super) filter: Editor,
    pub(super) chosen: Option<PeerName>,
    /// The peers that verbs act on, if any is marked.
    pub(super) marked: BTreeSet<PeerName>,
    /// The screen of the chosen peer, and that peer's name.
    pub(super) screen: Option<(PeerName, Text<'static>)>,
    /// The page that covers the whole screen.
    pub(super) pager: Option<Pager>,
    /// Columns and rows of the terminal.
    pub(super) size: (u16, u16),
    pub(super) mouse: bool,
    /// The outcome of the last operation.
    pub(super) message: Said,
    /// The operations that are running.
    pub(super) running: Vec<Running>,
    /// Whether keys are being typed ahead: they are not commands until the keyboard has rested.
    pub(super) types_ahead: bool,
    /// Messages that were typed and not delivered, by their receivers.
    drafts: HashMap<Vec<PeerName>, String>,
    number: u64,
}

impl App {
    pub(super) fn new() -> Self {
        Self {
            view: View::default(),
            mode: Mode::Browse,
            order: Order::Name,
            reversed: false,
            filter: Editor::default(),
            chosen: None,
            marked: BTreeSet::new(),
            screen: None,
            pager: None,
            size: (80, 24),
            mouse: true,
            message: Said::default(),
            running: Vec::new(),
            types_ahead: false,
            drafts: HashMap::new(),
            number: 0,
        }
    }

    /// Whether the first listing has come or failed, so that there is something to see and to act on.
    pub(super) fn has_looked(&self) -> bool {
        self.view.at > Timestamp::default() || self.message.number() > 0
    }

    /// Returns the rows that are shown, in order; peers that wait for a person come first.
    pub(super) fn rows(&self) -> Vec<&Row> {
        let wanted = |row: &&Row| {
            let words =
                format!("{} {} {} {}", row.peer, row.state, row.agent, row.topic.as_deref().unwrap_or_default());
            let small = words.to_lowercase();
            let has = |word: &str| (if word.contains(char::is_uppercase) { &words } else { &small }).contains(word);
            self.filter.text().split_whitespace().all(has)
        };
        let mut rows: Vec<&Row> = self.view.fleet.rows.iter().filter(wanted).collect();
        self.order.sort(&mut rows, |row| row);
        if self.reversed {
            rows.reverse();
        }
        rows.sort_by_key(|row| !waits(row));
        rows
    }

    pub(super) fn chosen_row(&self) -> Option<&Row> {
        self.rows().into_iter().find(|row| Some(&row.peer) == self.chosen.as_ref())
    }

    /// Returns what is being done to a peer.
    pub(super) fn doing_to(&self, name: &PeerName) -> Option<&'static str> {
        let running = self.running.iter().find(|running| running.targets.iter().any(|target| target.name == *name));
        running.map(|running| running.doing)
    }

    /// Takes a new listing. The chosen peer stays chosen, wherever its row has moved to.
    pub(super) fn see(&mut self, view: View) -> Option<Effect> {
        self.view = view;
        let rows = &self.view.fleet.rows;
        self.marked.retain(|name| rows.iter().any(|row| row.peer == *name));
        self.keep_choice();
        self.follow_question()
    }

    /// The number of the message that can be read.
    pub(super) fn message_shown(&self) -> Option<u64> {
        let is_covered = matches!(self.mode, Mode::Filter | Mode::Confirm(_) | Mode::Help(_)) || !self.has_looked();
        (!is_covered && !self.message.is_empty()).then(|| self.message.number())
    }

    pub(super) fn keep_choice(&mut self) {
        if self.chosen_row().is_none() {
            self.chosen = self.rows().first().map(|row| row.peer.clone());
        }
    }

    pub(super) fn step(&mut self, by: isize) {
        let rows = self.rows();
        let at = rows.iter().position(|row| Some(&row.peer) == self.chosen.as_ref()).unwrap_or(0);
        let last = rows.len().saturating_sub(1);
        let chosen = rows.get(at.saturating_add_signed(by).min(last)).map(|row| row.peer.clone());
        self.chosen = chosen;
    }

    /// Chooses the next peer that waits for a person.
    pub(super) fn step_to_waiting(&mut self) {
        let rows = self.rows();
        let at = rows.iter().position(|row| Some(&row.peer) == self.chosen.as_ref()).map_or(0, |at| at + 1);
        let next = rows.iter().skip(at).chain(&rows).find(|row| waits(row)).map(|row| row.peer.clone());
        match next {
            Some(name) => self.chosen = Some(name),
            None => self.message.pass("no peer is waiting for a person"),
        }
    }

    /// Marks or unmarks the chosen peer, and chooses the next one.
    pub(super) fn mark(&mut self) {
        if let Some(name) = self.chosen.clone().filter(|_| self.chosen_row().is_some()) {
            if !self.marked.remove(&name) {
                self.marked.insert(name);
            }
            self.step(1);
        }
    }

    pub(super) fn mark_shown(&mut self) {
        let shown: Vec<PeerName> = self.rows().into_iter().map(|row| row.peer.clone()).collect();
        self.marked.extend(shown);
    }

    /// Shows a page of a peer, which still has to be read.
    pub(super) fn open(&mut self, name: PeerName, page: Page) -> Effect {
        self.message.clear();
        self.pager = Some(Pager::new(name.clone(), page));
        Effect::Read(page, name)
    }

    /// Takes the text of a page if it is still the one that is shown.
    pub(super) fn load(&mut self, page: Page, name: &PeerName, text: Text<'static>) {
        let rows = self.page_rows();
        if let Some(pager) = self.pager.as_mut().filter(|pager| pager.page == page && pager.name == *name) {
            pager.load(text, rows);
        }
    }

    /// Whether a page is shown whose text has come.
    pub(super) fn has_page(&self) -> bool {
        self.pager.as_ref().is_some_and(|pager| pager.text.is_some())
    }

    /// The number of lines of a page that are shown at once.
    pub(super) fn page_rows(&self) -> usize {
        usize::from(self.size.1).saturating_sub(2).max(1)
    }

    /// Takes what the pane of a peer shows. Returns an effect if the page must be read again because the pane has
    /// changed.
    pub(super) fn show(&mut self, name: PeerName, text: Text<'static>) -> Option<Effect> {
        let is_read = |pager: &Pager| pager.page == Page::Screen && pager.follows && pager.name == name;
        let changed = self.screen.as_ref().is_some_and(|(of, before)| *of == name && *before != text);
        let again = changed && self.pager.as_ref().is_some_and(is_read);
        self.screen = Some((name.clone(), text));
        again.then_some(Effect::Read(Page::Screen, name))
    }

    /// Returns the peers that a verb acts on: all that are marked, in order of name, else the chosen one.
    pub(super) fn targets(&self) -> Vec<Target> {
        if self.marked.is_empty() {
            return self.chosen_row().map(target).into_iter().collect();
        }
        self.view.fleet.rows.iter().filter(|row| self.marked.contains(&row.peer)).map(target).collect()
    }

    /// Starts an operation.
    pub(super) fn begin(&mut self, operation: Operation, targets: Vec<Target>) -> Effect {
        let number = self.start(operation.doing(), targets.clone());
        Effect::Do(number, operation, targets)
    }

    pub(super) fn begin_attach(&mut self, target: Target) -> Effect {
        Effect::Attach(self.start("attaching", vec![target.clone()]), target)
    }

    pub(super) fn start(&mut self, doing: &'static str, targets: Vec<Target>) -> u64 {
        let number = self.next_number();
        self.message.stay(format!("{}: {doing}", super::operation::names(&targets)));
        self.running.push(Running { number, doing, targets });
        number
    }

    pub(super) const fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Takes the outcome of an operation; the view shows its effect already.
    pub(super) fn finish(&mut self, done: Done) {
        self.end(done.number);
        let Done { operation, results, .. } = done;
        let failed: Vec<&Target> = results.iter().filter(|(_, how)| how.is_err()).map(|(whom, _)| whom).collect();
        if let (Operation::Send(text), false) = (&operation, failed.is_empty()) {
            let names = failed.iter().map(|target| target.name.clone()).collect();
            self.drafts.insert(names, text.clone());
        }
        let outcome = summary(&operation, &results);
        if failed.is_empty() {
            self.message.pass(outcome);
        } else {
            self.message.stay(outcome);
        }
        if let (Mode::Browse, None, [(target, Err(Failure::Changed(now)))]) = (&self.mode, &self.pager, &*results) {
            let meant = vec![Target { incarnation: *now, ..target.clone() }];
            let since = format!("{}: nothing was done", target.changed_to(*now));
            self.mode = match operation {
                Operation::Send(_) => {
                    self.message.stay(since);
                    Mode::Write(self.prompt(meant))
                }
                operation => Mode::Confirm(Question { about: About::Operation(operation, meant), since: Some(since) }),
            };
        }
    }

    /// Takes that an operation on several peers is over for one: its row shows its state again.
    pub(super) fn settle(&mut self, number: u64, name: &PeerName) {
        let running = self.running.iter_mut().find(|running| running.number == number && running.targets.len() > 1);
        if let Some(running) = running {
            running.targets.retain(|target| target.name != *name);
        }
    }

    /// Removes an operation that is over.
    pub(super) fn end(&mut self, number: u64) {
        self.running.retain(|running| running.number != number);
    }

    /// Begins a message, or continues the one that was put aside.
    pub(super) fn prompt(&mut self, to: Vec<Target>) -> Prompt {
        let names: Vec<PeerName> = to.iter().map(|target| target.name.clone()).collect();
        let text = Editor::with(self.drafts.remove(&names).unwrap_or_default());
        Prompt { to, text }
    }

    /// Puts a message aside; the next one to the same peers begins with it.
    pub(super) fn put_aside(&mut self, prompt: Prompt) {
        if !prompt.text.text().is_empty() {
            let names = prompt.to.into_iter().map(|target| target.name).collect();
            self.drafts.insert(names, prompt.text.text().to_owned());
        }
    }
}

/// Whether a person's answer is needed.
pub(super) fn waits(row: &Row) -> bool {
    matches!(row.state, State::Waiting | State::Limited | State::Stalled)
}

/// The peer of a row as it is seen now.
pub(super) fn target(row: &Row) -> Target {
    Target { name: row.peer.clone(), incarnation: row.incarnation }
}

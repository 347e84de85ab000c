//! What is on the screen, and what happens to it; nothing here draws or looks at anything.

use std::collections::{BTreeSet, HashMap};

use ratatui::text::Text;

use super::deed::{Deed, Done, Failure, Running, Target};
use super::editor::Editor;
use super::pager::{Page, Pager};
use crate::cli::args::order::Order;
use crate::engine::verbs::list::Row;
use crate::engine::verbs::top::View;
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::time::Timestamp;

/// What the keys mean at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Browse,
    /// A filter is being typed.
    Filter,
    /// A message is being typed.
    Write(Prompt),
    /// Whether that is really meant.
    Confirm(Question),
    /// The keys, from this line on.
    Help(usize),
}

/// A message that is being typed, to whoever was chosen when it was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prompt {
    pub(super) to: Vec<Target>,
    pub(super) text: Editor,
}

/// A question about whoever was chosen when it was asked.
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
    Deed(Deed, Vec<Target>),
    /// Leaving while something is under way.
    Quit,
}

/// What a key asks of whoever runs the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Do(u64, Deed, Vec<Target>),
    Attach(u64, Target),
    /// Look at everybody now.
    Look,
    /// Read a page of one of them, anew or for the first time.
    Read(Page, PeerName),
    /// Whether clicks are ours, or the terminal's own.
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
    /// Those that verbs are for, if any.
    pub(super) marked: BTreeSet<PeerName>,
    /// The chosen one's screen, and whose it is.
    pub(super) screen: Option<(PeerName, Text<'static>)>,
    /// What covers the whole screen.
    pub(super) pager: Option<Pager>,
    /// Columns and rows of the terminal.
    pub(super) size: (u16, u16),
    pub(super) mouse: bool,
    /// What was done last, or failed.
    pub(super) message: String,
    /// What is under way.
    pub(super) running: Vec<Running>,
    /// Keys are typed ahead: they are no commands until the keyboard has rested.
    pub(super) types_ahead: bool,
    /// Messages that were typed and did not arrive, by whom they were for.
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
            message: String::new(),
            running: Vec::new(),
            types_ahead: false,
            drafts: HashMap::new(),
            number: 0,
        }
    }

    /// Whether somebody has looked, or has failed to: there is something to see, and to act on.
    pub(super) fn has_looked(&self) -> bool {
        self.view.at > Timestamp::default() || !self.message.is_empty()
    }

    /// Those who are shown, in order; who waits for a person comes first.
    pub(super) fn rows(&self) -> Vec<&Row> {
        let wanted = |row: &&Row| {
            let words =
                format!("{} {} {} {}", row.peer, row.state, row.agent, row.topic.as_deref().unwrap_or_default());
            self.filter.text().split_whitespace().all(|word| words.contains(word))
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

    /// What is being done to a peer.
    pub(super) fn doing_to(&self, name: &PeerName) -> Option<&'static str> {
        let running = self.running.iter().find(|running| running.targets.iter().any(|target| target.name == *name));
        running.map(|running| running.doing)
    }

    /// Takes a new look. Whoever is chosen stays chosen, wherever the row has moved to.
    pub(super) fn see(&mut self, view: View) {
        self.view = view;
        let rows = &self.view.fleet.rows;
        self.marked.retain(|name| rows.iter().any(|row| row.peer == *name));
        self.keep_choice();
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

    /// Chooses the next one that waits for a person.
    pub(super) fn step_to_waiting(&mut self) {
        let rows = self.rows();
        let at = rows.iter().position(|row| Some(&row.peer) == self.chosen.as_ref()).map_or(0, |at| at + 1);
        let next = rows.iter().skip(at).chain(&rows).find(|row| waits(row)).map(|row| row.peer.clone());
        match next {
            Some(name) => self.chosen = Some(name),
            None => "nobody waits for a person".clone_into(&mut self.message),
        }
    }

    /// Marks the chosen one, or no more, and goes on to the next.
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

    /// Shows a page of a peer, which has yet to be read.
    pub(super) fn open(&mut self, name: PeerName, page: Page) -> Effect {
        self.message.clear();
        self.pager = Some(Pager::new(name.clone(), page));
        Effect::Read(page, name)
    }

    /// Takes a page, if it is still the one that is shown.
    pub(super) fn load(&mut self, page: Page, name: &PeerName, text: Text<'static>) {
        let rows = self.page_rows();
        if let Some(pager) = self.pager.as_mut().filter(|pager| pager.page == page && pager.name == *name) {
            pager.load(text, rows);
        }
    }

    /// Whether a page is shown that has come.
    pub(super) fn has_page(&self) -> bool {
        self.pager.as_ref().is_some_and(|pager| pager.text.is_some())
    }

    /// Lines of a page that are shown at once.
    pub(super) fn page_rows(&self) -> usize {
        usize::from(self.size.1).saturating_sub(2).max(1)
    }

    /// Takes what the pane of a peer shows. Returns what is to be read anew because it has changed.
    pub(super) fn show(&mut self, name: PeerName, text: Text<'static>) -> Option<Effect> {
        let is_read = |pager: &Pager| pager.page == Page::Screen && pager.follows && pager.name == name;
        let changed = self.screen.as_ref().is_some_and(|(of, before)| *of == name && *before != text);
        let again = changed && self.pager.as_ref().is_some_and(is_read);
        self.screen = Some((name.clone(), text));
        again.then_some(Effect::Read(Page::Screen, name))
    }

    /// Whom a verb is for: all that are marked, in order of name, else the chosen one.
    pub(super) fn targets(&self) -> Vec<Target> {
        if self.marked.is_empty() {
            return self.chosen_row().map(target).into_iter().collect();
        }
        self.view.fleet.rows.iter().filter(|row| self.marked.contains(&row.peer)).map(target).collect()
    }

    /// Begins something.
    pub(super) fn begin(&mut self, deed: Deed, targets: Vec<Target>) -> Effect {
        let number = self.start(deed.doing(), targets.clone());
        Effect::Do(number, deed, targets)
    }

    pub(super) fn begin_attach(&mut self, target: Target) -> Effect {
        Effect::Attach(self.start("attaching", vec![target.clone()]), target)
    }

    fn start(&mut self, doing: &'static str, targets: Vec<Target>) -> u64 {
        self.number += 1;
        self.message = format!("{}: {doing}", super::deed::names(&targets));
        self.running.push(Running { number: self.number, doing, targets });
        self.number
    }

    /// Something has come to its end; the view shows what it led to.
    pub(super) fn finish(&mut self, done: Done) {
        self.end(done.number);
        let Done { deed, results, .. } = done;
        let failed: Vec<&Target> = results.iter().filter(|(_, how)| how.is_err()).map(|(whom, _)| whom).collect();
        if let (Deed::Send(text), false) = (&deed, failed.is_empty()) {
            let names = failed.iter().map(|target| target.name.clone()).collect();
            self.drafts.insert(names, text.clone());
        }
        self.message = told(&deed, &results);
        if let (Mode::Browse, None, [(target, Err(Failure::Changed(now)))]) = (&self.mode, &self.pager, &*results) {
            let meant = vec![Target { incarnation: *now, ..target.clone() }];
            let since = format!("{}: nothing was done", target.changed_to(*now));
            self.mode = match deed {
                Deed::Send(_) => {
                    self.message = since;
                    Mode::Write(self.prompt(meant))
                }
                deed => Mode::Confirm(Question { about: About::Deed(deed, meant), since: Some(since) }),
            };
        }
    }

    /// Forgets something that is not under way any more.
    pub(super) fn end(&mut self, number: u64) {
        self.running.retain(|running| running.number != number);
    }

    /// A message to be typed, or to be typed on.
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
    row.state == State::Waiting
}

/// A row as it is seen now.
pub(super) fn target(row: &Row) -> Target {
    Target { name: row.peer.clone(), incarnation: row.incarnation }
}

/// How something came out, in a line.
fn told(deed: &Deed, results: &[(Target, Result<String, Failure>)]) -> String {
    let words = |(target, how): &(Target, Result<String, Failure>)| match how {
        Ok(what) => format!("{}: {what}", target.name),
        Err(Failure::Changed(now)) => format!("{}: nothing was done", target.changed_to(*now)),
        Err(Failure::Failed(why)) => why.clone(),
    };
    let failed = results.iter().filter(|(_, how)| how.is_err());
    let kept =
        if matches!(deed, Deed::Send(_)) && failed.clone().next().is_some() { "   (s: the text again)" } else { "" };
    match results {
        [one] => words(one) + kept,
        several => {
            let failed: Vec<String> = failed.map(words).collect();
            let well = several.len() - failed.len();
            let failed = if failed.is_empty() { String::new() } else { format!("   {}", failed.join("; ")) };
            format!("{well} of {} done{failed}{kept}", several.len())
        }
    }
}

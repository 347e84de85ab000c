//! What is on the screen, and what happens to it; nothing here draws or looks at anything.

use std::collections::HashMap;

use ratatui::text::Text;

use super::deed::{Deed, Done, Failure, Running, Target};
use super::editor::Editor;
use crate::cli::order::Order;
use crate::engine::list::Row;
use crate::engine::top::View;
use crate::policy::name::PeerName;

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
    Help,
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
    Quit,
}

pub(super) struct App {
    pub(super) view: View,
    pub(super) mode: Mode,
    pub(super) order: Order,
    pub(super) filter: Editor,
    pub(super) chosen: Option<PeerName>,
    /// The chosen one's screen, and whose it is.
    pub(super) screen: Option<(PeerName, Text<'static>)>,
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
            filter: Editor::default(),
            chosen: None,
            screen: None,
            message: String::new(),
            running: Vec::new(),
            types_ahead: false,
            drafts: HashMap::new(),
            number: 0,
        }
    }

    /// Those who are shown, in order.
    pub(super) fn rows(&self) -> Vec<&Row> {
        let wanted = |row: &&Row| {
            let words =
                format!("{} {} {} {}", row.peer, row.state, row.agent, row.topic.as_deref().unwrap_or_default());
            self.filter.text().split_whitespace().all(|word| words.contains(word))
        };
        let mut rows: Vec<&Row> = self.view.fleet.rows.iter().filter(wanted).collect();
        self.order.sort(&mut rows, |row| row);
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

    /// Whom a verb is for.
    pub(super) fn targets(&self) -> Vec<Target> {
        self.chosen_row().map(target).into_iter().collect()
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
        if let (Mode::Browse, [(target, Err(Failure::Changed(now)))]) = (&self.mode, &*results) {
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

//! The event loop: input, listings and outcomes meet here. It sleeps while there is nothing new.

use std::rc::Rc;
use std::time::Duration;

use ratatui::text::Text;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::app::{App, Effect, Mode};
use super::asked::NotAnswered;
use super::input::Input;
use super::keys::Typed;
use super::operation::{Done, Target};
use super::pager::{Page, log_line};
use super::said::{PASSES, READ, Shown, StatusLine};
use super::terminal::{FullScreen, Keyboard};
use super::{act, answering, draw, pane};
use crate::cli::verbs::attach::has_ended;
use crate::cli::{Context, Outcome, notice_unusable_settings};
use crate::engine::verbs::answer::{Answered, Question};
use crate::engine::verbs::attach::{Attach, AttachCommand, Left};
use crate::engine::verbs::top::{View, Watcher};
use crate::engine::{Engine, EngineError};
use crate::policy::name::PeerName;
use crate::store::Tail;

/// How long the keyboard must rest before the next key counts as one from a user who has looked: longer than between
/// two letters of a text, and as long as it takes to see something and react.
const RESTS: Duration = Duration::from_millis(250);

/// The number of lines that a pane of ours keeps above its screen.
const HISTORY: u32 = 10_000;

/// An event for the view.
pub(super) enum UiEvent {
    /// A new listing; `None` if nothing can have changed.
    Seen(Result<Option<View>, EngineError>),
    Screen(PeerName, String),
    Page(Page, PeerName, String),
    /// What an operation waits for, or a notice.
    Progress(String),
    Done(Done),
    /// An operation on several peers is over for this one.
    Settled(u64, PeerName),
    Attach(u64, PeerName, Result<Attach, EngineError>),
    /// What a peer asks, or why that cannot be read.
    Question(u64, Result<Option<Question>, String>),
    /// The outcome of an answer.
    Answered(u64, Target, Result<Answered, NotAnswered>),
}

/// The log of one peer, as far as it was read.
struct Log {
    name: PeerName,
    tail: Tail,
    text: Text<'static>,
}

/// A listing that is due before its time: an operation has ended, in whole or for one peer, which is shown after the
/// listing with its effect; `None` if the user asked for it, or is back from an attach.
type Due = Option<UiEvent>;

/// The state of the loop.
struct Top {
    engine: Rc<Engine>,
    app: App,
    screen: FullScreen,
    tell: mpsc::UnboundedSender<UiEvent>,
    due: mpsc::UnboundedSender<Due>,
    chosen: watch::Sender<Option<PeerName>>,
    log: Option<Log>,
    /// When the last key was pressed.
    pressed: Instant,
    message: Shown,
    question: Shown,
}

pub(super) async fn top(context: &mut Context, every: Duration, first: Option<PeerName>) -> Outcome {
    let (tell, mut news) = mpsc::unbounded_channel();
    let engine = Rc::new(context.engine_with(Box::new(StatusLine::new(tell.clone())))?);
    if let Some(name) = &first {
        engine.known(name)?;
    }
    notice_unusable_settings(&engine);
    let (due, dues) = mpsc::unbounded_channel();
    let (chosen, choice) = watch::channel(None);
    tokio::task::spawn_local(look_again_and_again(Rc::clone(&engine), every, choice, dues, tell.clone()));
    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut keyboard = Keyboard::new();
    // From here on the terminal is ours. Dropping `screen` gives it back, also in a panic.
    let screen = FullScreen::enter()?;
    let (pressed, message, question) = (Instant::now(), Shown::nothing(Instant::now()), Shown::nothing(Instant::now()));
    let mut top = Top { engine, app: App::new(), screen, tell, due, chosen, log: None, pressed, message, question };
    top.app.chosen = first;
    loop {
        top.draw()?;
        let passes = top.message.until(PASSES).filter(|_| top.app.message.passes());
        tokio::select! {
            biased;
            _ = terminated.recv() => return Ok(0),
            _ = hung_up.recv() => return Ok(0),
            typed = keyboard.typed() => {
                let Some(inputs) = typed? else { return Ok(0) };
                if !top.typed(inputs) {
                    return Ok(0);
                }
            }
            Some(item) = news.recv() => top.take(item).await?,
            _ = resized.recv() => {}
            () = tokio::time::sleep_until(passes.unwrap_or_else(Instant::now)), if passes.is_some() => {
                top.app.message.clear();
            }
        }
    }
}

impl Top {
    fn draw(&mut self) -> std::io::Result<()> {
        self.chosen.send_if_modified(|known| {
            let moved = *known != self.app.chosen;
            known.clone_from(&self.app.chosen);
            moved
        });
        self.app.size = self.screen.size()?;
        let (app, now, plain) = (&self.app, self.engine.now(), self.screen.plain);
        self.screen.draw(|frame| draw::draw(frame, app, now, plain))?;
        let now = Instant::now();
        self.message.see(self.app.message_shown(), now);
        self.question.see(self.app.question_shown(), now);
        Ok(())
    }

    /// Applies what was typed. Returns whether to go on.
    fn typed(&mut self, inputs: Vec<Input>) -> bool {
        let now = Instant::now();
        let rested = now.duration_since(self.pressed) >= RESTS;
        self.pressed = now;
        if rested && self.message.lasts(READ, now) && !self.app.types_text() {
            self.app.message.clear();
        }
        let looked = self.question.lasts(RESTS, now);
        let effects = self.app.typed(Typed { inputs, rested, looked });
        effects.into_iter().all(|effect| self.carry_out(effect))
    }

    /// Starts an effect; its outcome comes as an event. Returns whether to go on.
    fn carry_out(&mut self, effect: Effect) -> bool {
        match effect {
            Effect::Quit => return false,
            Effect::Look => {
                let _ = self.due.send(None);
            }
            Effect::Attach(number, target) => act::attach(&self.engine, number, target, &self.tell),
            Effect::Mouse(ours) => self.screen.report_mouse(ours),
            Effect::Read(Page::Screen, name) => {
                let (engine, tell) = (Rc::clone(&self.engine), self.tell.clone());
                tokio::task::spawn_local(async move {
                    let text = glimpse(&engine, &name, HISTORY).await;
                    tell.send(UiEvent::Page(Page::Screen, name, text)).is_ok()
                });
            }
            Effect::Read(Page::Log, name) => {
                self.log = Some(Log { tail: self.engine.state.journal().tail(), name, text: Text::default() });
                self.read_log();
            }
            Effect::Do(number, operation, targets) => {
                let (engine, due) = (Rc::clone(&self.engine), self.due.clone());
                tokio::task::spawn_local(async move {
                    let settled = |name: &PeerName| drop(due.send(Some(UiEvent::Settled(number, name.clone()))));
                    let done = act::act(&engine, number, operation, targets, settled).await;
                    due.send(Some(UiEvent::Done(done))).is_ok()
                });
            }
            Effect::Ask(number, whom) => answering::read(&self.engine, number, whom, &self.tell),
            Effect::Answer(number, whom, choice) => {
                let (engine, due) = (Rc::clone(&self.engine), self.due.clone());
                tokio::task::spawn_local(async move {
                    let how = answering::answer(&engine, &whom, &choice).await;
                    due.send(Some(UiEvent::Answered(number, whom, how))).is_ok()
                });
            }
        }
        true
    }

    async fn take(&mut self, news: UiEvent) -> std::io::Result<()> {
        match news {
            UiEvent::Seen(Ok(None)) => {}
            UiEvent::Seen(Ok(Some(view))) => {
                if let Some(effect) = self.app.see(view) {
                    self.carry_out(effect);
                }
                self.read_log();
            }
            UiEvent::Seen(Err(error)) => self.app.message.stay(error.to_string()),
            UiEvent::Screen(name, text) => {
                if let Some(effect) = self.app.show(name, pane::text(&text, self.screen.plain)) {
                    self.carry_out(effect);
                }
            }
            UiEvent::Page(page, name, text) => {
                let text = pane::text(&text, self.screen.plain);
                self.app.load(page, &name, text);
            }
            UiEvent::Progress(text) => self.app.message.stay(text),
            UiEvent::Done(done) => self.app.finish(done),
            UiEvent::Settled(number, name) => self.app.settle(number, &name),
            UiEvent::Question(number, read) => self.app.take_question(number, read),
            UiEvent::Answered(number, whom, how) => {
                if let Some(effect) = self.app.answered(number, &whom, how) {
                    self.carry_out(effect);
                }
            }
            UiEvent::Attach(number, name, way) => {
                self.app.end(number);
                match way {
                    Err(error) => self.app.message.stay(act::in_words(error)),
                    Ok(Attach::Here) => self.app.message.pass(format!("this is the pane of {name}")),
                    // The user is typing, and these keys are not for the pane.
                    Ok(Attach::Run(..)) if self.app.mode != Mode::Browse => {
                        self.app.message.pass(format!("{name} is there: a attaches to it"));
                    }
                    Ok(Attach::Run(way)) => self.lend(&name, way).await?,
                }
            }
        }
        Ok(())
    }

    /// Reads new events of the log that is shown.
    fn read_log(&mut self) {
        let shown = self.app.pager.as_ref().filter(|pager| pager.page == Page::Log).map(|pager| &pager.name);
        let Some(log) = self.log.as_mut().filter(|log| shown == Some(&log.name)) else {
            self.log = None;
            return;
        };
        match log.tail.next_events() {
            // Nothing new, and the page is shown already.
            Ok(events) if events.is_empty() && self.app.has_page() => return,
            Ok(events) => {
                let of_peer = events.iter().filter(|event| event.peer.as_ref() == Some(&log.name));
                log.text.lines.extend(of_peer.map(log_line));
            }
            Err(error) => self.app.message.stay(error.to_string()),
        }
        let (name, text) = (log.name.clone(), log.text.clone());
        self.app.load(Page::Log, &name, text);
    }

    /// Gives the terminal to the runtime's client until the user detaches.
    async fn lend(&mut self, name: &PeerName, way: AttachCommand) -> std::io::Result<()> {
        self.screen.lend()?;
        let ran = self.engine.run_attached(name, way).await;
        self.screen.take_back()?;
        let _ = self.due.send(None);
        match ran {
            Ok(Left { end: Some(end), .. }) => self.app.message.stay(has_ended(name, &end)),
            Ok(_) => self.app.message.pass(format!("back from {name}")),
            Err(error) => self.app.message.stay(error.to_string()),
        }
        Ok(())
    }
}

/// Lists the fleet at each interval and when it is due. Captures the chosen peer's screen then, and whenever the choice
/// changes.
async fn look_again_and_again(
    engine: Rc<Engine>,
    every: Duration,
    mut chosen: watch::Receiver<Option<PeerName>>,
    mut dues: mpsc::UnboundedReceiver<Due>,
    tell: mpsc::UnboundedSender<UiEvent>,
) {
    let mut watcher = Watcher::new(&engine);
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let (seen, done) = tokio::select! {
            _ = ticks.tick() => (Some(watcher.look_again(&engine).await), None),
            Some(due) = dues.recv() => {
                (Some(watcher.look(&engine).await.map(Some)), due)
            }
            changed = chosen.changed() => match changed {
                Ok(()) => (None, None),
                Err(_) => return,
            },
        };
        let unchanged = matches!(seen, Some(Ok(None)));
        if seen.is_some_and(|seen| tell.send(UiEvent::Seen(seen)).is_err()) {
            return;
        }
        if let Some(done) = done {
            let _ = tell.send(done);
        }
        if unchanged {
            continue;
        }
        let name = chosen.borrow_and_update().clone();
        if let Some(name) = name {
            let text = glimpse(&engine, &name, 0).await;
            let _ = tell.send(UiEvent::Screen(name, text));
        }
    }
}

/// Returns what the pane of a peer shows, with this many lines above it, or why it cannot be captured.
async fn glimpse(engine: &Engine, name: &PeerName, history: u32) -> String {
    match engine.glimpse(name, history).await {
        Ok(Some(screen)) => screen.text,
        Ok(None) => String::new(),
        Err(error) => format!("({error})"),
    }
}

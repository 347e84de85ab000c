//! The event loop: input, listings and outcomes meet here. It sleeps while there is nothing new.

use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use ratatui::text::Text;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::app::{App, Effect, Mode};
use super::keys::Typed;
use super::operation::Done;
use super::pager::{Page, log_line};
use super::terminal::{FullScreen, Keyboard};
use super::{act, draw, pane};
use crate::cli::{Context, Outcome, notice_unusable_settings};
use crate::engine::verbs::attach::{Attach, AttachCommand};
use crate::engine::verbs::top::{View, Watcher};
use crate::engine::{Engine, EngineError, Progress};
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
}

/// The log of one peer, as far as it was read.
struct Log {
    name: PeerName,
    tail: Tail,
    text: Text<'static>,
}

/// Why a listing is due before its time.
enum Due {
    /// An operation has ended; its outcome is shown after the listing with its effect.
    Done(Done),
    /// An operation on several peers is over for this one.
    Settled(u64, PeerName),
    /// The user asked for it, or is back from an attach.
    Now,
}

/// The state of the loop.
struct Top {
    engine: Rc<Engine>,
    app: App,
    screen: FullScreen,
    tell: mpsc::UnboundedSender<UiEvent>,
    due: mpsc::UnboundedSender<Due>,
    chosen: watch::Sender<Option<PeerName>>,
    log: Option<Log>,
}

pub(super) async fn top(context: &mut Context, every: Duration, first: Option<PeerName>) -> Outcome {
    let (tell, mut news) = mpsc::unbounded_channel();
    let whisper = StatusLine { tell: tell.clone(), last: Mutex::default() };
    let engine = Rc::new(context.engine_with(Box::new(whisper))?);
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
    let mut pressed = Instant::now();
    // From here on the terminal is ours. Dropping `screen` gives it back, also in a panic.
    let screen = FullScreen::enter()?;
    let mut top = Top { engine, app: App::new(), screen, tell, due, chosen, log: None };
    top.app.chosen = first;
    loop {
        top.draw()?;
        tokio::select! {
            biased;
            _ = terminated.recv() => return Ok(0),
            _ = hung_up.recv() => return Ok(0),
            typed = keyboard.typed() => {
                let Some(inputs) = typed? else { return Ok(0) };
                let rested = pressed.elapsed() >= RESTS;
                pressed = Instant::now();
                for effect in top.app.typed(Typed { inputs, rested }) {
                    if !top.carry_out(effect) {
                        return Ok(0);
                    }
                }
            }
            Some(item) = news.recv() => top.take(item).await?,
            _ = resized.recv() => {}
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
        self.screen.draw(|frame| draw::draw(frame, app, now, plain))
    }

    /// Starts an effect; its outcome comes as an event. Returns whether to go on.
    fn carry_out(&mut self, effect: Effect) -> bool {
        match effect {
            Effect::Quit => return false,
            Effect::Look => {
                let _ = self.due.send(Due::Now);
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
                    let settled = |name: &PeerName| drop(due.send(Due::Settled(number, name.clone())));
                    let done = act::act(&engine, number, operation, targets, settled).await;
                    due.send(Due::Done(done)).is_ok()
                });
            }
        }
        true
    }

    async fn take(&mut self, news: UiEvent) -> std::io::Result<()> {
        match news {
            UiEvent::Seen(Ok(None)) => {}
            UiEvent::Seen(Ok(Some(view))) => {
                self.app.see(view);
                self.read_log();
            }
            UiEvent::Seen(Err(error)) => self.app.message = error.to_string(),
            UiEvent::Screen(name, text) => {
                if let Some(effect) = self.app.show(name, pane::text(&text, self.screen.plain)) {
                    self.carry_out(effect);
                }
            }
            UiEvent::Page(page, name, text) => {
                let text = pane::text(&text, self.screen.plain);
                self.app.load(page, &name, text);
            }
            UiEvent::Progress(text) => self.app.message = text,
            UiEvent::Done(done) => self.app.finish(done),
            UiEvent::Settled(number, name) => self.app.settle(number, &name),
            UiEvent::Attach(number, name, way) => {
                self.app.end(number);
                self.app.message = match way {
                    Err(error) => act::in_words(error),
                    Ok(Attach::Here) => format!("this is the pane of {name}"),
                    // The user is typing, and these keys are not for the pane.
                    Ok(Attach::Run(..)) if self.app.mode != Mode::Browse => {
                        format!("{name} is there: a attaches to it")
                    }
                    Ok(Attach::Run(way)) => self.lend(&name, way).await?,
                };
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
            Err(error) => self.app.message = error.to_string(),
        }
        let (name, text) = (log.name.clone(), log.text.clone());
        self.app.load(Page::Log, &name, text);
    }

    /// Gives the terminal to the runtime's client until the user detaches.
    async fn lend(&mut self, name: &PeerName, way: AttachCommand) -> std::io::Result<String> {
        self.screen.lend()?;
        let ran = self.engine.run_attached(name, way).await;
        self.screen.take_back()?;
        let _ = self.due.send(Due::Now);
        Ok(match ran {
            Ok(_) => format!("back from {name}"),
            Err(error) => error.to_string(),
        })
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
                let done = match due {
                    Due::Done(done) => Some(UiEvent::Done(done)),
                    Due::Settled(number, name) => Some(UiEvent::Settled(number, name)),
                    Due::Now => None,
                };
                (Some(watcher.look(&engine).await.map(Some)), done)
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

/// Shows progress in the last line of the screen, each text once.
struct StatusLine {
    tell: mpsc::UnboundedSender<UiEvent>,
    last: Mutex<String>,
}

impl StatusLine {
    fn say(&self, text: String) {
        let mut last = self.last.lock().expect("no holder of this lock panics");
        if *last != text {
            last.clone_from(&text);
            // If the receiver is closed, the view is gone.
            let _ = self.tell.send(UiEvent::Progress(text));
        }
    }
}

impl Progress for StatusLine {
    fn waiting(&self, what: &str, elapsed: Duration, limit: Duration) {
        if elapsed >= Duration::from_secs(1) {
            self.say(format!("waiting for {what}: {} s of {} s", elapsed.as_secs(), limit.as_secs()));
        }
    }

    fn notice(&self, text: &str) {
        self.say(text.to_owned());
    }

    fn settled(&self) {}
}

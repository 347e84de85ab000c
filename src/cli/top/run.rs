//! The loop: what is typed, what is seen and what is done meet here. It sleeps as long as there is nothing new.

use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::app::{App, Effect, Mode};
use super::deed::Done;
use super::keys::Typed;
use super::terminal::{FullScreen, Keyboard};
use super::{act, draw, pane};
use crate::cli::{Context, Outcome};
use crate::engine::attach::{Attach, Way};
use crate::engine::top::{View, Watcher};
use crate::engine::{Engine, EngineError, Progress};
use crate::policy::name::PeerName;

/// How long the keyboard must rest for the next key to be meant by somebody who has looked: longer than between two letters of
/// a text, and as long as it takes to see something and react.
const RESTS: Duration = Duration::from_millis(250);

/// What comes in while the screen is up.
pub(super) enum News {
    Seen(Result<View, EngineError>),
    Screen(PeerName, String),
    Done(Done),
    Attach(u64, PeerName, Result<Attach, EngineError>),
}

/// Why a look is due before its time.
enum Due {
    /// Something was done; how it came out is told behind what it led to.
    Done(Done),
    /// Somebody was away.
    Now,
}

/// Everything that the loop holds.
struct Top {
    engine: Rc<Engine>,
    app: App,
    screen: FullScreen,
    tell: mpsc::UnboundedSender<News>,
    due: mpsc::UnboundedSender<Due>,
    chosen: watch::Sender<Option<PeerName>>,
}

pub(super) async fn top(context: &mut Context, every: Duration) -> Outcome {
    let (says, mut progress) = mpsc::unbounded_channel();
    let engine = Rc::new(context.engine_telling(Box::new(Whisper(says)))?);
    let (tell, mut news) = mpsc::unbounded_channel();
    let (due, dues) = mpsc::unbounded_channel();
    let (chosen, choice) = watch::channel(None);
    tokio::task::spawn_local(look_again_and_again(Rc::clone(&engine), every, choice, dues, tell.clone()));
    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut keyboard = Keyboard::new();
    let mut pressed = Instant::now();
    // From here on the terminal is ours, and it is given back when `screen` goes, also in a panic.
    let screen = FullScreen::enter()?;
    let mut top = Top { engine, app: App::new(), screen, tell, due, chosen };
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
            Some(text) = progress.recv() => top.app.message = text,
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
        let (app, now, plain) = (&self.app, self.engine.now(), self.screen.plain);
        self.screen.draw(|frame| draw::draw(frame, app, now, plain))
    }

    /// Begins what a key asks for; how it came out is told later. Returns whether to go on.
    fn carry_out(&mut self, effect: Effect) -> bool {
        match effect {
            Effect::Quit => return false,
            Effect::Attach(number, target) => act::attach(&self.engine, number, target, &self.tell),
            Effect::Do(number, deed, targets) => {
                let (engine, due) = (Rc::clone(&self.engine), self.due.clone());
                tokio::task::spawn_local(async move {
                    let done = act::act(&engine, number, deed, targets).await;
                    due.send(Due::Done(done)).is_ok()
                });
            }
        }
        true
    }

    async fn take(&mut self, news: News) -> std::io::Result<()> {
        match news {
            News::Seen(Ok(view)) => self.app.see(view),
            News::Seen(Err(error)) => self.app.message = error.to_string(),
            News::Screen(name, text) => self.app.screen = Some((name, pane::text(&text, self.screen.plain))),
            News::Done(done) => self.app.finish(done),
            News::Attach(number, name, way) => {
                self.app.end(number);
                self.app.message = match way {
                    Err(error) => act::in_words(error),
                    Ok(Attach::Here) => format!("this is the pane of {name}"),
                    // What is typed meanwhile is for somebody else.
                    Ok(Attach::Run(..)) if self.app.mode != Mode::Browse => {
                        format!("{name} is there: a attaches to it")
                    }
                    Ok(Attach::Run(way)) => self.lend(&name, way).await?,
                };
            }
        }
        Ok(())
    }

    /// Gives the terminal to the runtime's client until the person detaches.
    async fn lend(&mut self, name: &PeerName, way: Way) -> std::io::Result<String> {
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

/// Looks at everybody every so often and when it is due, and at the chosen one's screen then and whenever another one is chosen.
async fn look_again_and_again(
    engine: Rc<Engine>,
    every: Duration,
    mut chosen: watch::Receiver<Option<PeerName>>,
    mut dues: mpsc::UnboundedReceiver<Due>,
    tell: mpsc::UnboundedSender<News>,
) {
    let mut watcher = Watcher::new(&engine);
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let (listing, done) = tokio::select! {
            _ = ticks.tick() => (true, None),
            Some(due) = dues.recv() => (true, if let Due::Done(done) = due { Some(done) } else { None }),
            changed = chosen.changed() => match changed {
                Ok(()) => (false, None),
                Err(_) => return,
            },
        };
        if listing && tell.send(News::Seen(watcher.look(&engine).await)).is_err() {
            return;
        }
        if let Some(done) = done {
            let _ = tell.send(News::Done(done));
        }
        let name = chosen.borrow_and_update().clone();
        if let Some(name) = name {
            let text = match engine.glimpse(&name).await {
                Ok(Some(screen)) => screen.text,
                Ok(None) => String::new(),
                Err(error) => format!("({error})"),
            };
            let _ = tell.send(News::Screen(name, text));
        }
    }
}

/// Progress for the last line of the screen.
struct Whisper(mpsc::UnboundedSender<String>);

impl Progress for Whisper {
    fn waiting(&self, what: &str, elapsed: Duration, limit: Duration) {
        if elapsed >= Duration::from_secs(1) {
            // The view is gone, or going.
            let _ = self.0.send(format!("waiting for {what}: {} s of {} s", elapsed.as_secs(), limit.as_secs()));
        }
    }

    fn notice(&self, text: &str) {
        let _ = self.0.send(text.to_owned());
    }

    fn settled(&self) {}
}

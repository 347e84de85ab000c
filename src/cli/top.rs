mod app;
mod draw;
mod pane;

use std::io::IsTerminal;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peer_adapters::command::Argv;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use super::{CliError, Context, Outcome};
use crate::config::Span;
use crate::engine::attach::Attach;
use crate::engine::deliver::Message;
use crate::engine::top::{View, Watcher};
use crate::engine::{Engine, EngineError, Progress};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::wake::WakeRequest;
use app::{App, Ask, Deed};

/// How often the keyboard is looked at: below what a person feels, and a wakeup costs microseconds.
const KEYBOARD: Duration = Duration::from_millis(40);

/// A live view: the fleet, and the chosen peer's story and screen
///
/// One listing a look, whatever the size of the fleet. The terminal is left as it was.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// From one look to the next
    #[arg(long, value_name = "TIME", default_value = "2s")]
    every: Span,
}

/// What comes in while the screen is up.
enum News {
    Seen(Result<View, EngineError>),
    Screen(PeerName, String),
    Done(String),
    Attach(PeerName, Result<Attach, EngineError>),
}

pub(super) async fn run(args: &Args, context: &mut Context) -> Outcome {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(CliError::usage("top needs a terminal", "peer list --watch prints what it shows"));
    }
    let progress = Arc::new(Mutex::new(String::new()));
    let engine = Rc::new(context.engine_telling(Box::new(Whisper(Arc::clone(&progress))))?);
    let every = args.every.0.max(Duration::from_millis(100));
    LocalSet::new().run_until(top(engine, every, progress)).await
}

async fn top(engine: Rc<Engine>, every: Duration, progress: Arc<Mutex<String>>) -> Outcome {
    let (tell, mut news) = mpsc::unbounded_channel();
    let (choose, chosen) = watch::channel(None);
    tokio::task::spawn_local(look_again_and_again(Rc::clone(&engine), every, chosen, tell.clone()));
    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let mut keyboard = tokio::time::interval(KEYBOARD);
    let mut app = App::new();
    // From here on the terminal is ours, and it is given back when `screen` goes, also in a panic.
    let mut screen = FullScreen::enter()?;
    loop {
        tokio::select! {
            biased;
            _ = terminated.recv() => return Ok(0),
            _ = hung_up.recv() => return Ok(0),
            Some(item) = news.recv() => screen.take(item, &mut app, &engine).await?,
            _ = keyboard.tick() => {}
        }
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
            {
                match app.key(key) {
                    Ask::Quit => return Ok(0),
                    ask => carry_out(&engine, ask, &mut app, &tell),
                }
            }
        }
        choose.send_if_modified(|known| {
            let moved = *known != app.chosen;
            known.clone_from(&app.chosen);
            moved
        });
        let waiting = std::mem::take(&mut *progress.lock().expect("no holder of this lock panics"));
        if !waiting.is_empty() {
            app.message = waiting;
        }
        screen.draw(&app, &engine)?;
    }
}

/// Looks at everybody every so often, and at the chosen one's screen then and whenever another one is chosen.
async fn look_again_and_again(
    engine: Rc<Engine>,
    every: Duration,
    mut chosen: watch::Receiver<Option<PeerName>>,
    tell: mpsc::UnboundedSender<News>,
) {
    let mut watcher = Watcher::new(&engine);
    let mut due = tokio::time::interval(every);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let listing = tokio::select! {
            _ = due.tick() => true,
            changed = chosen.changed() => match changed {
                Ok(()) => false,
                Err(_) => return,
            },
        };
        if listing && tell.send(News::Seen(watcher.look(&engine).await)).is_err() {
            return;
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

/// Begins what a key asks for; how it came out is told later.
fn carry_out(engine: &Rc<Engine>, ask: Ask, app: &mut App, tell: &mpsc::UnboundedSender<News>) {
    let (engine, tell) = (Rc::clone(engine), tell.clone());
    match ask {
        Ask::Nothing | Ask::Quit => {}
        Ask::Attach(name) => {
            app.message = format!("attaching to {name}");
            tokio::task::spawn_local(async move {
                let way = engine.attach(&name).await;
                tell.send(News::Attach(name, way))
            });
        }
        Ask::Do(deed, name) => {
            app.message = format!("{name}: working on it");
            tokio::task::spawn_local(
                async move { tell.send(News::Done(outcome(&name, done(&engine, deed, &name).await))) },
            );
        }
        Ask::Send(name, text) => {
            app.message = format!("{name}: sending");
            tokio::task::spawn_local(async move {
                let message = Message { text: Some(text), ..Message::default() };
                let sent = engine.send(&name, &message, true).await.map(|_| "the message was accepted".to_owned());
                tell.send(News::Done(outcome(&name, sent)))
            });
        }
    }
}

async fn done(engine: &Engine, deed: Deed, name: &PeerName) -> Result<String, EngineError> {
    match deed {
        Deed::Wake => {
            let woken = engine.wake(name, &WakeRequest::default(), &Message::default()).await?;
            Ok(format!("{} ({})", woken.decision, woken.cause))
        }
        Deed::New => {
            let woken = engine.new_conversation(name, &Message::default()).await?;
            Ok(format!("{} ({})", woken.decision, woken.cause))
        }
        Deed::Stop => Ok(if engine.stop(name).await?.parked { "parked and stopped" } else { "stopped" }.to_owned()),
    }
}

fn outcome(name: &PeerName, result: Result<String, EngineError>) -> String {
    match result {
        Ok(what) => format!("{name}: {what}"),
        Err(error) => {
            let error = CliError::from(error);
            let hint = error.hint().map(|hint| format!("   hint: {hint}")).unwrap_or_default();
            format!("{error}{hint}")
        }
    }
}

/// The terminal while it is ours: the other screen, raw keys, no cursor. It is given back when this goes.
pub struct FullScreen {
    terminal: ratatui::DefaultTerminal,
    plain: bool,
}

impl FullScreen {
    /// Takes the terminal on stdout. ratatui's own hook gives it back before a panic is told, which also holds where a
    /// panic aborts.
    ///
    /// # Errors
    /// Stdout is no terminal.
    pub fn enter() -> std::io::Result<Self> {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Ok(Self { terminal: ratatui::try_init()?, plain })
    }

    fn draw(&mut self, app: &App, engine: &Engine) -> std::io::Result<()> {
        self.terminal.draw(|frame| draw::draw(frame, app, engine.now(), self.plain)).map(drop)
    }

    async fn take(&mut self, news: News, app: &mut App, engine: &Engine) -> std::io::Result<()> {
        match news {
            News::Seen(Ok(view)) => app.see(view),
            News::Seen(Err(error)) => app.message = error.to_string(),
            News::Screen(name, text) => app.screen = Some((name, pane::text(&text, self.plain))),
            News::Done(text) => app.message = text,
            News::Attach(name, Err(error)) => app.message = outcome(&name, Err(error)),
            News::Attach(name, Ok(Attach::Run(argv, incarnation))) => {
                app.message = self.lend(engine, &name, argv, incarnation).await?;
            }
            News::Attach(name, Ok(Attach::Here)) => app.message = format!("this is the pane of {name}"),
        }
        Ok(())
    }

    /// Gives the terminal to the runtime's client until the person detaches.
    async fn lend(
        &mut self,
        engine: &Engine,
        name: &PeerName,
        argv: Argv,
        incarnation: Incarnation,
    ) -> std::io::Result<String> {
        ratatui::try_restore()?;
        let ran = engine.run_attached(name, argv, incarnation).await;
        self.terminal = ratatui::try_init()?;
        Ok(match ran {
            Ok(_) => format!("back from {name}"),
            Err(error) => error.to_string(),
        })
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        // After a panic the hook has done it, and a second time would put the cursor back over what was told.
        if !std::thread::panicking() {
            // A terminal that is gone cannot be given back.
            let _ = ratatui::try_restore();
        }
    }
}

/// Progress for the last line of the screen.
struct Whisper(Arc<Mutex<String>>);

impl Whisper {
    fn say(&self, text: String) {
        *self.0.lock().expect("no holder of this lock panics") = text;
    }
}

impl Progress for Whisper {
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

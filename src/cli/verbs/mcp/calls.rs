//! Carries out tool calls. Each does the same as its verb, with the same refusals, and returns one JSON document.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::screen::plain;
use serde_json::{Value, json};

use super::tools::{Call, Inbox, Last, List, Screen, SendTo, Wait, Wake};
use crate::cli::render::output::document;
use crate::cli::verbs::{inbox, last, list, wait};
use crate::cli::{CliError, notice_unusable_settings, open_engine};
use crate::config::Span;
use crate::engine::message::Message;
use crate::engine::peer::requester::Requester;
use crate::engine::verbs::wait::Wanted;
use crate::engine::{Engine, Progress};
use crate::policy::may::Asked;
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::wait::Goal;
use crate::policy::wake::WakeRequest;

/// The default timeout of a wait. It ensures that two agents that wait for each other do not wait for ever.
const PATIENCE: Duration = Duration::from_secs(600);

/// The result of a call.
pub(super) struct Done {
    /// The document that the verb prints with `--json`.
    pub(super) document: Value,
    /// Whether the verb would exit with a code other than 0.
    pub(super) failed: bool,
}

impl Done {
    pub(super) fn of_error(error: &CliError) -> Self {
        Self { document: error.to_json(), failed: true }
    }

    fn of(verb: &str, body: &impl serde::Serialize, failed: bool) -> Result<Self, CliError> {
        let document = Value::Object(document(verb, body).map_err(std::io::Error::from)?);
        Ok(Self { document, failed })
    }
}

/// Runs a call to its end. `peer` is the program that panes run. If the call is cancelled, a delivery in progress is
/// interrupted as by Ctrl-C.
pub(super) async fn run(peer: PathBuf, call: Call, cancelled: impl Future<Output = ()>) -> Done {
    let notices = Notices::default();
    let mut done = match opened(peer, &call, &notices) {
        Ok(engine) => until_cancelled(engine, call, cancelled).await.unwrap_or_else(|error| Done::of_error(&error)),
        Err(error) => Done::of_error(&error),
    };
    let notices = notices.taken();
    if let Some(fields) = done.document.as_object_mut().filter(|_| !notices.is_empty()) {
        fields.insert("notices".to_owned(), json!(notices));
    }
    done
}

/// Opens the engine. A call that observes is answered even if `config.toml` cannot be used, as its verb is.
fn opened(peer: PathBuf, call: &Call, notices: &Notices) -> Result<Engine, CliError> {
    let engine = open_engine(peer, Box::new(notices.clone()))?;
    match call {
        Call::List(_) | Call::Status(_) | Call::Wait(_) | Call::Last(_) | Call::Screen(_) => {
            notice_unusable_settings(&engine);
        }
        Call::Why(_) | Call::Send(_) | Call::Wake(_) | Call::Inbox(_) => engine.usable_settings()?,
    }
    Ok(engine)
}

async fn until_cancelled(
    mut engine: Engine,
    call: Call,
    cancelled: impl Future<Output = ()>,
) -> Result<Done, CliError> {
    let requester = engine.requester()?;
    let only_looks = !matches!(call, Call::Send(_) | Call::Wake(_));
    // The future of a delivery is large. Boxing it keeps the futures of its callers small.
    let mut work = Box::pin(carry_out(&engine, &requester, call));
    tokio::select! {
        biased;
        done = &mut work => done,
        () = pin!(cancelled) => {
            if only_looks {
                return Err(CliError::Usage { problem: "the call was cancelled".to_owned(), hint: None });
            }
            engine.interruption.raise(Signal::SIGINT);
            work.await
        }
    }
}

async fn carry_out(engine: &Engine, requester: &Requester, call: Call) -> Result<Done, CliError> {
    match call {
        Call::List(call) => listed(engine, requester, call).await,
        Call::Status(call) => {
            requester.check(&call.name, Asked::Read)?;
            Done::of("status", &engine.status(&call.name).await?, false)
        }
        Call::Why(call) => {
            requester.check(&call.name, Asked::Read)?;
            let request = WakeRequest { topic: call.topic, ..WakeRequest::default() };
            Done::of("why", &engine.why(&call.name, &request).await?, false)
        }
        Call::Send(call) => sent(engine, requester, call).await,
        Call::Wake(call) => woken(engine, requester, call).await,
        Call::Wait(call) => waited(engine, requester, call).await,
        Call::Last(Last { name, number }) => {
            requester.check(&name, Asked::Read)?;
            Done::of("last", &last::document(engine, &name, number.unwrap_or(1).into())?, false)
        }
        Call::Screen(call) => screen(engine, requester, call).await,
        Call::Inbox(Inbox { name, dead }) => {
            requester.check(&name, Asked::Read)?;
            let (inbox, why) = (engine.inbox(&name)?, inbox::why(engine, &name, dead).await?);
            Done::of("inbox", &inbox::document(&name, &inbox, dead, why.as_deref()), false)
        }
    }
}

async fn listed(engine: &Engine, requester: &Requester, call: List) -> Result<Done, CliError> {
    let states = call.states.iter().map(|word| among(word, &State::ALL, State::as_str));
    let states = states.collect::<Result<Vec<_>, _>>()?;
    for name in &call.names {
        requester.check(name, Asked::List)?;
    }
    let mut fleet = if call.names.is_empty() { engine.list().await? } else { engine.list_of(&call.names).await? };
    let sees = |name: &PeerName| requester.check(name, Asked::List).is_ok();
    fleet.rows.retain(|row| sees(&row.peer) && (states.is_empty() || states.contains(&row.state)));
    fleet.broken.retain(|(name, _)| sees(name));
    fleet.undeclared.retain(|one| sees(&one.peer));
    Done::of("list", &list::document(&fleet), !fleet.broken.is_empty())
}

async fn sent(engine: &Engine, requester: &Requester, call: SendTo) -> Result<Done, CliError> {
    let SendTo { name, text, topic, wait, timeout, queue, after } = call;
    requester.check(&name, Asked::Send)?;
    if text.trim().is_empty() {
        return Err(CliError::usage("the message is empty", "wake wakes it without one"));
    }
    if (queue && (wait || timeout.is_some())) || (!queue && after.is_some()) || (!wait && timeout.is_some()) {
        return Err(CliError::usage(
            "these do not go together",
            "wait with timeout, or queue with after: what waits in an inbox is not waited for",
        ));
    }
    let message = engine.signed(Message { text: Some(text), topic, asks: wait, ..Message::default() })?;
    if queue {
        let not_before = span(after.as_deref())?.map(|span| engine.now().after(span));
        let posted = engine.post(&name, &message, not_before).await?;
        let body =
            json!({ "peer": name, "queued": posted.id, "delivered": posted.delivered, "not_before_ms": not_before });
        return Done::of("send", &body, false);
    }
    if wait {
        not_itself(requester, &name)?;
        let timeout = span(timeout.as_deref())?.unwrap_or(PATIENCE);
        let asked = engine.send_and_wait(&name, &message, true, Some(timeout)).await?;
        let failed = asked.answer.is_none();
        return Done::of("send", &asked, failed);
    }
    Done::of("send", &engine.send(&name, &message, true).await?, false)
}

async fn woken(engine: &Engine, requester: &Requester, call: Wake) -> Result<Done, CliError> {
    requester.check(&call.name, Asked::Wake)?;
    let request = WakeRequest { topic: call.topic.clone(), ..WakeRequest::default() };
    let message = engine.signed(Message { text: call.message, topic: call.topic, ..Message::default() })?;
    Done::of("wake", &engine.wake(&call.name, &request, &message).await?, false)
}

async fn waited(engine: &Engine, requester: &Requester, call: Wait) -> Result<Done, CliError> {
    let mut names: Vec<PeerName> = Vec::new();
    for name in call.names {
        requester.check(&name, Asked::Read)?;
        not_itself(requester, &name)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(CliError::usage("nobody is named", "names = [\"NAME\"]; list shows them"));
    }
    let goals = call.until.iter().map(|word| among(word, &Goal::ALL, Goal::as_str)).collect::<Result<Vec<_>, _>>()?;
    let goals = if goals.is_empty() { vec![Goal::Idle] } else { goals };
    let timeout = span(call.timeout.as_deref())?.unwrap_or(PATIENCE);
    let wanted = Wanted { goals, any: call.any, timeout: Some(timeout) };
    let (document, code) = wait::document(&engine.wait(&names, &wanted).await?, call.any);
    Done::of("wait", &document, code != 0)
}

async fn screen(engine: &Engine, requester: &Requester, call: Screen) -> Result<Done, CliError> {
    let Screen { name, lines } = call;
    requester.check(&name, Asked::Read)?;
    let screen = engine.screen(&name, lines.unwrap_or(0).into()).await?.ok_or_else(|| CliError::Nothing {
        problem: format!("{name} has no screen: it never ran"),
        hint: format!("peer wake {name}"),
    })?;
    let text = plain(&screen.text);
    let shown: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    let wanted = lines.map_or(shown.len(), usize::from);
    let text = shown[shown.len().saturating_sub(wanted)..].join("\n");
    Done::of("screen", &json!({ "peer": name, "ended": screen.ended, "text": text }), false)
}

/// Refuses to let a peer's agent wait for itself: its turn cannot end before this call does.
fn not_itself(requester: &Requester, name: &PeerName) -> Result<(), CliError> {
    if requester.is(name) {
        return Err(CliError::usage(
            format!("{name} would wait for the end of its own turn, to which this call belongs"),
            "finish the turn",
        ));
    }
    Ok(())
}

/// Returns the value in `all` whose name is `word`.
fn among<T: Copy>(word: &str, all: &[T], told: fn(T) -> &'static str) -> Result<T, CliError> {
    all.iter().copied().find(|one| told(*one) == word).ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|one| told(*one)).collect();
        CliError::usage(format!("there is no {word:?}"), format!("one of {}", known.join(", ")))
    })
}

fn span(text: Option<&str>) -> Result<Option<Duration>, CliError> {
    let read = text.map(str::parse::<Span>).transpose();
    read.map(|span| span.map(|span| span.0)).map_err(|problem| CliError::Usage { problem, hint: None })
}

/// Collects the notices that a verb would print on stderr.
#[derive(Clone, Default)]
struct Notices(Arc<Mutex<Vec<String>>>);

impl Notices {
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no holder of this lock panics"))
    }
}

impl Progress for Notices {
    fn waiting(&self, _: &str, _: Duration, _: Duration) {}

    fn notice(&self, text: &str) {
        self.0.lock().expect("no holder of this lock panics").push(text.to_owned());
    }
}

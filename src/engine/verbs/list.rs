//! `peer list`: one line per peer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use peer_adapters::transcript::AgentStatus;
use serde::Serialize;

use crate::engine::error::AnswerWith;
use crate::engine::life::record_end::{self, EndContext};
use crate::engine::observe::Observation;
use crate::engine::observe::fleet::Member;
use crate::engine::observe::live::Live;
use crate::engine::observe::turn::{Activity, Turns};
use crate::engine::peer::undeclared::Undeclared;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::ending::{End, EndCause, Incarnation};
use crate::policy::health::{Deaths, Health};
use crate::policy::name::PeerName;
use crate::policy::shown::{StateFacts, state};
use crate::policy::state::State;
use crate::policy::time::Timestamp;
use crate::policy::turn::{AskKind, Turn, TurnObservation};
use crate::store::{Inventory, LastEnd, Marker, Outcome, SessionRecord};

/// One peer, as the list shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub peer: PeerName,
    /// The word for its state.
    pub state: State,
    /// A detail of that state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The kind of answer that it waits for.
    pub waiting_for: Option<AskKind>,
    /// Its question, if that is known.
    pub question: Option<String>,
    /// Whether `peer answer` can choose an answer to it.
    pub answerable: bool,
    /// When the usage limit is over that has stopped it, where that is known.
    pub limited_until_ms: Option<Timestamp>,
    /// When something was seen to happen last in a turn that is stalled.
    pub progress_ms: Option<Timestamp>,
    /// Since when it has been in that state, if that is known.
    pub since_ms: Option<Timestamp>,
    /// Its agent's profile.
    pub agent: String,
    /// Its runtime.
    pub runtime: String,
    /// The newest topic of its conversation.
    pub topic: Option<String>,
    /// Its incarnation, if one is recorded.
    pub incarnation: Option<Incarnation>,
    /// Its conversation, or the one that a resume would continue.
    pub conversation: Option<String>,
    /// For how many seconds nothing has been seen to happen, while it is awake.
    pub idle_s: Option<u64>,
    /// After how many idle seconds it is parked; `None` for never.
    pub idle_timeout_s: Option<u64>,
    /// The agent's process, if one is recorded.
    pub pid: Option<u32>,
    /// How many messages wait in its inbox.
    pub queued: usize,
    /// The counted deaths since it was last stable.
    pub restarts: usize,
    /// When its backoff is over.
    pub held_until_ms: Option<Timestamp>,
    /// How its last incarnation ended, in words.
    pub last_end: Option<String>,
    /// The cause of that end, as in the log.
    pub last_end_cause: Option<EndCause>,
    /// When it ended.
    pub last_end_at_ms: Option<Timestamp>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Whether it has ended and its end is not recorded yet: the state is derived, and what is shown of the last end is
    /// that of an earlier one.
    #[serde(skip)]
    pub unrecorded_end: bool,
    /// Whether its agent is being ended: an interrupted turn, and a free input box, are steps on the way.
    #[serde(skip)]
    pub is_ending: bool,
}

/// Every declared peer, and those that could not be shown.
#[derive(Debug, Default)]
pub struct Fleet {
    /// Sorted by name.
    pub rows: Vec<Row>,
    /// Peers whose spec or files cannot be read. If only the spec cannot be read, the peer also has a row.
    pub broken: Vec<(PeerName, EngineError)>,
    /// Peers that ran here and have no spec any more; empty if only some peers are listed.
    pub undeclared: Vec<Undeclared>,
}

/// What is on disk about a peer besides the recorded incarnation.
#[derive(Debug)]
pub(crate) struct Past {
    last: Option<LastEnd>,
    deaths: Deaths,
    stopped: Option<Timestamp>,
    topic: Option<String>,
}

impl Engine {
    /// Returns the current state of every declared peer, with one listing call per server.
    ///
    /// # Errors
    /// The directory of specs or the state directory cannot be listed.
    pub async fn list(&self) -> Result<Fleet> {
        let names = self.config.names()?;
        let fleet = self.list_of(&names).await?;
        Ok(Fleet { undeclared: self.undeclared()?, ..fleet })
    }

    /// As [`Engine::list`], for some of the peers.
    ///
    /// # Errors
    /// As [`Engine::list`]; a name that is not declared is in `broken`.
    pub async fn list_of(&self, names: &[PeerName]) -> Result<Fleet> {
        // A name that was typed twice is one peer.
        let names: Vec<PeerName> = names.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
        self.list_since(&names, &mut Turns::default()).await
    }

    /// As [`Engine::list_of`], for a caller that looks repeatedly: screens that have not changed since are not captured
    /// again.
    ///
    /// # Errors
    /// As [`Engine::list_of`].
    pub(crate) async fn list_since(&self, names: &[PeerName], turns: &mut Turns) -> Result<Fleet> {
        let read = |peer: &mut Peer, there: &Inventory| {
            peer.files = peer.files.as_of(there);
            self.past(peer)
        };
        let mut fleet = Fleet::default();
        let members = self.look_at(names, false, read).await?.members;
        let asleep = members.iter().filter(|(_, member)| matches!(member, Ok(Member { seen: None, .. })));
        let asleep: Vec<_> = asleep.map(|(name, _)| name).collect();
        // If the kernel cannot be queried, none is shown as running without a record.
        let running = self.running(&asleep).unwrap_or_default();
        let mut seen = Vec::with_capacity(members.len());
        for (name, member) in members {
            match member {
                Ok(Member { peer, seen: on_record, read, broken }) => {
                    let unknown = broken.is_some() && on_record.is_none() && read.last.is_none();
                    fleet.broken.extend(broken.map(|error| (name, error)));
                    if unknown {
                        continue;
                    }
                    let live = on_record.map_or(Live::None, |(record, observation)| Live::of(record, observation));
                    seen.push((peer, live, read));
                }
                Err(error) => fleet.broken.push((name, error)),
            }
        }
        let queued = self.queued_of(&seen, &mut fleet.broken);
        let activity = self.activity(&seen.iter().map(|(peer, live, _)| (peer, live)).collect::<Vec<_>>(), turns).await;
        fleet.rows.extend(seen.into_iter().zip(activity).zip(queued).map(
            |(((peer, live, past), activity), queued)| {
                let lost = running.contains(&peer.name) && self.has_no_record(&peer.name);
                let row = Row { queued, ..self.row(&peer, &live, past, activity) };
                if lost { row.unrecorded() } else { row }
            },
        ));
        Ok(fleet)
    }

    /// Returns how many messages wait for each of these peers. An inbox that cannot be listed is added to `broken`; if the
    /// directory of all inboxes cannot be listed, that is said, and the rest of the fleet is shown.
    fn queued_of(&self, seen: &[(Peer, Live, Past)], broken: &mut Vec<(PeerName, EngineError)>) -> Vec<usize> {
        let mut mail = self.state.mail().unwrap_or_else(|error| {
            self.progress.notice(&format!("queued messages are not counted: {error}"));
            BTreeMap::new()
        });
        let of = |(peer, ..): &(Peer, Live, Past)| match mail.remove(&peer.name).transpose() {
            Ok(waiting) => waiting.unwrap_or_default(),
            Err(error) => {
                broken.push((peer.name.clone(), error.into()));
                0
            }
        };
        seen.iter().map(of).collect()
    }

    /// Reads what a row shows about the time before the recorded incarnation.
    pub(crate) fn past(&self, peer: &Peer) -> Result<Past> {
        Ok(Past {
            last: peer.files.end()?.present(),
            deaths: self.deaths(peer)?,
            stopped: peer.files.marked_at(Marker::Stopped)?,
            topic: peer.files.topics()?.pop(),
        })
    }

    /// Returns how the end of an incarnation that is over will be recorded. `None` if it is not over, or if its files
    /// cannot be read.
    pub(crate) fn to_be_recorded(&self, peer: &Peer, live: &Live) -> Option<Outcome> {
        let (record, observation) = over(live)?;
        let Outcome { last, deaths } =
            record_end::preview(&peer.files, record, EndContext::cleared(observation), self.now()).ok()?;
        Some(Outcome { last, deaths: self.unless_changed_since(peer, deaths) })
    }

    pub(crate) fn row(&self, peer: &Peer, live: &Live, past: Past, Activity { own, seen, stall }: Activity) -> Row {
        let now = self.now();
        let Past { last, deaths, stopped, topic } = past;
        let end = last.as_ref().map(|last| &last.end);
        let to_be = self.to_be_recorded(peer, live);
        let (latest, deaths) = match &to_be {
            Some(Outcome { last, deaths }) => (Some(&last.end), deaths),
            None => (end, &deaths),
        };
        let health = Health::assess(deaths, latest, peer.health_policy(), now);
        let facts = StateFacts {
            live: live.recorded(),
            turn: stall.map(Turn::Stalled).or_else(|| seen.as_ref().map(|seen| seen.turn.clone().at(now))),
            stopped: stopped.is_some(),
            last_end: latest.cloned(),
            health,
            ever_ran: latest.is_some_and(|end| end.lasting_cause().is_some()),
        };
        let shown = state(&facts, now);
        let ask = seen.as_ref().and_then(TurnObservation::ask).filter(|_| shown.state == State::Waiting);
        let conversation = conversation(to_be.as_ref(), live);
        Row {
            peer: peer.name.clone(),
            since_ms: since(shown.state, live, seen.as_ref(), stopped, end),
            waiting_for: ask.map(|ask| ask.kind),
            question: ask.and_then(|ask| ask.question.clone()),
            answerable: ask.is_some_and(|ask| ask.answerable),
            limited_until_ms: seen.as_ref().and_then(|seen| limited_until(shown.state, seen)),
            progress_ms: stall.filter(|_| shown.state == State::Stalled).map(|stall| stall.progress_ms),
            state: shown.state,
            detail: shown.detail,
            agent: peer.spec.agent.clone(),
            runtime: peer.spec.runtime.to_string(),
            topic,
            incarnation: live.record().map(|record| record.incarnation),
            conversation: conversation.or_else(|| last.as_ref()?.conversation.clone()),
            idle_s: idle(shown.state, live, own, now).map(|idle| idle.as_secs()),
            idle_timeout_s: peer.effective.idle_timeout.value.map(|timeout| timeout.as_secs()),
            pid: live.record().and_then(|record| record.process).map(|agent| agent.id.pid),
            queued: 0,
            restarts: health.deaths,
            held_until_ms: shown.held_until,
            last_end: end.map(End::shown_as),
            last_end_cause: end.map(|end| end.cause),
            last_end_at_ms: end.map(|end| end.at_ms),
            cwd: peer.spec.cwd.clone(),
            unrecorded_end: to_be.is_some(),
            is_ending: live.record().and_then(|record| record.intent).is_some_and(|intent| !intent.is_for_orphan()),
        }
    }
}

/// Returns the conversation that the recorded incarnation is in, or that its end leaves. A start that was never ready
/// replaces nothing: the next wake continues what was before it.
fn conversation(to_be: Option<&Outcome>, live: &Live) -> Option<String> {
    match to_be {
        Some(Outcome { last, .. }) => last.conversation.clone(),
        None => live.record()?.conversation.clone(),
    }
}

impl Row {
    /// Returns the command that the user most likely needs next, by the peer's state alone.
    pub(crate) fn next_command(&self) -> String {
        let name = &self.peer;
        match self.state {
            State::Waiting => AnswerWith::of(self.answerable).commands(name.as_str()),
            State::Awake => format!("peer send {name} TEXT"),
            State::Busy | State::Starting | State::Limited | State::Stalled | State::Crashed => {
                format!("peer screen {name}")
            }
            State::Asleep | State::Completed | State::Lost | State::NeverStarted => format!("peer wake {name}"),
            State::Stopped => format!("peer start {name}"),
            State::Held => format!("peer why {name}"),
            State::Failed => format!("peer reset {name}"),
            State::Unknown => "peer doctor".to_owned(),
        }
    }

    /// Returns the row of a peer whose agent runs and whose record is lost, so its files say nothing about its state.
    pub(crate) fn unrecorded(self) -> Self {
        let detail = Some(format!("its agent runs and its record is lost; peer wake {} rebuilds it", self.peer));
        Self { state: State::Unknown, detail, since_ms: None, held_until_ms: None, ..self }
    }
}

fn limited_until(state: State, seen: &TurnObservation) -> Option<Timestamp> {
    match seen.turn {
        Turn::Limited(limit) if state == State::Limited => limit.until_ms,
        _ => None,
    }
}

/// Returns the recorded incarnation if it is over.
fn over(live: &Live) -> Option<(&SessionRecord, &Observation)> {
    match live {
        Live::Session(record, observation) if observation.is_over() => Some((record, observation)),
        Live::Session(..) | Live::Starting(_) | Live::None => None,
    }
}

/// Returns since when a peer has been in its state.
fn since(
    state: State,
    live: &Live,
    seen: Option<&TurnObservation>,
    stopped: Option<Timestamp>,
    end: Option<&End>,
) -> Option<Timestamp> {
    match (state, live.record()) {
        (State::Busy | State::Waiting | State::Limited | State::Stalled, Some(_)) => seen?.since_ms,
        (State::Awake, Some(record)) => record.ready_at(),
        (State::Starting, Some(record)) => Some(record.woke_at_ms),
        (State::Stopped, _) => stopped,
        // When the axes took these values is not recorded; the heartbeat has the age of its own stamps.
        (_, Some(_)) | (State::NeverStarted, _) => None,
        _ => end.map(|end| end.at_ms),
    }
}

/// Returns for how long nothing has been seen to happen: by the agent's status file if it keeps one, else by its pane's
/// output.
fn idle(state: State, live: &Live, status: Option<AgentStatus>, now: Timestamp) -> Option<Duration> {
    let Live::Session(record, observation) = live else { return None };
    if !matches!(state, State::Awake | State::Busy | State::Waiting | State::Limited | State::Stalled) {
        return None;
    }
    let own = match status {
        Some(status) => status.since.map(Timestamp::from),
        None => observation.last_output(),
    };
    Some(now.since(own.max(record.delivered_at_ms).max(Some(started(record))).unwrap_or(now)))
}

fn started(record: &SessionRecord) -> Timestamp {
    record.ready_at().unwrap_or(record.woke_at_ms)
}

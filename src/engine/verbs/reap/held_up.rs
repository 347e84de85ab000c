//! Peers that are held up: stopped by a usage limit, or in a turn without progress. Reports each case once, and does
//! what the spec asks for.

use std::time::Duration;

use peer_adapters::process;
use tokio::time::Instant;

use super::{ActionKind, Subject, TickAction, idle, skipped};
use crate::engine::message::Message;
use crate::engine::observe::conversation;
use crate::engine::observe::live::Live;
use crate::engine::observe::process_id;
use crate::engine::verbs::interrupt::Interrupted;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::{Incarnation, Intent};
use crate::policy::event::EventName;
use crate::policy::stall::{OnLimit, OnStall, Progress, STALL_RESTART_WINDOW, STALL_RESTARTS, Signs, continues_at};
use crate::policy::time::{Timestamp, millis};
use crate::policy::turn::{Limit, Turn, TurnObservation};
use crate::policy::wake::{Mode, WakeRequest};
use crate::store::{Event, Heartbeat, PeerObservation};

/// Output that is younger shows that a turn makes progress, and nothing else is checked.
const JUST_NOW: Duration = Duration::from_secs(60);

/// Why a peer is held up.
#[derive(Clone, Copy, Debug)]
pub(super) enum HeldUp {
    /// A usage limit stops it, or stopped it and it has not been sent anything since.
    Limited(Limit),
    /// Its turn makes no progress, first seen in this tick.
    Stalled,
}

impl Engine {
    /// Stamps the progress of a turn and what has been reported about it, and logs what is new.
    pub(super) fn tell_held_up(
        &self,
        subject: &Subject,
        before: Option<&PeerObservation>,
        seen: Option<&TurnObservation>,
        pulse: &mut PeerObservation,
        machine_woke_at: Option<Timestamp>,
    ) -> Result<Option<HeldUp>> {
        let (limited, stalled) = before.map_or((None, false), |before| (before.limited, before.stalled));
        (pulse.limited, pulse.stalled) = (limited, stalled);
        // An observation that saw nothing does not change what was known before.
        let Some(seen) = seen else {
            pulse.progress = before.and_then(|before| before.progress);
            return Ok(None);
        };
        let now = self.now();
        let event =
            |name: EventName| Event::new(now, name).peer(&subject.peer.name).incarnation(subject.record.incarnation);
        let witness = seen.witness.as_str();
        match seen.turn.clone().at(now) {
            Turn::Limited(limit) => {
                pulse.limited = Some(limit);
                pulse.stalled = false;
                if limited != Some(limit) {
                    let until = limit.until_ms.map(|until| until.to_string());
                    self.log(&event(EventName::AgentLimited).with("until", until).with("witness", witness))?;
                }
                return Ok(None);
            }
            Turn::Busy => {
                let progress = self.progress(subject, seen, before, machine_woke_at, now);
                pulse.progress = Some(progress);
                let timeout = subject.peer.effective.stall_timeout.value;
                pulse.stalled = progress.stalled(None, timeout, now).is_some();
                if pulse.stalled && !stalled {
                    let since = progress.at_ms.to_string();
                    self.log(&event(EventName::AgentStalled).with("progress", since).with("witness", witness))?;
                    return Ok(Some(HeldUp::Stalled));
                }
            }
            _ => pulse.stalled = false,
        }
        pulse.limited = None;
        let over = [limited.map(|_| "limited"), (stalled && !pulse.stalled).then_some("stalled")];
        for cause in over.into_iter().flatten() {
            self.log(&event(EventName::AgentResumed).cause(cause).with("witness", witness))?;
        }
        Ok(match seen.turn {
            Turn::Limited(limit) => Some(HeldUp::Limited(limit)),
            _ => None,
        })
    }

    /// Returns the progress of a turn after this observation. Checks files and processes only if the pane is silent.
    fn progress(
        &self,
        subject: &Subject,
        seen: &TurnObservation,
        before: Option<&PeerObservation>,
        machine_woke_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Progress {
        let reported = before.is_some_and(|before| before.stalled);
        let before = before.and_then(|before| before.progress);
        let output = subject.observation.last_output();
        let record = &subject.record;
        // Once a stall is reported, only the agent itself shows that it continues.
        let machine_woke_at = machine_woke_at.filter(|_| !reported);
        let newest = output.max(seen.since_ms).max(record.delivered_at_ms).max(machine_woke_at);
        if output.is_some_and(|output| now.since(output) < JUST_NOW) {
            return Progress::after(before, reported, Signs { newest, cpu_ms: None }, now);
        }
        let written = idle::last_written(subject.view()).ok().flatten();
        let cpu = record.process.map(|agent| cpu_of(process_id(agent.id)));
        let cpu_ms = cpu.flatten().map(millis);
        Progress::after(before, reported, Signs { newest: newest.max(written), cpu_ms }, now)
    }

    /// Does, by `deadline`, what the specs of held-up peers ask for.
    pub(super) async fn get_on(
        &self,
        held_up: Vec<(&Subject, HeldUp)>,
        deadline: Instant,
        beat: &mut Heartbeat,
    ) -> Vec<TickAction> {
        let mut done = Vec::new();
        for (subject, how) in held_up {
            let act = Box::pin(self.act_on(&subject.peer, subject.record.incarnation, how));
            match tokio::time::timeout_at(deadline, act).await {
                Ok(Ok(action)) => done.extend(action),
                Ok(Err(error)) => beat.skipped.push(skipped(&subject.peer.name, &error)),
                Err(_) => {
                    let error = EngineError::OutOfTime { peer: subject.peer.name.clone() };
                    beat.skipped.push(skipped(&subject.peer.name, &error));
                }
            }
        }
        done
    }

    async fn act_on(&self, peer: &Peer, incarnation: Incarnation, how: HeldUp) -> Result<Option<TickAction>> {
        let action = |what, cause: &str| TickAction { peer: peer.name.clone(), what, cause: cause.to_owned() };
        match how {
            HeldUp::Limited(limit) => {
                Ok(self.go_on(peer, limit).await?.then(|| action(ActionKind::Continued, "limited")))
            }
            HeldUp::Stalled => match peer.effective.on_stall.value {
                OnStall::Notify => Ok(None),
                OnStall::Interrupt => {
                    let pressed = self.interrupt(&peer.name).await? == Interrupted::Turn;
                    Ok(pressed.then(|| action(ActionKind::Interrupted, "stalled")))
                }
                OnStall::Restart => {
                    let restarted = self.restart_stalled(peer, incarnation).await?;
                    Ok(restarted.then(|| action(ActionKind::Restarted, "stalled")))
                }
            },
        }
    }

    /// Sends its `limit_prompt` to a peer whose limit is over, if its spec asks for that and its time has come. Returns
    /// `true` if it was delivered.
    async fn go_on(&self, peer: &Peer, limit: Limit) -> Result<bool> {
        let Some(until) = limit.until_ms.filter(|_| peer.effective.on_limit.value == OnLimit::Continue) else {
            return Ok(false);
        };
        if self.now() < continues_at(peer.name.as_str(), until) {
            return Ok(false);
        }
        let text = Some(peer.effective.limit_prompt.value.clone());
        let woken = self.send(&peer.name, &Message { text, ..Message::default() }, false).await?;
        Ok(woken.delivered)
    }

    /// Parks a peer whose turn makes no progress, and resumes it in its conversation, at most twice an hour.
    async fn restart_stalled(&self, peer: &Peer, incarnation: Incarnation) -> Result<bool> {
        let events = self.state.journal().read_all()?;
        let recent = events.iter().filter(|event| {
            event.peer.as_ref() == Some(&peer.name)
                && event.is(EventName::SessionReaped)
                && event.details.get("detail").and_then(|detail| detail.as_str()) == Some("stalled")
                && event.ts.parse::<Timestamp>().is_ok_and(|at| self.now().since(at) < STALL_RESTART_WINDOW)
        });
        if recent.count() >= STALL_RESTARTS || !peer.profile.capabilities().resume {
            return Ok(false);
        }
        let Some(locked) = self.state.try_lock(&peer.name)? else { return Ok(false) };
        let record = self.on_record(peer, &locked)?.filter(|record| record.incarnation == incarnation);
        match self.live(peer, record).await? {
            Live::Session(record, observation)
                if observation.process == Axis::Alive && observation.runtime == Axis::Alive =>
            {
                self.end_healthy(peer, &locked, *record, Intent::Moved, "stalled").await?;
            }
            Live::Session(..) | Live::Starting(_) | Live::None => return Ok(false),
        }
        drop(locked);
        let request = WakeRequest { mode: Mode::Resume, ..WakeRequest::default() };
        self.wake(&peer.name, &request, &Message::default()).await.map(|_| true)
    }
}

/// Returns the CPU time of an agent and its descendants.
fn cpu_of(agent: process::ProcessId) -> Option<Duration> {
    let used = conversation::tree(agent).into_iter().filter_map(process::cpu_time);
    used.reduce(|sum, one| sum + one)
}

//! The model: the contract in the simplest form, without any code of the product.

use serde::{Deserialize, Serialize};

use crate::common::random::Random;

/// How an agent ends on its own.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Exit {
    Code(i32),
    Signal(i32),
    /// Its terminal was hung up because the server ended.
    ServerGone,
    /// The end was not observed, and the server is alive.
    Unseen,
    /// The end was not observed, and the machine was rebooted.
    Rebooted,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Op {
    /// A wake; the id is for a fresh conversation.
    Wake { id: String },
    /// The agent that was started is ready.
    Ready,
    /// The agent ends.
    Exit(Exit),
    /// The reaper parks it.
    Park,
    /// `peer stop`.
    Stop,
    /// `peer start`.
    Start,
    /// `peer refresh`.
    Refresh,
    /// `peer reset`.
    Reset,
    /// The agent asks for a fresh start of itself, which gets this id.
    SelfFresh { id: String },
    /// The tick checks whether the agent has been ready for long.
    Trim,
    /// The next pass completes what a killed operation left.
    Finish,
}

/// An incarnation that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Live {
    pub(super) incarnation: u64,
    pub(super) id: String,
    pub(super) resumed: bool,
    /// Whether its agent was started; if not, the waking process was killed before, and the agent never ran.
    pub(super) started: bool,
    pub(super) ready_at: Option<u64>,
    /// Whether a process recorded the intent to end it and was killed.
    pub(super) intent: bool,
}

/// The state of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "one a marker file")]
pub(super) struct Peer {
    pub(super) live: Option<Live>,
    /// Incarnation and cause of the last end.
    pub(super) last: Option<(u64, String)>,
    /// The cause that decides the next wake: a start that never became ready leaves it unchanged.
    pub(super) lasting: Option<String>,
    /// The conversation that a resume would continue.
    pub(super) conversation: Option<String>,
    /// Incarnation and time of each counted death.
    pub(super) deaths: Vec<(u64, u64)>,
    /// Times of the last five self-freshes, oldest first: more never count.
    pub(super) self_freshes: Vec<u64>,
    /// Every conversation that the peer ever had.
    pub(super) ids: Vec<String>,
    pub(super) parked: bool,
    pub(super) stopped: bool,
    pub(super) eager: bool,
    pub(super) fresh_next: bool,
}

/// Steps in one state directory: a peer has hundreds of conversations in its life and not a hundred thousand.
pub(super) const STEPS_A_WORLD: u64 = 2_000;

const COUNTED: [&str; 4] = ["completed-early", "crashed", "killed", "vanished"];
const RESUMABLE: [&str; 4] = ["idle-reaped", "stopped", "runtime-lost", "rebooted"];

impl Op {
    /// Chooses an operation that makes sense now, and occasionally one that does not.
    pub(super) fn random(random: &mut Random, peer: &Peer, step: u64) -> Self {
        let id = format!("c{step}");
        let up = peer.live.as_ref().is_some_and(|live| live.ready_at.is_some());
        match (&peer.live, random.below(20)) {
            (_, 0) => Self::Stop,
            (_, 1) => Self::Refresh,
            (_, 2) if random.below(8) == 0 => Self::Reset,
            (_, 3) => Self::Trim,
            (_, 4) => Self::Start,
            (Some(live), _) if !live.started => Self::Wake { id },
            (None, _) if peer.stopped && random.below(2) == 0 => Self::Start,
            (None, _) => Self::Wake { id },
            (Some(_), 5..=10) if !up => Self::Ready,
            (Some(_), 11) if !up => Self::Wake { id },
            (Some(_), 5..=8) => Self::Park,
            (Some(_), 9..=11) => Self::SelfFresh { id },
            (Some(_), 12) => Self::Exit(Exit::Code(3)),
            (Some(_), 13) => Self::Exit(Exit::Signal(9)),
            (Some(_), 14) => Self::Exit(Exit::ServerGone),
            (Some(_), 15) if up => Self::Exit(Exit::Unseen),
            (Some(_), 16) if up => Self::Exit(Exit::Rebooted),
            (Some(_), _) => Self::Exit(Exit::Code(0)),
        }
    }
}

impl Peer {
    /// Applies an operation that is not killed.
    pub(super) fn apply(&mut self, op: &Op, now: u64) {
        match op {
            Op::Wake { id } => self.wake(id, now),
            Op::Ready => self.ready(now),
            Op::Exit(exit) => {
                if let Some(live) = &self.live {
                    self.end(cause(*exit, live.ready_at, now), now);
                }
            }
            Op::Park => {
                self.parked = true;
                self.end("idle-reaped", now);
            }
            Op::Stop => {
                self.stopped = true;
                if self.live.as_ref().is_some_and(|live| live.started) {
                    self.parked = true;
                    self.end("stopped", now);
                }
            }
            Op::Start => self.stopped = false,
            Op::Refresh => self.fresh_next = true,
            Op::Reset => {
                self.deaths.clear();
                self.self_freshes.clear();
            }
            Op::SelfFresh { id } => {
                let recent = self.self_freshes.iter().filter(|at| now - **at < 300_000).count();
                if recent < 5 {
                    self.end("self-fresh", now);
                    self.self_freshes.push(now);
                    let excess = self.self_freshes.len().saturating_sub(5);
                    self.self_freshes.drain(..excess);
                    self.begin(id.clone(), false);
                }
            }
            Op::Trim => {
                let ready = self.live.as_ref().and_then(|live| live.ready_at);
                if ready.is_some_and(|at| now - at >= 300_000) {
                    self.deaths.clear();
                }
            }
            Op::Finish => {}
        }
    }

    fn wake(&mut self, id: &str, now: u64) {
        // A start that was requested and never happened does not block another.
        let up = self.live.as_ref().is_some_and(|live| live.ready_at.is_some());
        let recent = self.deaths.iter().filter(|(_, at)| now - at < 300_000).count();
        if up || self.stopped || self.deaths.len() >= 20 || recent >= 3 {
            return;
        }
        let resume = match (&self.lasting, &self.conversation) {
            (Some(cause), Some(old)) if RESUMABLE.contains(&cause.as_str()) => Some(old.clone()),
            _ => None,
        };
        match resume.filter(|_| !self.eager && !self.fresh_next) {
            Some(old) => self.begin(old, true),
            None => self.begin(id.to_owned(), false),
        }
    }

    fn begin(&mut self, id: String, resumed: bool) {
        let incarnation = self.highest() + 1;
        if self.ids.last() != Some(&id) {
            self.ids.push(id.clone());
        }
        self.eager = false;
        self.live = Some(Live { incarnation, id, resumed, started: true, ready_at: None, intent: false });
    }

    fn ready(&mut self, now: u64) {
        if let Some(live) = self.live.as_mut().filter(|live| live.ready_at.is_none()) {
            live.ready_at = Some(now);
            self.parked = false;
            self.fresh_next = false;
        }
    }

    fn end(&mut self, cause: &str, now: u64) {
        let Some(live) = self.live.take() else { return };
        if live.ready_at.is_some_and(|at| now - at >= 300_000) {
            self.deaths.clear();
        }
        if COUNTED.contains(&cause) {
            self.deaths.push((live.incarnation, now));
            let excess = self.deaths.len().saturating_sub(32);
            self.deaths.drain(..excess);
        }
        if live.ready_at.is_some() {
            self.conversation = Some(live.id);
        }
        if live.ready_at.is_some() || cause == "self-fresh" {
            self.lasting = Some(cause.to_owned());
        }
        self.last = Some((live.incarnation, cause.to_owned()));
    }

    /// The highest incarnation that was ever assigned.
    pub(super) fn highest(&self) -> u64 {
        let live = self.live.as_ref().map_or(0, |live| live.incarnation);
        live.max(self.last.as_ref().map_or(0, |(incarnation, _)| *incarnation))
    }

    /// Checks a state after a kill in `op`: nothing is lost, counted twice or made up.
    pub(super) fn follows(&self, before: &Self, after: &Self, op: &Op) -> Result<(), String> {
        let said = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        said(self.ids.starts_with(&before.ids) && after.ids.starts_with(&self.ids), "an id was lost or made up")?;
        said(
            self.highest() >= before.highest() && self.highest() <= after.highest(),
            "a number came twice or was skipped",
        )?;
        let mut numbers: Vec<u64> = self.deaths.iter().map(|(incarnation, _)| *incarnation).collect();
        numbers.dedup();
        said(numbers.len() == self.deaths.len(), "a death was counted twice")?;
        let known = |death| before.deaths.contains(death) || after.deaths.contains(death);
        said(self.deaths.iter().all(known), "a death was made up")?;
        let forgiving = matches!(op, Op::Reset) || after.deaths.len() < before.deaths.len();
        let kept = before.deaths.iter().all(|death| self.deaths.contains(death));
        said(kept || forgiving || before.deaths.len() == 32 || self.deaths == after.deaths, "a death was forgotten")?;
        let ends = [(&before.last, &before.lasting), (&after.last, &after.lasting)];
        said(ends.contains(&(&self.last, &self.lasting)), "another cause than either")?;
        let conversations = [&before.conversation, &after.conversation];
        said(conversations.contains(&&self.conversation), "the conversation to resume is another one")?;
        let ended = self.last.as_ref().map(|(incarnation, _)| *incarnation);
        let lives = self.live.as_ref().map(|live| live.incarnation);
        said(lives.is_none() || lives >= ended, "an older incarnation than the last end is on record")
    }

    /// Checks that nothing is left half-way after the next pass.
    pub(super) fn is_whole(&self) -> Result<(), String> {
        let said = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        let ended = self.last.as_ref().map(|(incarnation, _)| *incarnation);
        let lives = self.live.as_ref().map(|live| live.incarnation);
        said(lives.is_none() || lives > ended, "an ended incarnation is on record still")?;
        said(self.live.as_ref().is_none_or(|live| !live.intent), "an intent that nobody carries out is on record")?;
        let owed = self.last.as_ref().filter(|(_, cause)| COUNTED.contains(&cause.as_str()));
        let counted =
            owed.is_none_or(|(last, _)| self.deaths.is_empty() || self.deaths.iter().any(|(inc, _)| inc == last));
        said(counted, "a death was not counted")
    }
}

fn cause(exit: Exit, ready_at: Option<u64>, now: u64) -> &'static str {
    match exit {
        Exit::Code(0) if ready_at.is_some_and(|at| now - at >= 10_000) => "completed",
        Exit::Code(0) => "completed-early",
        Exit::Code(_) => "crashed",
        Exit::Signal(_) => "killed",
        Exit::ServerGone => "runtime-lost",
        Exit::Unseen => "vanished",
        Exit::Rebooted => "rebooted",
    }
}

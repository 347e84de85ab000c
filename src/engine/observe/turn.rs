//! What living agents are doing: by their own status files, or by what their panes show.
//!
//! A look at a screen costs a client of the runtime, so a screen is not captured again until its pane has produced new
//! output.

use std::time::Duration;

use futures_util::StreamExt;
use peer_adapters::agent::{DialogKind, Profile, Report};
use peer_adapters::runtime::ACTIVITY_STEP;
use peer_adapters::screen::{self, DialogView, Phase as Shows};
use peer_adapters::transcript::{AgentStatus, status_in};
use tokio::time::Instant;

use crate::engine::observe::fleet::side_by_side;
use crate::engine::observe::live::Live;
use crate::engine::observe::{launched, process_id};
use crate::engine::{Engine, Peer};
use crate::policy::report::TurnRecord;
use crate::policy::time::Timestamp;
use crate::policy::turn::{Ask, AskKind, Stall, Turn, TurnObservation, Witness};
use crate::store::SessionRecord;

mod earlier;

pub(crate) use earlier::Turns;

/// A screen counts as unchanged if the pane's last output is at least this much older than the look, because output may
/// be shown a moment later.
const SETTLED: Duration = ACTIVITY_STEP.saturating_add(Duration::from_secs(2));

/// How many screens are captured concurrently.
const AT_ONCE: usize = 8;

/// What is known about one living agent.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// The agent's own report, if it keeps a status file.
    pub(crate) own: Option<AgentStatus>,
    /// What it is doing, if that is known.
    pub(crate) seen: Option<TurnObservation>,
    /// Its stall, if ticks have seen no progress in its turn.
    pub(crate) stall: Option<Stall>,
}

/// What an agent's status file says, if it keeps one.
#[derive(Clone, Copy)]
struct Own<'a> {
    status: Option<&'a AgentStatus>,
    /// A time before it was read.
    read_at: Timestamp,
}

impl Engine {
    /// Whether the screen shows an agent at work, as the last check before a park. A screen that cannot be read does
    /// not prove idleness.
    pub(crate) async fn is_at_work(&self, peer: &Peer, record: &SessionRecord) -> bool {
        if peer.profile.busy.is_empty() && peer.profile.dialog.is_empty() {
            return false;
        }
        match self.capture(record).await {
            Ok(text) => matches!(screen::read(&peer.profile, &text).phase, Shows::Busy | Shows::Dialog(_)),
            Err(_) => true,
        }
    }

    /// Returns what each of these peers is doing, in the given order. Blocks until the runtimes have shown the screens
    /// that changed, for at most one probe deadline in all; what is not seen by then is unknown.
    pub(crate) async fn activity(&self, of: &[(&Peer, &Live)], before: &mut Turns) -> Vec<Activity> {
        self.activity_within(of, before, Duration::MAX).await
    }

    /// Like [`Engine::activity`], but blocks for at most `room` if that is less than the probe deadline.
    pub(crate) async fn activity_within(
        &self,
        of: &[(&Peer, &Live)],
        before: &mut Turns,
        room: Duration,
    ) -> Vec<Activity> {
        // What is read is at least as new as this.
        let now = self.now();
        let own = side_by_side(of, |(peer, live)| own_status(peer, live));
        let wants = |((peer, live), own): (&(&Peer, &Live), &Option<AgentStatus>)| {
            wants_look(peer, live, own.as_ref()) || may_stall(peer, own.as_ref(), now)
        };
        if before.0.is_none() && of.iter().zip(&own).any(wants) {
            // Without the observations of a tick, every screen is captured.
            *before = Turns::of(&self.state.heartbeat().ok().flatten().unwrap_or_default());
        }
        let known = &*before;
        // Sessions of zellij hang one by one; together they must not cost more than one of them.
        let until = Instant::now() + self.settings.probe.timeout.0.min(room);
        let looks = of.iter().zip(own).map(|((peer, live), own)| async move {
            let seen_before = live.record().and_then(|record| known.get(&peer.name, record.incarnation));
            let told = Own { status: own.as_ref(), read_at: now };
            let seen = self.turn(peer, live, told, seen_before, until).await;
            Activity { own, seen, stall: None }
        });
        let mut activity: Vec<Activity> = futures_util::stream::iter(looks).buffered(AT_ONCE).collect().await;
        for ((peer, live), activity) in of.iter().zip(&mut activity) {
            if let Some(record) = live.record() {
                before.keep(&peer.name, record.incarnation, activity.seen.as_ref());
                let progress = before.progress(&peer.name, record.incarnation);
                let timeout = peer.effective.stall_timeout.value;
                let since = progress.filter(|_| activity.seen.as_ref().is_some_and(|seen| seen.turn == Turn::Busy));
                let since = since.and_then(|progress| progress.stalled(last_output(live), timeout, self.now()));
                activity.stall = since.map(|progress_ms| Stall { progress_ms });
            }
        }
        activity
    }

    async fn turn(
        &self,
        peer: &Peer,
        live: &Live,
        own: Own<'_>,
        before: Option<&TurnObservation>,
        until: Instant,
    ) -> Option<TurnObservation> {
        let record = live.record()?;
        let seen = self.turn_seen(peer, live, own, before, until, record).await?;
        // The agent's own report of the start is exact. The other witnesses may give the time at which the turn last
        // continued.
        let known = (seen.turn == Turn::Busy && reports_starts(&peer.profile)).then(|| reported_turn(peer, record));
        Some(match known.flatten().and_then(|known| known.reported_since()) {
            Some(since) => TurnObservation { witness: Witness::Hook, since_ms: Some(since), ..seen },
            None => seen,
        })
    }

    async fn turn_seen(
        &self,
        peer: &Peer,
        live: &Live,
        own: Own<'_>,
        before: Option<&TurnObservation>,
        until: Instant,
        record: &SessionRecord,
    ) -> Option<TurnObservation> {
        let now = self.now();
        let own_report = own.status.map(|status| of_status(status, own.read_at));
        if !wants_look(peer, live, own.status) {
            return own_report;
        }
        if let Some(before) = before.filter(|before| stands(before, live, own.status)) {
            return Some(TurnObservation { at_ms: now, ..before.clone() });
        }
        // A screen that cannot be read shows nothing.
        let text = tokio::time::timeout_at(until, self.capture(record)).await.ok().and_then(Result::ok);
        let view = text.map(|text| screen::read(&peer.profile, &text));
        let limited = view.as_ref().and_then(|view| view.limited.clone());
        let shows = view.map(|view| view.phase);
        let seen = |turn, since_ms| Some(TurnObservation { turn, witness: Witness::Screen, since_ms, at_ms: now });
        let seen = match shows {
            Some(Shows::Dialog(dialog)) if will_be_answered(peer, live, &dialog) => own_report,
            // The dialog has been there since the pane's last output.
            Some(Shows::Dialog(dialog)) => {
                let since = before.filter(|before| before.ask().is_some()).and_then(|before| before.since_ms);
                seen(Turn::Waiting(ask(&dialog)), since.or_else(|| last_output(live)))
            }
            _ if own_report.is_some() => own_report,
            // A hook has just reported the end of the turn, and the screen is not redrawn yet.
            Some(Shows::Busy) if is_just_over(peer, record, now) => {
                Some(TurnObservation { turn: Turn::Free, witness: Witness::Hook, since_ms: None, at_ms: now })
            }
            Some(Shows::Busy) => seen(Turn::Busy, busy_since(record, before, now)),
            Some(Shows::Ready) => seen(Turn::Free, None),
            Some(Shows::Starting) | None => None,
        };
        seen.map(|seen| self.unless_refused(peer, live, record, limited.as_deref(), seen))
    }

    /// Returns `seen`, or what takes its place if the service has refused the agent: [`Turn::Limited`] for a usage limit,
    /// or [`Turn::Waiting`] for someone to sign in. Such an agent looks free, or shows a menu or a question that offers
    /// ways out of the limit.
    fn unless_refused(
        &self,
        peer: &Peer,
        live: &Live,
        record: &SessionRecord,
        shown: Option<&str>,
        seen: TurnObservation,
    ) -> TurnObservation {
        let may_be = match &seen.turn {
            Turn::Free => true,
            Turn::Waiting(ask) => matches!(ask.kind, AskKind::Menu | AskKind::Question),
            _ => false,
        };
        if !may_be || matches!(live, Live::Starting(_)) {
            return seen;
        }
        match self.refused_turn(peer, record, shown) {
            Some((turn, since_ms, witness)) => TurnObservation { turn, witness, since_ms, ..seen },
            None => seen,
        }
    }
}

/// Returns the contents of the agent's status file, if it keeps one and runs. If the file cannot be read, the list
/// falls back to awake, which the axes observed.
pub(crate) fn own_status(peer: &Peer, live: &Live) -> Option<AgentStatus> {
    let Live::Session(record, observation) = live else { return None };
    let kind = peer.profile.conversation.status.filter(|_| observation.process.alive() == Some(true))?;
    let agent = process_id(record.process?.id);
    if let Some(directory) = &record.status_dir {
        return status_in(kind, directory, agent).ok()?;
    }
    // An older version recorded none.
    let launched = launched::Launched::of(&peer.files, record, &peer.spec.cwd).ok()?;
    launched.look(&peer.profile, |files| status_in(kind, &files.status_directory()?, agent).ok()?)
}

/// How long a hook that reports the end of a turn is believed over the screen, which is drawn a moment later.
pub(crate) const HOOK_LEAD: Duration = Duration::from_secs(1);

/// Returns what is on record about the turns of this incarnation, if its agent can report them by hooks.
pub(crate) fn reported_turn(peer: &Peer, record: &SessionRecord) -> Option<TurnRecord> {
    if peer.profile.hooks.reports.is_empty() { None } else { peer.files.known_turn(record.incarnation) }
}

fn reports_starts(profile: &Profile) -> bool {
    profile.hooks.reports.contains(&Report::TurnStarted)
}

fn is_just_over(peer: &Peer, record: &SessionRecord, now: Timestamp) -> bool {
    let is_reported = |known: &TurnRecord| known.seen.turn == Turn::Free && known.seen.witness == Witness::Hook;
    let finished = reported_turn(peer, record).filter(is_reported);
    finished.and_then(|known| known.finished_ms).is_some_and(|finished| now.since(finished) < HOOK_LEAD)
}

/// Whether anything shows what an agent with this profile is doing.
pub(crate) const fn shows_turns(profile: &Profile) -> bool {
    profile.conversation.status.is_some() || has_rules(profile)
}

const fn has_rules(profile: &Profile) -> bool {
    !profile.busy.is_empty() || !profile.dialog.is_empty()
}

/// Whether the screen may show more than the status file, which does not report every dialog, and never its question.
fn wants_look(peer: &Peer, live: &Live, own: Option<&AgentStatus>) -> bool {
    let works = own.is_some_and(|own| own.busy && own.waits_for.is_none());
    has_rules(&peer.profile)
        && !works
        && match live {
            Live::Starting(_) => true,
            Live::Session(_, observation) => observation.process.alive() == Some(true) && observation.row.is_some(),
            Live::None => false,
        }
}

/// Whether an earlier observation is still valid, because nothing that could change it has happened since.
fn stands(before: &TurnObservation, live: &Live, own: Option<&AgentStatus>) -> bool {
    let agrees = match (own.map(|own| own.waits_for.is_some()), &before.turn) {
        (None, _) => matches!(before.witness, Witness::Screen | Witness::Transcript),
        (Some(false), Turn::Free | Turn::Limited(_)) => true,
        (Some(false), Turn::Waiting(_)) => matches!(before.witness, Witness::Screen | Witness::Transcript),
        (Some(true), Turn::Waiting(_)) => before.witness == Witness::Screen,
        (Some(_), _) => false,
    };
    // Text that `peer` typed shows on the screen, although the kernel may report that later.
    let typed = live.record().and_then(|record| record.delivered_at_ms.max(record.pressed_at_ms));
    agrees && last_output(live).is_some_and(|output| before.at_ms.since(output.max(typed.unwrap_or(output))) > SETTLED)
}

/// Whether the turn may be stalled, so that the ticks' observations of its progress are needed: the agent's status file
/// has reported it busy for at least `stall_timeout`.
fn may_stall(peer: &Peer, own: Option<&AgentStatus>, now: Timestamp) -> bool {
    let since = own.filter(|own| own.busy && own.waits_for.is_none()).and_then(|own| own.since);
    let timeout = peer.effective.stall_timeout.value;
    since.zip(timeout).is_some_and(|(since, timeout)| now.since(Timestamp::from(since)) >= timeout)
}

fn last_output(live: &Live) -> Option<Timestamp> {
    match live {
        Live::Session(_, observation) => observation.last_output(),
        Live::Starting(_) | Live::None => None,
    }
}

/// Whether the process that starts the agent will answer this dialog, because the spec accepts it.
fn will_be_answered(peer: &Peer, live: &Live, dialog: &DialogView) -> bool {
    matches!(live, Live::Starting(_)) && peer.accepts(dialog)
}

/// Returns when a turn seen on a screen began: with the last message, unless it was seen before that, or is known to
/// have begun since.
fn busy_since(record: &SessionRecord, before: Option<&TurnObservation>, now: Timestamp) -> Option<Timestamp> {
    let delivered = record.delivered_at_ms;
    match before {
        Some(TurnObservation { turn: Turn::Busy, since_ms, .. }) => since_ms.or(delivered),
        Some(before) => Some(delivered.filter(|at| *at >= before.at_ms).unwrap_or(now)),
        None => delivered,
    }
}

fn of_status(own: &AgentStatus, now: Timestamp) -> TurnObservation {
    let turn = match &own.waits_for {
        Some(what) => Turn::Waiting(Ask { kind: kind_in_words(what), question: Some(what.clone()), answerable: false }),
        None if own.busy => Turn::Busy,
        None => Turn::Free,
    };
    TurnObservation { turn, witness: Witness::StatusFile, since_ms: own.since.map(Timestamp::from), at_ms: now }
}

/// Claude Code writes `permission prompt`, `input needed`, `dialog open` …; everything unknown counts as a menu.
pub(crate) fn kind_in_words(what: &str) -> AskKind {
    if what.contains("permission") { AskKind::Permission } else { AskKind::Menu }
}

pub(crate) fn ask(dialog: &DialogView) -> Ask {
    let kind = match dialog.kind {
        DialogKind::Permission => AskKind::Permission,
        DialogKind::Question => AskKind::Question,
        DialogKind::Trust => AskKind::Trust,
        DialogKind::SignIn => AskKind::SignIn,
        DialogKind::Menu => AskKind::Menu,
    };
    let question = Some(dialog.question.clone()).filter(|question| !question.is_empty());
    Ask { kind, question, answerable: dialog.answerable }
}

//! `peer agent-hook`: takes what an agent reports about itself through its own hooks, as it happens.
//!
//! A hook is trusted as far as its environment goes: it must have the name and the number of the recorded incarnation.
//! Its payload must be about the conversation of that incarnation, because some agents also run their hooks for other
//! conversations. A question is accepted once the agent's own status file or its screen shows it. A change of
//! conversation is verified in the agent's own files. A turn is recorded without the peer's lock, because a delivery holds
//! it until the message is taken; a change of conversation needs it, and waits for it for two seconds at most.

use std::time::Duration;

use peer_adapters::agent::Report;
use peer_adapters::transcript::AgentStatus;
use tokio::time::{Instant, sleep};

use crate::engine::observe::conversation::ConversationFinder;
use crate::engine::observe::elsewhere;
use crate::engine::observe::launched::Launched;
use crate::engine::observe::live::Live;
use crate::engine::observe::own_files::policy_entries;
use crate::engine::observe::turn::{Turns, reported_turn};
use crate::engine::observe::turn_event::turn_event;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::answer::answers;
use crate::policy::ending::Incarnation;
use crate::policy::report::{Change, TurnReport, apply};
use crate::policy::time::Timestamp;
use crate::policy::turn::{TurnObservation, Witness};
use crate::store::SessionRecord;

/// How long the agent's own files may take to name the conversation that its hook names. Claude Code writes its status
/// file 190 ms after the command.
const NAMED_WITHIN: Duration = Duration::from_secs(2);

/// How long a question may take to appear, and how much longer to wait for its text once the agent says that it waits.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);
const WORDS_WITHIN: Duration = Duration::from_millis(500);

/// How long to wait while another process writes to the same record of turns.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// The interval between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The age from which a turn in the status file is an earlier one that continues. A younger one is the turn that is
/// being reported.
const JUST_BEGUN: Duration = Duration::from_secs(2);

/// The agent that reports, with its record and the time of the report.
struct Reporter {
    peer: Peer,
    record: SessionRecord,
    at: Timestamp,
}

impl Engine {
    /// Takes a report that the agent of this pane made at `at`, and logs what is new in it. Ignores a report that
    /// cannot be verified.
    ///
    /// # Errors
    /// [`EngineError::NotInPane`], or an error if files of `peer` cannot be read or written.
    pub async fn take_report(&self, report: Report, at: Timestamp, handed: &[u8]) -> Result<()> {
        // A report cannot be about the future.
        let at = at.min(self.now());
        let (peer, incarnation) = self.caller()?;
        let Some(handed) = peer.profile.handed(handed).filter(|_| accepts(&peer, report)) else { return Ok(()) };
        let record = peer.own_record(incarnation)?;
        if record.process.is_none() || elsewhere(record.place.host.as_ref(), false, record.woke_at_ms)?.is_some() {
            return Ok(());
        }
        let is_in =
            |record: &SessionRecord| handed.conversation.is_none() || record.conversation == handed.conversation;
        let record = if is_in(&record) && report != Report::Conversation {
            record
        } else {
            let patient = report == Report::Conversation;
            match self.follow(&peer, incarnation, is_in, patient).await? {
                Some(record) => record,
                // The report is about another conversation.
                None => return Ok(()),
            }
        };
        let by = Reporter { peer, record, at };
        match report {
            Report::Conversation => Ok(()),
            Report::TurnStarted => {
                let known = by.peer.files.known_turn(incarnation);
                let anew = known.is_none() || begins_anew(by.status().as_ref(), at);
                self.record_report(&by, TurnReport::Started { anew }, None).await
            }
            Report::TurnFinished => {
                let reports_starts = by.peer.profile.hooks.reports.contains(&Report::TurnStarted);
                let answered = handed.answered.or_else(|| self.answered(&by));
                let since = by.record.delivered_at_ms;
                self.record_report(&by, TurnReport::Finished { reports_starts, since }, answered).await
            }
            Report::Waiting => match self.asked(&by).await? {
                Some(seen) => self.record_report(&by, TurnReport::Asks(seen), None).await,
                // The question was allowed by a rule, or has been answered.
                None => Ok(()),
            },
        }
    }

    /// Checks in the agent's own files whether it is in the reported conversation, and records that. `None` if it is
    /// not. With `patient`, waits up to [`NAMED_WITHIN`] for the files to say so.
    async fn follow(
        &self,
        peer: &Peer,
        incarnation: Incarnation,
        is_in: impl Fn(&SessionRecord) -> bool,
        patient: bool,
    ) -> Result<Option<SessionRecord>> {
        let finder = ConversationFinder::of(peer).reported_by(Witness::Hook);
        let until = Instant::now() + NAMED_WITHIN;
        loop {
            if let Some(locked) = self.state.try_lock(&peer.name)? {
                let mut record = peer.own_record(incarnation)?;
                finder.find(&self.state, &locked, &mut record)?;
                if is_in(&record) {
                    return Ok(Some(record));
                }
                if !patient {
                    return Ok(None);
                }
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until the question is visible, and returns it. `None` if none appears within [`SHOWN_WITHIN`].
    async fn asked(&self, by: &Reporter) -> Result<Option<TurnObservation>> {
        let until = Instant::now() + SHOWN_WITHIN;
        let says_so = by.peer.profile.conversation.status.is_some();
        let (mut live, mut without_words) = (None, None);
        while Instant::now() < until {
            if !says_so || by.status().is_some_and(|status| status.waits_for.is_some()) {
                if live.is_none() {
                    let observation = self.observe(&by.peer.name, &by.record).await?;
                    live = Some(Live::of(by.record.clone(), observation));
                }
                let of = live.as_ref().map(|live| (&by.peer, live));
                let room = until.saturating_duration_since(Instant::now());
                let activity =
                    self.activity_within(&of.into_iter().collect::<Vec<_>>(), &mut Turns::none(), room).await;
                let seen = activity.into_iter().find_map(|activity| activity.seen.filter(|seen| seen.ask().is_some()));
                let waited = without_words.get_or_insert_with(Instant::now).elapsed();
                match seen {
                    Some(seen) if seen.witness == Witness::Screen || waited >= WORDS_WITHIN => return Ok(Some(seen)),
                    _ => {}
                }
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(None)
    }

    /// Whether the finished turn has an answer, according to the agent's transcript.
    fn answered(&self, by: &Reporter) -> Option<bool> {
        let id = by.record.conversation.as_deref()?;
        let entries = self.in_own_files(&by.peer, &by.peer.profile, |files| files.entries(id, 0)).ok()?.ok()??;
        let began = reported_turn(&by.peer, &by.record).and_then(|known| known.in_progress_since());
        // A turn without text has no entry of its own; the last one is that of an earlier turn then.
        let is_its_own = |at: Timestamp| began.is_none_or(|began| at >= began);
        let last = answers(&policy_entries(entries)).pop().filter(|last| last.at.is_none_or(is_its_own))?;
        Some(last.over && !last.text.is_empty())
    }

    /// Records the changes, and logs those that are new. Gives up after [`WRITTEN_WITHIN`].
    async fn record_report(&self, by: &Reporter, report: TurnReport, answered: Option<bool>) -> Result<()> {
        let until = Instant::now() + WRITTEN_WITHIN;
        loop {
            let report = report.clone();
            let changed = by.peer.files.change_known_turn(by.record.incarnation, |known| {
                let (news, now) = apply(known.as_ref(), report, by.at);
                let event = |change| turn_event(&by.peer.name, by.record.incarnation, by.at, change, &now);
                news.into_iter().try_for_each(|change| {
                    let answered = answered.filter(|_| matches!(change, Change::Finished(_)));
                    self.log(&event(change).with("witness", Witness::Hook.as_str()).with("answered", answered))
                })?;
                Ok::<_, EngineError>(Some(now))
            })?;
            if changed.is_some() || Instant::now() >= until {
                return Ok(());
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

impl Reporter {
    /// Returns the content of the agent's status file, if it keeps one.
    fn status(&self) -> Option<AgentStatus> {
        self.peer.profile.conversation.status?;
        let launched = Launched::of(&self.peer.files, &self.record, &self.peer.spec.cwd).ok()?;
        let pid = self.record.process?.id.pid;
        launched.look(&self.peer.profile, |files| files.status(pid)).ok()?
    }
}

/// Whether this peer accepts this report from its agent.
fn accepts(peer: &Peer, report: Report) -> bool {
    peer.effective.agent_hooks.value && peer.profile.hooks.reports.contains(&report)
}

/// Whether a reported start begins a different turn from the known one, according to the agent's status file.
fn begins_anew(status: Option<&AgentStatus>, at: Timestamp) -> bool {
    status.is_none_or(|status| {
        !status.busy || status.since.is_some_and(|since| at.since(Timestamp::from(since)) < JUST_BEGUN)
    })
}

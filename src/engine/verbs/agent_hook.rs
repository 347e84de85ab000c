//! `peer agent-hook`: what an agent reports of itself by hooks of its own, as it happens.
//!
//! Whoever runs the hook is believed as far as its environment goes: it has the name and the number of the incarnation on record.
//! What it hands over must be about the conversation that this incarnation is in, since some agents run their hooks for another
//! one too; a question is believed once the agent's own status file or its screen shows it; and which conversation an agent went
//! on in is asked of its own files. The peer's lock is not waited for: a delivery holds it until the message is taken.

use std::time::Duration;

use peer_adapters::agent::Report;
use peer_adapters::transcript::AgentStatus;
use tokio::time::{Instant, sleep};

use crate::engine::observe::conversation::{ConversationFinder, Launched};
use crate::engine::observe::elsewhere;
use crate::engine::observe::turn::Turns;
use crate::engine::verbs::transcript::of_files;
use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::answer::answers;
use crate::policy::ending::Incarnation;
use crate::policy::event::EventName;
use crate::policy::report::{Change, Heard, Known, hear};
use crate::policy::time::Timestamp;
use crate::policy::turn::{TurnObservation, Witness};
use crate::store::{Event, SessionRecord};

/// How long the agent's own files may take to name the conversation that its hook names: Claude Code writes its status file 190
/// ms after the command.
const NAMED_WITHIN: Duration = Duration::from_secs(2);

/// How long a question may take to show, and for how much longer its words are waited for once the agent says that it waits.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);
const WORDS_WITHIN: Duration = Duration::from_millis(500);

/// How long somebody else may write down what they heard of the same agent.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// Between two looks at what is about to show.
const LOOK: Duration = Duration::from_millis(20);

/// A turn that a status file knows of for longer goes on; a younger one is the one that is reported.
const JUST_BEGUN: Duration = Duration::from_secs(2);

/// Who reports, and what is known of them.
struct Reporter {
    peer: Peer,
    record: SessionRecord,
    at: Timestamp,
}

impl Engine {
    /// Takes what the agent of this pane reported at that time, and says what is news in it. What cannot be believed is passed
    /// over.
    ///
    /// # Errors
    /// [`EngineError::NotInPane`], or files of ours cannot be read or written.
    pub async fn hear_agent(&self, report: Report, at: Timestamp, handed: &[u8]) -> Result<()> {
        // Nobody reports what is to come.
        let at = at.min(self.now());
        let (peer, incarnation) = self.caller()?;
        let Some(handed) = peer.profile.handed(handed).filter(|_| hears(&peer, report)) else { return Ok(()) };
        let record = Self::own_record(&peer, incarnation)?;
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
                // It is of another one.
                None => return Ok(()),
            }
        };
        let by = Reporter { peer, record, at };
        match report {
            Report::Conversation => Ok(()),
            Report::TurnStarted => {
                let known = by.peer.files.known_turn(incarnation);
                let anew = known.is_none() || begins_anew(by.status().as_ref(), at);
                self.tell(&by, Heard::Started { anew }, None).await
            }
            Report::TurnFinished => {
                let starts_are_told = by.peer.profile.hooks.reports.contains(&Report::TurnStarted);
                let answered = handed.answered.or_else(|| self.answered(&by));
                let since = by.record.delivered_at_ms;
                self.tell(&by, Heard::Finished { starts_are_told, since }, answered).await
            }
            Report::Waiting => match self.asked(&by).await? {
                Some(seen) => self.tell(&by, Heard::Asks(seen), None).await,
                // It was allowed by a rule, or answered by now.
                None => Ok(()),
            },
        }
    }

    /// Asks the agent's own files whether it is in the conversation that is meant, and puts that on record. `None`: it is not, with
    /// `patient` for as long as they may take to say so.
    async fn follow(
        &self,
        peer: &Peer,
        incarnation: Incarnation,
        is_in: impl Fn(&SessionRecord) -> bool,
        patient: bool,
    ) -> Result<Option<SessionRecord>> {
        let learner = ConversationFinder::new(&peer.profile, &peer.spec.cwd).told_by(Witness::Hook);
        let until = Instant::now() + NAMED_WITHIN;
        loop {
            if let Some(locked) = self.state.try_lock(&peer.name)? {
                let mut record = Self::own_record(peer, incarnation)?;
                learner.find(&self.state, &locked, &mut record)?;
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
            sleep(LOOK).await;
        }
    }

    /// What it needs a person for, as soon as that is seen.
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
                let doing = self.doing_within(&of.into_iter().collect::<Vec<_>>(), &mut Turns::none(), room).await;
                let seen = doing.into_iter().find_map(|doing| doing.seen.filter(|seen| seen.ask().is_some()));
                let waited = without_words.get_or_insert_with(Instant::now).elapsed();
                match seen {
                    Some(seen) if seen.witness == Witness::Screen || waited >= WORDS_WITHIN => return Ok(Some(seen)),
                    _ => {}
                }
            }
            sleep(LOOK).await;
        }
        Ok(None)
    }

    /// Whether something was answered in the turn that is over, by the agent's transcript.
    fn answered(&self, by: &Reporter) -> Option<bool> {
        let id = by.record.conversation.as_deref()?;
        let entries = self.in_own_files(&by.peer, &by.peer.profile, |files| files.entries(id, 0)).ok()?.ok()??;
        let last = answers(&of_files(entries)).pop()?;
        Some(last.over && !last.text.is_empty())
    }

    /// Writes down what is news, and that it was told.
    async fn tell(&self, by: &Reporter, heard: Heard, answered: Option<bool>) -> Result<()> {
        let until = Instant::now() + WRITTEN_WITHIN;
        loop {
            let heard = heard.clone();
            let changed = by.peer.files.change_known_turn(by.record.incarnation, |known| {
                let (news, now) = hear(known.as_ref(), heard, by.at);
                news.into_iter().try_for_each(|news| self.log(&event(by, news, &now, answered)))?;
                Ok::<_, EngineError>(now)
            })?;
            if changed.is_some() || Instant::now() >= until {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }
}

impl Reporter {
    /// What its status file says, where it keeps one.
    fn status(&self) -> Option<AgentStatus> {
        self.peer.profile.conversation.status?;
        let launched = Launched::of(&self.peer.files, &self.record, &self.peer.spec.cwd).ok()?;
        let pid = self.record.process?.id.pid;
        launched.look(&self.peer.profile, |files| files.status(pid)).ok()?
    }
}

/// Whether this is to be heard from this peer's agent.
fn hears(peer: &Peer, report: Report) -> bool {
    peer.effective.agent_hooks.value && peer.profile.hooks.reports.contains(&report)
}

/// Whether a turn that is reported to begin is another one than that which is known of, by the agent's status file.
fn begins_anew(status: Option<&AgentStatus>, at: Timestamp) -> bool {
    status.is_none_or(|status| {
        !status.busy || status.since.is_some_and(|since| at.since(Timestamp::from(since)) < JUST_BEGUN)
    })
}

fn event(by: &Reporter, news: Change, now: &Known, answered: Option<bool>) -> Event {
    let name = match news {
        Change::Started => EventName::TurnStarted,
        Change::Finished(_) => EventName::TurnFinished,
        Change::Asks => EventName::AgentWaiting,
    };
    let event = Event::new(by.at, name).peer(&by.peer.name).incarnation(by.record.incarnation);
    let event = event.with("witness", Witness::Hook.as_str());
    match (news, now.seen.ask()) {
        (Change::Finished(took), _) => event
            .with("duration_ms", took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)))
            .with("answered", answered),
        (Change::Asks, Some(ask)) => event.cause(ask.kind.as_str()).with_for_hooks("question", ask.question.clone()),
        _ => event,
    }
}

//! What the files that an agent itself writes say about it: its transcript, its status file, and which of them change.

use std::path::PathBuf;
use std::time::Duration;

use peer_adapters::agent::Profile;
use peer_adapters::screen;
use peer_adapters::transcript::{self, Files};

use super::Observation;
use super::launched::{self, Launched};
use super::turn::{HOOK_LEAD, reported_turn};
use crate::engine::{Engine, Peer, Result};
use crate::policy::answer::{Entry, EntryKind, Tokens, is_turn_cut};
use crate::policy::axis::Axis;
use crate::policy::ending::EndCause;
use crate::store::{SessionRecord, Stored};

/// How long a delivered message may take to show as a turn, if only the agent's screen shows turns.
const TAKEN_UP: Duration = Duration::from_secs(1);

impl Engine {
    /// Runs `look` on the files of a peer's agent, where the recorded agent keeps them, or where one started now would.
    ///
    /// # Errors
    /// The launch file exists and cannot be read.
    pub(crate) fn in_own_files<T>(
        &self,
        peer: &Peer,
        profile: &Profile,
        look: impl FnOnce(&Files<'_>) -> T,
    ) -> Result<T> {
        let record = peer.files.session()?.present();
        let launched = record.map(|record| Launched::of(&peer.files, &record, &peer.spec.cwd)).transpose()?;
        Ok(match launched.filter(Launched::is_known) {
            Some(launched) => launched.look(profile, look),
            None => launched::with_files(profile, &peer.spec.cwd, &self.agent_environment(peer), look),
        })
    }

    /// Returns the files that change when what the agent is doing changes, or when it ends.
    pub(crate) fn activity_files(&self, peer: &Peer) -> Vec<PathBuf> {
        let mut files = vec![peer.files.path("session"), peer.files.path("end")];
        let Some(record) = peer.files.session().ok().and_then(Stored::present) else { return files };
        if !peer.profile.hooks.reports.is_empty() {
            files.push(peer.files.turn_path(record.incarnation));
        }
        files.extend(self.own_activity_files(peer, &record));
        files
    }

    /// Returns the files of [`Engine::activity_files`] that the agent itself writes.
    pub(crate) fn own_activity_files(&self, peer: &Peer, record: &SessionRecord) -> Vec<PathBuf> {
        let Some(agent) = record.process else { return Vec::new() };
        let id = record.conversation.as_deref();
        let own =
            self.in_own_files(peer, &peer.profile, |own| own.activity_files(id, agent.id.pid).unwrap_or_default());
        own.unwrap_or_default()
    }

    /// Whether a turn is in progress, by the agent's own files or else its hooks; `None` if they do not tell.
    pub(crate) fn has_turn(&self, peer: &Peer) -> Option<bool> {
        let Some(record) = peer.files.session().ok()?.present() else { return Some(false) };
        let (id, pid) = (record.conversation.as_deref(), record.process?.id.pid);
        let told = self.in_own_files(peer, &peer.profile, |files| files.turn_in_progress(id, pid).ok().flatten());
        told.ok().flatten().or_else(|| Some(reported_turn(peer, &record)?.in_progress_since().is_some()))
    }

    /// Whether an agent that is about to be ended is seen to be in a turn: its files or hooks say so, or else its screen.
    pub(crate) async fn is_in_a_turn(&self, peer: &Peer, record: &SessionRecord, observation: &Observation) -> bool {
        if let Some(known) = self.has_turn(peer) {
            return known;
        }
        if observation.runtime != Axis::Alive || observation.is_cut_off(&record.place) {
            return false;
        }
        let shown = self.capture(record).await;
        shown.is_ok_and(|text| matches!(screen::read(&peer.profile, &text).phase, screen::Phase::Busy))
    }

    /// Whether the turn that was in progress when the last incarnation ended was cut off with it, by nothing that somebody
    /// asked for: the conversation that is resumed ends in the middle of one.
    ///
    /// # Errors
    /// The record of the last end cannot be read.
    pub(crate) fn was_turn_cut(&self, peer: &Peer, resumed: Option<&str>) -> Result<bool> {
        let (Some(id), Some(last)) = (resumed, peer.files.end()?.present()) else { return Ok(false) };
        if !matches!(
            last.end.cause,
            EndCause::RuntimeLost | EndCause::Rebooted | EndCause::Closed | EndCause::MemoryDrained
        ) || last.conversation.as_deref() != Some(id)
        {
            return Ok(false);
        }
        let env = self.agent_environment(peer);
        let read = launched::with_files(&peer.profile, &peer.spec.cwd, &env, |files| files.entries(id, 0));
        Ok(read.ok().flatten().is_some_and(|entries| is_turn_cut(&policy_entries(entries), last.end.at_ms)))
    }

    /// Whether an agent whose screen is free is still in a turn: its own files say so, or a message was delivered a
    /// moment ago and nothing shows yet that its turn is over.
    pub(crate) fn is_in_turn(&self, peer: &Peer) -> Option<bool> {
        let record = peer.files.session().ok()?.present()?;
        let pid = record.process?.id.pid;
        let id = record.conversation.as_deref();
        let told = self.in_own_files(peer, &peer.profile, |files| {
            let in_turn = files.turn_in_progress(id, pid).ok().flatten();
            (in_turn, files.last_activity(id, pid).ok().flatten())
        });
        let (in_turn, active) = told.ok()?;
        let reported = reported_turn(peer, &record).and_then(|known| known.reported_since());
        if in_turn != Some(true) && reported.is_some_and(|began| self.now().since(began) < HOOK_LEAD) {
            return Some(true);
        }
        let Some(delivered) = record.delivered_at_ms else { return in_turn };
        let is_of_before = active.is_none_or(|active| delivered > active.into());
        let just_now = self.now().since(delivered) < TAKEN_UP;
        if in_turn != Some(true) && is_of_before && just_now { Some(true) } else { in_turn }
    }
}

/// Converts the entries of an agent's files to the policy's form.
pub(crate) fn policy_entries(entries: Vec<transcript::Entry>) -> Vec<Entry> {
    entries.into_iter().map(policy_entry).collect()
}

fn policy_entry(entry: transcript::Entry) -> Entry {
    let kind = match entry.kind {
        transcript::EntryKind::UserMessage(text) => EntryKind::UserMessage(text),
        transcript::EntryKind::QueuedMessage(text) => EntryKind::QueuedMessage(text),
        transcript::EntryKind::AgentText { text, part_of, tokens } => EntryKind::AgentText {
            text,
            part_of,
            tokens: tokens.map(|tokens| Tokens { input: tokens.input, output: tokens.output }),
        },
        transcript::EntryKind::TurnEnd { aborted } => EntryKind::TurnEnd { aborted },
    };
    Entry { at: entry.at.map(Into::into), of: entry.of, kind }
}

//! What is written before an agent starts: the plan of the start, its record and its launch file.

use peer_adapters::agent::Start;
use peer_adapters::inherited::Inherited;
use peer_adapters::process;
use peer_adapters::transcript::Files;

use crate::engine::observe::conversation;
use crate::engine::observe::{self, launched, recorded};
use crate::engine::peer::environment::Environment;
use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::policy::event::EventName;
use crate::policy::time::millis;
use crate::policy::wake::{Decision, WakeCause};
use crate::store::{ClearedBy, Event, Launch, Locked, OsText, Place, SessionRecord, Unseen};

/// How to start, as the policy decided.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The conversation to resume; `None` for a fresh start.
    pub resume: Option<String>,
    /// The cause.
    pub cause: WakeCause,
    /// The topic of the message that caused the wake.
    pub topic: Option<String>,
    /// The hops of the message that woke it, or of the wake of an agent that brings none.
    pub hops: u32,
}

impl Engine {
    /// Returns the record of an incarnation that has not been started.
    pub(crate) fn planned(
        &self,
        peer: &Peer,
        plan: &Plan,
        incarnation: Incarnation,
        mut place: Place,
    ) -> Result<SessionRecord> {
        place.host = Some(observe::recorded_host()?);
        let (driver, boot_id, cause) = (recorded(process::me()?), process::boot_id()?, plan.cause.to_string());
        let asked = SessionRecord::starting(incarnation, place, driver, boot_id, &peer.spec.agent, &cause, self.now());
        Ok(SessionRecord {
            real_cwd: Some(launched::real(&peer.spec.cwd)),
            resumed: plan.resume.is_some(),
            prompt_due: plan.resume.is_none() && peer.spec.initial_prompt.is_some(),
            topic: plan.topic.clone(),
            hops: plan.hops,
            unseen: unseen_in(peer, plan)?,
            ..asked
        })
    }

    /// Writes everything that must be on disk before the agent starts, in an order in which nothing important can be
    /// lost.
    pub(crate) fn write_plan(
        &self,
        peer: &Peer,
        locked: &Locked,
        plan: &Plan,
        record: &mut SessionRecord,
    ) -> Result<()> {
        let chosen = peer.profile.chooses_id().then(|| uuid::Uuid::new_v4().to_string());
        let start = match &plan.resume {
            Some(conversation) => Start::Resume { conversation },
            None => Start::Fresh { chosen: chosen.as_deref() },
        };
        let mut env = self.launch_environment(peer, record.incarnation)?;
        self.note_missing(peer, record, &env)?;
        let hooks = self.give_hooks(peer, &mut env);
        let given = self.give_mcp(peer, record.incarnation, &mut env);
        if let Some(speaker) = peer.profile.conversation.says {
            self.state.keep_file(speaker.file_name(), speaker.text())?;
        }
        let of_files = |files: &Files<'_>| (files.arguments(start), files.status_directory());
        let (arguments, status_dir) = launched::with_files(&peer.profile, &peer.spec.cwd, &env, of_files);
        record.status_dir = status_dir;
        let given = hooks.into_iter().chain(given).chain(arguments);
        let launch = self.launch_file(peer, record, given, env);
        locked.write_launch(record.incarnation, &launch)?;
        locked.write_session(record)?;
        locked.remove_older_pane_files(record.incarnation)?;
        let before = before_another(peer, plan)?;
        if let Some(conversation) = plan.resume.as_ref().or(chosen.as_ref()) {
            conversation::keep(locked, record, conversation, record.woke_at_ms)?;
        }
        self.log_decision(peer, plan, record)?;
        if let (Some(before), Some(resumed)) = (before, &plan.resume) {
            let changed = conversation::changed(&peer.name, record.incarnation, resumed);
            self.log(&changed.cause(record.cause.clone()).with("previous", before))?;
        }
        locked.clear_markers(ClearedBy::Launch)?;
        Ok(())
    }

    /// Returns what the pane process has to know: the peer's command with what the agent is given for this launch.
    fn launch_file(
        &self,
        peer: &Peer,
        record: &SessionRecord,
        given: impl Iterator<Item = String>,
        env: Environment,
    ) -> Launch {
        Launch {
            argv: peer.spec.command.iter().cloned().chain(given).map(|word| OsText(word.into())).collect(),
            cwd: peer.spec.cwd.clone(),
            config_dir: self.config.root().to_owned(),
            host: record.place.host.clone(),
            boot_id: Some(record.boot_id.clone()),
            grace_ms: millis(peer.profile.quit.term_grace),
            env: env.into_iter().map(|(key, value)| (OsText(key), OsText(value))).collect(),
            inherited: self.inherited.clone().unwrap_or_else(Inherited::ours).with(&peer.spec.inherited()),
        }
    }

    fn log_decision(&self, peer: &Peer, plan: &Plan, record: &SessionRecord) -> Result<()> {
        self.log(
            &Event::new(record.woke_at_ms, EventName::WakeDecided)
                .peer(&peer.name)
                .incarnation(record.incarnation)
                .cause(record.cause.clone())
                .with("decision", Decision::of_start(record.resumed).as_str())
                .with("conversation", record.conversation.clone())
                .with("topic", plan.topic.clone())
                .with("missing_env", named(&record.missing_env))
                .with("runtime", record.place.runtime.as_str()),
        )
    }
}

/// Returns the names for the log, or null if there are none.
fn named(names: &[String]) -> serde_json::Value {
    if names.is_empty() { serde_json::Value::Null } else { serde_json::json!(names) }
}

/// The conversation that it was in last, where it is to go on in another one that it had, or was given.
fn before_another(peer: &Peer, plan: &Plan) -> Result<Option<String>> {
    if plan.resume.is_none() {
        return Ok(None);
    }
    let last = peer.files.end()?.present().and_then(|last| last.conversation);
    Ok(last.filter(|last| plan.resume.as_ref() != Some(last)))
}

/// Returns the message that was sent to the resumed conversation and not seen to arrive.
fn unseen_in(peer: &Peer, plan: &Plan) -> Result<Option<Unseen>> {
    let (Some(resumed), Some(last)) = (&plan.resume, peer.files.end()?.present()) else { return Ok(None) };
    Ok(last.unseen.filter(|unseen| unseen.conversation.as_ref().is_none_or(|sent_to| sent_to == resumed)))
}

//! Starting one incarnation: the record first, then the runtime.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peer_adapters::agent::{EXECUTABLE, Given, Start};
use peer_adapters::inherited::Inherited;
use peer_adapters::process;
use peer_adapters::runtime::{NewSession, RuntimeError, RuntimeKind};
use peer_adapters::tmux::Tmux;
use peer_adapters::transcript::Files;
use peer_adapters::version::Executable;
use peer_adapters::zellij::Zellij;
use tokio::time::Instant;

use crate::config::PeerSpec;
use crate::engine::observe::conversation;
use crate::engine::observe::{self, recorded};
use crate::engine::peer::environment::Environment;
use crate::engine::peer::versions::Admitted;
use crate::engine::{Engine, EngineError, Peer, Result, pause};
use crate::policy::axis::Axis;
use crate::policy::ending::Incarnation;
use crate::policy::event::EventName;
use crate::policy::wake::WakeCause;
use crate::store::{Event, Gate, Launch, Locked, Marker, OsText, Place, SessionRecord, Stored, Unseen};

/// Columns and rows of a pane that has never been attached to: wide enough that no agent wraps its interface.
pub(crate) const SIZE: (u16, u16) = (200, 50);

/// Returns the columns and rows that a peer's pane is created with.
pub(crate) fn size(spec: &PeerSpec) -> (u16, u16) {
    spec.size.map_or(SIZE, |size| (size.columns, size.rows))
}

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

/// How long to wait for the pane process to start the agent and record it, which takes a millisecond or two.
const GATE_PATIENCE: Duration = Duration::from_secs(2);

impl Engine {
    /// Records the incarnation and requests its pane from the runtime. Returns the current record. The agent is started
    /// by the pane process, possibly before this returns.
    ///
    /// # Errors
    /// Nothing runs and the peer's state is unchanged, with one exception: after [`RuntimeError::TimedOut`] the pane
    /// may still come up, and the record stays, so that the next wake finds it or fences it off.
    pub async fn launch(&self, peer: &Peer, locked: &Locked, plan: &Plan) -> Result<SessionRecord> {
        self.check_declared(peer)?;
        check_before_launch(peer)?;
        self.kept_variables(&peer.spec)?;
        let Admitted { kind, binary, runtime, version } = self.admit(&peer.spec).await?;
        let incarnation = locked.next_incarnation(self.now())?;
        let session = format!("{}-{incarnation}", peer.name);
        let server = self.server_address(kind, peer, &session)?;
        // Before anything is changed.
        let known = self.claim(runtime.as_ref(), &server).await?;
        let place = Place::planned(kind.as_str(), binary, server, session);
        let mut record = self.planned(peer, plan, incarnation, place)?;
        self.write_plan(peer, locked, plan, &mut record)?;
        let new = NewSession {
            server: record.place.server.clone(),
            session: record.place.session.clone(),
            tag: self.tag(&peer.name, incarnation),
            argv: self.pane_argv(peer, incarnation),
            cwd: peer.spec.cwd.clone(),
            size: size(&peer.spec),
        };
        self.write_runtime_config(kind)?;
        let created = runtime.create(&new).await;
        let gate = self.behind_gate(locked, incarnation).await?;
        // By now the pane process may have started the agent and recorded it.
        if let Some(now) = peer.files.session()?.present() {
            record = now;
        }
        match created {
            Ok(created) => {
                let is_new_request = known != Some(created.server);
                if kind == RuntimeKind::Tmux && is_new_request {
                    self.state.note_server(&record.place.server, recorded(created.server))?;
                }
                record.place.server_process = Some(recorded(created.server));
                record.place.server_executable = Executable::name_of(created.server);
                record.place.server_version = created.server_version.or(version.text);
                record.place.session_id = created.target.session_id;
                record.place.pane = created.target.pane;
                if gate.is_some() {
                    locked.write_session(&record)?;
                }
                drop(gate);
                if is_new_request {
                    self.tell_of_login(created.server, &record.place.server).await;
                }
                Ok(record)
            }
            // The runtime reported an error, although its session exists.
            Err(error) if record.process.is_some() => {
                let observation = self.observe(&peer.name, &record).await?;
                if observation.runtime != Axis::Alive {
                    return Err(self.not_started(peer, incarnation, error));
                }
                observe::complete(&mut record, &observation);
                locked.write_session(&record)?;
                Ok(record)
            }
            // No agent was started, so this is not a death. The record stays: a pane that comes up late finds itself in
            // it, or is fenced off.
            Err(error) => {
                if gate.is_some() && is_refusal(&error) {
                    record.refuse(error.to_string());
                    locked.write_session(&record)?;
                    locked.remove_pane_files(incarnation)?;
                }
                Err(self.not_started(peer, incarnation, error))
            }
        }
    }

    /// Logs a start that its runtime did not confirm, and returns its error.
    fn not_started(&self, peer: &Peer, incarnation: Incarnation, error: RuntimeError) -> EngineError {
        let event = Event::new(self.now(), EventName::WakeFailed).peer(&peer.name).incarnation(incarnation);
        match self.log(&event.cause(why_not_started(&error)).with("detail", error.to_string())) {
            Ok(()) => error.into(),
            Err(unwritable) => unwritable,
        }
    }

    /// Waits until the pane process is not in the middle of starting its agent, so that the record can be changed.
    /// `None` if that takes longer than it ever should: then the pane process may still write the record, which must
    /// not be overwritten, and a listing supplies the rest.
    async fn behind_gate(&self, locked: &Locked, incarnation: Incarnation) -> Result<Option<Gate>> {
        let started = Instant::now();
        while started.elapsed() < GATE_PATIENCE {
            if let Some(gate) = locked.try_gate(incarnation)? {
                return Ok(Some(gate));
            }
            pause(started).await;
        }
        Ok(None)
    }

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
            real_cwd: Some(conversation::real(&peer.spec.cwd)),
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
        let (arguments, status_dir) = conversation::with_files(&peer.profile, &peer.spec.cwd, &env, of_files);
        record.status_dir = status_dir;
        let launch = Launch {
            argv: peer
                .spec
                .command
                .iter()
                .cloned()
                .chain(hooks)
                .chain(given)
                .chain(arguments)
                .map(|word| OsText(word.into()))
                .collect(),
            cwd: peer.spec.cwd.clone(),
            config_dir: self.config.root().to_owned(),
            host: record.place.host.clone(),
            boot_id: Some(record.boot_id.clone()),
            grace_ms: u64::try_from(peer.profile.quit.term_grace.as_millis()).unwrap_or(u64::MAX),
            env: env.into_iter().map(|(key, value)| (OsText(key), OsText(value))).collect(),
            inherited: self.inherited.clone().unwrap_or_else(Inherited::ours).with(&peer.spec.inherited()),
        };
        locked.write_launch(record.incarnation, &launch)?;
        locked.write_session(record)?;
        locked.remove_older_pane_files(record.incarnation)?;
        let before = before_another(peer, plan)?;
        if let Some(conversation) = plan.resume.as_ref().or(chosen.as_ref()) {
            conversation::keep(locked, record, conversation, record.woke_at_ms)?;
        }
        self.log(
            &Event::new(record.woke_at_ms, EventName::WakeDecided)
                .peer(&peer.name)
                .incarnation(record.incarnation)
                .cause(record.cause.clone())
                .with("decision", if record.resumed { "resume" } else { "fresh" })
                .with("conversation", record.conversation.clone())
                .with("topic", plan.topic.clone())
                .with("missing_env", named(&record.missing_env))
                .with("runtime", record.place.runtime.clone()),
        )?;
        if let (Some(before), Some(resumed)) = (before, &plan.resume) {
            let changed = conversation::changed(&peer.name, record.incarnation, resumed);
            self.log(&changed.cause(record.cause.clone()).with("previous", before))?;
        }
        // A request for a fresh start is used up now, because a failed start must not repeat it forever. What the last
        // agent reported about itself does not apply to this one.
        for said_by_the_last in [Marker::NewEager, Marker::Done, Marker::Beat] {
            locked.unmark(said_by_the_last)?;
        }
        Ok(())
    }

    /// Returns the arguments that give the agent hooks reporting to `peer`, and sets the variable by which they find it. The
    /// user's own hooks go first: if ours would replace them, ours are left out with a notice.
    fn give_hooks(&self, peer: &Peer, env: &mut Environment) -> Vec<String> {
        if !peer.effective.agent_hooks.value || peer.profile.hooks.reports.is_empty() {
            return Vec::new();
        }
        let lookup = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let home = lookup("HOME").map(PathBuf::from).unwrap_or_default();
        match peer.profile.given_hooks(&peer.spec.command, &home, &lookup) {
            Given::Words(words) => {
                env.push((EXECUTABLE.into(), self.executable.clone().into()));
                words
            }
            Given::LeftOut(why) => {
                self.progress.notice(&format!(
                    "{}: its own {why} is kept, so it gets no hooks of peer's and its turns are noticed a moment later \
                     (agent_hooks = false in its spec silences this)",
                    peer.name
                ));
                Vec::new()
            }
        }
    }

    /// Notifies the user if an agent has lower limits than its waker and its spec give it, because the server was
    /// started with lower ones and the kernel does not allow raising them.
    pub(crate) fn note_shortfalls(&self, peer: &Peer, record: &SessionRecord) {
        let (Some(agent), Ok(Stored::Present(launch))) = (record.process, peer.files.launch(record.incarnation)) else {
            return;
        };
        let differences = launch.inherited.differences(agent.id.pid);
        if !differences.is_empty() {
            let (peer, runtime, what) = (&peer.name, &record.place.runtime, differences.join(", "));
            self.progress.notice(&format!(
                "{peer}: its agent has {what}, since the {runtime} server was started with that; \
                 `peer restart-runtime {peer}` starts another"
            ));
        }
    }

    /// Returns the command that the runtime runs: this same program, with nothing in its arguments that is secret or
    /// needs quoting.
    fn pane_argv(&self, peer: &Peer, incarnation: Incarnation) -> Vec<OsString> {
        vec![
            self.executable.clone().into(),
            "pane".into(),
            self.state.root().into(),
            peer.name.as_str().into(),
            incarnation.to_string().into(),
        ]
    }

    /// Returns the server's address: for tmux the private server's socket or the peer's own, for zellij a directory per
    /// session.
    pub(crate) fn server_address(&self, kind: RuntimeKind, peer: &Peer, session: &str) -> Result<PathBuf> {
        match kind {
            RuntimeKind::Tmux => {
                self.usable_settings()?;
                let socket = peer.spec.socket.as_deref().unwrap_or(&self.settings.tmux.socket);
                if Path::new(socket).is_absolute() {
                    return Ok(socket.into());
                }
                Ok(self.where_it_was(socket)?.unwrap_or_else(|| Tmux::default_socket(socket)))
            }
            RuntimeKind::Zellij => Ok(Zellij::server_dir(self.state.root(), session)?),
        }
    }

    /// Writes the configuration that `peer` provides for the runtime, if it differs.
    fn write_runtime_config(&self, kind: RuntimeKind) -> Result<()> {
        match kind {
            RuntimeKind::Tmux => Ok(self.state.keep_file("tmux.conf", Tmux::CONFIG)?),
            RuntimeKind::Zellij => Ok(()),
        }
    }
}

/// Returns the names for the log, or null if there are none.
fn named(names: &[String]) -> serde_json::Value {
    if names.is_empty() { serde_json::Value::Null } else { serde_json::json!(names) }
}

/// Returns the log's word for a start that the runtime did not carry out: the runtime could not be reached or did not
/// answer, or it refused (no terminal, no process, no memory, a path that is too long).
fn why_not_started(error: &RuntimeError) -> &'static str {
    if is_refusal(error) { "runtime-refused" } else { "runtime-unavailable" }
}

/// Whether the runtime answered and refused. After any other error, the request may still be carried out.
fn is_refusal(error: &RuntimeError) -> bool {
    !matches!(
        error,
        RuntimeError::TimedOut { .. }
            | RuntimeError::NotAnswering { .. }
            | RuntimeError::PermissionDenied { .. }
            | RuntimeError::VersionMismatch { .. }
            | RuntimeError::NoBinary { .. }
            | RuntimeError::Unconfirmed { .. }
    )
}

/// Checks, before anything is changed, for what would certainly make the start fail.
pub(crate) fn check_before_launch(peer: &Peer) -> Result<()> {
    let cwd = &peer.spec.cwd;
    let unusable = |source| EngineError::NoDirectory { peer: peer.name.clone(), path: cwd.clone(), source };
    if !cwd.metadata().map_err(unusable)?.is_dir() {
        return Err(unusable(std::io::ErrorKind::NotADirectory.into()));
    }
    let program = Path::new(peer.spec.command.first().expect("a checked spec has a program"));
    nix::unistd::access(program, nix::unistd::AccessFlags::X_OK).map_err(|errno| EngineError::NoProgram {
        peer: peer.name.clone(),
        path: program.to_owned(),
        source: errno.into(),
    })
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

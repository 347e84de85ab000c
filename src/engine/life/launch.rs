//! Starting one incarnation: the record first, then the runtime.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peer_adapters::agent::{EXECUTABLE, Given, Start};
use peer_adapters::inherited::Inherited;
use peer_adapters::process;
use peer_adapters::runtime::{NewSession, RuntimeError, RuntimeKind};
use peer_adapters::tmux::Tmux;
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
use crate::policy::wake::WakeCause;
use crate::store::{Event, Gate, Launch, Locked, Marker, OsText, Place, SessionRecord, Stored, Unseen};

/// Columns and rows of a pane that nobody has looked at yet: wide enough that no agent wraps its own interface.
pub(crate) const SIZE: (u16, u16) = (200, 50);

/// Columns and rows that a peer's pane is made with.
pub(crate) fn size(spec: &PeerSpec) -> (u16, u16) {
    spec.size.map_or(SIZE, |size| (size.columns, size.rows))
}

/// How to start, as the policy decided.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The conversation to continue; `None` is a fresh start.
    pub resume: Option<String>,
    /// Why.
    pub cause: WakeCause,
    /// The topic of the message that woke it.
    pub topic: Option<String>,
    /// The hops of the message that woke it, or of the wake of an agent that brings none.
    pub hops: u32,
}

/// How long the pane process may take to start the agent and write it down; it takes a millisecond or two.
const GATE_PATIENCE: Duration = Duration::from_secs(2);

impl Engine {
    /// Writes the incarnation down and asks the runtime for its pane. Returns the record as it then stands; the agent
    /// itself is started by the pane process, which may have happened by then.
    ///
    /// # Errors
    /// Nothing runs, and the peer is as it was before, except: after [`RuntimeError::TimedOut`] the pane may still
    /// come up, and the record stands so that the next wake finds it or fences it off.
    pub async fn launch(&self, peer: &Peer, locked: &Locked, plan: &Plan) -> Result<SessionRecord> {
        self.check_declared(peer)?;
        check_before_launch(peer)?;
        self.kept_variables(&peer.spec)?;
        let Admitted { kind, binary, runtime, version } = self.admit(&peer.spec).await?;
        let incarnation = locked.next_incarnation(self.now())?;
        let session = format!("{}-{incarnation}", peer.name);
        let server = self.server_address(kind, peer, &session)?;
        // Before anything is begun.
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
        // By now the pane process may have started the agent, and written that down.
        if let Some(now) = peer.files.session()?.present() {
            record = now;
        }
        match created {
            Ok(created) => {
                let is_news = known != Some(created.server);
                if kind == RuntimeKind::Tmux && is_news {
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
                if is_news {
                    self.tell_of_login(created.server, &record.place.server).await;
                }
                Ok(record)
            }
            // The runtime complained of a session that is there.
            Err(error) if record.process.is_some() => {
                let sight = self.observe(&peer.name, &record).await?;
                if sight.runtime != Axis::Alive {
                    return Err(self.not_started(peer, incarnation, error));
                }
                observe::complete(&mut record, &sight);
                locked.write_session(&record)?;
                Ok(record)
            }
            // No agent was started, so none has died. The record stands: a pane that comes late is found by it or fenced off.
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

    /// The error of a start that its runtime did not confirm, which is in the log by then.
    fn not_started(&self, peer: &Peer, incarnation: Incarnation, error: RuntimeError) -> EngineError {
        let event = Event::new(self.now(), "wake.failed").peer(&peer.name).incarnation(incarnation);
        match self.log(&event.cause(why_not_started(&error)).with("detail", error.to_string())) {
            Ok(()) => error.into(),
            Err(unwritable) => unwritable,
        }
    }

    /// Waits until the pane process is not starting its agent, so that the record can be changed. `None`: it is at it for
    /// longer than it ever takes, and what it writes must not be overwritten; a listing tells the rest.
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

    /// The record of an incarnation that has not been started.
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

    /// Everything that must be on disk before the agent is started, in the order in which it must not be lost.
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
        if let Some(speaker) = peer.profile.conversation.says {
            self.state.keep_file(speaker.file_name(), speaker.text())?;
        }
        let arguments = conversation::with_files(&peer.profile, &peer.spec.cwd, &env, |files| files.arguments(start));
        let given = self.mcp_words(peer, record.incarnation);
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
        if let Some(conversation) = plan.resume.as_ref().or(chosen.as_ref()) {
            conversation::keep(locked, record, conversation, record.woke_at_ms)?;
        }
        self.log(
            &Event::new(record.woke_at_ms, "wake.decided")
                .peer(&peer.name)
                .incarnation(record.incarnation)
                .cause(record.cause.clone())
                .with("decision", if record.resumed { "resume" } else { "fresh" })
                .with("conversation", record.conversation.clone())
                .with("topic", plan.topic.clone())
                .with("missing_env", named(&record.missing_env))
                .with("runtime", record.place.runtime.clone()),
        )?;
        // Asked for once, obeyed once: a fresh start that fails must not leave it to loop. What the last agent said of
        // itself is not this one's.
        for said_by_the_last in [Marker::NewEager, Marker::Done, Marker::Beat] {
            locked.unmark(said_by_the_last)?;
        }
        Ok(())
    }

    /// The words by which the agent is given hooks that report to us, and the variable that they find us by. A person's own go
    /// first: where ours would take their place, that is said.
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
                    "{}: its own {why} is kept, and peer's hooks are left out: what it does is seen a moment later \
                     (agent_hooks = false in its spec says nothing of this)",
                    peer.name
                ));
                Vec::new()
            }
        }
    }

    /// Says where an agent has less than its waker and its spec give it, because the server was started with less and the
    /// kernel lets nobody go above that.
    pub(crate) fn note_shortfalls(&self, peer: &Peer, record: &SessionRecord) {
        let (Some(agent), Ok(Stored::Present(launch))) = (record.process, peer.files.launch(record.incarnation)) else {
            return;
        };
        let shortfalls = launch.inherited.shortfalls(agent.id.pid);
        if !shortfalls.is_empty() {
            let (peer, runtime, what) = (&peer.name, &record.place.runtime, shortfalls.join(", "));
            self.progress.notice(&format!(
                "{peer}: its agent has {what}, since the {runtime} server was started with that; \
                 `peer restart-runtime {peer}` starts another"
            ));
        }
    }

    /// What the runtime runs: this very program, with nothing on its command line that is secret or needs quoting.
    fn pane_argv(&self, peer: &Peer, incarnation: Incarnation) -> Vec<OsString> {
        vec![
            self.executable.clone().into(),
            "pane".into(),
            self.state.root().into(),
            peer.name.as_str().into(),
            incarnation.to_string().into(),
        ]
    }

    /// Which server: for tmux the private one, or the peer's own; for zellij a directory of the session's own.
    pub(crate) fn server_address(&self, kind: RuntimeKind, peer: &Peer, session: &str) -> Result<PathBuf> {
        match kind {
            RuntimeKind::Tmux => {
                let socket = peer.spec.socket.as_deref().unwrap_or(&self.settings.tmux.socket);
                if Path::new(socket).is_absolute() {
                    return Ok(socket.into());
                }
                Ok(self.where_it_was(socket)?.unwrap_or_else(|| Tmux::default_socket(socket)))
            }
            RuntimeKind::Zellij => Ok(Zellij::server_dir(self.state.root(), session)?),
        }
    }

    /// The runtime's configuration of ours, written when it differs.
    fn write_runtime_config(&self, kind: RuntimeKind) -> Result<()> {
        match kind {
            RuntimeKind::Tmux => Ok(self.state.keep_file("tmux.conf", Tmux::CONFIG)?),
            RuntimeKind::Zellij => Ok(()),
        }
    }
}

/// Names for the log, where there are any.
fn named(names: &[String]) -> serde_json::Value {
    if names.is_empty() { serde_json::Value::Null } else { serde_json::json!(names) }
}

/// Under which name a start is logged that its runtime did not carry out: it was not reached or did not answer, or it was
/// and refused (no terminal, no process, no memory, a path too long).
fn why_not_started(error: &RuntimeError) -> &'static str {
    if is_refusal(error) { "runtime-refused" } else { "runtime-unavailable" }
}

/// Whether the runtime answered, and said no. Any other error tells nothing: what was asked may still be done.
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

/// What would make the start fail for sure is said before anything is begun.
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

/// What was sent to the conversation that is resumed and not seen to arrive.
fn unseen_in(peer: &Peer, plan: &Plan) -> Result<Option<Unseen>> {
    let (Some(resumed), Some(last)) = (&plan.resume, peer.files.end()?.present()) else { return Ok(None) };
    Ok(last.unseen.filter(|unseen| unseen.conversation.as_ref().is_none_or(|sent_to| sent_to == resumed)))
}

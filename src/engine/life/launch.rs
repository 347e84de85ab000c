//! Starting one incarnation: the record first, then the runtime.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peer_adapters::runtime::{Created, NewSession, RuntimeError, RuntimeKind};
use peer_adapters::version::Executable;
use tokio::time::Instant;

use crate::config::PeerSpec;
use crate::engine::life::plan::Plan;
use crate::engine::observe::{self, recorded};
use crate::engine::peer::versions::Admitted;
use crate::engine::{Engine, EngineError, Peer, Result, pause};
use crate::policy::axis::Axis;
use crate::policy::ending::Incarnation;
use crate::policy::event::EventName;
use crate::store::{Event, Gate, Locked, Place, SessionRecord, Stored};

/// Columns and rows of a pane that has never been attached to: wide enough that no agent wraps its interface.
pub(crate) const SIZE: (u16, u16) = (200, 50);

/// Returns the columns and rows that a peer's pane is created with.
pub(crate) fn size(spec: &PeerSpec) -> (u16, u16) {
    spec.size.map_or(SIZE, |size| (size.columns, size.rows))
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
        self.check_startable(peer)?;
        let Admitted { kind, binary, runtime, version } = self.admit(&peer.spec).await?;
        let incarnation = locked.next_incarnation(self.now())?;
        let session = format!("{}-{incarnation}", peer.name);
        let server = self.server_address(kind, peer, &session)?;
        // Before anything is changed.
        let known = self.claim(runtime.as_ref(), &server).await?;
        let place = Place::planned(kind, binary, server, session);
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
                let is_new_server = known != Some(created.server);
                self.record_created(locked, gate, record, created, is_new_server, version.text).await
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

    /// Completes the record with the runtime's answer, unless the pane process may still write it.
    async fn record_created(
        &self,
        locked: &Locked,
        gate: Option<Gate>,
        mut record: SessionRecord,
        created: Created,
        is_new_server: bool,
        installed_version: Option<String>,
    ) -> Result<SessionRecord> {
        let (server, place) = (created.server, &mut record.place);
        if place.kind().is_some_and(|kind| kind.facts().shares_server()) && is_new_server {
            self.state.note_server(&place.server, recorded(server))?;
        }
        place.server_process = Some(recorded(server));
        place.server_executable = Executable::name_of(server);
        place.server_version = created.server_version.or(installed_version);
        place.session_id = created.target.session_id;
        place.pane = created.target.pane;
        if gate.is_some() {
            locked.write_session(&record)?;
        }
        drop(gate);
        if is_new_server {
            self.warn_of_login(server, &record.place.server).await;
        }
        Ok(record)
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
        if kind.facts().shares_server() {
            self.usable_settings()?;
        }
        let named = peer.spec.socket.as_deref().unwrap_or_else(|| self.settings.server(kind));
        match self.where_it_was(kind, named)? {
            Some(server) => Ok(server),
            None => Ok(kind.facts().address(self.state.root(), named, session)?),
        }
    }

    /// Writes the configuration that `peer` provides for the runtime, if it differs.
    fn write_runtime_config(&self, kind: RuntimeKind) -> Result<()> {
        match kind.facts().configuration() {
            Some((name, text)) => Ok(self.state.keep_file(name, text)?),
            None => Ok(()),
        }
    }
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

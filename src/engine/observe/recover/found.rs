//! What a living pane process reveals about its incarnation when no file does.

use std::ffi::OsString;

use peer_adapters::inherited::Inherited;
use peer_adapters::process::{self, ProcessId, Status};
use peer_adapters::runtime::{RuntimeKind, SurroundingServer};

use crate::engine::observe::{recorded, recorded_host};
use crate::engine::peer::kept::essential;
use crate::engine::peer::runtimes::kind_of;
use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::time::millis;
use crate::store::{AgentProcess, Launch, OsText, Place, Process, SessionRecord};

/// The cause of an incarnation whose record was reconstructed.
const RECOVERED: &str = "recovered";

/// A living pane process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pane {
    /// The incarnation in its arguments.
    pub(crate) incarnation: Incarnation,
    process: Status,
}

impl Pane {
    /// Parses the arguments `pane STATE NAME INCARNATION`.
    pub(super) fn of(process: Status, arguments: &[OsString]) -> Option<(PeerName, Self)> {
        let [_, _, name, number] = arguments else { return None };
        let incarnation = Incarnation(number.to_str()?.parse().ok()?);
        Some((name.to_str()?.parse().ok()?, Self { incarnation, process }))
    }

    /// Returns its pid.
    pub(super) const fn pid(&self) -> u32 {
        self.process.id.pid
    }

    /// Returns the agent. It leads its own process group in the pane's session, while a `seed` helper has left that
    /// session.
    pub(super) fn agent(&self) -> Result<Option<Status>> {
        let pane = self.process.id.pid;
        let children = process::children(pane)?;
        Ok(children.into_iter().find(|child| child.group == child.id.pid && child.session == pane))
    }
}

impl Engine {
    /// Reconstructs the record of a living incarnation. `None` if no agent runs under its pane process.
    pub(super) fn rebuild(&self, peer: &Peer, pane: &Pane) -> Result<Option<SessionRecord>> {
        let Some(agent) = pane.agent()? else { return Ok(None) };
        let opened = peer.files.conversations()?.into_iter().rev().find(|entry| entry.incarnation == pane.incarnation);
        let conversation = match opened {
            Some(entry) => Some(entry.conversation),
            // A process that ends meanwhile has no command line to read.
            None => process::command_line(agent.id.pid).ok().and_then(|argv| peer.profile.conversation_in(&argv)),
        };
        let woke_at = self.now().before(process::age(agent.id)?);
        let (place, boot_id, name) = (self.place_of(peer, pane)?, process::boot_id()?, &peer.spec.agent);
        // The same applies to its environment.
        let env = process::environment(agent.id.pid).unwrap_or_default();
        let claim = peer.files.typing_claim(pane.incarnation)?.present();
        let (typing, rest) = claim.map(|claim| (claim.text, (claim.unmarked, claim.extent))).unzip();
        let (typing_unmarked, typing_extent) = rest.unwrap_or_default();
        Ok(Some(SessionRecord {
            essential_env: essential(&peer.profile, &env),
            process: Some(AgentProcess { id: recorded(agent.id), session: agent.session }),
            conversation,
            typing,
            typing_unmarked,
            typing_extent,
            // Neither its topics nor its readiness can be known any more. This keeps the topics, and makes readiness
            // hold for longer.
            resumed: true,
            ..SessionRecord::starting(pane.incarnation, place, Process::NOBODY, boot_id, name, RECOVERED, woke_at)
        }))
    }

    /// Reconstructs the launch file of a living incarnation, without what can no longer be known. `None` if the agent
    /// ended meanwhile.
    pub(super) fn relaunch(&self, peer: &Peer, record: &SessionRecord) -> Result<Option<Launch>> {
        let Some(agent) = record.process else { return Ok(None) };
        let told = (process::command_line(agent.id.pid), process::environment(agent.id.pid));
        let (Ok(argv), Ok(env)) = told else { return Ok(None) };
        Ok(Some(Launch {
            argv: argv.into_iter().map(OsText).collect(),
            cwd: peer.spec.cwd.clone(),
            config_dir: self.config.root().to_owned(),
            host: Some(recorded_host()?),
            boot_id: Some(record.boot_id.clone()),
            grace_ms: millis(peer.profile.quit.term_grace),
            env: env.into_iter().map(|(key, value)| (OsText(key), OsText(value))).collect(),
            inherited: Inherited::default(),
        }))
    }

    /// Returns the server of a pane process, from its terminal's environment variables. The next listing completes the
    /// address.
    fn place_of(&self, peer: &Peer, pane: &Pane) -> Result<Place> {
        let env = process::environment(pane.process.id.pid)?;
        let of = |variable: &str| env.iter().find(|(key, _)| key == variable).map(|(_, value)| value.clone());
        let around = RuntimeKind::ALL.into_iter().find_map(|kind| Some((kind, kind.facts().server_around(&of)?)));
        let (kind, around) = match around {
            Some((kind, around)) => (kind, around),
            None => (kind_of(&peer.spec.runtime)?, SurroundingServer::default()),
        };
        // After a self-fresh, session and server are named after an older incarnation.
        let session = around.session.unwrap_or_else(|| format!("{}-{}", peer.name, pane.incarnation));
        let server = around.address.map_or_else(|| self.server_address(kind, peer, &session), Ok)?;
        // A pane process is the child of its server while the server is alive.
        let hosts =
            |parent: ProcessId| around.pid == Some(parent.pid) || kind.facts().is_own_server(&server, &session, parent);
        let parent = process::status(pane.process.parent)?.map(|status| status.id).filter(|parent| hosts(*parent));
        let binary = self.runtime_binary(kind, Some(&peer.spec))?;
        Ok(Place {
            server_process: parent.map(recorded),
            pane_process: Some(recorded(pane.process.id)),
            host: Some(recorded_host()?),
            ..Place::planned(kind, binary, server, session)
        })
    }
}

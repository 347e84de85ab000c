//! `peer list`: every peer in a line.

use std::path::PathBuf;

use serde::Serialize;

use super::wake::Live;
use super::{Engine, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::policy::health::{Health, HealthPolicy};
use crate::policy::name::PeerName;
use crate::policy::state::{State, StateFacts, state};
use crate::policy::time::Timestamp;
use crate::store::Marker;

/// One peer, as the list shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub peer: PeerName,
    /// The word for its state.
    pub state: State,
    /// What belongs to that word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Its agent's profile.
    pub agent: String,
    /// Its runtime.
    pub runtime: String,
    /// The newest topic of its conversation.
    pub topic: Option<String>,
    /// Its incarnation, while one is on record.
    pub incarnation: Option<Incarnation>,
    /// Counted deaths since it was last stable.
    pub restarts: usize,
    /// When its hold is over.
    pub held_until_ms: Option<Timestamp>,
    /// How its last incarnation ended.
    pub last_end: Option<String>,
    /// Its working directory.
    pub cwd: PathBuf,
}

impl Engine {
    /// Every declared peer, seen now: one listing call a server.
    ///
    /// # Errors
    /// A spec or a record cannot be read.
    pub async fn list(&self) -> Result<Vec<Row>> {
        let mut peers = Vec::new();
        for name in self.config.names()? {
            peers.push(self.peer(&name)?);
        }
        let mut records = Vec::new();
        for peer in &peers {
            records.extend(peer.files.session()?.present().map(|record| (peer.name.clone(), record)));
        }
        let borrowed: Vec<_> = records.iter().map(|(name, record)| (name.clone(), record)).collect();
        let mut sights = self.survey(&borrowed).await?.sights;
        let mut records: std::collections::HashMap<_, _> = records.into_iter().collect();
        let mut rows = Vec::new();
        for peer in &peers {
            let live = match (records.remove(&peer.name), sights.remove(&peer.name)) {
                (Some(record), Some(sight)) => Live::of(record, sight),
                _ => Live::None,
            };
            rows.push(self.row(peer, &live)?);
        }
        Ok(rows)
    }

    fn row(&self, peer: &Peer, live: &Live) -> Result<Row> {
        let now = self.now();
        let last = peer.files.end()?.present();
        let end = last.as_ref().map(|last| &last.end);
        let deaths = self.deaths(peer)?;
        let policy =
            HealthPolicy { restart: peer.effective.restart.value, max_restarts: peer.effective.max_restarts.value };
        let health = Health::assess(&deaths, end, policy, now);
        let last_end = end.map(crate::policy::ending::End::shown_as);
        let shown = state(
            &StateFacts {
                live: live.recorded(),
                turn_in_progress: false,
                stopped: peer.files.has(Marker::Stopped)?,
                last_end: end.cloned(),
                health,
                ever_ran: end.is_some_and(|end| end.lasting_cause().is_some()),
            },
            now,
        );
        Ok(Row {
            peer: peer.name.clone(),
            state: shown.state,
            detail: shown.detail,
            agent: peer.spec.agent.clone(),
            runtime: peer.spec.runtime.clone(),
            topic: peer.files.topics()?.pop(),
            incarnation: live.record().map(|record| record.incarnation),
            restarts: health.deaths,
            held_until_ms: shown.held_until,
            last_end,
            cwd: peer.spec.cwd.clone(),
        })
    }
}

//! The agent that runs this command in its own pane, by the variables that every pane of `peer` has.

use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::store::SessionRecord;

impl Engine {
    /// Returns the peer and incarnation of the caller, from the variables that a pane of `peer` has.
    ///
    /// # Errors
    /// [`EngineError::NotInPane`]: the caller is not in a pane of `peer`.
    pub(crate) fn caller(&self) -> Result<(Peer, Incarnation)> {
        let not_here = |problem: &str| EngineError::NotInPane { problem: problem.to_owned() };
        let text = |key| self.var(key).and_then(|value| value.to_str()).map(str::to_owned);
        let name = text("PEER_NAME").ok_or_else(|| not_here("PEER_NAME is not set: this is not a pane of peer"))?;
        let name: PeerName = name.parse().map_err(|error| not_here(&format!("PEER_NAME: {error}")))?;
        let number = text("PEER_INCARNATION").and_then(|number| number.parse().ok());
        let incarnation = Incarnation(number.ok_or_else(|| not_here("PEER_INCARNATION is not a number"))?);
        Ok((self.peer(&name)?, incarnation))
    }
}

impl Peer {
    /// Returns the record of this incarnation, for the agent of it.
    ///
    /// # Errors
    /// [`EngineError::NotInPane`]: another incarnation is recorded, or none.
    pub(crate) fn own_record(&self, incarnation: Incarnation) -> Result<SessionRecord> {
        let record = self.files.session()?.present().filter(|record| record.incarnation == incarnation);
        record.ok_or_else(|| EngineError::NotInPane {
            problem: format!("incarnation {incarnation} of {} is no longer the current one", self.name),
        })
    }
}

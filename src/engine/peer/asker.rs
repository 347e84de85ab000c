//! Who asks over MCP: a person's agent, which may do what the person may, or the agent of a peer, which may do what its spec says.

use crate::engine::{Engine, EngineError, Result};
use crate::policy::may::{Asked, is_allowed};
use crate::policy::name::PeerName;

/// Who asks.
#[derive(Clone, Debug)]
pub enum Asker {
    /// Nobody of the fleet.
    Person,
    /// The agent of a peer, in its pane.
    Agent {
        /// Whose.
        name: PeerName,
        /// `may` in its spec.
        may: Option<Vec<String>>,
    },
}

impl Engine {
    /// Who runs this process, by the variables that a pane of ours has; where that is the agent of a peer, its environment is
    /// what that agent was launched with, as for a command in its pane: agents pass on less to the servers that they start.
    ///
    /// # Errors
    /// [`EngineError::NotInPane`]: those variables are there, and are not those of an incarnation that is on record.
    pub fn asker(&mut self) -> Result<Asker> {
        if self.var("PEER_NAME").is_none() {
            return Ok(Asker::Person);
        }
        let (peer, incarnation) = self.caller()?;
        Self::own_record(&peer, incarnation)?;
        if let Some(launch) = peer.files.launch(incarnation)?.present() {
            self.env = launch.env.into_iter().map(|(key, value)| (key.0, value.0)).collect();
        }
        Ok(Asker::Agent { name: peer.name, may: peer.spec.may })
    }
}

impl Asker {
    /// Whether that may be done to a peer.
    ///
    /// # Errors
    /// [`EngineError::NotAllowed`].
    pub fn check(&self, other: &PeerName, asked: Asked) -> Result<()> {
        match self {
            Self::Agent { name, may } if !is_allowed(may.as_deref(), name, other, asked) => {
                Err(EngineError::NotAllowed { asker: name.clone(), peer: other.clone(), asked, named: may.is_some() })
            }
            Self::Person | Self::Agent { .. } => Ok(()),
        }
    }

    /// Whether it is the agent of this peer.
    pub fn is(&self, other: &PeerName) -> bool {
        matches!(self, Self::Agent { name, .. } if name == other)
    }
}

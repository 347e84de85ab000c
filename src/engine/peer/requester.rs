//! Identifies who makes a request over MCP: a person's agent, which may do what the person may, or the agent of a peer,
//! which may do what its spec allows.

use crate::engine::{Engine, EngineError, Result};
use crate::policy::may::{Asked, is_allowed};
use crate::policy::name::PeerName;

/// The origin of an MCP request.
#[derive(Clone, Debug)]
pub enum Requester {
    /// A person, or an agent outside the fleet.
    Person,
    /// The agent of a peer, in its pane.
    Agent {
        /// The name of that peer.
        name: PeerName,
        /// `may` from its spec.
        may: Option<Vec<String>>,
    },
}

impl Engine {
    /// Determines who runs this process from the variables that every pane of `peer` has. For the agent of a peer, this
    /// engine takes over the environment with which the agent was launched, as for a command in its pane, because
    /// agents pass less of it to the servers that they start.
    ///
    /// # Errors
    /// [`EngineError::NotInPane`] if those variables are set, but do not name a recorded incarnation.
    pub fn requester(&mut self) -> Result<Requester> {
        if self.var("PEER_NAME").is_none() {
            return Ok(Requester::Person);
        }
        let (peer, incarnation) = self.caller()?;
        peer.own_record(incarnation)?;
        if let Some(launch) = peer.files.launch(incarnation)?.present() {
            self.env = launch.env.into_iter().map(|(key, value)| (key.0, value.0)).collect();
        }
        Ok(Requester::Agent { name: peer.name, may: peer.spec.may })
    }
}

impl Requester {
    /// Checks whether `asked` is allowed on the peer `other`.
    ///
    /// # Errors
    /// [`EngineError::NotAllowed`].
    pub fn check(&self, other: &PeerName, asked: Asked) -> Result<()> {
        match self {
            Self::Agent { name, may } if !is_allowed(may.as_deref(), name, other, asked) => {
                Err(EngineError::NotAllowed {
                    requester: name.clone(),
                    peer: other.clone(),
                    asked,
                    named: may.is_some(),
                })
            }
            Self::Person | Self::Agent { .. } => Ok(()),
        }
    }

    /// Whether this is the agent of `other`.
    pub fn is(&self, other: &PeerName) -> bool {
        matches!(self, Self::Agent { name, .. } if name == other)
    }
}

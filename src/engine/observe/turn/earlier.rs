//! What earlier looks saw of a fleet's turns, for the next look to build on.

use std::collections::HashMap;

use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::stall::Progress;
use crate::policy::time::Timestamp;
use crate::policy::turn::TurnObservation;
use crate::store::Heartbeat;

/// An earlier observation of one incarnation.
pub(super) type Before = (Incarnation, TurnObservation, Option<Progress>);

/// The earlier observations of a fleet.
#[derive(Debug, Default)]
pub(crate) struct Turns(pub(super) Option<HashMap<PeerName, Before>>);

impl Turns {
    /// Returns an empty observation: every agent is checked anew.
    pub(crate) fn none() -> Self {
        Self(Some(HashMap::new()))
    }

    /// Returns what a tick observed.
    pub(crate) fn of(beat: &Heartbeat) -> Self {
        let seen = |(name, pulse): (&PeerName, &crate::store::PeerObservation)| {
            Some((name.clone(), (pulse.incarnation, pulse.turn.clone()?, pulse.progress)))
        };
        Self(Some(beat.peers.iter().filter_map(seen).collect()))
    }

    pub(crate) fn get(&self, name: &PeerName, incarnation: Incarnation) -> Option<&TurnObservation> {
        let (of, seen, _) = self.0.as_ref()?.get(name)?;
        (*of == incarnation).then_some(seen)
    }

    /// Returns the progress of the incarnation's turn, as the last tick saw it.
    pub(super) fn progress(&self, name: &PeerName, incarnation: Incarnation) -> Option<Progress> {
        let (of, _, progress) = self.0.as_ref()?.get(name)?;
        progress.filter(|_| *of == incarnation)
    }

    /// Removes the observation of a peer if it was made before `at`: something has happened since.
    pub(crate) fn forget_before(&mut self, name: &PeerName, at: Timestamp) {
        let Some(known) = &mut self.0 else { return };
        if known.get(name).is_some_and(|(_, seen, _)| seen.at_ms < at) {
            known.remove(name);
        }
    }

    /// Stores a new observation for the next one to build on.
    pub(crate) fn keep(&mut self, name: &PeerName, incarnation: Incarnation, seen: Option<&TurnObservation>) {
        let progress = self.progress(name, incarnation);
        let known = self.0.get_or_insert_default();
        match seen {
            Some(seen) => drop(known.insert(name.clone(), (incarnation, seen.clone(), progress))),
            None => drop(known.remove(name)),
        }
    }
}

//! Peers that have run here and are no longer declared: when the user removes or renames a spec, the conversations stay
//! behind.

use std::path::PathBuf;

use crate::engine::observe::launched;
use crate::engine::{Engine, Peer, Result};
use crate::policy::name::PeerName;
use crate::store::Stored;

/// A peer that has files and no spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeclared {
    /// The peer whose files these are.
    pub peer: PeerName,
    /// Where its spec was.
    pub spec: PathBuf,
    /// The peer that it seems to have been renamed to, with that peer's spec.
    pub renamed_to: Option<(PeerName, PathBuf)>,
    /// Whether an incarnation is recorded.
    pub runs: bool,
}

impl Undeclared {
    /// Returns a one-line description of the problem.
    pub fn problem(&self) -> String {
        let what = if self.runs { "its agent runs" } else { "it ran, and has conversations" };
        match &self.renamed_to {
            Some((new, _)) => format!("{what}, and its spec is gone; that of {new} looks like it"),
            None => format!("{what}, and its spec is gone"),
        }
    }

    /// Returns how to solve it.
    pub fn cure(&self) -> String {
        let (peer, spec) = (&self.peer, self.spec.display());
        match &self.renamed_to {
            Some((_, new)) => format!("mv {} {spec} gives it its name back; peer rm {peer} forgets it", new.display()),
            None => format!("bring {spec} back, or forget it: peer rm {peer}"),
        }
    }
}

impl Engine {
    /// Returns the peers that have files here and no spec. If every peer is declared, this costs one listing of each
    /// directory.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn undeclared(&self) -> Result<Vec<Undeclared>> {
        let declared = self.config.names()?;
        let mut started = self.state.inventory()?.started();
        for name in &declared {
            started.remove(name);
        }
        if started.is_empty() {
            return Ok(Vec::new());
        }
        let fresh = declared.iter().filter(|name| !self.state.peer(name).has_run());
        // A peer that cannot be loaded is not a candidate.
        let fresh: Vec<Peer> = fresh.filter_map(|name| self.peer(name).ok()).collect();
        Ok(started.into_iter().map(|name| self.without_spec(name, &fresh)).collect())
    }

    fn without_spec(&self, name: PeerName, fresh: &[Peer]) -> Undeclared {
        let mut like = fresh.iter().filter(|peer| self.may_have_been(peer, &name));
        let only = like.next().filter(|_| like.next().is_none());
        Undeclared {
            spec: self.config.spec_path(&name),
            renamed_to: only.map(|peer| (peer.name.clone(), self.config.spec_path(&peer.name))),
            runs: matches!(self.state.peer(&name).session(), Ok(Stored::Present(_))),
            peer: name,
        }
    }

    /// Whether a peer that never ran may be `old` under a new name: the same agent in the same place.
    fn may_have_been(&self, peer: &Peer, old: &PeerName) -> bool {
        let files = self.state.peer(old);
        if let Some(record) = files.session().ok().and_then(Stored::present) {
            return record.agent == peer.spec.agent && record.real_cwd == Some(launched::real(&peer.spec.cwd));
        }
        let Some(last) = files.end().ok().and_then(Stored::present) else { return false };
        let is_there = || last.conversation.as_deref().is_none_or(|id| self.resumable(peer, Some(id)).is_some());
        last.agent == peer.spec.agent && (!peer.profile.capabilities().resume || is_there())
    }

    /// When a peer starts for the first time, notifies the user of the conversations that it may have been meant to
    /// continue.
    pub(crate) fn note_renamed(&self, peer: &Peer) -> Result<()> {
        for undeclared in self.undeclared()? {
            if undeclared.renamed_to.as_ref().is_some_and(|(name, _)| *name == peer.name) {
                let (old, cure) = (&undeclared.peer, undeclared.cure());
                let what = undeclared.problem();
                self.progress.notice(&format!("{}: it starts for the first time. {old}: {what}: {cure}", peer.name));
            }
        }
        Ok(())
    }
}

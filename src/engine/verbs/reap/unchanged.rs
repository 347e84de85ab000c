//! Whether an agent's own files may contain anything new since a tick last checked them.

use std::time::Duration;

use peer_adapters::runtime::ACTIVITY_STEP;

use super::Subject;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::verdict::Verdict;
use crate::store::{Heartbeat, SessionRecord};

/// How far an agent's files may lag behind what its pane shows. Claude Code's status file needs 0.2 s after `/clear`, a
/// transcript as long as the agent thinks about its first answer, which the pane then shows.
const FILES_BEHIND: Duration = ACTIVITY_STEP.saturating_add(Duration::from_secs(5));

impl Subject {
    /// Whether the pane has produced no output since a tick last checked it, if the runtime reports that. Then nothing
    /// was typed or said there.
    pub(super) fn is_unchanged(&self) -> bool {
        let known = self.record.conversation.is_some();
        known
            && self
                .looked_at
                .zip(self.observation.last_output())
                .is_some_and(|(looked, output)| looked.since(output) > FILES_BEHIND)
    }
}

/// Returns when the last tick that found this incarnation healthy observed it.
pub(super) fn looked_at(before: &Heartbeat, name: &PeerName, record: &SessionRecord) -> Option<Timestamp> {
    let pulse = before.peers.get(name).filter(|pulse| pulse.incarnation == record.incarnation)?;
    (pulse.verdict == Verdict::Healthy).then_some(pulse.runtime.at_ms)
}
